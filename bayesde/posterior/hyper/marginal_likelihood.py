r"""The hyperparameters' posterior, and the genes' with them integrated out, from one set of draws.

With draws theta_gm of every gene and r_gm = p(y_g | theta_gm) / q_g(theta_gm), both independent of the
hyperparameters phi = (S_k, sigma, a0, a1[, nu]), the marginal likelihood is estimated for any phi by

    p(y_g | phi) = mean_m w_gm(phi),    w_gm(phi) = r_gm p(theta_gm | phi),
    ln p(phi | y) = sum_g ln p(y_g | phi) + ln p(phi) + constant,

and its gradient (Fisher's identity) by sum_g sum_m [w_gm / sum_m w_gm] d ln p(theta_gm | phi) / d phi. All
work is done in psi, the logarithms of phi (of nu - 2 for nu), where posteriors are close to normal, under the
priors of `bayesde.model.priors`.

The maximum is found by steps with the outer product of the genes' scores for curvature (Berndt, Hall, Hall
and Hausman 1974), or with few genes the Hessian. There a Student-t distribution with the curvature of the
surface is the proposal of phi; its points, weighted by it, stand for the posterior of phi, and a
gene's weights are averaged over them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtri, log1p, ndtri

from bayesde.errors import FitError
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.numerics.elementary import exponentials
from bayesde.numerics.resampling import systematic
from bayesde.numerics.small_matrices import (
    cholesky,
    inverse,
    products,
    solve,
    weighted_mean,
    weighted_products,
)
from bayesde.numerics.threads import over_genes
from bayesde.posterior.draws.pareto_smoothing import smoothed
from bayesde.posterior.hyper.evidence_kernels import (
    HyperPriors,
    average_weights,
    fill_evidence,
    fill_highest,
    fill_moments,
    log_height,
    log_height_slope,
)
from bayesde.posterior.proposal.drawing import ProposalDraws

__all__ = [
    "HyperparameterPosterior",
    "MarginalLikelihood",
    "curvature_sd",
    "gene_weights",
    "hyper_posterior",
    "maximize",
    "relative",
]

LARGEST_LOG_RATIO = 600.0
"""Beyond, the exponential would come near to overflow; such draws have no prior to speak of."""
MAX_STEPS = 60
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
"""Of more genes, some tell the curvature of all to a few percent: it serves proposals and steps only."""
POINT_DF = 7.0
REFINEMENTS, ENOUGH, MANY_POINTS = 2, 0.6, 100
"""With few genes the posterior is no Student-t distribution: with fewer effective points than this share it
is proposed anew with the mean and covariance of the weighted points, if they are many."""
FEWEST_FOR_K = 25
"""Points below which the tail of their weights is too short for a Pareto k."""


@dataclass(frozen=True, eq=False)
class MarginalLikelihood:
    """ln p(phi | y) up to a constant, from draws.

    Attributes
    ----------
    space : HyperparameterSpace
    base_mean : ndarray (gene,)
    theta : ndarray of float32 (gene, draw, P + 1)
        There may be room for more draws than `log_ratio` has; what is in it is not read.
    log_ratio : ndarray of float32 (gene, draw)
        ln p(y | theta) - ln q(theta), less `highest`.
    highest : ndarray (gene,)
        Its value at the draw of largest weight.
    """

    space: HyperparameterSpace
    base_mean: np.ndarray
    theta: np.ndarray
    log_ratio: np.ndarray
    highest: np.ndarray

    @classmethod
    def of(
        cls, space: HyperparameterSpace, model: ConditionalModel, draws: ProposalDraws
    ) -> MarginalLikelihood:
        """Make the marginal likelihood from draws of every gene."""
        highest, priors = np.empty(model.n_genes), HyperPriors(_columns(space), *_parts_of(model))
        over_genes(fill_highest, model.n_genes, draws.theta, priors, draws.log_ratio, highest)
        return cls(space, model.base_mean, draws.theta, relative(draws.log_ratio, highest), highest)

    @property
    def n_draws(self) -> int:
        """Number of draws of each gene."""
        return int(self.log_ratio.shape[1])

    def spread(self, most: int) -> MarginalLikelihood:
        """Take at most so many genes, evenly by base mean."""
        if self.base_mean.size <= most:
            return self
        order = np.argsort(self.base_mean, kind="stable")  # ties the same with every NumPy and processor
        taken = order[np.linspace(0, order.size - 1, most).astype(int)]
        return MarginalLikelihood(
            self.space,
            self.base_mean[taken],
            self.theta[taken, : self.n_draws],
            self.log_ratio[taken],
            self.highest[taken],
        )

    def evaluate(self, psi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the log density of psi, its gradient, and the genes' scores (gene, hyperparameter)."""
        scale, trend, sd, nu = self.space.parts(self.space.phi(psi), self.base_mean)
        n = len(self.space.shrunken)
        log_evidence, moments = np.empty(trend.size), np.empty((trend.size, n + 3))
        priors = HyperPriors(_columns(self.space), scale, trend, sd, nu)
        over_genes(fill_moments, trend.size, self.theta, self.log_ratio, priors, log_evidence, moments)
        value, gradient, _ = self.space.log_prior(psi)
        log_evidence += log_height(scale, sd, nu)
        scores = self._scores(psi, trend, moments, nu)
        return float(log_evidence.sum()) + value, gradient + scores.sum(axis=0), scores

    def _scores(self, psi: np.ndarray, trend: np.ndarray, moments: np.ndarray, nu: float) -> np.ndarray:
        """Turn derivatives by ln S_k, ln sigma, the log trend and nu into those by psi."""
        n, scale_of = len(self.space.shrunken), np.array(self.space.scale_of, dtype=int)
        columns = [
            moments[:, :n][:, scale_of == i].sum(axis=1, keepdims=True) for i in range(self.space.n_scales)
        ]
        columns.append(moments[:, n : n + 1])
        share = exponentials(psi[self.space.n_scales + 1] - trend)[:, None]  # of a0 in the trend
        columns.append(moments[:, n + 1 : n + 2] * share)
        if self.space.trend:
            columns.append(moments[:, n + 1 : n + 2] * (1.0 - share))
        if self.space.student_t:
            columns.append((moments[:, n + 2 :] + log_height_slope(nu)) * (nu - 2.0))
        return np.hstack(columns)

    def log_posterior(self, psi: np.ndarray) -> np.ndarray:
        """Return only the log density of psi (..., hyperparameter)."""
        points = np.atleast_2d(psi)
        scale, trend, sd, nu = _parts_at(self.space, self.space.phi(points), self.base_mean)
        evidence, priors = np.empty(trend.shape), HyperPriors(_columns(self.space), scale, trend, sd, nu)
        over_genes(fill_evidence, trend.shape[1], self.theta, self.log_ratio, priors, evidence)
        heights = [log_height(*part) for part in zip(scale, sd.tolist(), nu.tolist(), strict=True)]
        value = evidence.sum(axis=1) + self.base_mean.size * np.array(heights)
        value += [self.space.log_prior(point)[0] for point in points]
        return np.asarray(value.reshape(np.shape(psi)[:-1]))


