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


def mixture(x, weights, scales, nus):
    """Log density of a mixture of Student-t and (infinite nu) normal distributions around 0."""
    parts = [
        np.log(Extended(weight)) + (normal(x, 0, scale) if np.isinf(nu) else student_t(x, nu, 0, scale))
        for weight, scale, nu in zip(weights, scales, nus, strict=True)
        if weight > 0
    ]
    return max(parts) + np.log(sum(np.exp(part - max(parts)) for part in parts))


def components(data: Mapping, k: int) -> tuple:
    """Weights, scales and degrees of freedom of a coefficient's mixture."""
    first = sum(data["components_of"][:k])
    rows = slice(first, first + data["components_of"][k])
    return tuple(data[f"component_{name}"][rows] for name in ("weight", "scale", "nu"))


def effect_log_density(data: Mapping, k: int, x, scale, nu):
    """Prior of a shrunken coefficient: Cauchy, Student-t or a mixture."""
    if data["effects"][k] == 2:
        return mixture(x, *components(data, k))
    return student_t(x, nu, 0, scale) if data["effects"][k] == 1 else cauchy(x, scale)


def scales_of_maps(data: Mapping, scales) -> np.ndarray:
    """The scales, that of a mixture by its density at 0; as stan/README.md says."""
    mixed = [kind == 2 for kind in data["effects"]]
    return np.array(
        [
            1 / (PI * np.exp(mixture(0, *components(data, k)))) if mixed[k] else Extended(scale)
            for k, scale in enumerate(scales)
        ]
    )


def gamma(x, shape, rate):
    return (
        shape * np.log(Extended(rate))
        - math.lgamma(shape)
        + (shape - 1) * np.log(Extended(x))
        - rate * Extended(x)
    )


def gene_log_likelihood(data: Mapping, g: int, theta: np.ndarray, u=()) -> np.longdouble:
    """Of theta = (beta, log sds of random effects, log dispersion), and the levels' effects."""
    x = np.asarray(data["x"], Extended)
    log_mu = np.asarray(data["log_nf"][g], Extended) + x @ theta[: x.shape[1]]
    for r, effects in enumerate(u):
        level = np.asarray(data["level"][r]) - 1
        log_mu = log_mu + np.asarray(data["covariate"][r], Extended) * np.asarray(effects)[level]
    return sum(nb_log_pmf(y, eta, theta[-1]) for y, eta in zip(data["y"][g], log_mu, strict=True))


def conditional_variance(precision, sd) -> np.longdouble:
    """Variance where a normal prior and a normal density of given precision meet."""
    return 1 / (Extended(precision) + 1 / Extended(sd) ** 2)


def residual_log_density(data: Mapping, g: int, log_dispersion, log_trend, sd, nu):
    """Of the log dispersion where it is sampled as it is, or of the z that moves it."""
    total = Extended(0)
    if data["noncentered"][g][-1]:
        total += np.log(np.sqrt(conditional_variance(data["precision"][g], sd)))
    if data["residuals"] == 1:
        return total + student_t(log_dispersion, nu, log_trend, sd)
    return total + normal(log_dispersion, log_trend, sd)


def bounded(z, scale, width, nu=1) -> tuple[np.longdouble, np.longdouble]:
    """A coefficient from z, and its derivative; with no width and nu = 1 Cauchy if z has density
    sech(pi z / 2)/2.
    """
    nu = Extended(nu)
    rate = np.sqrt((1 + (PI**2 / 4 - 1) / nu) / nu)
    x, scale = rate * Extended(z), np.sqrt(nu) * scale
    if width == 0:
        return scale * np.sinh(x), scale * np.cosh(x) * rate
    inner = Extended(scale) / width * np.sinh(x)
    slope = scale * np.cosh(x) * rate / np.sqrt(1 + inner**2)
    return width * np.log(np.abs(inner) + np.sqrt(inner**2 + 1)) * np.sign(inner), slope


def random_sds_log_density(data: Mapping, g: int, theta, law):
    """Of log standard deviations of random effects, or of the z that move them; law: centers and spreads."""
    total, p = Extended(0), data["P"]
    for r, (center, spread) in enumerate(zip(*law, strict=True)):
        total += normal(theta[p + r], center, spread)
        if data["noncentered"][g][p + r]:
            total += np.log(np.sqrt(conditional_variance(data["random_sd_precision"][g][r], spread)))
    return total


def levels(data: Mapping, g: int, z, theta) -> tuple[list[np.ndarray], np.longdouble]:
    """The random effects of the levels, one array for each random effect, and the log density of their z."""
    effects, total, at, p = [], Extended(0), 0, data["P"]
    for r, size in enumerate(data["n_levels"]):
        sd, own = np.exp(theta[p + r]), []
        for _ in range(size):
            v = conditional_variance(data["level_precision"][g][at], sd)
            moved = theta[:p] - np.asarray(data["location"][g][:p], Extended)
            mean = data["level_precision_times_mean"][g][at] - moved @ data["level_by_coefficient"][g][at]
            own.append(v * mean + np.sqrt(v) * z[at])
            total += normal(own[-1], 0, sd) + np.log(np.sqrt(v))
            at += 1
        effects.append(np.array(own))
    return effects, total


def after_coefficients(data: Mapping, g: int, log_trend, sd, law) -> list[tuple]:
    """Centers and scales of the priors, precisions, and precisions times means, in the order of theta."""
    known = [
        (data["random_sd_precision"][g][r], data["random_sd_precision_times_mean"][g][r])
        for r in range(len(law[0]))
    ]
    laws = [*zip(*law, strict=True), (log_trend, sd)]
    known.append((data["precision"][g], data["precision_times_mean"][g]))
    return [(*own, *counts) for own, counts in zip(laws, known, strict=True)]


