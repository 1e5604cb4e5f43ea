r"""Sorting of each gene's draws.

By radix, digit after digit from the lowest (Knuth 1998, The art of computer programming 3, section 5.2.5), of
the bits of the numbers, which in increasing order of the numbers increase as unsigned integers do once those
of negative ones are flipped. Equal draws keep their order on every processor, whereas NumPy's sorting depends
on the vector instructions. Digits that are the same in all draws are left out, as the lower ones are of draws
that were stored in single precision.
"""

from __future__ import annotations

import numpy as np

from bayesde.numerics.compiled import copy_row, kernel
from bayesde.numerics.threads import over_genes

__all__ = ["sorting_order"]

DIGIT = 8
LEVELS, DIGITS = 1 << DIGIT, -(-64 // DIGIT)
SIGN = np.uint64(1 << 63)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
MASK = np.uint64(LEVELS - 1)


def sorting_order(values: np.ndarray) -> np.ndarray:
    """Return the order of the draws in each row.

    Parameters
    ----------
    values : ndarray of float64 (row, draw)
        NaN comes last, or first if its sign is negative.

    Returns
    -------
    ndarray of int64 (row, draw)
        Indices of the draws in ascending order, equal ones in the order they have.
    """
    order = np.empty(values.shape, dtype=np.int64)
    over_genes(_sort, len(values), values, order)
    return order


@kernel
def _sort(first, last, values, order):  # type: ignore[no-untyped-def]
    n = values.shape[1]
    keys, other_keys, other = np.empty(n, np.uint64), np.empty(n, np.uint64), np.empty(n, np.int64)
    counts = np.empty((DIGITS, LEVELS), dtype=np.int64)
    for g in range(first, last):
        here, there = order[g], other
        from_keys, to_keys = keys, other_keys
        _fill_keys(values[g], from_keys, counts)
        for m in range(n):
            here[m] = m
        for digit in range(DIGITS):
            count, shift = counts[digit], np.uint64(digit * DIGIT)
            if n == 0 or count[(from_keys[0] >> shift) & MASK] == n:
                continue
            start = 0
            for level in range(LEVELS):
                start, count[level] = start + count[level], start
            for m in range(n):
                level = (from_keys[m] >> shift) & MASK
                to_keys[count[level]], there[count[level]] = from_keys[m], here[m]
                count[level] += 1
            here, there = there, here
            from_keys, to_keys = to_keys, from_keys
        copy_row(here, order[g])


@kernel
def _fill_keys(values, keys, counts):  # type: ignore[no-untyped-def]
    """Fill integers that increase as the values do, and how often every digit has every level."""
    counts[:, :] = 0
    for m in range(values.size):
        bits = np.float64(values[m] + 0.0).view(np.uint64)  # -0 becomes 0
        key = bits ^ (ALL if bits & SIGN else SIGN)
        keys[m] = key
        for digit in range(DIGITS):
            counts[digit, (key >> np.uint64(digit * DIGIT)) & MASK] += 1
