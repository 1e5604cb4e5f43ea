r"""Pareto smoothed importance sampling, gene by gene.

The largest weights of a gene are replaced by the expected order statistics of a generalized Pareto
distribution fitted to them. Its shape k says whether the weights can be trusted: above 0.7 the number of
draws that would be needed grows beyond reach (Vehtari, Simpson, Gelman, Yao and Gabry 2024, JMLR 25:72).
The fit is ArviZ's.
"""

from __future__ import annotations

import math
import threading

import numpy as np

from bayesde.eb.threads import over_genes
from bayesde.posterior.arviz_adapter import import_psislw
from bayesde.posterior.compiled import kernel
from bayesde.posterior.importance.elementary import exponential, logarithm
from bayesde.posterior.importance.sums import sum_of

__all__ = ["MAX_K", "effective_size", "smoothed"]

MAX_K = 0.7
SMALLEST = 1e-300
_ONE_AT_A_TIME = threading.Lock()
"""ArviZ's fit is Python: two threads within it would only take turns, while neither computes."""


def smoothed(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smooth the weights of every gene.

    Parameters
    ----------
    weights : ndarray (gene, draw)
        Of any sum.

    Returns
    -------
    log_weights : ndarray of float32 (gene, draw)
        Their exponentials add up to 1.
    pareto_k : ndarray (gene,)
        Infinite where hardly any draw has weight, or a weight is not finite.
    """
    logs = np.empty(weights.shape)
    over_genes(_fill_logarithms, len(weights), weights, logs)
    with _ONE_AT_A_TIME:
        log_weights, pareto_k = import_psislw()(logs)
    pareto_k[~np.isfinite(weights).all(axis=1) | np.isnan(pareto_k)] = np.inf
    return log_weights.astype(np.float32), pareto_k


def effective_size(log_weights: np.ndarray) -> np.ndarray:
    """Return 1 / sum of squares of the weights (gene, draw), which add up to 1."""
    size = np.empty(len(log_weights))
    over_genes(_fill_sizes, size.size, log_weights, size)
    return size


@kernel
def _fill_logarithms(first, last, weights, logs):  # type: ignore[no-untyped-def]
    """Fill the logarithms of some genes' weights; of what is no positive number, that of `SMALLEST`."""
    for g in range(first, last):
        row, out = weights[g], logs[g]
        for m in range(row.size):
            out[m] = logarithm(row[m] if SMALLEST < row[m] < math.inf else SMALLEST)


@kernel
def _fill_sizes(first, last, log_weights, size):  # type: ignore[no-untyped-def]
    """Fill effective numbers of draws of some genes."""
    squares = np.empty(log_weights.shape[1])
    for g in range(first, last):
        for m in range(squares.size):
            squares[m] = exponential(2.0 * log_weights[g, m])
        size[g] = 1.0 / sum_of(squares)
