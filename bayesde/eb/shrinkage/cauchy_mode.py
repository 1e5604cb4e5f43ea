r"""Posterior modes of coefficients of which some have a Cauchy prior: the compiled kernels.

    F(b) = L(b) + sum_{k shrunken} ln(1 + b_k^2 / S^2)
    L(b) = sum_j w_j [(y_j + r) ln(1 + mu_j / r) - y_j x_j . b] + sum_{l not shrunken} b_l^2 / (2 15^2)
    mu_j = nf_j exp(x_j . b),   r = 1 / dispersion,   w_j the weight of an observation (1)

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
from typing import NamedTuple

import numpy as np

from bayesde.numerics.cholesky import cholesky, solve
from bayesde.numerics.compiled import inlined, kernel

__all__ = ["UNSHRUNKEN_SD", "CauchyPrior", "OrderedCells", "find_modes"]

UNSHRUNKEN_SD = 15.0
"""Prior sd (natural log) of coefficients that are not shrunken: uninformative on any scale of counts."""
MAX_NEWTON_STEPS = 200
SHORTEST_STEP = 1e-12
SUFFICIENT = 1e-4
"""Share of the promised decrease that a step must achieve (Armijo's condition)."""
NEGLIGIBLE = 1e-16
"""Newton decrement (a squared length in posterior sds) of the last step; the next would be ~ 1e-16."""
ROUNDING = 1e-14
"""Differences of F below this, relative to its size, are noise."""
LARGEST_ETA = 500.0
"""Bound on linear predictors, so that their exponentials stay finite and positive."""
ETA_PER_EFFECT = 2.0
"""Linear predictors move by at most this times b_k on the way from the mode to zero."""
MAX_ROOT_STEPS = 20
MARGIN = 1.5
NEARLY = 0.25
"""What is taken for an estimate is within sqrt(NEARLY) standard errors of it; MARGIN times it is beyond."""


class OrderedCells(NamedTuple):
    """Cells of the design, with the samples in the order of their cells.

    Attributes
    ----------
    rows : ndarray (cell, coefficient)
    bounds : ndarray of int (cell + 1,)
        Where the samples of each cell begin and end.
    order : ndarray of int (sample,)
    """

    rows: np.ndarray
    bounds: np.ndarray
    order: np.ndarray


class CauchyPrior(NamedTuple):
    """Which coefficients are shrunken, and how strongly.

    Attributes
    ----------
    k : int
        The shrunken coefficient whose posterior sd is wanted.
    scales : ndarray (coefficient,)
        S of each Cauchy prior, natural log; 0 for coefficients that are not shrunken.
    """

    k: int
    scales: np.ndarray


class _Problem(NamedTuple):
    """What F of one gene depends on: ``data`` are counts, factors and weights (3, sample)."""

    data: np.ndarray
    rows: np.ndarray
    bounds: np.ndarray
    r: float
    scales: np.ndarray


class _Scratch(NamedTuple):
    """Derivatives of L (of F where it is factorised), the Cholesky factor, a step, and where it leads."""

    gradient: np.ndarray
    hessian: np.ndarray
    factor: np.ndarray
    step: np.ndarray
    trial: np.ndarray


@kernel
def _evaluate(b, problem, gradient, hessian):  # type: ignore[no-untyped-def]
    """Fill gradient and Hessian of L; with r (mu - y) / (mu + r) for (y + r) mu / (mu + r) - y."""
    data, rows, bounds, r, scales = problem
    p = b.size
    for a in range(p):
        precision = 0.0 if scales[a] > 0.0 else 1.0 / UNSHRUNKEN_SD**2
        gradient[a] = precision * b[a]
        for c in range(a):
            hessian[a, c] = 0.0
        hessian[a, a] = precision
    for cell in range(rows.shape[0]):
        eta = 0.0
        for a in range(p):
            eta += rows[cell, a] * b[a]
        level = math.exp(min(max(eta, -LARGEST_ETA), LARGEST_ETA))
        residual, weight = 0.0, 0.0
        for j in range(bounds[cell], bounds[cell + 1]):
            mu = data[1, j] * level
            inverse = 1.0 / (mu + r)
            own = data[2, j] * inverse
            residual += (mu - data[0, j]) * own
            weight += (data[0, j] + r) * mu * (inverse * own)
        for a in range(p):
            x = r * rows[cell, a]
            if x != 0.0:
                gradient[a] += x * residual
                x *= weight
                for c in range(a + 1):
                    hessian[a, c] += x * rows[cell, c]
    for a in range(p):
        for c in range(a):
            hessian[c, a] = hessian[a, c]


@kernel
def _objective(b, problem):  # type: ignore[no-untyped-def]
    """Return F(b)."""
    data, rows, bounds, r, scales = problem
    total = 0.0
    for cell in range(rows.shape[0]):
        eta = 0.0
        for a in range(b.size):
            eta += rows[cell, a] * b[a]
        eta = min(max(eta, -LARGEST_ETA), LARGEST_ETA)
        level = math.exp(eta) / r
        for j in range(bounds[cell], bounds[cell + 1]):
            loss = (data[0, j] + r) * math.log1p(data[1, j] * level) - data[0, j] * eta
            total += data[2, j] * loss
    for a in range(b.size):
        if scales[a] > 0.0:
            total += math.log1p((b[a] / scales[a]) ** 2)
        else:
            total += 0.5 * (b[a] / UNSHRUNKEN_SD) ** 2
    return total


@inlined
def _newton_step(b, scales, gradient, hessian, factor, step):  # type: ignore[no-untyped-def]
    """Solve for the step; return (decrement, slope of L along it, whether the Hessian of F was definite).

    Where it is not, the prior is replaced by the parabola that touches it from above. A decrement of NaN
    says that there is no step.
    """
    for a in range(b.size):
        step[a] = -gradient[a]
        if scales[a] > 0.0:
            square = scales[a] * scales[a]
            total = 1.0 / (square + b[a] * b[a])
            step[a] -= 2.0 * b[a] * total
            hessian[a, a] += 2.0 * (square - b[a] * b[a]) * (total * total)
    definite = cholesky(hessian, factor)
    if not definite:
        for a in range(b.size):
            if scales[a] > 0.0:
                hessian[a, a] += 4.0 * (b[a] / (scales[a] * scales[a] + b[a] * b[a])) ** 2
        if not cholesky(hessian, factor):
            return math.nan, math.nan, False
    solve(factor, step)
    decrement, slope = 0.0, 0.0
    for a in range(b.size):
        slope += gradient[a] * step[a]
        if scales[a] > 0.0:
            decrement -= 2.0 * b[a] / (scales[a] * scales[a] + b[a] * b[a]) * step[a]
    return decrement - slope, slope, definite


@inlined
def _gain_bounds(b, trial, slope, rows, scales, gradient):  # type: ignore[no-untyped-def]
    """Return bounds, from below and from above, of F(b) - F(trial).

    ``slope`` is grad L(b) . (trial - b), ``gradient`` that of L at the trial point.
    """
    slope_after, prior_gain, distance = 0.0, 0.0, 0.0
    for a in range(b.size):
        slope_after += gradient[a] * (trial[a] - b[a])
        if scales[a] > 0.0:
            change = (b[a] - trial[a]) * (b[a] + trial[a])
            prior_gain += math.log1p(change / (scales[a] * scales[a] + trial[a] * trial[a]))
    for cell in range(rows.shape[0]):
        eta = 0.0
        for a in range(b.size):
            eta += rows[cell, a] * (trial[a] - b[a])
        distance = max(distance, abs(eta))
    middle, error = -0.5 * (slope + slope_after), 0.125 * distance * (slope_after - slope)
    return max(middle - error, -slope_after) + prior_gain, min(middle + error, -slope) + prior_gain


@kernel
def _descend(b, promise, problem, scratch):  # type: ignore[no-untyped-def]
    """Move ``b`` along the step far enough down, and evaluate there; False if no step leads down.

    ``promise`` is the decrement and the slope of L.
    """
    gradient, hessian, _, step, trial = scratch
    length, value = 1.0, math.nan
    while length > SHORTEST_STEP:
        for a in range(b.size):
            trial[a] = b[a] + length * step[a]
        _evaluate(trial, problem, gradient, hessian)
        enough = SUFFICIENT * length * promise[0]
        lower, upper = _gain_bounds(b, trial, length * promise[1], problem.rows, problem.scales, gradient)
        down = lower >= enough
        if not down and upper >= enough:
            if math.isnan(value):
                value = _objective(b, problem)
            new = _objective(trial, problem)
            down = new <= value - enough + ROUNDING * (1.0 + abs(value))
        if down:
            for a in range(b.size):
                b[a] = trial[a]
            return True
        length *= 0.5
    return False


@kernel
def _minimize(b, problem, scratch):  # type: ignore[no-untyped-def]
    """Go down from ``b``, which is overwritten, to a minimum; the factor belongs to the Hessian there."""
    gradient, hessian, factor, step, _ = scratch
    _evaluate(b, problem, gradient, hessian)
    for _ in range(MAX_NEWTON_STEPS):
        decrement, slope, definite = _newton_step(b, problem.scales, gradient, hessian, factor, step)
        if definite and decrement <= NEGLIGIBLE:
            for a in range(b.size):
                b[a] += step[a]
            return True
        promise = (decrement, slope)
        if math.isnan(decrement) or not _descend(b, promise, problem, scratch):
            return False
    return False


@inlined
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
    return information * math.exp(-ETA_PER_EFFECT * max(c, estimate - c)) > needed


@inlined
def _is_convex_near(b, problem, scratch):  # type: ignore[no-untyped-def]
    """Tell whether F is convex as far around ``b`` as zero is; priors curve by at least -1 / (4 S^2)."""
    gradient, hessian, factor, _, _ = scratch
    scales, distance = problem.scales, 0.0
    for a in range(b.size):
        if scales[a] > 0.0:
            distance += abs(b[a])
    _evaluate(b, problem, gradient, hessian)
    for a in range(b.size):
        for c in range(b.size):
            hessian[a, c] *= math.exp(-ETA_PER_EFFECT * distance)
        if scales[a] > 0.0:
            hessian[a, a] -= 0.25 / (scales[a] * scales[a])
    return cholesky(hessian, factor)


@inlined
def _is_only_minimum(b, estimate, k, variance, scale):  # type: ignore[no-untyped-def]
    """Tell whether a minimum of F is certain to be the only one; ``variance`` is b_k's by F's Hessian."""
    size, square = abs(b[k]), scale * scale
    curvature = 2.0 * (square - size * size) / (square + size * size) ** 2
    return _is_only_one(size, max(MARGIN * abs(estimate[k]), size), 1.0 / variance - curvature, scale)


@inlined
def _set_start(number, first, scales, b):  # type: ignore[no-untyped-def]
    """Fill ``b`` with one more start; return False if there is none of that number.

    0: the estimate; 1: with all shrunken coefficients at 0. If there are several: each of them alone at 0,
    and each of them alone not at 0.
    """
    several = 0
    for a in range(b.size):
        several += scales[a] > 0.0
    if number > (1 + 2 * several if several > 1 else 1):
        return False
    chosen, place = (number - 2) // 2, 0
    for a in range(b.size):
        b[a] = first[a]
        if scales[a] > 0.0:
            if number == 1 or (number > 1 and (place == chosen) == (number % 2 == 0)):
                b[a] = 0.0
            place += 1
    return True


@inlined
def _nearest_root(estimate, variance, scale):  # type: ignore[no-untyped-def]
    """Minimize (b - estimate)^2 / (2 variance) + ln(1 + b^2 / S^2), going down from the estimate."""
    b, square = estimate, scale * scale
    for _ in range(MAX_ROOT_STEPS):
        value = (b - estimate) * (square + b * b) + 2.0 * variance * b
        slope = square + b * b + 2.0 * b * (b - estimate) + 2.0 * variance
        change = value / slope if slope > 0.0 else 0.5 * b
        b -= change
        if abs(change) <= 1e-3 * scale:
            break
    return b


@kernel
def _set_estimate(estimate, free, scratch):  # type: ignore[no-untyped-def]
    """Move an estimate to the minimum of L unless that is near: True if L is evaluated and factorised there.

    It may be one of other counts (excessive ones replaced) or of means that were held above a limit. ``free``
    is the problem without any Cauchy prior.
    """
    gradient, hessian, factor, step, _ = scratch
    _evaluate(estimate, free, gradient, hessian)
    if not cholesky(hessian, factor):
        return False
    decrement = 0.0
    for a in range(estimate.size):
        step[a] = -gradient[a]
    solve(factor, step)
    for a in range(estimate.size):
        decrement -= gradient[a] * step[a]
    if decrement > NEARLY:
        _minimize(estimate, free, scratch)
        _evaluate(estimate, free, gradient, hessian)
        return cholesky(hessian, factor)
    return True


@kernel
def _variance(k, factor, column):  # type: ignore[no-untyped-def]
    """Return the variance of b_k by the matrix that was factorised; leave its covariances in ``column``."""
    for a in range(column.size):
        column[a] = 1.0 if a == k else 0.0
    solve(factor, column)
    return column[k]


@inlined
def _set_first_start(b, k, scale, scratch):  # type: ignore[no-untyped-def]
    """Move the estimate ``b`` to where the minimum would be if L were quadratic there."""
    gradient, _, factor, step, trial = scratch
    for a in range(b.size):
        step[a] = -gradient[a]
    solve(factor, step)
    variance = _variance(k, factor, trial)
    estimate = b[k] + step[k]
    change = _nearest_root(estimate, variance, scale) - estimate
    for a in range(b.size):
        b[a] += step[a] + trial[a] / variance * change


@inlined
def _find_mode(best, k, several, problem, free, scratch, starts):  # type: ignore[no-untyped-def]
    """Overwrite the estimate with the lowest minimum; return b_k's variance by the Hessian there, or NaN."""
    factor, trial, scales = scratch.factor, scratch.trial, problem.scales
    other, estimate = starts[0], starts[1]
    informative = _set_estimate(best, free, scratch)
    for a in range(best.size):
        estimate[a] = best[a]
    if informative and not several:
        _set_first_start(best, k, scales[k], scratch)
    lowest, variance = math.inf, math.nan
    if _minimize(best, problem, scratch):
        variance = _variance(k, factor, trial)
        if several:
            only = _is_convex_near(best, problem, scratch)
        else:
            only = _is_only_minimum(best, estimate, k, variance, scales[k])
        if only:
            return variance
        lowest = _objective(best, problem)
    number = 0
    while _set_start(number, estimate, scales, other):
        number += 1
        if _minimize(other, problem, scratch):
            value = _objective(other, problem)
            if value < lowest:
                lowest, variance = value, _variance(k, factor, trial)
                for a in range(best.size):
                    best[a] = other[a]
    return variance


@kernel
def find_modes(first, last, block, cells, dispersion, prior, beta, sd):  # type: ignore[no-untyped-def]
    """Fill the mode of some genes and the posterior sd of coefficient k, NaN where no minimum was reached.

    ``beta`` (gene, coefficient) holds maximum-likelihood estimates, which are overwritten; ``sd`` is (gene,).
    Genes whose dispersion is NaN are left out. The counts of the block may be integers.
    """
    counts, factors, weights, _ = block
    k, scales = prior
    m, p = counts.shape[1], beta.shape[1]
    several = np.sum(scales > 0.0) > 1
    data, vectors = np.ones((3, m)), np.zeros((6, p))
    none, starts = vectors[5], vectors[3:5]
    scratch = _Scratch(vectors[0], np.empty((p, p)), np.zeros((p, p)), vectors[1], vectors[2])
    for g in range(first, last):
        sd[g] = np.nan
        if not math.isnan(dispersion[g]):
            for j in range(m):
                data[0, j] = counts[g, cells.order[j]]
                data[1, j] = factors[g if factors.shape[0] > 1 else 0, cells.order[j]]
                if weights.size:
                    data[2, j] = weights[g, cells.order[j]]
            r = 1.0 / dispersion[g]
            problem = _Problem(data, cells.rows, cells.bounds, r, scales)
            free = _Problem(data, cells.rows, cells.bounds, r, none)
            sd[g] = math.sqrt(_find_mode(beta[g], k, several, problem, free, scratch, starts))
        if math.isnan(sd[g]):
            beta[g, :] = np.nan
