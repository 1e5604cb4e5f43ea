r"""Exponentials and logarithms of whole arrays, several numbers to an instruction.

A compiled loop that calls the library's exp for one number after the other takes several times as long as one
that is nothing but additions and multiplications, which the compiler turns into vector instructions. So

    exp(x) = 2^k exp(r),      k = round(x / ln 2), |r| <= ln(2) / 2,   exp(r) by its Taylor series,
    ln(x)  = k ln 2 + ln(m),  x = 2^k m, 1/sqrt(2) <= m < sqrt(2),     ln(m) = 2 artanh((m - 1) / (m + 1)),

with ln 2 in two parts (Cody and Waite 1980) and powers of two made from their bits. Both are right to two
units in the last place.
"""

from __future__ import annotations

import numpy as np

from bayesde.posterior.compiled import kernel

__all__ = ["exponentials", "logarithms", "sum_of"]

ROUNDING = 6755399441055744.0
"""1.5 * 2^52: after adding it to k, the low bits of the sum are the integer nearest to k."""
PER_LN2 = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
LOWEST, HIGHEST = -708.0, 709.0
ROOT_HALF = 0x3FE6A09E667F3BCD
"""The bits of 1/sqrt(2)."""


@kernel
def exponentials(values, bits, out):  # type: ignore[no-untyped-def]
    """Fill exp(values): 0 below -708 (and of what is no number), and above 709 as at 709.

    Parameters
    ----------
    values : ndarray of float64 (number,)
        Another array than `out`, here and below: of one and the same the compiler makes one number at a time.
    bits : ndarray of int64 (number,)
        Room to work in.
    out : ndarray of float64 (number,)
    """
    power = bits.view(np.float64)
    for i in range(values.size):
        x = min(max(values[i], LOWEST), HIGHEST)
        k = x * PER_LN2 + ROUNDING
        power[i] = k
        k -= ROUNDING
        r = (x - k * LN2_HIGH) - k * LN2_LOW
        series = 1.0 / 479001600.0
        series = series * r + 1.0 / 39916800.0
        series = series * r + 1.0 / 3628800.0
        series = series * r + 1.0 / 362880.0
        series = series * r + 1.0 / 40320.0
        series = series * r + 1.0 / 5040.0
        series = series * r + 1.0 / 720.0
        series = series * r + 1.0 / 120.0
        series = series * r + 1.0 / 24.0
        series = series * r + 1.0 / 6.0
        series = series * r + 0.5
        series = series * r + 1.0
        out[i] = series * r + 1.0 if values[i] >= LOWEST else 0.0
    for i in range(bits.size):
        bits[i] = (bits[i] + 1023) << 52
    for i in range(out.size):
        out[i] *= power[i]


@kernel
def logarithms(values, bits, out):  # type: ignore[no-untyped-def]
    """Fill ln(values), which must be positive, finite and no smaller than 2.3e-308.

    Parameters
    ----------
    values : ndarray of float64 (number,)

    bits : ndarray of int64 (number,)
        Room to work in.
    out : ndarray of float64 (number,)
    """
    given, part = values.view(np.int64), bits.view(np.float64)
    for i in range(values.size):
        k = (given[i] - ROOT_HALF) >> 52
        bits[i] = given[i] - (k << 52)
        out[i] = k
    for i in range(values.size):
        s = (part[i] - 1.0) / (part[i] + 1.0)
        z = s * s
        series = 2.0 / 21.0
        series = series * z + 2.0 / 19.0
        series = series * z + 2.0 / 17.0
        series = series * z + 2.0 / 15.0
        series = series * z + 2.0 / 13.0
        series = series * z + 2.0 / 11.0
        series = series * z + 2.0 / 9.0
        series = series * z + 2.0 / 7.0
        series = series * z + 2.0 / 5.0
        series = series * z + 2.0 / 3.0
        out[i] = out[i] * LN2_HIGH + (2.0 * s + (s * z * series + out[i] * LN2_LOW))


@kernel
def sum_of(values):  # type: ignore[no-untyped-def]
    """Return the sum, by four sums that do not wait for one another."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    n = values.size - values.size % 4
    for i in range(0, n, 4):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
    for i in range(n, values.size):
        a += values[i]
    return (a + b) + (c + d)
