"""Bayesian differential expression for RNA-seq counts.

The names below are the public interface. They are looked up on first use, so that
``import bayesde`` loads neither numba, cmdstanpy, arviz nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesde.counts import Counts
    from bayesde.datasets import load_airway, load_pasilla
    from bayesde.design import Contrast, Design
    from bayesde.eb.fit import EbFit, fit_eb
    from bayesde.eb.rlog import rlog
    from bayesde.eb.size_factors import size_factors
    from bayesde.eb.transforms import vst
    from bayesde.errors import (
        BayesdeError,
        BayesdeNote,
        BayesdeWarning,
        FitError,
        InputError,
        OptionError,
        ToolchainError,
    )
    from bayesde.io import read_counts, read_tximport
    from bayesde.normalize import cpm, fpkm, fpm, norm_transform, normalization_factors
    from bayesde.options import EbOptions
    from bayesde.posterior.compare import compare_posteriors
    from bayesde.posterior.fit import fit_posterior
    from bayesde.posterior.hyperparameters import Hyperparameters
    from bayesde.posterior.loo import LeaveOneOut
    from bayesde.posterior.options import SamplingOptions
    from bayesde.posterior.prior_check import prior_predictive
    from bayesde.posterior.priors import LogNormal, Priors, ShiftedGamma
    from bayesde.posterior.result import Posterior
    from bayesde.posterior.reweight import reweighted
    from bayesde.posterior.sensitivity import power_scaling, sensitivity
    from bayesde.results import ResultsTable, read_results, s_values
    from bayesde.simulation import Simulation, SimulationOptions, simulate

__version__ = version("bayesde")

_HOMES = {
    "bayesde.counts": ("Counts",),
    "bayesde.datasets": ("load_airway", "load_pasilla"),
    "bayesde.design": ("Contrast", "Design"),
    "bayesde.eb.fit": ("EbFit", "fit_eb"),
    "bayesde.eb.rlog": ("rlog",),
    "bayesde.eb.size_factors": ("size_factors",),
    "bayesde.eb.transforms": ("vst",),
    "bayesde.errors": (
        "BayesdeError",
        "BayesdeNote",
        "BayesdeWarning",
        "FitError",
        "InputError",
        "OptionError",
        "ToolchainError",
    ),
    "bayesde.io": ("read_counts", "read_tximport"),
    "bayesde.normalize": ("cpm", "fpkm", "fpm", "norm_transform", "normalization_factors"),
    "bayesde.options": ("EbOptions",),
    "bayesde.posterior.compare": ("compare_posteriors",),
    "bayesde.posterior.fit": ("fit_posterior",),
    "bayesde.posterior.hyperparameters": ("Hyperparameters",),
    "bayesde.posterior.loo": ("LeaveOneOut",),
    "bayesde.posterior.options": ("SamplingOptions",),
    "bayesde.posterior.prior_check": ("prior_predictive",),
    "bayesde.posterior.priors": ("LogNormal", "Priors", "ShiftedGamma"),
    "bayesde.posterior.result": ("Posterior",),
    "bayesde.posterior.reweight": ("reweighted",),
    "bayesde.posterior.sensitivity": ("power_scaling", "sensitivity"),
    "bayesde.results": ("ResultsTable", "read_results", "s_values"),
    "bayesde.simulation": ("Simulation", "SimulationOptions", "simulate"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BayesdeError",
    "BayesdeNote",
    "BayesdeWarning",
    "Contrast",
    "Counts",
    "Design",
    "EbFit",
    "EbOptions",
    "FitError",
    "Hyperparameters",
    "InputError",
    "LeaveOneOut",
    "LogNormal",
    "OptionError",
    "Posterior",
    "Priors",
    "ResultsTable",
    "SamplingOptions",
    "ShiftedGamma",
    "Simulation",
    "SimulationOptions",
    "ToolchainError",
    "compare_posteriors",
    "cpm",
    "fit_eb",
    "fit_posterior",
    "fpkm",
    "fpm",
    "load_airway",
    "load_pasilla",
    "norm_transform",
    "normalization_factors",
    "power_scaling",
    "prior_predictive",
    "read_counts",
    "read_results",
    "read_tximport",
    "reweighted",
    "rlog",
    "s_values",
    "sensitivity",
    "simulate",
    "size_factors",
    "vst",
]


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bayesde' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*__all__, "__version__"])
