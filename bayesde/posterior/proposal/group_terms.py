r"""The part of a gene's log probability that depends on the means, where groups have random intercepts.

For each group of samples the logarithm of

    int exp[ sum_j (y+r) ln((y+r) / (mu e^u + r)) + y (ln mu + u) ] p(u | tau) du,

by the quadrature of `bayesde.model.random_effects.quadrature`, in loops over the draws innermost. The search
for the modes starts where the counts of the group and the prior of u meet if the group had one sample,

    u = L I / (I + 1 / tau^2),  L = ln[(sum y + 1/2) / (sum mu + 1/2)],  I = sum_j mu e^L r / (mu e^L + r),

and takes a fixed number of Newton steps. Draws of which a mode is not found are marked, to be done one by
one. Where the scale of the law is given, the search is for the center of the counts, and
`bayesde.posterior.proposal.level_integrals` has the quadrature.
"""

from __future__ import annotations

import math

from bayesde.model.random_effects.quadrature import log_law_height
from bayesde.numerics.compiled import fused, kernel
from bayesde.numerics.elementary import exponential, logarithm, logarithm_of_ratio
from bayesde.numerics.gamma_functions import HALF_LOG_TWO_PI
from bayesde.numerics.sums import combine
from bayesde.posterior.proposal.level_integrals import (
    CENTER_STEPS,
    add_counts,
    add_level_integrals,
    rows_of_levels,
)

__all__ = ["add_groups", "rows_of_room"]

STEPS, LARGEST_STEP, NEAR = 3, 3.0, 0.05
"""Of the search for a mode; it is found if the last step is below so many standard deviations: the quadrature
allows for more."""
LOWEST_LOG_SD, HIGHEST_LOG_SD = -60.0, 5.0
"""Beyond, draws are done one by one."""
HALF_A_COUNT = 0.5
SHARED = 6


@kernel
def rows_of_room(groups, law):  # type: ignore[no-untyped-def]
    """Return how many rows of draws `add_groups` works in."""
    most = 0
    for d in range(groups.size - 1):
        most = max(most, groups[d + 1] - groups[d])
    return SHARED + law.nodes.size + rows_of_levels(law) + most + 1


@kernel
def add_groups(points, r, own, groups, law, room, largest, value):  # type: ignore[no-untyped-def]
    """Add what depends on the means at one gene's draws.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
        With ln tau before the log dispersion, unless the law has a scale.
    r : ndarray (draw,)
        exp(-a).
    own : CellCounts
        Whose cells are the samples of a group with equal rows of the design, in the order of the groups.
    groups : ndarray of int64 (group + 1,)
        Where the groups begin and end among the cells.
    law : Groups
    room : ndarray (row, draw)
        Work space, of `rows_of_room`.
    largest : ndarray (draw,)
        Written to: the largest absolute log mean, without the factors; infinite where a draw must be done
        by itself.
    value : ndarray (draw,)
        Added to.
    """
    largest[:] = 0.0
    _fill_precisions(points, law, room[0], largest)
    first_level, given = SHARED + law.nodes.size + rows_of_levels(law), law.scale > 0.0
    within = room[room.shape[0] - 1]  # as `largest`, of one group
    for d in range(groups.size - 1):
        first, last = groups[d], groups[d + 1]
        levels, total = room[first_level:], 0.0
        within[:] = 0.0
        for cell in range(first, last):
            total += own.totals[cell]
            _add_cell(points, own, cell, room[1], levels[cell - first], within, value)
        _start(own, (first, last, total), r, levels, law, room)
        for _ in range(CENTER_STEPS if given else STEPS):
            _step(own, first, last, r, levels, math.inf if given else law.df, room)
        if given:
            add_level_integrals(own, (first, last, total), r, levels, law, room[1:], largest, value)
        else:
            _mark(room, within)
            _integrate(own, (first, last, total), r, levels, law, room, value)
        for m in range(largest.size):
            largest[m] = max(largest[m], within[m])


@kernel
def _fill_precisions(points, law, precision, largest):  # type: ignore[no-untyped-def]
    """Fill 1 / scale^2 of the law of the intercepts."""
    if law.scale > 0.0:
        precision[:] = 1.0 / law.scale**2
        return
    log_sd = points[points.shape[0] - 2]
    for m in range(precision.size):
        within = min(max(log_sd[m], LOWEST_LOG_SD), HIGHEST_LOG_SD)
        largest[m] = 0.0 if within == log_sd[m] else math.inf
        precision[m] = exponential(-2.0 * within)


@kernel
def _add_cell(points, own, cell, eta, level, largest, value):  # type: ignore[no-untyped-def]
    """Fill the mean of a cell without factors, and add its counts times the logarithm."""
    combine(0.0, own.rows[cell], points, eta)
    total = own.totals[cell]
    for m in range(eta.size):
        largest[m] = max(largest[m], abs(eta[m]))
        value[m] = fused(total, eta[m], value[m])
        level[m] = exponential(eta[m])


