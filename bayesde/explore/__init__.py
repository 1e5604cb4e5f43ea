"""Exploration before a fit: filters of genes, normalization, and how the samples relate to each other."""

from bayesde.explore.filters import GeneFilter, filter_by_cpm, filter_by_expression
from bayesde.explore.mds import SampleMds, sample_mds
from bayesde.explore.normalization_check import NormalizationCheck, normalization_check
from bayesde.explore.pca import SamplePca, sample_pca
from bayesde.explore.sample_distances import SampleDistances, sample_distances
from bayesde.explore.sample_summary import sample_summary

__all__ = [
    "GeneFilter",
    "NormalizationCheck",
    "SampleDistances",
    "SampleMds",
    "SamplePca",
    "filter_by_cpm",
    "filter_by_expression",
    "normalization_check",
    "sample_distances",
    "sample_mds",
    "sample_pca",
    "sample_summary",
]
