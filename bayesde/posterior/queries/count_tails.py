r"""Tail probabilities of a negative-binomial count, from its log probability and a continued fraction.

With r = 1/alpha and x = r / (r + mu), the tails are regularized incomplete beta functions (NIST Digital
Library of Mathematical Functions, 8.17(iii) and 8.17.22),

    P(Y < y) = I_x(r, y),    P(Y > y) = I_{1-x}(y + 1, r),

whose factors in front are multiples of the probability of y itself:

    x^r (1-x)^y / B(r, y) = y p(y),    (1-x)^(y+1) x^r / B(y+1, r) = (r + y) (1-x) p(y).

The rest is the even part of the continued fraction, which converges fast on the side of the mean on which
the tail is the smaller one; the other tail is the rest. With lambda = a - (a + b) x >= 0 there, computed
without cancellation, all of its terms but the last few are positive.
"""

from __future__ import annotations

from bayesde.numerics.compiled import kernel

__all__ = ["count_tails"]

MAX_TERMS = 10_000
PRECISION = 1e-10


@kernel
def _fraction(a, b, x, gap):  # type: ignore[no-untyped-def]
    """Return I_x(a, b) B(a, b) / (x^a (1-x)^b), for ``gap`` = lambda = a - (a + b) x >= 0."""
    value = a * (1.0 + gap)
    c, d = value, 0.0
    for n in range(1, MAX_TERMS):
        edge = a + 2.0 * n
        step = n * (b - n) * x * ((edge + 1.0) / (edge - 1.0))
        top = (a + n - 1.0) * (a + b + n - 1.0) * x * step
        bottom = step + (a + n) * (gap + 1.0 + n * (2.0 - x)) + n * (edge + 1.0)
        d = 1.0 / (bottom + top * d)
        c = bottom + top / c
        change = c * d
        value *= change
        if abs(change - 1.0) < PRECISION:
            break
    return (a + 1.0) / value


@kernel
def count_tails(y, mu, r, p):  # type: ignore[no-untyped-def]
    """Return P(Y < y) and P(Y > y) of a count Y with mean mu and variance mu + mu^2 / r.

    Parameters
    ----------
    y : float
        A whole number.
    mu, r : float
        Above 0.
    p : float
        P(Y = y).
    """
    spread = r + mu
    if mu >= y:
        below = 0.0
        if y > 0.0:
            below = min(y * p * _fraction(r, y, r / spread, r * ((mu - y) / spread)), 1.0)
        return below, max(1.0 - below - p, 0.0)
    upper = mu / spread
    above = (r + y) * upper * p * _fraction(y + 1.0, r, upper, r * ((y + 1.0 - mu) / spread))
    above = min(above, 1.0)
    return max(1.0 - above - p, 0.0), above
