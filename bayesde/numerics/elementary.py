r"""Exponentials and logarithms for loops over draws.

A compiled loop that calls the library's exp for one number after the other takes several times as long as one
that is nothing but additions and multiplications, which the compiler turns into vector instructions. So

    exp(x)    = 2^k exp(r),         k = round(x / ln 2), |r| <= ln(2) / 2,  exp(r) by its Taylor series,
    ln(a)     = k ln 2 + ln(m),     a = 2^k m, 1/sqrt(2) <= m < sqrt(2),
    ln(m)     = 2 artanh((m - 1) / (m + 1)) by its Taylor series,
    ln(a / b) = k ln 2 + ln(a / c), c = 2^k b, so that a / c is between about 2/3 and 3/2,
    ln(a / c) = 2 artanh((a - c) / (a + c)),
    exp(x) - 1  = 2^k (exp(r) - 1) + (2^k - 1),
    ln(1 + u)   = k ln 2 + 2 artanh([u - (2^k - 1)] / [u + (2^k + 1)]),

with ln 2 in two parts (Cody and Waite 1980) and powers of two made from their bits. All are right to two
units in the last place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesde.numerics.compiled import fused, kernel

__all__ = [
    "exponential",
    "exponentials",
    "exponential_less_one",
    "logarithm",
    "logarithms",
    "logarithm_of_one_plus",
    "logarithm_of_ratio",
]

ROUNDING = 6755399441055744.0
"""1.5 * 2^52: after adding it to k, the low bits of the sum are the integer nearest to k."""
PER_LN2 = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
LOWEST, HIGHEST = -708.0, 709.0
ROOT_HALF = 0x3FE6A09E667F3BCD
"""The bits of 1/sqrt(2)."""
HALF_STEP = 1 << 51
"""Half of what the bits of a number grow by when it is doubled."""


@kernel
def exponential(x):  # type: ignore[no-untyped-def]
    """Return exp(x): 0 below -708 (and for NaN), and above 709 as at 709."""
    within = min(max(x, LOWEST), HIGHEST)
    shifted = fused(within, PER_LN2, ROUNDING)
    k = shifted - ROUNDING
    r = fused(-k, LN2_LOW, fused(-k, LN2_HIGH, within))
    series = 1.0 / 479001600.0
    series = fused(series, r, 1.0 / 39916800.0)
    series = fused(series, r, 1.0 / 3628800.0)
    series = fused(series, r, 1.0 / 362880.0)
    series = fused(series, r, 1.0 / 40320.0)
    series = fused(series, r, 1.0 / 5040.0)
    series = fused(series, r, 1.0 / 720.0)
    series = fused(series, r, 1.0 / 120.0)
    series = fused(series, r, 1.0 / 24.0)
    series = fused(series, r, 1.0 / 6.0)
    series = fused(series, r, 0.5)
    series = fused(series, r, 1.0)
    series = fused(series, r, 1.0)
    return series * _power_of_two(_bits(shifted)) if x >= LOWEST else 0.0


@kernel
def exponential_less_one(x):  # type: ignore[no-untyped-def]
    """Return exp(x) - 1, to full precision near 0 too, for x between -708 and 709."""
    shifted = fused(x, PER_LN2, ROUNDING)
    k = shifted - ROUNDING
    r = fused(-k, LN2_LOW, fused(-k, LN2_HIGH, x))
    power = _power_of_two(_bits(shifted))
    return fused(power, fused(r * r, _second_order(r), r), power - 1.0)


@kernel
def _second_order(r):  # type: ignore[no-untyped-def]
    """Return [exp(r) - 1 - r] / r^2 for |r| <= ln(2) / 2."""
    series = 1.0 / 6227020800.0
    series = fused(series, r, 1.0 / 479001600.0)
    series = fused(series, r, 1.0 / 39916800.0)
    series = fused(series, r, 1.0 / 3628800.0)
    series = fused(series, r, 1.0 / 362880.0)
    series = fused(series, r, 1.0 / 40320.0)
    series = fused(series, r, 1.0 / 5040.0)
    series = fused(series, r, 1.0 / 720.0)
    series = fused(series, r, 1.0 / 120.0)
    series = fused(series, r, 1.0 / 24.0)
    series = fused(series, r, 1.0 / 6.0)
    return fused(series, r, 0.5)


@kernel
def logarithm(a):  # type: ignore[no-untyped-def]
    """Return ln(a), which must be positive, finite and no smaller than 2.3e-308."""
    bits = _bits(a)
    k = (bits - ROOT_HALF) >> 52
    m = np.int64(bits - (k << 52)).view(np.float64)
    return _of_parts(k, (m - 1.0) / (m + 1.0))


@kernel
def logarithm_of_ratio(a, b):  # type: ignore[no-untyped-def]
    """Return ln(a / b), by one division; a, b and a / b must be valid arguments of `logarithm`.

    Bits grow in proportion to log2, but for 0.09 at the most.
    """
    k = (_bits(a) - _bits(b) + HALF_STEP) >> 52
    c = b * _power_of_two(k)
    return _of_parts(k, (a - c) / (a + c))


@kernel
def logarithm_of_one_plus(u):  # type: ignore[no-untyped-def]
    """Return ln(1 + u), to full precision near 0 too; 1 + u must be a valid argument of `logarithm`."""
    k = (_bits(1.0 + u) - ROOT_HALF) >> 52
    c = _power_of_two(k)
    return _of_parts(k, (u - (c - 1.0)) / (u + (c + 1.0)))


@kernel
def _of_parts(k, s):  # type: ignore[no-untyped-def]
    """Return k ln 2 + 2 artanh(s)."""
    z = s * s
    series = 2.0 / 21.0
    series = fused(series, z, 2.0 / 19.0)
    series = fused(series, z, 2.0 / 17.0)
    series = fused(series, z, 2.0 / 15.0)
    series = fused(series, z, 2.0 / 13.0)
    series = fused(series, z, 2.0 / 11.0)
    series = fused(series, z, 2.0 / 9.0)
    series = fused(series, z, 2.0 / 7.0)
    series = fused(series, z, 2.0 / 5.0)
    series = fused(series, z, 2.0 / 3.0)
    power = np.float64(k)
    return fused(power, LN2_HIGH, fused(2.0, s, fused(s * z, series, power * LN2_LOW)))


@kernel
def _bits(x):  # type: ignore[no-untyped-def]
    return np.float64(x).view(np.int64)


@kernel
def _power_of_two(k):  # type: ignore[no-untyped-def]
    """Return 2^k, of which only the last 12 bits of k matter."""
    return np.int64((k + 1023) << 52).view(np.float64)


SMALLEST = 2.3e-308
"""Of doubles that have all their digits."""


def exponentials(values: Any) -> np.ndarray:
    """Return exp of every number: 0 below -708, and above 709 as at 709.

    Parameters
    ----------
    values : array-like
        NaN stays NaN.

    Returns
    -------
    ndarray of float64
    """
    flat = np.ascontiguousarray(values, dtype=np.float64)
    result = np.empty(np.shape(values))
    _fill_exponentials(flat.reshape(-1), result.reshape(-1))
    return result


def logarithms(values: Any) -> np.ndarray:
    """Return the natural logarithm of every number: -inf of 0, NaN of negative numbers.

    Parameters
    ----------
    values : array-like

    Returns
    -------
    ndarray of float64
    """
    flat = np.ascontiguousarray(values, dtype=np.float64)
    result = np.empty(np.shape(values))
    _fill_logarithms(flat.reshape(-1), result.reshape(-1))
    return result


@kernel
def _fill_exponentials(values, result):  # type: ignore[no-untyped-def]
    for i in range(values.size):
        result[i] = exponential(values[i])
    for i in range(values.size):
        if math.isnan(values[i]):
            result[i] = values[i]


@kernel
def _fill_logarithms(values, result):  # type: ignore[no-untyped-def]
    for i in range(values.size):
        result[i] = logarithm(values[i])
    for i in range(values.size):
        if not SMALLEST < values[i] < math.inf:
            result[i] = (
                math.log(values[i]) if values[i] > 0.0 else -math.inf if values[i] == 0.0 else math.nan
            )
