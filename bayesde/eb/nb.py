"""Negative-binomial building blocks for the compiled kernels: special functions, densities, small Cholesky.

Everything here works on one gene and allocates nothing, so that the loops over genes can run in parallel.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics.compiled import inlined, kernel

__all__ = [
    "ASYMPTOTIC",
    "FEW",
    "HALF_LOG_TWO_PI",
    "cholesky",
    "gamma_excess",
    "gamma_excess_with_slope",
    "invert",
    "log_determinant",
    "log_one_plus",
    "log_ratio",
    "nb_constant",
    "nb_log_pmf",
    "row_of",
    "solve",
    "stirling",
    "stirling_slope",
    "weighted_gram",
]

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
ASYMPTOTIC = 10.0
"""From here on the series below are exact to double precision."""
FEW = 12.0
"""Up to this count, ratios of gamma functions are products of so many factors."""


@kernel
def stirling(u: float) -> float:
    """Return x sum_k B_2k / (2k (2k-1) x^(2k-1)), six terms, for u = 1/x^2 <= 0.01."""
    last = 1.0 / 1188.0 - u * (691.0 / 360360.0 - u / 156.0)
    return 1.0 / 12.0 - u * (1.0 / 360.0 - u * (1.0 / 1260.0 - u * (1.0 / 1680.0 - u * last)))


@kernel
def stirling_slope(u: float) -> float:
    """Return x^2 sum_k B_2k / (2k x^2k), seven terms, for u = 1/x^2 <= 0.01."""
    last = 1.0 / 132.0 - u * (691.0 / 32760.0 - u / 12.0)
    return 1.0 / 12.0 - u * (1.0 / 120.0 - u * (1.0 / 252.0 - u * (1.0 / 240.0 - u * last)))


@kernel
def gamma_excess(x: float) -> float:
    """Return A(x) = ln Gamma(x) - (x ln x - x + ln(2 pi) / 2) for x > 0.

    Stirling's series, -ln(x)/2 + sum_k B_2k / (2k (2k-1) x^(2k-1)) (Abramowitz and Stegun 6.1.41), from
    x >= 10 on, where the first term left out is below 1e-16; smaller x are moved there by the recurrence
    Gamma(x) = Gamma(x + 1) / x. The large part of ln Gamma is left to the caller, who can cancel it exactly.
    """
    product, z = 1.0, x
    while z < ASYMPTOTIC:
        product *= z
        z += 1.0
    series = stirling(1.0 / (z * z)) / z
    if z == x:
        return series - 0.5 * math.log(x)
    moved = (z - 0.5) * math.log(z) - z - math.log(product)
    return moved + series - (x * math.log(x) - x)


@kernel
def gamma_excess_with_slope(x: float) -> tuple[float, float]:
    """Return A(x), see ``gamma_excess``, and A'(x) = psi(x) - ln x for x > 0.

    The slope is that of Stirling's series (Abramowitz and Stegun 6.3.18) and of the recurrence (6.3.5), whose
    terms 1 / (x + k) are added up as one fraction.
    """
    product, numerator, z = 1.0, 0.0, x
    while z < ASYMPTOTIC:
        numerator = numerator * z + product
        product *= z
        z += 1.0
    u = 1.0 / (z * z)
    value, slope = stirling(u) / z, -0.5 / z - u * stirling_slope(u)
    if z == x:
        return value - 0.5 * math.log(x), slope
    log_z, log_x = math.log(z), math.log(x)
    value += (z - 0.5) * log_z - z - math.log(product) - (x * log_x - x)
    return value, slope - numerator / product + (log_z - log_x)


@kernel
def log_ratio(y: float, mu: float, r: float) -> float:
    """Return ln((y + r) / (mu + r)), to full precision both near 0 and for ratios far from 1."""
    u = (y - mu) / (mu + r)
    return math.log1p(u) if -0.5 < u < 1.0 else math.log((y + r) / (mu + r))


@kernel
def log_one_plus(x: float) -> float:
    """Return ln(1 + x) for x > -0.5 or so, to full precision: ln of the rounded sum, with its correction.

    With t the sum as it was rounded, ln(1 + x) = ln t + (x - (t - 1)) / t but for terms of the order of the
    square of the rounding error. It costs less than the ``log1p`` of most C libraries.
    """
    t = 1.0 + x
    return math.log(t) - ((t - 1.0) - x) / t


@kernel
def nb_constant(y: float, alpha: float, excess_r: float) -> float:
    r"""Return what the log probability of a count has beside y ln mu - (y + 1/alpha) ln(1 + alpha mu).

    That is ln [G(y + r) alpha^y / (G(r) y!)] = sum_{k<y} ln(1 + k alpha) - ln y!, with r = 1/alpha.
    ``excess_r`` is ``gamma_excess(r)``.
    """
    if y == 0.0:
        return 0.0
    if y <= FEW:
        product, factorial, k = 1.0, 1.0, 1.0
        while k < y:
            product *= 1.0 + k * alpha
            k += 1.0
            factorial *= k
        return math.log(product / factorial)
    r = 1.0 / alpha
    log_factorial = y * math.log(y) + gamma_excess(y) + math.log(y) + HALF_LOG_TWO_PI
    return (y + r) * log_one_plus(alpha * y) + gamma_excess(y + r) - excess_r - log_factorial


@kernel
def nb_log_pmf(y: float, mu: float, dispersion: float) -> float:
    r"""Log probability of a count y under NB(mean mu, variance mu + dispersion mu^2).

    ln p = (y+r) ln((y+r)/(mu+r)) + A(y+r) - A(r) - y + y ln mu - ln y!,   r = 1/dispersion,

    A being ``gamma_excess``: it keeps its digits towards the Poisson limit.
    """
    r = 1.0 / dispersion
    value = (y + r) * log_ratio(y, mu, r) + gamma_excess(y + r) - gamma_excess(r)
    # y ln mu - y - ln y!, without its large terms
    if y == 0.0:
        return value
    return value + y * math.log(mu / y) - gamma_excess(y) - math.log(y) - HALF_LOG_TWO_PI


@inlined
def row_of(matrix: np.ndarray, g: int) -> np.ndarray:
    """Return the row of gene ``g``, or the only one if that stands for all genes."""
    return matrix[g] if matrix.shape[0] > 1 else matrix[0]


@kernel
def weighted_gram(design: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Fill ``out`` (p, p) with X' diag(w) X for ``design`` (m, p) and ``weights`` (m,)."""
    m, p = design.shape
    for a in range(p):
        for b in range(a + 1):
            total = 0.0
            for j in range(m):
                total += weights[j] * design[j, a] * design[j, b]
            out[a, b] = total
            out[b, a] = total


