r"""The posterior of the hyperparameters of learnt laws of effects, by adaptive importance sampling.

Where scale, degrees of freedom and the probability of zero are all learnt, few genes tell them apart, and
their posterior is curved and far from a Student-t distribution at its mode. So points are proposed in rounds,
each from a Student-t distribution with the weighted mean and covariance of the points so far, and all points
are weighted by the mixture of the proposals (Cornuet, Marin, Mira and Robert 2012,
doi:10.1111/j.1467-9469.2011.00756.x):

    w_i = p(psi_i | y) / sum_r (n_r / n) q_r(psi_i).

For the moments of the next proposal the weights are truncated at sqrt(n) times their mean (Ionides 2008,
doi:10.1198/106186008X320456), and the covariance is shrunken towards that of the proposal before it.

With thousands of genes the density of the points is that of some of them, evenly by base mean,

    ln p(psi | y) ~ ln p(psi) + (n / n_s) sum_{g of some} ln p(y_g | psi) + t (psi - psi^),

where t is what the gradient of all genes' log likelihood at its maximum psi^ is more than that of the middle
term (the difference estimator of Quiroz, Kohn, Villani and Tran 2019, doi:10.1080/01621459.2018.1448827, with
the curvature of the others from these genes). So the center is that of all genes, and the spread is known to
a few percent.

Probabilities are reflected at the ends of their scale (`bayesde.model.probability_scale`). A point beyond an
end is taken for its reflection, and q is the sum over a point and its reflections.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
from scipy.special import log1p, logsumexp

from bayesde.errors import FitError
from bayesde.model.hyperparameter_names import PI0, WIDE_SHARE
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.numerics.elementary import exponentials
from bayesde.numerics.small_matrices import cholesky, weighted_mean, weighted_products
from bayesde.posterior.draws.pareto_smoothing import MAX_K
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood
from bayesde.posterior.hyper.maximum import covariance_at
from bayesde.posterior.hyper.student_t_points import POINT_DF, student_t_points

__all__ = ["sample_adaptively"]

SURVEYED_GENES = 6000
"""Genes that the density of the points is computed from, at the most."""
MOST_ROUNDS, FEWEST_POINTS, POINTS_OF_A_ROUND = 8, 100, 250
"""Rounds at the most, and points in each, at the least and at the most: fewer of many genes."""
ENOUGH_POINTS = 50.0
"""Effective points at which it ends, if Pareto's k is low, too."""


@dataclass(frozen=True, eq=False)
class _Target:
    """The posterior density of the hyperparameters.

    Attributes
    ----------
    some : MarginalLikelihood
        Of the genes that it is computed from.
    times : float
        All genes over these.
    tilt, center : ndarray (hyperparameter,)
        t, and psi^.
    """

    some: MarginalLikelihood
    times: float
    tilt: np.ndarray
    center: np.ndarray

    @classmethod
    def of(cls, likelihood: MarginalLikelihood, center: np.ndarray) -> _Target:
        """Take all genes, or some."""
        some = likelihood.spread(SURVEYED_GENES)
        if some is likelihood:
            return cls(some, 1.0, np.zeros(center.size), center)
        times = likelihood.base_mean.size / some.base_mean.size
        everyone, part = (one.evaluate(center)[2].sum(axis=0) for one in (likelihood, some))
        return cls(some, times, everyone - times * part, center)

    def log_density(self, psi: np.ndarray) -> np.ndarray:
        """Return the log density at points (point, hyperparameter), up to a constant."""
        values = self.some.log_posterior(psi)
        if self.times == 1.0:
            return values
        prior = np.array([self.some.space.log_prior(point)[0] for point in psi])
        tilted = ((psi - self.center) * self.tilt).sum(axis=1)
        return np.asarray(prior + self.times * (values - prior) + tilted)


