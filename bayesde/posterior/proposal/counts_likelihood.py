r"""The log probability of a gene's counts at many draws of its parameters.

    ln p(y | beta, a) = sum_j (y+r) ln((y+r) / (mu+r)) + y ln mu - y - ln y! + E(a),
    r = exp(-a),  mu_j = nf_j exp(x_j . beta),

where E depends on a alone (`bayesde.posterior.proposal.gamma_terms`). Where groups of samples have random
intercepts, their integrals (`bayesde.posterior.proposal.group_terms`) take the place of the sum; where there
are several random effects, estimates of them (`bayesde.posterior.proposal.term_integrals`). Loops run over
the draws innermost, so that they become vector instructions; the few draws that are too far out for those are
done one by one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.eb.regression.design_layout import Cells
from bayesde.model.density import GeneData
from bayesde.model.random_effects.groups import Groups
from bayesde.model.random_effects.laplace import make_room
from bayesde.model.random_effects.quadrature import estimated_log_likelihood, group_log_likelihood
from bayesde.numerics.compiled import copy_row, fused, kernel, transpose
from bayesde.numerics.elementary import exponential, logarithm_of_ratio
from bayesde.numerics.gamma_functions import log_ratio
from bayesde.numerics.sums import combine
from bayesde.posterior.proposal.gamma_terms import POINTS, add_gamma_terms, fill_table, gamma_terms
from bayesde.posterior.proposal.group_terms import add_groups, rows_of_room
from bayesde.posterior.proposal.term_integrals import AT_A_TIME, add_term_integrals, make_term_room

__all__ = ["OrderedCells", "log_likelihoods"]

LARGEST_ETA = 700.0
"""Log means are cut here, where the exponential would overflow."""
DIRECT = 1e6
"""Up to this r the logarithm of a rounded ratio is precise enough."""
SAFE = 300.0
"""Log means, and log dispersions, within which no ratio of counts leaves the range of normal doubles."""


NO_GROUPS = np.zeros(1, dtype=np.int64)


class OrderedCells(NamedTuple):
    """The distinct rows of a design (cells), and the samples in the order of their cells.

    Where groups of samples have random intercepts, the cells of each group are its own.

    Attributes
    ----------
    rows : ndarray (cell, coefficient)
    bounds : ndarray of int64 (cell + 1,)
        Where the cells begin and end in the order.
    order : ndarray of int64 (sample,)
        Samples in the order of their cells.
    groups : ndarray of int64 (group + 1,)
        Where the groups begin and end among the cells; a single 0 where there are none.
    """

    rows: np.ndarray
    bounds: np.ndarray
    order: np.ndarray
    groups: np.ndarray = NO_GROUPS

    @classmethod
    def of(cls, design: np.ndarray, groups: Groups | None = None) -> OrderedCells:
        """Find the cells.

        Parameters
        ----------
        design : ndarray (sample, coefficient)
        groups : Groups, optional

        Returns
        -------
        OrderedCells
        """
        if groups is None or groups.bounds.size == 1:
            cells = Cells.of(design)
            return cls(cells.rows, cells.bounds, cells.order)
        cells = Cells.of(np.column_stack([groups.level, design]))  # sorted by the first column
        sizes = np.bincount(cells.rows[:, 0].astype(np.int64))
        bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return cls(np.ascontiguousarray(cells.rows[:, 1:]), cells.bounds, cells.order, bounds)


class CellCounts(NamedTuple):
    """One gene's counts, in the order of the cells of the design.

    Attributes
    ----------
    counts, factors : ndarray (sample,)
        Counts, and normalization factors (not their logarithms).
    totals : ndarray (cell,)
        Sums of the counts.
    rows, bounds : ndarray
        Of `OrderedCells`.
    """

    counts: np.ndarray
    factors: np.ndarray
    totals: np.ndarray
    rows: np.ndarray
    bounds: np.ndarray


@kernel
def log_probability(theta, own, constant):  # type: ignore[no-untyped-def]
    """Log probability of one gene's counts (`CellCounts`) at theta = (beta, ln alpha)."""
    counts, factors, totals, rows, bounds = own
    p = theta.size - 1
    r = math.exp(-theta[p])
    total = constant + gamma_terms(counts, theta[p])
    for cell in range(rows.shape[0]):
        eta = 0.0
        for k in range(p):
            eta += rows[cell, k] * theta[k]
        eta = min(max(eta, -LARGEST_ETA), LARGEST_ETA)
        total += totals[cell] * eta
        level = math.exp(eta)
        for j in range(bounds[cell], bounds[cell + 1]):
            mu = factors[j] * level
            if r < DIRECT:
                total += (counts[j] + r) * math.log((counts[j] + r) / (mu + r))
            else:
                total += (counts[j] + r) * log_ratio(counts[j], mu, r)
    return total


