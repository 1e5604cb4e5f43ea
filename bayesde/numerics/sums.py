"""Sums of rows of draws, and over the draws of one row."""

from __future__ import annotations

import math

from bayesde.numerics.compiled import fused, kernel

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
            total[m] = fused(factor, row[m], fused(other, another[m], total[m]))
        first = -1
    if first >= 0:
        add_multiple(factors[first], rows[first], total)


@kernel
def add_multiple(factor, values, total):  # type: ignore[no-untyped-def]
    """Add factor times values (draw,) to the total (draw,)."""
    for m in range(total.size):
        total[m] = fused(factor, values[m], total[m])


@kernel
def sum_of(values):  # type: ignore[no-untyped-def]
    """Return the sum: of every eighth number, and then of these eight sums."""
    n = values.size
    a = b = c = d = e = f = g = h = 0.0
    for i in range(n // 8):
        j = 8 * i
        a += values[j]
        b += values[j + 1]
        c += values[j + 2]
        d += values[j + 3]
        e += values[j + 4]
        f += values[j + 5]
        g += values[j + 6]
        h += values[j + 7]
    for i in range(n - n % 8, n):
        a += values[i]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@kernel
def sum_of_products(one, other):  # type: ignore[no-untyped-def]
    """Return the sum of the products of two rows, in the order of `sum_of`."""
    n = one.size
    a = b = c = d = e = f = g = h = 0.0
    for i in range(n // 8):
        j = 8 * i
        a = fused(one[j], other[j], a)
        b = fused(one[j + 1], other[j + 1], b)
        c = fused(one[j + 2], other[j + 2], c)
        d = fused(one[j + 3], other[j + 3], d)
        e = fused(one[j + 4], other[j + 4], e)
        f = fused(one[j + 5], other[j + 5], f)
        g = fused(one[j + 6], other[j + 6], g)
        h = fused(one[j + 7], other[j + 7], h)
    for i in range(n - n % 8, n):
        a = fused(one[i], other[i], a)
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@kernel
def mean_and_sd(values):  # type: ignore[no-untyped-def]
    """Return mean and standard deviation."""
    mean = sum_of(values) / values.size
    square = 0.0
    for i in range(values.size):
        gap = values[i] - mean
        square = fused(gap, gap, square)
    return mean, math.sqrt(square / values.size)
