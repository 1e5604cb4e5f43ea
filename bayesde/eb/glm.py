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
from numba import njit, prange

from bayesde.eb.bounded import fit_bounded
from bayesde.eb.nb import cholesky, invert, nb_log_pmf, solve, weighted_gram

__all__ = ["MIN_MU", "GlmFit", "contrast_standard_errors", "design_is_intercept", "fit_glm", "linear_mu"]

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


@dataclass(frozen=True)
class GlmFit:
    """Coefficients of all genes.

    Attributes
    ----------
    beta, beta_se : ndarray (gene, coefficient)
        Estimates and standard errors, natural log.
    mu : ndarray (gene, sample)
        Fitted means, not held above ``MIN_MU``.
    leverage : ndarray (gene, sample)
        Diagonal of the hat matrix.
    converged : ndarray of bool (gene,)
    bounded : ndarray of bool (gene,)
        Whether the estimate is from the bounded optimiser, the iteration having failed.
    """

    beta: np.ndarray
    beta_se: np.ndarray
    mu: np.ndarray
    leverage: np.ndarray
    converged: np.ndarray
    bounded: np.ndarray


@njit(cache=True)
def _set_mu(design: np.ndarray, factors: np.ndarray, beta: np.ndarray, mu: np.ndarray) -> None:
    for j in range(mu.size):
        eta = 0.0
        for k in range(beta.size):
            eta += design[j, k] * beta[k]
        mu[j] = max(factors[j] * math.exp(eta), MIN_MU)


@njit(cache=True)
def _irls_step(y, factors, design, dispersion, mu, weights, beta, gram, factor):  # type: ignore[no-untyped-def]
    """Move ``beta`` by (X'WX + ridge)^-1 [X'W (z - X beta) - ridge beta]; False if the matrix is singular.

    z_j = ln(mu_j / nf_j) + (y_j - mu_j) / mu_j. The step, not the new beta, is solved for: its rounding
    error is then relative to a quantity that goes to zero.
    """
    m, p = design.shape
    for j in range(m):
        weights[j] = mu[j] / (1.0 + dispersion * mu[j])
    weighted_gram(design, weights, gram)
    step = np.empty(p)
    for k in range(p):
        gram[k, k] += RIDGE
        step[k] = -RIDGE * beta[k]
    for j in range(m):
        residual = math.log(mu[j] / factors[j]) + (y[j] - mu[j]) / mu[j]
        for k in range(p):
            residual -= design[j, k] * beta[k]
        for k in range(p):
            step[k] += design[j, k] * weights[j] * residual
    if not cholesky(gram, factor):
        return False
    solve(factor, step)
    for k in range(p):
        beta[k] += step[k]
    return True


@njit(cache=True)
def _irls(y, factors, design, dispersion, beta, mu, weights, gram, factor):  # type: ignore[no-untyped-def]
    """Iterate one gene to convergence; return whether it did. ``beta`` and ``mu`` are overwritten."""
    _set_mu(design, factors, beta, mu)
    deviance_before = 0.0
    for iteration in range(MAX_ITERATIONS):
        if not _irls_step(y, factors, design, dispersion, mu, weights, beta, gram, factor):
            return False
        for k in range(beta.size):
            if not abs(beta[k]) <= DIVERGED:
                return False
        _set_mu(design, factors, beta, mu)
        deviance = 0.0
        for j in range(y.size):
            deviance -= 2.0 * nb_log_pmf(y[j], mu[j], dispersion)
        change = abs(deviance - deviance_before) / (abs(deviance) + 0.1)
        if not math.isfinite(change):
            return False
        if iteration > 0 and change < TOLERANCE:
            return iteration + 1 < MAX_ITERATIONS
        deviance_before = deviance
    return False


