r"""Dispersion of each gene: gene-wise estimates, and maximum a-posteriori given the trend.

With a = ln alpha, r = 1/alpha, and the means mu held fixed, both maximise the Cox-Reid adjusted profile
log-likelihood (Cox and Reid 1987; McCarthy, Chen and Smyth 2012, doi:10.1093/nar/gks042)

    l(a) = sum_j [ln G(y_j + r) - ln G(r) - y_j ln(mu_j + r) - r ln(1 + mu_j alpha)] - 1/2 ln det(X' W X)

with W = diag(1 / (1/mu_j + alpha)), plus -(a - a_trend)^2 / (2 prior_var) for the second. The search is
the steepest ascent with Armijo's rule of DESeq2, reproduced step by step: on flat likelihoods it stops
where another optimiser would not, and which genes shape the trend depends on that.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from bayesde.eb.glm import MIN_MU, fit_glm, linear_mu
from bayesde.eb.nb import (
    ASYMPTOTIC,
    HALF_LOG_TWO_PI,
    cholesky,
    gamma_excess,
    gamma_excess_slope,
    invert,
    log_determinant,
    log_ratio,
    weighted_gram,
)

__all__ = ["MIN_DISPERSION", "first_means", "gene_wise_dispersions", "map_dispersions", "max_dispersion"]

MIN_DISPERSION = 1e-8
MAX_ITERATIONS = 100
TOLERANCE = 1e-6
"""Gain in l(a) below which the search stops."""
ARMIJO = 1e-4
LOWEST_LOG = math.log(MIN_DISPERSION / 10.0)
"""The search gives up on finding a maximum once a falls below this."""
SEARCH_LOW, SEARCH_HIGH = -30.0, 10.0
NO_PRIOR = math.inf
GRID_POINTS = 20


def max_dispersion(n_samples: int) -> float:
    """Largest dispersion considered: 10, or the number of samples if that is more."""
    return max(10.0, float(n_samples))


@njit(cache=True)
def _information(design, mu, alpha, weights, gram, factor):  # type: ignore[no-untyped-def]
    """Fill ``gram`` with X' W X and ``factor`` with its Cholesky factor; False if it is singular."""
    for j in range(mu.size):
        weights[j] = 1.0 / (1.0 / mu[j] + alpha)
    weighted_gram(design, weights, gram)
    return cholesky(gram, factor)


@njit(cache=True)
def _adjusted(total, a, mu, design, prior_mean, prior_var, weights, gram, factor):  # type: ignore[no-untyped-def]
    """Add the Cox-Reid term and the prior to the likelihood of the counts."""
    if not _information(design, mu, math.exp(a), weights, gram, factor):
        return -math.inf
    total -= 0.5 * log_determinant(factor)
    if prior_var < NO_PRIOR:
        total -= 0.5 * (a - prior_mean) ** 2 / prior_var
    return total


@njit(cache=True)
def _log_posterior(a, y, mu, design, prior_mean, prior_var, weights, gram, factor):  # type: ignore[no-untyped-def]
    """Return l(a) + sum_j y_j, written so that rounding is relative to y - mu and not to ln G(y).

    With A(x) = ln G(x) - x ln x + x - const (``gamma_excess``), a summand of l(a) is
    (y + r) ln((y + r) / (mu + r)) + A(y + r) - A(r) - y.
    """
    r = 1.0 / math.exp(a)
    at_zero = gamma_excess(r)
    total = 0.0
    for j in range(y.size):
        at_count = at_zero if y[j] == 0.0 else gamma_excess(y[j] + r)
        total += (y[j] + r) * log_ratio(y[j], mu[j], r) + at_count - at_zero
    return _adjusted(total, a, mu, design, prior_mean, prior_var, weights, gram, factor)


@njit(cache=True)
def _slope(a, y, mu, design, prior_mean, prior_var, weights, gram, factor, inverse):  # type: ignore[no-untyped-def]
    """Differentiate ``_log_posterior`` with respect to a.

    d/da [-1/2 ln det X'WX] = 1/2 alpha tr[(X'WX)^-1 X' W^2 X], because dW/d alpha = -W^2.
    """
    alpha = math.exp(a)
    r = 1.0 / alpha
    at_zero = gamma_excess_slope(r)
    total = 0.0
    for j in range(y.size):
        u = (y[j] - mu[j]) / (mu[j] + r)
        at_count = at_zero if y[j] == 0.0 else gamma_excess_slope(y[j] + r)
        total += log_ratio(y[j], mu[j], r) - u + at_count - at_zero
    total *= -r
    if not _information(design, mu, alpha, weights, gram, factor):
        return math.nan
    invert(factor, inverse)
    for j in range(mu.size):
        weights[j] *= weights[j]
    weighted_gram(design, weights, gram)
    trace = 0.0
    p = gram.shape[0]
    for k in range(p):
        for m in range(p):
            trace += inverse[k, m] * gram[m, k]
    total += 0.5 * alpha * trace
    if prior_var < NO_PRIOR:
        total -= (a - prior_mean) / prior_var
    return total


