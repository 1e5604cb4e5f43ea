"""The log posterior densities written from the model's formulas, in NumPy, as a yardstick for the Stan
programs.

Slow and plain on purpose: extended precision where the platform has it, and sums in place of gamma functions
(50 digits where a sum would be long).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import mpmath
import numpy as np

Extended = np.longdouble
LONGEST_SUM = 1000
"""Beyond so many terms gamma functions take the place of the sum."""
PI = Extended("3.14159265358979323846264338327950288")


@lru_cache(maxsize=2**16)  # a finite difference moves one gene and asks for all of them again
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


def conditional_variance(data: Mapping, g: int, sd) -> np.longdouble:
    """Variance of a log dispersion where its prior and a normal density of given precision meet."""
    return 1 / (Extended(data["precision"][g]) + 1 / Extended(sd) ** 2)


def residual_log_density(data: Mapping, g: int, log_dispersion, log_trend, sd, nu):
    """Of the log dispersion where it is sampled as it is, or of the z that moves it."""
    total = Extended(0)
    if data["noncentered"][g][-1]:
        total += np.log(np.sqrt(conditional_variance(data, g, sd)))
    if data["residuals"] == 1:
        return total + student_t(log_dispersion, nu, log_trend, sd)
    return total + normal(log_dispersion, log_trend, sd)


def bounded_cauchy(z, scale, width) -> tuple[np.longdouble, np.longdouble]:
    """A coefficient from z, and its derivative; with no width Cauchy if z has density sech(pi z / 2)/2."""
    x = PI / 2 * Extended(z)
    if width == 0:
        return scale * np.sinh(x), scale * np.cosh(x) * PI / 2
    inner = Extended(scale) / width * np.sinh(x)
    slope = scale * np.cosh(x) * PI / 2 / np.sqrt(1 + inner**2)
    return width * np.log(np.abs(inner) + np.sqrt(inner**2 + 1)) * np.sign(inner), slope


def gene_theta(data: Mapping, g: int, z: np.ndarray, scales: np.ndarray, log_trend, sd) -> np.ndarray:
    """The gene's parameters: solve for them one by one, from the last, as stan/README.md defines them."""
    location, scale = np.asarray(data["location"][g], Extended), np.asarray(data["scale"][g], Extended)
    size = len(location)
    e, theta = np.zeros(size, Extended), np.zeros(size, Extended)
    for i in reversed(range(size)):
        if data["noncentered"][g][i]:
            if i < size - 1:
                theta[i] = bounded_cauchy(z[g, i], scales[i], data["width"][g][i])[0]
            else:
                v = conditional_variance(data, g, sd)
                theta[i] = (
                    v * (data["precision_times_mean"][g] + log_trend / Extended(sd) ** 2)
                    + np.sqrt(v) * z[g, i]
                )
            e[i] = (theta[i] - location[i] - scale[i, i + 1 :] @ e[i + 1 :]) / scale[i, i]
        else:
            e[i] = z[g, i]
            theta[i] = location[i] + scale[i, i:] @ e[i:]
    return theta


def coefficients_log_density(data: Mapping, g: int, theta, z, scales):
    total = Extended(0)
    for k, shrunken in enumerate(data["shrunken"]):
        total += cauchy(theta[k], scales[k]) if shrunken else normal(theta[k], 0, data["unshrunken_sd"])
        if data["noncentered"][g][k]:
            total += np.log(bounded_cauchy(z[g, k], scales[k], data["width"][g][k])[1])
    return total


def genes_log_density(data: Mapping, z: np.ndarray) -> np.longdouble:
    """The log density that stan/genes.stan stands for, at z (gene, P + 1)."""
    total, scales = Extended(0), np.asarray(data["shrinkage_scale"], Extended)
    for g in range(data["G"]):
        log_trend, sd = Extended(data["log_trend"][g]), Extended(data["dispersion_sd"])
        theta = gene_theta(data, g, z, scales, log_trend, sd)
        total += coefficients_log_density(data, g, theta, z, scales)
        total += residual_log_density(data, g, theta[-1], log_trend, sd, data["nu"])
        if data["use_likelihood"]:
            total += gene_log_likelihood(data, g, theta)
    return total


def log_hyperprior(data: Mapping, params: Mapping) -> np.longdouble:
    total = Extended(0)
    scales = params["log_shrinkage_scale"], data["log_scale_mean"], data["log_scale_sd"]
    for log_scale, mean, sd in zip(*scales, strict=True):
        total += normal(log_scale, mean, sd)
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
    known = [Extended(data["unshrunken_sd"]), *np.exp(np.asarray(params["log_shrinkage_scale"], Extended))]
    scales = np.array([known[i] for i in data["scale_of"]])
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
        total += residual_log_density(data, g, theta[-1], np.log(trend), sd, nu)
        if data["use_likelihood"]:
            total += gene_log_likelihood(data, g, theta)
    if jacobian:
        total += sum(np.log(Extended(value) - 2) for value in params["nu"])
    return total
