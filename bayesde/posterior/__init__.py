"""Each gene's whole posterior, by importance sampling or by Stan.

The steps, in order: the values of the priors (``hyperparameters``), one gene's log density given them
(``model``), its mode and curvature (``mode``). Engine ``psis`` makes each gene a ``proposal`` of them, a
``mixture``, weighs its draws by the counts (``counts_density``) and the priors (``prior_weights``),
learns the hyperparameters from the same draws (``importance``), smooths the weights (``pareto``), adapts
what does not serve (``adapt``) and has its own summaries (``weighted``). For Stan the modes become starts
(``stan_data``); engine ``nuts`` samples genes in ``blocks``, engine ``joint`` genes and hyperparameters
together, both by ``chains``; they hand over ``draws`` and ``diagnostics``, from which ``summaries`` make
the results table. ``fit`` runs them.
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
