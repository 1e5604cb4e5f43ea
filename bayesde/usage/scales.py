r"""Scales of the Cauchy priors of changes of usage, by marginal likelihood.

With draws from a proposal and log weights w_m without the priors of the tested coefficients, the marginal
likelihood of a feature under the scales S is proportional to

    mean_m exp(w_m) prod_k Cauchy(beta_mk; 0, S_k),

and the scales maximize the sum of its logarithm over features, one scale after the other by golden sections.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics.libm import exp, log

__all__ = ["learn_scales", "start_scales"]

LOW, HIGH = math.log(1e-3), math.log(10.0)
"""Limits of ln S."""
GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
TOLERANCE = 0.01
ROUNDS = 3


def start_scales(effects: np.ndarray) -> np.ndarray:
    """Start from half of the median absolute estimate.

    Parameters
    ----------
    effects : ndarray (feature, coefficient)

    Returns
    -------
    ndarray (coefficient,)
    """
    return np.asarray(np.clip(0.5 * np.nanmedian(np.abs(effects), axis=0), 0.02, 2.0))


def learn_scales(effects: np.ndarray, log_weights: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Maximize the marginal likelihood over the scales.

    Parameters
    ----------
    effects : ndarray (feature, draw, coefficient)
        Draws of the tested coefficients, natural log.
    log_weights : ndarray (feature, draw)
        Without their priors.
    scales : ndarray (coefficient,)
        Starts.

    Returns
    -------
    ndarray (coefficient,)
    """
    scales = scales.copy()
    usable = np.isfinite(log_weights).any(axis=1)
    effects, log_weights = effects[usable], log_weights[usable]
    largest = log_weights.max(axis=1, keepdims=True)
    priors = [_log_cauchy(effects[..., k], scale) for k, scale in enumerate(scales)]
    for _ in range(ROUNDS if scales.size > 1 else 1):
        for k in range(scales.size):
            others = log_weights - largest + sum(priors[:k] + priors[k + 1 :], np.zeros(()))
            best = _golden(effects[..., k], others)
            scales[k], priors[k] = best, _log_cauchy(effects[..., k], best)
    return scales


def _log_cauchy(effects: np.ndarray, scale: float) -> np.ndarray:
    """Log density but for a constant."""
    return np.asarray(-log(1.0 + np.square(effects / scale)) - math.log(scale))


def _golden(effects: np.ndarray, others: np.ndarray) -> float:
    """Maximize over one scale by golden sections of its logarithm."""

    def value(log_scale: float) -> float:
        mean = exp(others + _log_cauchy(effects, math.exp(log_scale))).mean(axis=1)
        return float(log(np.maximum(mean, 1e-300)).sum())

    low, high = LOW, HIGH
    inner, outer = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_inner, at_outer = value(inner), value(outer)
    while high - low > TOLERANCE:
        if at_inner < at_outer:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + GOLDEN * (high - low)
            at_outer = value(outer)
        else:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - GOLDEN * (high - low)
            at_inner = value(inner)
    return math.exp(0.5 * (low + high))
