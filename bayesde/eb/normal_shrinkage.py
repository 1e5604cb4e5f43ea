r"""Shrunken effects under normal priors: the posterior mode with one variance per coefficient.

    beta_gk ~ Normal(0, sigma_k^2)

sigma_k is such that the upper 5 % point of |Normal(0, sigma_k^2)| is that of the maximum-likelihood
estimates, genes weighted by 1 / (1 / mean + dispersion), which is about their information (Love, Huber and
Anders 2014, doi:10.1186/s13059-014-0550-8, "Empirical Bayes shrinkage of LFC estimates"). The intercept is
not shrunk. With the precisions 1 / sigma_k^2 as ridge the regression is fitted again. Natural-log units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from bayesde.eb.glm import NO_WEIGHTS, fit_glm, fitted_means

if TYPE_CHECKING:
    from bayesde.eb.fit import EbFit

__all__ = ["NormalShrinkage", "prior_variances", "shrink_normally", "weighted_quantile"]

UPPER_QUANTILE = 0.95
LN2 = math.log(2.0)
LARGEST_EFFECT = 10.0 * LN2
"""Larger estimates are of groups without counts, and say nothing about the width of the prior."""
WIDE = 1e6 * LN2**2
"""Prior variance of a coefficient that is not shrunk."""


@dataclass(frozen=True)
class NormalShrinkage:
    """Posterior of one coefficient under the normal priors.

    Attributes
    ----------
    effect : ndarray (gene,)
        Mode.
    error : ndarray (gene,)
        Standard error of the mode as an estimator: smaller than the posterior sd.
    sd : ndarray (gene,)
        Posterior standard deviation by Laplace's approximation.
    """

    effect: np.ndarray
    error: np.ndarray
    sd: np.ndarray


def weighted_quantile(values: np.ndarray, weights: np.ndarray, probability: float) -> float:
    """Quantile of values that stand for several each: weights are scaled to sum to their number n.

    With the values sorted, position 1 + (n - 1) p is looked up in the cumulated weights, between whole
    positions linearly (the rule of R's Hmisc, which DESeq2 uses).

    Parameters
    ----------
    values, weights : ndarray (value,)
    probability : float

    Returns
    -------
    float
    """
    ordered, place = np.unique(values, return_inverse=True)
    cumulated = np.cumsum(np.bincount(place, weights=weights) * values.size / weights.sum())
    position = 1.0 + (values.size - 1.0) * probability
    low = max(math.floor(position), 1)
    ends = np.searchsorted(cumulated, [low, min(low + 1, values.size)], side="left")
    below, above = ordered[np.minimum(ends, ordered.size - 1)]
    return float(below + (position - low) * (above - below))


def prior_variances(fit: EbFit) -> np.ndarray:
    """Variance of the normal prior of every coefficient, natural log, (coefficient,)."""
    rows = fit.estimated
    weights = 1.0 / (1.0 / fit.base_mean[rows] + fit.dispersion_trend[rows])
    variances = np.full(fit.design.n_coefficients, WIDE)
    for k, beta in enumerate(fit.beta[rows].T):
        usable = np.abs(beta) < LARGEST_EFFECT
        if k != fit.design.intercept and usable.any():
            point = weighted_quantile(np.abs(beta[usable]), weights[usable], UPPER_QUANTILE)
            variances[k] = (point / ndtri(0.5 + UPPER_QUANTILE / 2.0)) ** 2
    return variances


def _posterior_sd(
    mu: np.ndarray, weights: np.ndarray, design: np.ndarray, precision: np.ndarray, k: int
) -> np.ndarray:
    """Square root of element k, k of (X' W X + precision)^-1, (gene,); ``weights`` (gene, sample) are W."""
    information = np.einsum("gj,ja,jb->gab", weights, design, design, optimize=True)
    information += np.diag(precision)
    return np.asarray(np.sqrt(np.linalg.inv(information)[:, k, k]))


def _shrink_some(fit: EbFit, genes: np.ndarray, ridge: np.ndarray, k: int) -> NormalShrinkage:
    """Fit some genes (positions) again under the ridge."""
    design, dispersion = fit.design.matrix, fit.dispersion[genes]
    factors, min_mu = fit.normalization_factors[genes], fit.options.min_mu
    observation = NO_WEIGHTS
    if fit.weights is not None:
        observation = fit.weights[genes] / fit.weights[genes].max(axis=1, keepdims=True)
    glm = fit_glm(
        fit.counts.rows(genes), factors, design, dispersion, weights=observation, ridge=ridge, min_mu=min_mu
    )
    mu = np.maximum(fitted_means(glm.beta, factors, design), min_mu)
    weights = mu / (1.0 + dispersion[:, None] * mu)
    if observation.size:
        weights = weights * observation
    sd = _posterior_sd(mu, weights, design, ridge, k)
    return NormalShrinkage(glm.beta[:, k], glm.beta_se[:, k], np.where(glm.converged, sd, np.nan))


def shrink_normally(fit: EbFit, k: int) -> NormalShrinkage:
    """Shrink coefficient ``k`` of every gene under normal priors on all coefficients but the intercept.

    Parameters
    ----------
    fit : EbFit
        The original counts are fitted, as DESeq2 does it, also where it replaced excessive ones before.
    k : int

    Returns
    -------
    NormalShrinkage
        NaN for genes without estimates.
    """
    ridge = 1.0 / prior_variances(fit)
    found = [np.full(fit.all_zero.size, np.nan) for _ in range(3)]
    for chunk in fit.counts.chunks():
        genes = np.arange(fit.all_zero.size)[chunk][fit.estimated[chunk]]
        if genes.size:
            part = _shrink_some(fit, genes, ridge, k)
            for out, values in zip(found, (part.effect, part.error, part.sd), strict=True):
                out[genes] = values
    return NormalShrinkage(*found)
