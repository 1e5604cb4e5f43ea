r"""The width of a normal prior, matched to the upper tail of what was observed.

    sigma = q / z,    q the weighted 95 % quantile of the observed sizes |x|,    z that of |Normal(0, 1)|

(Love, Huber and Anders 2014, doi:10.1186/s13059-014-0550-8, "Empirical Bayes shrinkage of LFC estimates"):
the tail, because small values are mostly noise. In any unit.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

__all__ = ["matched_sd", "weighted_quantile"]

MATCHED = 0.95
"""The quantile that is matched."""


def matched_sd(sizes: np.ndarray, weights: np.ndarray) -> float:
    """Return the sd of the normal distribution around 0 that has the upper quantile of some sizes.

    Parameters
    ----------
    sizes, weights : ndarray (value,)
        At least one; sizes are 0 or more, weights positive.

    Returns
    -------
    float
    """
    return weighted_quantile(sizes, weights, MATCHED) / float(ndtri(0.5 + MATCHED / 2.0))


def weighted_quantile(values: np.ndarray, weights: np.ndarray, probability: float) -> float:
    """Weighted quantile: weights are scaled to sum to the number n of values.

    With the values sorted, rank 1 + (n - 1) p is looked up in the cumulated weights, between whole ranks
    linearly (the rule of R's Hmisc, which DESeq2 uses).

    Parameters
    ----------
    values, weights : ndarray (value,)
    probability : float

    Returns
    -------
    float
    """
    n = values.size
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weights[order]) * (n / weights.sum())
    rank = 1.0 + (n - 1.0) * probability
    low = max(math.floor(rank), 1)
    places = np.searchsorted(cumulated, [low, min(low + 1, n)], side="left")
    below, above = values[order[np.minimum(places, n - 1)]]
    return float(below + (rank - low) * (above - below))
