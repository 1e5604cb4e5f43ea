r"""The counts of genes with several random effects, at every draw; and draws of these effects.

Counts are predicted given the others of their component (`bayesde.model.random_effects.terms`), as in
`bayesde.posterior.queries.group_pointwise`, with integrals I over all effects of the component,

    p(y_j | y_c without j, theta) = I_c / I_c without j.

Their estimates (`bayesde.model.random_effects.laplace`) have the random numbers with which the weights of the
draws were made, so that the noise of I_c cancels in the weights without a count, w I_c without j / I_c. Draws
of the effects given theta come from Metropolis's independence sampler, with proposals from the normal
distribution around the mode.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.model.density import ConditionalModel, GeneData
from bayesde.model.random_effects.laplace import (
    NEAR,
    effect_bounds,
    estimate_integral,
    fill_multipliers,
    find_mode,
    integrand,
    make_room,
    solve_upper,
    theta_stream,
)
from bayesde.model.random_effects.quadrature import sample_log_means
from bayesde.numerics.compiled import copy_row, kernel, transpose
from bayesde.numerics.elementary import exponential
from bayesde.numerics.gamma_functions import gamma_excess
from bayesde.numerics.threads import over_genes
from bayesde.posterior.proposal.term_integrals import (
    AT_A_TIME,
    estimate_integrals,
    fill_draws,
    make_term_room,
)
from bayesde.posterior.queries.group_pointwise import (
    NEGLIGIBLE,
    group_of_samples,
    log_constant,
    node_tails,
    others_of_group,
)

__all__ = [
    "draw_term_effects",
    "fill_term_tails",
    "term_level_log_probabilities",
    "term_log_probabilities",
]

STEPS = 5
"""Of the sampler."""
SAFE, DIRECT = 300.0, 1e6
"""Log means, and r, up to which many draws are done at once."""


def term_log_probabilities(
    model: ConditionalModel, theta: np.ndarray, samples: np.ndarray, left_out: np.ndarray
) -> np.ndarray:
    """Return the log probability of counts at every draw, given the other counts of their component.

    Parameters
    ----------
    model : ConditionalModel
        With groups of several terms.
    theta : ndarray (gene, draw, P + 1)
    samples : ndarray of int64 (chosen sample,)
    left_out : ndarray of bool (gene, sample)
        Counts that do not count among the others.

    Returns
    -------
    ndarray (gene, chosen sample, draw)
    """
    alone = np.arange(model.y.shape[1])
    value = np.empty((model.n_genes, samples.size, theta.shape[1]))
    over_genes(_fill_without, model.n_genes, theta, model.data, (samples, alone), left_out, value)
    return value


def term_level_log_probabilities(model: ConditionalModel, theta: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return the log probability of all counts of each level together, given the others of its component.

    Parameters
    ----------
    model : ConditionalModel
        With groups of several terms.
    theta : ndarray (gene, draw, P + 1)
    level : ndarray of int64 (sample,)
        Of a grouping of the design, from 0 on.

    Returns
    -------
    ndarray (gene, level, draw)
    """
    found = np.unique(level, return_index=True)[1]
    value = np.empty((model.n_genes, found.size, theta.shape[1]))
    nothing = np.zeros(model.y.shape, dtype=bool)
    over_genes(_fill_without, model.n_genes, theta, model.data, (found, level), nothing, value)
    return value


@kernel
def _kept(members, left_out):  # type: ignore[no-untyped-def]
    """Return the samples that are not left out."""
    return members[~left_out[members]]


@kernel
def _estimate(points, begin, members, c, data, room, r, value):  # type: ignore[no-untyped-def]
    """Fill estimates of one component's log integral at a few draws; one by one where they are far out."""
    largest = np.zeros(value.size)
    terms, d = data.groups.terms, points.shape[0]
    estimate_integrals(members, c, data.y, r, terms, room, largest, value)
    for m in range(value.size):
        if not (largest[m] < SAFE and r[m] < DIRECT):
            point, eta, own = np.empty(d), np.empty(data.y.size), make_room(terms)
            copy_row(points[:, begin + m], point)
            sample_log_means(point, data.log_nf, data.x, eta)
            fill_multipliers(point, terms, own.a)
            stream = theta_stream(point)
            value[m] = estimate_integral(data.y, eta, r[m], members, c, terms, stream, own)
            for node in range(own.shares.size):
                room.values[node, m] = math.log(own.shares[node])
                for e in range(own.b.size):
                    room.nodes[node, e, m] = own.nodes[node, e]


