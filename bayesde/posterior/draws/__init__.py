"""Weighted draws of genes: random numbers, Pareto smoothing, resampling, diagnostics, labelled arrays."""
