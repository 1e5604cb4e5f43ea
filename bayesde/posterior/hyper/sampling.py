"""The posterior of the hyperparameters, by importance sampling from a Student-t distribution at its mode."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import log1p

from bayesde.errors import FitError
from bayesde.model.hyperparameter_names import EFFECT_NU, PI0
from bayesde.numerics.elementary import exponentials
from bayesde.numerics.small_matrices import cholesky, weighted_mean, weighted_products
from bayesde.posterior.draws.pareto_smoothing import MAX_K
from bayesde.posterior.hyper.adaptive_sampling import sample_adaptively
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood
from bayesde.posterior.hyper.maximum import covariance_at
from bayesde.posterior.hyper.student_t_points import POINT_DF, student_t_points

__all__ = ["FEW_POINTS", "sample_hyperparameters"]

MANY_POINTS, REFINEMENTS, ENOUGH = 100, 2, 0.6
"""With few genes the posterior is no Student-t distribution: with fewer effective points than this share of
many points it is proposed anew with the mean and covariance of the weighted points. Of few points, where
fewer than `FEW_POINTS` are effective or Pareto's k is above `MAX_K`, so many more are drawn."""
FEW_POINTS = 20.0


def sample_hyperparameters(
    likelihood: MarginalLikelihood, center: np.ndarray, n_points: int, rng: np.random.Generator
) -> HyperparameterPosterior:
    """Sample the posterior of the hyperparameters by importance, from a Student-t around its mode or mean.

    Where laws of effects have degrees of freedom or probabilities of zero, by `sample_adaptively`.

    Parameters
    ----------
    likelihood : MarginalLikelihood
    center : ndarray (hyperparameter,)
        The maximum.
    n_points : int
    rng : Generator

    Returns
    -------
    HyperparameterPosterior
    """
    if {EFFECT_NU, PI0} & set(likelihood.space.kinds):
        return sample_adaptively(likelihood, center, n_points, rng)
    covariance = covariance_at(likelihood, center)
    psi, log_weight = _points(likelihood, center, covariance, n_points, rng)
    points = _weighted(likelihood, psi, log_weight)
    if n_points < MANY_POINTS:
        if points.effective_size >= min(FEW_POINTS, 0.5 * n_points) and _pareto_k(points) <= MAX_K:
            return points
        more = _points(likelihood, center, covariance, MANY_POINTS, rng)
        return _weighted(likelihood, *map(np.concatenate, zip((psi, log_weight), more, strict=True)))
    for _ in range(REFINEMENTS):
        if points.effective_size >= ENOUGH * n_points:
            break
        mean = weighted_mean(points.weight, psi)
        spread = weighted_products(points.weight, psi - mean)
        new = _points(likelihood, mean, spread, n_points, rng)
        again = _weighted(likelihood, *new)
        if again.effective_size > points.effective_size:
            psi, points = new[0], again
    return points


def _weighted(
    likelihood: MarginalLikelihood, psi: np.ndarray, log_weight: np.ndarray
) -> HyperparameterPosterior:
    """Return the posterior that points psi (point, hyperparameter) with log weights (point,) stand for."""
    weight = exponentials(log_weight - log_weight.max())
    return HyperparameterPosterior(likelihood.space, likelihood.space.phi(psi), weight / weight.sum())


def _pareto_k(points: HyperparameterPosterior) -> float:
    return points.checks.get("pareto_k", -math.inf)


def _points(
    likelihood: MarginalLikelihood,
    center: np.ndarray,
    covariance: np.ndarray,
    n_points: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw points psi (point, hyperparameter) from a Student-t distribution; return them and log weights.

    By a Latin hypercube, so that the few points of many genes lie evenly along every axis, and in pairs, of
    which errors of the mean cancel.
    """
    half = (n_points + 1) // 2
    z = student_t_points(half, center.size, rng)
    z = np.concatenate([z, -z])[:n_points]
    root = cholesky(covariance)
    if root is None:
        raise FitError(
            "the posterior of the hyperparameters has no covariance: these genes say too little of them."
        )
    psi = center + (z[:, None, :] * root).sum(axis=2)
    log_weight = likelihood.log_posterior(psi)
    log_weight += 0.5 * (POINT_DF + center.size) * log1p((z**2).sum(axis=1) / POINT_DF)
    return psi, log_weight
