r"""Negative-binomial regression of each gene's counts on the design, dispersions given.

    y_j ~ NB(mu_j, alpha),   mu_j = nf_j exp(x_j . beta)

by iteratively reweighted least squares as DESeq2 does it (Love, Huber and Anders 2014,
doi:10.1186/s13059-014-0550-8, "Shrinkage estimation of logarithmic fold changes"): the same start, the same
weak ridge, the same stopping rule, so that the iterates agree and not only their limit. All coefficients
are in natural-log units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from bayesde.eb.block import NO_WEIGHTS, GeneBlock, shared_row
from bayesde.eb.bounded import BOUND, fit_bounded
from bayesde.eb.layout import DesignLayout
from bayesde.eb.nb import (
    cholesky,
    gamma_excess,
    invert,
    log_one_plus,
    nb_constant,
    row_of,
    solve,
    weighted_gram,
)
from bayesde.eb.threads import over_genes

__all__ = ["MIN_MU", "GlmFit", "contrast_standard_errors", "fit_glm", "linear_mu"]

MIN_MU = 0.5
"""Means below half a read are held there while fitting: the weights of smaller ones say nothing."""
LOG2 = math.log(2.0)
RIDGE = 1e-6 / LOG2**2
"""Precision of the ridge on every coefficient: a Normal of sd 1,000 on the log2 scale, for stability."""
MAX_ITERATIONS = 100
TOLERANCE = 1e-8
"""Relative change of the deviance at which the iteration stops."""
DIVERGED = 30.0
"""A coefficient beyond e^30 has run away: such a gene goes to the bounded optimiser."""


@dataclass(frozen=True, eq=False)
class GlmFit:
    """Coefficients of all genes.

    Attributes
    ----------
    beta, beta_se : ndarray (gene, coefficient)
        Estimates and standard errors, natural log.
    converged : ndarray of bool (gene,)
    bounded : ndarray of bool (gene,)
        Whether the estimate is from the bounded optimiser, the iteration having failed.
    working_beta : ndarray (gene, coefficient)
        Where the iteration last computed its weights: ``beta``, but for bounded genes.
    """

    beta: np.ndarray
    beta_se: np.ndarray
    converged: np.ndarray
    bounded: np.ndarray
    working_beta: np.ndarray


@njit(cache=True, error_model="numpy")
def cell_effects(rows, beta, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (cell,) with exp(x . beta) of each distinct row x of the design."""
    for c in range(out.size):
        eta = 0.0
        for k in range(beta.size):
            eta += rows[c, k] * beta[k]
        out[c] = math.exp(eta)


@njit(cache=True, error_model="numpy")
def set_means(y, factors, cells, coefficients, min_mu, mu):  # type: ignore[no-untyped-def]
    """Fill ``mu`` (sample,) from coefficients; where there are none, from the cell means of y / nf."""
    level, cell = np.zeros(cells.size.size), cells.of_sample
    if coefficients.size:
        for c in range(level.size):
            for k in range(coefficients.size):
                level[c] += cells.rows[c, k] * coefficients[k]
            level[c] = math.exp(level[c])
    else:
        for j in range(y.size):
            level[cell[j]] += y[j] / factors[j]
        for c in range(level.size):
            level[c] /= cells.size[c]
    for j in range(y.size):
        mu[j] = max(level[cell[j]] * factors[j], min_mu)


@njit(cache=True, error_model="numpy")
def working_weights(factors, weights, effect, cell, dispersion, min_mu, total):  # type: ignore[no-untyped-def]
    """Sum the weights mu / (1 + alpha mu) of the samples of each cell into ``total`` (cell,)."""
    for c in range(total.size):
        total[c] = 0.0
    for j in range(cell.size):
        mu = max(factors[j] * effect[cell[j]], min_mu)
        weight = mu / (1.0 + dispersion * mu)
        total[cell[j]] += weight * weights[j] if weights.size else weight


