r"""The prior density of a coefficient: all that the kernels use of it, in one place.

A shrunken coefficient b has a Cauchy prior of scale S, any other a normal one of standard deviation S:

    ln p(b | S) = ln h(S) - ln(1 + (b/S)^2),    h(S) = 1 / (pi S),       where shrunken,
    ln p(b | S) = ln h(S) - (b/S)^2 / 2,        h(S) = 1 / (S sqrt(2 pi)), elsewhere,

h being the height of the density at its peak. `log_effect_density` and `effect_derivatives` serve searches
for modes, one coefficient at a time, and `tangent_curvature` keeps these going where the density is not
log-concave. For weighted draws only shrunken coefficients matter, at other and other values of S:
`fill_inverse_densities` takes all draws of a gene at once, `slope_by_log_scale` is the derivative by ln S,
`log_effect_heights` the height. `log_effect_densities` and `random_effects` are for NumPy.

Another family of priors changes this module, the program for Stan and `bayesde.simulation.laws`.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics.compiled import fused, kernel
from bayesde.numerics.elementary import logarithms

__all__ = [
    "effect_derivatives",
    "fill_inverse_densities",
    "log_effect_densities",
    "log_effect_density",
    "log_effect_heights",
    "random_effects",
    "slope_by_log_scale",
    "tangent_curvature",
]


@kernel
def log_effect_density(effect, shrunken, scale):  # type: ignore[no-untyped-def]
    """Return the log prior density of a coefficient, over the height of the density."""
    if shrunken:
        return -math.log1p((effect / scale) ** 2)
    return -(0.5 * (effect / scale) ** 2)


@kernel
def effect_derivatives(effect, shrunken, scale):  # type: ignore[no-untyped-def]
    """Return the first and second derivative of the log prior density by the coefficient."""
    if shrunken:
        total = scale**2 + effect * effect
        return -2.0 * effect / total, -2.0 * (scale**2 - effect * effect) / total**2
    return -effect / scale**2, -1.0 / scale**2


@kernel
def tangent_curvature(effect, scale):  # type: ignore[no-untyped-def]
    """Return what to add to minus the second derivative, for a shrunken coefficient, where that is negative.

    The sum is 2 / (S^2 + b^2), the precision of the normal density that touches the Cauchy density at b
    from below: always positive. (Minus the second derivative is 2 (S^2 - b^2) / (S^2 + b^2)^2.)
    """
    total = scale**2 + effect**2
    return 2.0 * (2.0 * effect**2) / total**2


@kernel
def fill_inverse_densities(points, columns, inverse_scale, out):  # type: ignore[no-untyped-def]
    """Fill the product over the shrunken coefficients of 1 + (b/S)^2: height over density.

    Two coefficients at a time, in loops over the draws that become vector instructions.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
        One gene's draws.
    columns : ndarray of int (shrunken,)
        Which of the parameters are shrunken coefficients.
    inverse_scale : ndarray (shrunken,)
        1 / S.
    out : ndarray (draw,)
        Written to.
    """
    out[:] = 1.0
    for i in range(0, columns.size - 1, 2):
        row, inverse = points[columns[i]], inverse_scale[i]
        other, of_other = points[columns[i + 1]], inverse_scale[i + 1]
        for m in range(out.size):
            u, v = row[m] * inverse, other[m] * of_other
            out[m] *= fused(u, u, 1.0) * fused(v, v, 1.0)
    if columns.size % 2:
        row, inverse = points[columns[-1]], inverse_scale[-1]
        for m in range(out.size):
            u = row[m] * inverse
            out[m] *= fused(u, u, 1.0)


@kernel
def slope_by_log_scale(standardized):  # type: ignore[no-untyped-def]
    """Return d ln p(b | S) / d ln S = 1 - 2 / (1 + u^2) of a shrunken coefficient, u = b/S."""
    return 1.0 - 2.0 / fused(standardized, standardized, 1.0)


def log_effect_densities(effects: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the log prior densities of shrunken coefficients, over their heights.

    Parameters
    ----------
    effects : ndarray (..., shrunken)
        Natural log.
    scale : ndarray (shrunken,)
        S, natural log.

    Returns
    -------
    ndarray (..., shrunken)
    """
    return np.asarray(-np.log1p((effects / scale) ** 2))


def random_effects(rng: np.random.Generator, scale: np.ndarray, size: int) -> np.ndarray:
    """Draw shrunken coefficients from their priors.

    Parameters
    ----------
    rng : Generator
    scale : ndarray (shrunken,)
        S, natural log.
    size : int
        Number of draws.

    Returns
    -------
    ndarray (size, shrunken)
        Natural log.
    """
    return scale * rng.standard_cauchy((size, scale.size))


def log_effect_heights(scale: np.ndarray) -> float:
    """Return the log of the product of the heights of the priors of the shrunken coefficients.

    Parameters
    ----------
    scale : ndarray (shrunken,)
        S, natural log.

    Returns
    -------
    float
    """
    return -float(logarithms(math.pi * scale).sum())
