r"""Adaptive shrinkage: a mixture of normal distributions as the common prior of all effects.

    b_g | beta_g ~ Normal(beta_g, s_g^2),     beta_g ~ sum_k pi_k Normal(0, sigma_k^2)

with sigma_k on a grid of factors sqrt(2), from a tenth of the smallest standard error to twice the largest
effect that the errors do not explain, and the weights pi by maximum likelihood (Stephens 2017, Biostatistics
18:275, doi:10.1093/biostatistics/kxw041; "normal" mixture without a point mass at zero, no prior on pi).

``mixture_weights`` finds them. In any unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from bayesde.eb.shrinkage.mixture_weights import maximum_likelihood_weights
from bayesde.errors import FitError
from bayesde.numerics.libm import exp, log

__all__ = ["AshPosterior", "NormalMixture", "fit_mixture", "scale_grid"]

GRID_FACTOR = math.sqrt(2.0)
NO_LIKELIHOOD = 1e-100
"""Relative to a gene's best component; the squares of smaller numbers are slow to compute with."""
QUANTILE_STEPS = 60
QUANTILE_TOLERANCE = 1e-10
ROOT_TWO_PI = math.sqrt(2.0 * math.pi)
PIECE = 8192
"""Number of genes whose densities are computed at a time."""


@dataclass(frozen=True)
class AshPosterior:
    """Posterior of effects under a normal mixture: a mixture itself.

    Attributes
    ----------
    share, mean, sd : ndarray (gene, component)
        Weight, mean and standard deviation of each component.
    """

    share: np.ndarray
    mean: np.ndarray
    sd: np.ndarray

    @property
    def effect(self) -> np.ndarray:
        """Posterior means (gene,)."""
        return np.asarray((self.share * self.mean).sum(axis=1))

    @property
    def effect_sd(self) -> np.ndarray:
        """Posterior standard deviations (gene,)."""
        deviation = self.mean - self.effect[:, None]
        return np.asarray(np.sqrt((self.share * (self.sd**2 + deviation**2)).sum(axis=1)))

    def probability_below(self, point: np.ndarray | float) -> np.ndarray:
        """Probability (gene,) that the effect is below a point, one for all or (gene,).

        Parameters
        ----------
        point : float or ndarray (gene,)
            Natural log.

        Returns
        -------
        ndarray (gene,)
        """
        point = np.broadcast_to(point, len(self.mean))[:, None]
        return np.asarray((self.share * ndtr((point - self.mean) / self.sd)).sum(axis=1))

    def probability_above(self, point: np.ndarray | float) -> np.ndarray:
        """Probability (gene,) that the effect is above a point, one for all or (gene,).

        Parameters
        ----------
        point : float or ndarray (gene,)
            Natural log.

        Returns
        -------
        ndarray (gene,)
        """
        point = np.broadcast_to(point, len(self.mean))[:, None]
        return np.asarray((self.share * ndtr((self.mean - point) / self.sd)).sum(axis=1))

    def quantile(self, probability: float) -> np.ndarray:
        """Point (gene,) below which the effect is with a probability: Newton steps within a bracket.

        The quantile of a mixture is between those of its components.

        Parameters
        ----------
        probability : float
            Between 0 and 1.

        Returns
        -------
        ndarray (gene,)
            Natural log.
        """
        components = self.mean + ndtri(probability) * self.sd
        low, high = components.min(axis=1), components.max(axis=1)
        point, scale = (self.share * components).sum(axis=1), self.effect_sd
        left = np.arange(len(point))
        for _ in range(QUANTILE_STEPS):
            standard = (point[left, None] - self.mean[left]) / self.sd[left]
            excess = (self.share[left] * ndtr(standard)).sum(axis=1) - probability
            density = (self.share[left] / self.sd[left] * exp(-0.5 * standard**2)).sum(axis=1)
            low[left] = np.where(excess < 0.0, point[left], low[left])
            high[left] = np.where(excess < 0.0, high[left], point[left])
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                new = point[left] - excess / density * ROOT_TWO_PI
            inside = (new > low[left]) & (new < high[left])
            new = np.where(inside, new, 0.5 * (low[left] + high[left]))
            moved = np.abs(new - point[left]) > QUANTILE_TOLERANCE * scale[left]
            point[left] = new
            left = left[moved]
            if not left.size:
                break
        return np.asarray(point)


@dataclass(frozen=True)
class NormalMixture:
    """A mixture of normal distributions around zero.

    Attributes
    ----------
    weight, sd : ndarray (component,)
    """

    weight: np.ndarray
    sd: np.ndarray

    def posterior(self, effect: np.ndarray, error: np.ndarray) -> AshPosterior:
        """Return the posterior of effects (gene,) with standard errors (gene,), NaN where these are NaN.

        Parameters
        ----------
        effect, error : ndarray (gene,)
            Estimates and standard errors, natural log.

        Returns
        -------
        AshPosterior
        """
        used = self.weight > 0.0
        variance = self.sd[used] ** 2
        square = error[:, None] ** 2
        keep = variance / (variance + square)
        log_share = log(self.weight[used]) + _log_densities(effect, error, self.sd[used])
        share = exp(log_share - log_share.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        return AshPosterior(share, keep * effect[:, None], np.sqrt(keep * square))


def _log_densities(effect: np.ndarray, error: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Log density (gene, component), up to a constant, of effects under each component and their errors."""
    variance = sd**2 + error[:, None] ** 2
    return np.asarray(-0.5 * (effect[:, None] ** 2 / variance + log(variance)))


def scale_grid(effect: np.ndarray, error: np.ndarray, smallest: float) -> np.ndarray:
    """Return standard deviations of a mixture's components: by factors sqrt(2) to twice the largest excess.

    Parameters
    ----------
    effect, error : ndarray (gene,)
        Estimates and standard errors, natural log.
    smallest : float
        What none is much below.

    Returns
    -------
    ndarray (component,)
        Smallest first.
    """
    excess = float(np.max(effect**2 - error**2))
    largest = 2.0 * math.sqrt(excess) if excess > 0.0 else 8.0 * smallest
    n_steps = math.ceil(math.log(largest / smallest) / math.log(GRID_FACTOR))
    return np.array([largest * GRID_FACTOR**step for step in range(-n_steps, 1)])


def fit_mixture(effect: np.ndarray, error: np.ndarray) -> NormalMixture:
    """Fit the common prior of all effects.

    Parameters
    ----------
    effect, error : ndarray (gene,)
        Estimates and standard errors; genes with NaN are left out.

    Returns
    -------
    NormalMixture

    Raises
    ------
    FitError
        If there is no gene with an effect and an error.
    """
    usable = np.isfinite(effect) & np.isfinite(error) & (error > 0.0)
    if not usable.any():
        raise FitError("no gene has an estimate with a standard error, so the prior cannot be estimated.")
    effect, error = effect[usable], error[usable]
    sd = scale_grid(effect, error, float(error.min()) / 10.0)
    likelihood = np.empty((effect.size, sd.size))
    for start in range(0, effect.size, PIECE):
        some = slice(start, start + PIECE)
        log_density = _log_densities(effect[some], error[some], sd)
        part = exp(log_density - log_density.max(axis=1, keepdims=True))
        likelihood[some] = np.where(part < NO_LIKELIHOOD, 0.0, part)
    return NormalMixture(maximum_likelihood_weights(likelihood), sd)
