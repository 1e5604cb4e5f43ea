r"""The priors at draws of the genes, for any hyperparameters: what importance weights change by.

    p(theta | phi) = prod_k Cauchy(beta_k | 0, S_k)  Normal or Student-t(a | log trend, sigma)

Kernels over genes. They leave out the priors' heights (`log_height`), the same for all draws. The density of
a coefficient is that of `bayesde.model.effect_prior`. With ln p(y | theta) / q(theta) known, a draw costs one
division and one exponential. Loops run over the draws innermost, so that they become vector instructions;
hyperparameters come as points (first axis), so that a gene's draws are read once for all of them. theta
(gene, draw, P + 1) may have room for more draws than log_ratio (gene, draw) has.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import digamma

from bayesde.model.effect_prior import fill_inverse_densities, log_effect_heights, slope_by_log_scale
from bayesde.numerics.compiled import fused, kernel, transpose
from bayesde.numerics.elementary import exponential, logarithm
from bayesde.numerics.sums import sum_of

__all__ = [
    "HyperPriors",
    "ScaledPrior",
    "average_weights",
    "fill_evidence",
    "fill_highest",
    "fill_moments",
    "log_height",
    "log_height_slope",
    "log_prior_shape",
    "prior_of_gene",
]

LEAST = -690.0
"""What the log prior counts as at the least, where a gene's largest weight is looked for."""


class HyperPriors(NamedTuple):
    """The genes' priors at points of the hyperparameters.

    At a single point, the axis for points is missing.

    Attributes
    ----------
    columns : ndarray of int64 (shrunken,)
        Which of the coefficients are shrunken.
    scale : ndarray (point, shrunken)
        Scales S_k of their priors, natural log.
    log_trend : ndarray (point, gene)
        Centers of the log dispersions.
    sd : ndarray (point,)
        Scale sigma of log dispersions around the trend.
    nu : ndarray (point,)
        Degrees of freedom of these residuals; infinite for normal ones.
    """

    columns: np.ndarray
    scale: np.ndarray
    log_trend: np.ndarray
    sd: np.ndarray | float
    nu: np.ndarray | float


class ScaledPrior(NamedTuple):
    """One gene's prior at one point of the hyperparameters, with what loops over draws multiply by.

    Attributes
    ----------
    columns : ndarray of int64 (shrunken,)
    inverse_scale : ndarray (shrunken,)
        1 / S_k.
    log_trend : float
    inverse_sd : float
        1 / sigma.
    nu : float
    """

    columns: np.ndarray
    inverse_scale: np.ndarray
    log_trend: float
    inverse_sd: float
    nu: float


@kernel
def _fill_residuals(log_dispersion, log_trend, inverse_sd, nu, out):  # type: ignore[no-untyped-def]
    """Fill the log density of the residuals over that at their peak."""
    for m in range(out.size):
        z = (log_dispersion[m] - log_trend) * inverse_sd
        out[m] = -0.5 * z * z
    if not math.isinf(nu):
        for m in range(out.size):
            out[m] = -0.5 * (nu + 1.0) * logarithm(1.0 - 2.0 * out[m] / nu)


@kernel
def prior_of_gene(priors, g):  # type: ignore[no-untyped-def]
    """Return the priors of gene g at the only point of the hyperparameters."""
    trend, sd = priors.log_trend[g], 1.0 / priors.sd
    return ScaledPrior(priors.columns, 1.0 / priors.scale, trend, sd, priors.nu)


@kernel
def _at_point(priors, s, g):  # type: ignore[no-untyped-def]
    """Return the priors of gene g at point s of the hyperparameters."""
    trend, sd = priors.log_trend[s, g], 1.0 / priors.sd[s]
    return ScaledPrior(priors.columns, 1.0 / priors.scale[s], trend, sd, priors.nu[s])


