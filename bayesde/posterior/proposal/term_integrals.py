r"""Integrals over the random effects of several terms at many draws of theta.

The estimate of `bayesde.model.random_effects.laplace`, with the same random numbers, in loops over the draws
innermost, a few draws at a time so that their factors stay in the processor's cache. The search for the modes
takes a fixed number of Newton steps; draws whose mode is not found are marked, to be done one by one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.model.random_effects.laplace import (
    HALF_A_COUNT,
    HIGHEST_LOG_SD,
    LARGEST_STEP,
    LOWEST_LOG_SD,
    ROUGH,
    effect_bounds,
    theta_stream,
)
from bayesde.numerics.compiled import copy_row, fused, kernel
from bayesde.numerics.elementary import exponential, logarithm, logarithm_of_ratio
from bayesde.numerics.random_numbers import fill_normal_of_streams

__all__ = [
    "AT_A_TIME",
    "TermRoom",
    "add_term_integrals",
    "estimate_integrals",
    "fill_draws",
    "make_term_room",
]

AT_A_TIME = 64
"""Draws."""
STEPS = 4
"""Of the search for a mode."""


class TermRoom(NamedTuple):
    """Work space for a few draws of one gene.

    Attributes
    ----------
    eta, mean : ndarray (sample, draw)
        Log means without random effects, and with those of a node.
    tau : ndarray (term, draw)
    b, step : ndarray (effect, draw)
        The mode, and a step of the search.
    nodes : ndarray (2 pair, effect, draw)
        Where the integrand is evaluated.
    x : ndarray (effect or one more, draw)
        Standard normal numbers.
    factor : ndarray (element, draw)
        The envelope of H, and then that of its Cholesky factor.
    place : ndarray of int64 (effect,)
        Where the row of an effect begins in `factor`, less its first column.
    work : ndarray (6, draw)
    values : ndarray (2 pair, draw)
        Log integrands at the nodes, over those of the normal law.
    streams : ndarray of uint64 (draw,)
    """

    eta: np.ndarray
    mean: np.ndarray
    tau: np.ndarray
    b: np.ndarray
    step: np.ndarray
    nodes: np.ndarray
    x: np.ndarray
    factor: np.ndarray
    place: np.ndarray
    work: np.ndarray
    values: np.ndarray
    streams: np.ndarray


@kernel
def make_term_room(terms, size):  # type: ignore[no-untyped-def]
    """Return work space for so many draws."""
    q, elements = 0, 0
    for c in range(terms.bounds.size - 1):
        start, own = effect_bounds(terms, c)
        q, needed = max(q, own), 0
        for e in range(own):
            needed += e + 1 - terms.first[start + e]
        elements = max(elements, needed)
    n, k = terms.z.shape
    return TermRoom(
        np.empty((n, size)),
        np.empty((n, size)),
        np.empty((k, size)),
        np.empty((q, size)),
        np.empty((q, size)),
        np.empty((2 * terms.pairs, q, size)),
        np.empty((q + 1, size)),
        np.empty((elements, size)),
        np.empty(q, dtype=np.int64),
        np.empty((6, size)),
        np.empty((2 * terms.pairs, size)),
        np.empty(size, dtype=np.uint64),
    )


@kernel
def fill_draws(points, log_nf, x, terms, room, largest):  # type: ignore[no-untyped-def]
    """Fill log means, standard deviations and streams of draws.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
        As many as there is room for, or fewer.
    log_nf : ndarray (sample,)
    x : ndarray (sample, coefficient)
    terms : Terms
    room : TermRoom
        Written to.
    largest : ndarray (draw,)
        Written to: the largest absolute log mean, infinite where a standard deviation is cut.
    """
    d, n_terms, size = points.shape[0], terms.z.shape[1], points.shape[1]
    p, point = d - 1 - n_terms, np.empty(d)
    largest[:] = 0.0
    for m in range(size):
        copy_row(points[:, m], point)
        room.streams[m] = theta_stream(point)
    for t in range(n_terms):
        tau, log_sd = room.tau[t], points[p + t]
        for m in range(size):
            within = min(max(log_sd[m], LOWEST_LOG_SD), HIGHEST_LOG_SD)
            largest[m] = largest[m] if within == log_sd[m] else math.inf
            tau[m] = exponential(within)
    for j in range(log_nf.size):
        eta = room.eta[j]
        eta[:] = log_nf[j]
        for k in range(p):
            factor, row = x[j, k], points[k]
            if factor != 0.0:
                for m in range(size):
                    eta[m] = fused(factor, row[m], eta[m])
        for m in range(size):
            largest[m] = max(largest[m], abs(eta[m]))


@kernel
def _fill_places(start, q, terms, place):  # type: ignore[no-untyped-def]
    """Fill where the rows of a component begin; return the number of elements."""
    used = 0
    for e in range(q):
        first = terms.first[start + e]
        place[e] = used - first
        used += e + 1 - first
    return used


@kernel
def _clear(q, used, room, size):  # type: ignore[no-untyped-def]
    """Make H the identity."""
    for i in range(used):
        row = room.factor[i]
        for m in range(size):
            row[m] = 0.0
    for e in range(q):
        row = room.factor[room.place[e] + e]
        for m in range(size):
            row[m] = 1.0


@kernel
def _add_sample(j, weight, slope, terms, room, size):  # type: ignore[no-untyped-def]
    """Add one sample's part of A' W A, and of A' times a slope."""
    for t in range(terms.z.shape[1]):
        e, z, tau = terms.effect[j, t], terms.z[j, t], room.tau[t]
        step, diagonal = room.step[e], room.factor[room.place[e] + e]
        for m in range(size):
            a = z * tau[m]
            step[m] = fused(a, slope[m], step[m])
            diagonal[m] = fused(a * weight[m], a, diagonal[m])
        for s in range(t):
            other, sigma = terms.effect[j, s], room.tau[s]
            product = z * terms.z[j, s]
            element = room.factor[room.place[max(e, other)] + min(e, other)]
            for m in range(size):
                element[m] = fused(product * tau[m] * sigma[m], weight[m], element[m])


