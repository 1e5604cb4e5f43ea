r"""Posterior modes of coefficients of which some have a Cauchy prior: the compiled kernels.

    F(b) = L(b) + sum_{k shrunken} ln(1 + b_k^2 / S^2)
    L(b) = sum_j [(y_j + r) ln(1 + mu_j / r) - y_j x_j . b] + sum_{l not shrunken} b_l^2 / (2 15^2)
    mu_j = nf_j exp(x_j . b),   r = 1 / dispersion

(Zhu, Ibrahim and Love 2019, doi:10.1093/bioinformatics/bty895). L is convex, F need not be. Newton's method
goes down from the maximum-likelihood estimate and, unless that minimum is the only one, from zero.

Some inequalities save most of the work:

* A step s is checked without computing F, which costs a logarithm a sample. L is convex, and its curvature
  changes by at most a factor e^d when no linear predictor changes by more than d (weights are logistic in
  them), so with the slopes u, v of L along s before and after it, which are needed anyway,

      -v <= L(b) - L(b + s) <= -u   and   |L(b) - L(b + s) + (u + v) / 2| <= d (v - u) / 8,

  the latter by the error of the trapezium rule.
* Let b_k = c at a minimum, g the profile of L over the other coefficients (convex, too) and h the prior's
  part. Another stationary point at z needs g'(c) - g'(z) = h'(z) - h'(c), so that somewhere between them

      g'' <= 2 (c z - S^2) / ((S^2 + z^2) (S^2 + c^2)) <= c / (z_1 (S^2 + c^2)),
      z_1 = (S^2 + S sqrt(S^2 + c^2)) / c.

  Where the information at c is more than e^d times that, there is no other minimum within d.
  For c <= S there is none between 0 and c either, since h' still increases there.

Samples with the same row of the design are a cell and share exp(x . b). Natural-log units throughout.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange

from bayesde.eb.nb import cholesky, solve

__all__ = ["NUISANCE_SD", "Cells", "find_modes"]

NUISANCE_SD = 15.0
"""Prior standard deviation of the coefficients that are not shrunk: no information at any scale of counts."""
MAX_NEWTON_STEPS = 200
SHORTEST_STEP = 1e-12
SUFFICIENT = 1e-4
"""Share of the promised decrease that a step must achieve (Armijo's condition)."""
NEGLIGIBLE = 1e-16
"""Newton decrement (a squared length in posterior sds) of the last step: the one after it would be ~ 1e-16."""
ROUNDING = 1e-14
"""Differences of F below this, relative to its size, are noise."""
LARGEST_ETA = 500.0
"""Linear predictors are held within this, so that their exponentials stay finite and positive."""
REACH = 2.0
"""Linear predictors move by at most this times b_k on the way from the mode to zero."""
MAX_ROOT_STEPS = 20
MARGIN = 1.5
NEARLY = 0.25
"""What is called an estimate is within sqrt(NEARLY) standard errors of it, and MARGIN times it is beyond it."""
GENES_PER_BLOCK = 64


class Cells(NamedTuple):
    """Samples grouped by their row of the design.

    Attributes
    ----------
    rows : ndarray (cell, coefficient)
        The distinct rows.
    bounds : ndarray of int (cell + 1,)
        Cell c has the samples ``order[bounds[c]:bounds[c + 1]]``.
    order : ndarray of int (sample,)
    """

    rows: np.ndarray
    bounds: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, design: np.ndarray) -> Cells:
        """Group the rows of a design (sample, coefficient)."""
        rows, cell = np.unique(design, axis=0, return_inverse=True)
        cell = cell.reshape(-1)
        bounds = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=len(rows)))])
        return cls(np.ascontiguousarray(rows), bounds, np.argsort(cell, kind="stable"))


class _Gene(NamedTuple):
    """Counts and factors in the order of the cells, r, and the prior: which coefficients, k of them, and S."""

    y: Any
    factors: Any
    rows: Any
    bounds: Any
    r: Any
    shrunken: Any
    k: Any
    several: Any
    scale: Any


class _Work(NamedTuple):
    """Arrays that the kernels write to, so that nothing is allocated per gene."""

    gradient: Any
    hessian: Any
    factor: Any
    step: Any
    slope: Any
    trial: Any
    other: Any
    estimate: Any


