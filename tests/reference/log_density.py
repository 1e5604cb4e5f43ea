"""The log posterior densities written from the model's formulas, in NumPy, as a yardstick for the Stan
programs.

Slow and plain on purpose: extended precision where the platform has it, and sums in place of gamma functions
(50 digits where a sum would be long).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import mpmath
import numpy as np

Extended = np.longdouble
LONGEST_SUM = 1000
"""Beyond so many terms gamma functions take the place of the sum."""
PI = Extended("3.14159265358979323846264338327950288")


def nb_log_pmf(y: int, log_mu: np.longdouble, log_dispersion: np.longdouble) -> np.longdouble:
    """Add up sum_{k<y} log((1 + alpha k) / (k + 1)) + y log(mu) - (y + 1/alpha) log(1 + alpha mu)."""
    if y > LONGEST_SUM:
        return nb_log_pmf_in_50_digits(int(y), Extended(log_mu), Extended(log_dispersion))
    alpha, mu = np.exp(Extended(log_dispersion)), np.exp(Extended(log_mu))
    k = np.arange(int(y), dtype=Extended)
    total = y * Extended(log_mu) - (y + 1 / alpha) * np.log1p(alpha * mu)
    return total + np.sum(np.log1p(alpha * k) - np.log1p(k))


def nb_log_pmf_in_50_digits(y: int, log_mu: np.longdouble, log_dispersion: np.longdouble) -> np.longdouble:
    """Return the same by gamma functions: log [Gamma(y + r) / (Gamma(r) y!)] + ..., with r = 1/alpha."""
    with mpmath.workdps(50):
        mu, r = mpmath.exp(exact(log_mu)), mpmath.exp(-exact(log_dispersion))
        total = mpmath.loggamma(y + r) - mpmath.loggamma(r) - mpmath.loggamma(y + 1)
        total += y * mpmath.log(mu / (mu + r)) + r * mpmath.log(r / (mu + r))
        return Extended(str(total))


def exact(value: np.longdouble) -> mpmath.mpf:
    whole = float(value)
    return mpmath.mpf(whole) + mpmath.mpf(float(value - Extended(whole)))


def normal(x, mean, sd):
    return -0.5 * ((Extended(x) - mean) / sd) ** 2 - np.log(Extended(sd)) - 0.5 * np.log(2 * PI)


def cauchy(x, scale):
    return -np.log(PI) - np.log(Extended(scale)) - np.log1p((Extended(x) / scale) ** 2)


def student_t(x, df, mean, scale):
    constant = (
        math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * np.log(df * PI) - np.log(Extended(scale))
    )
    return constant - (df + 1) / 2 * np.log1p(((Extended(x) - mean) / scale) ** 2 / df)


def gamma(x, shape, rate):
    return (
        shape * np.log(Extended(rate))
        - math.lgamma(shape)
        + (shape - 1) * np.log(Extended(x))
        - rate * Extended(x)
    )


def gene_log_likelihood(data: Mapping, g: int, theta: np.ndarray) -> np.longdouble:
    log_mu = np.asarray(data["log_nf"][g], Extended) + np.asarray(data["x"], Extended) @ theta[:-1]
    return sum(nb_log_pmf(y, eta, theta[-1]) for y, eta in zip(data["y"][g], log_mu, strict=True))


def residual_log_density(data: Mapping, g: int, log_dispersion, z, log_trend, sd, nu):
    if data["noncentered"][g][-1]:
        return student_t(z, nu, 0, 1) if data["residuals"] == 1 else normal(z, 0, 1)
    if data["residuals"] == 1:
        return student_t(log_dispersion, nu, log_trend, sd)
    return normal(log_dispersion, log_trend, sd)


def cauchy_of_secant(z) -> np.longdouble:
    """A Cauchy number from one with density sech(pi z / 2) / 2."""
    return np.sinh(PI / 2 * Extended(z))


def gene_theta(data: Mapping, g: int, z: np.ndarray, scales: np.ndarray, log_trend, sd) -> np.ndarray:
    """The gene's parameters: solve for them one by one, from the last, as stan/README.md defines them."""
    location, scale = np.asarray(data["location"][g], Extended), np.asarray(data["scale"][g], Extended)
    size = len(location)
    e, theta = np.zeros(size, Extended), np.zeros(size, Extended)
    for i in reversed(range(size)):
        if data["noncentered"][g][i]:
            theta[i] = scales[i] * cauchy_of_secant(z[g, i]) if i < size - 1 else log_trend + sd * z[g, i]
            e[i] = (theta[i] - location[i] - scale[i, i + 1 :] @ e[i + 1 :]) / scale[i, i]
        else:
            e[i] = z[g, i]
            theta[i] = location[i] + scale[i, i:] @ e[i:]
    return theta


