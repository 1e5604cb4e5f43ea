r"""Importance weights of the genes' draws at any hyperparameters phi, and what is averaged over them.

    w_m(phi) = [p(y | theta_m) / q(theta_m)] p(theta_m | phi)

Kernels over genes. They leave out the priors' heights, the same for all draws
(`bayesde.model.prior_at_draws`). With ln p(y | theta) / q(theta) known, a draw costs one division and one
exponential. Loops run over the draws innermost, so that they become vector instructions; hyperparameters come
as points (first axis), so that a gene's draws are read once for all of them. theta (gene, draw, P + 1) may
have room for more draws than log_ratio (gene, draw) has.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.model.effect_prior import add_log_densities, fill_effect_moments, fill_inverse_densities
from bayesde.model.prior_at_draws import (
    add_log_sds,
    fill_log_residuals,
    log_prior_shape,
    prior_at_point,
    prior_of_gene,
)
from bayesde.numerics.compiled import fused, kernel, transpose
from bayesde.numerics.elementary import exponential, logarithm
from bayesde.numerics.sums import sum_of

__all__ = ["average_weights", "fill_evidence", "fill_highest", "fill_moments"]

LEAST = -690.0
"""What the log prior counts as at the least, where a gene's largest weight is looked for; and the log
evidence of a gene under hyperparameters so far from its draws that all weights are 0."""


@kernel
def _weigh(points, log_ratio, prior, inverse, weights):  # type: ignore[no-untyped-def]
    """Fill one gene's weights at its draws (P + 1, draw); ``inverse`` (draw,) is work space."""
    fill_inverse_densities(points, prior.effects, inverse)
    fill_log_residuals(
        points[points.shape[0] - 1], prior.log_trend, prior.inverse_sd, prior.residuals, weights
    )
    add_log_densities(points, prior.effects, weights)
    add_log_sds(points, prior, weights)
    for m in range(weights.size):
        weights[m] = exponential(log_ratio[m] + weights[m]) / inverse[m]


@kernel
def _missed(log_ratio):  # type: ignore[no-untyped-def]
    """Return the log evidence of a gene without weights: little, but 0 if it has none under any phi."""
    for m in range(log_ratio.size):
        if log_ratio[m] > -math.inf:
            return LEAST
    return 0.0


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
            _weigh(points, log_ratio[g], prior_at_point(priors, s, g), inverse, weights)
            total = sum_of(weights)
            log_evidence[s, g] = math.log(total / n_draws) if total > 0.0 else _missed(log_ratio[g])


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
    moments : ndarray (gene, 3 shrunken + 4 + 2 random effects)
        Written to: what `fill_effect_moments` gives, derivatives by ln sigma, the log trend and (but for
        the height) nu or, of residuals with two normal components, logit w and ln tau; and by center and log
        spread of each log standard deviation of random effects.
    """
    n, n_draws, d = priors.effects.columns.size, log_ratio.shape[1], theta.shape[2]
    points, work = np.empty((d, n_draws)), np.empty(n_draws)
    weights, inverse = np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        transpose(theta[g], points)
        prior = prior_of_gene(priors, g)
        _weigh(points, log_ratio[g], prior, inverse, weights)
        total = sum_of(weights)
        moments[g, :] = 0.0
        if not total > 0.0:
            log_evidence[g] = _missed(log_ratio[g])
            continue
        log_evidence[g] = math.log(total / n_draws)
        of_effects = moments[g, : 3 * n].reshape((3, n))
        fill_effect_moments(points, prior.effects, weights, work, of_effects)
        _residual_moments(points[d - 1], prior, weights, work, moments[g, 3 * n : 3 * n + 4])
        _log_sd_moments(points, prior, weights, work, moments[g, 3 * n + 4 :])
        for k in range(moments.shape[1]):
            moments[g, k] /= total


@kernel
def _residual_moments(log_dispersion, prior, weights, work, moments):  # type: ignore[no-untyped-def]
    """Fill weighted sums of the log residual density's derivatives by ln sigma, the log trend and nu."""
    log_trend, inverse_sd, nu = prior.log_trend, prior.inverse_sd, prior.residuals.nu
    if prior.residuals.wide_share > 0.0:
        _two_normals_moments(log_dispersion, prior, weights, work, moments)
        return
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
def _log_sd_moments(points, prior, weights, work, moments):  # type: ignore[no-untyped-def]
    """Fill weighted sums of the derivatives by center and log spread of log standard deviations."""
    n = prior.center.size
    for t in range(n):
        row, center, inverse = points[points.shape[0] - 1 - n + t], prior.center[t], 1.0 / prior.spread[t]
        for m in range(weights.size):
            work[m] = weights[m] * (row[m] - center) * inverse
        moments[2 * t] = sum_of(work) * inverse
        for m in range(weights.size):
            work[m] = work[m] * (row[m] - center) * inverse - weights[m]
        moments[2 * t + 1] = sum_of(work)


@kernel
def _two_normals_moments(log_dispersion, prior, weights, work, moments):  # type: ignore[no-untyped-def]
    """Fill the same of two normal components, by ln sigma, the log trend, logit w and ln tau.

    With the probability r that z belongs to the wide one, d ln f / dz = -z (1 - r + r / tau^2),
    d ln f / d logit w = r - w, d ln f / d ln tau = r (z^2 / tau^2 - 1).
    """
    law, total = prior.residuals, sum_of(weights)
    flat, height = 1.0 / law.wide_ratio**2, law.wide_share / law.wide_ratio
    moments[:] = 0.0
    for part in range(4):
        for m in range(weights.size):
            z = (log_dispersion[m] - prior.log_trend) * prior.inverse_sd
            near = (1.0 - law.wide_share) * exponential(-0.5 * (1.0 - flat) * z * z)
            wide = height / (height + near)
            pull = 1.0 - wide * (1.0 - flat)
            if part == 0:
                work[m] = weights[m] * pull * z * z
            elif part == 1:
                work[m] = weights[m] * pull * z
            elif part == 2:
                work[m] = weights[m] * wide
            else:
                work[m] = weights[m] * wide * (z * z * flat - 1.0)
        moments[part] = sum_of(work)
    moments[0] -= total
    moments[1] *= prior.inverse_sd
    moments[2] -= law.wide_share * total


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
            _weigh(points, log_ratio[g], prior_at_point(priors, s, g), inverse, one)
            total = sum_of(one)
            factor = share[s] / total if total > 0.0 else math.nan
            for m in range(n_draws):
                out[m] = fused(one[m], factor, out[m])
