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

import numpy as np

from bayesde.counts import chunk_cells
from bayesde.eb.block import GeneBlock
from bayesde.eb.estimates import EbEstimates
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.glm import fit_glm, fitted_means, shared_regression
from bayesde.eb.regression.information import quadratic_forms
from bayesde.eb.regression.irls import Coefficients, set_effects, working_weights
from bayesde.eb.shrinkage.matched_prior import matched_sd
from bayesde.numerics.cholesky import row_of
from bayesde.numerics.compiled import kernel
from bayesde.numerics.libm import exp, log
from bayesde.numerics.linear import combine, least_squares
from bayesde.numerics.small_matrices import solve
from bayesde.numerics.threads import over_genes

__all__ = ["NormalShrinkage", "prior_variances", "shrink_normally"]

PIECES = 4
"""Genes are shrunk in parts of a chunk, because several arrays (gene, sample) are made on the way."""
LN2 = math.log(2.0)
LARGEST_EFFECT = 10.0 * LN2
"""Larger estimates are of groups without counts, and are uninformative about the width of the prior."""
MAX_NEWTON_STEPS = 200
SHORTEST = 1e-10
NEGLIGIBLE = 1e-16
"""Squared length, in standard deviations, of the last step."""
LARGE = 20
"""Coefficients from which steps are solved by Cholesky factors."""
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


def prior_variances(fit: EbEstimates) -> np.ndarray:
    """Variance of the normal prior of every coefficient, natural log, (coefficient,).

    Parameters
    ----------
    fit : EbEstimates

    Returns
    -------
    ndarray (coefficient,)
    """
    rows = fit.estimated
    weights = 1.0 / (1.0 / fit.base_mean[rows] + fit.dispersion_trend[rows])
    variances = np.full(fit.design.n_coefficients, WIDE)
    for k, beta in enumerate(fit.beta[rows].T):
        usable = np.abs(beta) < LARGEST_EFFECT
        if k != fit.design.intercept and usable.any():
            variances[k] = matched_sd(np.abs(beta[usable]), weights[usable]) ** 2
    return variances


@kernel
def _variances(first, last, block, regression, at, k, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (gene, 2) with the variance of coefficient k as a posterior and as an estimator.

    The former is [(M + R)^-1]_kk, the latter [(M + R)^-1 M (M + R)^-1]_kk, with M = X'WX and R the ridge.
    """
    cells, _, ridge, min_mu = regression
    n_cells, unit = cells.size.size, np.zeros(ridge.size)
    eta, effect, total = np.empty(n_cells), np.empty(n_cells), np.empty(n_cells)
    unit[k] = 1.0
    for g in range(first, last):
        factors, weights = row_of(block.factors, g), row_of(block.weights, g)
        set_effects(cells, at.beta[g], eta, effect)
        working_weights(factors, weights, effect, cells.of_sample, at.dispersion[g], min_mu, total)
        out[g, 0], out[g, 1] = quadratic_forms(cells, total, ridge, unit)


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
    log_scale = log(factors * dispersion)

    def loss(b: np.ndarray) -> float:
        eta = combine(design, b)
        total = np.sum(weights * ((y + 1.0 / dispersion) * _log_one_plus_exp(eta + log_scale) - y * eta))
        return float(total + 0.5 * np.sum(ridge * b**2))

    b = np.zeros(design.shape[1])
    for _ in range(MAX_NEWTON_STEPS):
        mu = fitted_means(b[None, :], factors, design)[0]
        share = 1.0 / (1.0 + dispersion * mu)
        gradient = np.sum(design * (weights * (mu - y) * share)[:, None], axis=0) + ridge * b
        curvature = weights * (1.0 + dispersion * y) * mu * share**2
        information = np.diag(ridge) + np.sum(
            curvature[:, None, None] * design[:, :, None] * design[:, None, :], axis=0
        )
        step = -_solved(information, gradient)
        length, value, slope = 1.0, loss(b), float(np.sum(gradient * step))
        while not loss(b + length * step) <= value + 1e-4 * length * slope and length > SHORTEST:
            length *= 0.5
        b = b + length * step
        if -slope < NEGLIGIBLE:
            break
    return b


def _solved(information: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Solve a step; Householder reflections of large matrices take long, and the ridge makes it definite."""
    found = solve(information, gradient) if len(gradient) >= LARGE else None
    return least_squares(information, gradient) if found is None else found


def _log_one_plus_exp(x: np.ndarray) -> np.ndarray:
    """Return ln(1 + e^x) without overflow."""
    return np.maximum(x, 0.0) + log(1.0 + exp(-np.abs(x)))


def _shrink_some(fit: EbEstimates, genes: np.ndarray, ridge: np.ndarray, k: int) -> NormalShrinkage:
    """Fit some genes (positions) again under the ridge."""
    layout, dispersion = DesignLayout.of(fit.design.matrix), fit.dispersion[genes]
    given = None if fit.weights is None else fit.weights[genes]
    block = GeneBlock.of(fit.counts.rows(genes), fit.normalization_factors[genes], given)
    min_mu = fit.options.min_mu
    glm = fit_glm(
        block.counts, block.factors, layout, dispersion, weights=block.weights, ridge=ridge, min_mu=min_mu
    )
    beta = glm.beta
    for g in np.flatnonzero(~glm.converged):
        weights = block.weights[g] if block.weights.size else np.ones(layout.n_samples)
        factors = np.broadcast_to(block.factors, block.counts.shape)[g]
        beta[g] = _mode(block.counts[g], factors, weights, layout.matrix, dispersion[g], ridge)
    variances = np.empty((block.n_genes, 2))
    regression, at = shared_regression(layout, min_mu, ridge), Coefficients(beta, dispersion)
    over_genes(_variances, block.n_genes, block, regression, at, k, variances)
    sd, error = np.sqrt(np.maximum(variances, 0.0)).T
    return NormalShrinkage(beta[:, k], error, sd)


def shrink_normally(fit: EbEstimates, k: int) -> NormalShrinkage:
    """Shrink coefficient ``k`` of every gene under normal priors on all coefficients but the intercept.

    Parameters
    ----------
    fit : EbEstimates
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
