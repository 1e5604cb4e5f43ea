"""The coefficients that are sampled: which levels are integrated out, and where searches start."""
