r"""The prior density of a coefficient: all that the kernels use of it, in one place.

A coefficient b has a Student-t prior of scale S and nu degrees of freedom (its law's continuous part),

    ln p(b | S, nu) = ln h - (nu + 1)/2 ln(1 + u^2/nu),     u = b/S,
    h(S, nu) = Gamma((nu + 1)/2) / [Gamma(nu/2) S sqrt(nu pi)],

which is Cauchy's for nu = 1, and for infinite nu the normal one of standard deviation S that coefficients
have which are not shrunken. A law with an atom puts the probability pi0 on b = 0 exactly:

    p(b) = pi0 delta_0(b) + (1 - pi0) p(b | S, nu).

h is the height of the density at its peak. `log_effect_density` and `effect_derivatives` serve searches
for modes, one coefficient at a time, and `tangent_curvature` keeps these going where the density is not
log-concave. For weighted draws only shrunken coefficients matter, at other and other values of S, nu and pi0:
`fill_inverse_densities` and `add_log_densities` take all draws of a gene at once, `fill_effect_moments` has
the derivatives by ln S, ln nu and logit pi0, `log_effect_heights` the heights. Draws are taken for zero where
they are exactly 0. `log_effect_densities` and `random_effects` are for NumPy.

Another family of priors changes this module, the programs for Stan and `bayesde.simulation.laws`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import digamma, gammaln

from bayesde.numerics.compiled import fused, kernel
from bayesde.numerics.elementary import logarithm, logarithms
from bayesde.numerics.sums import sum_of

__all__ = [
    "EffectPriors",
    "add_log_densities",
    "at_only_point",
    "at_point",
    "effect_derivatives",
    "fill_effect_moments",
    "fill_inverse_densities",
    "log_effect_densities",
    "log_effect_density",
    "log_effect_heights",
    "log_odds_of_null",
    "log_t_height",
    "random_effects",
    "tangent_curvature",
]


class EffectPriors(NamedTuple):
    """The priors of the shrunken coefficients, at one point of the hyperparameters or at many.

    Attributes
    ----------
    columns : ndarray of int64 (shrunken,)
        Which of the coefficients are shrunken.
    scale : ndarray (point, shrunken)
        S, natural log; in what `at_point` returns, 1 / S.
    df : ndarray (point, shrunken)
        nu of the continuous part; 1 for Cauchy's distribution.
    log_null : ndarray (point, shrunken)
        ln[pi0 / ((1 - pi0) h)]: the density at zero, over the height of the continuous part; -inf without an
        atom. At a single point, the axis for points is missing.
    """

    columns: np.ndarray
    scale: np.ndarray
    df: np.ndarray
    log_null: np.ndarray


@kernel
def at_point(effects, s):  # type: ignore[no-untyped-def]
    """Return the priors at point s of the hyperparameters, with 1 / S for S."""
    return EffectPriors(effects.columns, 1.0 / effects.scale[s], effects.df[s], effects.log_null[s])


@kernel
def at_only_point(effects):  # type: ignore[no-untyped-def]
    """Return the priors at the only point of the hyperparameters, with 1 / S for S."""
    return EffectPriors(effects.columns, 1.0 / effects.scale, effects.df, effects.log_null)


@kernel
def log_effect_density(effect, df, scale):  # type: ignore[no-untyped-def]
    """Return the log prior density of a coefficient, over the height of the density."""
    if math.isinf(df):
        return -(0.5 * (effect / scale) ** 2)
    return -(0.5 * (df + 1.0)) * math.log1p((effect / scale) ** 2 / df)


@kernel
def effect_derivatives(effect, df, scale):  # type: ignore[no-untyped-def]
    """Return the first and second derivative of the log prior density by the coefficient."""
    if math.isinf(df):
        return -effect / scale**2, -1.0 / scale**2
    square, total = df * scale**2, df * scale**2 + effect * effect
    return -(df + 1.0) * effect / total, -(df + 1.0) * (square - effect * effect) / total**2


@kernel
def tangent_curvature(effect, df, scale):  # type: ignore[no-untyped-def]
    """Return what to add to minus the second derivative, for a shrunken coefficient, where that is negative.

    The sum is (nu + 1) / (nu S^2 + b^2), the precision of the normal density that touches the prior's at b
    from below: always positive. (Minus the second derivative is (nu + 1) (nu S^2 - b^2) / (nu S^2 + b^2)^2.)
    """
    total = df * scale**2 + effect**2
    return (df + 1.0) * (2.0 * effect**2) / total**2


@kernel
def _is_cauchy(effects, i):  # type: ignore[no-untyped-def]
    """Return whether a coefficient has a Cauchy prior without an atom, whose density takes no logarithm."""
    return effects.df[i] == 1.0 and effects.log_null[i] == -math.inf


@kernel
def _cauchy_ones(effects):  # type: ignore[no-untyped-def]
    """Return which of the shrunken coefficients have Cauchy priors without an atom."""
    found, n = np.empty(effects.columns.size, dtype=np.int64), 0
    for i in range(effects.columns.size):
        if _is_cauchy(effects, i):
            found[n] = i
            n += 1
    return found[:n]


@kernel
def fill_inverse_densities(points, effects, out):  # type: ignore[no-untyped-def]
    """Fill the product over the coefficients with Cauchy priors of 1 + (b/S)^2: height over density.

    Two coefficients at a time, in loops over the draws that become vector instructions.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
        One gene's draws.
    effects : EffectPriors
        From `at_point`.
    out : ndarray (draw,)
        Written to.
    """
    ones = _cauchy_ones(effects)
    columns, inverse_scale = effects.columns, effects.scale
    out[:] = 1.0
    for at in range(0, ones.size - 1, 2):
        i, j = ones[at], ones[at + 1]
        row, inverse = points[columns[i]], inverse_scale[i]
        other, of_other = points[columns[j]], inverse_scale[j]
        for m in range(out.size):
            u, v = row[m] * inverse, other[m] * of_other
            out[m] *= fused(u, u, 1.0) * fused(v, v, 1.0)
    if ones.size % 2:
        row, inverse = points[columns[ones[-1]]], inverse_scale[ones[-1]]
        for m in range(out.size):
            u = row[m] * inverse
            out[m] *= fused(u, u, 1.0)


@kernel
def add_log_densities(points, effects, out):  # type: ignore[no-untyped-def]
    """Add the log densities, over their heights, of the coefficients with other priors than Cauchy's.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
        One gene's draws.
    effects : EffectPriors
        From `at_point`.
    out : ndarray (draw,)
        Changed.
    """
    for i in range(effects.columns.size):
        if _is_cauchy(effects, i):
            continue
        row, inverse, df = points[effects.columns[i]], effects.scale[i], effects.df[i]
        power, share = -0.5 * (df + 1.0), 1.0 / df
        for m in range(out.size):
            u = row[m] * inverse
            out[m] += power * logarithm(fused(u * share, u, 1.0))
        log_null = effects.log_null[i]
        for m in range(out.size):
            out[m] += log_null if row[m] == 0.0 else 0.0


@kernel
def fill_effect_moments(points, effects, weights, work, moments):  # type: ignore[no-untyped-def]
    """Fill weighted sums from which the derivatives of the log prior by its hyperparameters follow.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
        One gene's draws.
    effects : EffectPriors
        From `at_point`.
    weights : ndarray (draw,)
        Of any sum.
    work : ndarray (draw,)
        Work space.
    moments : ndarray (3, shrunken)
        Written to: sums over the draws that are not zero of d ln p / d ln S, height included, and of the
        shape's derivative by ln nu; and the weight of the draws that are zero.
    """
    for i in range(effects.columns.size):
        row, inverse, df = points[effects.columns[i]], effects.scale[i], effects.df[i]
        if _is_cauchy(effects, i):
            for m in range(work.size):
                u = row[m] * inverse
                work[m] = weights[m] * (1.0 - 2.0 / fused(u, u, 1.0))
            moments[0, i], moments[1, i], moments[2, i] = sum_of(work), 0.0, 0.0
            continue
        for m in range(work.size):
            work[m] = weights[m] if row[m] == 0.0 else 0.0
        null = sum_of(work)
        for m in range(work.size):
            u = row[m] * inverse
            work[m] = weights[m] * ((df + 1.0) * u * u / fused(u, u, df))
        pulled = sum_of(work)
        share = 1.0 / df
        for m in range(work.size):
            u = row[m] * inverse
            work[m] = weights[m] * logarithm(fused(u * share, u, 1.0))
        moments[0, i] = pulled - (sum_of(weights) - null)
        moments[1, i] = 0.5 * (pulled - df * sum_of(work))
        moments[2, i] = null


def log_t_height(scale: np.ndarray, df: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log height ln h of Student's t, and its derivative by ln nu.

    Parameters
    ----------
    scale : ndarray (...)
        S, natural log.
    df : ndarray (...)
        nu, finite.

    Returns
    -------
    log_height, slope : ndarray (...)
    """
    scale, df = np.asarray(scale, dtype=np.float64), np.asarray(df, dtype=np.float64)
    value = gammaln(0.5 * (df + 1.0)) - gammaln(0.5 * df) - 0.5 * logarithms(math.pi * df)
    cauchy = -logarithms(math.pi * scale)
    slope = 0.5 * df * (digamma(0.5 * (df + 1.0)) - digamma(0.5 * df) - 1.0 / df)
    return np.where(df == 1.0, cauchy, value - logarithms(scale)), np.asarray(slope)