@kernel
def _fill_without(first, last, theta, data, lost, left_out, value):  # type: ignore[no-untyped-def]
    """Fill log probabilities (gene, chosen, draw) of the samples of a level together, given the others.

    Parameters
    ----------
    first, last : int
        The range of genes.
    theta : ndarray (gene, draw, P + 1)
    data : GeneData
    lost : tuple of two ndarray of int64
        A sample of each level (chosen,), and the level of every sample.
    left_out : ndarray of bool (gene, sample)
    value : ndarray (gene, chosen, draw)
        Written to.
    """
    (chosen, level), groups, component = lost, data.groups, group_of_samples(data.groups)
    n_draws, d = theta.shape[1:]
    points, room = np.empty((d, n_draws)), make_term_room(groups.terms, AT_A_TIME)
    r, largest = np.empty(AT_A_TIME), np.empty(AT_A_TIME)
    whole, rest, other = np.empty(AT_A_TIME), np.empty(AT_A_TIME), np.empty(AT_A_TIME)
    for g in range(first, last):
        transpose(theta[g], points)
        gene = GeneData(data.y[g], data.log_nf[g], data.x, groups)
        for begin in range(0, n_draws, AT_A_TIME):
            size = min(AT_A_TIME, n_draws - begin)
            for m in range(size):
                r[m] = exponential(-points[d - 1, begin + m])
            fill_draws(points[:, begin : begin + size], gene.log_nf, gene.x, groups.terms, room, largest)
            for c in range(groups.bounds.size - 1):
                members = groups.order[groups.bounds[c] : groups.bounds[c + 1]]
                kept = _kept(members, left_out[g])
                _estimate(points, begin, kept, c, gene, room, r[:size], whole[:size])
                for i in range(chosen.size):
                    if component[chosen[i]] != c:
                        continue
                    own = members[level[members] == level[chosen[i]]]
                    others = kept[level[kept] != level[chosen[i]]]
                    _estimate(points, begin, others, c, gene, room, r[:size], rest[:size])
                    copy_row(whole, other)
                    if left_out[g][own].any():
                        together = np.append(others, own)
                        _estimate(points, begin, together, c, gene, room, r[:size], other[:size])
                    for m in range(size):
                        total, least = other[m] - rest[m], gamma_excess(r[m])
                        for j in own:
                            total += log_constant(gene.y[j], r[m], least)
                        # estimates are poor at draws far out, of no weight, and may exceed 1
                        value[g, i, begin + m] = total if total < 0.0 else 0.0


@kernel
def fill_term_tails(first, last, theta, data, samples, left_out, log_weights, tails):  # type: ignore[no-untyped-def]
    """Fill what weighted draws predict of some genes' counts, given the others of their component.

    Parameters
    ----------
    first, last, theta, data, samples, left_out, log_weights, tails
        As of `bayesde.posterior.queries.group_pointwise.fill_group_tails`.
    """
    groups, component = data.groups, group_of_samples(data.groups)
    n_draws, d = theta.shape[1:]
    points, room = np.empty((d, n_draws)), make_term_room(groups.terms, AT_A_TIME)
    r, largest, rest = np.empty(AT_A_TIME), np.empty(AT_A_TIME), np.empty(AT_A_TIME)
    for g in range(first, last):
        transpose(theta[g], points)
        gene = GeneData(data.y[g], data.log_nf[g], data.x, groups)
        for i in range(samples.size):
            tails[0][g, i], tails[1][g, i], tails[2][g, i] = 0.0, 0.0, 0.0
        for begin in range(0, n_draws, AT_A_TIME):
            size = min(AT_A_TIME, n_draws - begin)
            for m in range(size):
                r[m] = exponential(-points[d - 1, begin + m])
            fill_draws(points[:, begin : begin + size], gene.log_nf, gene.x, groups.terms, room, largest)
            for i in range(samples.size):
                j = samples[i]
                c = component[j]
                others = others_of_group(groups, c, j, left_out[g])
                _estimate(points, begin, others, c, gene, room, r[:size], rest[:size])
                for m in range(size):
                    weight = math.exp(log_weights[g, i, begin + m])
                    if weight > NEGLIGIBLE:
                        _add_tails(g, i, m, weight, r[m], (gene, j), room, tails)
        for i in range(samples.size):
            tails[0][g, i], tails[1][g, i] = min(tails[0][g, i], 1.0), min(tails[1][g, i], 1.0)