@dataclass
class _Points:
    """Points so far, and the distributions that they were drawn from.

    Attributes
    ----------
    target : _Target
    psi : ndarray (point, hyperparameter)
        Within the scales of probabilities.
    log_target : ndarray (point,)
    proposals : list of (ndarray (hyperparameter,), ndarray (hyperparameter, hyperparameter), int)
        Center, Cholesky factor of the scale matrix, and number of points.
    """

    target: _Target
    psi: np.ndarray = field(init=False)
    log_target: np.ndarray = field(init=False)
    proposals: list[tuple[np.ndarray, np.ndarray, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.psi, self.log_target = np.empty((0, self.target.center.size)), np.empty(0)

    def add(self, center: np.ndarray, root: np.ndarray, number: int, rng: np.random.Generator) -> None:
        """Draw points by a Latin hypercube, and evaluate the posterior density there."""
        psi = center + (student_t_points(number, center.size, rng)[:, None, :] * root).sum(axis=2)
        psi = _folded(psi, self.target.some.space)
        self.psi = np.concatenate([self.psi, psi])
        self.log_target = np.concatenate([self.log_target, self.target.log_density(psi)])
        self.proposals.append((center, root, number))

    @property
    def weight(self) -> np.ndarray:
        """Weights (point,), adding up to 1."""
        parts = [
            self._log_density(center, root) + math.log(number) for center, root, number in self.proposals
        ]
        logs = self.log_target - logsumexp(parts, axis=0)
        weight = exponentials(logs - logs.max())
        return np.asarray(weight / weight.sum())

    def _log_density(self, center: np.ndarray, root: np.ndarray) -> np.ndarray:
        """Return the log density of a proposal at all points, their reflections included."""
        places, size = _probabilities(self.target.some.space), center.size
        parts = []
        for ends in itertools.product((0.0, -2.0, 2.0), repeat=len(places)):
            image = self.psi.copy()
            for at, end in zip(places, ends, strict=True):
                image[:, at] = end - image[:, at] if end else image[:, at]
            z = np.linalg.solve(root, (image - center).T)
            parts.append(-0.5 * (POINT_DF + size) * log1p((z**2).sum(axis=0) / POINT_DF))
        return np.asarray(logsumexp(parts, axis=0) - np.log(np.diag(root)).sum())

    def next_proposal(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return center and Cholesky factor of the next proposal, None if there is none."""
        weight = np.minimum(self.weight, 1.0 / math.sqrt(len(self.psi)))
        weight /= weight.sum()
        center, root, _ = self.proposals[-1]
        size = 1.0 / float((weight**2).sum())
        share = size / (size + 2.0 * center.size)
        mean = weighted_mean(weight, self.psi)
        own = weighted_products(weight, self.psi - mean)
        new = cholesky(share * own + (1.0 - share) * (root @ root.T))
        return None if new is None else (mean, new)


def sample_adaptively(
    likelihood: MarginalLikelihood, center: np.ndarray, n_points: int, rng: np.random.Generator
) -> HyperparameterPosterior:
    """Sample the posterior of the hyperparameters by importance, in rounds.

    Parameters
    ----------
    likelihood : MarginalLikelihood
    center : ndarray (hyperparameter,)
        The maximum.
    n_points : int
        Of a round, but at least `FEWEST_POINTS` and at most `POINTS_OF_A_ROUND`.
    rng : Generator

    Returns
    -------
    HyperparameterPosterior
        As many points as it took.

    Raises
    ------
    FitError
        If the posterior has no covariance at its maximum.
    """
    space = likelihood.space
    center = _folded(center[None], space)[0]
    root = cholesky(covariance_at(likelihood, center))
    if root is None:
        raise FitError(
            "the posterior of the hyperparameters has no covariance: these genes say too little of them."
        )
    points, proposal = _Points(_Target.of(likelihood, center)), (center, root)
    for number in range(MOST_ROUNDS):
        points.add(*proposal, min(max(n_points, FEWEST_POINTS), POINTS_OF_A_ROUND), rng)
        found = HyperparameterPosterior(space, space.phi(points.psi), points.weight)
        known = found.effective_size >= ENOUGH_POINTS and found.checks.get("pareto_k", 0.0) <= MAX_K
        following = points.next_proposal()
        if known or following is None or number + 1 == MOST_ROUNDS:
            break
        proposal = following
    return found


def _probabilities(space: HyperparameterSpace) -> list[int]:
    """Return the places of the probabilities in psi."""
    return [at for at, kind in enumerate(space.kinds) if kind in (PI0, WIDE_SHARE)]


def _folded(psi: np.ndarray, space: HyperparameterSpace) -> np.ndarray:
    """Reflect points (point, hyperparameter) at the ends of the scale of probabilities, -1 and 1."""
    inside = psi.copy()
    for at in _probabilities(space):
        inside[:, at] = 1.0 - np.abs((psi[:, at] + 1.0) % 4.0 - 2.0)
    return inside
