"""The command line: its options (``arguments``), the plan they make (``planning``), and the commands."""

from bayesde.cli.commands import app, main

__all__ = ["app", "main"]
