r"""The integral over the random effects of one component, by Laplace's approximation and by importance.

With the log integrand, strictly concave in the standardized effects b (`bayesde.model.random_effects.terms`),

    f(b) = sum_j ln NB(y_j | exp(eta_j + a_j . b), exp(a)) - b'b / 2,

its mode b^ and the precision there, H = I + A' W A = L L', Laplace's approximation of the integral over
b under its normal law is exp(f(b^)) / |L| (Tierney and Kadane 1986, doi:10.1080/01621459.1986.10478240).
Draws b = b^ + L'^-1 x, x ~ Normal(0, I), in antithetic pairs turn it into an estimate without bias,

    I^ = 1 / |L| mean_i exp(f(b_i) + x_i'x_i / 2).

Weights of draws of theta with the estimate in the place of the integral have the expectations that those with
the integral have (Beaumont 2003; Andrieu and Roberts 2009, doi:10.1214/07-AOS574), so that the marginal
posterior of theta is exact for any number of pairs; its noise adds to the variance of the weights. The random
numbers are a hash of theta: the same draw always has the same estimate.

Away from the mode Newton's method starts at the mode of the normal approximation to the counts, ln(y + 1/2)
with the weights (y + 1/2) r / (y + 1/2 + r).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.numerics.compiled import kernel
from bayesde.numerics.gamma_functions import log_ratio
from bayesde.numerics.random_numbers import fill_normal, stream_of

__all__ = [
    "Room",
    "add_sample",
    "clear",
    "effect_bounds",
    "estimate_integral",
    "factorize",
    "fill_multipliers",
    "find_mode",
    "integrand",
    "laplace_integral",
    "make_room",
    "solve_lower",
    "solve_upper",
    "theta_stream",
]

LOWEST_LOG_SD, HIGHEST_LOG_SD = -60.0, 10.0
"""Natural log; standard deviations beyond are cut."""
LARGEST_ETA = 700.0
MOST_STEPS, LARGEST_STEP = 60, 3.0
"""Of the search for a mode; the latter is how far a log mean may move."""
NEAR, ROUGH = 1e-10, 1e-3
"""Squared step, over the precision, that is the last: for derivatives, and for a place to draw around."""
HALF_A_COUNT = 0.5


class Room(NamedTuple):
    """Work space of one gene.

    Attributes
    ----------
    a : ndarray (sample, term)
        From `fill_multipliers`.
    b, step : ndarray (effect,)
        The mode, and a step of the search.
    factor : ndarray (effect, effect)
        H, and then its lower Cholesky factor L.
    nodes : ndarray (2 pair, effect)
        Draws of b.
    shares : ndarray (2 pair,)
        Of the draws in the estimate.
    """

    a: np.ndarray
    b: np.ndarray
    step: np.ndarray
    factor: np.ndarray
    nodes: np.ndarray
    shares: np.ndarray


@kernel
def make_room(terms):  # type: ignore[no-untyped-def]
    """Return work space for all components in turn."""
    q = 0
    for c in range(terms.bounds.size - 1):
        q = max(q, terms.bounds[c + 1] - terms.bounds[c])
    draws = 2 * terms.pairs
    return Room(
        np.empty(terms.z.shape),
        np.empty(q),
        np.empty(q),
        np.empty((q, q)),
        np.empty((draws, q)),
        np.empty(draws),
    )


@kernel
def effect_bounds(terms, c):  # type: ignore[no-untyped-def]
    """Return the first effect of a component, and their number."""
    return terms.bounds[c], terms.bounds[c + 1] - terms.bounds[c]


@kernel
def fill_multipliers(theta, terms, a):  # type: ignore[no-untyped-def]
    """Fill a (sample, term), with the log standard deviations before the last number of theta."""
    n_terms = terms.z.shape[1]
    for t in range(n_terms):
        log_sd = theta[theta.size - 1 - n_terms + t]
        tau = math.exp(min(max(log_sd, LOWEST_LOG_SD), HIGHEST_LOG_SD))
        for j in range(a.shape[0]):
            a[j, t] = terms.z[j, t] * tau


@kernel
def theta_stream(theta):  # type: ignore[no-untyped-def]
    """Return the stream of random numbers of a draw of theta."""
    stream = stream_of(np.uint64(0))
    for k in range(theta.size):
        if theta[k] != 0.0:  # coefficients that are exactly zero are left out of some draws
            bits = np.float64(theta[k]).view(np.int64)
            stream = stream_of(stream ^ np.uint64(bits))
    return stream


@kernel
def _mean(eta):  # type: ignore[no-untyped-def]
    return math.exp(min(max(eta, -LARGEST_ETA), LARGEST_ETA))


@kernel
def _shift(j, terms, a, b):  # type: ignore[no-untyped-def]
    """Return a_j . b."""
    total = 0.0
    for t in range(a.shape[1]):
        total += a[j, t] * b[terms.effect[j, t]]
    return total


@kernel
def integrand(b, q, y, eta, r, members, terms, a):  # type: ignore[no-untyped-def]
    """Return f(b), without terms of the count and dispersion alone.

    Parameters
    ----------
    b : ndarray (effect,)
    q : int
        Number of effects of the component.
    y, eta : ndarray (sample,)
        Counts, and log means without random effects.
    r : float
        1 / dispersion.
    members : ndarray of int64 (member,)
        The samples of the component.
    terms : Terms
    a : ndarray (sample, term)
    """
    total = 0.0
    for e in range(q):
        total -= 0.5 * b[e] * b[e]
    for j in members:
        mu, count = _mean(eta[j] + _shift(j, terms, a, b)), float(y[j])
        total += (count + r) * log_ratio(count, mu, r)
        if count > 0.0:
            total += count * math.log(mu / count)
    return total


@kernel
def clear(q, room):  # type: ignore[no-untyped-def]
    """Make H the identity, and the right-hand side zero."""
    for e in range(q):
        room.step[e] = 0.0
        for other in range(e):
            room.factor[e, other] = 0.0
        room.factor[e, e] = 1.0


@kernel
def add_sample(j, weight, slope, terms, room):  # type: ignore[no-untyped-def]
    """Add one sample's part of A' W A, and of A' times a slope."""
    for t in range(room.a.shape[1]):
        e, of_t = terms.effect[j, t], room.a[j, t]
        room.step[e] += of_t * slope
        room.factor[e, e] += weight * of_t * of_t
        for s in range(t):
            other = terms.effect[j, s]
            room.factor[max(e, other), min(e, other)] += weight * of_t * room.a[j, s]


