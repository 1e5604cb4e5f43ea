"""Draws on disk: finished blocks, files of draws that are too large for memory, and those of a whole run."""
