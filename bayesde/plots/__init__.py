"""Plots of fits and results: each function draws on an Axes and returns it; none prints or saves."""

from bayesde.plots.dispersions import dispersion_plot
from bayesde.plots.hyperparameters import effect_law_plot, hyperparameter_plot, hyperparameter_trace_plot
from bayesde.plots.predictions import pit_histogram, predicted_counts_plot
from bayesde.plots.priors import prior_predictive_plot
from bayesde.plots.tables import interval_plot, ma_plot, p_value_histogram

__all__ = [
    "dispersion_plot",
    "effect_law_plot",
    "hyperparameter_plot",
    "hyperparameter_trace_plot",
    "interval_plot",
    "ma_plot",
    "p_value_histogram",
    "pit_histogram",
    "predicted_counts_plot",
    "prior_predictive_plot",
]
