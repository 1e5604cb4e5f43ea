r"""Monte-Carlo standard errors of posterior means and standard deviations.

Of weighted draws (w adding up to 1), by the delta method (Owen 2013, Monte Carlo theory, methods and
examples, section 9.2):

    mcse(mean)^2 = sum_m w_m^2 (v_m - mean)^2,
    mcse(sd)^2 = sum_m w_m^2 ((v_m - mean)^2 - sd^2)^2 / (4 sd^2).

Of chains, whose draws depend on each other, these sums become variances of v and of (v - mean)^2 over ArviZ's
effective sample sizes of both. The formulas hold for a posterior with a point mass, too; where all draws are
the same, as those in a point mass may be, both errors are 0.
"""

from __future__ import annotations

import numpy as np

from bayesde.posterior.draws.diagnostics import effective_sizes
from bayesde.posterior.draws.gene_draws import GeneDraws, contrast_values
from bayesde.posterior.draws.weighted_statistics import LARGEST_EFFECT

__all__ = ["monte_carlo_errors"]


def monte_carlo_errors(draws: GeneDraws, vector: np.ndarray) -> dict[str, np.ndarray]:
    """Return the Monte-Carlo standard errors of a contrast's mean and standard deviation.

    Parameters
    ----------
    draws : GeneDraws
    vector : ndarray (coefficient,)
        Weights of the contrast.

    Returns
    -------
    dict of str to ndarray (gene,)
        ``mcse_mean`` and ``mcse_sd``, natural log.
    """
    parts = []
    for _, theta, weights in draws.batches():
        effect = np.clip(contrast_values(theta, vector), -LARGEST_EFFECT, LARGEST_EFFECT)
        parts.append(_of_weighted(effect, weights) if draws.chains == 1 else _of_chains(effect, draws.chains))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _of_weighted(effect: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    square = (effect - (weights * effect).sum(axis=1, keepdims=True)) ** 2
    variance = (weights * square).sum(axis=1, keepdims=True)
    error = np.sqrt((weights**2 * square).sum(axis=1))
    of_variance = np.sqrt((weights**2 * (square - variance) ** 2).sum(axis=1))
    return {"mcse_mean": error, "mcse_sd": _of_sd(of_variance, np.sqrt(variance[:, 0]))}


def _of_chains(effect: np.ndarray, chains: int) -> dict[str, np.ndarray]:
    shape = (effect.shape[0], chains, effect.shape[1] // chains)
    square = (effect - effect.mean(axis=1, keepdims=True)) ** 2
    sizes = [effective_sizes(numbers.reshape(shape)) for numbers in (effect, square)]
    of_variance = square.std(axis=1) / np.sqrt(sizes[1])
    sd = effect.std(axis=1)
    return {"mcse_mean": sd / np.sqrt(sizes[0]), "mcse_sd": _of_sd(of_variance, sd)}


def _of_sd(of_variance: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Return the error of the standard deviation from that of the variance; 0 if nothing varies."""
    return 0.5 * of_variance / np.where(sd == 0.0, 1.0, sd)