@kernel
def log_prior_shape(points, prior, inverse, out):  # type: ignore[no-untyped-def]
    """Fill the log density of the priors at one gene's draws (P + 1, draw), over that at their peaks.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
    prior : ScaledPrior
    inverse : ndarray (draw,)
        Work space.
    out : ndarray (draw,)
        Written to.
    """
    fill_inverse_densities(points, prior.columns, prior.inverse_scale, inverse)
    _fill_residuals(points[points.shape[0] - 1], prior.log_trend, prior.inverse_sd, prior.nu, out)
    for m in range(out.size):
        out[m] -= logarithm(inverse[m])


@kernel
def _weigh(points, log_ratio, prior, inverse, weights):  # type: ignore[no-untyped-def]
    """Fill one gene's weights at its draws (P + 1, draw); ``inverse`` (draw,) is work space."""
    fill_inverse_densities(points, prior.columns, prior.inverse_scale, inverse)
    _fill_residuals(points[points.shape[0] - 1], prior.log_trend, prior.inverse_sd, prior.nu, weights)
    for m in range(weights.size):
        weights[m] = exponential(log_ratio[m] + weights[m]) / inverse[m]


@kernel
def fill_highest(first, last, theta, priors, log_ratio, highest):  # type: ignore[no-untyped-def]
    """Fill the log ratio at the draw of largest weight of some genes, or 0 if none has any.

    Parameters
    ----------
    first, last : int
        The range of genes.
    theta : ndarray of float32 (gene, draw, P + 1)
    priors : HyperPriors
        At one point: without that axis.
    log_ratio : ndarray (gene, draw)
    highest : ndarray (gene,)
        Written to.
    """
    n_draws, d = log_ratio.shape[1], theta.shape[2]
    points, weights, inverse = np.empty((d, n_draws)), np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        transpose(theta[g], points)
        log_prior_shape(points, prior_of_gene(priors, g), inverse, weights)
        largest, at = -math.inf, 0
        for m in range(n_draws):
            weight = log_ratio[g, m] + max(weights[m], LEAST)
            if weight > largest:
                largest, at = weight, m
        highest[g] = log_ratio[g, at] if largest > -math.inf else 0.0


@kernel
def fill_evidence(first, last, theta, log_ratio, priors, log_evidence):  # type: ignore[no-untyped-def]
    """Fill ln mean_m of the weights (point, gene) of some genes, for points of the hyperparameters.

    Parameters
    ----------
    first, last : int
        The range of genes.
    theta : ndarray of float32 (gene, draw, P + 1)
    log_ratio : ndarray of float32 (gene, draw)
    priors : HyperPriors
    log_evidence : ndarray (point, gene)
        Written to.
    """
    n_draws, d = log_ratio.shape[1], theta.shape[2]
    points, weights, inverse = np.empty((d, n_draws)), np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        transpose(theta[g], points)
        for s in range(priors.sd.size):
            _weigh(points, log_ratio[g], _at_point(priors, s, g), inverse, weights)
            total = sum_of(weights)
            log_evidence[s, g] = math.log(total / n_draws) if total > 0.0 else 0.0


@kernel
def fill_moments(first, last, theta, log_ratio, priors, log_evidence, moments):  # type: ignore[no-untyped-def]
    """Fill ln mean_m of the weights, and weighted means of the log prior's derivatives.

    Parameters
    ----------
    first, last : int
        The range of genes.
    theta : ndarray of float32 (gene, draw, P + 1)
    log_ratio : ndarray of float32 (gene, draw)
    priors : HyperPriors
        At one point: without that axis.
    log_evidence : ndarray (gene,)
        Written to.
    moments : ndarray (gene, shrunken + 3)
        Written to: derivatives by ln S_k, ln sigma, the log trend and (but for the height) nu.
    """
    n, n_draws, d = priors.columns.size, log_ratio.shape[1], theta.shape[2]
    points, work = np.empty((d, n_draws)), np.empty(n_draws)
    weights, inverse = np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        transpose(theta[g], points)
        prior = prior_of_gene(priors, g)
        _weigh(points, log_ratio[g], prior, inverse, weights)
        total = sum_of(weights)
        moments[g, :] = 0.0
        log_evidence[g] = 0.0  # of a gene whose draws all missed, nothing is known
        if not total > 0.0:
            continue
        log_evidence[g] = math.log(total / n_draws)
        for i in range(n):
            row, inverse_scale = points[prior.columns[i]], prior.inverse_scale[i]
            for m in range(n_draws):
                work[m] = weights[m] * slope_by_log_scale(row[m] * inverse_scale)
            moments[g, i] = sum_of(work) / total
        _residual_moments(points[d - 1], prior, weights, work, moments[g, n:])
        for k in range(n, moments.shape[1]):
            moments[g, k] /= total


