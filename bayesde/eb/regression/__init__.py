"""Negative-binomial regression of every gene on the design, dispersions given."""
