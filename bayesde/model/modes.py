"""Each gene's posterior mode and curvature given the hyperparameters, by damped Newton steps.

A Cauchy prior can leave two modes, one near zero and one near the likelihood's: a search starts from either,
the better is kept, and the other returned for chains to start from. Where the Hessian is not negative
definite, its shrunken coefficients get the curvature of the normal distribution that touches the prior's from
below, 2 / (S^2 + b^2) for Cauchy's, and the rest a ridge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bayesde.model.density import ConditionalModel, log_density, log_density_derivatives, one_gene
from bayesde.model.effect_prior import tangent_curvature
from bayesde.numerics.cholesky import cholesky, solve
from bayesde.numerics.compiled import copy_row, kernel
from bayesde.numerics.elementary import logarithms
from bayesde.numerics.threads import over_genes

__all__ = [
    "NEARLY_FLAT",
    "Modes",
    "Starts",
    "climb",
    "curvature_factors",
    "fill_factor",
    "find_modes",
    "starting_points",
]

MAX_STEPS = 200
FLAT = 1e-9
"""Half the squared Newton decrement at which a mode counts as reached; see `climb`."""
NEARLY_FLAT = 1e-4
"""The same where no step goes up any more: the derivatives of an integral over random effects are not exactly
those of its approximation by quadrature. Parameters are then within 0.015 standard errors of the mode."""
LARGEST_MOVE = 3.0
"""Of any parameter in one step, natural log: far from the mode the quadratic approximation is poor."""


@dataclass(frozen=True, eq=False)
class Starts:
    """Where the searches for the genes' modes start, and the genes' seeds.

    Attributes
    ----------
    beta : ndarray (gene, coefficient)
    log_dispersion : ndarray (gene,)
    seeds : ndarray of uint32 (gene,)
    """

    beta: np.ndarray
    log_dispersion: np.ndarray
    seeds: np.ndarray

    def genes(self, rows: np.ndarray) -> Starts:
        """Take some of the genes.

        Parameters
        ----------
        rows : ndarray of int or bool
            By index or by mask.

        Returns
        -------
        Starts
        """
        return Starts(self.beta[rows], self.log_dispersion[rows], self.seeds[rows])


@dataclass(frozen=True, eq=False)
class Modes:
    """The genes' posterior modes, and the curvature there.

    Attributes
    ----------
    location : ndarray (gene, P + 1)
        The best mode: coefficients and log dispersion, natural log.
    scale : ndarray (gene, P + 1, P + 1)
        Upper triangle U with U U' = inverse of the negative Hessian there (made positive definite).
    other : ndarray (gene, P + 1)
        The mode reached from the other start; equal to `location` for most genes.
    log_density : ndarray (gene,)
        At `location`, up to a constant of the prior.
    converged : ndarray of bool (gene,)
    """

    location: np.ndarray
    scale: np.ndarray
    other: np.ndarray
    log_density: np.ndarray
    converged: np.ndarray

    def genes(self, rows: np.ndarray) -> Modes:
        """Take some of the genes.

        Parameters
        ----------
        rows : ndarray of int or bool
            By index or by mask.

        Returns
        -------
        Modes
        """
        return Modes(
            self.location[rows],
            self.scale[rows],
            self.other[rows],
            self.log_density[rows],
            self.converged[rows],
        )


def find_modes(
    model: ConditionalModel,
    beta: np.ndarray,
    log_dispersion: np.ndarray,
    from_no_effect: bool = True,
    flat: float = FLAT,
) -> Modes:
    """Find every gene's mode from its maximum-likelihood estimate and from no effect.

    Parameters
    ----------
    model : ConditionalModel
    beta : ndarray (gene, coefficient)
        Where to start, natural log; clipped to 10 in size, NaN is taken as 0.
    log_dispersion : ndarray (gene,)
    from_no_effect : bool
        Whether to search from there, too, which can lead to another mode under priors that shrink.
    flat : float
        See `climb`.

    Returns
    -------
    Modes
    """
    start, null = starting_points(model, beta, log_dispersion)
    ends = np.stack([start, null] if from_no_effect else [start])
    values, converged = np.empty(ends.shape[:2]), np.empty(ends.shape[:2], dtype=np.bool_)
    over_genes(_search, model.n_genes, model.data, model.prior, flat, ends, values, converged)
    best = (values[-1] > values[0]).astype(np.intp)
    genes = np.arange(model.n_genes)
    location = ends[best, genes]
    scale = curvature_factors(model, location)
    return Modes(location, scale, ends[-1 - best, genes], values[best, genes], converged[best, genes])


def curvature_factors(model: ConditionalModel, location: np.ndarray) -> np.ndarray:
    """Return the scale of `Modes` at given modes.

    Parameters
    ----------
    model : ConditionalModel
    location : ndarray (gene, P + 1)

    Returns
    -------
    ndarray (gene, P + 1, P + 1)
    """
    scale = np.zeros((*location.shape, location.shape[1]))
    over_genes(_fill_scale, model.n_genes, model.data, model.prior, location, scale)
    return scale


def starting_points(
    model: ConditionalModel, beta: np.ndarray, log_dispersion: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where searches for modes start: at the estimates, and at no effect.

    Parameters
    ----------
    model : ConditionalModel
    beta : ndarray (gene, coefficient)
        Natural log; clipped to 10 in size, NaN is taken as 0.
    log_dispersion : ndarray (gene,)
        NaN is taken as 0.

    Returns
    -------
    start, null : ndarray (gene, P + 1)
    """
    start = np.column_stack([np.clip(np.nan_to_num(beta), -10.0, 10.0), np.nan_to_num(log_dispersion)])
    start[:, :-1] = _without_overflow(model, start[:, :-1])
    null = start.copy()
    null[:, :-1][:, model.shrunken] = 0.0
    constant = np.flatnonzero((np.ptp(model.x, axis=0) == 0.0) & (model.x[0] != 0.0))
    if constant.size:  # with an intercept, no effect at all means the mean count
        null[:, constant[0]] = logarithms(np.maximum(model.base_mean, 0.1)) / model.x[0, constant[0]]
    return start, null


