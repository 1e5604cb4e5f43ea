"""Point estimates of designs with random effects: modes of each gene's marginal posterior, and their tables."""
