r"""The likelihood of a feature's counts beside those of the others of its gene, without the sample effects.

For sample j, with the counts y_j of a feature (an exon bin, a junction) and z_j of the gene's other features,

    y_j ~ NB(exp(b_j + eta_j), alpha),   z_j ~ NB(exp(b_j), alpha),   eta_j = x_j . beta,

which is DEXSeq's model ``~ sample + exon + condition:exon`` on the columns `this` and `others` (Anders, Reyes
and Huber 2012, doi:10.1101/gr.133744.111; Reyes et al. 2013). The effect b_j of a sample takes a parameter
each, and the size factor with it. Given eta_j, with q = exp(eta_j) and m = exp(b_j), its score equation

    (y - q m) / (1 + alpha q m) + (z - m) / (1 + alpha m) = 0

is quadratic in m and has one positive root, so that b_j is never iterated for. The normal equations of all
parameters have the shape of an arrow; eliminating the b_j leaves (Schur complement)

    X' V X,   v_j = w_j u_j / (w_j + u_j),   w = q m / (1 + alpha q m),   u = m / (1 + alpha m),
    ln det of the whole matrix = ln det X' V X + sum_j ln(w_j + u_j),

which is used by the regression and by the Cox-Reid term of the dispersion. A sample without counts of the
gene says nothing about usage, and is left out. Natural-log units.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.numerics.cholesky import cholesky, log_determinant, solve, weighted_gram
from bayesde.numerics.compiled import kernel
from bayesde.numerics.gamma_functions import gamma_excess, gamma_excess_with_slope, log_one_plus, log_ratio

__all__ = [
    "FeatureCounts",
    "Limits",
    "fill_dispersions",
    "fill_integrated",
    "fill_log_determinants",
    "fill_regressions",
    "sample_level",
]

LARGEST_ETA = 50.0
"""Log ratios of usage are cut here."""
MAX_ITERATIONS = 100
TOLERANCE = 1e-11
"""Gain in the log likelihood below which the regression stops."""
ROUNDING = 1e-12
"""Relative loss of log likelihood by rounding."""
HALVINGS = 20
ROUNDS = 10
"""Alternations between means and dispersion."""
SAME = 0.01
"""Change of ln dispersion at which they stop."""
LOWEST, LOW = math.log(1e-8), math.log(1e-6)
"""A dispersion below the second is given as the first, as is done for genes."""
SEARCHES = 60
CLOSE = 1e-6


class FeatureCounts(NamedTuple):
    """Counts and design of some features.

    Attributes
    ----------
    this, others : ndarray of float64 (feature, sample)
    x : ndarray (sample, coefficient)
    """

    this: np.ndarray
    others: np.ndarray
    x: np.ndarray


class Limits(NamedTuple):
    """What keeps the parameters of the search for dispersions within bounds.

    Attributes
    ----------
    ridge : ndarray (coefficient,)
        Prior precisions of the coefficients.
    high : float
        Upper limit of ln dispersion.
    """

    ridge: np.ndarray
    high: float


@kernel
def sample_level(ratio, this, others, alpha):  # type: ignore[no-untyped-def]
    """Return the most likely mean m of `others`, given the ratio q of usage; 0 without counts."""
    total = this + others
    b = 1.0 + ratio - alpha * (this + ratio * others)
    root = math.sqrt(b * b + 8.0 * alpha * ratio * total)
    return 2.0 * total / (b + root) if b > 0.0 else (root - b) / (4.0 * alpha * ratio)


@kernel
def _ratio(x, j, beta):  # type: ignore[no-untyped-def]
    """Return eta_j, within its limits, and its exponential."""
    eta = 0.0
    for k in range(beta.size):
        eta += x[j, k] * beta[k]
    eta = min(max(eta, -LARGEST_ETA), LARGEST_ETA)
    return eta, math.exp(eta)


@kernel
def _part(y, log_mu, mu, alpha):  # type: ignore[no-untyped-def]
    """Return the log likelihood of a count but for what does not depend on its mean."""
    return y * log_mu - (y + 1.0 / alpha) * log_one_plus(alpha * mu)


@kernel
def _expand(this, others, x, beta, alpha, weight, score):  # type: ignore[no-untyped-def]
    """Fill the weights v_j and scores (sample,); return the log likelihood, sample effects at their mode."""
    total = 0.0
    for j in range(this.size):
        weight[j], score[j] = 0.0, 0.0
        if this[j] + others[j] == 0.0:
            continue
        eta, ratio = _ratio(x, j, beta)
        m = sample_level(ratio, this[j], others[j], alpha)
        mu, log_m = ratio * m, math.log(m)
        w, u = mu / (1.0 + alpha * mu), m / (1.0 + alpha * m)
        weight[j] = w * u / (w + u)
        score[j] = (this[j] - mu) / (1.0 + alpha * mu)
        total += _part(this[j], eta + log_m, mu, alpha) + _part(others[j], log_m, m, alpha)
    return total


@kernel
def _penalty(beta, ridge):  # type: ignore[no-untyped-def]
    total = 0.0
    for k in range(beta.size):
        total += 0.5 * ridge[k] * beta[k] * beta[k]
    return total


@kernel
def _regress(this, others, x, alpha, ridge, beta, gram, factor):  # type: ignore[no-untyped-def]
    """Maximize the penalized likelihood over beta, from where it is; return the likelihood, or NaN.

    ``gram`` and ``factor`` are X'VX + R there and its Cholesky factor.
    """
    n, p = x.shape
    weight, score = np.empty(n), np.empty(n)
    slope, step, trial = np.empty(p), np.empty(p), np.empty(p)
    value = _expand(this, others, x, beta, alpha, weight, score) - _penalty(beta, ridge)
    for _ in range(MAX_ITERATIONS):
        weighted_gram(x, weight, gram)
        gain = 0.0  # that Newton's step promises, twice
        for k in range(p):
            gram[k, k] += ridge[k]
            slope[k] = -ridge[k] * beta[k]
            for j in range(n):
                slope[k] += x[j, k] * score[j]
            step[k] = slope[k]
        if not cholesky(gram, factor):
            return math.nan
        solve(factor, step)
        for k in range(p):
            gain += slope[k] * step[k]
        if gain <= TOLERANCE:
            return value + _penalty(beta, ridge)
        size = 1.0
        for _ in range(HALVINGS):
            for k in range(p):
                trial[k] = beta[k] + size * step[k]
            new = _expand(this, others, x, trial, alpha, weight, score) - _penalty(trial, ridge)
            if new >= value - ROUNDING * abs(value):
                break
            size *= 0.5
        for k in range(p):
            beta[k] = trial[k]
        value = new
    return math.nan


@kernel
def fill_regressions(first, last, counts, alpha, ridge, beta, information, likelihood):  # type: ignore[no-untyped-def]
    """Fit some features, dispersions given.

    Parameters
    ----------
    first, last : int
    counts : FeatureCounts
    alpha : ndarray (feature,)
    ridge : ndarray (coefficient,)
        Prior precisions.
    beta : ndarray (feature, coefficient)
        Starts; overwritten by the estimates.
    information : ndarray (feature, coefficient, coefficient)
        Filled with X'VX + R.
    likelihood : ndarray (feature,)
        Filled with the log likelihood but for a constant; NaN where the iteration did not converge.
    """
    p = counts.x.shape[1]
    factor = np.zeros((p, p))
    for g in range(first, last):
        likelihood[g] = _regress(
            counts.this[g], counts.others[g], counts.x, alpha[g], ridge, beta[g], information[g], factor
        )


# Dispersions --------------------------------------------------------------------------------------------


@kernel
def _slope_of_count(y, mu, r, slope_r):  # type: ignore[no-untyped-def]
    """Return the derivative of ln NB(y; mu, 1/r) in r; ``slope_r`` is A'(r)."""
    return gamma_excess_with_slope(y + r)[1] - slope_r + log_ratio(y, mu, r) - (y - mu) / (mu + r)


