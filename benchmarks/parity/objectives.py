"""Which of two estimates is the better one: the objectives of DESeq2's searches in forty digits.

Doubles do not do: where two searches end apart, the objectives at their ends often differ by less than the
rounding error of either.
"""

from __future__ import annotations

import numpy as np
from mpmath import mp, mpf

__all__ = ["log_likelihood", "log_posterior_of_beta", "log_posterior_of_dispersion"]

mp.dps = 40


def log_likelihood(y: np.ndarray, mu: list[mpf], dispersion: float) -> mpf:
    """Log probability of counts (sample,) under negative binomials of these means."""
    r = 1 / mpf(dispersion)
    total = mpf(0)
    for count, mean in zip(map(float, y), mu, strict=True):
        total += mp.loggamma(count + r) - mp.loggamma(r) - mp.loggamma(count + 1)
        total += r * mp.log(r / (r + mean)) + (count * mp.log(mean / (r + mean)) if count else 0)
    return total


def log_posterior_of_dispersion(
    dispersion: float,
    y: np.ndarray,
    mu: np.ndarray,
    design: np.ndarray,
    log_trend: float = 0.0,
    prior_var: float = np.inf,
) -> mpf:
    """Cox-Reid adjusted log-likelihood of a dispersion, means given, with a Normal prior on its logarithm.

    Parameters
    ----------
    dispersion : float
    y, mu : ndarray (sample,)
    design : ndarray (sample, coefficient)
    log_trend, prior_var : float
        Mean and variance of the prior; by default there is none.

    Returns
    -------
    mpf
    """
    alpha, means = mpf(float(dispersion)), [mpf(float(value)) for value in mu]
    weights = [1 / (1 / mean + alpha) for mean in means]
    p = design.shape[1]
    gram = mp.matrix(p, p)
    for a in range(p):
        for b in range(p):
            gram[a, b] = mp.fsum(w * float(x[a]) * float(x[b]) for w, x in zip(weights, design, strict=True))
    value = log_likelihood(y, means, dispersion) - mp.log(mp.det(gram)) / 2
    if np.isfinite(prior_var):
        value -= (mp.log(alpha) - mpf(float(log_trend))) ** 2 / (2 * mpf(float(prior_var)))
    return value


def log_posterior_of_beta(
    log2_beta: np.ndarray,
    y: np.ndarray,
    factors: np.ndarray,
    design: np.ndarray,
    dispersion: float,
    ridge: float = 1e-6,
) -> mpf:
    """Log-likelihood of coefficients (log2) minus their ridge.

    Parameters
    ----------
    log2_beta : ndarray (coefficient,)
    y, factors : ndarray (sample,)
    design : ndarray (sample, coefficient)
    dispersion : float
    ridge : float
        Precision of the Normal prior, log2 scale.

    Returns
    -------
    mpf
    """
    beta = [mpf(float(value)) for value in log2_beta]
    means = [
        mpf(float(factor)) * mpf(2) ** mp.fsum(mpf(float(x)) * b for x, b in zip(row, beta, strict=True))
        for factor, row in zip(factors, design, strict=True)
    ]
    return log_likelihood(y, means, dispersion) - mpf(ridge) / 2 * mp.fsum(b * b for b in beta)
