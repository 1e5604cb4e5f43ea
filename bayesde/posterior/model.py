r"""One gene's log posterior density given the hyperparameters, with gradient and Hessian.

    l(beta, a) = sum_j ln NB(y_j | nf_j exp(x_j . beta), exp(a)) + ln p(beta) + ln p(a)

with a the natural log of the dispersion, Cauchy(0, S_k) or wide normal priors on the coefficients, and a
normal or Student-t prior on a around the dispersion trend. `stan/README.md` has the same model for Stan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from bayesde.eb.nb import gamma_excess_slope, log_ratio, nb_log_pmf

__all__ = ["ConditionalModel", "log_density", "log_density_derivatives"]

NORMAL, STUDENT_T = 0, 1
ASYMPTOTIC = 10.0


@dataclass(frozen=True, eq=False)
class ConditionalModel:
    """Some genes' data and priors: all that their posterior depends on.

    Attributes
    ----------
    y : ndarray of int64 (gene, sample)
    log_nf : ndarray (gene, sample)
        Normalization factors, natural log.
    x : ndarray (sample, coefficient)
    base_mean : ndarray (gene,)
        Mean of the normalized counts.
    log_trend : ndarray (gene,)
        Natural log of the dispersion trend at the base mean.
    shrunken : ndarray of bool (coefficient,)
        Cauchy prior where True, Normal(0, `unshrunken_sd`) elsewhere.
    shrinkage_scale : ndarray (coefficient,)
        Scale of the Cauchy prior, natural log; 1 where not shrunken.
    dispersion_sd : float
        Scale of log dispersions around the trend.
    nu : float
        Degrees of freedom of the residuals around the trend; infinite for normal ones.
    unshrunken_sd : float
        Standard deviation of the normal priors, natural log.
    """

    y: np.ndarray
    log_nf: np.ndarray
    x: np.ndarray
    base_mean: np.ndarray
    log_trend: np.ndarray
    shrunken: np.ndarray
    shrinkage_scale: np.ndarray
    dispersion_sd: float
    nu: float
    unshrunken_sd: float = 15.0

    @property
    def prior_scale(self) -> np.ndarray:
        """Scale of every coefficient's prior (coefficient,): Cauchy where shrunken, normal elsewhere."""
        return np.where(self.shrunken, self.shrinkage_scale, self.unshrunken_sd)

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return int(self.y.shape[0])

    @property
    def n_coefficients(self) -> int:
        """Number of coefficients."""
        return int(self.x.shape[1])

    def genes(self, rows: np.ndarray) -> ConditionalModel:
        """Take some of the genes, by index or by mask."""
        own = {name: getattr(self, name)[rows] for name in ("y", "log_nf", "base_mean", "log_trend")}
        return replace(self, **own)


@njit(cache=True)
def trigamma_excess(z: float) -> float:
    """Return psi'(z) - 1/z for z > 0 (Abramowitz and Stegun 6.4.12 and 6.4.6)."""
    shift, moved = 0.0, z
    while moved < ASYMPTOTIC:
        shift += 1.0 / (moved * moved)
        moved += 1.0
    u = 1.0 / (moved * moved)
    series = 1.0 / 6.0 - u * (1.0 / 30.0 - u * (1.0 / 42.0 - u * (1.0 / 30.0 - u * 5.0 / 66.0)))
    value = u * (0.5 + series / moved)
    return value if moved == z else value + shift + 1.0 / moved - 1.0 / z


@njit(cache=True)
def log_residual_density(residual, nu):  # type: ignore[no-untyped-def]
    """Log density of a standardized residual around the dispersion trend, up to a constant."""
    if math.isinf(nu):
        return -0.5 * residual**2
    return -0.5 * (nu + 1.0) * math.log1p(residual**2 / nu)


@njit(cache=True)
def log_prior(theta, shrunken, scale, log_trend, dispersion_sd, nu):  # type: ignore[no-untyped-def]
    """Log prior density of (beta, log dispersion), up to a constant; ``scale`` is `prior_scale`."""
    p = theta.size - 1
    total = 0.0
    for k in range(p):
        if shrunken[k]:
            total -= math.log1p((theta[k] / scale[k]) ** 2)
        else:
            total -= 0.5 * (theta[k] / scale[k]) ** 2
    return total + log_residual_density((theta[p] - log_trend) / dispersion_sd, nu)


