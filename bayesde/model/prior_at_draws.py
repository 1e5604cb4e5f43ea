r"""The priors of the genes' parameters at many draws, for any values of the hyperparameters phi.

    p(theta | phi) = prod_k p(beta_k | S_k[, nu_k, pi0_k])  Normal or Student-t(a | log trend, sigma),

the product over the shrunken coefficients, whose density is that of `bayesde.model.effect_prior`. Kernels
take all draws of a gene at once. They leave out the height of the density at its peak (`log_height`), which
is the same for all draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import digamma

from bayesde.model.effect_prior import (
    EffectPriors,
    add_log_densities,
    at_only_point,
    at_point,
    fill_inverse_densities,
    log_effect_heights,
    log_odds_of_null,
)
from bayesde.numerics.compiled import kernel
from bayesde.numerics.elementary import logarithm

__all__ = [
    "HyperPriors",
    "PriorParts",
    "ScaledPrior",
    "fill_log_residuals",
    "log_height",
    "log_height_slope",
    "log_prior_shape",
    "prior_at_point",
    "priors_at",
    "priors_at_one",
    "prior_of_gene",
]


class HyperPriors(NamedTuple):
    """The genes' priors at points of the hyperparameters.

    At a single point, the axis for points is missing.

    Attributes
    ----------
    effects : EffectPriors
        Of the shrunken coefficients.
    log_trend : ndarray (point, gene)
        Centers of the log dispersions.
    sd : ndarray (point,)
        Scale sigma of log dispersions around the trend.
    nu : ndarray (point,)
        Degrees of freedom of these residuals; infinite for normal ones.
    """

    effects: EffectPriors
    log_trend: np.ndarray
    sd: np.ndarray | float
    nu: np.ndarray | float


class PriorParts(NamedTuple):
    """What the genes' priors are made of, at one point of the hyperparameters.

    Attributes
    ----------
    scale, df, pi0 : ndarray (shrunken,)
        S_k (natural log), nu_k and the probability of zero.
    log_trend : ndarray (gene,)
        Centers of the log dispersions.
    sd, nu : float
        Scale and degrees of freedom of the residuals; nu is infinite for normal ones.
    """

    scale: np.ndarray
    df: np.ndarray
    pi0: np.ndarray
    log_trend: np.ndarray
    sd: float
    nu: float


class ScaledPrior(NamedTuple):
    """One gene's prior at one point of the hyperparameters, with what loops over draws multiply by.

    Attributes
    ----------
    effects : EffectPriors
        With 1 / S_k.
    log_trend : float
    inverse_sd : float
        1 / sigma.
    nu : float
    """

    effects: EffectPriors
    log_trend: float
    inverse_sd: float
    nu: float


def priors_at(columns: np.ndarray, points: Sequence[PriorParts]) -> HyperPriors:
    """Return the genes' priors at points of the hyperparameters, as kernels take them.

    Parameters
    ----------
    columns : ndarray of int64 (shrunken,)
    points : sequence of PriorParts

    Returns
    -------
    HyperPriors
    """
    scale, df, pi0, trend, sd, nu = (np.stack(part) for part in zip(*points, strict=True))
    effects = EffectPriors(columns, scale, df, log_odds_of_null(scale, df, pi0))
    return HyperPriors(effects, trend, sd, nu)


def priors_at_one(columns: np.ndarray, parts: PriorParts) -> HyperPriors:
    """Return the genes' priors at one point of the hyperparameters, without an axis for points.

    Parameters
    ----------
    columns : ndarray of int64 (shrunken,)
    parts : PriorParts

    Returns
    -------
    HyperPriors
    """
    log_null = log_odds_of_null(parts.scale, parts.df, parts.pi0)
    effects = EffectPriors(columns, parts.scale, parts.df, log_null)
    return HyperPriors(effects, parts.log_trend, parts.sd, parts.nu)


@kernel
def prior_of_gene(priors, g):  # type: ignore[no-untyped-def]
    """Return the priors of gene g at the only point of the hyperparameters."""
    trend, sd = priors.log_trend[g], 1.0 / priors.sd
    return ScaledPrior(at_only_point(priors.effects), trend, sd, priors.nu)


@kernel
def prior_at_point(priors, s, g):  # type: ignore[no-untyped-def]
    """Return the priors of gene g at point s of the hyperparameters."""
    trend, sd = priors.log_trend[s, g], 1.0 / priors.sd[s]
    return ScaledPrior(at_point(priors.effects, s), trend, sd, priors.nu[s])


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
    fill_inverse_densities(points, prior.effects, inverse)
    fill_log_residuals(points[points.shape[0] - 1], prior.log_trend, prior.inverse_sd, prior.nu, out)
    add_log_densities(points, prior.effects, out)
    for m in range(out.size):
        out[m] -= logarithm(inverse[m])


def log_height(parts: PriorParts) -> float:
    """Return the log density of one gene's priors at their peaks.

    That is of the shrunken coefficients (of their continuous parts) and the log dispersion.

    Parameters
    ----------
    parts : PriorParts

    Returns
    -------
    float
    """
    sd, nu = parts.sd, parts.nu
    value = log_effect_heights(parts.scale, parts.df, parts.pi0) - math.log(sd)
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
