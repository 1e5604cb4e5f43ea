r"""Modes under normal priors that average Cauchy's, for coefficients that few counts tell of.

Where the likelihood of a coefficient is wider than its prior, but not many times as wide, the posterior does
not have two modes: it has a peak near zero with a shoulder to one side. With several such coefficients
neither "null" nor "non-null" components are near it, and their combinations are many. Cauchy's law is a
mixture of normal ones,

    beta ~ N(0, S^2 / lambda),   lambda ~ Gamma(1/2, 1/2),

and where beta has posterior mean m and variance v,

    E[lambda | beta] / S^2  ~  2 / (S^2 + m^2 + v)

(Lange, Little and Taylor 1989, doi:10.1080/01621459.1989.10478852, without v, which is that of variational
Bayes). With these precisions in the place of the prior, mode and curvature are those of the posterior's bulk;
they are found by turns. Coefficients whose peak at zero is far narrower than the likelihood (`SPIKY`) stay
null or non-null.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.model.density import GenePrior
from bayesde.model.modes import climb, fill_factor
from bayesde.numerics.cholesky import invert
from bayesde.numerics.compiled import kernel

__all__ = ["SPIKY", "add_averaged_sets", "climb_averaged"]

SPIKY = 0.02
"""Fisher information times S^2 below which a coefficient is null or not, and not in between."""
ROUNDS = 5
FLAT = 1e-3


@kernel
def add_averaged_sets(chosen, taken, split, worth):  # type: ignore[no-untyped-def]
    """Append combinations in which only the spiky ones of the null coefficients are null; return how many.

    Parameters
    ----------
    chosen : ndarray of bool (combination, coefficient)
        Whether each of the coefficients in doubt is null, in the first columns; with room for twice as many.
    taken : int
        Combinations so far.
    split : ndarray of int64 (doubtful,)
    worth : ndarray (coefficient,)
        Fisher information times S^2.
    """
    found = taken
    for number in range(taken):
        for i in range(split.size):
            chosen[found, i] = chosen[number, i] and worth[split[i]] < SPIKY
        known = False
        for other in range(taken, found):
            same = True
            for i in range(split.size):
                same &= chosen[other, i] == chosen[found, i]
            known |= same
        if not known:
            found += 1
    return found


@kernel
def climb_averaged(theta, data, prior, averaged, gradient, hessian):  # type: ignore[no-untyped-def]
    """Move theta to the mode under averaged priors; return these, as a `GenePrior`.

    Parameters
    ----------
    theta : ndarray (P + 1,)
        Changed.
    data : GeneData
        Of the gene.
    prior : GenePrior
        Of the gene.
    averaged : ndarray of bool (coefficient,)
        Which coefficients have a normal prior in the place of their own.
    gradient, hessian : ndarray (P + 1,), (P + 1, P + 1)
        Written to, as by `climb`.
    """
    d = theta.size
    df, scale, factor, variance = prior.df.copy(), prior.scale.copy(), np.zeros((d, d)), np.zeros((d, d))
    normal = GenePrior(df, scale, prior.log_trend, prior.dispersion_sd, prior.nu, 0.0, 1.0, prior.center)
    for _ in range(ROUNDS):
        for k in range(d - 1):
            if averaged[k]:
                df[k] = math.inf
                scale[k] = math.sqrt(0.5 * (prior.scale[k] ** 2 + theta[k] ** 2 + variance[k, k]))
        climb(theta, data, normal, FLAT, gradient, hessian)
        fill_factor(theta, hessian, df, scale, factor)
        invert(factor, variance)
    return normal
