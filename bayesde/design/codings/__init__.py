"""The coefficients that a posterior is sampled in, in place of those of the design."""
