"""Each gene's whole posterior, by Stan.

The steps, in order: the values of the priors (``hyperparameters``), one gene's log density given them
(``model``), its mode and curvature (``mode``), from which the samplers start (``stan_data``). Engine ``nuts``
samples genes in ``blocks``, engine ``joint`` genes and hyperparameters together, both by ``chains``; they
hand over ``draws`` and ``diagnostics``, from which ``summaries`` make the results table. ``fit`` runs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesde.posterior.fit import Posterior, fit_posterior
    from bayesde.posterior.hyperparameters import Hyperparameters
    from bayesde.posterior.options import SamplingOptions

_HOME_OF = {
    "Hyperparameters": "hyperparameters",
    "Posterior": "fit",
    "SamplingOptions": "options",
    "fit_posterior": "fit",
}

__all__ = ["Hyperparameters", "Posterior", "SamplingOptions", "fit_posterior"]


def __getattr__(name: str) -> object:
    """Import a name on first use: the command line reads options without loading compiled kernels."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bayesde.posterior' has no attribute {name!r}")
    return getattr(import_module(f"bayesde.posterior.{_HOME_OF[name]}"), name)
