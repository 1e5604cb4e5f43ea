"""Dispersions: gene-wise estimates, their trend, the spread around it, and MAP estimates."""
