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

from bayesde.counts import chunk_cells
from bayesde.eb.block import GeneBlock
from bayesde.eb.glm import fit_glm, fitted_means
from bayesde.eb.matched_prior import matched_sd

if TYPE_CHECKING:
    from bayesde.eb.fit import EbFit

__all__ = ["NormalShrinkage", "prior_variances", "shrink_normally"]

PIECES = 4
"""Genes are shrunk in parts of a chunk, because several arrays (gene, sample) are made on the way."""
LN2 = math.log(2.0)
LARGEST_EFFECT = 10.0 * LN2
"""Larger estimates are of groups without counts, and say nothing about the width of the prior."""
MAX_NEWTON_STEPS = 200
SHORTEST = 1e-10
NEGLIGIBLE = 1e-16
"""Squared length, in standard deviations, of the last step."""
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


def prior_variances(fit: EbFit) -> np.ndarray:
    """Variance of the normal prior of every coefficient, natural log, (coefficient,)."""
    rows = fit.estimated
    weights = 1.0 / (1.0 / fit.base_mean[rows] + fit.dispersion_trend[rows])
    variances = np.full(fit.design.n_coefficients, WIDE)
    for k, beta in enumerate(fit.beta[rows].T):
        usable = np.abs(beta) < LARGEST_EFFECT
        if k != fit.design.intercept and usable.any():
            variances[k] = matched_sd(np.abs(beta[usable]), weights[usable]) ** 2
    return variances


def _covariances(weights: np.ndarray, design: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Return (X' W X + precision)^-1 (gene, coefficient, coefficient); ``weights`` (gene, sample) are W."""
    # Sums by einsum are the same for a gene however many there are; those of BLAS are not.
    products = design[:, :, None] * design[:, None, :]
    information = np.einsum("gj,jab->gab", weights, products)
    return np.asarray(np.linalg.inv(information + np.diag(precision)))


def _mode(
    y: np.ndarray,
    factors: np.ndarray,
    weights: np.ndarray,
    design: np.ndarray,
    dispersion: float,
    ridge: np.ndarray,
) -> np.ndarray:
    """Posterior mode (coefficient,) of one gene, by Newton's method with halved steps from zero.

    For the few genes whose iterated least squares do not settle. The objective is convex.
    """

    def loss(b: np.ndarray) -> float:
        eta = design @ b
        log_total = np.logaddexp(0.0, eta + np.log(factors * dispersion))
        return float(np.sum(weights * ((y + 1.0 / dispersion) * log_total - y * eta)) + 0.5 * ridge @ b**2)

    b = np.zeros(design.shape[1])
    for _ in range(MAX_NEWTON_STEPS):
        mu = fitted_means(b[None, :], factors, design)[0]
        share = 1.0 / (1.0 + dispersion * mu)
        gradient = design.T @ (weights * (mu - y) * share) + ridge * b
        curvature = weights * (1.0 + dispersion * y) * mu * share**2
        step = -_covariances(curvature[None, :], design, ridge)[0] @ gradient
        length, value = 1.0, loss(b)
        while not loss(b + length * step) <= value + 1e-4 * length * gradient @ step and length > SHORTEST:
            length *= 0.5
        b = b + length * step
        if -gradient @ step < NEGLIGIBLE:
            break
    return b


def _shrink_some(fit: EbFit, genes: np.ndarray, ridge: np.ndarray, k: int) -> NormalShrinkage:
    """Fit some genes (positions) again under the ridge."""
    design, dispersion = fit.design.matrix, fit.dispersion[genes]
    given = None if fit.weights is None else fit.weights[genes]
    block = GeneBlock.of(fit.counts.rows(genes), fit.normalization_factors[genes], given)
    counts, factors, weights, min_mu = block.counts, block.factors, block.weights, fit.options.min_mu
    glm = fit_glm(counts, factors, design, dispersion, weights=weights, ridge=ridge, min_mu=min_mu)
    beta, weights = glm.beta, weights if weights.size else np.ones_like(counts)
    for g in np.flatnonzero(~glm.converged):
        beta[g] = _mode(counts[g], factors[g], weights[g], design, dispersion[g], ridge)
    mu = np.maximum(fitted_means(beta, factors, design), min_mu)
    covariance = _covariances(weights * mu / (1.0 + dispersion[:, None] * mu), design, ridge)
    # (M + R)^-1 M (M + R)^-1 = (M + R)^-1 - (M + R)^-1 R (M + R)^-1
    posterior = covariance[:, k, k]
    error = posterior - np.sum(covariance[:, k] ** 2 * ridge, axis=1)
    return NormalShrinkage(beta[:, k], np.sqrt(np.maximum(error, 0.0)), np.sqrt(posterior))


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
    for chunk in fit.counts.chunks(max(1, chunk_cells() // PIECES)):
        genes = chunk.start + np.flatnonzero(fit.estimated[chunk])
        if genes.size:
            part = _shrink_some(fit, genes, ridge, k)
            for out, values in zip(found, (part.effect, part.error, part.sd), strict=True):
                out[genes] = values
    return NormalShrinkage(*found)
