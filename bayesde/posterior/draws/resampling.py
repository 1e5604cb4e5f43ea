"""Draws of equal weight from weighted ones."""

from __future__ import annotations

import numpy as np

from bayesde.numerics.compiled import kernel
from bayesde.numerics.elementary import exponential
from bayesde.numerics.resampling import fill_systematic, shuffle
from bayesde.numerics.sums import sum_of
from bayesde.numerics.threads import over_genes
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.streams import Stream, seeds_for

__all__ = ["resampled"]


def resampled(genes: GeneDraws, seeds: np.ndarray) -> np.ndarray:
    """Draw from the weighted draws, so that all have the same weight.

    Parameters
    ----------
    genes : GeneDraws
        With weights.
    seeds : ndarray of uint32 (gene,)

    Returns
    -------
    ndarray of float32 (1, draw, gene, P + 1)
        One chain; a draw of large weight appears more than once. The order is random.
    """
    result, own = np.empty_like(genes.theta), seeds_for(Stream.EQUAL_WEIGHT, seeds)
    over_genes(_resample, seeds.size, genes.theta, genes.log_weights, own, result)
    return result.transpose(1, 0, 2)[None]


@kernel
def _resample(first, last, theta, log_weights, seeds, result):  # type: ignore[no-untyped-def]
    """Systematic resampling of some genes, then a random order."""
    n_draws = theta.shape[1]
    taken, weights = np.empty(n_draws, dtype=np.int64), np.empty(n_draws)
    for g in range(first, last):
        np.random.seed(seeds[g])  # noqa: NPY002 - numba's own generator, one for each thread
        for m in range(n_draws):
            weights[m] = exponential(log_weights[g, m])
        fill_systematic(weights, sum_of(weights), np.random.random(), taken)  # noqa: NPY002
        shuffle(taken)
        for m in range(n_draws):
            for k in range(theta.shape[2]):
                result[g, m, k] = theta[g, taken[m], k]