@njit(cache=True)
def _ascend(start, y, mu, design, prior_mean, prior_var):  # type: ignore[no-untyped-def]
    """Search upwards from ``start``; return (a, steps tried, l + sum y at the start, and at the end)."""
    m, p = design.shape
    weights = np.empty(m)
    gram, factor, inverse = np.empty((p, p)), np.zeros((p, p)), np.empty((p, p))
    a, kappa, steps, accepted = start, 1.0, 0, 0
    value = _log_posterior(a, y, mu, design, prior_mean, prior_var, weights, gram, factor)
    first = value
    slope = _slope(a, y, mu, design, prior_mean, prior_var, weights, gram, factor, inverse)
    for _ in range(MAX_ITERATIONS):
        steps += 1
        proposal = a + kappa * slope
        if proposal < SEARCH_LOW:
            kappa = (SEARCH_LOW - a) / slope
        if proposal > SEARCH_HIGH:
            kappa = (SEARCH_HIGH - a) / slope
        trial = _log_posterior(a + kappa * slope, y, mu, design, prior_mean, prior_var, weights, gram, factor)
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
        value = trial
        slope = _slope(a, y, mu, design, prior_mean, prior_var, weights, gram, factor, inverse)
        kappa = min(1.1 * kappa, 1.0)
        if accepted % 5 == 0:
            kappa /= 2.0
    return a, steps, first, value


@njit(cache=True, parallel=True)
def _ascend_all(starts, counts, mu, design, prior_means, prior_var):  # type: ignore[no-untyped-def]
    n_genes = counts.shape[0]
    found, first, last = np.empty(n_genes), np.empty(n_genes), np.empty(n_genes)
    steps = np.empty(n_genes, dtype=np.int64)
    for g in prange(n_genes):
        found[g], steps[g], first[g], last[g] = _ascend(
            starts[g], counts[g], mu[g], design, prior_means[g], prior_var
        )
    return found, steps, first, last


@njit(cache=True)
def _log_gamma(x: float) -> float:
    """Return ln Gamma(x) by Stirling's series in the order of operations of R's ``lgamma``."""
    if x < ASYMPTOTIC:
        return math.lgamma(x)
    leading = HALF_LOG_TWO_PI + (x - 0.5) * math.log(x) - x
    return leading if x > 4934720.0 else leading + (gamma_excess(x) + 0.5 * math.log(x))


@njit(cache=True)
def _log_posterior_as_written(a, y, mu, design, prior_mean, prior_var, weights, gram, factor):  # type: ignore[no-untyped-def]
    """Return l(a) by the formula at the head of this file, rounding errors included.

    Below 1e-5 or so they exceed what the data say about the dispersion. DESeq2 takes the best grid point of
    this very sum, and with it decides whether the gene shapes the trend.
    """
    alpha = math.exp(a)
    r = 1.0 / alpha
    total = 0.0
    for j in range(y.size):
        ratio = _log_gamma(y[j] + r) - _log_gamma(r)
        total += ratio - y[j] * math.log(mu[j] + r) - r * math.log(1.0 + mu[j] * alpha)
    return _adjusted(total, a, mu, design, prior_mean, prior_var, weights, gram, factor)


@njit(cache=True)
def _best_on_grid(grid, y, mu, design, prior_mean, prior_var):  # type: ignore[no-untyped-def]
    m, p = design.shape
    weights = np.empty(m)
    gram, factor = np.empty((p, p)), np.zeros((p, p))
    best, best_value = grid[0], -math.inf
    for a in grid:
        value = _log_posterior_as_written(a, y, mu, design, prior_mean, prior_var, weights, gram, factor)
        if value > best_value:
            best, best_value = a, value
    return best


@njit(cache=True, parallel=True)
def _grid_search(counts, mu, design, prior_means, prior_var, low, high):  # type: ignore[no-untyped-def]
    """Maximise on a coarse grid, then on a fine one around its best point."""
    coarse = np.linspace(low, high, GRID_POINTS)
    width = coarse[1] - coarse[0]
    out = np.empty(counts.shape[0])
    for g in prange(counts.shape[0]):
        best = _best_on_grid(coarse, counts[g], mu[g], design, prior_means[g], prior_var)
        fine = np.linspace(best - width, best + width, GRID_POINTS)
        out[g] = _best_on_grid(fine, counts[g], mu[g], design, prior_means[g], prior_var)
    return out