def log_odds_of_null(scale: np.ndarray, df: np.ndarray, pi0: np.ndarray) -> np.ndarray:
    """Return what `EffectPriors.log_null` holds.

    Parameters
    ----------
    scale, df, pi0 : ndarray (...)
        S (natural log), nu and the probability of zero.

    Returns
    -------
    ndarray (...)
        -inf where pi0 is 0.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(pi0) - np.log1p(-np.asarray(pi0)) - log_t_height(scale, df)[0])


def log_effect_densities(effects: np.ndarray, scale: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Return the log prior densities of shrunken coefficients, over their heights.

    Parameters
    ----------
    effects : ndarray (..., shrunken)
        Natural log.
    scale : ndarray (shrunken,)
        S, natural log.
    df : ndarray (shrunken,)
        nu, finite.

    Returns
    -------
    ndarray (..., shrunken)
    """
    return np.asarray(-(0.5 * (df + 1.0)) * np.log1p((effects / scale) ** 2 / df))


def random_effects(
    rng: np.random.Generator,
    scale: np.ndarray,
    size: int,
    df: np.ndarray | None = None,
    pi0: np.ndarray | None = None,
) -> np.ndarray:
    """Draw shrunken coefficients from their priors.

    Parameters
    ----------
    rng : Generator
    scale : ndarray (shrunken,)
        S, natural log.
    size : int
        Number of draws.
    df : ndarray (shrunken,), optional
        nu; by default 1, Cauchy's distribution.
    pi0 : ndarray (shrunken,), optional
        Probabilities of exactly zero; by default 0.

    Returns
    -------
    ndarray (size, shrunken)
        Natural log.
    """
    shape = (size, scale.size)
    drawn = scale * (rng.standard_cauchy(shape) if df is None else rng.standard_t(df, shape))
    return drawn if pi0 is None else np.where(rng.random(shape) < pi0, 0.0, drawn)


def log_effect_heights(scale: np.ndarray, df: np.ndarray, pi0: np.ndarray) -> float:
    """Return the log of the product over the shrunken coefficients of (1 - pi0) h.

    Parameters
    ----------
    scale, df, pi0 : ndarray (shrunken,)
        S (natural log), nu and the probability of zero.

    Returns
    -------
    float
    """
    if (df == 1.0).all() and not pi0.any():
        return -float(logarithms(math.pi * scale).sum())
    return float((log_t_height(scale, df)[0] + np.log1p(-pi0)).sum())
