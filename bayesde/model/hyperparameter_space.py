r"""Which hyperparameters there are, and where each stands in the vector that is searched.

All work on them is done in psi, the logarithms of phi = (S_k, sigma, a0, a1[, nu]), of nu - 2 for nu, where
posteriors are close to normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import LogNormal, Priors, ShiftedGamma
from bayesde.numerics.elementary import exponentials, logarithms

__all__ = ["HyperparameterSpace"]

SMALLEST_EXTRA = 1e-3
START_NU = 8.0
"""Where searches start for a1 and nu that are not known."""


@dataclass(frozen=True)
class HyperparameterSpace:
    """Which number of psi is what.

    Attributes
    ----------
    coefficients : tuple of str
        Names of the design's columns.
    shrunken : tuple of int
        Those with a Cauchy prior.
    trend : bool
        Whether ln a1 follows; otherwise a1 = 0.
    student_t : bool
        Whether ln(nu - 2) comes last.
    scale_of : tuple of int
        Which scale each shrunken coefficient has: 0, 1, ... if each has its own (by default), or the same
        number for those of one term. psi starts with the ln S in this order, then come ln sigma and ln a0.
    priors : Priors
    """

    coefficients: tuple[str, ...]
    shrunken: tuple[int, ...]
    trend: bool
    student_t: bool
    scale_of: tuple[int, ...] = ()
    priors: Priors = field(default_factory=Priors)

    def __post_init__(self) -> None:
        if not self.scale_of:
            object.__setattr__(self, "scale_of", tuple(range(len(self.shrunken))))

    @property
    def n_scales(self) -> int:
        """Number of different scales S."""
        return len(set(self.scale_of))

    @property
    def shared(self) -> list[str]:
        """Names of the hyperparameters after the scales."""
        names = ["dispersion_sd", "asymptotic_dispersion"]
        return names + ["extra_poisson"] * self.trend + ["nu"] * self.student_t

    @property
    def names(self) -> list[str]:
        """Names of the numbers of psi; a scale goes by the first coefficient that has it."""
        first = [self.coefficients[self.shrunken[self.scale_of.index(i)]] for i in range(self.n_scales)]
        return [f"shrinkage_scale[{name}]" for name in first] + self.shared

    def table(self, phi: np.ndarray) -> dict[str, np.ndarray]:
        """Name the values phi (..., hyperparameter), the scale by every coefficient that has it."""
        scales = {
            f"shrinkage_scale[{self.coefficients[k]}]": phi[..., i]
            for k, i in zip(self.shrunken, self.scale_of, strict=True)
        }
        return scales | {name: phi[..., self.n_scales + i] for i, name in enumerate(self.shared)}

    def psi(self, hyper: Hyperparameters) -> np.ndarray:
        """Return where the search starts; coefficients that share a scale start at their geometric mean."""
        logs = logarithms([hyper.shrinkage_scale[self.coefficients[k]] for k in self.shrunken])
        group = np.array(self.scale_of, dtype=int)
        scales = [float(logs[group == i].mean()) for i in range(self.n_scales)]
        values = [hyper.dispersion_sd, hyper.asymptotic_dispersion]
        values += [max(hyper.extra_poisson, SMALLEST_EXTRA)] * self.trend
        values += [(hyper.nu or START_NU) - 2.0] * self.student_t
        return np.array([*scales, *logarithms(values)])

    def values(self, hyper: Hyperparameters) -> np.ndarray:
        """Return the draws of given hyperparameters, or else their one value: phi (draw, hyperparameter)."""
        known = {f"shrinkage_scale[{name}]": value for name, value in hyper.shrinkage_scale.items()}
        known |= {name: getattr(hyper, name) for name in self.shared}
        size = len(next(iter(hyper.draws.values()), [0]))
        columns = [np.asarray(hyper.draws.get(name, np.full(size, known[name]))) for name in self.names]
        return np.column_stack(columns).astype(np.float64)

    def phi(self, psi: np.ndarray) -> np.ndarray:
        """Turn psi (..., hyperparameter) into the hyperparameters."""
        phi = exponentials(psi)
        if self.student_t:
            phi[..., -1] += 2.0
        return phi

    def hyperparameters(self, values: np.ndarray) -> Hyperparameters:
        """Name the values phi (hyperparameter,)."""
        known = {name: float(value) for name, value in self.table(values).items()}
        return Hyperparameters(
            shrinkage_scale={
                self.coefficients[k]: known[f"shrinkage_scale[{self.coefficients[k]}]"] for k in self.shrunken
            },
            dispersion_sd=known["dispersion_sd"],
            asymptotic_dispersion=known["asymptotic_dispersion"],
            extra_poisson=known.get("extra_poisson", 0.0),
            residuals="student_t" if self.student_t else "normal",
            nu=known.get("nu"),
            source="psis",
        )

    def parts(self, phi: np.ndarray, base_mean: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Return scales (shrunken,), log trend (gene,), sigma and nu of the hyperparameters phi."""
        n = self.n_scales
        trend = phi[n + 1] + (phi[n + 2] / base_mean if self.trend else np.zeros_like(base_mean))
        scale = phi[list(self.scale_of)]
        return scale, logarithms(trend), float(phi[n]), float(phi[-1]) if self.student_t else math.inf

    def log_prior(self, psi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the log density of psi, its gradient, and (diagonal) curvature, the latter negated."""
        laws: list[LogNormal | ShiftedGamma] = [self.priors.shrinkage_scale] * self.n_scales
        laws += [getattr(self.priors, name) for name in self.shared]
        parts = np.array([law.log_density(value) for law, value in zip(laws, psi.tolist(), strict=True)])
        return float(parts[:, 0].sum()), parts[:, 1], parts[:, 2]