@kernel
def _factorize(start, q, terms, room, size):  # type: ignore[no-untyped-def]
    """Overwrite the envelope of H with that of L; its diagonal has 1 / L_ee."""
    for e in range(q):
        first = terms.first[start + e]
        for k in range(first, e + 1):
            total = room.factor[room.place[e] + k]
            for i in range(max(first, terms.first[start + k]), k):
                one, other = room.factor[room.place[e] + i], room.factor[room.place[k] + i]
                for m in range(size):
                    total[m] = fused(-one[m], other[m], total[m])
            if k == e:
                for m in range(size):
                    total[m] = 1.0 / math.sqrt(total[m])
            else:
                inverse = room.factor[room.place[k] + k]
                for m in range(size):
                    total[m] *= inverse[m]


@kernel
def _solve_lower(start, q, terms, room, rows, size):  # type: ignore[no-untyped-def]
    """Overwrite rows (effect, draw) with L^-1 times them."""
    for e in range(q):
        own, inverse = rows[e], room.factor[room.place[e] + e]
        for k in range(terms.first[start + e], e):
            element, other = room.factor[room.place[e] + k], rows[k]
            for m in range(size):
                own[m] = fused(-element[m], other[m], own[m])
        for m in range(size):
            own[m] *= inverse[m]


@kernel
def _solve_upper(start, q, terms, room, rows, size):  # type: ignore[no-untyped-def]
    """Overwrite rows (effect, draw) with L'^-1 times them."""
    for e in range(q - 1, -1, -1):
        own, inverse = rows[e], room.factor[room.place[e] + e]
        for m in range(size):
            own[m] *= inverse[m]
        for k in range(terms.first[start + e], e):
            element, other = room.factor[room.place[e] + k], rows[k]
            for m in range(size):
                other[m] = fused(-element[m], own[m], other[m])


@kernel
def _fill_shift(j, terms, room, rows, out, size):  # type: ignore[no-untyped-def]
    """Fill a_j . b (draw,)."""
    for m in range(size):
        out[m] = 0.0
    for t in range(terms.z.shape[1]):
        z, tau, own = terms.z[j, t], room.tau[t], rows[terms.effect[j, t]]
        for m in range(size):
            out[m] = fused(z * tau[m], own[m], out[m])


@kernel
def _start(members, y, r, start, q, terms, room, size):  # type: ignore[no-untyped-def]
    """Fill where the searches for the modes start."""
    weight, slope = room.work[0], room.work[1]
    _clear(q, _fill_places(start, q, terms, room.place), room, size)
    room.step[:q] = 0.0
    for j in members:
        count, eta = y[j] + HALF_A_COUNT, room.eta[j]
        log_count = math.log(count)
        for m in range(size):
            weight[m] = count * r[m] / (count + r[m])
            slope[m] = weight[m] * (log_count - eta[m])
        _add_sample(j, weight, slope, terms, room, size)
    _factorize(start, q, terms, room, size)
    _solve_lower(start, q, terms, room, room.step, size)
    _solve_upper(start, q, terms, room, room.step, size)
    for e in range(q):
        copy_row(room.step[e], room.b[e])


@kernel
def _step(members, y, r, start, q, terms, room, size):  # type: ignore[no-untyped-def]
    """Take one Newton step; leave its squared size, over the precision, in work[2]."""
    weight, slope, square, longest = room.work[0], room.work[1], room.work[2], room.work[3]
    _clear(q, _fill_places(start, q, terms, room.place), room, size)
    for e in range(q):
        b, step = room.b[e], room.step[e]
        for m in range(size):
            step[m] = -b[m]
    for j in members:
        count, eta = float(y[j]), room.eta[j]
        _fill_shift(j, terms, room, room.b, slope, size)
        for m in range(size):
            mu = exponential(eta[m] + slope[m])
            inverse = 1.0 / (mu + r[m])
            share = r[m] * inverse
            slope[m] = share * (count - mu)
            weight[m] = mu * share * ((count + r[m]) * inverse)
        _add_sample(j, weight, slope, terms, room, size)
    _factorize(start, q, terms, room, size)
    _solve_lower(start, q, terms, room, room.step, size)
    for m in range(size):
        square[m], longest[m] = 0.0, LARGEST_STEP
    for e in range(q):
        step = room.step[e]
        for m in range(size):
            square[m] = fused(step[m], step[m], square[m])
    _solve_upper(start, q, terms, room, room.step, size)
    for j in members:
        _fill_shift(j, terms, room, room.step, slope, size)
        for m in range(size):
            longest[m] = max(longest[m], abs(slope[m]))
    for e in range(q):
        b, step = room.b[e], room.step[e]
        for m in range(size):
            b[m] = fused(LARGEST_STEP / longest[m], step[m], b[m])


