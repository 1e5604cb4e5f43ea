"""Logarithms of gamma functions and of ratios, without the digits that subtraction would lose.

For compiled loops: everything here works on numbers, and allocates nothing.
"""

from __future__ import annotations

import math

from bayesde.numerics.compiled import kernel

__all__ = [
    "ASYMPTOTIC",
    "HALF_LOG_TWO_PI",
    "gamma_excess",
    "gamma_excess_derivatives",
    "gamma_excess_with_slope",
    "log_one_plus",
    "log_ratio",
    "stirling",
    "stirling_slope",
]

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
ASYMPTOTIC = 10.0
"""From here on the series below are exact to double precision."""


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
def gamma_excess_derivatives(x):  # type: ignore[no-untyped-def]
    """Return A(x), A'(x) = psi(x) - ln x and T(x) = psi'(x) - 1/x for x > 0.

    A is `gamma_excess` of `bayesde.numerics.gamma_functions`; the series are 6.1.41, 6.3.18 and 6.4.12 of
    Abramowitz and Stegun, their recurrences 6.1.15, 6.3.5 and 6.4.6.
    """
    product, inverses, squares, z = 1.0, 0.0, 0.0, x
    while z < ASYMPTOTIC:
        inverse = 1.0 / z
        inverses += inverse
        squares += inverse * inverse
        product *= z
        z += 1.0
    inverse = 1.0 / z
    u = inverse * inverse
    series = 1.0 / 6.0 - u * (1.0 / 30.0 - u * (1.0 / 42.0 - u * (1.0 / 30.0 - u * 5.0 / 66.0)))
    value, slope = stirling(u) * inverse, -0.5 * inverse - u * stirling_slope(u)
    curve = u * (0.5 + series * inverse)
    log_x = math.log(x)
    if z == x:
        return value - 0.5 * log_x, slope, curve
    log_z = math.log(z)
    value += (z - 0.5) * log_z - z - math.log(product) - (x * log_x - x)
    return value, slope - inverses + (log_z - log_x), curve + squares + (inverse - 1.0 / x)


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