@kernel
def _start(own, group, r, levels, law, room):  # type: ignore[no-untyped-def]
    """Fill where the searches for the modes u start; where a scale is given, the law's curvature, too."""
    first, last, total = group
    precision, u, power, weight = room[0], room[1], room[2], room[3]
    power[:], weight[:] = HALF_A_COUNT, 0.0
    for cell in range(first, last):
        sizes, level = 0.0, levels[cell - first]
        for j in range(own.bounds[cell], own.bounds[cell + 1]):
            sizes += own.factors[j]
        for m in range(power.size):
            power[m] = fused(sizes, level[m], power[m])
    for m in range(u.size):
        u[m] = logarithm_of_ratio(total + HALF_A_COUNT, power[m])
        power[m] = (total + HALF_A_COUNT) / power[m]
    for cell in range(first, last):
        level = levels[cell - first]
        for j in range(own.bounds[cell], own.bounds[cell + 1]):
            factor = own.factors[j]
            for m in range(u.size):
                mu = factor * level[m] * power[m]
                weight[m] += mu * r[m] / (mu + r[m])
    if law.scale > 0.0 and not math.isinf(law.df):
        for m in range(u.size):  # of the normal law with the slope that the law has where the counts are
            precision[m] = (law.df + 1.0) / fused(u[m], u[m], law.df * law.scale**2)
    for m in range(u.size):
        u[m] *= weight[m] / (weight[m] + precision[m])


@kernel
def _step(own, first, last, r, levels, df, room):  # type: ignore[no-untyped-def]
    """Take one Newton step from u; fill the curvature before it, and the size of the step."""
    precision, u, power, slope, curve, size = room[0], room[1], room[2], room[3], room[4], room[5]
    for m in range(u.size):
        power[m] = exponential(u[m])
        curve[m] = precision[m]
    if not math.isinf(df):
        for m in range(u.size):
            curve[m] *= (df + 1.0) / fused(u[m] * precision[m], u[m], df)
    for m in range(u.size):
        slope[m] = -u[m] * curve[m]
    for cell in range(first, last):
        level = levels[cell - first]
        for j in range(own.bounds[cell], own.bounds[cell + 1]):
            count, factor = own.counts[j], own.factors[j]
            for m in range(u.size):
                mu = factor * level[m] * power[m]
                share = r[m] / (mu + r[m])
                pull = share * (count - mu)
                slope[m] += pull
                curve[m] += share * (count - pull)
    for m in range(u.size):
        size[m] = slope[m] / curve[m]
        u[m] += min(max(size[m], -LARGEST_STEP), LARGEST_STEP)


@kernel
def _mark(room, within):  # type: ignore[no-untyped-def]
    """Mark draws whose mode was not found; the curvature becomes a standard deviation."""
    u, curve, size = room[1], room[4], room[5]
    for m in range(u.size):
        sd = 1.0 / math.sqrt(curve[m])
        curve[m] = sd
        far = within[m] + abs(u[m]) + 3.0 * sd
        within[m] = far if abs(size[m]) < NEAR * sd else math.inf


@kernel
def _integrate(own, group, r, levels, law, room, value):  # type: ignore[no-untyped-def]
    """Add the log integrals of a group: its first cell, the end of its cells, and its sum of counts."""
    first, last, total = group
    precision, u, power, best, sd = room[0], room[1], room[2], room[3], room[4]
    nodes = room[SHARED : SHARED + law.nodes.size]
    best[:] = -math.inf
    for node in range(nodes.shape[0]):
        out, z, log_weight = nodes[node], law.nodes[node], law.log_weights[node]
        for m in range(out.size):
            at = fused(z, sd[m], u[m])
            power[m] = exponential(at)
            out[m] = fused(total, at, fused(-0.5 * (at * precision[m]), at, log_weight))
        if not math.isinf(law.df):
            for m in range(out.size):
                at = fused(z, sd[m], u[m])
                square = at * precision[m] * at
                out[m] += 0.5 * (square - (law.df + 1.0) * logarithm(1.0 + square / law.df))
        add_counts(own, first, last, r, levels, power, out)
        for m in range(out.size):
            best[m] = max(best[m], out[m])
    power[:] = 0.0
    for node in range(nodes.shape[0]):
        out = nodes[node]
        for m in range(out.size):
            power[m] += exponential(out[m] - best[m])
    height = log_law_height(law.df, 1.0) + HALF_LOG_TWO_PI
    for m in range(value.size):
        value[m] += best[m] + logarithm(power[m] * sd[m] * math.sqrt(precision[m])) + height
