r"""Moments, quantiles and intervals of weighted draws of a number.

With draws v_1 <= ... <= v_M and weights w_m that add up to 1,

    mean = sum_m w_m v_m,      sd^2 = sum_m w_m (v_m - mean)^2 / (1 - sum_m w_m^2),

and the quantile function Q interpolates linearly between the points (w_1 + ... + w_m - w_m / 2, v_m). The
equal-tailed interval of probability p is Q((1 - p) / 2), Q((1 + p) / 2); the highest-density interval is the
shortest of all Q(a), Q(a + p), which is found exactly, since one of its ends is a point. Draws of chains are
the case of equal weights.

Where the posterior has a point mass at 0 (an atom), with L = P(v < 0) and A = P(v = 0) the weights of the
draws below 0 and at 0, the points of the latter are replaced by the two ends of the atom,

    (L, 0) and (L + A, 0),      so that      Q(a) = 0  for  L <= a <= L + A,

and on both sides Q continues to the points of the nearest other draws, which are half their weight away. If
A >= p, the highest-density interval is [0, 0]. If no draw is 0, nothing changes.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics.compiled import kernel

__all__ = ["LARGEST_EFFECT", "MOMENTS", "fill_summaries", "highest_density", "quantile"]

LARGEST_EFFECT = 30.0
"""Natural log. Where one group has no counts the posterior has the Cauchy prior's tail, and no mean: draws
beyond e^30-fold, which no counts can tell apart, are counted as e^30-fold."""
ROUNDING = 1e-12
"""Levels that are nearer than this to an end of the atom belong to it: weights are sums of many numbers."""
MOMENTS = ("mean", "sd", "median", "lower", "upper", "hdi_lower", "hdi_upper")


@kernel
def fill_summaries(first, last, values, weights, order, ci_prob, atoms, summary):  # type: ignore[no-untyped-def]
    """Fill `MOMENTS` (gene, 7) of some genes' values (gene, draw), in ascending order by `order`.

    With ``atoms``, values that are exactly 0 are draws of a point mass.
    """
    n_draws = values.shape[1]
    ladder, middles = np.empty(n_draws + 1), np.empty(n_draws + 1)  # one of them only if an atom needs it
    for g in range(first, last):
        below, mean, squares = 0.0, 0.0, 0.0
        for i in range(n_draws):
            m = order[g, i]
            ladder[i] = min(max(values[g, m], -LARGEST_EFFECT), LARGEST_EFFECT)
            middles[i] = below + 0.5 * weights[g, m]
            below += weights[g, m]
            mean += weights[g, m] * ladder[i]
            squares += weights[g, m] ** 2
        spread = 0.0
        for i in range(n_draws):
            spread += weights[g, order[g, i]] * (ladder[i] - mean) ** 2
        summary[g, 0] = mean
        summary[g, 1] = math.sqrt(spread / (1.0 - squares))
        size, atom = n_draws, 0.0
        if atoms:
            size, atom = _place_atom(ladder, middles, weights[g], order[g])
        points, levels = ladder[:size], middles[:size]
        summary[g, 2] = quantile(points, levels, 0.5)
        summary[g, 3] = quantile(points, levels, 0.5 * (1.0 - ci_prob))
        summary[g, 4] = quantile(points, levels, 0.5 * (1.0 + ci_prob))
        if atom >= ci_prob - ROUNDING:
            summary[g, 5], summary[g, 6] = 0.0, 0.0
        else:
            summary[g, 5], summary[g, 6] = highest_density(points, levels, ci_prob)


@kernel
def _place_atom(values, middles, weights, order):  # type: ignore[no-untyped-def]
    """Put draws of 0 at the levels of the atom; return the number of points, and the atom's weight.

    Parameters
    ----------
    values, middles : ndarray (draw + 1,)
        The points of the draws in ascending order, with room for one more. Changed.
    weights : ndarray (draw,)
    order : ndarray of int (draw,)
    """
    size, first, below, atom = order.size, 0, 0.0, 0.0
    while first < size and values[first] < 0.0:
        below += weights[order[first]]
        first += 1
    after = first
    while after < size and values[after] == 0.0:
        atom += weights[order[after]]
        after += 1
    if not atom > 0.0:
        return size, 0.0
    if after == first + 1:  # the two ends need two points
        for i in range(size, first, -1):
            values[i], middles[i] = values[i - 1], middles[i - 1]
        size, after = size + 1, after + 1
    middles[first], middles[after - 1] = below - ROUNDING, below + atom + ROUNDING
    if first > 0:
        middles[first] = max(middles[first], middles[first - 1])
    if after < size:
        middles[after - 1] = min(middles[after - 1], middles[after])
    return size, atom


@kernel
def quantile(values, middles, level):  # type: ignore[no-untyped-def]
    """Return Q(level), for values in ascending order and the levels that they stand at."""
    at = np.searchsorted(middles, level)
    if at == 0:
        return values[0]
    if at == values.size:
        return values[-1]
    return _between(values, middles, at - 1, level)


@kernel
def _between(values, middles, i, level):  # type: ignore[no-untyped-def]
    """Return Q(level) between the points i and i + 1."""
    gap = middles[i + 1] - middles[i]
    share = (level - middles[i]) / gap if gap > 0.0 else 0.0
    return values[i] + share * (values[i + 1] - values[i])


@kernel
def highest_density(values, middles, ci_prob):  # type: ignore[no-untyped-def]
    """Return the shortest interval [Q(a), Q(a + ci_prob)]; of one longer than all points, both ends.

    Parameters
    ----------
    values, middles : ndarray (draw,)
        In ascending order.
    ci_prob : float

    Returns
    -------
    lower, upper : float
    """
    size = values.size
    lower, upper = values[0], values[-1]
    low, high = 0, 0
    while low < size and middles[low] + ci_prob <= middles[-1]:  # the lower end on a point
        while high < size - 2 and middles[high + 1] < middles[low] + ci_prob:
            high += 1
        end = _between(values, middles, high, middles[low] + ci_prob)
        if end - values[low] < upper - lower:
            lower, upper = values[low], end
        low += 1
    low, high = 0, 0
    while high < size:  # the upper end on a point
        if middles[high] - ci_prob >= middles[0]:
            while low < size - 2 and middles[low + 1] < middles[high] - ci_prob:
                low += 1
            end = _between(values, middles, low, middles[high] - ci_prob)
            if values[high] - end < upper - lower:
                lower, upper = end, values[high]
        high += 1
    return lower, upper
