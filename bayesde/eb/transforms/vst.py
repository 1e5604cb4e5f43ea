r"""The variance-stabilizing transform: log2-like values whose noise does not depend on the mean.

If the variance of a normalized count q is v(q) = xi q + alpha(q) q^2, then

    f(q) = integral dq / sqrt(v(q))

has the same noise everywhere (Anders and Huber 2010, doi:10.1186/gb-2010-11-10-r106; Love, Huber and Anders
2014, doi:10.1186/s13059-014-0550-8). It is scaled so that it becomes log2 q for large counts.

    trend a0 + a1/q      log2[(1 + a1 + 2 a0 q + 2 sqrt(a0 q (1 + a1 + a0 q))) / (4 a0)]
    constant alpha       (2 asinh(sqrt(alpha q)) - ln alpha - ln 4) / ln 2
    any other            numerically, with xi = mean_j 1/s_j
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.interpolate import PPoly

from bayesde.counts import Counts, chunk_cells
from bayesde.design import Design
from bayesde.eb.block import are_shared
from bayesde.eb.dispersion.trend import DispersionTrend
from bayesde.eb.estimates import EbEstimates
from bayesde.eb.transforms.inputs import transform_input
from bayesde.errors import InputError
from bayesde.normalize.scaled import normalized_counts
from bayesde.numerics.libm import asinh, exp, log, log2, sinh
from bayesde.numerics.linear import solve_tridiagonal

__all__ = ["vst"]

GRID_POINTS = 1000
PIECES = 4
"""Transforming takes several copies of the values, so it is done for a part of a chunk at a time."""
SCALED_AT = (0.95, 0.999)
"""Quantiles of the genes' means between which the numerical transform has the slope of log2."""


