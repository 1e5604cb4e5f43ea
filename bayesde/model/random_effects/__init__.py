"""Likelihoods with random effects integrated out."""
