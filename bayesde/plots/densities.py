"""Densities for plots, without `scipy.stats`, which is slow to load."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betaincinv, betaln, gammaincc, gammainccinv, gammaln, ndtri

from bayesde.model.priors import Beta, LogNormal, ShiftedGamma, ShiftedLogNormal

__all__ = ["kernel_density", "prior_density"]


def kernel_density(values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Estimate a density by normal kernels with the bandwidth of Scott (1992), n^(-1/5) times the sd.

    Parameters
    ----------
    values : ndarray (n,)
        Not all equal, and from a continuous distribution: of draws of an effect that may be exactly 0, leave
        out those that are 0, and plot their share as a line at 0.
    grid : ndarray (point,)

    Returns
    -------
    ndarray (point,)
    """
    width = values.size**-0.2 * values.std(ddof=1)
    z = (grid[:, None] - values) / width
    return np.asarray(np.exp(-0.5 * z * z).mean(axis=1) / (width * math.sqrt(2.0 * math.pi)))


def prior_density(prior: LogNormal | ShiftedGamma | Beta, x: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return the density of the logarithm under a prior, and the ends of the prior's 90 % interval.

    Parameters
    ----------
    prior : LogNormal, ShiftedGamma or Beta
    x : ndarray (point,)
        Values, not logarithms.

    Returns
    -------
    density : ndarray (point,)
    low, high : float
    """
    if isinstance(prior, LogNormal):
        above = prior.above if isinstance(prior, ShiftedLogNormal) else 0.0
        z = np.log((x - above) / prior.median) / prior.log_sd
        low, high = above + prior.median * np.exp(prior.log_sd * ndtri(np.array([0.05, 0.95])))
        height = np.exp(-0.5 * z * z) / (prior.log_sd * math.sqrt(2.0 * math.pi))
        return height * x / (x - above) if above else height, float(low), float(high)
    if isinstance(prior, Beta):
        inside = np.where((x > 0.0) & (x < 1.0), x, 0.5)
        log_density = (
            prior.a * np.log(inside) + (prior.b - 1.0) * np.log1p(-inside) - betaln(prior.a, prior.b)
        )
        low, high = betaincinv(prior.a, prior.b, np.array([0.05, 0.95]))
        return np.where(inside == x, np.exp(log_density), 0.0), float(low), float(high)
    left = gammaincc(prior.shape, prior.rate * prior.above)
    log_density = prior.shape * np.log(prior.rate * x) - prior.rate * x - gammaln(prior.shape)
    low, high = gammainccinv(prior.shape, left * np.array([0.95, 0.05])) / prior.rate
    return np.exp(log_density) / left, float(low), float(high)
