"""Size factors, normalization factors, and the normalized counts that they give."""

from bayesde.normalize.factors import normalization_factors, normalization_matrix
from bayesde.normalize.ratios import METHODS
from bayesde.normalize.scaled import base_mean, base_var, cpm, fpkm, fpm, log_cpm, norm_transform

__all__ = [
    "METHODS",
    "base_mean",
    "base_var",
    "cpm",
    "fpkm",
    "fpm",
    "log_cpm",
    "norm_transform",
    "normalization_factors",
    "normalization_matrix",
]