@kernel
def _add_cells(points, r, own, work, largest, value):  # type: ignore[no-untyped-def]
    """Add what depends on the means at one gene's draws.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
    r : ndarray (draw,)
        exp(-a).
    own : CellCounts
    work : ndarray (2, draw)
        Work space.
    largest : ndarray (draw,)
        Written to: the largest absolute log mean, without the factors.
    value : ndarray (draw,)
        Added to.
    """
    counts, factors, totals, rows, bounds = own
    eta, level = work[0], work[1]
    largest[:] = 0.0
    for cell in range(rows.shape[0]):
        combine(0.0, rows[cell], points, eta)
        total = totals[cell]
        for m in range(eta.size):
            largest[m] = max(largest[m], abs(eta[m]))
            value[m] = fused(total, eta[m], value[m])
            level[m] = exponential(eta[m])
        for j in range(bounds[cell], bounds[cell + 1]):
            count, factor = counts[j], factors[j]
            for m in range(eta.size):
                z = count + r[m]
                ratio = logarithm_of_ratio(z, fused(factor, level[m], r[m]))
                value[m] = fused(z, ratio, value[m])


@kernel
def log_likelihoods(first, last, theta, data, cells, normal, unshrunken_sd, value):  # type: ignore[no-untyped-def]
    """Fill ln p(y | theta) + ln p(unshrunken coefficients) at the draws of some genes.

    Log standard deviations of random effects are no such coefficients: their prior has hyperparameters.

    Parameters
    ----------
    first, last : int
        The range of genes.
    theta : ndarray of float32 (gene, draw, P + 1)
    data : GeneData
        Of all genes.
    cells : OrderedCells
        Of the design.
    normal : ndarray of bool (coefficient,)
        Which coefficients are not shrunken.
    unshrunken_sd : float
        Of their normal priors.
    value : ndarray (gene, draw)
        Written to.
    """
    n_draws, d = theta.shape[1:]
    n_samples = data.y.shape[1]
    counts, factors, totals = np.empty(n_samples), np.empty(n_samples), np.empty(cells.rows.shape[0])
    own = CellCounts(counts, factors, totals, cells.rows, cells.bounds)
    point, points, work = np.empty(d), np.empty((d, n_draws)), np.empty((2, n_draws))
    r, largest = np.empty(n_draws), np.empty(n_draws)
    table, room = np.empty((POINTS, 5)), np.empty((4, POINTS))
    grouped, several = cells.groups.size > 1, data.groups.terms.z.shape[1] > 0
    rows = rows_of_room(cells.groups, data.groups) if grouped else 0
    for_groups, for_terms = np.empty((rows, n_draws)), make_term_room(data.groups.terms, AT_A_TIME)
    for g in range(first, last):
        constant = _order_counts(data.y[g], data.log_nf[g], cells.order, own)
        transpose(theta[g], points)
        out, log_dispersion = value[g], points[d - 1]
        start, size = fill_table(counts, log_dispersion, room, table)
        out[:] = constant
        add_gamma_terms(counts, log_dispersion, start, size, table, out)
        for m in range(n_draws):
            r[m] = exponential(-log_dispersion[m])
        if several:
            gene = GeneData(data.y[g], data.log_nf[g], data.x, data.groups)
            add_term_integrals(points, r, gene, for_terms, largest, out)
            for j in range(n_samples):
                if counts[j] > 0.0:
                    out += counts[j] * (math.log(counts[j]) - math.log(factors[j]))
        elif grouped:
            add_groups(points, r, own, cells.groups, data.groups, for_groups, largest, out)
        else:
            _add_cells(points, r, own, work, largest, out)
        for m in range(n_draws):
            if not (r[m] < DIRECT and log_dispersion[m] < SAFE and largest[m] < SAFE):
                copy_row(points[:, m], point)
                gene = GeneData(data.y[g], data.log_nf[g], data.x, data.groups)
                if several:
                    out[m] = estimated_log_likelihood(point, gene, make_room(gene.groups.terms))
                elif grouped:
                    out[m] = group_log_likelihood(point, gene)
                else:
                    out[m] = log_probability(point, own, constant)
        for k in range(d - 1):
            if normal[k]:
                _add_normal_prior(points[k], unshrunken_sd, out)


@kernel
def _order_counts(y, log_nf, order, own):  # type: ignore[no-untyped-def]
    """Fill one gene's counts, factors and totals, in the order of the cells; return what is constant."""
    counts, factors, totals, _, bounds = own
    constant = 0.0
    totals[:] = 0.0
    for cell in range(totals.size):
        for j in range(bounds[cell], bounds[cell + 1]):
            counts[j] = y[order[j]]
            factors[j] = math.exp(log_nf[order[j]])
            totals[cell] += counts[j]
            constant += counts[j] * (log_nf[order[j]] - 1.0) - math.lgamma(counts[j] + 1.0)
    return constant


@kernel
def _add_normal_prior(values, sd, out):  # type: ignore[no-untyped-def]
    """Add the log density of a normal prior with mean 0."""
    peak = -math.log(sd * math.sqrt(2.0 * math.pi))
    for m in range(out.size):
        z = values[m] / sd
        out[m] += peak - 0.5 * z * z
