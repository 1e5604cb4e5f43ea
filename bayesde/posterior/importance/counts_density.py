r"""The log probability of a gene's counts at many draws of its parameters.

    ln p(y | beta, a) = sum_j (y+r) ln((y+r) / (mu+r)) + y ln mu - y - ln y! + E(a),
    E(a) = sum_j A(y_j + r) - A(r),     r = exp(-a),  mu_j = nf_j exp(x_j . beta),

where A(z) = ln Gamma(z) - (z ln z - z + ln(2 pi) / 2). E varies slowly and depends on a alone: it is
interpolated between points `STEP` apart, by the cubic that has its values and slopes there, to about 1e-6.
Loops run over the draws innermost, so that they become vector instructions; the few draws that are too far
out for those are done one by one.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayesde.eb.nb import gamma_excess_with_slope, log_ratio
from bayesde.posterior.importance.elementary import exponentials, logarithms

__all__ = ["log_likelihoods"]

STEP = 0.1
POINTS = 256
"""Draws beyond them are evaluated directly."""
LARGEST_ETA = 700.0
"""Log means are cut here, where the exponential would overflow."""
DIRECT = 1e6
"""Up to this r the logarithm of a rounded ratio is precise enough."""
REACH = 300.0
"""Log means, and log dispersions, within which no ratio of counts leaves the range of normal doubles."""


@njit(cache=True, error_model="numpy")
def excess(counts, a):  # type: ignore[no-untyped-def]
    """Return E(a) and its derivative; a count of zero adds nothing to either."""
    r = math.exp(-a)
    value, slope, times = 0.0, 0.0, 0
    for j in range(counts.size):
        if counts[j] > 0.0:
            more, steeper = gamma_excess_with_slope(counts[j] + r)
            value, slope, times = value + more, slope + steeper, times + 1
    if times == 0:
        return 0.0, 0.0
    least, steepness = gamma_excess_with_slope(r)
    return value - times * least, -r * (slope - times * steepness)


@njit(cache=True, error_model="numpy")
def interpolated_excess(counts, a, first, table):  # type: ignore[no-untyped-def]
    """Return E(a) from a table (point, value and slope) that starts at ``first`` and is filled on the way."""
    place = (a - first) / STEP
    if not 0.0 <= place < table.shape[0] - 1:
        return excess(counts, a)[0]
    i = math.floor(place)
    for point in (i, i + 1):
        if math.isnan(table[point, 0]):
            value, slope = excess(counts, first + point * STEP)
            table[point, 0], table[point, 1] = value, STEP * slope
    t = place - i
    gap = table[i + 1, 0] - table[i, 0]
    bend, twist = table[i, 1] - gap, gap - table[i + 1, 1]
    return (1.0 - t) * table[i, 0] + t * table[i + 1, 0] + t * (1.0 - t) * ((1.0 - t) * bend + t * twist)


@njit(cache=True, error_model="numpy")
def log_probability(theta, counts, factors, linear, rows, bounds, constant, first, table):  # type: ignore[no-untyped-def]
    """Log probability of one gene's counts at theta = (beta, ln alpha).

    counts and factors are ordered by the rows of the design, ``linear`` has the sums of counts of each.
    """
    p = theta.size - 1
    r = math.exp(-theta[p])
    total = constant + interpolated_excess(counts, theta[p], first, table)
    for cell in range(rows.shape[0]):
        eta = 0.0
        for k in range(p):
            eta += rows[cell, k] * theta[k]
        eta = min(max(eta, -LARGEST_ETA), LARGEST_ETA)
        total += linear[cell] * eta
        level = math.exp(eta)
        for j in range(bounds[cell], bounds[cell + 1]):
            mu = factors[j] * level
            if r < DIRECT:
                total += (counts[j] + r) * math.log((counts[j] + r) / (mu + r))
            else:
                total += (counts[j] + r) * log_ratio(counts[j], mu, r)
    return total


@njit(cache=True, error_model="numpy")
def _add_cells(points, r, counts, factors, linear, rows, bounds, work, bits, reach, value):  # type: ignore[no-untyped-def]
    """Add what depends on the means at one gene's draws; fill the largest log mean in `reach`.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
    r : ndarray (draw,)
        exp(-a).
    counts, factors, linear, rows, bounds : ndarray
        As `log_probability` takes them.
    work : ndarray (3, draw)
    bits : ndarray of int64 (draw,)
        Room to work in.
    reach, value : ndarray (draw,)
        Written to.
    """
    eta, level, log_level = work[0], work[1], work[2]
    reach[:] = 0.0
    for cell in range(rows.shape[0]):
        eta[:] = 0.0
        for k in range(rows.shape[1]):
            row, multiple = points[k], rows[cell, k]
            for m in range(eta.size):
                eta[m] += multiple * row[m]
        total = linear[cell]
        for m in range(eta.size):
            reach[m] = max(reach[m], abs(eta[m]))
            value[m] += total * eta[m]
        exponentials(eta, bits, level)
        for j in range(bounds[cell], bounds[cell + 1]):
            count, factor = counts[j], factors[j]
            for m in range(eta.size):
                eta[m] = (count + r[m]) / (factor * level[m] + r[m])
            logarithms(eta, bits, log_level)
            for m in range(eta.size):
                value[m] += (count + r[m]) * log_level[m]


@njit(cache=True, nogil=True, error_model="numpy")
def log_likelihoods(first, last, theta, y, log_nf, rows, bounds, order, shrunken, wide_sd, value):  # type: ignore[no-untyped-def]
    """Fill ln p(y | theta) + ln p(unshrunken coefficients) at the draws of some genes.

    Parameters
    ----------
    first, last : int
        The range of genes.
    theta : ndarray of float32 (gene, draw, P + 1)
    y, log_nf : ndarray (gene, sample)
    rows, bounds, order : ndarray
        See `bayesde.eb.layout.Cells`.
    shrunken : ndarray of bool (coefficient,)
    wide_sd : float
        Of the normal priors of the others.
    value : ndarray (gene, draw)
        Written to.
    """
    n_draws, d = theta.shape[1:]
    counts, factors, linear = np.empty(y.shape[1]), np.empty(y.shape[1]), np.empty(rows.shape[0])
    point, points, table = np.empty(d), np.empty((d, n_draws)), np.empty((POINTS, 2))
    r, reach, bits = np.empty(n_draws), np.empty(n_draws), np.empty(n_draws, dtype=np.int64)
    work = np.empty((3, n_draws))
    for g in range(first, last):
        constant = _order_counts(y[g], log_nf[g], bounds, order, counts, factors, linear)
        points[:, :] = theta[g].T
        out, log_dispersion = value[g], points[d - 1]
        table[:, :] = np.nan
        start = (math.floor(log_dispersion.mean() / STEP) - POINTS // 2) * STEP
        for m in range(n_draws):
            out[m] = constant + interpolated_excess(counts, log_dispersion[m], start, table)
            r[m] = -log_dispersion[m]
        exponentials(r, bits, work[0])
        r[:] = work[0]
        _add_cells(points, r, counts, factors, linear, rows, bounds, work, bits, reach, out)
        for m in range(n_draws):
            if not (r[m] < DIRECT and log_dispersion[m] < REACH and reach[m] < REACH):
                point[:] = points[:, m]
                out[m] = log_probability(point, counts, factors, linear, rows, bounds, constant, start, table)
        for k in range(d - 1):
            if not shrunken[k]:
                _add_wide_prior(points[k], wide_sd, out)


@njit(cache=True, error_model="numpy")
def _order_counts(y, log_nf, bounds, order, counts, factors, linear):  # type: ignore[no-untyped-def]
    """Order one gene's counts and factors by rows of the design, and sum counts; return what is constant."""
    constant = 0.0
    linear[:] = 0.0
    for cell in range(linear.size):
        for j in range(bounds[cell], bounds[cell + 1]):
            counts[j] = y[order[j]]
            factors[j] = math.exp(log_nf[order[j]])
            linear[cell] += counts[j]
            constant += counts[j] * (log_nf[order[j]] - 1.0) - math.lgamma(counts[j] + 1.0)
    return constant


@njit(cache=True, error_model="numpy")
def _add_wide_prior(values, wide_sd, out):  # type: ignore[no-untyped-def]
    """Add the log density of a normal prior."""
    peak = -math.log(wide_sd * math.sqrt(2.0 * math.pi))
    for m in range(out.size):
        z = values[m] / wide_sd
        out[m] += peak - 0.5 * z * z
