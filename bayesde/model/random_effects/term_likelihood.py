r"""One gene's log likelihood with the random effects of several terms integrated out, and its derivatives.

By Laplace's approximation F(theta) = sum_c f(b^) - ln |L| (`bayesde.model.random_effects.laplace`), with the
gradient

    dF = df - 1/2 sum_j v_j (w'_j deta_j + dw_j) - sum_t dln tau_t sum_(e of t) (1 - C_ee),
    C = H^-1,   v_j = a_j' C a_j,   deta_j = x_j dbeta + a_j' C dG,

where w_j are the elements of W and w'_j their derivatives by eta_j, and dG are the derivatives of the score
by theta: -A' W x for coefficients, A' l_eta,a for the log dispersion, and 2 b_e for the log standard
deviation of effect e. The Hessian is that of Louis (1982), with the normal approximation to the posterior of
b:

    E[d^2 c] + Cov[dc],    Cov[dc] = dG' C dG, and for two log standard deviations 2 sum_ef C_ef^2 more.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.model.random_effects.laplace import (
    LARGEST_ETA,
    Room,
    add_sample,
    clear,
    effect_bounds,
    estimate_integral,
    factorize,
    fill_multipliers,
    laplace_integral,
    make_room,
    solve_lower,
    solve_upper,
    theta_stream,
)
from bayesde.model.random_effects.terms import Terms
from bayesde.numerics.compiled import kernel
from bayesde.numerics.gamma_functions import gamma_excess_derivatives, log_ratio

__all__ = ["add_term_derivatives", "lost_information", "sum_of_estimates", "sum_of_integrals"]


@kernel
def _members(groups, c):  # type: ignore[no-untyped-def]
    return groups.order[groups.bounds[c] : groups.bounds[c + 1]]


@kernel
def sum_of_integrals(theta, y, eta, r, groups):  # type: ignore[no-untyped-def]
    """Return Laplace's approximation of the log integral over all effects, without terms of alpha alone.

    Parameters
    ----------
    theta : ndarray (P + 1,)
    y, eta : ndarray (sample,)
        Counts, and log means without random effects.
    r : float
        1 / dispersion.
    groups : Groups
        With terms.
    """
    room, total = make_room(groups.terms), 0.0
    fill_multipliers(theta, groups.terms, room.a)
    for c in range(groups.bounds.size - 1):
        total += laplace_integral(y, eta, r, _members(groups, c), c, groups.terms, room)
    return total


@kernel
def sum_of_estimates(theta, y, eta, r, groups, room):  # type: ignore[no-untyped-def]
    """Return the estimate of the log integral over all effects.

    Parameters
    ----------
    theta, y, eta, r, groups
        As of `sum_of_integrals`.
    room : Room
    """
    total, stream = 0.0, theta_stream(theta)
    fill_multipliers(theta, groups.terms, room.a)
    for c in range(groups.bounds.size - 1):
        total += estimate_integral(y, eta, r, _members(groups, c), c, groups.terms, stream, room)
    return total


class _Sample(NamedTuple):
    """Derivatives of one sample's log probability at the mode, less those of alpha alone.

    Attributes
    ----------
    weight, by_eta, by_dispersion : float
        W, and its derivatives by eta and ln alpha.
    slope, slope_twice : float
        By ln alpha.
    mixed : float
        By eta and ln alpha.
    """

    weight: float
    by_eta: float
    by_dispersion: float
    slope: float
    slope_twice: float
    mixed: float


class _Work(NamedTuple):
    """Work space of the derivatives of one gene.

    Attributes
    ----------
    eta : ndarray (sample,)
        Log means without random effects.
    r : float
    terms : Terms
    room : Room
        With the mode of a component.
    moves : ndarray (theta, effect)
        dG, and then C dG.
    inverse : ndarray (effect, effect)
        C.
    """

    eta: np.ndarray
    r: float
    terms: Terms
    room: Room
    moves: np.ndarray
    inverse: np.ndarray


@kernel
def _sample_terms(count, eta, r):  # type: ignore[no-untyped-def]
    """Return the derivatives of one sample's log probability."""
    mu = math.exp(min(max(eta, -LARGEST_ETA), LARGEST_ETA))
    share = 1.0 / (mu + r)
    gap = (count - mu) * share
    weight = mu * (r * share) * ((count + r) * share)
    l_r = log_ratio(count, mu, r) - gap
    return _Sample(
        weight,
        weight * (r - mu) * share,
        -weight * (1.0 + r / (count + r) - 2.0 * r * share),
        -r * l_r,
        r * l_r + r * r * gap * gap / (count + r),
        -mu * (r * share) * gap,
    )


@kernel
def add_term_derivatives(theta, data, eta, gradient, hessian):  # type: ignore[no-untyped-def]
    """Add to gradient and Hessian; return the log likelihood but for constants of the counts.

    Parameters
    ----------
    theta : ndarray (P + 1,)
    data : GeneData
        Of the gene, with groups of several terms.
    eta : ndarray (sample,)
        Log means without random effects.
    gradient, hessian : ndarray (P + 1,), (P + 1, P + 1)
        Added to.
    """
    y, _, x, groups = data
    d, r, terms = theta.size, math.exp(-theta[theta.size - 1]), groups.terms
    room = make_room(terms)
    q = room.b.size
    work = _Work(eta, r, terms, room, np.zeros((d, q)), np.zeros((q, q)))
    fill_multipliers(theta, terms, room.a)
    total = _add_dispersion_terms(y, r, gradient, hessian)
    for c in range(groups.bounds.size - 1):
        members = _members(groups, c)
        total += laplace_integral(y, eta, r, members, c, terms, room)
        _fill_scores(x, y, members, c, work)
        _fill_inverse(c, terms, room, work.inverse)
        _add_covariance(c, work, gradient, hessian)
        for j in members:
            _add_sample(j, x, y, work, gradient, hessian)
    for k in range(d):
        for m in range(k):
            hessian[m, k] = hessian[k, m]
    return total