def _grid(counts, mu, design, prior_means, prior_var):  # type: ignore[no-untyped-def]
    high = math.log(max_dispersion(counts.shape[1]))
    return _grid_search(counts, mu, design, prior_means, prior_var, math.log(MIN_DISPERSION), high)


def _starting_dispersions(
    normalized: np.ndarray,
    factors: np.ndarray,
    design: np.ndarray,
    base_mean: np.ndarray,
    base_var: np.ndarray,
) -> np.ndarray:
    """Return the smaller of a regression-residual and a moment estimate, within the allowed range."""
    m, p = design.shape
    fitted = np.maximum(linear_mu(normalized, np.ones_like(normalized), design), 1.0)
    rough = np.maximum(np.sum(((normalized - fitted) ** 2 - fitted) / fitted**2, axis=1) / (m - p), 0.0)
    poisson = np.mean(1.0 / factors.mean(axis=0))
    moments = (base_var - poisson * base_mean) / base_mean**2
    return np.clip(np.minimum(rough, moments), MIN_DISPERSION, max_dispersion(m))


def _cells_are_coefficients(design: np.ndarray) -> bool:
    """Tell whether the design has as many distinct rows as columns, so that cell means are the fit."""
    return len(np.unique(design, axis=0)) == design.shape[1]


def first_means(
    counts: np.ndarray, factors: np.ndarray, design: np.ndarray, base_mean: np.ndarray, base_var: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the dispersions that the search starts from (gene,), and the means at them (gene, sample).

    The parameters are those of ``gene_wise_dispersions``.
    """
    normalized = counts / factors
    start = _starting_dispersions(normalized, factors, design, base_mean, base_var)
    if _cells_are_coefficients(design):
        mu = linear_mu(normalized, factors, design)
    else:
        mu = fit_glm(counts, factors, design, start).mu
    return start, np.maximum(mu, MIN_MU)


def gene_wise_dispersions(
    counts: np.ndarray, factors: np.ndarray, design: np.ndarray, base_mean: np.ndarray, base_var: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate each gene's dispersion from its own counts.

    Parameters
    ----------
    counts : ndarray of float64 (gene, sample)
        Without all-zero genes.
    factors : ndarray (gene, sample)
    design : ndarray (sample, coefficient)
    base_mean, base_var : ndarray (gene,)
        Of the normalized counts.

    Returns
    -------
    dispersion : ndarray (gene,)
        Within [1e-8, max(10, n_samples)].
    mu : ndarray (gene, sample)
        The means that the estimate was made at, at least 0.5.
    """
    start, mu = first_means(counts, factors, design, base_mean, base_var)
    nothing = np.zeros(len(counts))
    found, steps, first, last = _ascend_all(np.log(start), counts, mu, design, nothing, NO_PRIOR)
    upper = max_dispersion(counts.shape[1])
    dispersion = np.minimum(np.exp(found), upper)
    # A search that gained next to nothing keeps its start; one step or all of them means that it failed.
    first, last = first - counts.sum(axis=1), last - counts.sum(axis=1)
    dispersion = np.where(last < first + np.abs(first) / 1e6, start, dispersion)
    failed = ((steps >= MAX_ITERATIONS) | (steps == 1)) & (dispersion > 10.0 * MIN_DISPERSION)
    if failed.any():
        dispersion[failed] = np.exp(_grid(counts[failed], mu[failed], design, nothing[failed], NO_PRIOR))
    return np.clip(dispersion, MIN_DISPERSION, upper), mu


def map_dispersions(
    counts: np.ndarray,
    mu: np.ndarray,
    design: np.ndarray,
    gene_wise: np.ndarray,
    trend: np.ndarray,
    prior_var: float,
) -> np.ndarray:
    """Maximise the posterior of each dispersion under ln alpha ~ Normal(ln trend, prior_var).

    Parameters
    ----------
    counts, mu : ndarray (gene, sample)
        ``mu`` as ``gene_wise_dispersions`` returned it.
    design : ndarray (sample, coefficient)
    gene_wise, trend : ndarray (gene,)
    prior_var : float
        Variance of the prior on the natural-log scale.

    Returns
    -------
    ndarray (gene,)
    """
    log_trend = np.log(trend)
    start = np.log(np.where(gene_wise > 0.1 * trend, gene_wise, trend))
    found, steps, _, _ = _ascend_all(start, counts, mu, design, log_trend, prior_var)
    failed = steps >= MAX_ITERATIONS
    if failed.any():
        found[failed] = _grid(counts[failed], mu[failed], design, log_trend[failed], prior_var)
    return np.clip(np.exp(found), MIN_DISPERSION, max_dispersion(counts.shape[1]))