@kernel
def factorize(q, first, factor):  # type: ignore[no-untyped-def]
    """Overwrite the lower triangle of H with L, within the envelope."""
    for e in range(q):
        for k in range(first[e], e + 1):
            total = factor[e, k]
            for m in range(max(first[e], first[k]), k):
                total -= factor[e, m] * factor[k, m]
            factor[e, k] = math.sqrt(total) if k == e else total / factor[k, k]


@kernel
def solve_lower(q, first, factor, vector):  # type: ignore[no-untyped-def]
    """Overwrite a vector with L^-1 times it."""
    for e in range(q):
        total = vector[e]
        for k in range(first[e], e):
            total -= factor[e, k] * vector[k]
        vector[e] = total / factor[e, e]


@kernel
def solve_upper(q, first, factor, vector):  # type: ignore[no-untyped-def]
    """Overwrite a vector with L'^-1 times it."""
    for e in range(q - 1, -1, -1):
        vector[e] /= factor[e, e]
        for k in range(first[e], e):
            vector[k] -= factor[e, k] * vector[e]


@kernel
def find_mode(y, eta, r, members, c, terms, near, room):  # type: ignore[no-untyped-def]
    """Fill the mode b of one component, and the Cholesky factor of its precision.

    Parameters
    ----------
    y, eta, r, members
        As of `integrand`.
    c : int
        The component.
    terms : Terms
    near : float
        Squared step, over the precision, that is the last. The factor is that before it.
    room : Room
        With `a`.
    """
    start, q = effect_bounds(terms, c)
    first = terms.first[start : start + q]
    clear(q, room)
    for j in members:
        count = y[j] + HALF_A_COUNT
        weight = count * r / (count + r)
        add_sample(j, weight, weight * (math.log(count) - eta[j]), terms, room)
    factorize(q, first, room.factor)
    solve_lower(q, first, room.factor, room.step)
    solve_upper(q, first, room.factor, room.step)
    for e in range(q):
        room.b[e] = room.step[e]
    for _ in range(MOST_STEPS):
        clear(q, room)
        for e in range(q):
            room.step[e] = -room.b[e]
        for j in members:
            mu = _mean(eta[j] + _shift(j, terms, room.a, room.b))
            share = r / (mu + r)
            pull = share * (y[j] - mu)
            add_sample(j, mu * share * ((y[j] + r) / (mu + r)), pull, terms, room)
        factorize(q, first, room.factor)
        solve_lower(q, first, room.factor, room.step)
        square = 0.0
        for e in range(q):
            square += room.step[e] * room.step[e]
        solve_upper(q, first, room.factor, room.step)
        longest = LARGEST_STEP
        for j in members:
            longest = max(longest, abs(_shift(j, terms, room.a, room.step)))
        for e in range(q):
            room.b[e] += (LARGEST_STEP / longest) * room.step[e]
        if square < near:
            break


