r"""The log probability of a gene's counts at many draws of its parameters.

    ln p(y | beta, a) = sum_j (y+r) ln((y+r) / (mu+r)) + y ln mu - y - ln y! + E(a),
    r = exp(-a),  mu_j = nf_j exp(x_j . beta),

where E depends on a alone (`bayesde.posterior.proposal.gamma_terms`). Loops run over the draws innermost, so
that they become vector instructions; the few draws that are too far out for those are done one by one.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics.compiled import copy_row, fused, kernel, transpose
from bayesde.numerics.elementary import exponential, logarithm_of_ratio
from bayesde.numerics.gamma_functions import log_ratio
from bayesde.numerics.sums import combine
from bayesde.posterior.proposal.gamma_terms import POINTS, add_excess, excess, fill_table

__all__ = ["log_likelihoods"]

LARGEST_ETA = 700.0
"""Log means are cut here, where the exponential would overflow."""
DIRECT = 1e6
"""Up to this r the logarithm of a rounded ratio is precise enough."""
REACH = 300.0
"""Log means, and log dispersions, within which no ratio of counts leaves the range of normal doubles."""


@kernel
def log_probability(theta, counts, factors, linear, rows, bounds, constant):  # type: ignore[no-untyped-def]
    """Log probability of one gene's counts at theta = (beta, ln alpha).

    counts and factors are ordered by the rows of the design, ``linear`` has the sums of counts of each.
    """
    p = theta.size - 1
    r = math.exp(-theta[p])
    total = constant + excess(counts, theta[p])
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


@kernel
def _add_cells(points, r, counts, factors, linear, rows, bounds, work, reach, value):  # type: ignore[no-untyped-def]
    """Add what depends on the means at one gene's draws; fill the largest log mean in `reach`.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
    r : ndarray (draw,)
        exp(-a).
    counts, factors, linear, rows, bounds : ndarray
        As `log_probability` takes them.
    work : ndarray (2, draw)
        Room to work in.
    reach, value : ndarray (draw,)
        Written to.
    """
    eta, level = work[0], work[1]
    reach[:] = 0.0
    for cell in range(rows.shape[0]):
        combine(0.0, rows[cell], points, eta)
        total = linear[cell]
        for m in range(eta.size):
            reach[m] = max(reach[m], abs(eta[m]))
            value[m] = fused(total, eta[m], value[m])
            level[m] = exponential(eta[m])
        for j in range(bounds[cell], bounds[cell + 1]):
            count, factor = counts[j], factors[j]
            for m in range(eta.size):
                z = count + r[m]
                ratio = logarithm_of_ratio(z, fused(factor, level[m], r[m]))
                value[m] = fused(z, ratio, value[m])


@kernel
def log_likelihoods(first, last, theta, y, log_nf, rows, bounds, order, shrunken, wide_sd, value):  # type: ignore[no-untyped-def]
    """Fill ln p(y | theta) + ln p(unshrunken coefficients) at the draws of some genes.

    Parameters
    ----------
    first, last : int
        The range of genes.
    theta : ndarray of float32 (gene, draw, P + 1)
    y, log_nf : ndarray (gene, sample)
    rows, bounds, order : ndarray
        See `bayesde.eb.regression.design_layout.Cells`.
    shrunken : ndarray of bool (coefficient,)
    wide_sd : float
        Of the normal priors of the others.
    value : ndarray (gene, draw)
        Written to.
    """
    n_draws, d = theta.shape[1:]
    counts, factors, linear = np.empty(y.shape[1]), np.empty(y.shape[1]), np.empty(rows.shape[0])
    point, points, work = np.empty(d), np.empty((d, n_draws)), np.empty((2, n_draws))
    r, reach = np.empty(n_draws), np.empty(n_draws)
    table, room = np.empty((POINTS, 5)), np.empty((4, POINTS))
    for g in range(first, last):
        constant = _order_counts(y[g], log_nf[g], bounds, order, counts, factors, linear)
        transpose(theta[g], points)
        out, log_dispersion = value[g], points[d - 1]
        start, size = fill_table(counts, log_dispersion, room, table)
        out[:] = constant
        add_excess(counts, log_dispersion, start, size, table, out)
        for m in range(n_draws):
            r[m] = exponential(-log_dispersion[m])
        _add_cells(points, r, counts, factors, linear, rows, bounds, work, reach, out)
        for m in range(n_draws):
            if not (r[m] < DIRECT and log_dispersion[m] < REACH and reach[m] < REACH):
                copy_row(points[:, m], point)
                out[m] = log_probability(point, counts, factors, linear, rows, bounds, constant)
        for k in range(d - 1):
            if not shrunken[k]:
                _add_wide_prior(points[k], wide_sd, out)


@kernel
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


@kernel
def _add_wide_prior(values, wide_sd, out):  # type: ignore[no-untyped-def]
    """Add the log density of a normal prior."""
    peak = -math.log(wide_sd * math.sqrt(2.0 * math.pi))
    for m in range(out.size):
        z = values[m] / wide_sd
        out[m] += peak - 0.5 * z * z
