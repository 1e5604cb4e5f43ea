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

from bayesde.eb.block import NO_WEIGHTS, GeneBlock, shared_row
from bayesde.eb.regression.bounded import BOUND, fit_bounded
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.irls import Coefficients, Regression, coefficient_errors, contrast_errors, fit_all
from bayesde.numerics.libm import exp, log
from bayesde.numerics.linear import products
from bayesde.numerics.threads import over_genes

__all__ = [
    "MIN_MU",
    "RIDGE",
    "GlmFit",
    "contrast_standard_errors",
    "fit_glm",
    "fitted_means",
    "shared_regression",
]

MIN_MU = 0.5
"""Means are not allowed to fall below half a read: working weights of smaller means are uninformative."""
LN2 = math.log(2.0)
RIDGE = 1e-6 / LN2**2
"""Precision of the ridge on every coefficient: a Normal of sd 1,000 on the log2 scale, for stability."""


@dataclass(frozen=True, eq=False)
class GlmFit:
    """Coefficients of all genes.

    Attributes
    ----------
    beta, beta_se : ndarray (gene, coefficient)
        Estimates and standard errors, natural log.
    converged : ndarray of bool (gene,)
    bounded : ndarray of bool (gene,)
        Whether the estimate is from the bounded optimizer, the iteration having failed.
    working_beta : ndarray (gene, coefficient)
        Where the iteration last computed its weights: ``beta``, but for bounded genes.
    """

    beta: np.ndarray
    beta_se: np.ndarray
    converged: np.ndarray
    bounded: np.ndarray
    working_beta: np.ndarray


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
        Fitted means are not allowed to fall below this.

    Returns
    -------
    ndarray (gene,)
        Natural-log units; NaN where the information matrix is singular.
    """
    layout, out = _layout(design), np.empty(len(beta))
    over_genes(
        contrast_errors,
        len(beta),
        shared_row(factors),
        weights,
        shared_regression(layout, min_mu),
        Coefficients(np.ascontiguousarray(beta), dispersion),
        np.ascontiguousarray(contrast, dtype=np.float64),
        out,
    )
    return out


def _layout(design: np.ndarray | DesignLayout) -> DesignLayout:
    return design if isinstance(design, DesignLayout) else DesignLayout.of(design)


def shared_regression(layout: DesignLayout, min_mu: float, ridge: np.ndarray | None = None) -> Regression:
    """Gather what the regressions of all genes share.

    Parameters
    ----------
    layout : DesignLayout
    min_mu : float
        Means are not allowed to fall below this.
    ridge : ndarray (coefficient,), optional
        Prior precisions, natural log; by default `RIDGE` for each.

    Returns
    -------
    Regression
    """
    weak = np.full(layout.n_coefficients, RIDGE)
    return Regression(layout.cells, layout.to_beta, weak if ridge is None else ridge, min_mu)


def _fit_intercept(
    counts: np.ndarray, factors: np.ndarray, dispersion: np.ndarray, weights: np.ndarray
) -> GlmFit:
    """Fit ``~ 1`` in closed form: the log of the (weighted) mean normalized count."""
    weight = weights if weights.size else np.ones((1, counts.shape[1]))
    mean = np.sum(weight * counts / factors, axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    total = np.sum(weight / (1.0 / (factors * mean) + dispersion[:, None]), axis=1, keepdims=True)
    beta, converged = log(mean), np.ones(len(counts), dtype=bool)
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
    """Fit genes whose iteration failed by a bounded optimizer, as DESeq2 does with optim.

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
        products(log(y / own_factors + 0.1), layout.to_beta),
        RIDGE * LN2**2,
        own_weights if weights.size else None,
    )
    fit.beta[failed] = found
    fit.converged[failed] = converged & (np.abs(found) < BOUND * LN2).all(axis=1)
    errors, at = np.empty_like(found), Coefficients(found, dispersion[failed])
    regression = shared_regression(layout, min_mu)
    over_genes(coefficient_errors, len(found), own_factors, own_weights, regression, at, errors)
    fit.beta_se[failed] = errors


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
        Observation weights, at most 1.
    ridge : ndarray (coefficient,), optional
        Prior precision of each coefficient, natural log; by default it matters only under separation.
    min_mu : float
        Fitted means are not allowed to fall below this.

    Returns
    -------
    GlmFit
        Natural-log units.
    """
    layout, factors = _layout(design), shared_row(factors)
    if layout.is_intercept and ridge is None:
        return _fit_intercept(counts, factors, dispersion, weights)
    beta, beta_se, working = (np.empty((len(counts), layout.n_coefficients)) for _ in range(3))
    converged = np.empty(len(counts), dtype=bool)
    over_genes(
        fit_all,
        len(counts),
        GeneBlock(counts, factors, weights),
        shared_regression(layout, min_mu, ridge),
        dispersion,
        (beta, beta_se, working, converged),
    )
    fit = GlmFit(beta, beta_se, converged, np.zeros(len(counts), dtype=bool), working)
    if ridge is None and not converged.all():
        _refit_failed(fit, counts, factors, layout, dispersion, weights, min_mu)
    return fit


def fitted_means(beta: np.ndarray, factors: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Return nf exp(x . beta) (gene, sample), not held above anything.

    Parameters
    ----------
    beta : ndarray (gene, coefficient)
        Natural log.
    factors : ndarray (gene, sample), or (1, sample) where they are the same for all genes
    design : ndarray (sample, coefficient)

    Returns
    -------
    ndarray (gene, sample)
    """
    with np.errstate(over="ignore"):
        return factors * exp(products(beta, design))
