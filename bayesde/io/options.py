"""Words that say how a file is to be read."""

__all__ = ["STRANDS"]

STRANDS = ("unstranded", "forward", "reverse")
"""Kinds of libraries, in the order of the columns of STAR's files."""
