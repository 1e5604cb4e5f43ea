r"""The gamma functions in a gene's log probability: a slowly varying function of the log dispersion a.

    E(a) = sum_j A(y_j + r) - A(r),     r = exp(-a),
    A(z) = ln Gamma(z) - (z ln z - z + ln(2 pi) / 2).

It is interpolated between points `STEP` apart, at t of the way from one to the next, by the cubic that has
its values and slopes at both and by the leading term of that cubic's error, t^2 (1 - t)^2 / 24 times the
fourth difference. Slopes and differences are those of the neighbours' values. Errors are about 2e-8.

At the points, A(z) is Stirling's series where z >= 10. For smaller r the recurrence Gamma(z + 1) = z Gamma(z)
brings small counts n to

    A(n + r) - A(r) = ln((r + 1) ... (r + n - 1)) - a - (n + r) ln(n + r) + n - a r,

and for larger ones A(r) to A(10 + r) less the same for n = 10.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics.compiled import fused, kernel
from bayesde.numerics.elementary import exponential, logarithm
from bayesde.numerics.gamma_functions import ASYMPTOTIC, gamma_excess, stirling
from bayesde.numerics.sums import mean_and_sd

__all__ = ["POINTS", "add_gamma_terms", "fill_table", "gamma_terms"]

STEP = 0.1
HALF_WIDTH = 3.5
"""How far the table goes from the mean of the draws, in their standard deviations: E is evaluated directly at
the few that are further out."""
POINTS = 256
"""Of the table and its margins, at the most."""
MARGIN = 3
"""Points on either side that are there for slopes and differences."""


@kernel
def gamma_terms(counts, a):  # type: ignore[no-untyped-def]
    """Return E(a)."""
    r = math.exp(-a)
    total, least = 0.0, gamma_excess(r)
    for j in range(counts.size):
        if counts[j] > 0.0:
            total += gamma_excess(counts[j] + r) - least
    return total


@kernel
def fill_table(counts, log_dispersion, room, table):  # type: ignore[no-untyped-def]
    """Fill the polynomials of E between the multiples of `STEP` around a gene's draws.

    Parameters
    ----------
    counts : ndarray (sample,)
        Whole numbers.
    log_dispersion : ndarray (draw,)
    room : ndarray (4, POINTS)
        Work space.
    table : ndarray (POINTS, 5)
        Written to: coefficients of powers of t, from each point to the next.

    Returns
    -------
    start : float
        The number of the first point: a / STEP.
    size : int
        How many points there are.
    """
    middle, sd = mean_and_sd(log_dispersion)
    wanted, most = HALF_WIDTH * sd / STEP, (POINTS - 1) // 2 - MARGIN
    half = math.ceil(wanted) if wanted < most else most
    start, n = math.floor(middle / STEP) - half, 2 * half + 1
    _fill_values(counts, start - MARGIN, n + 2 * MARGIN, room)
    value = room[3]
    for i in range(n):
        at = i + MARGIN
        gap = value[at + 1] - value[at]
        bend, twist = _slope(value, at) - gap, gap - _slope(value, at + 1)
        near = value[at] + value[at + 1]
        further, furthest = value[at - 1] + value[at + 2], value[at - 2] + value[at + 3]
        rest = (2.0 * near - 3.0 * further + furthest) / 48.0  # means of both ends' differences over 24
        table[i, 0], table[i, 1] = value[at], gap + bend
        table[i, 2], table[i, 3] = twist - 2.0 * bend + rest, bend - twist - 2.0 * rest
        table[i, 4] = rest
    return start, n


@kernel
def _slope(value, at):  # type: ignore[no-untyped-def]
    """Return the slope at a point, times `STEP`."""
    return (8.0 * (value[at + 1] - value[at - 1]) - (value[at + 2] - value[at - 2])) / 12.0


@kernel
def _fill_values(counts, start, n, room):  # type: ignore[no-untyped-def]
    """Fill E, in the last row of `room`, at so many points from the number ``start`` on."""
    a, r, value = room[0, :n], room[1, :n], room[3, :n]
    near = 0  # where r is below ASYMPTOTIC, from here on
    for i in range(n):
        a[i], value[i] = (start + i) * STEP, 0.0
        r[i] = exponential(-a[i])
        near += a[i] <= -math.log(ASYMPTOTIC)
    positive, large = 0.0, 0.0
    for j in range(counts.size):
        if counts[j] >= ASYMPTOTIC:
            large += 1.0
            _add_stirling(counts[j], 1.0, 0, n, room)
        elif counts[j] > 0.0:
            _add_stirling(counts[j], 1.0, 0, near, room)
            _add_rising(counts[j], 1.0, near, n, room)
        positive += counts[j] > 0.0
    _add_stirling(0.0, -positive, 0, near, room)
    if large > 0.0:
        _add_stirling(ASYMPTOTIC, -large, near, n, room)
        _add_rising(ASYMPTOTIC, large, near, n, room)


@kernel
def _add_stirling(count, times, first, last, room):  # type: ignore[no-untyped-def]
    """Add A(count + r), so many times, at points where that is `ASYMPTOTIC` or more."""
    r, value = room[1, first:last], room[3, first:last]
    for i in range(r.size):
        z = count + r[i]
        inverse = 1.0 / z
        value[i] += times * (stirling(inverse * inverse) * inverse - 0.5 * logarithm(z))


@kernel
def _add_rising(count, times, first, last, room):  # type: ignore[no-untyped-def]
    """Add A(count + r) - A(r), so many times, for a count of at most `ASYMPTOTIC`."""
    a, r, product, value = room[0, first:last], room[1, first:last], room[2, first:last], room[3, first:last]
    product[:] = 1.0
    for k in range(1, int(count)):
        for i in range(r.size):
            product[i] *= r[i] + k
    for i in range(r.size):
        z = count + r[i]
        value[i] += times * (logarithm(product[i]) - a[i] + count - a[i] * r[i] - z * logarithm(z))


@kernel
def add_gamma_terms(counts, log_dispersion, start, size, table, out):  # type: ignore[no-untyped-def]
    """Add E at the draws, from the table that `fill_table` has filled."""
    last = size - 1.0
    for m in range(out.size):
        place = log_dispersion[m] / STEP - start
        if 0.0 <= place < last:
            i = np.uint64(place)  # unsigned: no index counts from the end
            t, row = place - np.int64(i), table[i]
            inner = fused(t, fused(t, fused(t, row[4], row[3]), row[2]), row[1])
            out[m] += fused(t, inner, row[0])
        else:
            out[m] += gamma_terms(counts, log_dispersion[m])