@kernel
def _log_determinant(q, factor):  # type: ignore[no-untyped-def]
    """Return ln |L|."""
    total = 0.0
    for e in range(q):
        total += math.log(factor[e, e])
    return total


@kernel
def laplace_integral(y, eta, r, members, c, terms, room):  # type: ignore[no-untyped-def]
    """Return Laplace's approximation of one component's log integral; the mode is left in the work space."""
    _, q = effect_bounds(terms, c)
    find_mode(y, eta, r, members, c, terms, NEAR, room)
    return integrand(room.b, q, y, eta, r, members, terms, room.a) - _log_determinant(q, room.factor)


@kernel
def estimate_integral(y, eta, r, members, c, terms, stream, room):  # type: ignore[no-untyped-def]
    """Return the estimate of one component's log integral; fill draws of the effects and their shares.

    Parameters
    ----------
    y, eta, r, members
        As of `integrand`.
    c : int
        The component.
    terms : Terms
    stream : uint64
        From `theta_stream`.
    room : Room
        With `a`.
    """
    start, q = effect_bounds(terms, c)
    first, half, best = terms.first[start : start + q], (q + 1) // 2, -math.inf
    find_mode(y, eta, r, members, c, terms, ROUGH, room)
    x = np.empty(2 * half)
    for pair in range(terms.pairs):
        fill_normal(stream, 2 * terms.pairs * (start + c) + pair * 2 * half, x[:half], x[half:])
        square = 0.0
        for e in range(q):
            square += x[e] * x[e]
        solve_upper(q, first, room.factor, x)
        for side in range(2):
            node = room.nodes[2 * pair + side]
            for e in range(q):
                node[e] = room.b[e] + x[e] if side == 0 else room.b[e] - x[e]
            value = integrand(node, q, y, eta, r, members, terms, room.a) + 0.5 * square
            room.shares[2 * pair + side] = value
            best = max(best, value)
    total = 0.0
    for node in range(room.shares.size):
        room.shares[node] = math.exp(room.shares[node] - best)
        total += room.shares[node]
    for node in range(room.shares.size):
        room.shares[node] /= total
    return best + math.log(total / room.shares.size) - _log_determinant(q, room.factor)
