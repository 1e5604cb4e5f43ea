"""Sums of rows of draws, and over the draws of one row."""

from __future__ import annotations

import math

from bayesde.posterior.compiled import kernel, unordered

__all__ = ["add_multiple", "combine", "mean_and_sd", "sum_of", "sum_of_products"]


@kernel
def combine(offset, factors, rows, total):  # type: ignore[no-untyped-def]
    """Fill offset + sum_k factors_k rows_k, two rows at a time.

    Parameters
    ----------
    offset : float
    factors : ndarray (row,)
        Rows whose factor is 0 are not read.
    rows : ndarray (row, draw)
    total : ndarray (draw,)
        Written to.
    """
    total[:] = offset
    first = -1
    for k in range(factors.size):
        if factors[k] == 0.0:
            continue
        if first < 0:
            first = k
            continue
        factor, other, row, another = factors[first], factors[k], rows[first], rows[k]
        for m in range(total.size):
            total[m] += factor * row[m] + other * another[m]
        first = -1
    if first >= 0:
        add_multiple(factors[first], rows[first], total)


@kernel
def add_multiple(factor, values, total):  # type: ignore[no-untyped-def]
    """Add factor times values (draw,) to the total (draw,)."""
    for m in range(total.size):
        total[m] += factor * values[m]


@unordered
def sum_of(values):  # type: ignore[no-untyped-def]
    """Return the sum."""
    total = 0.0
    for i in range(values.size):
        total += values[i]
    return total


@unordered
def sum_of_products(one, other):  # type: ignore[no-untyped-def]
    """Return the sum of the products of two rows."""
    total = 0.0
    for i in range(one.size):
        total += one[i] * other[i]
    return total


@unordered
def mean_and_sd(values):  # type: ignore[no-untyped-def]
    """Return mean and standard deviation."""
    mean, square = sum_of(values) / values.size, 0.0
    for i in range(values.size):
        square += (values[i] - mean) ** 2
    return mean, math.sqrt(square / values.size)