@kernel
def _slope(a, this, others, x, mean, prior_mean, prior_precision, work):  # type: ignore[no-untyped-def]
    """Return the derivative in a = ln alpha of the Cox-Reid adjusted likelihood, and of the prior.

    d(w_j + u_j) / d alpha = -(w^2 + u^2) and d v_j / d alpha = -2 v_j^2, means being held fixed.
    """
    weight, gram, factor, row = work
    n, p = x.shape
    alpha = math.exp(a)
    r = 1.0 / alpha
    slope_r = gamma_excess_with_slope(r)[1]
    likelihood, cox_reid = 0.0, 0.0
    for j in range(n):
        weight[j] = 0.0
        mu, m = mean[0, j], mean[1, j]
        if m == 0.0:
            continue
        likelihood -= _slope_of_count(this[j], mu, r, slope_r) + _slope_of_count(others[j], m, r, slope_r)
        w, u = mu / (1.0 + alpha * mu), m / (1.0 + alpha * m)
        weight[j] = w * u / (w + u)
        cox_reid += (w * w + u * u) / (w + u)
    weighted_gram(x, weight, gram)
    if cholesky(gram, factor):
        for j in range(n):
            for k in range(p):
                row[k] = x[j, k]
            solve(factor, row)
            length = 0.0
            for k in range(p):
                length += row[k] * x[j, k]
            cox_reid += 2.0 * weight[j] * weight[j] * length
    return r * likelihood + 0.5 * alpha * cox_reid - (a - prior_mean) * prior_precision


