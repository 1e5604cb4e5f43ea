"""Random numbers of a simulation: effects, dispersions and counts."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from bayesde.errors import BayesdeWarning, OptionError
from bayesde.simulation.options import SimulationOptions

__all__ = ["draw_counts", "draw_dispersions", "draw_effects"]

LARGEST_RATE = 2.0**52
"""No Poisson rate is above it, so that every count is below 2**53 and a double holds it."""
DISPERSION_RANGE = (1e-8, 1e8)
MIXTURE_SPREAD = 0.25


def draw_effects(
    n_genes: int,
    scales: np.ndarray,
    options: SimulationOptions,
    law_from: np.random.Generator,
    zeros_from: np.random.Generator,
) -> np.ndarray:
    """Draw effects by the inverse of their distribution function, truncated at the largest effect.

    Parameters
    ----------
    n_genes : int
    scales : numpy.ndarray, (coefficient,)
        Scale of each coefficient's effects, natural log; 0 for none.
    options : SimulationOptions
    law_from, zeros_from : numpy.random.Generator
        Streams for the effects, and for which of them are 0.

    Returns
    -------
    numpy.ndarray, (gene, coefficient)
        Natural log.
    """
    uniform = law_from.random((n_genes, scales.size))
    sign = np.where(law_from.random(uniform.shape) < 0.5, -1.0, 1.0)
    effective = zeros_from.random(uniform.shape) >= options.zero_share
    effects = np.zeros_like(uniform)
    for k in np.flatnonzero(scales):
        effects[:, k] = scales[k] * _standard_law(uniform[:, k], options.largest_effect / scales[k], options)
    if options.effects == "mixture":
        effects *= sign
    return np.where(effective, effects, 0.0)


def _standard_law(uniform: np.ndarray, limit: float, options: SimulationOptions) -> np.ndarray:
    """Return quantiles of the distribution with scale 1, truncated at plus and minus the limit."""
    if options.effects == "cauchy":
        return np.tan((2.0 * uniform - 1.0) * math.atan(limit))
    if options.effects == "mixture":
        low, high = ndtr((-limit - 1.0) / MIXTURE_SPREAD), ndtr((limit - 1.0) / MIXTURE_SPREAD)
        return 1.0 + MIXTURE_SPREAD * ndtri(low + uniform * (high - low))
    if options.effects == "normal":
        low, high = ndtr(-limit), ndtr(limit)
        return ndtri(low + uniform * (high - low))
    low, high = stdtr(options.effect_df, -limit), stdtr(options.effect_df, limit)
    return stdtrit(options.effect_df, low + uniform * (high - low))


def draw_dispersions(
    means: np.ndarray, options: SimulationOptions, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw dispersions around the trend.

    Parameters
    ----------
    means : numpy.ndarray, (gene,)
        Base means.
    options : SimulationOptions
    random : numpy.random.Generator

    Returns
    -------
    trend, dispersions : numpy.ndarray, (gene,)
        NaN where the base mean is 0; 0 where the trend is.

    Raises
    ------
    OptionError
        If a trend function returns something else than finite dispersions.
    """
    if options.residuals == "student_t":
        residuals = random.standard_t(options.nu, means.size)
    else:
        residuals = random.standard_normal(means.size)
    known = means > 0.0
    trend = np.full(means.size, np.nan)
    trend[known] = _trend_at(means[known], options.trend)
    with np.errstate(divide="ignore", over="ignore"):
        drawn = np.clip(np.exp(np.log(trend) + options.dispersion_sd * residuals), *DISPERSION_RANGE)
    return trend, np.where(trend == 0.0, 0.0, drawn)


def _trend_at(means: np.ndarray, trend: Any) -> np.ndarray:
    if not callable(trend):
        return np.asarray(trend[0] + trend[1] / means)
    values = np.asarray(trend(means), dtype=np.float64)
    if values.shape != means.shape or not (np.isfinite(values) & (values >= 0.0)).all():
        raise OptionError("the trend must return a finite dispersion of 0 or more for every base mean.")
    return values


def draw_counts(mu: np.ndarray, dispersion: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw negative binomial counts.

    Parameters
    ----------
    mu : numpy.ndarray, (gene, sample)
        Means.
    dispersion : numpy.ndarray, (gene,)
        0 or NaN for Poisson counts.
    random : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of int, (gene, sample)

    Warns
    -----
    BayesdeWarning
        If means are too large for counts below 2**53.
    """
    alpha = np.where(dispersion > 0.0, dispersion, 1.0)[:, None]
    rate = np.where(dispersion[:, None] > 0.0, random.gamma(1.0 / alpha, size=mu.shape) * alpha * mu, mu)
    beyond = rate > LARGEST_RATE
    if beyond.any():
        warnings.warn(
            f"{int(beyond.sum())} counts of {int(beyond.any(axis=1).sum())} genes would be beyond 2**52 and "
            "were drawn with a mean of 2**52: choose smaller base means, effects or dispersions.",
            BayesdeWarning,
            stacklevel=3,
        )
    return random.poisson(np.minimum(rate, LARGEST_RATE))
