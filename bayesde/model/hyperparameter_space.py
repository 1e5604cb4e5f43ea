r"""The hyperparameters as a vector.

phi = (S_k, sigma, a0, a1[, nu]) has the values, psi their logarithms (of nu - 2 for nu), in which posteriors
are close to normal: searches and proposals work on psi.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_names import SHARED, scale_name
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import LogNormal, Priors, ShiftedGamma
from bayesde.numerics.elementary import exponentials, logarithms

__all__ = ["HyperparameterSpace"]

SMALLEST_EXTRA = 1e-3
START_NU = 8.0
"""Where searches start for a1 and nu that are not known."""
LOWEST_NU = 2.0
"""Below, residuals would have no variance."""


@dataclass(frozen=True)
class HyperparameterSpace:
    """Which hyperparameters a model has, and their places in the vectors phi and psi.

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
        known = {"extra_poisson": self.trend}
        return [name for name in SHARED if known.get(name, True)] + ["nu"] * self.student_t

    @property
    def names(self) -> list[str]:
        """Names of the numbers of phi; a scale goes by the first coefficient that has it."""
        first = [self.coefficients[self.shrunken[self.scale_of.index(i)]] for i in range(self.n_scales)]
        return [scale_name(coefficient) for coefficient in first] + self.shared

    def by_name(self, phi: np.ndarray) -> dict[str, np.ndarray]:
        """Return values by name, a scale under the name of every coefficient that has it.

        Parameters
        ----------
        phi : ndarray (..., hyperparameter)

        Returns
        -------
        dict of str to ndarray (...)
        """
        scales = {
            scale_name(self.coefficients[k]): phi[..., i]
            for k, i in zip(self.shrunken, self.scale_of, strict=True)
        }
        return scales | {name: phi[..., self.n_scales + i] for i, name in enumerate(self.shared)}

    def psi_of(self, hyper: Hyperparameters) -> np.ndarray:
        """Return the logarithms of given values, to start a search from.

        Parameters
        ----------
        hyper : Hyperparameters
            What it does not have starts at values of our own.

        Returns
        -------
        ndarray (hyperparameter,)
            Coefficients that share a scale start at the geometric mean of theirs.
        """
        logs = logarithms([hyper.shrinkage_scale[self.coefficients[k]] for k in self.shrunken])
        group = np.array(self.scale_of, dtype=int)
        scales = [float(logs[group == i].mean()) for i in range(self.n_scales)]
        values = [hyper.dispersion_sd, hyper.asymptotic_dispersion]
        values += [max(hyper.extra_poisson, SMALLEST_EXTRA)] * self.trend
        values += [(hyper.nu or START_NU) - LOWEST_NU] * self.student_t
        return np.array([*scales, *logarithms(values)])

    def phi_of(self, hyper: Hyperparameters) -> np.ndarray:
        """Return the draws of given hyperparameters, or their one value.

        Parameters
        ----------
        hyper : Hyperparameters

        Returns
        -------
        ndarray (draw, hyperparameter)
        """
        known = hyper.named
        size = len(next(iter(hyper.draws.values()), [0]))
        columns = [np.asarray(hyper.draws.get(name, np.full(size, known[name]))) for name in self.names]
        return np.column_stack(columns).astype(np.float64)

    def phi(self, psi: np.ndarray) -> np.ndarray:
        """Return the values of logarithms.

        Parameters
        ----------
        psi : ndarray (..., hyperparameter)

        Returns
        -------
        ndarray (..., hyperparameter)
        """
        phi = exponentials(psi)
        if self.student_t:
            phi[..., -1] += LOWEST_NU
        return phi

    def psi(self, phi: np.ndarray) -> np.ndarray:
        """Return the logarithms of values.

        Parameters
        ----------
        phi : ndarray (..., hyperparameter)

        Returns
        -------
        ndarray (..., hyperparameter)
        """
        shifted = phi.copy()
        if self.student_t:
            shifted[..., -1] -= LOWEST_NU
        return np.asarray(np.log(shifted))

    def hyperparameters(self, phi: np.ndarray) -> Hyperparameters:
        """Return values as `Hyperparameters`.

        Parameters
        ----------
        phi : ndarray (hyperparameter,)
        """
        values = {name: float(value) for name, value in self.by_name(phi).items()}
        return Hyperparameters.from_named(values, source="psis")

    def parts(self, phi: np.ndarray, base_mean: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Return what the priors of some genes' parameters are made of.

        Parameters
        ----------
        phi : ndarray (hyperparameter,)
        base_mean : ndarray (gene,)
            Means of the normalized counts.

        Returns
        -------
        scale : ndarray (shrunken,)
        log_trend : ndarray (gene,)
        dispersion_sd, nu : float
            nu is infinite for normal residuals.
        """
        n = self.n_scales
        trend = phi[n + 1] + (phi[n + 2] / base_mean if self.trend else np.zeros_like(base_mean))
        scale = phi[list(self.scale_of)]
        return scale, logarithms(trend), float(phi[n]), float(phi[-1]) if self.student_t else math.inf

    def model_at(self, model: ConditionalModel, phi: np.ndarray) -> ConditionalModel:
        """Return a model with other values of the hyperparameters.

        Parameters
        ----------
        model : ConditionalModel
        phi : ndarray (hyperparameter,)

        Returns
        -------
        ConditionalModel
            Of the same genes.
        """
        scale, trend, sd, nu = self.parts(phi, model.base_mean)
        scales = model.shrinkage_scale.copy()
        scales[list(self.shrunken)] = scale
        return replace(model, shrinkage_scale=scales, log_trend=trend, dispersion_sd=sd, nu=nu)

    def log_prior(self, psi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the log density of the hyperparameters' prior, with derivatives.

        Parameters
        ----------
        psi : ndarray (hyperparameter,)

        Returns
        -------
        log_density : float
            Of psi.
        gradient : ndarray (hyperparameter,)
        information : ndarray (hyperparameter,)
            Diagonal of the negative Hessian.
        """
        laws: list[LogNormal | ShiftedGamma] = [self.priors.shrinkage_scale] * self.n_scales
        laws += [getattr(self.priors, name) for name in self.shared]
        parts = np.array([law.log_density(value) for law, value in zip(laws, psi.tolist(), strict=True)])
        return float(parts[:, 0].sum()), parts[:, 1], parts[:, 2]