@kernel
def _search(this, others, x, mean, high, prior_mean, prior_precision, work):  # type: ignore[no-untyped-def]
    """Return where the slope is zero, by regula falsi (Illinois); the lower limit if it is negative there."""
    left, right = LOW, high
    at_left = _slope(left, this, others, x, mean, prior_mean, prior_precision, work)
    if at_left <= 0.0:
        return LOWEST
    at_right = _slope(right, this, others, x, mean, prior_mean, prior_precision, work)
    if at_right >= 0.0:
        return right
    side = 0
    for i in range(SEARCHES):
        a = (left * at_right - right * at_left) / (at_right - at_left)
        if i % 3 == 2:  # slopes at the ends differ by powers of ten
            a = 0.5 * (left + right)
        at_a = _slope(a, this, others, x, mean, prior_mean, prior_precision, work)
        if at_a > 0.0:
            left, at_left = a, at_a
            if side == 1:
                at_right *= 0.5
            side = 1
        else:
            right, at_right = a, at_a
            if side == -1:
                at_left *= 0.5
            side = -1
        if right - left < CLOSE or abs(at_a) < CLOSE:
            return a
    return 0.5 * (left + right)


@kernel
def _set_means(this, others, x, beta, alpha, mean):  # type: ignore[no-untyped-def]
    """Fill the means (2, sample) of this feature and of the others; 0 without counts."""
    for j in range(this.size):
        mean[0, j], mean[1, j] = 0.0, 0.0
        if this[j] + others[j] > 0.0:
            _, ratio = _ratio(x, j, beta)
            mean[1, j] = sample_level(ratio, this[j], others[j], alpha)
            mean[0, j] = ratio * mean[1, j]


