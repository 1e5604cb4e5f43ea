r"""The search for a gene's dispersion, compiled.

With a = ln alpha, r = 1/alpha, and the means mu held fixed, a maximizes the Cox-Reid adjusted profile
log-likelihood (Cox and Reid 1987; McCarthy, Chen and Smyth 2012, doi:10.1093/nar/gks042)

    l(a) = sum_j v_j [ln G(y_j + r) - ln G(r) - y_j ln(mu_j + r) - r ln(1 + mu_j alpha)] - 1/2 ln det(X' W X)

with W = diag(1 / (1/mu_j + alpha)) and observation weights v_j (1 if there are none), plus
-(a - a_trend)^2 / (2 prior_var) for a maximum a-posteriori estimate.

The search is the steepest ascent with Armijo's rule of DESeq2, reproduced step by step: on flat likelihoods
it stops where another optimizer would not, and which genes shape the trend depends on that.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.eb.regression.information import Equations, equations, log_determinant_and_trace
from bayesde.eb.regression.irls import set_means
from bayesde.numerics.cholesky import row_of
from bayesde.numerics.compiled import inlined, kernel
from bayesde.numerics.gamma_functions import (
    ASYMPTOTIC,
    HALF_LOG_TWO_PI,
    gamma_excess,
    gamma_excess_with_slope,
    log_one_plus,
    stirling,
    stirling_slope,
)
from bayesde.numerics.negative_binomial import FEW

__all__ = [
    "MAX_ITERATIONS",
    "NO_PRIOR",
    "SMALLEST_WEIGHT",
    "GeneCounts",
    "LogPrior",
    "Means",
    "Scratch",
    "ascend_all",
    "best_on_grid",
    "best_on_grids",
    "evaluate",
]

MAX_ITERATIONS = 100
TOLERANCE = 1e-6
"""Gain in l(a) below which the search stops."""
ARMIJO = 1e-4
LOWEST_LOG = math.log(1e-9)
"""The search gives up on finding a maximum once a falls below this, a tenth of the smallest dispersion."""
SEARCH_LOW, SEARCH_HIGH = -30.0, 10.0
NO_PRIOR = math.inf
GRID_POINTS = 20
SMALLEST_WEIGHT = 1e-2
"""Observations of less weight are left out of the Cox-Reid term."""
LARGE_PRODUCT = 1e100
"""Products of which the logarithm is wanted are cut off here, so that one logarithm serves many factors."""


class Means(NamedTuple):
    """What the means of a block of genes are computed from.

    Attributes
    ----------
    coefficients : ndarray (gene, coefficient)
        Natural log; without columns where the means are the cell means.
    min_mu : float
        Means are not allowed to fall below this.
    """

    coefficients: np.ndarray
    min_mu: float


class LogPrior(NamedTuple):
    """Normal prior on ln dispersion.

    Attributes
    ----------
    mean : ndarray (gene,)
        ln of the trend.
    var : float
        `NO_PRIOR` for none.
    """

    mean: np.ndarray
    var: float


class GeneCounts(NamedTuple):
    """Counts of one gene, with their means.

    Attributes
    ----------
    y, mu : ndarray (sample,)
    weights : ndarray (sample,), or (0,) where all observations have the same weight
    """

    y: np.ndarray
    mu: np.ndarray
    weights: np.ndarray


class Scratch(NamedTuple):
    """Memory for the Cox-Reid term of one gene.

    Attributes
    ----------
    information, square : ndarray (cell,)
        Sums of W and W^2 over the samples of each cell.
    no_ridge : ndarray (coefficient,)
        Zeros.
    equations : Equations
        Memory for X'WX.
    """

    information: np.ndarray
    square: np.ndarray
    no_ridge: np.ndarray
    equations: Equations


@inlined
def _scratch(cells):  # type: ignore[no-untyped-def]
    n_cells, p = cells.rows.shape
    return Scratch(np.empty(n_cells), np.empty(n_cells), np.zeros(p), equations(cells))


@inlined
def _few(y, mu, r, inverse, log_share):  # type: ignore[no-untyped-def]
    """Likelihood of a small count: a factor to be multiplied in, what is added to it, and its slope.

    ln G(y+r) - ln G(r) - y ln(mu+r) = ln prod_{k<y} (r + k) / (mu + r), and the difference of the digamma
    functions is sum_{k<y} 1 / (r + k), here as one fraction.
    """
    ratio, numerator, denominator, z = 1.0, 0.0, 1.0, r
    for _ in range(int(y)):
        ratio *= z * inverse
        numerator = numerator * z + denominator
        denominator *= z
        z += 1.0
    return ratio, -r * log_share, numerator / denominator - log_share - (y - mu) * inverse


@inlined
def _many(y, mu, r, inverse, excess_r, excess_slope_r):  # type: ignore[no-untyped-def]
    """Likelihood of a larger count, without its -y; x = y + r and what is added; and its slope.

    With A(x) = ln G(x) - x ln x + x - const (``gamma_excess``) it is x ln(x / (mu + r)) + A(x) - A(r):
    rounding is relative to y - mu, not to ln G(y). A's -ln(x) / 2 is left to the caller.
    """
    x = y + r
    v = (y - mu) * inverse
    log_ratio = log_one_plus(v) if v > -0.5 else math.log(x * inverse)
    z = 1.0 / x
    u = z * z
    slope = -0.5 * z - u * stirling_slope(u)
    return x, x * log_ratio + z * stirling(u) - excess_r, log_ratio - v + slope - excess_slope_r


@inlined
def _likelihood(alpha, y, mu, weights, cell, information, square):  # type: ignore[no-untyped-def]
    """Return the likelihood of the counts plus those above ``FEW``, and its slope in -1/r.

    Fills ``information`` and ``square`` (cell,) with the sums of W and W^2 over the samples of each cell.
    """
    r = 1.0 / alpha
    excess_r, excess_slope_r, known = 0.0, 0.0, False
    ratios, numbers = 1.0, 1.0  # products, to be put into a logarithm
    total, slope = 0.0, 0.0
    information[:] = 0.0
    square[:] = 0.0
    for j in range(y.size):
        odds = alpha * mu[j]
        share = 1.0 / (1.0 + odds)
        inverse, spread = alpha * share, mu[j] * share
        ratio, number = 1.0, 1.0
        if y[j] <= FEW:
            ratio, part, part_slope = _few(y[j], mu[j], r, inverse, log_one_plus(odds))
        else:
            if not known:  # many genes have no such count and do without
                excess_r, excess_slope_r = gamma_excess_with_slope(r)
                known = True
            number, part, part_slope = _many(y[j], mu[j], r, inverse, excess_r, excess_slope_r)
        if weights.size:
            part = weights[j] * (part + math.log(ratio) - 0.5 * math.log(number))
            part_slope *= weights[j]
            ratio, number = 1.0, 1.0
        total += part
        slope += part_slope
        ratios *= ratio
        numbers *= number
        if not 1.0 / LARGE_PRODUCT < ratios < LARGE_PRODUCT or numbers > LARGE_PRODUCT:
            total += math.log(ratios) - 0.5 * math.log(numbers)
            ratios, numbers = 1.0, 1.0
        if not weights.size or weights[j] > SMALLEST_WEIGHT:
            information[cell[j]] += spread
            square[cell[j]] += spread * spread
    return total + math.log(ratios) - 0.5 * math.log(numbers), slope


@kernel
def evaluate(a, gene, cells, prior_mean, prior_var, scratch):  # type: ignore[no-untyped-def]
    """Return l(a) + the sum of v_j y_j over counts above ``FEW``, and dl/da.

    d/da [-1/2 ln det X'WX] = 1/2 alpha tr[(X'WX)^-1 X' W^2 X], because dW/d alpha = -W^2.
    """
    y, mu, weights = gene
    information, square, none, room = scratch
    alpha = math.exp(a)
    total, slope = _likelihood(alpha, y, mu, weights, cells.of_sample, information, square)
    log_det, trace = log_determinant_and_trace(cells, information, square, none, room)
    if log_det == -math.inf:
        return -math.inf, math.nan
    total -= 0.5 * log_det
    slope = 0.5 * alpha * trace - slope / alpha
    if prior_var < NO_PRIOR:
        total -= 0.5 * (a - prior_mean) ** 2 / prior_var
        slope -= (a - prior_mean) / prior_var
    return total, slope


@inlined
def _ascend(start, gene, cells, prior_mean, prior_var):  # type: ignore[no-untyped-def]
    """Search upwards from ``start``; return (a, steps tried, value at the start, and at the end)."""
    scratch = _scratch(cells)
    a, kappa, steps, accepted = start, 1.0, 0, 0
    value, slope = evaluate(a, gene, cells, prior_mean, prior_var, scratch)
    first = value
    for _ in range(MAX_ITERATIONS):
        steps += 1
        proposal = a + kappa * slope
        if proposal < SEARCH_LOW:
            kappa = (SEARCH_LOW - a) / slope
        if proposal > SEARCH_HIGH:
            kappa = (SEARCH_HIGH - a) / slope
        trial, trial_slope = evaluate(a + kappa * slope, gene, cells, prior_mean, prior_var, scratch)
        if not -trial <= -value - kappa * ARMIJO * slope * slope:
            kappa /= 2.0
            continue
        accepted += 1
        a += kappa * slope
        gain = trial - value
        if gain < TOLERANCE:
            value = trial
            break
        if a < LOWEST_LOG:
            break
        value, slope = trial, trial_slope
        kappa = min(1.1 * kappa, 1.0)
        if accepted % 5 == 0:
            kappa /= 2.0
    return a, steps, first, value


@inlined
def _counts_of(g, block, cells, means):  # type: ignore[no-untyped-def]
    """Return the counts of one gene with their means."""
    y = block.counts[g]
    mu = np.empty(y.size)
    set_means(y, row_of(block.factors, g), cells, means.coefficients[g], means.min_mu, mu)
    return GeneCounts(y, mu, row_of(block.weights, g))


@inlined
def _ascend_one(start, gene, cells, prior_mean, prior_var, out):  # type: ignore[no-untyped-def]
    """Search for one gene; ``out`` is filled with ln dispersion, steps tried, l at the start and the end."""
    a, steps, first, last = _ascend(start, gene, cells, prior_mean, prior_var)
    y, _, weights = gene
    shift = 0.0
    for j in range(y.size):
        if y[j] > FEW:
            shift += y[j] * weights[j] if weights.size else y[j]
    out[0], out[1], out[2], out[3] = a, steps, first - shift, last - shift


@kernel
def ascend_all(first, last, starts, block, cells, means, prior, out):  # type: ignore[no-untyped-def]
    """Search for every gene; ``out`` is (gene, 4)."""
    for g in range(first, last):
        gene = _counts_of(g, block, cells, means)
        _ascend_one(starts[g], gene, cells, prior.mean[g], prior.var, out[g])


@kernel
def _log_gamma(x: float) -> float:
    """Return ln Gamma(x) by Stirling's series in the order of operations of R's ``lgamma``."""
    if x < ASYMPTOTIC:
        return math.lgamma(x)
    leading = HALF_LOG_TWO_PI + (x - 0.5) * math.log(x) - x
    return leading if x > 4934720.0 else leading + (gamma_excess(x) + 0.5 * math.log(x))


@inlined
def _as_written(a, gene, cells, prior_mean, prior_var, scratch):  # type: ignore[no-untyped-def]
    """Return l(a) by the formula at the head of this file, rounding errors included.

    Below 1e-5 or so they exceed what the data say about the dispersion. DESeq2 takes the best grid point of
    this very sum, and with it decides whether the gene shapes the trend.
    """
    y, mu, weights = gene
    information, square, none, room = scratch
    alpha = math.exp(a)
    r = 1.0 / alpha
    total = 0.0
    information[:] = 0.0
    for j in range(y.size):
        part = _log_gamma(y[j] + r) - _log_gamma(r)
        part = part - y[j] * math.log(mu[j] + r) - r * math.log(1.0 + mu[j] * alpha)
        total += part * weights[j] if weights.size else part
        if not weights.size or weights[j] > SMALLEST_WEIGHT:
            information[cells.of_sample[j]] += 1.0 / (1.0 / mu[j] + alpha)
    square[:] = 0.0
    log_det, _ = log_determinant_and_trace(cells, information, square, none, room)
    if log_det == -math.inf:
        return -math.inf
    total -= 0.5 * log_det
    if prior_var < NO_PRIOR:
        total -= 0.5 * (a - prior_mean) ** 2 / prior_var
    return total


@inlined
def best_on_grid(gene, cells, prior_mean, prior_var, high):  # type: ignore[no-untyped-def]
    """Maximize one gene's l(a) on a coarse grid from ln 1e-8 to ``high``, then on a fine one."""
    scratch = _scratch(cells)
    grid = np.linspace(math.log(1e-8), high, GRID_POINTS)
    width = grid[1] - grid[0]
    best = grid[0]
    for _ in range(2):
        best_value = -math.inf
        center = best
        for a in grid:
            value = _as_written(a, gene, cells, prior_mean, prior_var, scratch)
            if value > best_value:
                center, best_value = a, value
        best = center
        grid = np.linspace(best - width, best + width, GRID_POINTS)
    return best


@kernel
def best_on_grids(first, last, block, cells, means, prior, high, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (gene,) with ln dispersion as ``best_on_grid`` finds it."""
    for g in range(first, last):
        gene = _counts_of(g, block, cells, means)
        out[g] = best_on_grid(gene, cells, prior.mean[g], prior.var, high)
