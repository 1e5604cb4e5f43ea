"""Numbers as text: the shortest decimals that read back as the same double, as ``repr`` writes them.

A double c 2^q stands for every real number that rounds to it, the interval c 2^q +- 2^q / 2 (closed where
c is even; the lower half is half as wide at a power of two). Written is the decimal d 10^e in that interval
with the fewest digits, of these the one nearest to c 2^q. With k = floor(log10(2^q)), at most one multiple of
10^(k+1) and at least one of 10^k lie in the interval, so four comparisons find d. They are made on
4 c 2^q 10^-k, rounded to odd with a 128-bit g = ceil(10^-k 2^r), which decides them as exact numbers would.

References
----------
Giulietti, R. (2020) The Schubfach way to render doubles.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["format_rows"]

_SMALLEST, _LARGEST = -292, 324  # of -k, over all doubles
_LONGEST = 25  # bytes: -2.2250738585072014e-308 and a separator


def _scaled_power(exponent: int) -> int:
    """Return ceil(10^exponent 2^r) with the r that makes it 128 bits long."""
    if exponent >= 0:
        power = 10**exponent
        shift = 128 - power.bit_length()
        return power << shift if shift >= 0 else -(-power >> -shift)
    power = 10**-exponent
    shift = 127 + power.bit_length()
    return -(-(1 << shift) // power)


_POWERS = np.array(
    [divmod(_scaled_power(exponent), 1 << 64) for exponent in range(_SMALLEST, _LARGEST + 1)], dtype=np.uint64
)
"""High and low 64 bits of the powers of ten."""

# Mixed with signed integers, numba would turn unsigned ones into floats: every constant has its type.
_0, _1, _2, _4, _10, _40 = (np.uint64(value) for value in (0, 1, 2, 4, 10, 40))
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_FRACTION, _HIDDEN, _FRACTION_BITS = np.uint64((1 << 52) - 1), np.uint64(1 << 52), np.uint64(52)
_SIGN, _EXPONENT = np.uint64(63), np.uint64(0x7FF)
_MINUS, _POINT, _ZERO, _E, _PLUS = (np.uint8(ord(sign)) for sign in "-.0e+")


@njit(cache=True)
def _high_product(a: np.uint64, b: np.uint64) -> np.uint64:
    """Return the high 64 bits of a b."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    crossed, turned = a_high * b_low, a_low * b_high
    middle = (a_low * b_low >> _HALF) + (crossed & _LOW) + (turned & _LOW)
    return a_high * b_high + (crossed >> _HALF) + (turned >> _HALF) + (middle >> _HALF)


@njit(cache=True)
def _scaled(power: int, x: np.uint64) -> np.uint64:
    """Return floor(g x / 2^128), made odd unless nothing (but the error of g) was cut off."""
    high, low = _POWERS[power - _SMALLEST]
    top, bottom = _high_product(high, x), high * x
    rest = bottom + _high_product(low, x)
    if rest < bottom:
        top += _1
    return top | _1 if rest > _1 else top


@njit(cache=True)
def _shortest(fraction: np.uint64, biased: np.uint64) -> tuple[np.uint64, int]:
    """Return d and e such that d 10^e is the shortest decimal of a positive double."""
    c = fraction | _HIDDEN if biased else fraction
    q = int(biased if biased else _1) - 1075
    closer = fraction == _0 and biased > _1  # a power of two: the double below is nearer
    k = (q * 1262611 - (524031 if closer else 0)) >> 22  # floor(log10 2^q), or of 3/4 2^q
    shift = np.uint64(q + ((-k * 1741647) >> 19) + 1)
    middle = _scaled(-k, _4 * c << shift)
    odd = c & _1
    lower = _scaled(-k, _4 * c - (_1 if closer else _2) << shift) + odd
    upper = _scaled(-k, _4 * c + _2 << shift) - odd
    s = middle // _4
    tens = s // _10
    below, above = lower <= _40 * tens, _40 * tens + _40 <= upper
    if below != above:
        return tens + (_1 if above else _0), k + 1
    below, above = lower <= _4 * s, _4 * s + _4 <= upper
    if below != above:
        return s + (_1 if above else _0), k
    nearest = _4 * s + _2
    up = middle > nearest or (middle == nearest and s & _1)
    return s + (_1 if up else _0), k