@njit(cache=True, error_model="numpy")
def _evaluate(b, gene, gradient, hessian):  # type: ignore[no-untyped-def]
    """Fill gradient and Hessian of L; with r (mu - y) / (mu + r) for (y + r) mu / (mu + r) - y."""
    p = b.size
    for a in range(p):
        precision = 0.0 if gene.shrunken[a] else 1.0 / NUISANCE_SD**2
        gradient[a] = precision * b[a]
        for c in range(a):
            hessian[a, c] = 0.0
        hessian[a, a] = precision
    y, factors, rows, r = gene.y, gene.factors, gene.rows, gene.r
    for cell in range(rows.shape[0]):
        eta = 0.0
        for a in range(p):
            eta += rows[cell, a] * b[a]
        level = math.exp(min(max(eta, -LARGEST_ETA), LARGEST_ETA))
        residual, weight = 0.0, 0.0
        for j in range(gene.bounds[cell], gene.bounds[cell + 1]):
            mu = factors[j] * level
            inverse = 1.0 / (mu + r)
            residual += (mu - y[j]) * inverse
            weight += (y[j] + r) * mu * (inverse * inverse)
        for a in range(p):
            x = r * rows[cell, a]
            if x != 0.0:
                gradient[a] += x * residual
                for c in range(a + 1):
                    hessian[a, c] += x * weight * rows[cell, c]
    for a in range(p):
        for c in range(a):
            hessian[c, a] = hessian[a, c]


@njit(cache=True, error_model="numpy")
def _objective(b, gene):  # type: ignore[no-untyped-def]
    """Return F(b)."""
    total = 0.0
    for cell in range(gene.rows.shape[0]):
        eta = 0.0
        for a in range(b.size):
            eta += gene.rows[cell, a] * b[a]
        eta = min(max(eta, -LARGEST_ETA), LARGEST_ETA)
        level = math.exp(eta) / gene.r
        for j in range(gene.bounds[cell], gene.bounds[cell + 1]):
            total += (gene.y[j] + gene.r) * math.log1p(gene.factors[j] * level) - gene.y[j] * eta
    for a in range(b.size):
        if gene.shrunken[a]:
            total += math.log1p((b[a] / gene.scale) ** 2)
        else:
            total += 0.5 * (b[a] / NUISANCE_SD) ** 2
    return total


@njit(cache=True, error_model="numpy")
def _newton_step(b, gene, work):  # type: ignore[no-untyped-def]
    """Solve for the step; return (decrement, slope of L along it, whether the Hessian of F was definite).

    Where it is not, the prior is replaced by the parabola that touches it from above. A decrement of NaN
    says that there is no step.
    """
    square = gene.scale * gene.scale
    for a in range(b.size):
        work.slope[a] = work.gradient[a]
        if gene.shrunken[a]:
            total = square + b[a] * b[a]
            work.slope[a] += 2.0 * b[a] / total
            work.hessian[a, a] += 2.0 * (square - b[a] * b[a]) / (total * total)
        work.step[a] = -work.slope[a]
    definite = cholesky(work.hessian, work.factor)
    if not definite:
        for a in range(b.size):
            if gene.shrunken[a]:
                work.hessian[a, a] += 4.0 * (b[a] / (square + b[a] * b[a])) ** 2
        if not cholesky(work.hessian, work.factor):
            return math.nan, math.nan, False
    solve(work.factor, work.step)
    decrement, slope = 0.0, 0.0
    for a in range(b.size):
        decrement -= work.slope[a] * work.step[a]
        slope += work.gradient[a] * work.step[a]
    return decrement, slope, definite


@njit(cache=True, error_model="numpy")
def _gain_bounds(b, slope, gene, work):  # type: ignore[no-untyped-def]
    """Return bounds, from below and from above, of F(b) - F(trial), given the gradient of L at both points.

    ``slope`` is grad L(b) . (trial - b).
    """
    slope_after, prior_gain, distance = 0.0, 0.0, 0.0
    for a in range(b.size):
        slope_after += work.gradient[a] * (work.trial[a] - b[a])
        if gene.shrunken[a]:
            change = (b[a] - work.trial[a]) * (b[a] + work.trial[a])
            prior_gain += math.log1p(change / (gene.scale * gene.scale + work.trial[a] * work.trial[a]))
    for cell in range(gene.rows.shape[0]):
        eta = 0.0
        for a in range(b.size):
            eta += gene.rows[cell, a] * (work.trial[a] - b[a])
        distance = max(distance, abs(eta))
    middle, error = -0.5 * (slope + slope_after), 0.125 * distance * (slope_after - slope)
    return max(middle - error, -slope_after) + prior_gain, min(middle + error, -slope) + prior_gain


@njit(cache=True, error_model="numpy")
def _descend(b, slope, decrement, gene, work):  # type: ignore[no-untyped-def]
    """Move ``b`` along the step far enough down, and evaluate there; False if no step leads down."""
    length, value = 1.0, math.nan
    while length > SHORTEST_STEP:
        for a in range(b.size):
            work.trial[a] = b[a] + length * work.step[a]
        _evaluate(work.trial, gene, work.gradient, work.hessian)
        enough = SUFFICIENT * length * decrement
        lower, upper = _gain_bounds(b, length * slope, gene, work)
        down = lower >= enough
        if not down and upper >= enough:
            if math.isnan(value):
                value = _objective(b, gene)
            down = _objective(work.trial, gene) <= value - enough + ROUNDING * (1.0 + abs(value))
        if down:
            for a in range(b.size):
                b[a] = work.trial[a]
            return True
        length *= 0.5
    return False


