"""Small probabilities from draws: below one in the number of draws, where counting ends."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

__all__ = ["probability_below"]

TAIL_SHARE = 0.2
"""Share of the draws, nearest to the bound, that the tail is learnt from."""
ENOUGH = 200
"""With this many draws beyond the bound their share is used as it is."""
TRUST = 2.0
"""The tail counts as much as this many draws."""
FLOOR = 1e-300


def probability_below(draws: np.ndarray, bound: float) -> np.ndarray:
    """Estimate P(value < bound) for every column of draws.

    Where at least `ENOUGH` draws are below the bound, it is their share. Where fewer are, the tail is taken
    from a straight line through the normal scores of the lowest `TAIL_SHARE` of the draws, against the draws
    themselves: exact for a normal tail, too low for a heavier one. The logarithms of share and tail are
    averaged with weights k and `TRUST`, for k draws below the bound, so the line decides only where there
    are none.

    Parameters
    ----------
    draws : ndarray (draw, column)
    bound : float

    Returns
    -------
    ndarray (column,)
        NaN where a draw is.
    """
    total = draws.shape[0]
    below = (draws < bound).sum(axis=0)
    result = below / total
    few = np.flatnonzero(below < min(ENOUGH, total / 2))
    if few.size:
        share = np.maximum((below[few] + 0.5) / (total + 1.0), FLOOR)
        weight = below[few] / (below[few] + TRUST)
        tail = np.maximum(_normal_tail(draws[:, few], bound), FLOOR)
        tail = np.where(below[few] == 0, np.minimum(tail, 1.0 / total), tail)
        result[few] = np.exp(weight * np.log(share) + (1.0 - weight) * np.log(tail))
    result[np.isnan(draws).any(axis=0)] = np.nan
    return result


def _normal_tail(draws: np.ndarray, bound: float) -> np.ndarray:
    """Continue the lower tail of each column (draw, column) by a line through its normal scores."""
    total = draws.shape[0]
    count = max(20, int(TAIL_SHARE * total))
    lowest = np.sort(draws, axis=0)[: min(count, total)].astype(np.float64)
    rank = np.arange(1, lowest.shape[0] + 1)
    scores = norm.ppf((rank - 0.375) / (total + 0.25))[:, None]
    weights = (1.0 / np.sqrt(rank))[:, None]  # the outermost draws tell most about what lies beyond
    weights = weights / weights.sum()
    centre, level = (weights * lowest).sum(axis=0), float((weights * scores).sum())
    spread = (weights * (lowest - centre) ** 2).sum(axis=0)
    together = (weights * (lowest - centre) * (scores - level)).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(spread > 0.0, together / spread, np.inf)
        gap = bound - centre
        return norm.cdf(np.where(gap == 0.0, level, level + slope * gap))
