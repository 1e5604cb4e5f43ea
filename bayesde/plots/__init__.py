"""Plots of counts, samples, fits, results and posteriors.

Each function draws on an Axes, or on several, and returns it; none shows or saves. All plots are listed here.
They are imported on first use, so that a command loads only what it draws.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesde.plots.diagnostics import diagnostics_plot
    from bayesde.plots.dispersions import dispersion_plot, random_effect_sd_plot
    from bayesde.plots.genes import gene_counts_plot, ridge_plot
    from bayesde.plots.heatmaps import heatmap_plot, sample_distance_plot
    from bayesde.plots.hyperparameters import effect_law_plot, hyperparameter_plot, hyperparameter_trace_plot
    from bayesde.plots.intervals import interval_plot, shrinkage_plot
    from bayesde.plots.predictions import pit_histogram, predicted_counts_plot
    from bayesde.plots.priors import prior_predictive_plot
    from bayesde.plots.samples import (
        library_size_plot,
        log_cpm_density_plot,
        mds_plot,
        normalization_plot,
        pca_plot,
    )
    from bayesde.plots.tables import ma_plot, p_value_histogram, s_value_plot, volcano_plot

_HOME_OF = {
    "diagnostics_plot": "diagnostics",
    "dispersion_plot": "dispersions",
    "random_effect_sd_plot": "dispersions",
    "effect_law_plot": "hyperparameters",
    "gene_counts_plot": "genes",
    "heatmap_plot": "heatmaps",
    "hyperparameter_plot": "hyperparameters",
    "hyperparameter_trace_plot": "hyperparameters",
    "interval_plot": "intervals",
    "library_size_plot": "samples",
    "log_cpm_density_plot": "samples",
    "ma_plot": "tables",
    "mds_plot": "samples",
    "normalization_plot": "samples",
    "p_value_histogram": "tables",
    "pca_plot": "samples",
    "pit_histogram": "predictions",
    "predicted_counts_plot": "predictions",
    "prior_predictive_plot": "priors",
    "ridge_plot": "genes",
    "s_value_plot": "tables",
    "sample_distance_plot": "heatmaps",
    "shrinkage_plot": "intervals",
    "volcano_plot": "tables",
}

__all__ = [
    "diagnostics_plot",
    "dispersion_plot",
    "effect_law_plot",
    "gene_counts_plot",
    "heatmap_plot",
    "hyperparameter_plot",
    "hyperparameter_trace_plot",
    "interval_plot",
    "library_size_plot",
    "log_cpm_density_plot",
    "ma_plot",
    "mds_plot",
    "normalization_plot",
    "p_value_histogram",
    "pca_plot",
    "pit_histogram",
    "predicted_counts_plot",
    "prior_predictive_plot",
    "random_effect_sd_plot",
    "ridge_plot",
    "s_value_plot",
    "sample_distance_plot",
    "shrinkage_plot",
    "volcano_plot",
]


def __getattr__(name: str) -> object:
    """Import a plot on first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bayesde.plots' has no attribute {name!r}")
    value = getattr(import_module(f"bayesde.plots.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the plots, loaded or not."""
    return sorted(__all__)