@njit(cache=True)
def _fill(out: np.ndarray, at: int, until: int) -> int:
    """Write zeros."""
    for i in range(at, until):
        out[i] = _ZERO
    return max(at, until)


@njit(cache=True)
def _write_digits(d: np.uint64, n: int, point: int, out: np.ndarray, at: int) -> int:
    """Write the n digits of d with a decimal point after `point` of them, if that is inside."""
    end = at + n + (1 if 0 < point < n else 0)
    place = end
    for i in range(n - 1, -1, -1):
        place -= 1
        rest = d // _10
        out[place] = _ZERO + np.uint8(d - rest * _10)
        d = rest
        if i == point and point > 0:
            place -= 1
            out[place] = _POINT
    return end


@njit(cache=True)
def _write_exponent(exponent: int, out: np.ndarray, at: int) -> int:
    """Write e, a sign and two digits or three."""
    out[at], out[at + 1] = _E, _MINUS if exponent < 0 else _PLUS
    size = np.uint64(abs(exponent))
    at += 2
    if size < _10:
        at = _fill(out, at, at + 1)
    return _write_digits(size, 1 if size < 10 else 2 if size < 100 else 3, 0, out, at)


@njit(cache=True)
def _write_finite(d: np.uint64, e: int, out: np.ndarray, at: int) -> int:
    """Write d 10^e, d > 0, with an exponent if it is below 1e-4 or from 1e16 up."""
    while d // _10 * _10 == d:
        d //= _10
        e += 1
    n, size = 1, _10
    while n < 17 and d >= size:
        n, size = n + 1, size * _10
    point = n + e
    if not -4 < point <= 16:
        return _write_exponent(point - 1, out, _write_digits(d, n, 1, out, at))
    if point > 0:
        at = _write_digits(d, n, point, out, at)
        if point < n:
            return at
        at = _fill(out, at, at + point - n)
        out[at], out[at + 1] = _POINT, _ZERO
        return at + 2
    out[at], out[at + 1] = _ZERO, _POINT
    return _write_digits(d, n, 0, out, _fill(out, at + 2, at + 2 - point))


@njit(cache=True)
def _write_number(bits: np.uint64, out: np.ndarray, at: int) -> int:
    """Write a double, nothing for NaN; return where it ends."""
    biased, fraction = (bits >> _FRACTION_BITS) & _EXPONENT, bits & _FRACTION
    if biased == _EXPONENT and fraction:
        return at
    if bits >> _SIGN:
        out[at] = _MINUS
        at += 1
    if biased == _EXPONENT:
        for letter in (105, 110, 102):  # inf
            out[at] = np.uint8(letter)
            at += 1
        return at
    if biased == _0 and fraction == _0:
        out[at], out[at + 1], out[at + 2] = _ZERO, _POINT, _ZERO
        return at + 3
    d, e = _shortest(fraction, biased)
    return _write_finite(d, e, out, at)


@njit(cache=True, nogil=True)
def _write_rows(bits: np.ndarray, separator: np.uint8, out: np.ndarray) -> int:
    """Write rows (row, column) of doubles, each row ended by a newline; return how many bytes."""
    at = 0
    for i in range(bits.shape[0]):
        for j in range(bits.shape[1]):
            at = _write_number(bits[i, j], out, at)
            out[at] = separator
            at += 1
        out[at - 1] = np.uint8(10)
    return at


def format_rows(values: np.ndarray, separator: str = "\t") -> list[str]:
    """Write each row of a matrix as text.

    Parameters
    ----------
    values : ndarray of float, (row, column)
        At least one column.
    separator : str
        One ASCII character, put between the numbers.

    Returns
    -------
    list of str, (row,)
        The numbers as ``repr`` writes them, NaN as nothing.

    Examples
    --------
    >>> format_rows(np.array([[0.1, float("nan"), 1e300]]), ",")
    ['0.1,,1e+300']
    """
    numbers = np.ascontiguousarray(values, dtype=np.float64)
    if not numbers.size:
        return [""] * len(numbers)
    out = np.empty(numbers.size * _LONGEST, dtype=np.uint8)
    end = _write_rows(numbers.view(np.uint64), np.uint8(ord(separator)), out)
    return out[:end].tobytes().decode("ascii").split("\n")[:-1]
