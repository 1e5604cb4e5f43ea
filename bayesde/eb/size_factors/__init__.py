"""Size factors by every method."""