@kernel
def cholesky(matrix: np.ndarray, out: np.ndarray) -> bool:
    """Lower Cholesky factor of a symmetric (p, p) matrix; False if it is not positive definite."""
    p = matrix.shape[0]
    for a in range(p):
        for b in range(a + 1):
            total = matrix[a, b]
            for k in range(b):
                total -= out[a, k] * out[b, k]
            if a == b:
                if not total > 0.0:
                    return False
                out[a, a] = math.sqrt(total)
            else:
                out[a, b] = total / out[b, b]
    return True


@kernel
def solve(factor: np.ndarray, vector: np.ndarray) -> None:
    """Overwrite ``vector`` with A^-1 vector, given the lower Cholesky factor of A."""
    p = factor.shape[0]
    for a in range(p):
        total = vector[a]
        for k in range(a):
            total -= factor[a, k] * vector[k]
        vector[a] = total / factor[a, a]
    for a in range(p - 1, -1, -1):
        total = vector[a]
        for k in range(a + 1, p):
            total -= factor[k, a] * vector[k]
        vector[a] = total / factor[a, a]


@kernel
def invert(factor: np.ndarray, out: np.ndarray) -> None:
    """Fill ``out`` (p, p) with A^-1, given the lower Cholesky factor of A."""
    p = factor.shape[0]
    for a in range(p):
        for b in range(p):
            out[a, b] = 1.0 if a == b else 0.0
        solve(factor, out[a])


@inlined
def log_determinant(factor: np.ndarray) -> float:
    """Return ln det A, given the lower Cholesky factor of A."""
    total = 0.0
    for a in range(factor.shape[0]):
        total += math.log(factor[a, a])
    return 2.0 * total
