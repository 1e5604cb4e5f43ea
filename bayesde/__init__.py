"""Bayesian differential expression for RNA-seq counts.

The names below are the public interface. They are looked up on first use, so that
``import bayesde`` loads neither numba, cmdstanpy, arviz nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesde import bias, plots
    from bayesde.counts import Counts
    from bayesde.datasets import load_airway, load_pasilla
    from bayesde.design import Contrast, Design
    from bayesde.eb.fit import EbFit
    from bayesde.eb.options import EbOptions
    from bayesde.eb.size_factors.methods import size_factors
    from bayesde.eb.transforms.rlog import rlog
    from bayesde.eb.transforms.vst import vst
    from bayesde.errors import (
        BayesdeError,
        BayesdeNote,
        BayesdeWarning,
        FitError,
        InputError,
        OptionError,
        ToolchainError,
    )
    from bayesde.explore import (
        filter_by_cpm,
        filter_by_expression,
        normalization_check,
        sample_distances,
        sample_mds,
        sample_pca,
        sample_summary,
    )
    from bayesde.gene_rankings import ranking, rankings
    from bayesde.io import pseudobulk, read_counts, read_tximport, write_anndata
    from bayesde.model.effect_laws import EffectMixture
    from bayesde.model.hyperparameters import Hyperparameters
    from bayesde.model.priors import Beta, LogNormal, Priors, ShiftedGamma, ShiftedLogNormal
    from bayesde.normalize import cpm, fpkm, fpm, log_cpm, norm_transform, normalization_factors
    from bayesde.posterior.fit import fit_posterior
    from bayesde.posterior.options import SamplingOptions
    from bayesde.posterior.point_estimates.fit import RandomEffectsFit, fit_eb
    from bayesde.posterior.posterior import Posterior
    from bayesde.posterior.queries.loo import LeaveOneOut
    from bayesde.posterior.queries.other_models.compare import compare_posteriors
    from bayesde.posterior.queries.other_models.reweight import reweighted
    from bayesde.posterior.queries.other_models.sensitivity import power_scaling, sensitivity
    from bayesde.posterior.queries.prior_predictive import prior_predictive
    from bayesde.power import PowerOptions, PowerStudy, power_study
    from bayesde.results import ResultsTable, read_results, s_values
    from bayesde.runs.opening import OpenedRun, open_run
    from bayesde.simulation import Simulation, SimulationOptions, simulate
    from bayesde.usage import UsageCounts, UsageFit, UsageOptions, UsagePosterior, fit_usage, read_usage

__version__ = version("bayesde")

_HOMES = {
    "bayesde.counts": ("Counts",),
    "bayesde.datasets": ("load_airway", "load_pasilla"),
    "bayesde.design": ("Contrast", "Design"),
    "bayesde.eb.fit": ("EbFit",),
    "bayesde.eb.transforms.rlog": ("rlog",),
    "bayesde.eb.size_factors.methods": ("size_factors",),
    "bayesde.eb.transforms.vst": ("vst",),
    "bayesde.errors": (
        "BayesdeError",
        "BayesdeNote",
        "BayesdeWarning",
        "FitError",
        "InputError",
        "OptionError",
        "ToolchainError",
    ),
    "bayesde.explore": (
        "filter_by_cpm",
        "filter_by_expression",
        "normalization_check",
        "sample_distances",
        "sample_mds",
        "sample_pca",
        "sample_summary",
    ),
    "bayesde.io": ("pseudobulk", "read_counts", "read_tximport", "write_anndata"),
    "bayesde.normalize": ("cpm", "fpkm", "fpm", "log_cpm", "norm_transform", "normalization_factors"),
    "bayesde.eb.options": ("EbOptions",),
    "bayesde.posterior.queries.other_models.compare": ("compare_posteriors",),
    "bayesde.posterior.fit": ("fit_posterior",),
    "bayesde.model.hyperparameters": ("Hyperparameters",),
    "bayesde.posterior.queries.loo": ("LeaveOneOut",),
    "bayesde.posterior.options": ("SamplingOptions",),
    "bayesde.posterior.point_estimates.fit": ("RandomEffectsFit", "fit_eb"),
    "bayesde.posterior.queries.prior_predictive": ("prior_predictive",),
    "bayesde.model.effect_laws": ("EffectMixture",),
    "bayesde.model.priors": ("Beta", "LogNormal", "Priors", "ShiftedGamma", "ShiftedLogNormal"),
    "bayesde.posterior.posterior": ("Posterior",),
    "bayesde.posterior.queries.other_models.reweight": ("reweighted",),
    "bayesde.posterior.queries.other_models.sensitivity": ("power_scaling", "sensitivity"),
    "bayesde.power": ("PowerOptions", "PowerStudy", "power_study"),
    "bayesde.gene_rankings": ("ranking", "rankings"),
    "bayesde.results": ("ResultsTable", "read_results", "s_values"),
    "bayesde.runs.opening": ("OpenedRun", "open_run"),
    "bayesde.simulation": ("Simulation", "SimulationOptions", "simulate"),
    "bayesde.usage": (
        "UsageCounts",
        "UsageFit",
        "UsageOptions",
        "UsagePosterior",
        "fit_usage",
        "read_usage",
    ),
}
_MODULES = ("bias", "plots")
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BayesdeError",
    "BayesdeNote",
    "BayesdeWarning",
    "Beta",
    "Contrast",
    "Counts",
    "Design",
    "EbFit",
    "EbOptions",
    "EffectMixture",
    "FitError",
    "Hyperparameters",
    "InputError",
    "LeaveOneOut",
    "LogNormal",
    "OpenedRun",
    "OptionError",
    "Posterior",
    "PowerOptions",
    "PowerStudy",
    "Priors",
    "RandomEffectsFit",
    "ResultsTable",
    "SamplingOptions",
    "ShiftedGamma",
    "ShiftedLogNormal",
    "Simulation",
    "SimulationOptions",
    "ToolchainError",
    "UsageCounts",
    "UsageFit",
    "UsageOptions",
    "UsagePosterior",
    "bias",
    "compare_posteriors",
    "cpm",
    "filter_by_cpm",
    "filter_by_expression",
    "fit_eb",
    "fit_posterior",
    "fit_usage",
    "fpkm",
    "fpm",
    "load_airway",
    "load_pasilla",
    "log_cpm",
    "norm_transform",
    "normalization_check",
    "normalization_factors",
    "open_run",
    "plots",
    "power_scaling",
    "power_study",
    "prior_predictive",
    "pseudobulk",
    "ranking",
    "rankings",
    "read_counts",
    "read_results",
    "read_tximport",
    "read_usage",
    "reweighted",
    "rlog",
    "s_values",
    "sample_distances",
    "sample_mds",
    "sample_pca",
    "sample_summary",
    "sensitivity",
    "simulate",
    "size_factors",
    "vst",
    "write_anndata",
]


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use (PEP 562)."""
    if name in _MODULES:
        return import_module(f"bayesde.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bayesde' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*__all__, "__version__"])
