r"""Pareto smoothed importance sampling, gene by gene.

The largest weights of a gene are replaced by the expected order statistics of a generalized Pareto
distribution fitted to them. Its shape k says whether the weights can be trusted: above 0.7 the number of
draws that would be needed grows beyond reach (Vehtari, Simpson, Gelman, Yao and Gabry 2024, JMLR 25:72).
The fit is ArviZ's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bayesde.eb.threads import over_genes
from bayesde.posterior.arviz_adapter import import_psislw

__all__ = ["MAX_K", "effective_size", "smoothed", "smoothed_in_parts"]

MAX_K = 0.7
GENES_AT_A_TIME = 250
SMALLEST = 1e-300


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
    psislw: Callable[..., Any] = import_psislw()
    result = np.empty(weights.shape, dtype=np.float32)
    pareto_k = np.empty(weights.shape[0])
    for start in range(0, weights.shape[0], GENES_AT_A_TIME):
        rows = slice(start, start + GENES_AT_A_TIME)
        part = np.nan_to_num(weights[rows], nan=0.0)
        result[rows], pareto_k[rows] = psislw(np.log(np.maximum(part, SMALLEST)))
    pareto_k[~np.isfinite(weights).all(axis=1) | np.isnan(pareto_k)] = np.inf
    return result, pareto_k


def smoothed_in_parts(
    weights_of: Callable[[slice], np.ndarray], n_genes: int, n_draws: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smooth weights that are computed on the way, some genes after the other.

    ArviZ's fit is Python, of which one thread runs at a time; the others compute weights meanwhile.

    Parameters
    ----------
    weights_of : callable
        Returns the weights (gene, draw) of a range of genes; called from several threads.
    n_genes, n_draws : int

    Returns
    -------
    log_weights : ndarray of float32 (gene, draw)
    pareto_k : ndarray (gene,)
        Both as `smoothed` gives them.
    size : ndarray (gene,)
        As `effective_size` does.
    """
    import_psislw()  # not by two threads at once
    log_weights = np.empty((n_genes, n_draws), dtype=np.float32)
    pareto_k, size = np.empty(n_genes), np.empty(n_genes)

    def smooth_some(first: int, last: int) -> None:
        for start in range(first, last, GENES_AT_A_TIME):
            rows = slice(start, min(start + GENES_AT_A_TIME, last))
            log_weights[rows], pareto_k[rows] = smoothed(weights_of(rows))
            size[rows] = effective_size(log_weights[rows])

    over_genes(smooth_some, n_genes)
    return log_weights, pareto_k, size


def effective_size(log_weights: np.ndarray) -> np.ndarray:
    """Return 1 / sum of squares of the weights (gene, draw), which add up to 1."""
    return np.asarray(1.0 / np.exp(2.0 * log_weights.astype(np.float64)).sum(axis=1))
