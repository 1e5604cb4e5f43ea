r"""Coordinates in which the random effects of levels are sampled.

The Stan programs sample theta = (beta, ln tau, ln alpha) and, unlike engine psis, the effect u of every
level. Given theta, u has the prior Normal(0, tau^2), and a likelihood that is like a normal density. With the
derivatives of the log likelihood by a sample's log mean, s_j the first and -w_j the second one, at the modes
of theta and of u given theta, that has the precision and the mean

    W = sum_j c_j^2 w_j,    (h - a . (beta - mode)) / W,    h = W u^ + sum_j c_j s_j,    a = sum_j c_j w_j x_j

over the samples j of the level, with the covariate c (1 for an intercept). So with v = 1 / (W + 1 / tau^2),

    u = v (h - a . (beta - mode)) + sqrt(v) z,

and z is nearly standard normal whatever theta is: between centered (W large) and non-centered (W = 0), for
each level as its counts want it (Papaspiliopoulos, Roberts and Skoeld 2007, doi:10.1214/088342307000000014).
Any W, h and a give the same posterior.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.numerics.elementary import exponentials

__all__ = ["LevelCoordinates", "errors_with_random_effects", "level_coordinates"]

STEPS, LARGEST_STEP = 40, 2.0
"""Of the search for the modes of u, natural log."""
LOWEST_LOG_SD, HIGHEST_LOG_SD = -10.0, 3.0
"""Standard deviations are kept between these in the search."""
LARGEST_ETA = 700.0
BY_GENE = ("precision", "precision_times_mean", "by_coefficient", "sd_precision", "sd_precision_times_mean")


@dataclass(frozen=True, eq=False)
class LevelCoordinates:
    """Random effects, and the coordinates in which their levels are sampled.

    Attributes
    ----------
    terms : tuple of (ndarray of int (sample,), ndarray (sample,))
        Of every random effect, which level a sample has, counted from 0, and the covariate.
    precision, precision_times_mean : ndarray (gene, level)
        W and h, of the levels of all random effects, one after the other.
    by_coefficient : ndarray (gene, level, fixed coefficient)
        a.
    sd_precision, sd_precision_times_mean : ndarray (gene, random effect)
        Of noncentered log standard deviations: precision, and precision times mean, of a normal density that
        the counts' is like; 0 for none.
    """

    terms: tuple[tuple[np.ndarray, np.ndarray], ...]
    precision: np.ndarray
    precision_times_mean: np.ndarray
    by_coefficient: np.ndarray
    sd_precision: np.ndarray
    sd_precision_times_mean: np.ndarray

    @property
    def n_levels(self) -> int:
        """Number of levels of all random effects."""
        return int(self.precision.shape[1])

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What draws depend on: arrays with genes first."""
        return tuple(getattr(self, name) for name in BY_GENE)

    @property
    def shared_arrays(self) -> tuple[np.ndarray, ...]:
        """What draws depend on: arrays that all genes have in common."""
        return tuple(part for term in self.terms for part in term)

    def genes(self, rows: np.ndarray) -> LevelCoordinates:
        """Take some of the genes.

        Parameters
        ----------
        rows : ndarray of int
            Positions.
        """
        return replace(self, **{name: getattr(self, name)[rows] for name in BY_GENE})

    def data(self) -> dict[str, Any]:
        """Return the data of both programs (stan/data/random_effects.stan)."""
        return {
            "R": len(self.terms),
            "n_levels": [int(level.max()) + 1 for level, _ in self.terms],
            "level": [(level + 1).tolist() for level, _ in self.terms],
            "covariate": [covariate.tolist() for _, covariate in self.terms],
            "L": self.n_levels,
            "level_precision": self.precision.tolist(),
            "level_precision_times_mean": self.precision_times_mean.tolist(),
            "level_by_coefficient": self.by_coefficient.tolist(),
            "random_sd_precision": self.sd_precision.tolist(),
            "random_sd_precision_times_mean": self.sd_precision_times_mean.tolist(),
        }


NO_DATA: dict[str, Any] = {
    "R": 0,
    "n_levels": [],
    "level": [],
    "covariate": [],
    "L": 0,
    "level_precision": [],
    "level_precision_times_mean": [],
    "level_by_coefficient": [],
    "random_sd_precision": [],
    "random_sd_precision_times_mean": [],
}
"""Data of the programs where there are no random effects."""