def relative(log_ratio: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """Take the value at the draw of largest weight off: for what is left, single precision is enough.

    Parameters
    ----------
    log_ratio : ndarray (gene, draw)
        Of those draws or of others.
    highest : ndarray (gene,)

    Returns
    -------
    ndarray of float32 (gene, draw)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return np.minimum(log_ratio - highest[:, None], LARGEST_LOG_RATIO).astype(np.float32)


@dataclass(frozen=True, eq=False)
class HyperparameterPosterior:
    """Weighted points of the hyperparameters.

    Attributes
    ----------
    space : HyperparameterSpace
    phi : ndarray (point, hyperparameter)
    weight : ndarray (point,)
        Adding up to 1.
    """

    space: HyperparameterSpace
    phi: np.ndarray
    weight: np.ndarray

    @classmethod
    def fixed(cls, space: HyperparameterSpace, hyper: Hyperparameters, most: int) -> HyperparameterPosterior:
        """Take given values, or evenly at most so many of their draws."""
        phi = space.values(hyper)
        phi = phi[np.linspace(0, len(phi) - 1, min(len(phi), most)).astype(int)]
        return cls(space, phi, np.full(len(phi), 1.0 / len(phi)))

    @property
    def effective_size(self) -> float:
        """Effective number of points."""
        return float(1.0 / np.sum(self.weight**2))

    @property
    def checks(self) -> dict[str, float]:
        """Number of points, how many effective ones they are worth, and their Pareto k where it is known."""
        found = {"points": float(self.weight.size), "effective_points": self.effective_size}
        if self.weight.size >= FEWEST_FOR_K and np.ptp(self.weight) > 0.0:
            pareto_k = float(smoothed(self.weight[None])[1][0])
            found |= {"pareto_k": pareto_k} if math.isfinite(pareto_k) else {}
        return found

    def thinned(self, size: int) -> HyperparameterPosterior:
        """Take fewer points, of equal weight, by systematic resampling."""
        taken = systematic(np.cumsum(self.weight), size, 0.5)
        return HyperparameterPosterior(self.space, self.phi[taken], np.full(size, 1.0 / size))

    def summary(self, rng: np.random.Generator) -> Hyperparameters:
        """Return posterior means, standard deviations and draws of equal weight."""
        mean = weighted_mean(self.weight, self.phi)
        sd = np.sqrt(weighted_mean(self.weight, (self.phi - mean) ** 2))
        taken = systematic(np.cumsum(self.weight), self.weight.size, rng.random())
        drawn = self.phi[rng.permutation(taken)]
        return replace(
            self.space.hyperparameters(mean),
            sd={name: float(value) for name, value in self.space.table(sd).items()},
            draws=self.space.table(drawn),
            checks=self.checks,
        )


def maximize(likelihood: MarginalLikelihood, psi: np.ndarray) -> np.ndarray:
    """Find the maximum of the marginal posterior.

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
            raise FitError("the marginal likelihood of the hyperparameters is flat, or no number.")
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
                    "the marginal likelihood of the hyperparameters has no maximum that can be found."
                )
        psi = psi + length * step
        value, gradient, scores = trial
    raise FitError(f"the hyperparameters did not converge in {MAX_STEPS} steps.")


