"""The posterior of every gene, by importance sampling or by Stan.

The folders, in the order of the data: ``draws`` (weighted draws, Pareto smoothing, diagnostics), ``proposal``
(each gene's proposal distribution), ``hyper`` (the posterior of the hyperparameters), ``importance`` and
``stan`` (the inference methods), ``summaries`` (contrasts, tables, checks) and ``queries`` (prediction,
leave-one-out, other priors); ``point_estimates`` has the modes of designs with random effects, for
`bayesde.fit_eb`. A ``request`` goes to one of the ``engines``, which return its ``data``; a
``posterior`` is these data with the methods that users call, and ``fit`` has the function that returns it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesde.model.effect_laws import EffectMixture
    from bayesde.model.hyperparameters import Hyperparameters
    from bayesde.model.priors import Beta, LogNormal, Priors, ShiftedGamma
    from bayesde.posterior.fit import fit_posterior
    from bayesde.posterior.options import SamplingOptions
    from bayesde.posterior.posterior import Posterior
    from bayesde.posterior.queries.loo import LeaveOneOut
    from bayesde.posterior.queries.other_models.compare import compare_posteriors

_HOME_OF = {
    "Hyperparameters": "model.hyperparameters",
    "LeaveOneOut": "posterior.queries.loo",
    "Beta": "model.priors",
    "EffectMixture": "model.effect_laws",
    "LogNormal": "model.priors",
    "Posterior": "posterior.posterior",
    "Priors": "model.priors",
    "SamplingOptions": "posterior.options",
    "ShiftedGamma": "model.priors",
    "compare_posteriors": "posterior.queries.other_models.compare",
    "fit_posterior": "posterior.fit",
}

__all__ = [
    "Beta",
    "EffectMixture",
    "Hyperparameters",
    "LeaveOneOut",
    "LogNormal",
    "Posterior",
    "Priors",
    "SamplingOptions",
    "ShiftedGamma",
    "compare_posteriors",
    "fit_posterior",
]


def __getattr__(name: str) -> object:
    """Import a name on first use: the command line reads options without loading compiled kernels."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bayesde.posterior' has no attribute {name!r}")
    return getattr(import_module(f"bayesde.{_HOME_OF[name]}"), name)
