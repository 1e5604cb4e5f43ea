r"""The priors at draws of the genes, for any hyperparameters: what importance weights change by.

    p(theta | phi) = prod_k Cauchy(beta_k | 0, S_k)  Normal or Student-t(a | log trend, sigma)

Kernels over genes. They leave out the priors' heights (`log_height`), the same for all draws. With
ln p(y | theta) / q(theta) known, a draw costs one division and one exponential. Loops run over the draws
innermost, so that they become vector instructions; hyperparameters come as points (first axis), so that a
gene's draws are read once for all of them. theta (gene, draw, P + 1) may have room for more draws than
log_ratio (gene, draw) has.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import digamma

from bayesde.numerics.compiled import fused, kernel, transpose
from bayesde.numerics.elementary import exponential, logarithm, logarithms
from bayesde.numerics.sums import sum_of

__all__ = [
    "average_weights",
    "fill_evidence",
    "fill_highest",
    "fill_moments",
    "log_height",
    "log_height_slope",
    "log_prior_shape",
]

LEAST = -690.0
"""What the log prior counts as at the least, where a gene's largest weight is looked for."""


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
def _fill_odds(points, columns, inverse_scale, odds):  # type: ignore[no-untyped-def]
    """Fill the Cauchy densities at their peaks over those at the draws, two coefficients at a time."""
    odds[:] = 1.0
    for i in range(0, columns.size - 1, 2):
        row, inverse = points[columns[i]], inverse_scale[i]
        other, of_other = points[columns[i + 1]], inverse_scale[i + 1]
        for m in range(odds.size):
            u, v = row[m] * inverse, other[m] * of_other
            odds[m] *= fused(u, u, 1.0) * fused(v, v, 1.0)
    if columns.size % 2:
        row, inverse = points[columns[-1]], inverse_scale[-1]
        for m in range(odds.size):
            u = row[m] * inverse
            odds[m] *= fused(u, u, 1.0)


@kernel
def log_prior_shape(points, columns, inverse_scale, log_trend, inverse_sd, nu, odds, out):  # type: ignore[no-untyped-def]
    """Fill the log density of the priors at one gene's draws (P + 1, draw), over that at their peaks.

    ``odds`` (draw,) is room to work in.
    """
    _fill_odds(points, columns, inverse_scale, odds)
    _fill_residuals(points[points.shape[0] - 1], log_trend, inverse_sd, nu, out)
    for m in range(out.size):
        out[m] -= logarithm(odds[m])


@kernel
def _weigh(points, log_ratio, columns, inverse_scale, log_trend, inverse_sd, nu, odds, weights):  # type: ignore[no-untyped-def]
    """Fill one gene's weights at its draws (P + 1, draw)."""
    _fill_odds(points, columns, inverse_scale, odds)
    _fill_residuals(points[points.shape[0] - 1], log_trend, inverse_sd, nu, weights)
    for m in range(weights.size):
        weights[m] = exponential(log_ratio[m] + weights[m]) / odds[m]


@kernel
def fill_highest(first, last, theta, columns, scale, log_trend, sd, nu, log_ratio, highest):  # type: ignore[no-untyped-def]
    """Fill the log ratio at the draw of largest weight of some genes, or 0 if none has any."""
    n_draws, d = log_ratio.shape[1], theta.shape[2]
    points, weights, odds = np.empty((d, n_draws)), np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        transpose(theta[g], points)
        log_prior_shape(points, columns, 1.0 / scale, log_trend[g], 1.0 / sd, nu, odds, weights)
        largest, at = -math.inf, 0
        for m in range(n_draws):
            weight = log_ratio[g, m] + max(weights[m], LEAST)
            if weight > largest:
                largest, at = weight, m
        highest[g] = log_ratio[g, at] if largest > -math.inf else 0.0


