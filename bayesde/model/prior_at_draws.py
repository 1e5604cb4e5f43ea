r"""The priors of the genes' parameters at many draws, for any values of the hyperparameters phi.

    p(theta | phi) = prod_k p(beta_k | S_k[, nu_k, pi0_k])  Normal or Student-t(a | log trend, sigma),

the product over the shrunken coefficients, whose density is that of `bayesde.model.effect_prior`. Residuals
z = (a - log trend) / sigma may also have two normal components,

    f(z) = (1 - w) N(z; 0, 1) + w N(z; 0, tau^2),      tau > 1,

a wide one of share w for genes far from the trend. Log standard deviations of random effects, which come
before a in theta, have the factors Normal(ln tau | m_tau, s_tau). Kernels take all draws of a gene at once.
They leave out the height of the density at its peak (`log_height`), which is the same for all draws.
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
from bayesde.numerics.compiled import fused, kernel
from bayesde.numerics.elementary import exponential, logarithm

__all__ = [
    "HyperPriors",
    "PriorParts",
    "ResidualLaw",
    "ScaledPrior",
    "add_log_sds",
    "fill_log_residuals",
    "log_height",
    "log_height_slope",
    "log_prior_shape",
    "prior_at_point",
    "priors_at",
    "priors_at_one",
    "prior_of_gene",
]


NO_RANDOM_EFFECTS = np.empty(0)


class ResidualLaw(NamedTuple):
    """The distribution of standardized residuals around the dispersion trend.

    Attributes
    ----------
    nu : float
        Degrees of freedom of Student's t; infinite for normal ones.
    wide_share, wide_ratio : float
        w and tau of two normal components; 0 and 1 for one.
    """

    nu: float
    wide_share: float
    wide_ratio: float


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
    wide_share, wide_ratio : ndarray (point,)
        w and tau of residuals with two normal components; 0 and 1 for one.
    center, spread : ndarray (point, random effect)
        Of the log standard deviations of random effects.
    """

    effects: EffectPriors
    log_trend: np.ndarray
    sd: np.ndarray | float
    nu: np.ndarray | float
    wide_share: np.ndarray | float
    wide_ratio: np.ndarray | float
    center: np.ndarray
    spread: np.ndarray


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
    wide_share, wide_ratio : float
        As of `ResidualLaw`.
    center, spread : ndarray (random effect,)
        Mean and standard deviation of the log standard deviations of random effects.
    """

    scale: np.ndarray
    df: np.ndarray
    pi0: np.ndarray
    log_trend: np.ndarray
    sd: float
    nu: float
    wide_share: float = 0.0
    wide_ratio: float = 1.0
    center: np.ndarray = NO_RANDOM_EFFECTS
    spread: np.ndarray = NO_RANDOM_EFFECTS


class ScaledPrior(NamedTuple):
    """One gene's prior at one point of the hyperparameters, with what loops over draws multiply by.

    Attributes
    ----------
    effects : EffectPriors
        With 1 / S_k.
    log_trend : float
    inverse_sd : float
        1 / sigma.
    residuals : ResidualLaw
    center, spread : ndarray (random effect,)
    """

    effects: EffectPriors
    log_trend: float
    inverse_sd: float
    residuals: ResidualLaw
    center: np.ndarray
    spread: np.ndarray


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
    scale, df, pi0, *shared = (np.stack(part) for part in zip(*points, strict=True))
    effects = EffectPriors(columns, scale, df, log_odds_of_null(scale, df, pi0))
    return HyperPriors(effects, *shared)


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
    return HyperPriors(effects, *parts[3:])


@kernel
def prior_of_gene(priors, g):  # type: ignore[no-untyped-def]
    """Return the priors of gene g at the only point of the hyperparameters."""
    trend, sd = priors.log_trend[g], 1.0 / priors.sd
    residuals = ResidualLaw(priors.nu, priors.wide_share, priors.wide_ratio)
    return ScaledPrior(at_only_point(priors.effects), trend, sd, residuals, priors.center, priors.spread)


@kernel
def prior_at_point(priors, s, g):  # type: ignore[no-untyped-def]
    """Return the priors of gene g at point s of the hyperparameters."""
    trend, sd = priors.log_trend[s, g], 1.0 / priors.sd[s]
    residuals = ResidualLaw(priors.nu[s], priors.wide_share[s], priors.wide_ratio[s])
    effects = at_point(priors.effects, s)
    return ScaledPrior(effects, trend, sd, residuals, priors.center[s], priors.spread[s])


@kernel
def add_log_sds(points, prior, out):  # type: ignore[no-untyped-def]
    """Add the log density of log standard deviations of random effects, over that at their centers.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
        One gene's draws; these are the numbers before the log dispersion.
    prior : ScaledPrior
    out : ndarray (draw,)
        Added to.
    """
    n = prior.center.size
    for t in range(n):
        row, center, inverse = points[points.shape[0] - 1 - n + t], prior.center[t], 1.0 / prior.spread[t]
        for m in range(out.size):
            z = (row[m] - center) * inverse
            out[m] = fused(-0.5 * z, z, out[m])


@kernel
def fill_log_residuals(log_dispersion, log_trend, inverse_sd, law, out):  # type: ignore[no-untyped-def]
    """Fill the log density of residuals around the dispersion trend, over the height of its first component.

    That of two normal components is -z^2 / (2 tau^2) + ln[w / tau + (1 - w) exp(-z^2 (1 - 1 / tau^2) / 2)].
    """
    nu = law.nu
    for m in range(out.size):
        z = (log_dispersion[m] - log_trend) * inverse_sd
        out[m] = -0.5 * z * z
    if not math.isinf(nu):
        for m in range(out.size):
            out[m] = -0.5 * (nu + 1.0) * logarithm(1.0 - 2.0 * out[m] / nu)
    if law.wide_share > 0.0:
        flat, height = 1.0 / law.wide_ratio**2, law.wide_share / law.wide_ratio
        for m in range(out.size):
            near = (1.0 - law.wide_share) * exponential((1.0 - flat) * out[m])
            out[m] = flat * out[m] + logarithm(height + near)


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
    fill_log_residuals(points[points.shape[0] - 1], prior.log_trend, prior.inverse_sd, prior.residuals, out)
    add_log_densities(points, prior.effects, out)
    add_log_sds(points, prior, out)
    for m in range(out.size):
        out[m] -= logarithm(inverse[m])


def log_height(parts: PriorParts) -> float:
    """Return the log density of one gene's priors at their peaks.

    That is of the shrunken coefficients (of their continuous parts), the log standard deviations of random
    effects and the log dispersion.

    Parameters
    ----------
    parts : PriorParts

    Returns
    -------
    float
    """
    sd, nu = parts.sd, parts.nu
    value = log_effect_heights(parts.scale, parts.df, parts.pi0) - math.log(sd)
    for spread in parts.spread:
        value -= math.log(spread) + 0.5 * math.log(2.0 * math.pi)
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