def hyper_posterior(
    likelihood: MarginalLikelihood, center: np.ndarray, n_points: int, rng: np.random.Generator
) -> HyperparameterPosterior:
    """Sample the posterior of the hyperparameters by importance, from a Student-t around its mode or mean.

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
    psi, points = _points(likelihood, center, _covariance(likelihood, center), n_points, rng)
    for _ in range(REFINEMENTS):
        if n_points < MANY_POINTS or points.effective_size >= ENOUGH * n_points:
            break
        mean = weighted_mean(points.weight, psi)
        again = _points(likelihood, mean, weighted_products(points.weight, psi - mean), n_points, rng)
        if again[1].effective_size > points.effective_size:
            psi, points = again
    return points


def _points(
    likelihood: MarginalLikelihood,
    center: np.ndarray,
    covariance: np.ndarray,
    n_points: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, HyperparameterPosterior]:
    """Draw points psi (point, hyperparameter) from a Student-t distribution, and weigh them.

    By a Latin hypercube (McKay, Beckman and Conover 1979, Technometrics 21:239), so that the few points of
    many genes lie evenly along every axis, and in pairs, of which errors of the mean cancel.
    """
    half = (n_points + 1) // 2
    strata = rng.permuted(np.tile(np.arange(half), (center.size + 1, 1)), axis=1)
    levels = (strata + rng.random(strata.shape)) / half
    z = ndtri(levels[:-1]) * np.sqrt(POINT_DF / chdtri(POINT_DF, levels[-1]))
    z = np.concatenate([z.T, -z.T])[:n_points]
    root = cholesky(covariance)
    if root is None:
        raise FitError(
            "the hyperparameters have no spread that can be found: these genes say too little of them."
        )
    psi = center + (z[:, None, :] * root).sum(axis=2)
    log_weight = likelihood.log_posterior(psi)
    log_weight += 0.5 * (POINT_DF + center.size) * log1p((z**2).sum(axis=1) / POINT_DF)
    weight = exponentials(log_weight - log_weight.max())
    return psi, HyperparameterPosterior(likelihood.space, likelihood.space.phi(psi), weight / weight.sum())


def _information(likelihood: MarginalLikelihood, center: np.ndarray) -> np.ndarray:
    """Return the negative Hessian by differences of the gradient; if not definite, the scores' products."""
    some, size = likelihood.spread(CURVED_GENES), center.size
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


def _covariance(likelihood: MarginalLikelihood, center: np.ndarray) -> np.ndarray:
    """Return the inverse of the information."""
    covariance = inverse(_information(likelihood, center))
    if covariance is None:
        raise FitError("the hyperparameters have no curvature that can be found: these genes say too little.")
    return covariance


def curvature_sd(likelihood: MarginalLikelihood, psi: np.ndarray) -> np.ndarray:
    """Return the standard deviations (hyperparameter,) that the curvature at psi, a maximum, tells."""
    return np.asarray(np.sqrt(np.diag(_covariance(likelihood, psi))))


def _of_scores(likelihood: MarginalLikelihood, psi: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the information as the outer product of the genes' scores, and of the prior."""
    return np.asarray(products(scores) + np.diag(likelihood.space.log_prior(psi)[2]))


def gene_weights(
    space: HyperparameterSpace,
    base_mean: np.ndarray,
    theta: np.ndarray,
    log_ratio: np.ndarray,
    points: HyperparameterPosterior,
) -> np.ndarray:
    """Average every gene's normalized weights over the points of the hyperparameters.

    Parameters
    ----------
    space : HyperparameterSpace
    base_mean : ndarray (gene,)
    theta : ndarray of float32 (gene, draw, P + 1)
    log_ratio : ndarray (gene, draw)
        As `MarginalLikelihood` has it.
    points : HyperparameterPosterior

    Returns
    -------
    ndarray (gene, draw)
        Each gene's add up to 1.
    """
    priors = HyperPriors(_columns(space), *_parts_at(space, points.phi, base_mean))
    weights = np.empty(log_ratio.shape)
    over_genes(average_weights, log_ratio.shape[0], theta, log_ratio, priors, points.weight, weights)
    return weights


def _parts_at(
    space: HyperparameterSpace, phi: np.ndarray, base_mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return scales (point, shrunken), log trend (point, gene), sigma and nu (point,)."""
    scale, trend, sd, nu = zip(*(space.parts(point, base_mean) for point in phi), strict=True)
    return np.stack(scale), np.stack(trend), np.array(sd), np.array(nu)


def _columns(space: HyperparameterSpace) -> np.ndarray:
    return np.array(space.shrunken, dtype=np.int64)


def _parts_of(model: ConditionalModel) -> tuple[np.ndarray, np.ndarray, float, float]:
    return model.shrinkage_scale[model.shrunken], model.log_trend, model.dispersion_sd, model.nu