def coefficients_log_density(data: Mapping, g: int, theta, z, scales):
    total = Extended(0)
    for k, shrunken in enumerate(data["shrunken"]):
        if data["noncentered"][g][k]:
            total -= np.log(2 * np.cosh(PI / 2 * Extended(z[g, k])))
        else:
            total += cauchy(theta[k], scales[k]) if shrunken else normal(theta[k], 0, data["wide_sd"])
    return total


def genes_log_density(data: Mapping, z: np.ndarray) -> np.longdouble:
    """The log density that stan/genes.stan stands for, at z (gene, P + 1)."""
    total, scales = Extended(0), np.asarray(data["shrinkage_scale"], Extended)
    for g in range(data["G"]):
        log_trend, sd = Extended(data["log_trend"][g]), Extended(data["dispersion_sd"])
        theta = gene_theta(data, g, z, scales, log_trend, sd)
        total += coefficients_log_density(data, g, theta, z, scales)
        total += residual_log_density(data, g, theta[-1], z[g, -1], log_trend, sd, data["nu"])
        if data["use_likelihood"]:
            total += gene_log_likelihood(data, g, theta)
    return total


def log_hyperprior(data: Mapping, params: Mapping) -> np.longdouble:
    shrunken = np.flatnonzero(data["shrunken"])
    total = Extended(0)
    for log_scale, k in zip(params["log_shrinkage_scale"], shrunken, strict=True):
        total += normal(log_scale, data["log_scale_mean"][k], data["log_scale_sd"][k])
    first, second, third = data["dispersion_sd_hyper"]
    log_sd = Extended(params["log_dispersion_sd"])
    if data["dispersion_sd_prior"] == 0:
        total += normal(log_sd, first, second)
    else:
        total += np.log(Extended(2)) + student_t(np.exp(log_sd), first, 0, third) + log_sd
    total += normal(
        params["log_asymptotic_dispersion"],
        data["log_asymptotic_dispersion_mean"],
        data["log_asymptotic_dispersion_sd"],
    )
    for value in params["log_extra_poisson"]:
        total += normal(value, data["log_extra_poisson_mean"], data["log_extra_poisson_sd"])
    for nu in params["nu"]:
        total += gamma(nu, data["nu_shape"], data["nu_rate"])
    return total


def joint_log_density(data: Mapping, params: Mapping, jacobian: bool = False) -> np.longdouble:
    """The log density that stan/joint.stan stands for; with jacobian, as a density of log(nu - 2)."""
    scales = np.full(data["P"], Extended(data["wide_sd"]))
    scales[np.flatnonzero(data["shrunken"])] = np.exp(np.asarray(params["log_shrinkage_scale"], Extended))
    nu = params["nu"][0] if len(params["nu"]) else data["nu_value"]
    sd = np.exp(Extended(params["log_dispersion_sd"]))
    total = log_hyperprior(data, params)
    for g in range(data["G"]):
        z = np.asarray(params["z"], Extended)
        trend = np.exp(Extended(params["log_asymptotic_dispersion"]))
        for log_extra_poisson in params["log_extra_poisson"]:
            trend = trend + np.exp(Extended(log_extra_poisson)) / data["base_mean"][g]
        theta = gene_theta(data, g, z, scales, np.log(trend), sd)
        total += coefficients_log_density(data, g, theta, z, scales)
        total += residual_log_density(data, g, theta[-1], z[g, -1], np.log(trend), sd, nu)
        if data["use_likelihood"]:
            total += gene_log_likelihood(data, g, theta)
    if jacobian:
        total += sum(np.log(Extended(value) - 2) for value in params["nu"])
    return total
