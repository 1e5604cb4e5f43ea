r"""The counts of genes with random intercepts, at every draw: what the others of their group say of them.

With the random effect u of a group d integrated out, at given theta,

    p(y_j | y_d without j, theta) = I_d / I_d without j,     p(y_d | theta) = I_d,

in which I is the integral of the probabilities of counts over the law of u
(`bayesde.model.random_effects.quadrature`). The tails of the predictive distribution of y_j are means of
those of negative-binomial distributions over the posterior of u without j, for which the nodes of its
quadrature stand.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.random_effects.groups import Groups
from bayesde.model.random_effects.quadrature import (
    group_scale,
    integrate_group,
    number_of_nodes,
    sample_log_means,
)
from bayesde.numerics.compiled import kernel
from bayesde.numerics.gamma_functions import HALF_LOG_TWO_PI, gamma_excess, log_ratio
from bayesde.numerics.threads import over_genes
from bayesde.posterior.draws.weighted_statistics import LARGEST_EFFECT
from bayesde.posterior.queries.count_tails import count_tails

__all__ = [
    "NEGLIGIBLE",
    "fill_group_tails",
    "group_log_probabilities",
    "group_of_samples",
    "grouped_log_probabilities",
    "log_constant",
    "node_tails",
    "others_of_group",
    "tail_groups",
]

TAIL_NODES = 9
LARGEST_ETA = 700.0
NEGLIGIBLE = 1e-14
"""Draws of smaller weight are left out of tail probabilities."""


def grouped_log_probabilities(
    model: ConditionalModel, theta: np.ndarray, samples: np.ndarray, left_out: np.ndarray
) -> np.ndarray:
    """Return the log probability of counts at every draw, given the other counts of their group.

    Parameters
    ----------
    model : ConditionalModel
        With groups.
    theta : ndarray (gene, draw, P + 1)
    samples : ndarray of int64 (chosen sample,)
    left_out : ndarray of bool (gene, sample)
        Counts that do not count among the others of a group.

    Returns
    -------
    ndarray (gene, chosen sample, draw)
    """
    value = np.empty((model.n_genes, samples.size, theta.shape[1]))
    over_genes(_fill_given_others, model.n_genes, theta, model.data, samples, left_out, value)
    return value


def group_log_probabilities(model: ConditionalModel, theta: np.ndarray) -> np.ndarray:
    """Return the log probability of all counts of a group together, at every draw.

    Parameters
    ----------
    model : ConditionalModel
        With groups.
    theta : ndarray (gene, draw, P + 1)

    Returns
    -------
    ndarray (gene, group, draw)
    """
    value = np.empty((model.n_genes, model.data.groups.bounds.size - 1, theta.shape[1]))
    over_genes(_fill_of_groups, model.n_genes, theta, model.data, value)
    return value


def tail_groups(groups: Groups) -> Groups:
    """Return groups with the nodes that tails are averaged over.

    Parameters
    ----------
    groups : Groups
    """
    nodes = TAIL_NODES if groups.scale == 0.0 else None
    return Groups.of(groups.level, groups.scale, groups.df, nodes)


@kernel
def log_constant(y, r, least):  # type: ignore[no-untyped-def]
    """Return what the log probability of a count has beside the terms that depend on its mean."""
    count = float(y)
    if count == 0.0:
        return 0.0
    return gamma_excess(count + r) - least - gamma_excess(count) - math.log(count) - HALF_LOG_TWO_PI


@kernel
def others_of_group(groups, d, j, left_out):  # type: ignore[no-untyped-def]
    """Return the samples of a group without one, and without those that are left out."""
    members = groups.order[groups.bounds[d] : groups.bounds[d + 1]]
    found, n = np.empty(members.size, dtype=np.int64), 0
    for other in members:
        if other != j and not left_out[other]:
            found[n] = other
            n += 1
    return found[:n]


@kernel
def _fill_given_others(first, last, theta, data, samples, left_out, value):  # type: ignore[no-untyped-def]
    """Fill the log probabilities (gene, sample, draw) of some genes' counts, given others of their group."""
    y, log_nf, x, groups = data
    eta, level = np.empty(y.shape[1]), group_of_samples(groups)
    shares, at = np.empty(number_of_nodes(groups)), np.empty(number_of_nodes(groups))
    for g in range(first, last):
        for m in range(theta.shape[1]):
            point = theta[g, m].astype(np.float64)
            sample_log_means(point, log_nf[g], x, eta)
            r, scale = math.exp(-point[point.size - 1]), group_scale(point, groups)
            least = gamma_excess(r)
            for i in range(samples.size):
                j = samples[i]
                others = others_of_group(groups, level[j], j, left_out[g])
                rest = integrate_group(y[g], eta, r, others, groups, scale, shares, at)
                together = np.append(others, j)
                whole = integrate_group(y[g], eta, r, together, groups, scale, shares, at)
                value[g, i, m] = whole - rest + log_constant(y[g, j], r, least)