@njit(cache=True)
def _covariance(design, dispersion, mu, weights, gram, inverse, factor, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with (M + R)^-1 M (M + R)^-1 and ``inverse`` with (M + R)^-1, M = X'WX, R the ridge."""
    m, p = design.shape
    for j in range(m):
        weights[j] = mu[j] / (1.0 + dispersion * mu[j])
    weighted_gram(design, weights, gram)
    for k in range(p):
        gram[k, k] += RIDGE
    if not cholesky(gram, factor):
        return False
    invert(factor, inverse)
    # (M + R)^-1 M (M + R)^-1 = (M + R)^-1 - ridge (M + R)^-2
    for a in range(p):
        for b in range(p):
            square = 0.0
            for k in range(p):
                square += inverse[a, k] * inverse[k, b]
            out[a, b] = inverse[a, b] - RIDGE * square
    return True


@njit(cache=True, parallel=True)
def _fit_all(counts, factors, design, dispersion, beta, beta_se, leverage, converged):  # type: ignore[no-untyped-def]
    n_genes, m = counts.shape
    p = design.shape[1]
    for g in prange(n_genes):
        mu, weights = np.empty(m), np.empty(m)
        gram, inverse = np.empty((p, p)), np.empty((p, p))
        factor, covariance = np.zeros((p, p)), np.empty((p, p))
        converged[g] = _irls(counts[g], factors[g], design, dispersion[g], beta[g], mu, weights, gram, factor)
        if not _covariance(design, dispersion[g], mu, weights, gram, inverse, factor, covariance):
            converged[g] = False
            beta_se[g, :] = np.nan
            leverage[g, :] = np.nan
            continue
        for k in range(p):
            beta_se[g, k] = math.sqrt(max(covariance[k, k], 0.0))
        for j in range(m):
            form = 0.0
            for a in range(p):
                for b in range(p):
                    form += design[j, a] * inverse[a, b] * design[j, b]
            leverage[g, j] = weights[j] * form


@njit(cache=True, parallel=True)
def contrast_standard_errors(beta, factors, design, dispersion, contrast):  # type: ignore[no-untyped-def]
    """Return sqrt(c' Sigma c) per gene, Sigma the sandwich covariance at the given coefficients.

    Parameters
    ----------
    beta : ndarray (gene, coefficient)
    factors : ndarray (gene, sample)
    design : ndarray (sample, coefficient)
    dispersion : ndarray (gene,)
    contrast : ndarray (coefficient,)

    Returns
    -------
    ndarray (gene,)
        Natural-log units; NaN where the information matrix is singular.
    """
    n_genes, m = factors.shape
    p = design.shape[1]
    out = np.empty(n_genes)
    for g in prange(n_genes):
        mu, weights = np.empty(m), np.empty(m)
        gram, inverse = np.empty((p, p)), np.empty((p, p))
        factor, covariance = np.zeros((p, p)), np.empty((p, p))
        _set_mu(design, factors[g], beta[g], mu)
        if not _covariance(design, dispersion[g], mu, weights, gram, inverse, factor, covariance):
            out[g] = np.nan
            continue
        form = 0.0
        for a in range(p):
            for b in range(p):
                form += contrast[a] * covariance[a, b] * contrast[b]
        out[g] = math.sqrt(max(form, 0.0))
    return out


def design_is_intercept(design: np.ndarray) -> bool:
    """Tell whether a design (sample, coefficient) is a single column of ones."""
    return design.shape[1] == 1 and bool(np.all(design == 1.0))


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


def _starts(normalized: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Least squares of ln(q + 0.1) on the design, (gene, coefficient)."""
    orthonormal, triangular = np.linalg.qr(design)
    return np.ascontiguousarray(np.linalg.solve(triangular, orthonormal.T @ np.log(normalized + 0.1).T).T)


def _fit_intercept(counts: np.ndarray, factors: np.ndarray, dispersion: np.ndarray) -> GlmFit:
    """Fit ``~ 1`` in closed form: the log of the mean normalized count."""
    beta = np.log(np.mean(counts / factors, axis=1, keepdims=True))
    mu = factors * np.exp(beta)
    weights = 1.0 / (1.0 / mu + dispersion[:, None])
    total = weights.sum(axis=1, keepdims=True)
    converged = np.ones(len(counts), dtype=bool)
    return GlmFit(beta, 1.0 / np.sqrt(total), mu, weights / total, converged, ~converged)


def _refit_failed(
    fit: GlmFit, counts: np.ndarray, factors: np.ndarray, design: np.ndarray, dispersion: np.ndarray
) -> GlmFit:
    """Give genes whose iteration failed to a bounded optimiser, as DESeq2 gives them to optim."""
    failed = np.flatnonzero(~fit.converged)
    if failed.size == 0:
        return fit
    y, nf = counts[failed], factors[failed]
    fit.beta[failed], fit.converged[failed] = fit_bounded(
        y, nf, design, dispersion[failed], fit.beta[failed], _starts(y / nf, design), RIDGE * LOG2**2
    )
    fit.mu[failed] = nf * np.exp(fit.beta[failed] @ design.T)
    for k in range(design.shape[1]):
        unit = np.zeros(design.shape[1])
        unit[k] = 1.0
        fit.beta_se[failed, k] = contrast_standard_errors(
            fit.beta[failed], factors[failed], design, dispersion[failed], unit
        )
    return fit


def fit_glm(counts: np.ndarray, factors: np.ndarray, design: np.ndarray, dispersion: np.ndarray) -> GlmFit:
    """Fit the regression of every gene.

    Parameters
    ----------
    counts : ndarray of float64 (gene, sample)
        None of the genes may be all zero.
    factors : ndarray (gene, sample)
        Normalization factors.
    design : ndarray (sample, coefficient)
        Of full column rank.
    dispersion : ndarray (gene,)

    Returns
    -------
    GlmFit
        Natural-log units.
    """
    if design_is_intercept(design):
        return _fit_intercept(counts, factors, dispersion)
    beta = _starts(counts / factors, design)
    beta_se, leverage = np.empty_like(beta), np.empty_like(counts)
    converged = np.empty(len(counts), dtype=np.bool_)
    _fit_all(counts, factors, design, dispersion, beta, beta_se, leverage, converged)
    with np.errstate(over="ignore", invalid="ignore"):
        mu = factors * np.exp(beta @ design.T)
    fit = GlmFit(beta, beta_se, mu, leverage, converged, ~converged)
    return _refit_failed(fit, counts, factors, design, dispersion)
