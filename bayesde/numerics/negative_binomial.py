"""The log probability of a negative-binomial count, for compiled loops."""

from __future__ import annotations

import math

from bayesde.numerics.compiled import kernel
from bayesde.numerics.gamma_functions import HALF_LOG_TWO_PI, gamma_excess, log_one_plus, log_ratio

__all__ = ["FEW", "nb_constant", "nb_log_pmf"]

FEW = 12.0
"""Up to this count, ratios of gamma functions are products of so many factors."""


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
