r"""The laws of effects that data sets are drawn from, and what engines are told of them.

    cauchy      beta_k ~ Cauchy(0, S_k)
    student_t   beta_k ~ t_nu(0, S_k)
    spike_t     beta_k ~ pi0_k delta_0 + (1 - pi0_k) t_nu(0, S_k)
    known       beta_k ~ sum_j w_j N(0, s_j^2), with s_0 = 0: the weights are given
    mixture     the same, with weights ~ Dirichlet(10, 1/J, ..., 1/J) that are learnt

S, nu and pi0 are drawn from the priors that they are learnt with, so that ranks must be uniform. The weights
of `mixture` are integrated over for one coefficient after the other, with the other's weights held; so its
ranks are uniform only as far as many genes determine these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameter_names import EFFECT_NU, PI0, SCALE, effect_name

__all__ = ["LAWS", "EffectLaw"]

GRID = np.array([0.0, 0.1, 0.2, 0.4, 0.8, 1.6])
KNOWN_WEIGHTS = np.array([0.6, 0.1, 0.1, 0.1, 0.05, 0.05])
NULL_CONCENTRATION = 10.0
"""Of zero in the Dirichlet prior of learnt weights; 1 of the other components together."""

Drawn = Mapping[str, float]


@dataclass(frozen=True)
class EffectLaw:
    """A law of effects, the same for all shrunken coefficients.

    Attributes
    ----------
    parts : tuple of str
        Its hyperparameters, of `bayesde.model.hyperparameter_names`.
    draw : callable
        From (rng, number, the hyperparameters of every coefficient by part) to effects (number, coefficient).
    known, learnt : EffectMixture or None
        The mixture that engines are given, or of which they learn the weights on the scales of this one.
    genes : int
        Of a data set, for engine psis.
    """

    parts: tuple[str, ...]
    draw: Callable[[np.random.Generator, int, dict[str, np.ndarray]], np.ndarray]
    known: EffectMixture | None = None
    learnt: EffectMixture | None = None
    genes: int = 40

    def names(self, coefficients: tuple[str, ...]) -> list[str]:
        """Return the names of the hyperparameters of some coefficients, part by part."""
        return [effect_name(part, name) for part in self.parts for name in coefficients]

    def effects(
        self, rng: np.random.Generator, number: int, coefficients: tuple[str, ...], phi: Drawn
    ) -> np.ndarray:
        """Draw effects (number, coefficient) given the hyperparameters by name."""
        by_part = {
            part: np.array([phi[effect_name(part, name)] for name in coefficients]) for part in self.parts
        }
        return self.draw(rng, number, by_part)


def _cauchy(rng: np.random.Generator, number: int, by: dict[str, np.ndarray]) -> np.ndarray:
    return by[SCALE] * rng.standard_cauchy((number, by[SCALE].size))


def _student_t(rng: np.random.Generator, number: int, by: dict[str, np.ndarray]) -> np.ndarray:
    return by[SCALE] * rng.standard_t(by[EFFECT_NU], (number, by[SCALE].size))


def _spike_t(rng: np.random.Generator, number: int, by: dict[str, np.ndarray]) -> np.ndarray:
    effects = _student_t(rng, number, by)
    return np.where(rng.random(effects.shape) < by[PI0], 0.0, effects)


def _of_components(
    rng: np.random.Generator, number: int, weights: np.ndarray, n_coefficients: int
) -> np.ndarray:
    """Draw from mixtures of normal distributions on the grid."""
    taken = np.column_stack([rng.choice(GRID.size, number, p=weights) for _ in range(n_coefficients)])
    return GRID[taken] * rng.standard_normal(taken.shape)


def _known(rng: np.random.Generator, number: int, by: dict[str, np.ndarray]) -> np.ndarray:
    return _of_components(rng, number, KNOWN_WEIGHTS, 2)


def _mixture(rng: np.random.Generator, number: int, by: dict[str, np.ndarray]) -> np.ndarray:
    concentration = np.where(GRID == 0.0, NULL_CONCENTRATION, 1.0 / (GRID.size - 1))
    own = [_of_components(rng, number, rng.dirichlet(concentration), 1) for _ in range(2)]
    return np.concatenate(own, axis=1)


_EVEN = EffectMixture(np.full(GRID.size, 1.0 / GRID.size), GRID)

LAWS: dict[str, EffectLaw] = {
    "cauchy": EffectLaw((SCALE,), _cauchy),
    "student_t": EffectLaw((SCALE, EFFECT_NU), _student_t),
    "spike_t": EffectLaw((SCALE, EFFECT_NU, PI0), _spike_t),
    "known": EffectLaw((), _known, known=EffectMixture(KNOWN_WEIGHTS, GRID)),
    "mixture": EffectLaw((), _mixture, learnt=_EVEN, genes=400),
}