def vst(
    counts: Counts | EbEstimates,
    design: str | Design | None = None,
    blind: bool | None = None,
    trend: str | DispersionTrend = "parametric",
    n_genes: int | None = 1000,
    size_factors: Any = None,
) -> pd.DataFrame:
    r"""Transform counts so that their noise is nearly the same at all means, for plots and clustering.

    ``f(q) = integral dq / sqrt(q + alpha(q) q^2)`` of normalized counts q and the dispersion trend alpha,
    on the scale of log2 q. For the trend a0 + a1/q that is

    ``log2[(1 + a1 + 2 a0 q + 2 sqrt(a0 q (1 + a1 + a0 q))) / (4 a0)]``.

    Parameters
    ----------
    counts : Counts or EbFit
        Of a fit, the counts and factors are taken, and unless blind its trend.
    design : str or Design, optional
        Formula or design to estimate dispersions with, so that differences which it explains do not count as
        noise.
    blind : bool, optional
        Whether to estimate dispersions without a design; so it is by default for counts without one.
    trend : {"parametric", "local", "mean"} or DispersionTrend
        What is fitted, or a trend that was fitted before, such as that of a training set.
    n_genes : int or None
        From how many genes of mean above 5, evenly spaced in the order of means, the trend is estimated;
        None takes all genes. (DESeq2's ``vst`` and ``varianceStabilizingTransformation``, in turn.)
    size_factors : optional
        Size or normalization factors, or the method to estimate them, as `fit_eb` takes them.

    Returns
    -------
    pandas.DataFrame, float64, (gene, sample)
        log2 scale.

    Raises
    ------
    InputError
        If fewer than `n_genes` genes have a mean above 5, or design or factors do not fit the counts.
    OptionError
        If the trend is unknown.

    References
    ----------
    Anders, S. and Huber, W. (2010) Genome Biology 11:R106. doi:10.1186/gb-2010-11-10-r106
    """
    given = transform_input(counts, design, blind, trend, size_factors)
    means = given.base_means()
    fitted = given.trend(means, n_genes)
    values = normalized_counts(given.counts, given.factors)
    transform: Callable[[np.ndarray], np.ndarray]
    if fitted.kind == "parametric":
        transform = partial(_parametric, a0=fitted.asymptotic_dispersion, a1=fitted.extra_poisson)
    elif fitted.kind == "mean":
        transform = partial(_constant, alpha=fitted.asymptotic_dispersion)
    else:
        xi = float(np.mean(1.0 / _sample_factors(given.factors)))
        transform = _numerical(values.max(), means, fitted, xi)
    for genes in given.counts.chunks(max(1, chunk_cells() // PIECES)):
        values[genes] = transform(values[genes])
    return pd.DataFrame(values, index=given.counts.genes, columns=given.counts.samples, copy=False)


def _sample_factors(factors: np.ndarray) -> np.ndarray:
    """Size factors, or the geometric mean of a sample's factors, (sample,)."""
    if are_shared(factors):
        return factors[0]
    return exp(log(factors).mean(axis=0))


def _parametric(q: np.ndarray, a0: float, a1: float) -> np.ndarray:
    return log2((1.0 + a1 + 2.0 * a0 * q + 2.0 * np.sqrt(a0 * q * (1.0 + a1 + a0 * q))) / (4.0 * a0))


def _constant(q: np.ndarray, alpha: float) -> np.ndarray:
    return (2.0 * asinh(np.sqrt(alpha * q)) - math.log(alpha) - math.log(4.0)) / math.log(2.0)


def _numerical(
    largest: float, means: np.ndarray, trend: DispersionTrend, xi: float
) -> Callable[[np.ndarray], np.ndarray]:
    """Integrate by the trapezoid rule on a grid even in asinh, and join the sums by a spline."""
    grid = sinh(np.linspace(0.0, math.asinh(largest), GRID_POINTS))[1:]
    density = 1.0 / np.sqrt(trend(grid) * grid**2 + xi * grid)
    areas = np.cumsum(np.diff(grid) * (density[1:] + density[:-1]) / 2.0)
    curve = _spline(asinh((grid[1:] + grid[:-1]) / 2.0), areas)
    low, high = _scaling_range(means)
    at_low, at_high = curve(asinh([low, high]))
    slope = (math.log2(high) - math.log2(low)) / (at_high - at_low)
    return lambda q: slope * (curve(asinh(q)) - at_low) + math.log2(low)


def _scaling_range(means: np.ndarray) -> tuple[float, float]:
    """Means of genes with many counts, between which the slope of log2 is wanted."""
    low, high = np.quantile(means, SCALED_AT)
    if not 0.0 < low < high:
        raise InputError(
            f"the scale cannot be matched to log2: {SCALED_AT[0]:.0%} of the genes have a mean of at most "
            f"{low:g}, and {SCALED_AT[1]:.1%} one of at most {high:g}. Drop genes without counts first, or "
            "use trend='parametric'."
        )
    return float(low), float(high)


def _spline(x: np.ndarray, y: np.ndarray) -> PPoly:
    """Cubic spline whose third derivative at each end is that of the cubic through the last four points.

    With moments M_i = f''(x_i), h the widths and d the slopes of the chords, continuity of f' is
    ``h_{i-1} M_{i-1} + 2 (h_{i-1} + h_i) M_i + h_i M_{i+1} = 6 (d_i - d_{i-1})``, and the ends have
    ``(M_1 - M_0) / h_0 = 6 f[x_0, x_1, x_2, x_3]`` (Forsythe, Malcolm and Moler 1977). The end cubics
    are extrapolated.
    """
    h, chord = np.diff(x), np.diff(y) / np.diff(x)
    second = np.diff(chord) / (x[2:] - x[:-2])
    third = np.diff(second) / (x[3:] - x[:-3])
    diagonal = np.concatenate([[-1.0], 2.0 * (h[:-1] + h[1:]), [-1.0]])
    below, above = np.append(h[:-1], 1.0), np.append(1.0, h[1:])
    right = np.concatenate([[6.0 * third[0] * h[0]], 6.0 * np.diff(chord), [-6.0 * third[-1] * h[-1]]])
    moments = solve_tridiagonal(below, diagonal, above, right)
    slopes = chord - h * (2.0 * moments[:-1] + moments[1:]) / 6.0
    return PPoly(np.array([np.diff(moments) / (6.0 * h), moments[:-1] / 2.0, slopes, y[:-1]]), x)
