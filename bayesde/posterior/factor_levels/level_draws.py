r"""Draws of the effects of single levels given those of the other parameters, for one factor or grouping.

    p(u | theta, y_d)  proportional to  p(u | theta) prod_j p(y_j | u, theta),

by Metropolis's independence sampler: `STEPS` steps. For a normal law its proposals are from Student's t
around the mode, of the scale of the curvature there. Under a law of given scale they are from the density
that the nodes of its quadrature follow (`bayesde.model.random_effects.two_centers`), within the step of a
node that is chosen by its share of the integral. Most proposals are accepted, so that few steps leave little
of the start.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bayesde.design import Contrast
from bayesde.model.effect_prior import log_effect_density
from bayesde.model.random_effects.quadrature import (
    center_of_counts,
    conditional_mode,
    group_scale,
    integrate_group,
    log_integrand,
    number_of_nodes,
    sample_log_means,
)
from bayesde.model.random_effects.two_centers import fill_pair, log_node_density
from bayesde.numerics.compiled import kernel
from bayesde.numerics.threads import over_genes
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.streams import Stream, seeds_for

__all__ = ["drawn_levels", "full_draws", "with_levels_of_contrasts"]

STEPS, DF, WIDER = 5, 6, 1.1
"""Of the sampler, and of Student's t that it proposes from."""
GENES_AT_A_TIME = 250


def drawn_levels(
    posterior: PosteriorData,
    rows: np.ndarray,
    theta: np.ndarray,
    attempt: int = 0,
    levels: np.ndarray | None = None,
) -> np.ndarray:
    """Draw the effects of levels given the other parameters.

    Parameters
    ----------
    posterior : PosteriorData
        With one random intercept, or a factor whose levels are integrated out.
    rows : ndarray of int (gene,)
        Positions among the sampled genes.
    theta : ndarray of float32 (gene, draw, parameter)
    attempt : int
        The same number gives the same draws.
    levels : ndarray of int64, optional
        Which; by default all.

    Returns
    -------
    ndarray of float32 (gene, draw, level)
        Natural log; 0 for levels that are not asked for.
    """
    (grouping,) = posterior.request.effects_of_groups
    levels = np.arange(grouping.n_levels) if levels is None else levels
    found = np.zeros((*theta.shape[:2], grouping.n_levels), dtype=np.float32)
    seeds, left_out = (
        seeds_for(Stream.RANDOM_EFFECTS, posterior.seeds(rows), attempt),
        posterior.left_out_mask,
    )
    for start in range(0, rows.size, GENES_AT_A_TIME):
        some = slice(start, start + GENES_AT_A_TIME)
        model, own = posterior.observed(rows[some]), left_out[rows[some]]
        over_genes(
            _draw_effects, model.n_genes, theta[some], model.data, own, seeds[some], levels, found[some]
        )
    return found