@njit(cache=True, error_model="numpy")
def _minimise(b, gene, work):  # type: ignore[no-untyped-def]
    """Go down from ``b``, which is overwritten, to a minimum; ``work.factor`` belongs to the Hessian there."""
    _evaluate(b, gene, work.gradient, work.hessian)
    for _ in range(MAX_NEWTON_STEPS):
        decrement, slope, definite = _newton_step(b, gene, work)
        if definite and decrement <= NEGLIGIBLE:
            for a in range(b.size):
                b[a] += work.step[a]
            return True
        if math.isnan(decrement) or not _descend(b, slope, decrement, gene, work):
            return False
    return False


@njit(cache=True, error_model="numpy")
def _is_only_one(c, estimate, information, scale):  # type: ignore[no-untyped-def]
    """Tell whether there is no other minimum between zero and an estimate; both numbers are sizes.

    c is the shrunken coefficient at a minimum, ``information`` the second derivative of the profile of L
    there: see the module's docstring.
    """
    square = scale * scale
    if c <= scale and c * estimate <= square:
        return True
    far = min((square + scale * math.sqrt(square + c * c)) / c, estimate)
    needed = 2.0 * (c * far - square) / ((square + far * far) * (square + c * c))
    return information * math.exp(-REACH * max(c, estimate - c)) > needed


@njit(cache=True, error_model="numpy")
def _is_convex_near(b, gene, work):  # type: ignore[no-untyped-def]
    """Tell whether F is convex as far around ``b`` as zero is: no prior's curvature is below -1 / (4 S^2)."""
    distance = 0.0
    for a in range(b.size):
        if gene.shrunken[a]:
            distance += abs(b[a])
    _evaluate(b, gene, work.gradient, work.hessian)
    for a in range(b.size):
        for c in range(b.size):
            work.hessian[a, c] *= math.exp(-REACH * distance)
        if gene.shrunken[a]:
            work.hessian[a, a] -= 0.25 / (gene.scale * gene.scale)
    return cholesky(work.hessian, work.factor)


@njit(cache=True, error_model="numpy")
def _is_only_minimum(b, variance, gene, work):  # type: ignore[no-untyped-def]
    """Tell whether a minimum of F is certain to be the only one; ``variance`` is b_k's by the Hessian of F."""
    if gene.several:
        return _is_convex_near(b, gene, work)
    size, square = abs(b[gene.k]), gene.scale * gene.scale
    curvature = 2.0 * (square - size * size) / (square + size * size) ** 2
    estimate = max(MARGIN * abs(work.estimate[gene.k]), size)
    return _is_only_one(size, estimate, 1.0 / variance - curvature, gene.scale)


@njit(cache=True, error_model="numpy")
def _set_start(number, first, shrunken, b):  # type: ignore[no-untyped-def]
    """Fill ``b`` with one more start; return False if there is none of that number.

    0: the estimate; 1: with all shrunken coefficients at 0. If there are several: each of them alone at 0,
    and each of them alone not at 0.
    """
    several = 0
    for a in range(b.size):
        several += shrunken[a]
    if number > (1 + 2 * several if several > 1 else 1):
        return False
    chosen, place = (number - 2) // 2, 0
    for a in range(b.size):
        b[a] = first[a]
        if shrunken[a]:
            if number == 1 or number > 1 and (place == chosen) == (number % 2 == 0):
                b[a] = 0.0
            place += 1
    return True


@njit(cache=True, error_model="numpy")
def _nearest_root(estimate, variance, scale):  # type: ignore[no-untyped-def]
    """Minimise (b - estimate)^2 / (2 variance) + ln(1 + b^2 / S^2), going down from the estimate."""
    b, square = estimate, scale * scale
    for _ in range(MAX_ROOT_STEPS):
        value = (b - estimate) * (square + b * b) + 2.0 * variance * b
        slope = square + b * b + 2.0 * b * (b - estimate) + 2.0 * variance
        change = value / slope if slope > 0.0 else 0.5 * b
        b -= change
        if abs(change) <= 1e-3 * scale:
            break
    return b