@kernel
def _add_tails(g, i, m, weight, r, count_of, room, tails):  # type: ignore[no-untyped-def]
    """Add the tails of one count at one draw, averaged over the draws of effects."""
    gene, j = count_of
    terms, count, best, total = gene.groups.terms, float(gene.y[j]), -math.inf, 0.0
    constant, n = log_constant(gene.y[j], r, gamma_excess(r)), room.values.shape[0]
    for node in range(n):
        best = max(best, room.values[node, m])
    for node in range(n):
        total += math.exp(room.values[node, m] - best)
    for node in range(n):
        log_mean = room.eta[j, m]
        for t in range(terms.z.shape[1]):
            log_mean += terms.z[j, t] * room.tau[t, m] * room.nodes[node, terms.effect[j, t], m]
        smaller, larger, level = node_tails(count, log_mean, r, constant)
        part = weight * math.exp(room.values[node, m] - best) / total
        tails[0][g, i] += part * smaller
        tails[1][g, i] += part * larger
        tails[2][g, i] += part * level


@kernel
def draw_term_effects(first, last, theta, data, left_out, seeds, found):  # type: ignore[no-untyped-def]
    """Fill draws (gene, draw, effect) of the random effects of some genes, natural log.

    Parameters
    ----------
    first, last : int
        The range of genes.
    theta : ndarray (gene, draw, P + 1)
    data : GeneData
        With groups of several terms.
    left_out : ndarray of bool (gene, sample)
    seeds : ndarray of uint32 (gene,)
    found : ndarray (gene, draw, effect)
        Written to, in the order of `Terms`.
    """
    y, log_nf, x, groups = data
    terms, eta, d = groups.terms, np.empty(y.shape[1]), theta.shape[2]
    room, p = make_room(terms), d - 1 - terms.z.shape[1]
    for g in range(first, last):
        np.random.seed(seeds[g])  # noqa: NPY002 - numba's own generator, one for each thread
        for m in range(theta.shape[1]):
            point = theta[g, m].astype(np.float64)
            sample_log_means(point, log_nf[g], x, eta)
            fill_multipliers(point, terms, room.a)
            for c in range(groups.bounds.size - 1):
                members = _kept(groups.order[groups.bounds[c] : groups.bounds[c + 1]], left_out[g])
                start, q = effect_bounds(terms, c)
                own = found[g, m, start : start + q]
                _draw_component(y[g], eta, math.exp(-point[d - 1]), members, c, terms, room, own)
                for e in range(q):
                    own[e] *= math.exp(point[p + terms.term[start + e]])


@kernel
def _draw_component(y, eta, r, members, c, terms, room, found):  # type: ignore[no-untyped-def]
    """Draw the standardized effects of one component given theta."""
    start, q = effect_bounds(terms, c)
    find_mode(y, eta, r, members, c, terms, NEAR, room)
    x, height = np.empty(q), -math.inf
    for _ in range(STEPS + 1):
        square, node = 0.0, room.nodes[0]
        for e in range(q):
            x[e] = np.random.standard_normal()  # noqa: NPY002
            square += x[e] * x[e]
        solve_upper(q, terms.first[start : start + q], room.factor, x)
        for e in range(q):
            node[e] = room.b[e] + x[e]
        value = integrand(node, q, y, eta, r, members, terms, room.a) + 0.5 * square
        if math.log(1.0 - np.random.random()) < value - height:  # noqa: NPY002
            height = value
            for e in range(q):
                found[e] = node[e]
