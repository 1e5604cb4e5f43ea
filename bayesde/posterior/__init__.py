"""Each gene's whole posterior, by importance sampling or by Stan.

The steps, in order: what all genes share (``priors``, ``hyperparameters``), one gene's log density given that
(``model``), its mode and curvature (``mode``). A ``request`` goes to one of the ``engines``: psis, in the
package ``importance``, or nuts and joint, in ``chains``. Each hands over ``gene_draws`` and ``diagnostics``,
of which a ``result`` makes tables (``tables``, ``summaries``, ``contrasts``) and labelled ``draws``,
predicted counts (``predict``) and what is left of the counts that others do not explain (``loo``,
``outlier_counts``, ``compare``). ``checks`` says in a sentence how it went, ``fit`` is the way in. What the
priors mean is seen in data sets drawn from them (``prior_check``); what a fit owes to them, by weighing its
draws anew (``reweight``, ``sensitivity``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesde.model.hyperparameters import Hyperparameters
    from bayesde.model.priors import LogNormal, Priors, ShiftedGamma
    from bayesde.posterior.fit import fit_posterior
    from bayesde.posterior.options import SamplingOptions
    from bayesde.posterior.queries.compare import compare_posteriors
    from bayesde.posterior.queries.loo import LeaveOneOut
    from bayesde.posterior.result import Posterior

_HOME_OF = {
    "Hyperparameters": "model.hyperparameters",
    "LeaveOneOut": "posterior.queries.loo",
    "LogNormal": "model.priors",
    "Posterior": "posterior.result",
    "Priors": "model.priors",
    "SamplingOptions": "posterior.options",
    "ShiftedGamma": "model.priors",
    "compare_posteriors": "posterior.queries.compare",
    "fit_posterior": "posterior.fit",
}

__all__ = [
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
