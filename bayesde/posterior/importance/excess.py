r"""What a gene's log probability has of gamma functions: a slowly varying function of the log dispersion a.

    E(a) = sum_j A(y_j + r) - A(r),     r = exp(-a),
    A(z) = ln Gamma(z) - (z ln z - z + ln(2 pi) / 2).

It is interpolated between points `STEP` apart, by the cubic that has its values and slopes there, to about
1e-6. A and its derivative are those of `bayesde.eb.nb.gamma_excess_with_slope`, for all points at once:
Stirling's series where z >= 10, to which smaller z are moved by the recurrence Gamma(z) = Gamma(z + 1) / z.
"""

from __future__ import annotations

import math

from numba import njit

from bayesde.eb.nb import ASYMPTOTIC, gamma_excess, stirling, stirling_slope
from bayesde.posterior.importance.elementary import exponentials, logarithms

__all__ = ["POINTS", "add_excess", "excess", "fill_table"]

STEP = 0.1
POINTS = 256
"""Of the table, around the mean of the draws; E is evaluated at draws beyond them."""
MOVES = int(ASYMPTOTIC)


@njit(cache=True, error_model="numpy")
def excess(counts, a):  # type: ignore[no-untyped-def]
    """Return E(a)."""
    r = math.exp(-a)
    total, least = 0.0, gamma_excess(r)
    for j in range(counts.size):
        if counts[j] > 0.0:
            total += gamma_excess(counts[j] + r) - least
    return total


@njit(cache=True, error_model="numpy")
def fill_table(counts, log_dispersion, room, bits, table):  # type: ignore[no-untyped-def]
    """Fill values and slopes (times `STEP`) of E at the multiples of `STEP` around a gene's draws.

    Parameters
    ----------
    counts : ndarray (sample,)
    log_dispersion : ndarray (draw,)
    room : ndarray (7, POINTS)
    bits : ndarray of int64 (POINTS,)
        Both to work in.
    table : ndarray (2, POINTS)
        Written to, where there are draws.

    Returns
    -------
    float
        The number of the first point: a / STEP.
    """
    start = math.floor(log_dispersion.mean() / STEP) - POINTS // 2
    low = int(min(max(math.floor(log_dispersion.min() / STEP) - start, 0.0), POINTS - 1.0))
    high = int(min(max(math.floor(log_dispersion.max() / STEP) - start + 2.0, low), float(POINTS)))
    some, r, value, slope = room[:, low:high], room[0, low:high], table[0, low:high], table[1, low:high]
    for i in range(r.size):
        some[1, i] = -(start + low + i) * STEP
    exponentials(some[1], bits[low:high], r)
    value[:], slope[:] = 0.0, 0.0
    times = 0.0
    for j in range(counts.size):
        if counts[j] > 0.0:
            times += 1.0
            _add_gamma_excess(counts[j], 1.0, some, bits[low:high], value, slope)
    if times > 0.0:
        _add_gamma_excess(0.0, -times, some, bits[low:high], value, slope)
    for i in range(r.size):
        slope[i] *= -r[i] * STEP
    return start


@njit(cache=True, error_model="numpy")
def _add_gamma_excess(count, times, room, bits, value, slope):  # type: ignore[no-untyped-def]
    """Add A and A' at count + r, so many times; r is the first row of the room, the others are to work in."""
    r, z, product, numerator, log_z, log_x, log_product = room
    for i in range(r.size):
        z[i], product[i], numerator[i] = count + r[i], 1.0, 0.0
    if count < ASYMPTOTIC:
        logarithms(z, bits, log_x)
        for _ in range(MOVES):
            for i in range(r.size):
                more, further = numerator[i] * z[i] + product[i], product[i] * z[i]
                near = z[i] < ASYMPTOTIC
                numerator[i] = more if near else numerator[i]
                product[i] = further if near else product[i]
                z[i] = z[i] + 1.0 if near else z[i]
        logarithms(product, bits, log_product)
    logarithms(z, bits, log_z)
    for i in range(r.size):
        u = 1.0 / (z[i] * z[i])
        value[i] += times * (stirling(u) / z[i] - 0.5 * log_z[i])
        slope[i] += times * (-0.5 / z[i] - u * stirling_slope(u))
    if count < ASYMPTOTIC:
        for i in range(r.size):
            x = count + r[i]
            moved = z[i] * log_z[i] - z[i] - log_product[i] - (x * log_x[i] - x)
            value[i] += times * moved if x < ASYMPTOTIC else 0.0
            slope[i] += times * (log_z[i] - log_x[i] - numerator[i] / product[i]) if x < ASYMPTOTIC else 0.0


@njit(cache=True, error_model="numpy")
def add_excess(counts, log_dispersion, start, table, out):  # type: ignore[no-untyped-def]
    """Add E at the draws, from the table that `fill_table` has filled."""
    for m in range(out.size):
        place = log_dispersion[m] / STEP - start
        if 0.0 <= place < POINTS - 1.0:
            i = int(place)
            t = place - i
            gap = table[0, i + 1] - table[0, i]
            bend, twist = table[1, i] - gap, gap - table[1, i + 1]
            out[m] += table[0, i] + t * gap + t * (1.0 - t) * ((1.0 - t) * bend + t * twist)
        else:
            out[m] += excess(counts, log_dispersion[m])
