r"""Integrals over the effect of one level of a factor, whose law has a given scale, at many draws.

By the nodes of `bayesde.model.random_effects.two_centers`, in loops over the draws innermost.
"""

from __future__ import annotations

import math

from bayesde.model.random_effects.quadrature import log_law_height
from bayesde.model.random_effects.two_centers import FARTHEST, WIDER, root_of_pair
from bayesde.numerics.compiled import fused, kernel
from bayesde.numerics.elementary import exponential, logarithm, logarithm_of_ratio

__all__ = ["CENTER_STEPS", "add_counts", "add_level_integrals", "rows_of_levels"]

CENTER_STEPS, FAR = 2, 0.5
"""Of the search for the center of counts; draws are done one by one if its last step is larger than so many
standard deviations."""
SAFE = 300.0
"""Nodes within which no exponential leaves the range of doubles."""
AT, FIRST_OUT = 5, 6
"""Rows of the work space: after those that the search has filled, the nodes, and the integrands."""


@kernel
def add_counts(own, first, last, r, levels, power, out):  # type: ignore[no-untyped-def]
    """Add what the counts of some cells say of their means, at every draw.

    Parameters
    ----------
    own : CellCounts
    first, last : int
        The cells.
    r : ndarray (draw,)
        1 / dispersion.
    levels : ndarray (cell, draw)
        Means without factors and without the effect.
    power : ndarray (draw,)
        Exponential of the effect.
    out : ndarray (draw,)
        Added to.
    """
    for cell in range(first, last):
        level = levels[cell - first]
        for j in range(own.bounds[cell], own.bounds[cell + 1]):
            count, factor = own.counts[j], own.factors[j]
            for m in range(out.size):
                w = count + r[m]
                ratio = logarithm_of_ratio(w, fused(factor * level[m], power[m], r[m]))
                out[m] = fused(w, ratio, out[m])


@kernel
def rows_of_levels(law):  # type: ignore[no-untyped-def]
    """Return how many rows of draws the quadrature takes beside those of the search."""
    return FIRST_OUT - AT + 2 * law.tangents.size


@kernel
def add_level_integrals(own, group, r, levels, law, room, largest, value):  # type: ignore[no-untyped-def]
    """Add the log integrals of a level: its first cell, the end of its cells, and its sum of counts.

    Parameters
    ----------
    own : CellCounts
    group : tuple of int, int and float
    r : ndarray (draw,)
        1 / dispersion.
    levels : ndarray (cell, draw)
        Means without factors and without the effect.
    law : Groups
    room : ndarray (row, draw)
        The center of the counts; work space for two rows; the curvature there, and the last step towards it;
        work space.
    largest, value : ndarray (draw,)
        As of `bayesde.posterior.proposal.group_terms.add_groups`: infinite where a draw must be done by
        itself.
    """
    center, power, best, width, step = room[0], room[1], room[2], room[3], room[4]
    outs, n = room[FIRST_OUT:], law.tangents.size
    for m in range(center.size):
        width[m] = WIDER / math.sqrt(width[m])
        far = abs(center[m]) + FARTHEST * (width[m] + law.scale)
        found = far < SAFE and abs(step[m]) < (FAR / WIDER) * width[m]
        largest[m] = largest[m] if found else math.inf
    best[:] = -math.inf
    for node in range(2 * n):
        out, at, tangent = outs[node], room[AT], law.tangents[node // 2]
        for m in range(center.size):
            at[m] = root_of_pair(tangent, center[m], width[m], law.scale, node % 2)
        _fill_integrand(own, group, r, levels, law, (center, width, at, power), out)
        for m in range(out.size):
            best[m] = max(best[m], out[m])
    power[:] = 0.0
    for node in range(2 * n):
        out = outs[node]
        for m in range(out.size):
            power[m] += exponential(out[m] - best[m])
    height = log_law_height(law.df, law.scale) + math.log(math.pi / n)
    for m in range(value.size):
        value[m] += best[m] + logarithm(power[m]) + height


@kernel
def _fill_integrand(own, group, r, levels, law, nodes, out):  # type: ignore[no-untyped-def]
    """Fill log integrands at one node of every draw, over pi times the density of the nodes."""
    first, last, total = group
    center, width, at, power = nodes
    scale, square = law.scale, law.scale**2
    for m in range(out.size):
        u, apart = at[m], at[m] - center[m]
        from_law, from_counts = fused(u, u, square), fused(apart, apart, width[m] * width[m])
        out[m] = fused(scale, from_counts, width[m] * from_law)
        power[m] = from_law * from_counts
    if law.df == 1.0:
        for m in range(out.size):
            out[m] = logarithm(square * (power[m] / (at[m] * at[m] + square)) / out[m])
    else:
        for m in range(out.size):
            out[m] = logarithm(power[m] / out[m])
        for m in range(out.size):
            ratio = at[m] * at[m] / square
            if math.isinf(law.df):
                out[m] -= 0.5 * ratio
            else:
                out[m] -= 0.5 * (law.df + 1.0) * logarithm(1.0 + ratio / law.df)
    for m in range(out.size):
        power[m] = exponential(at[m])
        out[m] = fused(total, at[m], out[m])
    add_counts(own, first, last, r, levels, power, out)