@kernel
def _add_dispersion_terms(y, r, gradient, hessian):  # type: ignore[no-untyped-def]
    """Add what depends on a count and the dispersion alone."""
    least, slope_r, curve_r = gamma_excess_derivatives(r)
    total, a = 0.0, gradient.size - 1
    for j in range(y.size):
        if y[j] > 0:
            value, slope, curve = gamma_excess_derivatives(y[j] + r)
            total += value - least
            gradient[a] -= r * (slope - slope_r)
            hessian[a, a] += r * (slope - slope_r) + r * r * (curve - curve_r)
    return total


@kernel
def _fill_scores(x, y, members, c, work):  # type: ignore[no-untyped-def]
    """Fill dG (theta, effect) of one component."""
    eta, r, terms, room, moves, _ = work
    start, q = effect_bounds(terms, c)
    n_terms, d = terms.z.shape[1], moves.shape[0]
    moves[:, :q] = 0.0
    for e in range(q):
        moves[d - 1 - n_terms + terms.term[start + e], e] = 2.0 * room.b[e]
    for j in members:
        at = eta[j]
        for t in range(n_terms):
            at += room.a[j, t] * room.b[terms.effect[j, t]]
        own = _sample_terms(float(y[j]), at, r)
        for t in range(n_terms):
            e = terms.effect[j, t]
            moves[d - 1, e] += room.a[j, t] * own.mixed
            for k in range(d - 1 - n_terms):
                moves[k, e] -= room.a[j, t] * own.weight * x[j, k]


@kernel
def _fill_inverse(c, terms, room, inverse):  # type: ignore[no-untyped-def]
    """Fill C of one component."""
    start, q = effect_bounds(terms, c)
    first = terms.first[start : start + q]
    for e in range(q):
        inverse[e, :q] = 0.0
        inverse[e, e] = 1.0
        solve_lower(q, first, room.factor, inverse[e])
        solve_upper(q, first, room.factor, inverse[e])


@kernel
def _add_covariance(c, work, gradient, hessian):  # type: ignore[no-untyped-def]
    """Add what depends on the effects alone and on covariances; dG becomes C dG."""
    _, _, terms, room, moves, inverse = work
    start, q = effect_bounds(terms, c)
    d, n_terms, row = moves.shape[0], terms.z.shape[1], np.empty(q)
    before = moves[:, :q].copy()
    for k in range(d):
        for e in range(q):
            row[e] = 0.0
            for f in range(q):
                row[e] += inverse[e, f] * before[k, f]
        for e in range(q):
            moves[k, e] = row[e]
        for m in range(k + 1):
            for e in range(q):
                hessian[k, m] += row[e] * before[m, e]
    for e in range(q):
        k = d - 1 - n_terms + terms.term[start + e]
        gradient[k] += room.b[e] ** 2 - 1.0 + inverse[e, e]
        hessian[k, k] -= 2.0 * (room.b[e] ** 2 + inverse[e, e])
        for f in range(q):
            m = d - 1 - n_terms + terms.term[start + f]
            if m <= k:
                hessian[k, m] += 2.0 * inverse[e, f] ** 2


@kernel
def _add_sample(j, x, y, work, gradient, hessian):  # type: ignore[no-untyped-def]
    """Add one sample's part, with C dG in ``moves``."""
    eta, r, terms, room, moves, inverse = work
    d, n_terms = gradient.size, terms.z.shape[1]
    p, at, variance = d - 1 - n_terms, eta[j], 0.0
    for t in range(n_terms):
        e = terms.effect[j, t]
        at += room.a[j, t] * room.b[e]
        for s in range(n_terms):
            variance += room.a[j, t] * room.a[j, s] * inverse[e, terms.effect[j, s]]
    own = _sample_terms(float(y[j]), at, r)
    mu = math.exp(min(max(at, -LARGEST_ETA), LARGEST_ETA))
    score = r * (y[j] - mu) / (mu + r)
    for k in range(d):
        move = x[j, k] if k < p else 0.0
        for t in range(n_terms):
            move += room.a[j, t] * moves[k, terms.effect[j, t]]
        gradient[k] -= 0.5 * variance * own.by_eta * move
        if k < p:
            gradient[k] += score * x[j, k]
            hessian[d - 1, k] += own.mixed * x[j, k]
            for m in range(k + 1):
                hessian[k, m] -= own.weight * x[j, k] * x[j, m]
    gradient[d - 1] += own.slope - 0.5 * variance * own.by_dispersion
    hessian[d - 1, d - 1] += own.slope_twice


@kernel
def lost_information(theta, weights, x, k, groups):  # type: ignore[no-untyped-def]
    """Return how much of the information on a coefficient random effects take: g' H^-1 g, g = A' W x_k.

    Parameters
    ----------
    theta : ndarray (P + 1,)
        With the log standard deviations.
    weights : ndarray (sample,)
        W.
    x : ndarray (sample, coefficient)
    k : int
        The coefficient.
    groups : Groups
        With terms.
    """
    terms, total = groups.terms, 0.0
    room = make_room(terms)
    fill_multipliers(theta, terms, room.a)
    for c in range(groups.bounds.size - 1):
        start, q = effect_bounds(terms, c)
        clear(q, room)
        for j in _members(groups, c):
            add_sample(j, weights[j], weights[j] * x[j, k], terms, room)
        factorize(q, terms.first[start : start + q], room.factor)
        solve_lower(q, terms.first[start : start + q], room.factor, room.step)
        for e in range(q):
            total += room.step[e] ** 2
    return total