@kernel
def _fill_value(members, y, r, nodes, terms, room, largest, value):  # type: ignore[no-untyped-def]
    """Add the log likelihood at nodes (effect, draw)."""
    shift, size = room.work[0], value.size
    for j in members:
        count, eta, log_count = float(y[j]), room.eta[j], math.log(max(float(y[j]), 1.0))
        _fill_shift(j, terms, room, nodes, shift, size)
        for m in range(size):
            at = eta[m] + shift[m]
            largest[m] = max(largest[m], abs(at))
            w = count + r[m]
            ratio = logarithm_of_ratio(w, exponential(at) + r[m])
            value[m] = fused(w, ratio, fused(count, at - log_count, value[m]))


@kernel
def estimate_integrals(members, c, y, r, terms, room, largest, value):  # type: ignore[no-untyped-def]
    """Fill the estimates of one component's log integral at a few draws.

    Parameters
    ----------
    members : ndarray of int64 (member,)
        The samples of the component.
    c : int
        The component.
    y : ndarray (sample,)
    r : ndarray (draw,)
        1 / dispersion.
    terms : Terms
    room : TermRoom
        After `fill_draws`.
    largest : ndarray (draw,)
        Raised to the largest absolute log mean; infinite where no mode was found.
    value : ndarray (draw,)
        Written to.
    """
    start, q = effect_bounds(terms, c)
    size = value.size
    half, square, best = (q + 1) // 2, room.work[4], room.work[5]
    _start(members, y, r, start, q, terms, room, size)
    for _ in range(STEPS):
        _step(members, y, r, start, q, terms, room, size)
    for m in range(size):
        largest[m] = largest[m] if room.work[2][m] < ROUGH else math.inf
        best[m] = -math.inf
    for pair in range(terms.pairs):
        number = 2 * terms.pairs * (start + c) + pair * 2 * half
        for i in range(half):
            fill_normal_of_streams(room.streams, number + i, half, room.x[i], room.x[half + i])
        for m in range(size):
            square[m] = 0.0
        for e in range(q):
            x = room.x[e]
            for m in range(size):
                square[m] = fused(0.5 * x[m], x[m], square[m])
        _solve_upper(start, q, terms, room, room.x, size)
        for side in range(2):
            sign, nodes, out = (
                1.0 - 2.0 * side,
                room.nodes[2 * pair + side],
                room.values[2 * pair + side][:size],
            )
            copy_row(square[:size], out)
            for e in range(q):
                node, x, b = nodes[e], room.x[e], room.b[e]
                for m in range(size):
                    node[m] = fused(sign, x[m], b[m])
                    out[m] = fused(-0.5 * node[m], node[m], out[m])
            _fill_value(members, y, r, nodes, terms, room, largest, out)
            for m in range(size):
                best[m] = max(best[m], out[m])
    for m in range(size):
        square[m] = 0.0
    for node in range(room.values.shape[0]):
        out = room.values[node]
        for m in range(size):
            square[m] += exponential(out[m] - best[m])
    for m in range(size):
        value[m] = best[m] + logarithm(square[m] / room.values.shape[0])
    for e in range(q):
        inverse = room.factor[room.place[e] + e]
        for m in range(size):
            value[m] += logarithm(inverse[m])


@kernel
def add_term_integrals(points, r, data, room, largest, value):  # type: ignore[no-untyped-def]
    """Add one gene's log integrals over random effects, without terms of counts and dispersion alone.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
    r : ndarray (draw,)
        exp(-a).
    data : GeneData
        Of the gene, with groups of several terms.
    room : TermRoom
    largest : ndarray (draw,)
        Written to: the largest absolute log mean; infinite where a draw must be done by itself.
    value : ndarray (draw,)
        Added to.
    """
    groups, found = data.groups, np.empty(AT_A_TIME)
    for begin in range(0, r.size, AT_A_TIME):
        end = min(begin + AT_A_TIME, r.size)
        own, size = slice(begin, end), end - begin
        fill_draws(points[:, own], data.log_nf, data.x, groups.terms, room, largest[own])
        for c in range(groups.bounds.size - 1):
            members = groups.order[groups.bounds[c] : groups.bounds[c + 1]]
            estimate_integrals(members, c, data.y, r[own], groups.terms, room, largest[own], found[:size])
            for m in range(size):
                value[begin + m] += found[m]
