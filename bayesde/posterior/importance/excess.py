r"""What a gene's log probability has of gamma functions: a slowly varying function of the log dispersion a.

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

from bayesde.eb.nb import ASYMPTOTIC, gamma_excess, stirling
from bayesde.posterior.compiled import kernel
from bayesde.posterior.importance.elementary import exponentials, logarithms

__all__ = ["POINTS", "add_excess", "excess", "fill_table"]

STEP = 0.1
REACH = 3.5
"""Standard deviations of the draws that the table goes to: E is evaluated at the few that are further out."""
POINTS = 256
"""Of the table and its margins, at the most."""
MARGIN = 3
"""Points on either side that are there for slopes and differences."""


@kernel
def excess(counts, a):  # type: ignore[no-untyped-def]
    """Return E(a)."""
    r = math.exp(-a)
    total, least = 0.0, gamma_excess(r)
    for j in range(counts.size):
        if counts[j] > 0.0:
            total += gamma_excess(counts[j] + r) - least
    return total


@kernel
def fill_table(counts, log_dispersion, room, bits, table):  # type: ignore[no-untyped-def]
    """Fill values, slopes and corrections of E at the multiples of `STEP` around a gene's draws.

    Parameters
    ----------
    counts : ndarray (sample,)
        Whole numbers.
    log_dispersion : ndarray (draw,)
    room : ndarray (6, POINTS)
    bits : ndarray of int64 (POINTS,)
        Both to work in.
    table : ndarray (3, POINTS)
        Written to: values, slopes times `STEP`, and fourth differences over 24 (means of both ends' of what
        lies between a point and the next).

    Returns
    -------
    start : float
        The number of the first point: a / STEP.
    size : int
        How many points there are.
    """
    middle, sd = log_dispersion.mean(), log_dispersion.std()
    reach, most = REACH * sd / STEP, (POINTS - 1) // 2 - MARGIN
    half = math.ceil(reach) if reach < most else most
    start, n = math.floor(middle / STEP) - half, 2 * half + 1
    _fill_values(counts, start - MARGIN, n + 2 * MARGIN, room, bits)
    value = room[5]
    for i in range(n):
        at = i + MARGIN
        table[0, i] = value[at]
        table[1, i] = (8.0 * (value[at + 1] - value[at - 1]) - (value[at + 2] - value[at - 2])) / 12.0
        near = value[at] + value[at + 1]
        table[2, i] = (
            2.0 * near - 3.0 * (value[at - 1] + value[at + 2]) + value[at - 2] + value[at + 3]
        ) / 48.0
    return start, n


@kernel
def _fill_values(counts, start, n, room, bits):  # type: ignore[no-untyped-def]
    """Fill E, in the last row of the room, at so many points from the number ``start`` on."""
    a, minus_a, value = room[0, :n], room[2, :n], room[5, :n]
    near = 0  # where r is below ASYMPTOTIC, from here on
    for i in range(n):
        a[i], value[i] = (start + i) * STEP, 0.0
        minus_a[i] = -a[i]
        near += minus_a[i] >= math.log(ASYMPTOTIC)
    exponentials(minus_a, bits[:n], room[1, :n])
    positive, large = 0.0, 0.0
    for j in range(counts.size):
        if counts[j] >= ASYMPTOTIC:
            large += 1.0
            _add_stirling(counts[j], 1.0, 0, n, room, bits)
        elif counts[j] > 0.0:
            _add_stirling(counts[j], 1.0, 0, near, room, bits)
            _add_rising(counts[j], 1.0, near, n, room, bits)
        positive += counts[j] > 0.0
    _add_stirling(0.0, -positive, 0, near, room, bits)
    if large > 0.0:
        _add_stirling(ASYMPTOTIC, -large, near, n, room, bits)
        _add_rising(ASYMPTOTIC, large, near, n, room, bits)


@kernel
def _add_stirling(count, times, first, last, room, bits):  # type: ignore[no-untyped-def]
    """Add A(count + r), so many times, at points where that is `ASYMPTOTIC` or more."""
    r, z, log_z, value = room[1, first:last], room[2, first:last], room[3, first:last], room[5, first:last]
    for i in range(r.size):
        z[i] = count + r[i]
    logarithms(z, bits[first:last], log_z)
    for i in range(r.size):
        inverse = 1.0 / z[i]
        value[i] += times * (stirling(inverse * inverse) * inverse - 0.5 * log_z[i])


@kernel
def _add_rising(count, times, first, last, room, bits):  # type: ignore[no-untyped-def]
    """Add A(count + r) - A(r), so many times, for a count of at most `ASYMPTOTIC`."""
    a, r, z, logs = room[0, first:last], room[1, first:last], room[2, first:last], room[3, first:last]
    product, value = room[4, first:last], room[5, first:last]
    product[:] = 1.0
    for k in range(1, int(count)):
        for i in range(r.size):
            product[i] *= r[i] + k
    logarithms(product, bits[first:last], logs)
    for i in range(r.size):
        value[i] += times * (logs[i] - a[i] + count - a[i] * r[i])
        z[i] = count + r[i]
    logarithms(z, bits[first:last], logs)
    for i in range(r.size):
        value[i] -= times * z[i] * logs[i]


@kernel
def add_excess(counts, log_dispersion, start, size, table, out):  # type: ignore[no-untyped-def]
    """Add E at the draws, from the table that `fill_table` has filled."""
    last = size - 1.0
    for m in range(out.size):
        place = log_dispersion[m] / STEP - start
        if 0.0 <= place < last:
            i = int(place)
            t = place - i
            gap = table[0, i + 1] - table[0, i]
            bend, twist = table[1, i] - gap, gap - table[1, i + 1]
            rest = (1.0 - t) * bend + t * twist + t * (1.0 - t) * table[2, i]
            out[m] += table[0, i] + t * gap + t * (1.0 - t) * rest
        else:
            out[m] += excess(counts, log_dispersion[m])
