r"""The laws of effects: which priors a shrunken coefficient may have.

    cauchy      beta ~ Cauchy(0, S)
    student_t   beta ~ t_nu(0, S)
    spike_t     beta ~ pi0 delta_0 + (1 - pi0) t_nu(0, S)
    mixture     beta ~ pi_0 delta_0 + sum_j pi_j N(0, s_j^2)

S, nu and pi0 are hyperparameters, with priors. A mixture is known: its weights have been estimated
(Stephens 2017, doi:10.1093/biostatistics/kxw041, has the grid of s_j) or are given. nu = 1 is Cauchy's law,
and for large nu the normal one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, stdtr

from bayesde.errors import InputError
from bayesde.model.effect_prior import log_t_height
from bayesde.numerics.compiled import kernel
from bayesde.numerics.elementary import exponential, logarithm, logarithms

__all__ = ["FAMILIES", "EffectMixture", "fill_mixture_densities"]

FAMILIES = ("cauchy", "student_t", "spike_t", "mixture")
"""Names of the laws, the simplest first."""
WITH_NU, WITH_NULL = ("student_t", "spike_t"), ("spike_t",)
"""Laws of which nu is a hyperparameter, and of which pi0 is."""
MOST_COMPONENTS = 200
ROUNDING = 1e-6
BISECTIONS = 200
SMALLEST, LOWEST = 1e-300, -690.0
"""Densities below the first count as exp of the second."""


@dataclass(frozen=True, eq=False)
class EffectMixture:
    """A known law of effects: a mixture of normal and Student-t distributions around zero, and of zero.

    Parameters
    ----------
    weight : array-like (component,)
        At least 0, and 1 in all.
    scale : array-like (component,)
        Standard deviations, or scales of Student-t distributions, natural log; 0 for the point mass at zero.
    nu : array-like (component,), optional
        Degrees of freedom; infinite, by default, for normal distributions.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    weight: np.ndarray
    scale: np.ndarray
    nu: np.ndarray | None = None

    def __post_init__(self) -> None:
        parts = {"weight": self.weight, "scale": self.scale}
        parts["nu"] = np.full(np.shape(self.scale), np.inf) if self.nu is None else self.nu
        for name, values in parts.items():
            try:
                given = np.asarray(values)
            except ValueError:  # lists of different lengths
                given = np.empty(0)
            array = np.array(given, dtype=np.float64) if given.dtype.kind in "iuf" else np.empty(0)
            if array.ndim != 1 or not 0 < array.size <= MOST_COMPONENTS:
                raise InputError(
                    f"mixture: {name} must be a list of 1 to {MOST_COMPONENTS} numbers; got {values!r}."
                )
            object.__setattr__(self, name, array)
        self._check()

    def _check(self) -> None:
        """Refuse numbers that make no distribution."""
        sizes = {"weight": self.weight.size, "scale": self.scale.size, "nu": self.df.size}
        if len(set(sizes.values())) > 1:
            raise InputError(f"mixture: weight, scale and nu must be of one length; got {sizes}.")
        if not (np.isfinite(self.weight) & (self.weight >= 0.0)).all():
            raise InputError(f"mixture: weights must be 0 or more; got {self.weight.tolist()}.")
        if abs(self.weight.sum() - 1.0) > ROUNDING:
            raise InputError(f"mixture: weights must add up to 1; their sum is {self.weight.sum():.6g}.")
        if not (np.isfinite(self.scale) & (self.scale >= 0.0)).all():
            raise InputError(f"mixture: scales must be 0 or more; got {self.scale.tolist()}.")
        if not (self.df > 0.0).all():
            raise InputError(f"mixture: nu must be above 0; got {self.df.tolist()}.")
        if self.null >= 1.0:
            raise InputError("mixture: all the weight is on zero; one component must have a scale above 0.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EffectMixture:
        """Make a mixture of plain lists, as JSON has them: null stands for infinite nu.

        Parameters
        ----------
        values : mapping
            ``weight``, ``scale`` and, optionally, ``nu``.

        Raises
        ------
        InputError
            If a key is missing or unknown, or a number is out of its range.
        """
        if not isinstance(values, Mapping) or not {"weight", "scale"} <= set(values) <= {
            "weight",
            "scale",
            "nu",
        }:
            raise InputError(
                f"mixture: an object with weight, scale and, optionally, nu is needed; got {values!r}."
            )
        nu = values.get("nu")
        if isinstance(nu, list | tuple):
            nu = np.array([math.inf if one is None else one for one in nu])
        return cls(values["weight"], values["scale"], nu)

    def to_dict(self) -> dict[str, list[float | None]]:
        """Return plain lists, as JSON has them: null stands for infinite nu."""
        nu = [float(one) if math.isfinite(one) else None for one in self.df]
        return {"weight": self.weight.tolist(), "scale": self.scale.tolist(), "nu": nu}

    @property
    def df(self) -> np.ndarray:
        """Degrees of freedom (component,)."""
        assert self.nu is not None
        return self.nu

    @property
    def null(self) -> float:
        """Probability of zero."""
        return float(self.weight[self.scale == 0.0].sum())

    @property
    def continuous(self) -> EffectMixture:
        """The law of effects that are not zero."""
        used = (self.scale > 0.0) & (self.weight > 0.0)
        return EffectMixture(self.weight[used] / self.weight[used].sum(), self.scale[used], self.df[used])

    def with_narrow_null(self, sd: float) -> EffectMixture:
        """Return the mixture with a narrow normal distribution in place of the point mass at zero.

        Stan, which has no point mass, can sample this one. The effects of the narrow component are then not
        exactly 0; a tenth of the smallest scale or less keeps them apart from the others.

        Parameters
        ----------
        sd : float
            Standard deviation of the normal distribution, natural log, above 0.

        Returns
        -------
        EffectMixture
            The same mixture if it has no point mass.

        Raises
        ------
        InputError
            If the standard deviation is not a positive number.
        """
        number = isinstance(sd, int | float | np.floating) and not isinstance(sd, bool)
        if not (number and math.isfinite(sd) and sd > 0.0):
            raise InputError(f"mixture: sd of the narrow normal distribution must be above 0; got {sd!r}.")
        zero = self.scale == 0.0
        return EffectMixture(self.weight, np.where(zero, sd, self.scale), np.where(zero, np.inf, self.df))

    @property
    def log_heights(self) -> np.ndarray:
        """Log density at zero of every component (component,); -inf of the point mass."""
        scale = np.where(self.scale > 0.0, self.scale, 1.0)
        finite = np.where(np.isfinite(self.df), self.df, 1.0)
        normal = -logarithms(scale) - 0.5 * math.log(2.0 * math.pi)
        heights = np.where(np.isfinite(self.df), log_t_height(scale, finite)[0], normal)
        return np.where(self.scale > 0.0, heights, -np.inf)

    def probability_within(self, size: float) -> float:
        """Return the probability that an effect is not larger than a size.

        Parameters
        ----------
        size : float
            Natural log.

        Returns
        -------
        float
        """
        z = size / np.where(self.scale > 0.0, self.scale, 1.0)
        finite = np.where(np.isfinite(self.df), self.df, 1.0)
        inside = np.where(np.isfinite(self.df), 2.0 * stdtr(finite, z), 2.0 * ndtr(z)) - 1.0
        return float((self.weight * np.where(self.scale > 0.0, inside, 1.0)).sum())

    @property
    def median_size(self) -> float:
        """Median absolute effect of those that are not zero, natural log."""
        law = self.continuous
        low, high = 1e-3 * float(law.scale.min()), 1e3 * float(law.scale.max())
        for _ in range(BISECTIONS):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if law.probability_within(middle) < 0.5 else (low, middle)
        return high

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw effects.

        Parameters
        ----------
        rng : Generator
        size : int

        Returns
        -------
        ndarray (size,)
            Natural log.
        """
        taken = rng.choice(self.weight.size, size, p=self.weight / self.weight.sum())
        square = np.ones(size)
        heavy = np.isfinite(self.df[taken])
        square[heavy] = rng.chisquare(self.df[taken][heavy]) / self.df[taken][heavy]
        return np.asarray(self.scale[taken] * rng.standard_normal(size) / np.sqrt(square))

    def log_density(self, effects: np.ndarray) -> np.ndarray:
        """Return the log density of effects; of those that are exactly zero, the log probability of zero.

        Parameters
        ----------
        effects : ndarray (...)
            Natural log.

        Returns
        -------
        ndarray (...)
        """
        flat = np.ascontiguousarray(effects, dtype=np.float64).reshape(-1)
        out = np.empty(flat.size)
        fill_mixture_densities(flat, self.weight, self.scale, self.df, self.log_heights, out)
        return out.reshape(np.shape(effects))


@kernel
def fill_mixture_densities(effects, weight, scale, df, log_heights, out):  # type: ignore[no-untyped-def]
    """Fill the log density of a mixture at effects (draw,); at zero the log probability of its point mass.

    Parameters
    ----------
    effects : ndarray (draw,)
    weight, scale, df, log_heights : ndarray (component,)
        Of `EffectMixture`.
    out : ndarray (draw,)
        Written to.
    """
    null = 0.0
    out[:] = 0.0
    for j in range(weight.size):
        if not weight[j] > 0.0:
            continue
        if scale[j] == 0.0:
            null += weight[j]
            continue
        inverse, height = 1.0 / scale[j], weight[j] * math.exp(log_heights[j])
        if math.isinf(df[j]):
            for m in range(out.size):
                u = effects[m] * inverse
                out[m] += height * exponential(-0.5 * u * u)
        else:
            power, share = -0.5 * (df[j] + 1.0), 1.0 / df[j]
            for m in range(out.size):
                u = effects[m] * inverse
                out[m] += height * exponential(power * logarithm(1.0 + u * u * share))
    of_null = math.log(null) if null > 0.0 else -math.inf
    for m in range(out.size):
        if effects[m] == 0.0:
            out[m] = of_null
        else:
            out[m] = logarithm(out[m]) if out[m] > SMALLEST else LOWEST
