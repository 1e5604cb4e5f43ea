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
    from bayesde.errors import BayesdeError, BayesdeWarning, FitError, InputError, OptionError, ToolchainError
    from bayesde.io import read_counts, read_tximport
    from bayesde.normalize import cpm, fpm, size_factors
    from bayesde.options import EbOptions
    from bayesde.posterior.fit import Posterior, fit_posterior
    from bayesde.posterior.hyperparameters import Hyperparameters
    from bayesde.posterior.options import SamplingOptions
    from bayesde.results import ResultsTable, read_results, s_values

__version__ = version("bayesde")

_HOMES = {
    "bayesde.counts": ("Counts",),
    "bayesde.datasets": ("load_airway", "load_pasilla"),
    "bayesde.design": ("Contrast", "Design"),
    "bayesde.eb.fit": ("EbFit", "fit_eb"),
    "bayesde.errors": (
        "BayesdeError",
        "BayesdeWarning",
        "FitError",
        "InputError",
        "OptionError",
        "ToolchainError",
    ),
    "bayesde.io": ("read_counts", "read_tximport"),
    "bayesde.normalize": ("cpm", "fpm", "size_factors"),
    "bayesde.options": ("EbOptions",),
    "bayesde.posterior.fit": ("Posterior", "fit_posterior"),
    "bayesde.posterior.hyperparameters": ("Hyperparameters",),
    "bayesde.posterior.options": ("SamplingOptions",),
    "bayesde.results": ("ResultsTable", "read_results", "s_values"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BayesdeError",
    "BayesdeWarning",
    "Contrast",
    "Counts",
    "Design",
    "EbFit",
    "EbOptions",
    "FitError",
    "Hyperparameters",
    "InputError",
    "OptionError",
    "Posterior",
    "ResultsTable",
    "SamplingOptions",
    "ToolchainError",
    "cpm",
    "fit_eb",
    "fit_posterior",
    "fpm",
    "load_airway",
    "load_pasilla",
    "read_counts",
    "read_results",
    "read_tximport",
    "s_values",
    "size_factors",
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
    return sorted({*globals(), *__all__})