@njit(cache=True)
def log_density(theta, y, log_nf, x, shrunken, scale, log_trend, dispersion_sd, nu):  # type: ignore[no-untyped-def]
    """Log posterior density of one gene at theta = (beta, log dispersion), up to a constant of the prior."""
    p = theta.size - 1
    total = log_prior(theta, shrunken, scale, log_trend, dispersion_sd, nu)
    dispersion = math.exp(theta[p])
    for j in range(y.size):
        eta = log_nf[j]
        for k in range(p):
            eta += x[j, k] * theta[k]
        total += nb_log_pmf(float(y[j]), math.exp(eta), dispersion)
    return total


@njit(cache=True)
def prior_derivatives(theta, shrunken, scale, log_trend, dispersion_sd, nu, gradient, hessian):  # type: ignore[no-untyped-def]
    """Fill gradient (P+1,) and Hessian (P+1, P+1) of the log prior; the latter is diagonal."""
    p = theta.size - 1
    gradient[:] = 0.0
    hessian[:, :] = 0.0
    for k in range(p):
        b = theta[k]
        if shrunken[k]:
            width = scale[k] ** 2 + b * b
            gradient[k] = -2.0 * b / width
            hessian[k, k] = -2.0 * (scale[k] ** 2 - b * b) / width**2
        else:
            gradient[k] = -b / scale[k] ** 2
            hessian[k, k] = -1.0 / scale[k] ** 2
    residual = (theta[p] - log_trend) / dispersion_sd
    if math.isinf(nu):
        gradient[p] = -residual / dispersion_sd
        hessian[p, p] = -1.0 / dispersion_sd**2
    else:
        width = nu + residual**2
        gradient[p] = -(nu + 1.0) * residual / width / dispersion_sd
        hessian[p, p] = -(nu + 1.0) * (nu - residual**2) / width**2 / dispersion_sd**2


@njit(cache=True)
def log_density_derivatives(  # type: ignore[no-untyped-def]
    theta, y, log_nf, x, shrunken, scale, log_trend, dispersion_sd, nu, gradient, hessian
):
    r"""Add the likelihood's derivatives to the prior's; fill gradient (P+1,) and Hessian (P+1, P+1).

    With r = 1/alpha and d = (y - mu)/(mu + r), per sample and with respect to eta and a = ln alpha:

        l_eta = r d,    l_eta,eta = -mu r (y + r) / (mu + r)^2,    l_eta,a = -r mu (y - mu) / (mu + r)^2,
        l_a = -r l_r,   l_aa = r l_r + r^2 l_rr,
        l_r = A'(y + r) - A'(r) + ln(1 + d) - d,    l_rr = T(y + r) - T(r) + d^2 / (y + r),

    where A'(z) = psi(z) - ln z and T(z) = psi'(z) - 1/z, so that nothing cancels towards Poisson.
    """
    prior_derivatives(theta, shrunken, scale, log_trend, dispersion_sd, nu, gradient, hessian)
    p = theta.size - 1
    r = math.exp(-theta[p])
    slope_r, curve_r = gamma_excess_slope(r), trigamma_excess(r)
    for j in range(y.size):
        eta = log_nf[j]
        for k in range(p):
            eta += x[j, k] * theta[k]
        mu, count = math.exp(eta), float(y[j])
        d = (count - mu) / (mu + r)
        l_r = gamma_excess_slope(count + r) - slope_r + log_ratio(count, mu, r) - d
        l_rr = trigamma_excess(count + r) - curve_r + d * d / (count + r)
        curve = -mu * (r / (mu + r)) * ((count + r) / (mu + r))
        mixed = -mu * (r / (mu + r)) * d
        gradient[p] -= r * l_r
        hessian[p, p] += r * l_r + r * r * l_rr
        for k in range(p):
            gradient[k] += r * d * x[j, k]
            hessian[k, p] += mixed * x[j, k]
            for m in range(k + 1):
                hessian[k, m] += curve * x[j, k] * x[j, m]
    for k in range(p):
        hessian[p, k] = hessian[k, p]
        for m in range(k):
            hessian[m, k] = hessian[k, m]
