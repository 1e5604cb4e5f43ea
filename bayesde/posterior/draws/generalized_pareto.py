r"""The generalized Pareto distribution that is fitted to the largest weights of a row of draws.

With excesses x_1 <= ... <= x_n over a cutoff, let F(x) = 1 - (1 + k x / sigma)^(-1/k) be the distribution.
In b = -k / sigma the likelihood, maximized over k, is that of

    k(b) = (1/n) sum_i ln(1 - b x_i),     l(b) = n [ln(-b / k(b)) - k(b) - 1],

and b is estimated by its mean over the grid (Zhang and Stephens 2009, doi:10.1198/tech.2009.08017)

    b_j = 1 / x_n + [1 - sqrt(m / (j - 1/2))] / (3 x_q),   j = 1, ..., m,   m = 30 + floor(sqrt(n)),

with weights proportional to exp(l(b_j)) and x_q the lower quartile of the excesses. Then sigma = -k(b) / b,
and k is shrunk towards 1/2 as if by 10 more observations (Vehtari, Simpson, Gelman, Yao and Gabry 2024, JMLR
25:72, appendix C):  k = (n k(b) + 5) / (n + 10).

These are the steps and constants of `arviz.psislw` (ArviZ 0.23), here compiled.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics.compiled import kernel
from bayesde.numerics.elementary import exponential, exponential_less_one, logarithm, logarithm_of_one_plus
from bayesde.numerics.sums import sum_of

__all__ = ["fill_expected", "fit_tail", "grid_size"]

FEWEST_ON_GRID = 30
PRIOR_OF_B = 3.0
PRIOR_DRAWS, PRIOR_K = 10.0, 0.5
NEGLIGIBLE = 10.0 * 2.220446049250313e-16
"""Weight below which a point of the grid is left out."""
WIDEST = 1e300
"""Ratio of the largest excess to their quartile beyond which there is no fit: numbers would overflow."""


@kernel
def grid_size(n):  # type: ignore[no-untyped-def]
    """Return the number of points that b is averaged over, for so many excesses."""
    return FEWEST_ON_GRID + int(math.sqrt(n))


@kernel
def fit_tail(excess, work, grid, score):  # type: ignore[no-untyped-def]
    """Fit the distribution.

    Parameters
    ----------
    excess : ndarray (n,)
        Positive, ascending.
    work : ndarray (n,)
        Work space.
    grid, score : ndarray (`grid_size` (n),)
        Likewise.

    Returns
    -------
    k, sigma : float
        Infinite and NaN if the excesses are too far apart, or too close to zero, for a fit.
    """
    n, size = excess.size, grid.size
    largest, quartile = excess[n - 1], excess[int(n / 4.0 + 0.5) - 1]
    if not quartile * WIDEST > largest:
        return math.inf, math.nan
    highest = -math.inf
    for j in range(size):
        b = (1.0 - math.sqrt(size / (j + 0.5))) / (PRIOR_OF_B * quartile) + 1.0 / largest
        k = _k_given(b, excess, work)
        grid[j], score[j] = b, -math.inf
        if b * k < 0.0:  # of b = 0, a single point at most, there is no ratio
            score[j] = n * (math.log(-(b / k)) - k - 1.0)
        highest = max(highest, score[j])
    for j in range(size):
        score[j] = exponential(score[j] - highest)
    least, total, mean = NEGLIGIBLE * sum_of(score), 0.0, 0.0
    for j in range(size):
        if score[j] >= least:
            total += score[j]
            mean += grid[j] * score[j]
    b = mean / total
    k = _k_given(b, excess, work)
    return (n * k + PRIOR_DRAWS * PRIOR_K) / (n + PRIOR_DRAWS), -k / b


@kernel
def _k_given(b, excess, work):  # type: ignore[no-untyped-def]
    """Return the mean of ln(1 - b x)."""
    for i in range(excess.size):
        work[i] = logarithm_of_one_plus(-b * excess[i])
    return sum_of(work) / excess.size


@kernel
def fill_expected(k, sigma, cutoff, expected):  # type: ignore[no-untyped-def]
    """Fill ln(cutoff + x) for the quantiles x of the distribution at (i - 1/2) / n, i = 1, ..., n.

    They are sigma [(1 - p)^-k - 1] / k.
    """
    n = expected.size
    for i in range(n):
        exponent = -logarithm_of_one_plus(-(i + 0.5) / n)
        if abs(k) < np.finfo(np.float64).eps:
            quantile = sigma * exponent
        else:
            quantile = sigma * exponential_less_one(k * exponent) / k
        expected[i] = logarithm(cutoff + quantile)
