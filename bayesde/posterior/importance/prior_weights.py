r"""The priors at draws of the genes, for any hyperparameters: what importance weights change by.

    p(theta | phi) = prod_k Cauchy(beta_k | 0, S_k)  Normal or Student-t(a | log trend, sigma)

Kernels over genes. They leave out the priors' heights, which are the same for all draws. Ratios
p(y | theta) / q(theta) come without logarithms, so that a draw costs one division and one exponential.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["average_weights", "exponentiate", "fill_evidence", "fill_moments"]

LARGEST_LOG_RATIO = 600.0
"""Beyond, the exponential would come near to overflow; such draws have no prior to speak of."""


@njit(cache=True, error_model="numpy")
def _prior_shape(theta, m, columns, inverse_scale, log_trend, inverse_sd, nu):  # type: ignore[no-untyped-def]
    """Density of the priors at draw m of one gene's theta (draw, P + 1), over that at their peaks."""
    odds = 1.0
    for i in range(columns.size):
        u = theta[m, columns[i]] * inverse_scale[i]
        odds *= 1.0 + u * u
    z = (theta[m, theta.shape[1] - 1] - log_trend) * inverse_sd
    if math.isinf(nu):
        return math.exp(-0.5 * z * z) / odds
    return math.exp(-0.5 * (nu + 1.0) * math.log1p(z * z / nu)) / odds


@njit(cache=True, nogil=True, error_model="numpy")
def exponentiate(first, last, theta, columns, scale, log_trend, sd, nu, ratio):  # type: ignore[no-untyped-def]
    """Replace log ratios by ratios over that at the draw of largest weight."""
    for g in range(first, last):
        points = theta[g]
        highest, at = -math.inf, 0
        inverse, inverse_sd = 1.0 / scale, 1.0 / sd
        for m in range(theta.shape[1]):
            weight = ratio[g, m] + math.log(
                _prior_shape(points, m, columns, inverse, log_trend[g], inverse_sd, nu) + 1e-300
            )
            if weight > highest:
                highest, at = weight, m
        top = ratio[g, at] if highest > -math.inf else 0.0
        for m in range(theta.shape[1]):
            ratio[g, m] = math.exp(min(ratio[g, m] - top, LARGEST_LOG_RATIO))


@njit(cache=True, nogil=True, error_model="numpy")
def fill_evidence(first, last, theta, ratio, columns, scale, log_trend, sd, nu, log_evidence):  # type: ignore[no-untyped-def]
    """Fill ln mean_m of the weights of some genes."""
    inverse, inverse_sd = 1.0 / scale, 1.0 / sd
    for g in range(first, last):
        points = theta[g]
        total = 0.0
        for m in range(theta.shape[1]):
            total += ratio[g, m] * _prior_shape(points, m, columns, inverse, log_trend[g], inverse_sd, nu)
        log_evidence[g] = math.log(total / theta.shape[1]) if total > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def fill_moments(first, last, theta, ratio, columns, scale, log_trend, sd, nu, log_evidence, moments):  # type: ignore[no-untyped-def]
    """Fill ln mean_m of the weights, and weighted means of the log prior's derivatives.

    Those are by ln S_k, ln sigma, the log trend and (but for the height) nu.
    """
    inverse, inverse_sd, n = 1.0 / scale, 1.0 / sd, columns.size
    gaussian = math.isinf(nu)
    for g in range(first, last):
        points = theta[g]
        total = 0.0
        moments[g, :] = 0.0
        for m in range(theta.shape[1]):
            weight = ratio[g, m] * _prior_shape(points, m, columns, inverse, log_trend[g], inverse_sd, nu)
            total += weight
            for i in range(n):
                u = points[m, columns[i]] * inverse[i]
                moments[g, i] += weight * (1.0 - 2.0 / (1.0 + u * u))
            z = (points[m, theta.shape[2] - 1] - log_trend[g]) * inverse_sd
            pull = z if gaussian else (nu + 1.0) * z / (nu + z * z)
            moments[g, n] += weight * (pull * z - 1.0)
            moments[g, n + 1] += weight * pull * inverse_sd
            if not gaussian:
                moments[g, n + 2] += weight * 0.5 * (pull * z / nu - math.log1p(z * z / nu))
        log_evidence[g] = 0.0  # of a gene whose draws all missed, nothing is known
        if total > 0.0:
            log_evidence[g] = math.log(total / theta.shape[1])
            for i in range(n + 3):
                moments[g, i] /= total


@njit(cache=True, nogil=True, error_model="numpy")
def average_weights(first, last, theta, ratio, columns, scale, log_trend, sd, nu, share, weights):  # type: ignore[no-untyped-def]
    """Fill the weights of some genes, averaged over points (first axis) of the hyperparameters."""
    one = np.empty(theta.shape[1])
    for g in range(first, last):
        points = theta[g]
        for s in range(share.size):
            inverse, inverse_sd = 1.0 / scale[s], 1.0 / sd[s]
            total = 0.0
            for m in range(theta.shape[1]):
                one[m] = ratio[g, m] * _prior_shape(
                    points, m, columns, inverse, log_trend[s, g], inverse_sd, nu[s]
                )
                total += one[m]
            factor = share[s] / total if total > 0.0 else math.nan
            for m in range(theta.shape[1]):
                weights[g, m] += one[m] * factor
