r"""The priors of the genes' parameters at many draws, for any values of the hyperparameters phi.

    p(theta | phi) = prod_k p(beta_k | S_k)  Normal or Student-t(a | log trend, sigma),

the product over the shrunken coefficients, whose density is that of `bayesde.model.effect_prior`. Kernels
take all draws of a gene at once. They leave out the height of the density at its peak (`log_height`), which
is the same for all draws.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import digamma

from bayesde.model.effect_prior import fill_inverse_densities, log_effect_heights
from bayesde.numerics.compiled import kernel
from bayesde.numerics.elementary import logarithm

__all__ = [
    "HyperPriors",
    "ScaledPrior",
    "fill_log_residuals",
    "log_height",
    "log_height_slope",
    "log_prior_shape",
    "prior_at_point",
    "prior_of_gene",
]


class HyperPriors(NamedTuple):
    """The genes' priors at points of the hyperparameters.

    At a single point, the axis for points is missing.

    Attributes
    ----------
    columns : ndarray of int64 (shrunken,)
        Which of the coefficients are shrunken.
    scale : ndarray (point, shrunken)
        Scales S_k of their priors, natural log.
    log_trend : ndarray (point, gene)
        Centers of the log dispersions.
    sd : ndarray (point,)
        Scale sigma of log dispersions around the trend.
    nu : ndarray (point,)
        Degrees of freedom of these residuals; infinite for normal ones.
    """

    columns: np.ndarray
    scale: np.ndarray
    log_trend: np.ndarray
    sd: np.ndarray | float
    nu: np.ndarray | float


class ScaledPrior(NamedTuple):
    """One gene's prior at one point of the hyperparameters, with what loops over draws multiply by.

    Attributes
    ----------
    columns : ndarray of int64 (shrunken,)
    inverse_scale : ndarray (shrunken,)
        1 / S_k.
    log_trend : float
    inverse_sd : float
        1 / sigma.
    nu : float
    """

    columns: np.ndarray
    inverse_scale: np.ndarray
    log_trend: float
    inverse_sd: float
    nu: float


@kernel
def prior_of_gene(priors, g):  # type: ignore[no-untyped-def]
    """Return the priors of gene g at the only point of the hyperparameters."""
    trend, sd = priors.log_trend[g], 1.0 / priors.sd
    return ScaledPrior(priors.columns, 1.0 / priors.scale, trend, sd, priors.nu)


@kernel
def prior_at_point(priors, s, g):  # type: ignore[no-untyped-def]
    """Return the priors of gene g at point s of the hyperparameters."""
    trend, sd = priors.log_trend[s, g], 1.0 / priors.sd[s]
    return ScaledPrior(priors.columns, 1.0 / priors.scale[s], trend, sd, priors.nu[s])


@kernel
def fill_log_residuals(log_dispersion, log_trend, inverse_sd, nu, out):  # type: ignore[no-untyped-def]
    """Fill the log density of residuals around the dispersion trend, over that at its peak."""
    for m in range(out.size):
        z = (log_dispersion[m] - log_trend) * inverse_sd
        out[m] = -0.5 * z * z
    if not math.isinf(nu):
        for m in range(out.size):
            out[m] = -0.5 * (nu + 1.0) * logarithm(1.0 - 2.0 * out[m] / nu)


@kernel
def log_prior_shape(points, prior, inverse, out):  # type: ignore[no-untyped-def]
    """Fill the log density of the priors at one gene's draws (P + 1, draw), over that at their peaks.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
    prior : ScaledPrior
    inverse : ndarray (draw,)
        Work space.
    out : ndarray (draw,)
        Written to.
    """
    fill_inverse_densities(points, prior.columns, prior.inverse_scale, inverse)
    fill_log_residuals(points[points.shape[0] - 1], prior.log_trend, prior.inverse_sd, prior.nu, out)
    for m in range(out.size):
        out[m] -= logarithm(inverse[m])


def log_height(scale: np.ndarray, sd: float, nu: float) -> float:
    """Return the log density of one gene's priors at their peaks.

    That is of the shrunken coefficients and the log dispersion.

    Parameters
    ----------
    scale : ndarray (shrunken,)
        Scales of the priors of the coefficients, natural log.
    sd : float
        Scale of log dispersions around the trend.
    nu : float
        Degrees of freedom of these residuals; infinite for normal ones.

    Returns
    -------
    float
    """
    value = log_effect_heights(scale) - math.log(sd)
    if math.isinf(nu):
        return value - 0.5 * math.log(2.0 * math.pi)
    return value + math.lgamma(0.5 * (nu + 1.0)) - math.lgamma(0.5 * nu) - 0.5 * math.log(nu * math.pi)


def log_height_slope(nu: float) -> float:
    """Return the derivative by nu of the log height of Student's t.

    Parameters
    ----------
    nu : float
        Finite.

    Returns
    -------
    float
    """
    return 0.5 * float(digamma(0.5 * (nu + 1.0)) - digamma(0.5 * nu) - 1.0 / nu)