def gene_theta(
    data: Mapping, g: int, z: np.ndarray, scales: np.ndarray, log_trend, sd, nus=None, law=((), ())
) -> np.ndarray:
    """The gene's parameters: solve for them one by one, from the last, as stan/README.md defines them.

    `scales` are those of the maps; `nus` are read where effects is 1; `law` has the centers and spreads of
    the log standard deviations of random effects.
    """
    location, scale = np.asarray(data["location"][g], Extended), np.asarray(data["scale"][g], Extended)
    size = len(location)
    e, theta = np.zeros(size, Extended), np.zeros(size, Extended)
    after, p = after_coefficients(data, g, log_trend, sd, law), len(data["effects"])
    for i in reversed(range(size)):
        if data["noncentered"][g][i]:
            if i < p:
                nu = nus[i] if data["effects"][i] == 1 else 1
                theta[i] = bounded(z[g, i], scales[i], data["width"][g][i], nu)[0]
            else:
                center, spread, precision, precision_times_mean = after[i - p]
                v = conditional_variance(precision, spread)
                mean = v * (precision_times_mean + center / Extended(spread) ** 2)
                theta[i] = mean + np.sqrt(v) * z[g, i]
            e[i] = (theta[i] - location[i] - scale[i, i + 1 :] @ e[i + 1 :]) / scale[i, i]
        else:
            e[i] = z[g, i]
            theta[i] = location[i] + scale[i, i:] @ e[i:]
    return theta


def coefficients_log_density(data: Mapping, g: int, theta, z, scales, nus):
    total = Extended(0)
    for k, shrunken in enumerate(data["shrunken"]):
        if shrunken:
            total += effect_log_density(data, k, theta[k], scales[k], nus[k])
        else:
            total += normal(theta[k], 0, data["unshrunken_sd"])
        if data["noncentered"][g][k]:
            nu = nus[k] if data["effects"][k] == 1 else 1
            total += np.log(bounded(z[g, k], scales[k], data["width"][g][k], nu)[1])
    return total


def counts_and_levels(data: Mapping, g: int, theta, z, law):
    """Log density of a gene's random effects, and of its counts given them."""
    u, total = levels(data, g, z[g, len(theta) :], theta)
    total += random_sds_log_density(data, g, theta, law)
    return total + gene_log_likelihood(data, g, theta, u) if data["use_likelihood"] else total


def genes_log_density(data: Mapping, z: np.ndarray) -> np.longdouble:
    """The log density that stan/genes.stan stands for, at z (gene, P + R + 1 + L)."""
    total, scales, nus = Extended(0), scales_of_maps(data, data["shrinkage_scale"]), data["effect_nu"]
    law = data["random_sd_center"], data["random_sd_spread"]
    for g in range(data["G"]):
        log_trend, sd = Extended(data["log_trend"][g]), Extended(data["dispersion_sd"])
        theta = gene_theta(data, g, z, scales, log_trend, sd, nus, law)
        total += coefficients_log_density(data, g, theta, z, scales, nus)
        total += residual_log_density(data, g, theta[-1], log_trend, sd, data["nu"])
        total += counts_and_levels(data, g, theta, z, law)
    return total


def log_hyperprior(data: Mapping, params: Mapping) -> np.longdouble:
    total = Extended(0)
    scales = params["log_shrinkage_scale"], data["log_scale_mean"], data["log_scale_sd"]
    for log_scale, mean, sd in zip(*scales, strict=True):
        total += normal(log_scale, mean, sd)
    nus = params["log_effect_nu"], data["log_effect_nu_mean"], data["log_effect_nu_sd"]
    for log_nu, mean, sd in zip(*nus, strict=True):
        total += normal(log_nu, mean, sd)
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
    laws = (np.ravel(data[f"random_sd_law_{part}"]) for part in ("mean", "sd"))
    for values in zip(params.get("random_sd_law", []), *laws, strict=True):
        total += normal(*values)
    for nu in params["nu"]:
        total += gamma(nu, data["nu_shape"], data["nu_rate"])
    return total


def joint_log_density(data: Mapping, params: Mapping, jacobian: bool = False) -> np.longdouble:
    """The log density that stan/joint.stan stands for; with jacobian, as a density of log(nu - 2)."""
    known = [Extended(data["unshrunken_sd"]), *np.exp(np.asarray(params["log_shrinkage_scale"], Extended))]
    scales = scales_of_maps(data, [known[i] for i in data["scale_of"]])
    sampled = np.exp(np.asarray(params["log_effect_nu"], Extended))
    places = zip(data["nu_of"], data["effect_nu_value"], strict=True)
    nus = [sampled[place - 1] if place else Extended(value) for place, value in places]
    nu = params["nu"][0] if len(params["nu"]) else data["nu_value"]
    sd = np.exp(Extended(params["log_dispersion_sd"]))
    of_sds = np.asarray(params["random_sd_law"], Extended).reshape(-1, 2)
    law, total = (of_sds[:, 0], np.exp(of_sds[:, 1])), log_hyperprior(data, params)
    for g in range(data["G"]):
        z = np.asarray(params["z"], Extended)
        trend = np.exp(Extended(params["log_asymptotic_dispersion"]))
        for log_extra_poisson in params["log_extra_poisson"]:
            trend = trend + np.exp(Extended(log_extra_poisson)) / data["base_mean"][g]
        theta = gene_theta(data, g, z, scales, np.log(trend), sd, nus, law)
        total += coefficients_log_density(data, g, theta, z, scales, nus)
        total += residual_log_density(data, g, theta[-1], np.log(trend), sd, nu)
        total += counts_and_levels(data, g, theta, z, law)
    if jacobian:
        total += sum(np.log(Extended(value) - 2) for value in params["nu"])
    return total