@kernel
def fill_evidence(first, last, theta, log_ratio, columns, scale, log_trend, sd, nu, log_evidence):  # type: ignore[no-untyped-def]
    """Fill ln mean_m of the weights (point, gene) of some genes, for points of the hyperparameters."""
    n_draws, d = log_ratio.shape[1], theta.shape[2]
    points, weights, odds = np.empty((d, n_draws)), np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        transpose(theta[g], points)
        for s in range(sd.size):
            inverse, trend = 1.0 / scale[s], log_trend[s, g]
            _weigh(points, log_ratio[g], columns, inverse, trend, 1.0 / sd[s], nu[s], odds, weights)
            total = sum_of(weights)
            log_evidence[s, g] = math.log(total / n_draws) if total > 0.0 else 0.0


@kernel
def fill_moments(first, last, theta, log_ratio, columns, scale, log_trend, sd, nu, log_evidence, moments):  # type: ignore[no-untyped-def]
    """Fill ln mean_m of the weights, and weighted means of the log prior's derivatives.

    Those are by ln S_k, ln sigma, the log trend and (but for the height) nu.
    """
    inverse, inverse_sd, n = 1.0 / scale, 1.0 / sd, columns.size
    n_draws, d = log_ratio.shape[1], theta.shape[2]
    points, work = np.empty((d, n_draws)), np.empty(n_draws)
    weights, odds = np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        transpose(theta[g], points)
        _weigh(points, log_ratio[g], columns, inverse, log_trend[g], inverse_sd, nu, odds, weights)
        total = sum_of(weights)
        moments[g, :] = 0.0
        log_evidence[g] = 0.0  # of a gene whose draws all missed, nothing is known
        if not total > 0.0:
            continue
        log_evidence[g] = math.log(total / n_draws)
        for i in range(n):
            row = points[columns[i]]
            for m in range(n_draws):
                u = row[m] * inverse[i]
                work[m] = weights[m] * (1.0 - 2.0 / fused(u, u, 1.0))
            moments[g, i] = sum_of(work) / total
        _residual_moments(points[d - 1], log_trend[g], inverse_sd, nu, weights, work, moments[g, n:])
        for k in range(n, moments.shape[1]):
            moments[g, k] /= total


@kernel
def _residual_moments(log_dispersion, log_trend, inverse_sd, nu, weights, work, moments):  # type: ignore[no-untyped-def]
    """Fill weighted sums of the log residual density's derivatives by ln sigma, the log trend and nu."""
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
def average_weights(first, last, theta, log_ratio, columns, scale, log_trend, sd, nu, share, weights):  # type: ignore[no-untyped-def]
    """Fill the weights of some genes, averaged over points (first axis) of the hyperparameters."""
    n_draws, d = log_ratio.shape[1], theta.shape[2]
    points, one, odds = np.empty((d, n_draws)), np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        transpose(theta[g], points)
        out = weights[g]
        out[:] = 0.0
        for s in range(share.size):
            inverse, trend = 1.0 / scale[s], log_trend[s, g]
            _weigh(points, log_ratio[g], columns, inverse, trend, 1.0 / sd[s], nu[s], odds, one)
            total = sum_of(one)
            factor = share[s] / total if total > 0.0 else math.nan
            for m in range(n_draws):
                out[m] = fused(one[m], factor, out[m])


def log_height(scale: np.ndarray, sd: float, nu: float) -> float:
    """Log of the height of one gene's priors (shrunken coefficients, log dispersion) at their peaks."""
    value = -float(logarithms(math.pi * scale).sum()) - math.log(sd)
    if math.isinf(nu):
        return value - 0.5 * math.log(2.0 * math.pi)
    return value + math.lgamma(0.5 * (nu + 1.0)) - math.lgamma(0.5 * nu) - 0.5 * math.log(nu * math.pi)


def log_height_slope(nu: float) -> float:
    """Return the derivative by nu of the log height of Student's t."""
    return 0.5 * float(digamma(0.5 * (nu + 1.0)) - digamma(0.5 * nu) - 1.0 / nu)