@kernel
def _residual_moments(log_dispersion, prior, weights, work, moments):  # type: ignore[no-untyped-def]
    """Fill weighted sums of the log residual density's derivatives by ln sigma, the log trend and nu."""
    log_trend, inverse_sd, nu = prior.log_trend, prior.inverse_sd, prior.nu
    gaussian = math.isinf(nu)
    for m in range(weights.size):
        z = (log_dispersion[m] - log_trend) * inverse_sd
        work[m] = weights[m] * (z if gaussian else (nu + 1.0) * z / (nu + z * z))
    moments[1] = sum_of(work) * inverse_sd
    for m in range(weights.size):
        work[m] = work[m] * (log_dispersion[m] - log_trend) * inverse_sd - weights[m]
    moments[0] = sum_of(work)
    if gaussian:
        return
    for m in range(weights.size):
        z = (log_dispersion[m] - log_trend) * inverse_sd
        work[m] = 0.5 * weights[m] * ((nu + 1.0) * z * z / (nu + z * z) / nu - logarithm(1.0 + z * z / nu))
    moments[2] = sum_of(work)


@kernel
def average_weights(first, last, theta, log_ratio, priors, share, weights):  # type: ignore[no-untyped-def]
    """Fill the weights of some genes, averaged over points of the hyperparameters.

    Parameters
    ----------
    first, last : int
        The range of genes.
    theta : ndarray of float32 (gene, draw, P + 1)
    log_ratio : ndarray (gene, draw)
    priors : HyperPriors
    share : ndarray (point,)
        Weights of the points.
    weights : ndarray (gene, draw)
        Written to.
    """
    n_draws, d = log_ratio.shape[1], theta.shape[2]
    points, one, inverse = np.empty((d, n_draws)), np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        transpose(theta[g], points)
        out = weights[g]
        out[:] = 0.0
        for s in range(share.size):
            _weigh(points, log_ratio[g], _at_point(priors, s, g), inverse, one)
            total = sum_of(one)
            factor = share[s] / total if total > 0.0 else math.nan
            for m in range(n_draws):
                out[m] = fused(one[m], factor, out[m])


def log_height(scale: np.ndarray, sd: float, nu: float) -> float:
    """Return the log density of one gene's priors at their peaks.

    That is of the shrunken coefficients and the log dispersion.

    Parameters
    ----------
    scale : ndarray (shrunken,)
        Scales of the priors of the coefficients, natural log.
    sd : float
        Scale of log dispersions around the trend.
    nu : float
        Degrees of freedom of these residuals; infinite for normal ones.

    Returns
    -------
    float
    """
    value = log_effect_heights(scale) - math.log(sd)
    if math.isinf(nu):
        return value - 0.5 * math.log(2.0 * math.pi)
    return value + math.lgamma(0.5 * (nu + 1.0)) - math.lgamma(0.5 * nu) - 0.5 * math.log(nu * math.pi)


def log_height_slope(nu: float) -> float:
    """Return the derivative by nu of the log height of Student's t.

    Parameters
    ----------
    nu : float
        Finite.

    Returns
    -------
    float
    """
    return 0.5 * float(digamma(0.5 * (nu + 1.0)) - digamma(0.5 * nu) - 1.0 / nu)
