r"""From weighted draws to the results table: what the posterior says of a contrast.

Means, standard deviations, quantiles and probabilities are those of the weighted draws. Of a probability
beyond most draws, the tail is continued: by a line through the normal scores of the outer draws, as
`bayesde.posterior.tails` does for draws of equal weight. The proposals have heavier tails than the
posteriors, so that weighted draws reach further out, with small weights; the line decides only beyond them.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from bayesde.posterior.summaries import LARGEST_EFFECT
from bayesde.posterior.tails import FLOOR, TAIL_SHARE, TRUST

__all__ = ["mean_dispersion", "weighted_probability_below", "weighted_quantiles", "weighted_summary"]

GENES_AT_A_TIME = 500
FEWEST = 20
"""The outer draws that a tail is learnt from are at least so many."""
OUTERMOST = 10
"""What lies beyond all draws is taken to be no more than this many of the outermost have together."""


def weighted_summary(
    theta: np.ndarray,
    log_weights: np.ndarray,
    vector: np.ndarray,
    threshold: float = 0.0,
    ci_prob: float = 0.95,
) -> dict[str, np.ndarray]:
    """Summarize the posterior of a contrast for every gene.

    Parameters
    ----------
    theta : ndarray (gene, draw, P + 1)
        Coefficients and log dispersion, natural log.
    log_weights : ndarray (gene, draw)
    vector : ndarray (coefficient,)
        Weights of the contrast.
    threshold : float
        Natural log; 0 for none.
    ci_prob : float
        Probability within the equal-tailed interval.

    Returns
    -------
    dict of str to ndarray (gene,)
        As `bayesde.posterior.summaries.contrast_summary` has them.
    """
    parts = [
        _summary_of_some(theta[start:end], log_weights[start:end], vector, threshold, ci_prob)
        for start, end in _chunks(theta.shape[0])
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _chunks(n_genes: int) -> list[tuple[int, int]]:
    return [(start, start + GENES_AT_A_TIME) for start in range(0, n_genes, GENES_AT_A_TIME)]


def _normalized(log_weights: np.ndarray) -> np.ndarray:
    weights = np.exp(log_weights.astype(np.float64))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _summary_of_some(
    theta: np.ndarray, log_weights: np.ndarray, vector: np.ndarray, threshold: float, ci_prob: float
) -> dict[str, np.ndarray]:
    weights = _normalized(log_weights)
    effect = theta[:, :, :-1].astype(np.float64) @ vector
    order = np.argsort(effect, axis=1)
    effect, weights = np.take_along_axis(effect, order, 1), np.take_along_axis(weights, order, 1)
    bounded = np.clip(effect, -LARGEST_EFFECT, LARGEST_EFFECT)
    mean = (weights * bounded).sum(axis=1)
    lower, upper = weighted_quantiles(bounded, weights, [(1.0 - ci_prob) / 2.0, (1.0 + ci_prob) / 2.0])
    upside = (-effect[:, ::-1], weights[:, ::-1])  # the same draws seen from above

    def either_side(bound: float) -> tuple[np.ndarray, np.ndarray]:
        below = weighted_probability_below(effect, weights, bound)
        return below, weighted_probability_below(*upside, bound)

    summary = {
        "log2_fold_change": mean,
        "lfc_se": np.sqrt((weights * (bounded - mean[:, None]) ** 2).sum(axis=1)),
        "lfc_lower": lower,
        "lfc_upper": upper,
        "lfsr": np.minimum(*either_side(0.0)),
    }
    summary["local_rate"] = summary["lfsr"]
    if threshold > 0.0:
        summary["local_rate"] = np.minimum(*either_side(threshold))
        summary["prob_gt_threshold"] = np.minimum(1.0, np.add(*either_side(-threshold)))
    return summary


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, levels: list[float]) -> np.ndarray:
    """Return quantiles of weighted values, interpolated between the middles of their weights.

    Parameters
    ----------
    values : ndarray (gene, draw)
        In ascending order.
    weights : ndarray (gene, draw)
        Each row adds up to 1.
    levels : list of float

    Returns
    -------
    ndarray (level, gene)
    """
    middles = np.cumsum(weights, axis=1) - 0.5 * weights
    return np.array([np.interp(levels, *row) for row in zip(middles, values, strict=True)]).T


def weighted_probability_below(values: np.ndarray, weights: np.ndarray, bound: float) -> np.ndarray:
    """Estimate P(value < bound) of every gene.

    The weight of the draws below the bound, and the tail that a line through the normal scores of the outer
    `TAIL_SHARE` continues, have their logarithms averaged with weights n and `TRUST`, n being the effective
    number of draws below the bound. Half of the draws or more are never corrected.

    Parameters
    ----------
    values : ndarray (gene, draw)
        In ascending order.
    weights : ndarray (gene, draw)
        Each row adds up to 1.
    bound : float

    Returns
    -------
    ndarray (gene,)
    """
    beyond = np.where(values < bound, weights, 0.0)
    share = beyond.sum(axis=1)
    relative = beyond / np.maximum(beyond.max(axis=1, keepdims=True), FLOOR)
    number = relative.sum(axis=1) ** 2 / np.maximum((relative**2).sum(axis=1), FLOOR)
    few = np.flatnonzero(share < 0.5)
    tail = np.maximum(_continued_tail(values[few], weights[few], bound), FLOOR)
    outermost = np.maximum(weights[few, :OUTERMOST].sum(axis=1), FLOOR)
    tail = np.where(number[few] > 0.0, tail, np.minimum(tail, outermost))
    trust = number[few] / (number[few] + TRUST)
    counted = np.log(np.maximum(share[few], FLOOR))
    share[few] = np.exp(trust * counted + (1.0 - trust) * np.log(tail))
    return np.asarray(np.minimum(share, 1.0))


def _continued_tail(values: np.ndarray, weights: np.ndarray, bound: float) -> np.ndarray:
    """Continue the lower tail of each gene by a line through its normal scores at the outer draws."""
    middles = np.cumsum(weights, axis=1) - 0.5 * weights
    outer = (middles < TAIL_SHARE) | (np.arange(values.shape[1]) < FEWEST)
    with np.errstate(divide="ignore"):
        scores = ndtri(np.clip(middles, FLOOR, 1.0 - 1e-16))
        trusted = np.where(outer & (weights > 0.0), weights / np.sqrt(np.maximum(middles, FLOOR)), 0.0)
    trusted /= np.maximum(trusted.sum(axis=1, keepdims=True), FLOOR)
    center = (trusted * values).sum(axis=1, keepdims=True)
    level = (trusted * scores).sum(axis=1, keepdims=True)
    spread = (trusted * (values - center) ** 2).sum(axis=1)
    together = (trusted * (values - center) * (scores - level)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(spread > 0.0, together / spread, np.inf)
        gap = bound - center[:, 0]
        return np.asarray(ndtr(np.where(gap == 0.0, level[:, 0], level[:, 0] + slope * gap)))


def mean_dispersion(theta: np.ndarray, log_weights: np.ndarray) -> np.ndarray:
    """Return every gene's posterior mean dispersion."""
    return np.concatenate(
        [
            (_normalized(log_weights[start:end]) * np.exp(theta[start:end, :, -1].astype(np.float64))).sum(
                axis=1
            )
            for start, end in _chunks(theta.shape[0])
        ]
    )
