r"""Pareto smoothed importance sampling, gene by gene.

Of S log weights, less their maximum, those above a cutoff are the tail. The cutoff is the M-th but one from
the top, M = ceil(min(S / 5, 3 sqrt(S))), or the logarithm of the smallest normal double. A generalized Pareto
distribution is fitted to the tail's weights (`bayesde.posterior.draws.generalized_pareto`), and they are
replaced by its quantiles at (i - 1/2) / M, in their order, none of them above the largest weight; then all
are divided by their sum (Vehtari, Simpson, Gelman, Yao and Gabry 2024, JMLR 25:72, section 2.4). The
distribution's shape k tells whether the weights are reliable: above 0.7 the number of draws that would be
needed is too large in practice.

A tail of no more than 4 draws is not smoothed, and its k is infinite, as it is in ArviZ 0.23, whose algorithm
this is; nor is a tail whose excesses are too far apart to be represented, where ArviZ returns NaN.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics.compiled import kernel
from bayesde.numerics.elementary import exponential, logarithm
from bayesde.numerics.sums import sum_of
from bayesde.numerics.threads import over_genes
from bayesde.posterior.draws.generalized_pareto import fill_expected, fit_tail, grid_size

__all__ = ["MAX_K", "effective_size", "smooth_log_weights", "smoothed"]

MAX_K = 0.7
"""Pareto k above which weights are unreliable."""
SMALLEST = 1e-300
"""Weight that a smaller one, or one that is not finite, counts as."""
LONGEST_TAIL, TAIL_SHARE, SHORTEST_TAIL = 3.0, 5.0, 4
LOWEST_CUTOFF = math.log(np.finfo(np.float64).tiny)


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
    pareto_k = smooth_log_weights(logs)
    pareto_k[~np.isfinite(weights).all(axis=1)] = np.inf
    return logs.astype(np.float32), pareto_k


def smooth_log_weights(log_weights: np.ndarray) -> np.ndarray:
    """Smooth the weights of every row, in place.

    Parameters
    ----------
    log_weights : ndarray of float64 (row, draw), C-contiguous
        Natural log, up to a constant of the row; -inf for no weight. Overwritten by smoothed ones, whose
        exponentials add up to 1; by NaN where one is NaN or the largest is not finite.

    Returns
    -------
    ndarray (row,)
        Pareto k; infinite where the tail is too short to be fitted, or a row has become NaN.
    """
    pareto_k = np.empty(len(log_weights))
    over_genes(_smooth_rows, pareto_k.size, log_weights, pareto_k)
    return pareto_k


def effective_size(log_weights: np.ndarray) -> np.ndarray:
    """Return the effective number of draws, 1 / sum_m w_m^2.

    Parameters
    ----------
    log_weights : ndarray (gene, draw)
        Natural log; the exponentials of each gene's add up to 1.

    Returns
    -------
    ndarray (gene,)
    """
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
def _smooth_rows(first, last, log_weights, pareto_k):  # type: ignore[no-untyped-def]
    """Smooth some rows."""
    n = log_weights.shape[1]
    longest = math.ceil(min(n / TAIL_SHARE, LONGEST_TAIL * math.sqrt(n)))
    drawn, excess, work = np.empty(longest, dtype=np.int64), np.empty(longest), np.empty((2, n))
    for g in range(first, last):
        row = log_weights[g]
        largest, known = -math.inf, True
        for m in range(n):
            largest = max(largest, row[m])
            known &= not math.isnan(row[m])
        if not (known and abs(largest) < math.inf):
            row[:], pareto_k[g] = math.nan, math.inf
            continue
        for m in range(n):
            row[m] -= largest
        cutoff = _cutoff(row, longest)
        size = _fill_tail(row, cutoff, drawn, excess)
        pareto_k[g] = _smooth_tail(row, drawn[:size], excess[:size], exponential(cutoff), work)
        parts = work[0]
        for m in range(n):
            parts[m] = exponential(row[m])
        total = logarithm(sum_of(parts))
        for m in range(n):
            row[m] -= total


@kernel
def _cutoff(row, number):  # type: ignore[no-untyped-def]
    """Return the highest value but `number`, or `LOWEST_CUTOFF` if that is higher; the highest value is 0.

    By bisection: to count how many values are above a bound takes vector instructions, and so a tenth of the
    time of a partial sort.
    """
    low, high = LOWEST_CUTOFF, 0.0
    if _number_above(row, low) <= number:
        return low
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:  # more than one value is equal to this one
            return high
        above = _number_above(row, middle)
        if above == number + 1:
            break
        if above > number:
            low = middle
        else:
            high = middle
    cutoff = 0.0
    for value in row:
        if middle < value < cutoff:
            cutoff = value
    return cutoff


@kernel
def _number_above(row, bound):  # type: ignore[no-untyped-def]
    count = 0
    for m in range(row.size):
        count += row[m] > bound
    return count


@kernel
def _fill_tail(row, cutoff, drawn, values):  # type: ignore[no-untyped-def]
    """Fill which draws are above the cutoff, and their values, both in ascending order; return how many.

    They are inserted in their place one by one. The square of their number grows as that of all draws, so
    that no other way to sort them is needed.
    """
    size = 0
    for m in range(row.size):
        value = row[m]
        if not value > cutoff:
            continue
        at = size
        while at > 0 and values[at - 1] > value:
            values[at], drawn[at] = values[at - 1], drawn[at - 1]
            at -= 1
        values[at], drawn[at] = value, m
        size += 1
    return size


@kernel
def _smooth_tail(row, drawn, excess, cutoff, work):  # type: ignore[no-untyped-def]
    """Replace the tail of a row's log weights; return its k."""
    n = drawn.size
    if n <= SHORTEST_TAIL:
        return math.inf
    for i in range(n):
        excess[i] = exponential(excess[i]) - cutoff
    size = grid_size(n)
    grid = np.empty((2, size))
    k, sigma = fit_tail(excess, work[0, :n], grid[0], grid[1])
    if math.isfinite(k):
        expected = work[1, :n]
        fill_expected(k, sigma, cutoff, expected)
        for i in range(n):
            row[drawn[i]] = min(expected[i], 0.0)
    return k


@kernel
def _fill_sizes(first, last, log_weights, size):  # type: ignore[no-untyped-def]
    """Fill effective numbers of draws of some genes."""
    squares = np.empty(log_weights.shape[1])
    for g in range(first, last):
        for m in range(squares.size):
            squares[m] = exponential(2.0 * log_weights[g, m])
        size[g] = 1.0 / sum_of(squares)