def level_coordinates(model: ConditionalModel, location: np.ndarray) -> LevelCoordinates | None:
    """Choose the coordinates of the levels by what the counts say of each at a gene's mode.

    Parameters
    ----------
    model : ConditionalModel
    location : ndarray (gene, P + 1)
        Each gene's mode: coefficients, log standard deviations of random effects, log dispersion.

    Returns
    -------
    LevelCoordinates or None
        None if there are no random effects. Log standard deviations are centered.
    """
    terms = _terms(model)
    if not terms:
        return None
    x = model.x[:, model.is_fixed]
    columns = np.hstack(list(_indicators(terms)))
    eta = model.log_nf + location[:, : x.shape[1]] @ x.T
    u, score, weight = _modes_of_levels(model, location, eta, terms)
    precision = weight @ columns**2
    by_coefficient = (columns.T[None] * weight[:, None, :]) @ x
    none = np.zeros((model.n_genes, len(terms)))
    mean = precision * u + score @ columns
    return LevelCoordinates(terms, precision, mean, by_coefficient, none, none)


def _terms(model: ConditionalModel) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return the levels of the samples, and the covariate, of every random effect."""
    if model.random is None:
        return ()
    groups = model.random.groups
    z = groups.terms.z if groups.has_terms else np.ones((groups.level.size, 1))
    return tuple(
        (level.copy(), covariate.copy()) for level, covariate in zip(groups.levels.T, z.T, strict=True)
    )


def _indicators(terms: tuple[tuple[np.ndarray, np.ndarray], ...]) -> Iterator[np.ndarray]:
    """Yield the columns (sample, level) of every random effect."""
    for level, covariate in terms:
        yield (level[:, None] == np.arange(level.max() + 1)) * covariate[:, None]


def _log_sds(model: ConditionalModel, location: np.ndarray) -> np.ndarray:
    """Return the log standard deviations (gene, random effect) at the modes, within bounds."""
    return np.clip(location[:, :-1][:, ~model.is_fixed], LOWEST_LOG_SD, HIGHEST_LOG_SD)


def _modes_of_levels(
    model: ConditionalModel,
    location: np.ndarray,
    eta: np.ndarray,
    terms: tuple[tuple[np.ndarray, np.ndarray], ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the modes of u (gene, level) given theta, and derivatives by log means there.

    By Newton's method, for one random effect after the other where there are several.
    """
    every = list(_indicators(terms))
    prior = exponentials(-2.0 * _log_sds(model, location))
    effects = [np.zeros((model.n_genes, columns.shape[1])) for columns in every]
    for _ in range(STEPS):
        for r, columns in enumerate(every):
            score, weight = _derivatives(model, location, eta, effects, every)
            slope = score @ columns - prior[:, [r]] * effects[r]
            step = slope / (weight @ columns**2 + prior[:, [r]])
            effects[r] = effects[r] + np.clip(step, -LARGEST_STEP, LARGEST_STEP)
    return np.hstack(effects), *_derivatives(model, location, eta, effects, every)


def _derivatives(
    model: ConditionalModel,
    location: np.ndarray,
    eta: np.ndarray,
    effects: list[np.ndarray],
    every: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first derivative and minus the second (gene, sample) by a sample's log mean."""
    moved = eta + sum(u @ columns.T for u, columns in zip(effects, every, strict=True))
    mu, r = exponentials(np.clip(moved, -LARGEST_ETA, LARGEST_ETA)), exponentials(-location[:, [-1]])
    share = r / (mu + r)
    return share * (model.y - mu), share * mu * ((model.y + r) / (mu + r))


def errors_with_random_effects(
    model: ConditionalModel, location: np.ndarray, beta_se: np.ndarray
) -> np.ndarray:
    """Return standard errors of fixed effects that allow for random effects.

    Least squares with the weights of the samples without random effects; the estimates' variance is that
    without them, and what the random effects add.

    Parameters
    ----------
    model : ConditionalModel
    location : ndarray (gene, P + 1)
        Each gene's mode.
    beta_se : ndarray (gene, fixed coefficient)
        Standard errors without random effects, natural log.

    Returns
    -------
    ndarray (gene, fixed coefficient)
        `beta_se` itself if there are none.
    """
    terms = _terms(model)
    if not terms:
        return beta_se
    x = model.x[:, model.is_fixed]
    mu = exponentials(np.clip(model.log_nf + location[:, : x.shape[1]] @ x.T, -LARGEST_ETA, LARGEST_ETA))
    weighted = x.T[None] * (mu / (1.0 + mu * exponentials(location[:, [-1]])))[:, None, :]
    estimator = np.linalg.pinv(weighted @ x, hermitian=True) @ weighted  # (gene, coefficient, sample)
    variance = exponentials(2.0 * _log_sds(model, location))
    added = sum(
        variance[:, [r]] * ((estimator @ columns) ** 2).sum(axis=2)
        for r, columns in enumerate(_indicators(terms))
    )
    return np.asarray(np.sqrt(beta_se**2 + added))
