r"""The log probability of a gene's counts at many draws of its parameters.

    ln p(y | beta, a) = sum_j (y+r) ln((y+r) / (mu+r)) + y ln mu - y - ln y! + E(a),
    E(a) = sum_j A(y_j + r) - A(r),     r = exp(-a),  mu_j = nf_j exp(x_j . beta),

where A(z) = ln Gamma(z) - (z ln z - z + ln(2 pi) / 2). E varies slowly and depends on a alone: it is
interpolated between points `STEP` apart, by the cubic that has its values and slopes there, to about 1e-6.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayesde.eb.nb import gamma_excess, gamma_excess_slope, log_ratio

__all__ = ["log_likelihoods"]

STEP = 0.1
POINTS = 256
"""Draws beyond them are evaluated directly."""
LARGEST_ETA = 700.0
"""Log means are cut here, where the exponential would overflow."""
DIRECT = 1e6
"""Up to this r the logarithm of a rounded ratio is precise enough."""


@njit(cache=True, error_model="numpy")
def excess(counts, a):  # type: ignore[no-untyped-def]
    """Return E(a)."""
    r = math.exp(-a)
    total = -counts.size * gamma_excess(r)
    for j in range(counts.size):
        total += gamma_excess(counts[j] + r)
    return total


@njit(cache=True, error_model="numpy")
def excess_slope(counts, a):  # type: ignore[no-untyped-def]
    """Return dE/da."""
    r = math.exp(-a)
    total = -counts.size * gamma_excess_slope(r)
    for j in range(counts.size):
        total += gamma_excess_slope(counts[j] + r)
    return -r * total


@njit(cache=True, error_model="numpy")
def interpolated_excess(counts, a, first, table):  # type: ignore[no-untyped-def]
    """Return E(a) from a table (point, value and slope) that starts at ``first`` and is filled on the way."""
    place = (a - first) / STEP
    if not 0.0 <= place < table.shape[0] - 1:
        return excess(counts, a)
    i = math.floor(place)
    for point in (i, i + 1):
        if math.isnan(table[point, 0]):
            table[point, 0] = excess(counts, first + point * STEP)
            table[point, 1] = STEP * excess_slope(counts, first + point * STEP)
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
    m, d = y.shape[1], theta.shape[2]
    counts, factors, linear = np.empty(m), np.empty(m), np.empty(rows.shape[0])
    point, table = np.empty(d), np.empty((POINTS, 2))
    wide = -math.log(wide_sd * math.sqrt(2.0 * math.pi))
    for g in range(first, last):
        constant = 0.0
        linear[:] = 0.0
        for cell in range(rows.shape[0]):
            for j in range(bounds[cell], bounds[cell + 1]):
                counts[j] = y[g, order[j]]
                factors[j] = math.exp(log_nf[g, order[j]])
                linear[cell] += counts[j]
                constant += counts[j] * (log_nf[g, order[j]] - 1.0) - math.lgamma(counts[j] + 1.0)
        table[:, :] = np.nan
        start = np.median(theta[g, :, d - 1]) - 0.5 * POINTS * STEP
        for draw in range(theta.shape[1]):
            prior = 0.0
            for k in range(d):
                point[k] = theta[g, draw, k]
                if k < d - 1 and not shrunken[k]:
                    prior += wide - 0.5 * (point[k] / wide_sd) ** 2
            value[g, draw] = prior + log_probability(
                point, counts, factors, linear, rows, bounds, constant, start, table
            )
