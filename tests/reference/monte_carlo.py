r"""Differences between draws, or from a known distribution, in units of their Monte-Carlo standard error.

What follows from Stan's draws is compared like this, for the same seed gives other draws with another
compiler or processor. Moments of heavy-tailed parameters hardly settle, and neither do estimates of their
errors; probabilities do. So two sets of draws are compared by their distribution functions at quantiles of
both together, where the standard error of P(x <= q) is

    sqrt(sum_i w_i^2 (1(x_i <= q) - p)^2),   of chains times sqrt(n / ESS of the indicator)

(Owen 2013, Monte Carlo theory, ch. 9). Standardized differences are nearly standard normal: by chance one in
1.7 million is beyond 5.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import chi2, norm

from bayesde.posterior.draws.diagnostics import effective_sizes
from bayesde.posterior.draws.gene_draws import GeneDraws

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def effective_size(x: np.ndarray) -> float:
    """Effective sample size of the mean of draws (chain, draw); that of independent ones if none varies."""
    return float(effective_sizes(x[None])[0]) if np.ptp(x) > 0.0 else float(x.size)


def distribution_scores(one: GeneDraws, two: GeneDraws) -> np.ndarray:
    """Standardized differences of distribution functions, (gene, parameter, level)."""
    n_genes, _, size = one.theta.shape
    scores = np.zeros((n_genes, size, len(LEVELS)))
    weights = [draws.weights() for draws in (one, two)]
    for g, k in np.ndindex(n_genes, size):
        values = [draws.theta[g, :, k].astype(float) for draws in (one, two)]
        cuts = quantiles(np.concatenate(values), np.concatenate([w[g] for w in weights]))
        for at, cut in enumerate(cuts):
            (p, p_error), (q, q_error) = (
                probability(x <= cut, w[g], draws)
                for x, w, draws in zip(values, weights, (one, two), strict=True)
            )
            scores[g, k, at] = (p - q) / math.hypot(p_error, q_error)
    return scores


def quantiles(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return values[order][np.searchsorted(below, np.array(LEVELS) * below[-1])]


def probability(event: np.ndarray, weights: np.ndarray, draws: GeneDraws) -> tuple[float, float]:
    """Return the weighted share of an event among a gene's draws, and its standard error."""
    p = float(weights @ event)
    error = float(np.sqrt(np.sum((weights * (event - p)) ** 2)))
    if draws.chains > 1:
        error *= math.sqrt(event.size / effective_size(event.reshape(draws.chains, -1).astype(float)))
    return p, error


def moment_scores(x: np.ndarray, mean: float, sd: float) -> np.ndarray:
    """Standardized errors of the mean and the variance of draws (chain, draw) whose moments are known."""
    square = (x - mean) ** 2
    found = np.array([x.mean() - mean, square.mean() - sd**2])
    return found / [sd / math.sqrt(effective_size(x)), square.std() / math.sqrt(effective_size(square))]


def log_scores(chains: np.ndarray, points: np.ndarray, size: float) -> np.ndarray:
    """Standardized differences of the logarithm of a hyperparameter, whose posterior is about log-normal.

    Of the mean and the quantiles 16 % and 84 %, of draws (chain, draw) and of points of equal weight that are
    worth `size` independent ones. A quantile's error is sqrt(p (1 - p) / n) / density.
    """
    one, two = np.log(chains), np.log(points)
    scores = [
        (one.mean() - two.mean())
        / math.hypot(one.std() / math.sqrt(effective_size(one)), two.std() / math.sqrt(size))
    ]
    for p in (0.16, 0.84):
        cut, density = np.quantile(one, p), norm.pdf(norm.ppf(p)) / one.std()
        n = effective_size((one <= cut).astype(float))
        error = math.sqrt(p * (1.0 - p) * (1.0 / n + 1.0 / size)) / density
        scores.append((cut - np.quantile(two, p)) / error)
    return np.array(scores)


def event_score(event: np.ndarray, p: float) -> float:
    """Standardized error of the share of an event among draws (chain, draw) whose probability is known."""
    size = effective_size(event.astype(float))
    return (event.mean() - p) / math.sqrt(p * (1.0 - p) / size)


def largest_rms(n: int, false_alarm: float = 1e-6) -> float:
    """Root mean square that `n` independent standard normal numbers exceed with this probability."""
    return math.sqrt(chi2.isf(false_alarm, n) / n)
