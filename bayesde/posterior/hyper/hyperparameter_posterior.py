"""The posterior of the hyperparameters, in the one form in which every inference method has it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from bayesde.model.hyperparameter_names import PI0, effect_name
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.numerics.resampling import systematic
from bayesde.numerics.small_matrices import weighted_mean
from bayesde.posterior.draws.pareto_smoothing import smoothed

__all__ = ["HyperparameterPosterior"]

FEWEST_FOR_K = 25
"""Points below which the tail of their weights is too short for a Pareto k."""
KEPT_DRAWS = 1000
"""Draws of chains that a summary keeps, evenly from all of them."""


@dataclass(frozen=True, eq=False)
class HyperparameterPosterior:
    """The posterior of the hyperparameters, as weighted points or as draws of Markov chains.

    Attributes
    ----------
    space : HyperparameterSpace
    phi : ndarray (point, hyperparameter)
    weight : ndarray (point,)
        Adding up to 1.
    chains : int
        Number of chains whose draws the points are, one chain after the other; 0 for weighted points.
    """

    space: HyperparameterSpace
    phi: np.ndarray
    weight: np.ndarray
    chains: int = 0

    @classmethod
    def fixed(cls, space: HyperparameterSpace, hyper: Hyperparameters, most: int) -> HyperparameterPosterior:
        """Return given values, or draws of them, as points of equal weight.

        Parameters
        ----------
        space : HyperparameterSpace
        hyper : Hyperparameters
        most : int
            Draws to take at the most, evenly from those there are.

        Returns
        -------
        HyperparameterPosterior
        """
        phi = space.phi_of(hyper)
        phi = phi[np.linspace(0, len(phi) - 1, min(len(phi), most)).astype(int)]
        return cls(space, phi, np.full(len(phi), 1.0 / len(phi)))

    @property
    def effective_size(self) -> float:
        """Effective number of points."""
        return float(1.0 / np.sum(self.weight**2))

    @property
    def null(self) -> dict[int, float]:
        """Prior probability of zero, by coefficient whose law has an atom, at the mean of the points."""
        space, known = self.space, {k: law.null for k, law in self.space.mixtures}
        mean = space.by_name(weighted_mean(self.weight, self.phi))
        return {
            k: known[k] if k in known else float(mean[effect_name(PI0, space.coefficients[k])])
            for k in space.atoms
        }

    @property
    def checks(self) -> dict[str, float]:
        """Number of points, how many effective ones they are worth, and their Pareto k where it is known."""
        found = {"points": float(self.weight.size), "effective_points": self.effective_size}
        if self.weight.size >= FEWEST_FOR_K and np.ptp(self.weight) > 0.0:
            pareto_k = float(smoothed(self.weight[None])[1][0])
            found |= {"pareto_k": pareto_k} if math.isfinite(pareto_k) else {}
        return found

    def thinned(self, size: int) -> HyperparameterPosterior:
        """Return fewer points of equal weight, by systematic resampling.

        Parameters
        ----------
        size : int
            Number of points.

        Returns
        -------
        HyperparameterPosterior
        """
        taken = systematic(np.cumsum(self.weight), size, 0.5)
        return HyperparameterPosterior(self.space, self.phi[taken], np.full(size, 1.0 / size))

    def by_chain(self) -> dict[str, np.ndarray]:
        """Return the draws of chains, ndarray (chain, draw), by name."""
        return {
            name: values.reshape(self.chains, -1) for name, values in self.space.by_name(self.phi).items()
        }

    def summary(self, rng: np.random.Generator) -> Hyperparameters:
        """Return posterior means, standard deviations and draws of equal weight.

        Parameters
        ----------
        rng : Generator
            Resamples weighted points; chains need no random numbers.

        Returns
        -------
        Hyperparameters
        """
        return self._of_chains() if self.chains else self._of_weighted_points(rng)

    def _of_weighted_points(self, rng: np.random.Generator) -> Hyperparameters:
        mean = weighted_mean(self.weight, self.phi)
        sd = np.sqrt(weighted_mean(self.weight, (self.phi - mean) ** 2))
        taken = systematic(np.cumsum(self.weight), self.weight.size, rng.random())
        drawn = self.phi[rng.permutation(taken)]
        return replace(
            self.space.hyperparameters(mean),
            sd={name: float(value) for name, value in self.space.by_name(sd).items()},
            draws=self.space.by_name(drawn),
            checks=self.checks,
        )

    def _of_chains(self) -> Hyperparameters:
        draws = self.by_chain()
        step = max(1, len(self.phi) // KEPT_DRAWS)
        return Hyperparameters.from_named(
            {name: float(values.mean()) for name, values in draws.items()},
            sd={name: float(values.std(ddof=1)) for name, values in draws.items()},
            draws={name: values.reshape(-1)[::step].astype(np.float64) for name, values in draws.items()},
            source="joint",
            **self.space.known_laws,
        )
