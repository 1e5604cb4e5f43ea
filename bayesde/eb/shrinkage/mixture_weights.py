r"""Maximum-likelihood weights of a mixture whose components are known.

    minimize over x >= 0     f(x) = -mean_g ln(sum_k L_gk x_k) + sum_k x_k

is convex, and its minimum sums to one. It is solved to rounding by Newton steps, each of which minimizes the
second-order expansion over non-negative vectors (Kim, Carbonetto, Stephens and Anitescu 2020,
doi:10.1080/10618600.2019.1689985), here by an active set on its normal equations (Lawson and Hanson 1995,
"Solving Least Squares Problems", chapter 23; Bro and de Jong 1997,
doi:10.1002/(SICI)1099-128X(199709/10)11:5<393::AID-CEM483>3.0.CO;2-L).
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics.cholesky import cholesky, solve
from bayesde.numerics.compiled import inlined, kernel

__all__ = ["maximum_likelihood_weights"]

MAX_STEPS = 200
GRADIENT_TOLERANCE = 1e-11
"""Of the optimality conditions; the gradient's parts are of order one."""
DAMPING = 1e-13
NEGLIGIBLE_WEIGHT = 1e-14
BOUNDARY = 0.9
"""No gene's density may lose a greater share of its value in one step."""
SHORTEST = 1e-10
ACTIVE_SET_STEPS = 100
"""For each component, the most changes of the set of positive weights."""
ROUNDING = 1e-14
"""A slope below this share of the largest is 0."""


@inlined
def _expansion(likelihood, x, mixed, gradient, hessian):  # type: ignore[no-untyped-def]
    """Fill the mixture's densities (gene,), the gradient and the Hessian of f; return f."""
    n_genes, p = likelihood.shape
    gradient[:] = 0.0
    hessian[:] = 0.0
    value, scaled = 0.0, np.empty(p)
    for g in range(n_genes):
        total = 0.0
        for k in range(p):
            total += likelihood[g, k] * x[k]
        mixed[g] = total
        value -= math.log(total)
        for k in range(p):
            scaled[k] = likelihood[g, k] / total
            gradient[k] -= scaled[k]
            if scaled[k] > 0.0:  # most genes have no density under the narrow components
                for m in range(k + 1):
                    hessian[k, m] += scaled[k] * scaled[m]
    value /= n_genes
    for k in range(p):
        gradient[k] = 1.0 + gradient[k] / n_genes
        value += x[k]
        for m in range(k + 1):
            hessian[k, m] /= n_genes
            hessian[m, k] = hessian[k, m]
    return value


@inlined
def _value_along(mixed, moved, x, step, length):  # type: ignore[no-untyped-def]
    """Return f(x + length step), given the densities of x and of the step (gene,)."""
    value = 0.0
    for g in range(mixed.size):
        total = mixed[g] + length * moved[g]
        if not total > 0.0:
            return math.inf
        value -= math.log(total)
    value /= mixed.size
    for k in range(x.size):
        value += x[k] + length * step[k]
    return value


@kernel
def _solve_for(hessian, target, positive, out):  # type: ignore[no-untyped-def]
    """Solve H z = target among the positive components; the others are 0. False if H is singular there."""
    chosen = np.flatnonzero(positive)
    n = chosen.size
    part, factor, right = np.empty((n, n)), np.zeros((n, n)), np.empty(n)
    for a in range(n):
        right[a] = target[chosen[a]]
        for b in range(n):
            part[a, b] = hessian[chosen[a], chosen[b]]
    if not cholesky(part, factor):
        return False
    solve(factor, right)
    out[:] = 0.0
    for a in range(n):
        out[chosen[a]] = right[a]
    return True


@inlined
def _slope_at(hessian, target, x, k):  # type: ignore[no-untyped-def]
    """Return minus the slope of x' H x / 2 - target' x in direction k."""
    total = target[k]
    for m in range(x.size):
        total -= hessian[k, m] * x[m]
    return total


@inlined
def _steepest(hessian, target, x, positive):  # type: ignore[no-untyped-def]
    """Return the component at 0 that the objective falls most steeply along, or -1 if it falls along none."""
    best, steepest, largest = -1, 0.0, np.abs(target).max()
    for k in range(x.size):
        if not positive[k]:
            slope = _slope_at(hessian, target, x, k)
            if slope > steepest and slope > ROUNDING * largest:
                best, steepest = k, slope
    return best