@njit(cache=True, error_model="numpy")
def _set_estimate(first, gene, free, work):  # type: ignore[no-untyped-def]
    """Fill ``work.estimate`` with the minimum of L, or with ``first`` if that is it, nearly.

    ``first`` may be of other counts (excessive ones replaced) or of means that were held above a limit.
    ``free`` is the gene without Cauchy priors.
    """
    for a in range(first.size):
        work.estimate[a] = first[a]
    _evaluate(work.estimate, gene, work.gradient, work.hessian)
    if not cholesky(work.hessian, work.factor):
        return False
    work.step[:] = work.gradient
    solve(work.factor, work.step)
    decrement = 0.0
    for a in range(first.size):
        decrement += work.gradient[a] * work.step[a]
    if decrement > NEARLY and _minimise(work.estimate, free, work):
        _evaluate(work.estimate, gene, work.gradient, work.hessian)
        return cholesky(work.hessian, work.factor)
    return True


@njit(cache=True, error_model="numpy")
def _variance(gene, work):  # type: ignore[no-untyped-def]
    """Return the variance of b_k by the matrix factorised last, and leave its covariances in ``work.trial``."""
    for a in range(work.trial.size):
        work.trial[a] = 1.0 if a == gene.k else 0.0
    solve(work.factor, work.trial)
    return work.trial[gene.k]


@njit(cache=True, error_model="numpy")
def _set_first_start(b, gene, work):  # type: ignore[no-untyped-def]
    """Move the estimate ``b`` to where the minimum would be if L were quadratic there; one coefficient only.

    L has just been evaluated and factorised at the estimate.
    """
    for a in range(b.size):
        work.step[a] = -work.gradient[a]
    solve(work.factor, work.step)
    variance = _variance(gene, work)
    estimate = b[gene.k] + work.step[gene.k]
    change = _nearest_root(estimate, variance, gene.scale) - estimate
    for a in range(b.size):
        b[a] += work.step[a] + work.trial[a] / variance * change


@njit(cache=True, error_model="numpy")
def _find_mode(first, gene, free, work, best):  # type: ignore[no-untyped-def]
    """Fill ``best`` with the lowest minimum; return b_k's variance by the Hessian there, or NaN."""
    informative = _set_estimate(first, gene, free, work)
    for a in range(first.size):
        best[a] = work.estimate[a]
    if informative and not gene.several:
        _set_first_start(best, gene, work)
    lowest, variance = math.inf, math.nan
    if _minimise(best, gene, work):
        variance = _variance(gene, work)
        if _is_only_minimum(best, variance, gene, work):
            return variance
        lowest = _objective(best, gene)
    number = 0
    while _set_start(number, work.estimate, gene.shrunken, work.other):
        number += 1
        if _minimise(work.other, gene, work):
            value = _objective(work.other, gene)
            if value < lowest:
                lowest, variance = value, _variance(gene, work)
                for a in range(first.size):
                    best[a] = work.other[a]
    return variance


@njit(cache=True, parallel=True, error_model="numpy")
def find_modes(counts, factors, cells, dispersion, first, shrunken, k, scale, beta, sd):  # type: ignore[no-untyped-def]
    """Fill the mode of every gene and the posterior sd of coefficient k, NaN where no minimum was reached.

    Parameters
    ----------
    counts, factors : ndarray (gene, sample)
    cells : Cells
    dispersion : ndarray (gene,)
        Genes with NaN are left out: their numbers are NaN.
    first : ndarray (gene, coefficient)
        Maximum-likelihood estimates.
    shrunken : ndarray of bool (coefficient,)
        Which coefficients have the Cauchy prior.
    k : int
        One of these.
    scale : float
        S.
    beta : ndarray (gene, coefficient)
        Written to.
    sd : ndarray (gene,)
        Written to.
    """
    n_genes, m = counts.shape
    p = first.shape[1]
    none, several = np.zeros(p, dtype=np.bool_), np.sum(shrunken) > 1
    for block in prange((n_genes + GENES_PER_BLOCK - 1) // GENES_PER_BLOCK):
        y, nf, vectors = np.empty(m), np.empty(m), np.empty((6, p))
        work = _Work(
            gradient=vectors[0],
            hessian=np.empty((p, p)),
            factor=np.zeros((p, p)),
            step=vectors[1],
            slope=vectors[2],
            trial=vectors[3],
            other=vectors[4],
            estimate=vectors[5],
        )
        for g in range(block * GENES_PER_BLOCK, min((block + 1) * GENES_PER_BLOCK, n_genes)):
            beta[g, :] = np.nan
            sd[g] = np.nan
            if math.isnan(dispersion[g]):
                continue
            for j in range(m):
                y[j] = counts[g, cells.order[j]]
                nf[j] = factors[g, cells.order[j]]
            r = 1.0 / dispersion[g]
            gene = _Gene(y, nf, cells.rows, cells.bounds, r, shrunken, k, several, scale)
            free = _Gene(y, nf, cells.rows, cells.bounds, r, none, k, several, scale)
            sd[g] = math.sqrt(_find_mode(first[g], gene, free, work, beta[g]))
