r"""Systematic resampling: draws of equal weight from weighted ones.

Of weights w_1, ..., w_M with the sum W, draw i of N is the first m for which

    w_1 + ... + w_m >= W (i + u) / N,    i = 0, ..., N - 1,

with one offset u in [0, 1) for all of them, which is uniform where the result is to be unbiased (Kitagawa
1996, doi:10.2307/1390750, appendix). So draw m is taken N w_m / W times, rounded down or up.
"""

from __future__ import annotations

import numpy as np

from bayesde.numerics.compiled import kernel

__all__ = ["fill_systematic", "shuffle", "systematic"]


def systematic(cumulative: np.ndarray, size: int, offset: float) -> np.ndarray:
    """Return which of some weighted draws systematic resampling takes.

    Parameters
    ----------
    cumulative : ndarray (draw,)
        Cumulative sums of weights that add up to 1. Where rounding leaves the last below 1, the last draw
        is taken for what is missing.
    size : int
        How many to take.
    offset : float
        u, from 0 to 1.

    Returns
    -------
    ndarray of int (size,)
        In ascending order.
    """
    levels = (np.arange(size) + offset) / size
    return np.minimum(np.searchsorted(cumulative, levels), cumulative.size - 1)


@kernel
def fill_systematic(weights, total, offset, taken):  # type: ignore[no-untyped-def]
    """Fill which of some weighted draws systematic resampling takes, in ascending order.

    Parameters
    ----------
    weights : ndarray (draw,)
    total : float
        Their sum.
    offset : float
        u, from 0 to 1.
    taken : ndarray of int64 (size,)
        Written to.
    """
    reached, at = weights[0], 0
    for i in range(taken.size):
        while reached < (i + offset) / taken.size * total and at < weights.size - 1:
            at += 1
            reached += weights[at]
        taken[i] = at


@kernel
def shuffle(taken):  # type: ignore[no-untyped-def]
    """Bring numbers into a random order, by numba's own generator, of which each thread has one.

    Every order has the same probability (Durstenfeld 1964, doi:10.1145/364520.364540).
    """
    for i in range(taken.size - 1, 0, -1):
        other = np.random.randint(0, i + 1)  # noqa: NPY002
        kept = taken[i]
        taken[i] = taken[other]
        taken[other] = kept