def full_draws(posterior: PosteriorData, rows: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Turn draws of what was sampled into draws of the design's coefficients.

    Parameters
    ----------
    posterior : PosteriorData
    rows : ndarray of int (gene,)
        Positions among the sampled genes.
    theta : ndarray of float32 (chain, draw, gene, parameter)

    Returns
    -------
    ndarray of float32 (chain, draw, gene, coefficient + others)
        With those of levels that are integrated out.
    """
    coding = posterior.coding
    found, factor = coding.coefficients_of(theta), coding.integrated
    if factor is None:
        return found
    for chain, own in enumerate(theta):
        drawn = drawn_levels(posterior, rows, np.ascontiguousarray(own.transpose(1, 0, 2)), chain)
        for i, weights in enumerate(factor.transform):
            for level in np.flatnonzero(weights):
                found[chain, :, :, i] += np.float32(weights[level]) * drawn[:, :, level].T
    return found


def with_levels_of_contrasts(
    posterior: PosteriorData, contrasts: Sequence[Contrast]
) -> tuple[GeneDraws, list[np.ndarray], bool]:
    """Return draws that contrasts are sums of, with their weights.

    Parameters
    ----------
    posterior : PosteriorData
    contrasts : sequence of Contrast
        Of the design's coefficients.

    Returns
    -------
    draws : GeneDraws
        Those of the posterior where no contrast needs levels that are integrated out, else with a
        coefficient more for each contrast: what the levels contribute to it.
    vectors : list of ndarray (coefficient,)
    added : bool
        Whether there are more coefficients.
    """
    coding, draws = posterior.coding, posterior.gene_draws
    of_levels = [coding.level_vector(one.vector) for one in contrasts]
    if not any(weights.any() for weights in of_levels):
        return draws, [coding.vector(one.vector) for one in contrasts], False
    others = coding.rows(np.array([one.vector for one in contrasts]))
    n, (size, n_draws, d) = len(contrasts), draws.theta.shape
    theta = np.empty((size, n_draws, d + n), dtype=np.float32)
    theta[:, :, : d - 1], theta[:, :, -1] = draws.theta[:, :, :-1], draws.theta[:, :, -1]
    needed = np.flatnonzero(np.any(of_levels, axis=0))
    for start in range(0, size, GENES_AT_A_TIME):
        rows = np.arange(start, min(start + GENES_AT_A_TIME, size))
        drawn = drawn_levels(posterior, rows, np.ascontiguousarray(draws.theta[rows]), levels=needed)
        for i, weights in enumerate(of_levels):
            own = np.flatnonzero(weights)
            theta[rows, :, d - 1 + i] = (drawn[:, :, own] * weights[own]).sum(axis=2)
    vectors = [np.concatenate([own, np.eye(n)[i]]) for i, own in enumerate(others)]
    return replace(draws, theta=theta), vectors, True


@kernel
def _draw_effects(first, last, theta, data, left_out, seeds, levels, found):  # type: ignore[no-untyped-def]
    """Fill draws (gene, draw, group) of the effects of some genes' levels."""
    y, log_nf, x, groups = data
    eta = np.empty(y.shape[1])
    room = np.empty((2, number_of_nodes(groups)))
    for g in range(first, last):
        np.random.seed(seeds[g])  # noqa: NPY002 - numba's own generator, one for each thread
        for m in range(theta.shape[1]):
            point = theta[g, m].astype(np.float64)
            sample_log_means(point, log_nf[g], x, eta)
            r, scale = math.exp(-point[point.size - 1]), group_scale(point, groups)
            for d in levels:
                members = groups.order[groups.bounds[d] : groups.bounds[d + 1]]
                kept = members[~left_out[g][members]]
                if groups.tangents.size > 0:
                    found[g, m, d] = _draw_by_nodes(y[g], eta, r, kept, groups, room)
                else:
                    found[g, m, d] = _draw_effect(y[g], eta, r, kept, groups.df, scale)


@kernel
def _draw_effect(y, eta, r, members, df, scale):  # type: ignore[no-untyped-def]
    """Draw one effect given theta."""
    mode, curve = conditional_mode(y, eta, r, members, df, scale)
    sd, u, height = WIDER / math.sqrt(curve), 0.0, -math.inf
    for _ in range(STEPS + 1):
        stretch = math.sqrt(0.5 * DF / np.random.gamma(0.5 * DF, 1.0))  # noqa: NPY002
        z = np.random.standard_normal() * stretch  # noqa: NPY002
        at = mode + sd * z
        value = log_integrand(at, y, eta, r, members, df, scale) - log_effect_density(z, float(DF), 1.0)
        if math.log(1.0 - np.random.random()) < value - height:  # noqa: NPY002
            u, height = at, value
    return u


@kernel
def _draw_by_nodes(y, eta, r, members, groups, room):  # type: ignore[no-untyped-def]
    """Draw one effect given theta, under a law of given scale."""
    shares, nodes, pairs, at = room[0], room[1], groups.tangents.size, np.empty(2)
    df, scale = groups.df, groups.scale
    integrate_group(y, eta, r, members, groups, scale, shares, nodes)
    center, width = center_of_counts(y, eta, r, members, df, scale)
    u, height = 0.0, -math.inf
    for _ in range(STEPS + 1):
        left, node = np.random.random(), 0  # noqa: NPY002
        while node < shares.size - 1 and left >= shares[node]:
            left -= shares[node]
            node += 1
        if not shares[node] > 0.0:
            continue
        step = (node // 2 + np.random.random()) / pairs - 0.5  # noqa: NPY002
        fill_pair(math.tan(math.pi * step), center, width, scale, at)
        value = log_integrand(at[node % 2], y, eta, r, members, df, scale)
        value -= log_node_density(at[node % 2], center, width, scale) + math.log(shares[node])
        if math.log(1.0 - np.random.random()) < value - height:  # noqa: NPY002
            u, height = at[node % 2], value
    return u
