r"""The priors at draws of the genes, for any hyperparameters: what importance weights change by.

    p(theta | phi) = prod_k Cauchy(beta_k | 0, S_k)  Normal or Student-t(a | log trend, sigma)

Kernels over genes. They leave out the priors' heights, which are the same for all draws. With
ln p(y | theta) / q(theta) known, a draw costs one division and one exponential. Loops run over the draws
innermost, so that they become vector instructions; hyperparameters come as points (first axis), so that a
gene's draws are read once for all of them.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.posterior.compiled import kernel
from bayesde.posterior.importance.elementary import exponentials, logarithms, sum_of

__all__ = ["average_weights", "fill_evidence", "fill_moments", "log_prior_shape", "take_highest_off"]

LARGEST_LOG_RATIO = 600.0
"""Beyond, the exponential would come near to overflow; such draws have no prior to speak of."""
LEAST = -690.0
"""What the log prior counts as at the least, where a gene's largest weight is looked for."""


@kernel
def _residual_exponent(log_dispersion, log_trend, inverse_sd, nu, bits, work, out):  # type: ignore[no-untyped-def]
    """Fill the log density of the residuals over that at their peak."""
    for m in range(out.size):
        z = (log_dispersion[m] - log_trend) * inverse_sd
        out[m] = -0.5 * z * z
    if math.isinf(nu):
        return
    for m in range(out.size):
        work[m] = 1.0 - 2.0 * out[m] / nu
    logarithms(work, bits, out)
    for m in range(out.size):
        out[m] *= -0.5 * (nu + 1.0)


@kernel
def _fill_odds(points, columns, inverse_scale, odds):  # type: ignore[no-untyped-def]
    """Fill the Cauchy densities at their peaks over those at the draws."""
    odds[:] = 1.0
    for i in range(columns.size):
        row, inverse = points[columns[i]], inverse_scale[i]
        for m in range(odds.size):
            u = row[m] * inverse
            odds[m] *= 1.0 + u * u


@kernel
def log_prior_shape(points, columns, inverse_scale, log_trend, inverse_sd, nu, bits, work, logs, out):  # type: ignore[no-untyped-def]
    """Fill the log density of the priors at one gene's draws (P + 1, draw), over that at their peaks."""
    _fill_odds(points, columns, inverse_scale, work)
    logarithms(work, bits, logs)
    _residual_exponent(points[points.shape[0] - 1], log_trend, inverse_sd, nu, bits, work, out)
    for m in range(out.size):
        out[m] -= logs[m]


@kernel
def _weigh(points, log_ratio, columns, inverse_scale, log_trend, inverse_sd, nu, bits, odds, weights):  # type: ignore[no-untyped-def]
    """Fill one gene's weights at its draws (P + 1, draw)."""
    _residual_exponent(points[points.shape[0] - 1], log_trend, inverse_sd, nu, bits, weights, odds)
    for m in range(odds.size):
        odds[m] += log_ratio[m]
    exponentials(odds, bits, weights)
    _fill_odds(points, columns, inverse_scale, odds)
    for m in range(weights.size):
        weights[m] /= odds[m]


@kernel
def take_highest_off(first, last, theta, columns, scale, log_trend, sd, nu, log_ratio, relative):  # type: ignore[no-untyped-def]
    """Fill log ratios less that at the draw of largest weight (single precision is enough for those)."""
    n_draws, d = theta.shape[1:]
    points, bits = np.empty((d, n_draws)), np.empty(n_draws, dtype=np.int64)
    weights, work, logs = np.empty(n_draws), np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        points[:, :] = theta[g].T
        log_prior_shape(points, columns, 1.0 / scale, log_trend[g], 1.0 / sd, nu, bits, work, logs, weights)
        highest, at = -math.inf, 0
        for m in range(n_draws):
            weight = log_ratio[g, m] + max(weights[m], LEAST)
            if weight > highest:
                highest, at = weight, m
        top = log_ratio[g, at] if highest > -math.inf else 0.0
        for m in range(n_draws):
            relative[g, m] = min(log_ratio[g, m] - top, LARGEST_LOG_RATIO)


@kernel
def fill_evidence(first, last, theta, log_ratio, columns, scale, log_trend, sd, nu, log_evidence):  # type: ignore[no-untyped-def]
    """Fill ln mean_m of the weights (point, gene) of some genes, for points of the hyperparameters."""
    n_draws, d = theta.shape[1:]
    points, bits = np.empty((d, n_draws)), np.empty(n_draws, dtype=np.int64)
    weights, odds = np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        points[:, :] = theta[g].T
        for s in range(sd.size):
            inverse, trend = 1.0 / scale[s], log_trend[s, g]
            _weigh(points, log_ratio[g], columns, inverse, trend, 1.0 / sd[s], nu[s], bits, odds, weights)
            total = sum_of(weights)
            log_evidence[s, g] = math.log(total / n_draws) if total > 0.0 else 0.0


@kernel
def fill_moments(first, last, theta, log_ratio, columns, scale, log_trend, sd, nu, log_evidence, moments):  # type: ignore[no-untyped-def]
    """Fill ln mean_m of the weights, and weighted means of the log prior's derivatives.

    Those are by ln S_k, ln sigma, the log trend and (but for the height) nu.
    """
    inverse, inverse_sd, n = 1.0 / scale, 1.0 / sd, columns.size
    n_draws, d = theta.shape[1:]
    points, bits = np.empty((d, n_draws)), np.empty(n_draws, dtype=np.int64)
    weights, odds, work = np.empty(n_draws), np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        points[:, :] = theta[g].T
        _weigh(points, log_ratio[g], columns, inverse, log_trend[g], inverse_sd, nu, bits, odds, weights)
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
                work[m] = weights[m] * (1.0 - 2.0 / (1.0 + u * u))
            moments[g, i] = sum_of(work) / total
        _residual_moments(
            points[d - 1], log_trend[g], inverse_sd, nu, weights, bits, work, odds, moments[g, n:]
        )
        moments[g, n:] /= total


@kernel
def _residual_moments(log_dispersion, log_trend, inverse_sd, nu, weights, bits, work, logs, moments):  # type: ignore[no-untyped-def]
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
        work[m] = 1.0 + z * z / nu
    logarithms(work, bits, logs)
    for m in range(weights.size):
        z = (log_dispersion[m] - log_trend) * inverse_sd
        work[m] = 0.5 * weights[m] * ((nu + 1.0) * z * z / (nu + z * z) / nu - logs[m])
    moments[2] = sum_of(work)


@kernel
def average_weights(first, last, theta, log_ratio, columns, scale, log_trend, sd, nu, share, weights):  # type: ignore[no-untyped-def]
    """Fill the weights of some genes, averaged over points (first axis) of the hyperparameters."""
    n_draws, d = theta.shape[1:]
    points, bits = np.empty((d, n_draws)), np.empty(n_draws, dtype=np.int64)
    one, odds = np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        points[:, :] = theta[g].T
        out = weights[g]
        out[:] = 0.0
        for s in range(share.size):
            inverse, trend = 1.0 / scale[s], log_trend[s, g]
            _weigh(points, log_ratio[g], columns, inverse, trend, 1.0 / sd[s], nu[s], bits, odds, one)
            total = sum_of(one)
            factor = share[s] / total if total > 0.0 else math.nan
            for m in range(n_draws):
                out[m] += one[m] * factor
