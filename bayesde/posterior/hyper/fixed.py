"""Hyperparameters that are fixed, and the options that go with them."""

from __future__ import annotations

from bayesde.errors import OptionError
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.options import SamplingOptions

__all__ = ["check_fixed"]


def check_fixed(hyper: Hyperparameters, options: SamplingOptions) -> None:
    """Refuse options that contradict the hyperparameters that are fixed.

    Parameters
    ----------
    hyper : Hyperparameters
    options : SamplingOptions

    Raises
    ------
    OptionError
        If they ask for other residuals or for another trend.
    """
    if options.effects != "cauchy":
        raise OptionError(
            "effects: the hyperparameters are fixed, and define the laws of the effects; leave effects out, "
            "or let the hyperparameters be learnt."
        )
    if options.residuals != "normal" and options.residuals != hyper.residuals:
        raise OptionError(
            f"residuals: the hyperparameters are fixed, and are of {hyper.residuals} residuals; leave "
            f"'{options.residuals}' out, or let the hyperparameters be learnt."
        )
    if options.trend == "constant" and hyper.extra_poisson > 0.0:
        raise OptionError(
            f"trend: the hyperparameters are fixed, and their trend is {hyper.asymptotic_dispersion:.3g} + "
            f"{hyper.extra_poisson:.3g} / mean; leave 'constant' out, let them be learnt, or fit the point "
            "estimates with trend='mean' (--trend mean)."
        )
