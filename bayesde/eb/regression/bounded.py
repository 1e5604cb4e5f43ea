r"""Regression coefficients within bounds, for the few genes where iterative reweighting does not settle.

Minimizes over the coefficients b (log2 scale, |b_k| <= 30)

    f(b) = -sum_j ln NB(y_j; mu_j, alpha) - sum_k ln N(b_k; 0, 1/ridge),    mu_j = nf_j 2^(x_j . b)

by L-BFGS-B (Byrd, Lu, Nocedal and Zhu 1995, doi:10.1137/0916069). With r = 1/alpha, the counts' part is
(Loader 2000, "Fast and accurate computation of binomial probabilities")

    -ln NB(y; mu, alpha) = D(r, (r+y) r/(r+mu)) + D(y, (r+y) mu/(r+mu)) + const,
    D(x, M) = x ln(x/M) + M - x,

in which nothing cancels. The slopes are central differences with a step of 1e-3 and the search stops at a
relative gain of 2e-9, both as in DESeq2: such a gene has next to no information on its coefficients, they
stop up to a tenth of a standard error before the optimum, and only the same steps stop at the same place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesde.numerics.compiled import kernel
from bayesde.numerics.gamma_functions import HALF_LOG_TWO_PI
from bayesde.numerics.negative_binomial import nb_log_pmf
from bayesde.numerics.quasi_newton import EPSILON, minimize

__all__ = ["BOUND", "fit_bounded"]

BOUND = 30.0
"""Largest coefficient, log2."""
STEP = 1e-3
"""Of the central differences, log2."""
RELATIVE_GAIN = 1e7 * EPSILON
"""At which the search stops; with this memory and this many iterations, it is that of R's ``optim``."""
MEMORY = 5
MAX_ITERATIONS = 100
LN2 = math.log(2.0)
NOT_FINITE = 1e300
"""Stands in for an objective that overflows, so that the line search turns back."""


@kernel
def _deviance_part(x: float, expected: float) -> float:
    """Return D(x, M) = x ln(x/M) + M - x, by its series in v = (x-M)/(x+M) where x is near M.

    D = (x-M) v + 2 x sum_k v^(2k+1) / (2k+1).
    """
    if abs(x - expected) >= 0.1 * (x + expected):
        return x * math.log(x / expected) + expected - x
    v = (x - expected) / (x + expected)
    total, power, k = (x - expected) * v, 2.0 * x * v, 1
    while k < 1000:
        power *= v * v
        longer = total + power / (2 * k + 1)
        if longer == total:
            break
        total = longer
        k += 1
    return total


@kernel
def _log_pmf_at_fit(y, dispersion):  # type: ignore[no-untyped-def]
    """Log probability (sample,) of each count under a mean equal to it: the part without b."""
    out = np.zeros(y.size)
    for j in range(y.size):
        if y[j] > 0.0:
            out[j] = nb_log_pmf(y[j], y[j], dispersion)
    return out


@kernel
def _objective(log2_beta, at_fit, y, factors, weights, design, dispersion, ridge):  # type: ignore[no-untyped-def]
    """Return f(b); ``at_fit`` (sample,) is ``_log_pmf_at_fit``, which does not depend on b."""
    r, total = 1.0 / dispersion, 0.0
    for j in range(y.size):
        eta = 0.0
        for k in range(log2_beta.size):
            eta += design[j, k] * log2_beta[k]
        mu = factors[j] * 2.0**eta
        if y[j] == 0.0:
            total -= weights[j] * (r * math.log1p(mu / r))
            continue
        deviance = _deviance_part(r, (r + y[j]) * (r / (r + mu)))
        deviance += _deviance_part(y[j], (r + y[j]) * (mu / (r + mu)))
        total += weights[j] * (at_fit[j] - deviance)
    prior = 0.0
    for k in range(log2_beta.size):
        prior -= HALF_LOG_TWO_PI - 0.5 * math.log(ridge) + 0.5 * ridge * log2_beta[k] ** 2
    value = -(total + prior)
    return value if math.isfinite(value) else NOT_FINITE


@kernel
def _slopes(log2_beta, at_fit, y, factors, weights, design, dispersion, ridge):  # type: ignore[no-untyped-def]
    """Central differences; a side that would leave the bounds ends at them."""
    out, moved = np.empty(log2_beta.size), log2_beta.copy()
    for k in range(log2_beta.size):
        upper, lower = min(log2_beta[k] + STEP, BOUND), max(log2_beta[k] - STEP, -BOUND)
        moved[k] = upper
        above = _objective(moved, at_fit, y, factors, weights, design, dispersion, ridge)
        moved[k] = lower
        below = _objective(moved, at_fit, y, factors, weights, design, dispersion, ridge)
        width = 2.0 * STEP if upper - lower > 1.9 * STEP else upper - lower
        out[k] = (above - below) / width
        moved[k] = log2_beta[k]
    return out


def fit_bounded(
    counts: np.ndarray,
    factors: np.ndarray,
    design: np.ndarray,
    dispersion: np.ndarray,
    beta: np.ndarray,
    least_squares: np.ndarray,
    ridge: float,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit some genes within bounds.

    Parameters
    ----------
    counts, factors : ndarray of float64 (gene, sample)
    design : ndarray (sample, coefficient)
    dispersion : ndarray (gene,)
    beta : ndarray (gene, coefficient)
        Where the reweighting ended, natural log; the start of the search if it lies within the bounds.
    least_squares : ndarray (gene, coefficient)
        Another start. DESeq2 computes it in natural-log units and takes it for log2 ones, and so do we:
        from where a search starts is where it stops, in the last digits.
    ridge : float
        Precision of the coefficients' Normal prior, log2 scale.
    weights : ndarray (gene, sample), optional
        Of the observations.

    Returns
    -------
    beta : ndarray (gene, coefficient)
        Natural log.
    converged : ndarray of bool (gene,)
    """
    within = np.all(np.abs(beta) < BOUND * LN2, axis=1, keepdims=True)
    starts = np.clip(np.where(within, beta / LN2, least_squares), -BOUND, BOUND)
    found, converged = np.empty_like(beta), np.empty(len(beta), dtype=np.bool_)
    for g, start in enumerate(starts):
        y, own = counts[g], np.ones_like(counts[g]) if weights is None else weights[g]
        data = (_log_pmf_at_fit(y, dispersion[g]), y, factors[g], own, design, dispersion[g], ridge)
        found[g], converged[g] = _search(start, data)
    return found, converged


def _search(start: np.ndarray, data: tuple[Any, ...]) -> tuple[np.ndarray, bool]:
    """Return the coefficients of one gene, natural log, and whether the search converged."""
    found = minimize(
        lambda beta: _objective(beta, *data),
        lambda beta: _slopes(beta, *data),
        start,
        bounds=(-BOUND, BOUND),
        memory=MEMORY,
        relative_gain=RELATIVE_GAIN,
        max_iterations=MAX_ITERATIONS,
    )
    return found.x * LN2, found.converged
