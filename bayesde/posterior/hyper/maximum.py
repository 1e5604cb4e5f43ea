"""The mode of the hyperparameters' posterior, and its curvature there.

Steps take the outer product of the genes' scores for curvature (Berndt, Hall, Hall and Hausman 1974), or with
few genes the Hessian.
"""

from __future__ import annotations

import numpy as np

from bayesde.errors import FitError
from bayesde.numerics.small_matrices import cholesky, inverse, products, solve
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood

__all__ = ["covariance_at", "curvature_sd", "maximize"]

MAX_STEPS = 200
MANY_STEPS = 8
"""Thousands of genes take fewer. The outer product of the scores of a few genes is a poor curvature, and from
here on the Hessian takes its place."""
FLAT = 1e-3
"""Half the squared Newton decrement, in log density, at which the maximum counts as reached."""
OVERSHOT = 0.5
"""Slope beyond the maximum along a step, over that at its start, from which the step is shortened: where the
scores' products are half the curvature, steps would go to and fro."""
LARGEST_MOVE = 1.0
"""Of any logarithm in one step."""
DIFFERENCE = 1e-3
"""Step of the finite differences of the score."""
CURVED_GENES = 4000
"""Of more genes, so many give the curvature of all to a few percent: enough for proposals and steps."""
MORE_CURVED_GENES = 6000
"""The same where laws of effects have hyperparameters of their own: of many axes, errors add up."""


def maximize(likelihood: MarginalLikelihood, psi: np.ndarray) -> np.ndarray:
    """Find the maximum of the hyperparameters' posterior density.

    Parameters
    ----------
    likelihood : MarginalLikelihood
    psi : ndarray (hyperparameter,)
        Where to start.

    Returns
    -------
    ndarray (hyperparameter,)

    Raises
    ------
    FitError
        If it is not reached.
    """
    value, gradient, scores = likelihood.evaluate(psi)
    for number in range(MAX_STEPS):
        curvature = (
            _of_scores(likelihood, psi, scores) if number < MANY_STEPS else _information(likelihood, psi)
        )
        step = solve(curvature, gradient)
        if step is None:
            raise FitError(
                "the marginal likelihood of the hyperparameters is flat or not finite: "
                "these genes say too little of them."
            )
        slope = float((gradient * step).sum())
        if 0.5 * slope < FLAT:
            return psi
        length = min(1.0, LARGEST_MOVE / float(np.abs(step).max()))
        while True:
            trial = likelihood.evaluate(psi + length * step)
            ahead = float((trial[1] * step).sum())
            higher = trial[0] > value + 1e-4 * length * slope
            if higher and ahead > -OVERSHOT * slope:
                break
            length *= slope / (slope - ahead) if higher else 0.5
            if length < 1e-8:
                raise FitError(
                    "no maximum of the marginal likelihood of the hyperparameters was found: "
                    "these genes say too little of them."
                )
        psi = psi + length * step
        value, gradient, scores = trial
    raise FitError(f"the hyperparameters did not converge in {MAX_STEPS} steps.")


def _information(likelihood: MarginalLikelihood, center: np.ndarray) -> np.ndarray:
    """Return the negative Hessian by differences of the gradient; if not definite, the scores' products."""
    cauchy = all(family == "cauchy" for family in likelihood.space.families)
    some, size = likelihood.spread(CURVED_GENES if cauchy else MORE_CURVED_GENES), center.size
    hessian = np.empty((size, size))
    for i in range(size):
        shift = np.zeros(size)
        shift[i] = DIFFERENCE
        hessian[i] = (some.evaluate(center + shift)[2] - some.evaluate(center - shift)[2]).sum(axis=0)
    hessian *= likelihood.base_mean.size / some.base_mean.size
    information = -0.25 * (hessian + hessian.T) / DIFFERENCE
    information += np.diag(likelihood.space.log_prior(center)[2])
    if cholesky(information) is not None:
        return information
    _, _, scores = likelihood.evaluate(center)
    return _of_scores(likelihood, center, scores)


def covariance_at(likelihood: MarginalLikelihood, center: np.ndarray) -> np.ndarray:
    """Return the covariance matrix that the curvature at a maximum implies.

    Parameters
    ----------
    likelihood : MarginalLikelihood
    center : ndarray (hyperparameter,)
        The maximum, psi.

    Returns
    -------
    ndarray (hyperparameter, hyperparameter)

    Raises
    ------
    FitError
        If the curvature is not definite.
    """
    covariance = inverse(_information(likelihood, center))
    if covariance is None:
        raise FitError(
            "the marginal likelihood of the hyperparameters has no curvature: "
            "these genes say too little of them."
        )
    return covariance


def curvature_sd(likelihood: MarginalLikelihood, psi: np.ndarray) -> np.ndarray:
    """Return the standard deviations that the curvature at a maximum implies.

    Parameters
    ----------
    likelihood : MarginalLikelihood
    psi : ndarray (hyperparameter,)
        The maximum.

    Returns
    -------
    ndarray (hyperparameter,)
    """
    return np.asarray(np.sqrt(np.diag(covariance_at(likelihood, psi))))


def _of_scores(likelihood: MarginalLikelihood, psi: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the information as the outer product of the genes' scores, and of the prior."""
    return np.asarray(products(scores) + np.diag(likelihood.space.log_prior(psi)[2]))
