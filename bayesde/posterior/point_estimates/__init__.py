"""Point estimates of designs with random effects: modes of marginal posteriors, and their tables."""