@njit(cache=True, error_model="numpy")
def covariance(rows, total, ridge, gram, inverse, factor, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with (M + R)^-1 M (M + R)^-1 and ``inverse`` with (M + R)^-1, M = X'WX, R the ridge."""
    p = ridge.size
    weighted_gram(rows, total, gram)
    for k in range(p):
        gram[k, k] += ridge[k]
    if not cholesky(gram, factor):
        return False
    invert(factor, inverse)
    # (M + R)^-1 M (M + R)^-1 = (M + R)^-1 - (M + R)^-1 R (M + R)^-1
    for a in range(p):
        for b in range(p):
            square = 0.0
            for k in range(p):
                square += inverse[a, k] * ridge[k] * inverse[k, b]
            out[a, b] = inverse[a, b] - square
    return True


@njit(cache=True, error_model="numpy")
def _expand(y, factors, log_factors, weights, cell, effect, eta, dispersion, min_mu, total, score):  # type: ignore[no-untyped-def]
    """Sum weights and scores over each cell; return the log-likelihood without its constant.

    A score is w_j (z_j - x_j . beta), with the working response z_j = ln(mu_j / nf_j) + (y_j - mu_j) / mu_j.
    """
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


@njit(cache=True, error_model="numpy")
def _step(rows, total, score, ridge, beta, gram, factor, step):  # type: ignore[no-untyped-def]
    """Fill ``step`` with (X'WX + R)^-1 [X'W (z - X beta) - R beta]; False if the matrix is singular.

    The step, not the new beta, is solved for: its rounding error is then relative to a quantity that goes
    to zero.
    """
    weighted_gram(rows, total, gram)
    for k in range(beta.size):
        gram[k, k] += ridge[k]
        step[k] = -ridge[k] * beta[k]
        for c in range(total.size):
            step[k] += rows[c, k] * score[c]
    if not cholesky(gram, factor):
        return False
    solve(factor, step)
    return True


@njit(cache=True, error_model="numpy")
def _set_effects(rows, beta, eta, effect):  # type: ignore[no-untyped-def]
    for c in range(eta.size):
        eta[c] = 0.0
        for k in range(beta.size):
            eta[c] += rows[c, k] * beta[k]
        effect[c] = math.exp(eta[c])


@njit(cache=True, error_model="numpy")
def _constant(y, weights, dispersion):  # type: ignore[no-untyped-def]
    """Return the part of the log-likelihood that does not depend on the means."""
    excess_r = gamma_excess(1.0 / dispersion)
    total = 0.0
    for j in range(y.size):
        part = nb_constant(y[j], dispersion, excess_r)
        total += part * weights[j] if weights.size else part
    return total


@njit(cache=True, error_model="numpy")
def _irls(y, factors, log_factors, weights, cells, dispersion, ridge, min_mu, beta, total, at):  # type: ignore[no-untyped-def]
    """Iterate one gene to convergence; return whether it did.

    Overwrites ``beta``, ``total`` (the summed weights of each cell) and ``at`` (where these were computed).
    """
    p, n_cells = beta.size, cells.size.size
    eta, effect, score = np.empty(n_cells), np.empty(n_cells), np.empty(n_cells)
    gram, factor, step = np.empty((p, p)), np.zeros((p, p)), np.empty(p)
    constant = _constant(y, weights, dispersion)
    deviance_before = 0.0
    _set_effects(cells.rows, beta, eta, effect)
    _expand(y, factors, log_factors, weights, cells.of_sample, effect, eta, dispersion, min_mu, total, score)
    for iteration in range(MAX_ITERATIONS):
        for k in range(p):
            at[k] = beta[k]
        if not _step(cells.rows, total, score, ridge, beta, gram, factor, step):
            return False
        runaway = False
        for k in range(p):
            beta[k] += step[k]
            runaway |= not abs(beta[k]) <= DIVERGED
        if runaway:
            return False
        for k in range(p):
            at[k] = beta[k]
        _set_effects(cells.rows, beta, eta, effect)
        likelihood = constant + _expand(
            y, factors, log_factors, weights, cells.of_sample, effect, eta, dispersion, min_mu, total, score
        )
        deviance = -2.0 * likelihood
        change = abs(deviance - deviance_before) / (abs(deviance) + 0.1)
        if not math.isfinite(change):
            return False
        if iteration > 0 and change < TOLERANCE:
            return iteration + 1 < MAX_ITERATIONS
        deviance_before = deviance
    return False


@njit(cache=True, error_model="numpy")
def _fit_one(y, factors, weights, cells, to_beta, dispersion, ridge, min_mu, beta, beta_se, working):  # type: ignore[no-untyped-def]
    """Fit one gene into ``beta``, ``beta_se`` and ``working`` (coefficient,); return whether it converged."""
    p = ridge.size
    log_factors, total = np.empty(y.size), np.empty(cells.size.size)
    for k in range(p):
        beta[k] = 0.0
    for j in range(y.size):
        log_factors[j] = math.log(factors[j])
        level = math.log(y[j] / factors[j] + 0.1)
        for k in range(p):
            beta[k] += to_beta[k, j] * level
    converged = _irls(
        y, factors, log_factors, weights, cells, dispersion, ridge, min_mu, beta, total, working
    )
    gram, inverse = np.empty((p, p)), np.empty((p, p))
    factor, sandwich = np.zeros((p, p)), np.empty((p, p))
    definite = covariance(cells.rows, total, ridge, gram, inverse, factor, sandwich)
    for k in range(p):
        beta_se[k] = math.sqrt(max(sandwich[k, k], 0.0)) if definite else math.nan
    return converged and definite


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_all(first, last, block, cells, to_beta, dispersion, ridge, min_mu, found):  # type: ignore[no-untyped-def]
    beta, beta_se, working, converged = found
    for g in range(first, last):
        converged[g] = _fit_one(
            block.counts[g],
            row_of(block.factors, g),
            row_of(block.weights, g),
            cells,
            to_beta,
            dispersion[g],
            ridge,
            min_mu,
            beta[g],
            beta_se[g],
            working[g],
        )


@njit(cache=True, error_model="numpy")
def _contrast_error(beta, factors, weights, cells, dispersion, ridge, min_mu, contrast):  # type: ignore[no-untyped-def]
    p = beta.size
    effect, total = np.empty(cells.size.size), np.empty(cells.size.size)
    gram, inverse = np.empty((p, p)), np.empty((p, p))
    factor, sandwich = np.zeros((p, p)), np.empty((p, p))
    cell_effects(cells.rows, beta, effect)
    working_weights(factors, weights, effect, cells.of_sample, dispersion, min_mu, total)
    if not covariance(cells.rows, total, ridge, gram, inverse, factor, sandwich):
        return math.nan
    form = 0.0
    for a in range(p):
        for b in range(p):
            form += contrast[a] * sandwich[a, b] * contrast[b]
    return math.sqrt(max(form, 0.0))


@njit(cache=True, nogil=True, error_model="numpy")
def _contrast_errors(first, last, beta, factors, weights, cells, dispersion, ridge, min_mu, contrast, out):  # type: ignore[no-untyped-def]
    for g in range(first, last):
        out[g] = _contrast_error(
            beta[g], row_of(factors, g), row_of(weights, g), cells, dispersion[g], ridge, min_mu, contrast
        )


def contrast_standard_errors(
    beta: np.ndarray,
    factors: np.ndarray,
    design: np.ndarray | DesignLayout,
    dispersion: np.ndarray,
    contrast: np.ndarray,
    weights: np.ndarray = NO_WEIGHTS,
    min_mu: float = MIN_MU,
) -> np.ndarray:
    """Return sqrt(c' Sigma c) per gene, Sigma the sandwich covariance at the given coefficients.

    Parameters
    ----------
    beta : ndarray (gene, coefficient)
    factors : ndarray (gene, sample), or (1, sample) where they are the same for all genes
    design : ndarray (sample, coefficient) or DesignLayout
    dispersion : ndarray (gene,)
    contrast : ndarray (coefficient,)
    weights : ndarray (gene, sample), optional
        Of the observations.
    min_mu : float
        Means are held above this.

    Returns
    -------
    ndarray (gene,)
        Natural-log units; NaN where the information matrix is singular.
    """
    layout, out = _layout(design), np.empty(len(beta))
    over_genes(
        _contrast_errors,
        len(beta),
        np.ascontiguousarray(beta),
        shared_row(factors),
        weights,
        layout.cells,
        dispersion,
        np.full(layout.n_coefficients, RIDGE),
        min_mu,
        np.ascontiguousarray(contrast, dtype=np.float64),
        out,
    )
    return out


def _layout(design: np.ndarray | DesignLayout) -> DesignLayout:
    return design if isinstance(design, DesignLayout) else DesignLayout.of(design)


def linear_mu(normalized: np.ndarray, factors: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Means by ordinary least squares of the normalized counts on the design, times the factors.

    Parameters
    ----------
    normalized, factors : ndarray (gene, sample)
    design : ndarray (sample, coefficient)

    Returns
    -------
    ndarray (gene, sample)
    """
    orthonormal, _ = np.linalg.qr(design)
    return (normalized @ orthonormal) @ orthonormal.T * factors


def _fit_intercept(
    counts: np.ndarray, factors: np.ndarray, dispersion: np.ndarray, weights: np.ndarray
) -> GlmFit:
    """Fit ``~ 1`` in closed form: the log of the (weighted) mean normalized count."""
    weight = weights if weights.size else np.ones((1, counts.shape[1]))
    mean = np.sum(weight * counts / factors, axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    total = np.sum(weight / (1.0 / (factors * mean) + dispersion[:, None]), axis=1, keepdims=True)
    beta, converged = np.log(mean), np.ones(len(counts), dtype=bool)
    return GlmFit(beta, 1.0 / np.sqrt(total), converged, ~converged, beta)


def _refit_failed(
    fit: GlmFit,
    counts: np.ndarray,
    factors: np.ndarray,
    layout: DesignLayout,
    dispersion: np.ndarray,
    weights: np.ndarray,
    min_mu: float,
) -> None:
    """Give genes whose iteration failed to a bounded optimiser, as DESeq2 gives them to optim.

    Overwrites their estimates in ``fit``.
    """
    failed = np.flatnonzero(~fit.converged)
    fit.bounded[failed] = True
    y, own_factors = counts[failed], np.ascontiguousarray(np.broadcast_to(factors, counts.shape)[failed])
    own_weights = weights[failed] if weights.size else NO_WEIGHTS
    found, converged = fit_bounded(
        y,
        own_factors,
        layout.matrix,
        dispersion[failed],
        fit.beta[failed],
        np.einsum("gj,kj->gk", np.log(y / own_factors + 0.1), layout.to_beta),
        RIDGE * LOG2**2,
        own_weights if weights.size else None,
    )
    fit.beta[failed] = found
    fit.converged[failed] = converged & (np.abs(found) < BOUND * LOG2).all(axis=1)
    for k, unit in enumerate(np.eye(layout.n_coefficients)):
        fit.beta_se[failed, k] = contrast_standard_errors(
            fit.beta[failed], own_factors, layout, dispersion[failed], unit, own_weights, min_mu
        )


def fit_glm(
    counts: np.ndarray,
    factors: np.ndarray,
    design: np.ndarray | DesignLayout,
    dispersion: np.ndarray,
    *,
    weights: np.ndarray = NO_WEIGHTS,
    ridge: np.ndarray | None = None,
    min_mu: float = MIN_MU,
) -> GlmFit:
    """Fit the regression of every gene.

    Parameters
    ----------
    counts : ndarray of float64 (gene, sample)
        None of the genes may be all zero.
    factors : ndarray (gene, sample), or (1, sample) where they are the same for all genes
        Normalization factors.
    design : ndarray (sample, coefficient) or DesignLayout
        Of full column rank.
    dispersion : ndarray (gene,)
    weights : ndarray (gene, sample), optional
        How much each observation counts, at most 1.
    ridge : ndarray (coefficient,), optional
        Prior precision of each coefficient, natural log; by default so weak that only separation feels it.
    min_mu : float
        Means are held above this while fitting.

    Returns
    -------
    GlmFit
        Natural-log units.
    """
    layout, factors = _layout(design), shared_row(factors)
    if layout.is_intercept and ridge is None:
        return _fit_intercept(counts, factors, dispersion, weights)
    penalty = np.full(layout.n_coefficients, RIDGE) if ridge is None else ridge
    beta, beta_se, working = (np.empty((len(counts), layout.n_coefficients)) for _ in range(3))
    converged = np.empty(len(counts), dtype=bool)
    over_genes(
        _fit_all,
        len(counts),
        GeneBlock(counts, factors, weights),
        layout.cells,
        layout.to_beta,
        dispersion,
        penalty,
        min_mu,
        (beta, beta_se, working, converged),
    )
    fit = GlmFit(beta, beta_se, converged, np.zeros(len(counts), dtype=bool), working)
    if ridge is None and not converged.all():
        _refit_failed(fit, counts, factors, layout, dispersion, weights, min_mu)
    return fit


def fitted_means(beta: np.ndarray, factors: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Return nf exp(x . beta) (gene, sample), not held above anything."""
    with np.errstate(over="ignore"):
        return factors * np.exp(np.einsum("gk,jk->gj", beta, design))