@kernel
def fill_dispersions(first, last, counts, limits, prior, beta, mean, log_alpha):  # type: ignore[no-untyped-def]
    """Search the dispersions of some features.

    Parameters
    ----------
    first, last : int
    counts : FeatureCounts
    limits : Limits
    prior : ndarray (feature, 2)
        Mean and precision of a normal prior of ln dispersion. Where the precision is 0, means and dispersion
        are searched by turns; otherwise, at the means that are given.
    beta : ndarray (feature, coefficient)
        Starts, and estimates at the end of the search by turns.
    mean : ndarray (feature, 2, sample)
        Means: filled by the search by turns.
    log_alpha : ndarray (feature,)
        Starts; filled with the dispersions' logarithms, NaN where the first regression did not converge.
    """
    n, p = counts.x.shape
    gram, factor = np.empty((p, p)), np.zeros((p, p))
    work = (np.empty(n), np.empty((p, p)), np.zeros((p, p)), np.empty(p))
    for g in range(first, last):
        this, others = counts.this[g], counts.others[g]
        if prior[g, 1] > 0.0:
            log_alpha[g] = _search(
                this, others, counts.x, mean[g], limits.high, prior[g, 0], prior[g, 1], work
            )
            continue
        a = log_alpha[g]
        for turn in range(ROUNDS):
            value = _regress(this, others, counts.x, math.exp(a), limits.ridge, beta[g], gram, factor)
            if math.isnan(value):  # with hardly any counts, at a dispersion far above 1
                if turn == 0:
                    a = math.nan
                break
            _set_means(this, others, counts.x, beta[g], math.exp(a), mean[g])
            before = a
            a = _search(this, others, counts.x, mean[g], limits.high, 0.0, 0.0, work)
            if abs(a - before) <= SAME:
                break
        log_alpha[g] = a


# Posterior ----------------------------------------------------------------------------------------------


@kernel
def _full(y, log_mu, mu, r, excess_r):  # type: ignore[no-untyped-def]
    """Return ln NB(y; mu, 1/r) without - ln y!; see `bayesde.numerics.negative_binomial`."""
    return (y + r) * log_ratio(y, mu, r) + gamma_excess(y + r) - excess_r + y * log_mu - y


@kernel
def fill_integrated(first, last, counts, theta, out):  # type: ignore[no-untyped-def]
    """Fill log likelihoods with the sample effects integrated over, under flat priors.

    Laplace's method, sample by sample: the likelihood at the mode of b_j, over the root of minus its second
    derivative, mu (1 + alpha y) / (1 + alpha mu)^2 added up over the two counts.

    Parameters
    ----------
    first, last : int
    counts : FeatureCounts
    theta : ndarray (feature, draw, coefficient + 1)
        Coefficients and ln dispersion.
    out : ndarray (feature, draw)
    """
    p = counts.x.shape[1]
    for g in range(first, last):
        for i in range(theta.shape[1]):
            beta, alpha = theta[g, i, :p], math.exp(theta[g, i, p])
            r = 1.0 / alpha
            excess_r = gamma_excess(r)
            total = 0.0
            for j in range(counts.x.shape[0]):
                y, z = counts.this[g, j], counts.others[g, j]
                if y + z == 0.0:
                    continue
                eta, ratio = _ratio(counts.x, j, beta)
                m = sample_level(ratio, y, z, alpha)
                mu, log_m = ratio * m, math.log(m)
                total += _full(y, eta + log_m, mu, r, excess_r) + _full(z, log_m, m, r, excess_r)
                here, there = 1.0 / (1.0 + alpha * mu), 1.0 / (1.0 + alpha * m)
                curvature = mu * (1.0 + alpha * y) * here * here + m * (1.0 + alpha * z) * there * there
                total -= 0.5 * math.log(curvature)
            out[g, i] = total


@kernel
def fill_log_determinants(first, last, matrix, out):  # type: ignore[no-untyped-def]
    """Fill log determinants of symmetric matrices.

    Parameters
    ----------
    first, last : int
    matrix : ndarray (feature, k, k)
    out : ndarray (feature,)
        NaN for a matrix that is not positive definite.
    """
    k = matrix.shape[1]
    factor = np.zeros((k, k))
    for g in range(first, last):
        out[g] = log_determinant(factor) if cholesky(matrix[g], factor) else math.nan