def _without_overflow(model: ConditionalModel, beta: np.ndarray) -> np.ndarray:
    """Shrink starts whose expected counts would overflow."""
    eta = model.log_nf.copy()
    for k in range(beta.shape[1]):
        eta += beta[:, k, None] * model.x[:, k]
    size = np.abs(eta).max(axis=1)
    return beta * np.minimum(1.0, 30.0 / np.maximum(size, 1.0))[:, None]


@kernel
def fill_factor(theta, hessian, df, scale, factor):  # type: ignore[no-untyped-def]
    """Fill `factor` with the Cholesky factor of -hessian, or of something near that is positive definite."""
    negative = -hessian
    if cholesky(negative, factor):
        return
    p = theta.size - 1
    for k in range(p):
        if not math.isinf(df[k]):
            negative[k, k] += tangent_curvature(theta[k], df[k], scale[k])
    ridge = 1e-3 * max(1.0, abs(negative[p, p]))
    while not cholesky(negative, factor):
        for k in range(p + 1):
            negative[k, k] += ridge
        ridge *= 4.0


@kernel
def climb(theta, data, prior, flat, gradient, hessian):  # type: ignore[no-untyped-def]
    """Move theta to a mode by Newton steps with backtracking; return whether it was reached.

    That is where half the squared Newton decrement, in units of log density, is below ``flat``; one more step
    is taken from there.

    Parameters
    ----------
    theta : ndarray (P + 1,)
        Changed.
    data : GeneData
        Of the gene.
    prior : GenePrior
        Of the gene.
    flat : float
    gradient, hessian : ndarray (P + 1,), (P + 1, P + 1)
        Written to: those before the last step.
    """
    d = theta.size
    factor, step, trial = np.zeros((d, d)), np.empty(d), np.empty(d)
    value = log_density_derivatives(theta, data, prior, gradient, hessian)
    if not math.isfinite(value):
        return False
    for _ in range(MAX_STEPS):
        fill_factor(theta, hessian, prior.df, prior.scale, factor)
        copy_row(gradient, step)
        solve(factor, step)
        slope, longest = 0.0, LARGEST_MOVE
        for k in range(d):
            slope += gradient[k] * step[k]
            longest = max(longest, abs(step[k]))
        if 0.5 * slope < flat:
            for k in range(d):
                theta[k] += step[k]
            return True
        length = LARGEST_MOVE / longest
        while True:
            for k in range(d):
                trial[k] = theta[k] + length * step[k]
            found = log_density_derivatives(trial, data, prior, gradient, hessian)
            if found > value + 1e-4 * length * slope:
                break
            length *= 0.5
            if not length > 1e-12:  # no step goes up: as high as double precision sees
                log_density_derivatives(theta, data, prior, gradient, hessian)
                return 0.5 * slope < NEARLY_FLAT
        copy_row(trial, theta)
        value = found
    return False


@kernel
def _search(first, last, data, prior, flat, ends, values, converged):  # type: ignore[no-untyped-def]
    """Climb from each of the starts that ends (start, gene, P + 1) holds."""
    d = ends.shape[2]
    gradient, hessian = np.empty(d), np.empty((d, d))
    for g in range(first, last):
        own, own_prior = one_gene(data, prior, g)
        for s in range(ends.shape[0]):
            converged[s, g] = climb(ends[s, g], own, own_prior, flat, gradient, hessian)
            values[s, g] = log_density(ends[s, g], own, own_prior)


@kernel
def _fill_scale(first, last, data, prior, location, result):  # type: ignore[no-untyped-def]
    """Fill U (gene, P + 1, P + 1), upper triangular with U U' = inverse negative Hessian.

    -H = L L', so the inverse is U U' with U = (L')^-1: L' U = I is solved column by column.
    """
    d = location.shape[1]
    gradient, hessian, factor = np.empty(d), np.empty((d, d)), np.zeros((d, d))
    for g in range(first, last):
        own, own_prior = one_gene(data, prior, g)
        log_density_derivatives(location[g], own, own_prior, gradient, hessian)
        factor[:, :] = 0.0
        fill_factor(location[g], hessian, prior.df, prior.scale, factor)
        for k in range(d):
            for a in range(k, -1, -1):
                total = 1.0 if a == k else 0.0
                for b in range(a + 1, k + 1):
                    total -= factor[b, a] * result[g, b, k]
                result[g, a, k] = total / factor[a, a]
