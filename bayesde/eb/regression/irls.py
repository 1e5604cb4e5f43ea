r"""Iteratively reweighted least squares of one gene's counts on the design, compiled.

With the means held above ``min_mu``, working weights w_j = v_j mu_j / (1 + alpha mu_j) and responses
z_j = x_j . beta + (y_j - mu_j) / mu_j, each step solves

    (X' W X + R) step = X' W (z - X beta) - R beta

for the ridge R (McCullagh and Nelder 1989, "Generalized Linear Models", section 2.5; Love, Huber and Anders
2014, doi:10.1186/s13059-014-0550-8, for ridge and limits). Observation weights v_j are 1 if there
are none. Samples with the same row of the design, a cell, share their linear predictor. Natural-log units.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.eb.regression.design_layout import Cells
from bayesde.eb.regression.information import (
    add_products,
    equations,
    quadratic_forms,
    set_predictors,
    solve_equations,
    standard_errors,
)
from bayesde.numerics.cholesky import row_of
from bayesde.numerics.compiled import inlined, kernel
from bayesde.numerics.gamma_functions import gamma_excess, log_one_plus
from bayesde.numerics.negative_binomial import nb_constant

__all__ = [
    "DIVERGED",
    "MAX_ITERATIONS",
    "Coefficients",
    "Regression",
    "coefficient_errors",
    "contrast_errors",
    "fit_all",
    "set_effects",
    "set_means",
    "working_weights",
]

MAX_ITERATIONS = 100
TOLERANCE = 1e-8
"""Relative change of the deviance at which the iteration stops."""
DIVERGED = 30.0
"""A coefficient beyond this (natural log) has diverged: such a gene goes to the bounded optimizer."""


class Regression(NamedTuple):
    """What the regressions of all genes share.

    Attributes
    ----------
    cells : Cells
        Distinct rows of the design.
    to_beta : ndarray (coefficient, sample)
        Least-squares projection, for the start.
    ridge : ndarray (coefficient,)
        Prior precision of each coefficient, natural log.
    min_mu : float
        Means are not allowed to fall below this.
    """

    cells: Cells
    to_beta: np.ndarray
    ridge: np.ndarray
    min_mu: float


class Coefficients(NamedTuple):
    """Where errors are computed.

    Attributes
    ----------
    beta : ndarray (gene, coefficient)
        Natural log.
    dispersion : ndarray (gene,)
    """

    beta: np.ndarray
    dispersion: np.ndarray


class _Gene(NamedTuple):
    """Observations of one gene: ``weights`` are (sample,), or (0,) where all have the same weight."""

    y: np.ndarray
    factors: np.ndarray
    log_factors: np.ndarray
    weights: np.ndarray
    dispersion: float


class _ByCell(NamedTuple):
    """Linear predictor of each cell, its exponential, and sums of weights and scores, (cell,) each."""

    eta: np.ndarray
    effect: np.ndarray
    total: np.ndarray
    score: np.ndarray


@kernel
def set_effects(cells, beta, eta, effect):  # type: ignore[no-untyped-def]
    """Fill ``eta`` (cell,) with x . beta of each distinct row x of the design, ``effect`` with its exp."""
    set_predictors(cells, beta, eta)
    for c in range(eta.size):
        effect[c] = math.exp(eta[c])


@kernel
def set_means(y, factors, cells, coefficients, min_mu, mu):  # type: ignore[no-untyped-def]
    """Fill ``mu`` (sample,) from coefficients; where there are none, from the cell means of y / nf."""
    level, cell = np.zeros(cells.size.size), cells.of_sample
    if coefficients.size:
        set_effects(cells, coefficients, np.empty(level.size), level)
    else:
        for j in range(y.size):
            level[cell[j]] += y[j] / factors[j]
        for c in range(level.size):
            level[c] /= cells.size[c]
    for j in range(y.size):
        mu[j] = max(level[cell[j]] * factors[j], min_mu)


@inlined
def working_weights(factors, weights, effect, cell, dispersion, min_mu, total):  # type: ignore[no-untyped-def]
    """Sum the weights mu / (1 + alpha mu) of the samples of each cell into ``total`` (cell,)."""
    for c in range(total.size):
        total[c] = 0.0
    for j in range(cell.size):
        mu = max(factors[j] * effect[cell[j]], min_mu)
        weight = mu / (1.0 + dispersion * mu)
        total[cell[j]] += weight * weights[j] if weights.size else weight


@inlined
def _expand(gene, cell, min_mu, by_cell):  # type: ignore[no-untyped-def]
    """Sum weights and scores over each cell; return the log-likelihood without its constant.

    A score is w_j (z_j - x_j . beta), with the working response z_j = ln(mu_j / nf_j) + (y_j - mu_j) / mu_j.
    """
    y, factors, log_factors, weights, dispersion = gene
    eta, effect, total, score = by_cell
    for c in range(total.size):
        total[c] = 0.0
        score[c] = 0.0
    likelihood = 0.0
    log_min = math.log(min_mu)
    r = 1.0 / dispersion
    for j in range(y.size):
        c = cell[j]
        mu = factors[j] * effect[c]
        log_mu = eta[c] + log_factors[j]
        offset = 0.0
        if not mu > min_mu:
            mu = min_mu
            offset = log_min - log_mu
            log_mu = log_min
        share = 1.0 / (1.0 + dispersion * mu)
        weight, gain = mu * share, (y[j] - mu) * share
        part = y[j] * log_mu - (y[j] + r) * log_one_plus(dispersion * mu)
        if weights.size:
            weight *= weights[j]
            gain *= weights[j]
            part *= weights[j]
        total[c] += weight
        score[c] += gain + weight * offset
        likelihood += part
    return likelihood


@inlined
def _step(cells, total, score, ridge, beta, room, step):  # type: ignore[no-untyped-def]
    """Fill ``step`` with (X'WX + R)^-1 [X'W (z - X beta) - R beta]; False if the matrix is singular.

    The step, not the new beta, is solved for: its rounding error is then relative to a quantity that goes
    to zero.
    """
    for k in range(beta.size):
        step[k] = -ridge[k] * beta[k]
    add_products(cells, score, step)
    return solve_equations(cells, total, ridge, room, step)


@inlined
def _constant(y, weights, dispersion):  # type: ignore[no-untyped-def]
    """Return the part of the log-likelihood that does not depend on the means."""
    excess_r = gamma_excess(1.0 / dispersion)
    total = 0.0
    for j in range(y.size):
        part = nb_constant(y[j], dispersion, excess_r)
        total += part * weights[j] if weights.size else part
    return total


@inlined
def _irls(gene, regression, by_cell, beta, at):  # type: ignore[no-untyped-def]
    """Iterate one gene to convergence; return whether it did.

    Overwrites ``beta``, the summed weights of each cell, and ``at`` (where these were computed).
    """
    cells, _, ridge, min_mu = regression
    eta, effect, total, score = by_cell
    p = beta.size
    room, step = equations(cells), np.empty(p)
    constant = _constant(gene.y, gene.weights, gene.dispersion)
    deviance_before = 0.0
    set_effects(cells, beta, eta, effect)
    _expand(gene, cells.of_sample, min_mu, by_cell)
    for iteration in range(MAX_ITERATIONS):
        for k in range(p):
            at[k] = beta[k]
        if not _step(cells, total, score, ridge, beta, room, step):
            return False
        runaway = False
        for k in range(p):
            beta[k] += step[k]
            runaway |= not abs(beta[k]) <= DIVERGED
        if runaway:
            return False
        for k in range(p):
            at[k] = beta[k]
        set_effects(cells, beta, eta, effect)
        likelihood = constant + _expand(gene, cells.of_sample, min_mu, by_cell)
        deviance = -2.0 * likelihood
        change = abs(deviance - deviance_before) / (abs(deviance) + 0.1)
        if not math.isfinite(change):
            return False
        if iteration > 0 and change < TOLERANCE:
            return iteration + 1 < MAX_ITERATIONS
        deviance_before = deviance
    return False


@inlined
def _fit_one(y, factors, weights, dispersion, regression, beta, beta_se, working):  # type: ignore[no-untyped-def]
    """Fit one gene into ``beta``, ``beta_se`` and ``working`` (coefficient,); return whether it converged."""
    cells, to_beta, ridge, _ = regression
    p, n_cells, log_factors = ridge.size, cells.size.size, np.empty(y.size)
    for k in range(p):
        beta[k] = 0.0
    for j in range(y.size):
        log_factors[j] = math.log(factors[j])
        level = math.log(y[j] / factors[j] + 0.1)
        for k in range(p):
            beta[k] += to_beta[k, j] * level
    gene = _Gene(y, factors, log_factors, weights, dispersion)
    by_cell = _ByCell(np.empty(n_cells), np.empty(n_cells), np.empty(n_cells), np.empty(n_cells))
    converged = _irls(gene, regression, by_cell, beta, working)
    definite = standard_errors(cells, by_cell.total, ridge, beta_se)
    return converged and definite


@kernel
def fit_all(first, last, block, regression, dispersion, found):  # type: ignore[no-untyped-def]
    """Fit some genes; ``found`` are their coefficients, errors, working coefficients and convergence."""
    beta, beta_se, working, converged = found
    for g in range(first, last):
        converged[g] = _fit_one(
            block.counts[g],
            row_of(block.factors, g),
            row_of(block.weights, g),
            dispersion[g],
            regression,
            beta[g],
            beta_se[g],
            working[g],
        )


@inlined
def _set_weights(factors, weights, regression, beta, dispersion, total):  # type: ignore[no-untyped-def]
    """Fill ``total`` (cell,) with the summed working weights at given coefficients."""
    cells, _, _, min_mu = regression
    effect = np.empty(total.size)
    set_effects(cells, beta, np.empty(total.size), effect)
    working_weights(factors, weights, effect, cells.of_sample, dispersion, min_mu, total)


@kernel
def contrast_errors(first, last, factors, weights, regression, at, contrast, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (gene,) with the standard errors of a contrast at given coefficients."""
    cells, _, ridge, _ = regression
    total = np.empty(cells.size.size)
    for g in range(first, last):
        _set_weights(row_of(factors, g), row_of(weights, g), regression, at.beta[g], at.dispersion[g], total)
        _, square = quadratic_forms(cells, total, ridge, contrast)
        out[g] = math.nan if math.isnan(square) else math.sqrt(max(square, 0.0))


@kernel
def coefficient_errors(first, last, factors, weights, regression, at, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (gene, coefficient) with standard errors at given coefficients."""
    cells, _, ridge, _ = regression
    total = np.empty(cells.size.size)
    for g in range(first, last):
        _set_weights(row_of(factors, g), row_of(weights, g), regression, at.beta[g], at.dispersion[g], total)
        standard_errors(cells, total, ridge, out[g])
