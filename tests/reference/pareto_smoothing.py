"""Pareto smoothing of one row of log weights, word by word (Vehtari et al. 2024, JMLR 25:72, section 2.4).

With the constants of ArviZ 0.23. ArviZ 1 takes other tails: it rounds their length down, counts draws that
are equal to the cutoff, and refuses where there is none.
"""

from __future__ import annotations

import math
from importlib.metadata import version

import numpy as np
from scipy.special import logsumexp

ARVIZ_IS_NEWER = int(version("arviz").split(".")[0]) >= 1


def relative_size(n_draws: int) -> float:
    """The relative effective size with which ArviZ takes as long a tail of more than 225 draws as we do."""
    if not ARVIZ_IS_NEWER:
        return 1.0
    return n_draws / ((math.ceil(3.0 * math.sqrt(n_draws)) + 1e-6) / 3.0) ** 2


def smooth(row: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the smoothed log weights of one row, whose exponentials add up to 1, and k."""
    row = row - row.max()
    longest = math.ceil(min(row.size / 5.0, 3.0 * math.sqrt(row.size)))
    cutoff = max(np.sort(row)[-longest - 1], math.log(np.finfo(float).tiny))
    tail = np.flatnonzero(row > cutoff)
    tail, k = tail[np.argsort(row[tail], kind="stable")], math.inf
    if tail.size > 4:
        k, scale = generalized_pareto(np.exp(row[tail]) - math.exp(cutoff))
        level = np.arange(0.5, tail.size) / tail.size
        excess = scale * np.expm1(-k * np.log1p(-level)) / k
        row[tail] = np.minimum(np.log(excess + math.exp(cutoff)), 0.0)
    return row - logsumexp(row), k


def generalized_pareto(x: np.ndarray) -> tuple[float, float]:
    """Shape and scale of sorted excesses (Zhang and Stephens 2009), the shape with its prior."""
    n, m = x.size, 30 + int(math.sqrt(x.size))
    grid = 1.0 / x[-1] + (1.0 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3.0 * x[int(n / 4.0 + 0.5) - 1])
    shape = np.log1p(-grid[:, None] * x).mean(axis=1)
    log_likelihood = n * (np.log(-grid / shape) - shape - 1.0)
    weight = np.exp(log_likelihood - logsumexp(log_likelihood))
    weight[weight < 10.0 * np.finfo(float).eps] = 0.0
    best = np.sum(grid * weight) / weight.sum()
    k = np.log1p(-best * x).mean()
    return (n * k + 10.0 * 0.5) / (n + 10.0), -k / best
