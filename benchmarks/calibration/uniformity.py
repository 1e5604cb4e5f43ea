r"""Bands and tests for the uniformity of posterior probabilities of the truth.

The distribution function F_n of n independent numbers u is evaluated on a grid z. Pointwise, n F_n(z) is
Binomial(n, z); the band that holds at all z together takes a smaller tail probability, found by simulation
(Sailynoja, Burkner and Vehtari 2022, doi:10.1007/s11222-022-10090-6).

Genes of one data set share hyperparameters that are estimated from it, so that their u are not independent.
Data sets are: with F_i the distribution function of data set i,

    t(z) = mean_i (F_i(z) - z) / se,     se^2 = max{mean_i (F_i(z) - z)^2,  z (1 - z) / genes} / n,

and the band comes from the largest |t| when the sign of every data set's deviation is drawn at random, which
leaves se as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, kstest, ttest_1samp

GRID = np.arange(1, 100) / 100.0
SIMULATIONS = 4000
BAND = 0.95


@dataclass(frozen=True, eq=False)
class Deviation:
    """How far a distribution function is from that of uniform numbers.

    Attributes
    ----------
    gap : ndarray (point,)
        F(z) - z on `GRID`.
    lower, upper : ndarray (point,)
        The band in which a uniform distribution's gap stays with probability `BAND`, everywhere.
    p_value : float
        Of a gap at least as far outside.
    """

    gap: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    p_value: float


def distribution(u: np.ndarray) -> np.ndarray:
    """Return the empirical distribution function of u (..., number) on `GRID`, (..., point)."""
    ordered = np.sort(u, axis=-1)
    if ordered.ndim == 1:
        return np.searchsorted(ordered, GRID, side="right") / ordered.size
    return np.stack([distribution(row) for row in ordered])


def independent(u: np.ndarray, seed: int = 0) -> Deviation:
    """Compare independent numbers (number,) with uniform ones."""
    rng = np.random.default_rng(seed)
    n = u.size
    tails = _tails(n)
    simulated = np.sort([_tail(distribution(rng.random(n)), tails) for _ in range(SIMULATIONS)])
    tail = np.quantile(simulated, 1.0 - BAND)
    found = distribution(u)
    p_value = (1 + np.searchsorted(simulated, _tail(found, tails), side="right")) / (1 + SIMULATIONS)
    band = binom.ppf([[0.5 * tail], [1.0 - 0.5 * tail]], n, GRID) / n - GRID
    return Deviation(found - GRID, band[0], band[1], float(min(1.0, p_value)))


def _tails(n: int) -> np.ndarray:
    """Return two-sided binomial tail probabilities of all counts at all points, (point, count)."""
    counts = np.arange(n + 1)
    at = GRID[:, None]
    return 2.0 * np.minimum(binom.cdf(counts, n, at), binom.sf(counts - 1, n, at))


def _tail(found: np.ndarray, tails: np.ndarray) -> float:
    """Return the smallest tail probability of a distribution function."""
    counts = np.round((tails.shape[1] - 1) * found).astype(int)
    return float(tails[np.arange(GRID.size), counts].min())


def clustered(u: np.ndarray, seed: int = 0) -> Deviation:
    """Compare numbers (data set, gene) with uniform ones, when only data sets are independent."""
    rng = np.random.default_rng(seed)
    gaps = distribution(u) - GRID
    n = gaps.shape[0]
    square = np.maximum(np.mean(gaps**2, axis=0), GRID * (1.0 - GRID) / u.shape[1])
    error = np.sqrt(square / n)
    signs = rng.choice([-1.0, 1.0], (SIMULATIONS, n))
    largest = np.sort(np.abs(signs @ gaps / n / error).max(axis=1))
    mean = gaps.mean(axis=0)
    above = np.sum(largest >= np.abs(mean / error).max())
    half = np.quantile(largest, BAND) * error
    return Deviation(mean, -half, half, float((1 + above) / (1 + SIMULATIONS)))


def clustered_p_values(u: np.ndarray) -> tuple[float, float]:
    """Return p-values of numbers (data set, gene): t tests of the data sets' means of u, and of |2u - 1|.

    Unlike that of `clustered` they have no smallest value.
    """
    tests = (ttest_1samp(part.mean(axis=1), 0.5).pvalue for part in (u, np.abs(2.0 * u - 1.0)))
    location, spread = map(float, tests)
    return location, spread


def p_values(u: np.ndarray) -> tuple[float, float]:
    """Return Kolmogorov and Smirnov's p-values of independent u, and of |2u - 1|.

    The latter is uniform too, and tells posteriors that are too narrow or too wide.
    """
    return float(kstest(u, "uniform").pvalue), float(kstest(np.abs(2.0 * u - 1.0), "uniform").pvalue)
