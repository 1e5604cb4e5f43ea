r"""Tails of the posterior of a contrast beyond its draws: Laplace's approximation of its marginal density.

With delta = c . beta, u the other directions of theta = (beta, ln alpha) and l the log posterior density
given the hyperparameters (`bayesde.model.density`),

    m(delta) = max_u l(delta, u) - 0.5 ln |-H_uu(delta)|,        p(delta) proportional to exp m(delta)

up to a relative error of order 1 / samples (Tierney and Kadane 1986, JASA 81:82, section 4). The density is
followed from where there are draws in one direction, the maximum over u by Newton's steps from the one before
(predicted by du = -H_uu^-1 H_u,delta ddelta), and added up as straight lines of its logarithm. Only ratios of
integrals are used, so that a factor common to the whole tail cancels.

Where the prior of a coefficient has an atom at zero, it is its continuous part that l has: draws of which the
contrast is exactly zero are no part of a tail, and other coefficients are taken for different from zero.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.model.density import ConditionalModel, log_density_derivatives, one_gene
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.effect_prior import effect_derivatives, log_effect_density
from bayesde.numerics.cholesky import solve
from bayesde.numerics.compiled import copy_row, kernel
from bayesde.numerics.threads import over_genes

__all__ = ["tail_ratios"]

MAX_NEWTON, FLAT = 25, 2e-3
MAX_POINTS = 400
OF_CURVATURE, OF_SPIKE, LARGEST_FALL = 0.5, 0.4, 3.0
"""A step is no longer than these shares of the curvature's length, of the distance to the prior's spike at 0
and its scale, and than what lets the log density fall by the last."""
NEGLIGIBLE = 1e-3
"""Share of a tail that is left to a straight line of its logarithm."""
DEEPEST = 690.0
"""How far the log density is followed: beyond, a double ends."""
FLAT_SD = 1e6
"""Of the normal prior that stands in the place of a known law of effects, which is added to the density."""
STIFFEST, SHORTEST, ROUNDING = 1e8, 1e-6, 1e-9
"""The search over u gives up at such a ridge, or share of a step; how much the log density may be off."""


class ContrastAxes(NamedTuple):
    """The axes of theta for a contrast: along it, and orthogonal to it.

    Attributes
    ----------
    vector : ndarray (P + 1,)
        The contrast is delta = vector . theta.
    direction : ndarray (P + 1,)
        Orthogonal to the basis; delta rises by 1 along it.
    basis : ndarray (P + 1, P)
        Orthonormal basis of u, the directions in which delta is constant.
    spike : float
        Scale of the contrast's prior around 0, natural log; infinite if no shrunken coefficient is in it.
    """

    vector: np.ndarray
    direction: np.ndarray
    basis: np.ndarray
    spike: float


class KnownLaws(NamedTuple):
    """The continuous parts of mixtures that are priors of coefficients, one component after the other.

    Attributes
    ----------
    columns : ndarray of int64 (law,)
        Their coefficients.
    ends : ndarray of int64 (law,)
        Where the components of each end.
    weight, scale, df, log_height : ndarray (component,)
        As of `EffectMixture`.
    """

    columns: np.ndarray
    ends: np.ndarray
    weight: np.ndarray
    scale: np.ndarray
    df: np.ndarray
    log_height: np.ndarray

    @classmethod
    def of(cls, mixtures: tuple[tuple[int, EffectMixture], ...]) -> KnownLaws:
        """Put laws into arrays.

        Parameters
        ----------
        mixtures : tuple of (int, EffectMixture)

        Returns
        -------
        KnownLaws
        """
        columns = np.array([k for k, _ in mixtures], dtype=np.int64)
        laws = [law.continuous for _, law in mixtures]
        ends = np.cumsum([law.weight.size for law in laws]).astype(np.int64)
        parts = [[getattr(law, name) for law in laws] for name in ("weight", "scale", "df", "log_heights")]
        return cls(columns, ends, *(np.concatenate([np.empty(0), *part]) for part in parts))


def tail_ratios(
    model: ConditionalModel, vector: np.ndarray, theta: np.ndarray, bounds: np.ndarray
) -> np.ndarray:
    """Return how much smaller the lower tail beyond each bound is than that beyond a draw.

    Parameters
    ----------
    model : ConditionalModel
        Of the genes.
    vector : ndarray (coefficient,)
        Weights of the contrast.
    theta : ndarray (gene, P + 1)
        The draw that the tail is followed from.
    bounds : ndarray (gene, bound)
        Natural log, in descending order.

    Returns
    -------
    ndarray (gene, bound)
        P(contrast < bound) / P(contrast < the draw's), at least 1e-300; NaN where the bound is not below the
        draw, or the maximum over the other directions was not found.
    """
    contrast, result = _contrast_axes(model, vector), np.full(bounds.shape, np.nan)
    laws, prior = KnownLaws.of(model.mixtures), model.prior
    if model.mixtures:
        prior = prior._replace(df=prior.df.copy(), scale=prior.scale.copy())
        prior.df[laws.columns], prior.scale[laws.columns] = np.inf, FLAT_SD
    density = (model.data, prior, laws)
    over_genes(_fill_ratios, model.n_genes, density, contrast, theta, bounds, result)
    return result


def _contrast_axes(model: ConditionalModel, vector: np.ndarray) -> ContrastAxes:
    """Return the axes of a contrast's weights (coefficient,)."""
    vector = np.append(vector, np.zeros(model.n_coefficients - vector.size))  # ln tau is in no contrast
    size = vector.size
    basis = np.zeros((size + 1, size))
    basis[:size, :-1] = _orthogonal(vector)
    basis[size, -1] = 1.0
    direction = np.append(vector / (vector**2).sum(), 0.0)
    shrunken, scale = model.shrunken & (vector != 0.0), model.shrinkage_scale.copy()
    for k, law in model.mixtures:
        scale[k] = law.continuous.scale.min()
    spike = float((np.abs(vector) * scale)[shrunken].sum()) if shrunken.any() else np.inf
    return ContrastAxes(np.append(vector, 0.0), direction, basis, spike)


def _orthogonal(vector: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis (size, size - 1) of what is orthogonal to a vector that is not 0.

    All but one of the columns of the reflection that turns the vector into that axis (Householder 1958,
    doi:10.1145/320941.320947).
    """
    largest = int(np.argmax(np.abs(vector)))
    unit = vector / math.sqrt((vector**2).sum())
    mirror = unit.copy()
    mirror[largest] += math.copysign(1.0, unit[largest])
    reflection = np.eye(vector.size) - 2.0 * mirror[:, None] * mirror / (mirror**2).sum()
    return np.delete(reflection, largest, axis=1)


@kernel
def _fill_ratios(first, last, density, contrast, theta, bounds, result):  # type: ignore[no-untyped-def]
    """Follow the tail of some genes, whose density is made of data, priors and known laws of effects."""
    data, prior, laws = density
    for g in range(first, last):
        own, own_prior = one_gene(data, prior, g)
        _follow((own, own_prior, laws), contrast, theta[g].copy(), bounds[g], result[g])


@kernel
def _derivatives(theta, model, gradient, hessian):  # type: ignore[no-untyped-def]
    """Fill gradient and Hessian of the log density, known laws of effects included; return its value."""
    data, prior, laws = model
    value, first = log_density_derivatives(theta, data, prior, gradient, hessian), 0
    for i in range(laws.columns.size):
        k = laws.columns[i]
        height, slope, curve = _mixture_derivatives(theta[k], laws, first, laws.ends[i])
        value += height
        gradient[k] += slope
        hessian[k, k] += curve
        first = laws.ends[i]
    return value


@kernel
def _mixture_derivatives(effect, laws, first, last):  # type: ignore[no-untyped-def]
    """Return the log density of a mixture of some of the components at an effect, and its derivatives."""
    highest = -math.inf
    for j in range(first, last):
        part = laws.log_height[j] + log_effect_density(effect, laws.df[j], laws.scale[j])
        highest = max(highest, math.log(laws.weight[j]) + part)
    total, slope, curve = 0.0, 0.0, 0.0
    for j in range(first, last):
        part = laws.log_height[j] + log_effect_density(effect, laws.df[j], laws.scale[j])
        share = math.exp(math.log(laws.weight[j]) + part - highest)
        one, two = effect_derivatives(effect, laws.df[j], laws.scale[j])
        total += share
        slope += share * one
        curve += share * (two + one * one)
    slope /= total
    return highest + math.log(total), slope, curve / total - slope * slope


@kernel
def _follow(model, contrast, theta, bounds, ratio):  # type: ignore[no-untyped-def]
    """Fill the ratios of one gene; theta, at the start of the tail, is moved against ``direction``.

    Parameters
    ----------
    model : tuple of (GeneData, GenePrior, KnownLaws)
        Of the gene.
    contrast : ContrastAxes
    theta : ndarray (P + 1,)
        Changed.
    bounds : ndarray (bound,)
        In descending order.
    ratio : ndarray (bound,)
        Written to.
    """
    vector, direction, basis, spike = contrast
    at, step, first = 0.0, 0.0, 0
    for k in range(theta.size):
        at += vector[k] * theta[k]
    while first < bounds.size and bounds[first] >= at:
        first += 1
    drift, integrals = np.zeros(theta.size), np.zeros(bounds.size + 1)  # between the bounds
    passed, start, before, slope, height = first, 0.0, 0.0, 0.0, 0.0
    for point in range(MAX_POINTS):
        height, slope, curve = _profile(model, direction, basis, theta, drift)
        if math.isnan(height):
            return
        if point == 0:
            start = height
        height -= start
        if point > 0:
            integrals[passed] += step * _log_linear(before, height)
        if passed < bounds.size and at <= bounds[passed]:
            passed += 1
        if height < -DEEPEST:
            break
        if passed == bounds.size and math.exp(height) < NEGLIGIBLE * slope * integrals[passed]:
            break
        before = height
        step = _step(slope, curve, at, spike)
        if passed < bounds.size:
            step = min(step, at - bounds[passed])
        at -= step
        for i in range(theta.size):
            theta[i] -= step * (direction[i] + drift[i])
    integrals[passed] += math.exp(height) / slope if slope > 0.0 else 0.0
    _add_up(integrals, first, ratio)


@kernel
def _add_up(integrals, first, ratio):  # type: ignore[no-untyped-def]
    """Turn integrals between bounds into ratios of the tails, from the first bound within the tail."""
    beyond = 0.0
    for b in range(ratio.size, first, -1):
        beyond += integrals[b]
        ratio[b - 1] = beyond
    for b in range(first, ratio.size):
        ratio[b] = max(ratio[b] / (beyond + integrals[first]), 1e-300)


@kernel
def _step(slope, curve, at, spike):  # type: ignore[no-untyped-def]
    """Return how far to go before the log density is no longer close to a straight line."""
    step = OF_CURVATURE / math.sqrt(abs(curve) + 1e-12)
    if abs(slope) > 0.0:
        step = min(step, LARGEST_FALL / abs(slope))
    return min(step, OF_SPIKE * math.sqrt(spike * spike + at * at))


@kernel
def _log_linear(one, other):  # type: ignore[no-untyped-def]
    """Mean of exp over a straight line from one to the other."""
    gap = other - one
    if abs(gap) < 1e-6:
        return math.exp(0.5 * (one + other))
    return math.exp(one) * math.expm1(gap) / gap


@kernel
def _profile(model, direction, basis, theta, drift):  # type: ignore[no-untyped-def]
    """Move theta to the maximum over u; return m(delta), NaN if it is not found, its slope and curvature.

    The latter are those of max_u l. ``drift`` becomes what the maximum over u moves by when the contrast
    rises by one.
    """
    size, inner = basis.shape
    gradient, hessian = np.empty(size), np.empty((size, size))
    half, root, follow = np.empty((size, inner)), np.empty((inner, inner)), np.zeros(inner)
    height = _climb(model, basis, theta, gradient, hessian, half, root)
    for a in range(inner):
        for i in range(size):
            follow[a] += half[i, a] * direction[i]
    slope, curve = 0.0, 0.0
    for i in range(size):
        slope += gradient[i] * direction[i]
        for j in range(size):
            curve += direction[i] * hessian[i, j] * direction[j]
    mixed = follow.copy()
    solve(root, follow)
    for a in range(inner):
        curve += mixed[a] * follow[a]
    _fill_move(basis, follow, drift)
    return height, slope, curve


@kernel
def _climb(model, basis, theta, gradient, hessian, half, root):  # type: ignore[no-untyped-def]
    """Move theta along the basis to the maximum; return l - 0.5 ln |-H_uu| there, NaN if it is not found.

    Of l, constants of the counts are left out. ``half`` is filled with the Hessian times the basis.
    """
    size, inner = basis.shape
    step, move, trial, matrix = np.empty(inner), np.empty(size), np.empty(size), np.empty((inner, inner))
    value = _derivatives(theta, model, gradient, hessian)
    for _ in range(MAX_NEWTON):
        _project(hessian, basis, half, matrix)
        ridge, half_log_det = 0.0, _cholesky(matrix, 0.0, root)
        while math.isnan(half_log_det) and ridge < STIFFEST:
            ridge = max(4.0 * ridge, 0.1)
            half_log_det = _cholesky(matrix, ridge, root)
        for a in range(inner):
            step[a] = 0.0
            for i in range(size):
                step[a] += basis[i, a] * gradient[i]
        solve(root, step)
        _fill_move(basis, step, move)
        decrement, length = 0.0, 1.0
        for i in range(size):
            decrement += gradient[i] * move[i]
        if not decrement >= 0.0:
            return math.nan
        if decrement < FLAT and ridge == 0.0:
            return value - half_log_det
        while True:
            for i in range(size):
                trial[i] = theta[i] + length * move[i]
            new = _derivatives(trial, model, gradient, hessian)
            if new > value - ROUNDING:
                break
            length *= 0.5
            if length <= SHORTEST:
                return math.nan
        copy_row(trial, theta)
        value = new
    return math.nan


@kernel
def _project(hessian, basis, half, matrix):  # type: ignore[no-untyped-def]
    """Fill H B, and the lower triangle of -B' H B."""
    size, inner = basis.shape
    for i in range(size):
        for b in range(inner):
            half[i, b] = 0.0
            for j in range(size):
                half[i, b] += hessian[i, j] * basis[j, b]
    for a in range(inner):
        for b in range(a + 1):
            matrix[a, b] = 0.0
            for i in range(size):
                matrix[a, b] -= basis[i, a] * half[i, b]


@kernel
def _fill_move(basis, step, move):  # type: ignore[no-untyped-def]
    """Fill B z."""
    for i in range(move.size):
        move[i] = 0.0
        for a in range(step.size):
            move[i] += basis[i, a] * step[a]


@kernel
def _cholesky(matrix, ridge, root):  # type: ignore[no-untyped-def]
    """Fill the lower root of matrix + ridge; return half the log determinant, NaN if it is not definite."""
    half = 0.0
    for i in range(matrix.shape[0]):
        for j in range(i + 1):
            total = matrix[i, j]
            if i == j:
                total += ridge
            for k in range(j):
                total -= root[i, k] * root[j, k]
            if i == j:
                if not total > 1e-12:
                    return math.nan
                root[i, i] = math.sqrt(total)
                half += 0.5 * math.log(total)
            else:
                root[i, j] = total / root[j, j]
    return half