@kernel
def group_of_samples(groups):  # type: ignore[no-untyped-def]
    """Return the group of every sample."""
    level = np.empty(groups.order.size, dtype=np.int64)
    for d in range(groups.bounds.size - 1):
        for at in range(groups.bounds[d], groups.bounds[d + 1]):
            level[groups.order[at]] = d
    return level


@kernel
def _fill_of_groups(first, last, theta, data, value):  # type: ignore[no-untyped-def]
    """Fill the log probabilities (gene, group, draw) of some genes' counts of a group together."""
    y, log_nf, x, groups = data
    eta = np.empty(y.shape[1])
    shares, at = np.empty(number_of_nodes(groups)), np.empty(number_of_nodes(groups))
    for g in range(first, last):
        for m in range(theta.shape[1]):
            point = theta[g, m].astype(np.float64)
            sample_log_means(point, log_nf[g], x, eta)
            r, scale = math.exp(-point[point.size - 1]), group_scale(point, groups)
            least = gamma_excess(r)
            for d in range(groups.bounds.size - 1):
                members = groups.order[groups.bounds[d] : groups.bounds[d + 1]]
                total = integrate_group(y[g], eta, r, members, groups, scale, shares, at)
                for j in members:
                    total += log_constant(y[g, j], r, least)
                value[g, d, m] = total


@kernel
def node_tails(count, log_mean, r, constant):  # type: ignore[no-untyped-def]
    """Return the probabilities of a smaller and of a larger count given its log mean, and the latter, cut.

    ``constant`` is that of `log_constant`.
    """
    log_mean = min(max(log_mean, -LARGEST_ETA), LARGEST_ETA)
    mu = math.exp(log_mean)
    log_p = (count + r) * log_ratio(count, mu, r) + constant
    if count > 0.0:
        log_p += count * (log_mean - math.log(count))
    smaller, larger = count_tails(count, mu, r, math.exp(log_p))
    return smaller, larger, min(max(log_mean, -LARGEST_EFFECT), LARGEST_EFFECT)


@kernel
def fill_group_tails(first, last, theta, data, samples, left_out, log_weights, tails):  # type: ignore[no-untyped-def]
    """Fill what weighted draws predict of some genes' counts, given the others of their group.

    Parameters
    ----------
    first, last : int
        The range of genes.
    theta : ndarray (gene, draw, P + 1)
    data : GeneData
        With the groups of `tail_groups`.
    samples : ndarray of int64 (chosen sample,)
    left_out : ndarray of bool (gene, sample)
    log_weights : ndarray (gene, chosen sample, draw)
    tails : tuple of three ndarray (gene, chosen sample)
        Written to: probabilities of a smaller and of a larger count, and the mean of the log mean.
    """
    y, log_nf, x, groups = data
    below, above, log_expected = tails
    eta, level = np.empty(y.shape[1]), group_of_samples(groups)
    shares, at = np.empty(number_of_nodes(groups)), np.empty(number_of_nodes(groups))
    for g in range(first, last):
        below[g, :], above[g, :], log_expected[g, :] = 0.0, 0.0, 0.0
        for m in range(theta.shape[1]):
            point = theta[g, m].astype(np.float64)
            sample_log_means(point, log_nf[g], x, eta)
            r, scale = math.exp(-point[point.size - 1]), group_scale(point, groups)
            least = gamma_excess(r)
            for i in range(samples.size):
                weight = math.exp(log_weights[g, i, m])
                if not weight > NEGLIGIBLE:
                    continue
                j = samples[i]
                others, count = others_of_group(groups, level[j], j, left_out[g]), float(y[g, j])
                integrate_group(y[g], eta, r, others, groups, scale, shares, at)
                constant = log_constant(y[g, j], r, least)
                for node in range(shares.size):
                    log_mean = eta[j] + at[node]
                    smaller, larger, level_of_node = node_tails(count, log_mean, r, constant)
                    part = weight * shares[node]
                    below[g, i] += part * smaller
                    above[g, i] += part * larger
                    log_expected[g, i] += part * level_of_node
        for i in range(samples.size):
            below[g, i], above[g, i] = min(below[g, i], 1.0), min(above[g, i], 1.0)