@inlined
def _feasible_share(x, z, positive):  # type: ignore[no-untyped-def]
    """Return how much of the way from x to z, at most all of it, leaves no component negative."""
    share = 1.0
    for k in range(x.size):
        if positive[k] and not z[k] > 0.0:
            share = min(share, x[k] / (x[k] - z[k]) if x[k] > 0.0 else 0.0)
    return share


@kernel
def _nonnegative_minimum(hessian, target, x):  # type: ignore[no-untyped-def]
    """Overwrite ``x`` >= 0, a start, with the minimum of x' H x / 2 - target' x over x >= 0.

    False if the Hessian is singular to rounding among the components that are needed.
    """
    positive, z, entering = x > 0.0, np.empty(x.size), -1
    for _ in range(ACTIVE_SET_STEPS * x.size):
        if not _solve_for(hessian, target, positive, z):
            return False
        share = _feasible_share(x, z, positive)
        for k in range(x.size):
            x[k] += share * (z[k] - x[k])
            if positive[k] and not z[k] > 0.0 and x[k] <= NEGLIGIBLE_WEIGHT:
                x[k] = 0.0
                positive[k] = False
        if share == 1.0:
            entering = _steepest(hessian, target, x, positive)
            if entering < 0:
                return True
            positive[entering] = True
        elif entering >= 0 and not positive[entering]:
            return True  # what entered last leaves at once: its slope was rounding
    return True


@inlined
def _newton_step(hessian, x, gradient, step):  # type: ignore[no-untyped-def]
    """Fill ``step`` with the way from x to the minimum of the expansion of f over non-negative vectors."""
    p, damping = x.size, DAMPING
    damped, target, point = hessian.copy(), np.empty(p), np.empty(p)
    while True:
        # Neighboring components are nearly alike: the damping pulls towards x, and moves no solution.
        for k in range(p):
            damped[k, k] = hessian[k, k] * (1.0 + damping)
        for k in range(p):
            target[k] = -gradient[k]
            for m in range(p):
                target[k] += damped[k, m] * x[m]
            point[k] = x[k]
        if _nonnegative_minimum(damped, target, point):
            break
        damping *= 10.0
    for k in range(p):
        step[k] = point[k] - x[k]


@inlined
def _at_optimum(x, gradient):  # type: ignore[no-untyped-def]
    for k in range(x.size):
        if gradient[k] < -GRADIENT_TOLERANCE or abs(x[k] * gradient[k]) > GRADIENT_TOLERANCE:
            return False
    return True


@kernel
def _minimize(likelihood, x):  # type: ignore[no-untyped-def]
    """Overwrite ``x`` (component,), a start inside, with the minimum of f."""
    n_genes, p = likelihood.shape
    mixed, moved = np.empty(n_genes), np.empty(n_genes)
    gradient, step, hessian = np.empty(p), np.empty(p), np.empty((p, p))
    for _ in range(MAX_STEPS):
        value = _expansion(likelihood, x, mixed, gradient, hessian)
        if _at_optimum(x, gradient):
            return
        _newton_step(hessian, x, gradient, step)
        slope, loss = 0.0, BOUNDARY
        for k in range(p):
            slope += gradient[k] * step[k]
        for g in range(n_genes):
            moved[g] = 0.0
            for k in range(p):
                moved[g] += likelihood[g, k] * step[k]
            loss = max(loss, -moved[g] / mixed[g])
        length = min(1.0, BOUNDARY / loss)
        while _value_along(mixed, moved, x, step, length) > value + 1e-4 * length * slope + 1e-15 * abs(
            value
        ):
            length *= 0.5
            if length < SHORTEST:
                return
        for k in range(p):
            x[k] += length * step[k]
            if x[k] < NEGLIGIBLE_WEIGHT:
                x[k] = 0.0


def maximum_likelihood_weights(likelihood: np.ndarray) -> np.ndarray:
    """Find the weights of a mixture's components.

    Parameters
    ----------
    likelihood : ndarray (observation, component)
        Density of each observation under each component; every observation has one above 0.

    Returns
    -------
    ndarray (component,)
        At least 0, and 1 in all.
    """
    used = likelihood.any(axis=0)  # a component without any density has no weight, and no curvature
    if not used.all():
        weights = np.zeros(used.size)
        weights[used] = maximum_likelihood_weights(likelihood[:, used])
        return weights
    x = np.full(likelihood.shape[1], 1.0 / likelihood.shape[1])
    _minimize(np.ascontiguousarray(likelihood), x)
    return np.asarray(x / x.sum())
