r"""The components of each gene's proposal: what a posterior looks like under a prior with a spike at nothing.

Where the Cauchy prior of a coefficient is narrower than the likelihood, the posterior has a spike at zero, of
the prior's shape, and a second part where the likelihood wants the coefficient to be. With P such
coefficients there are 2^P combinations of "nothing" and "something", and each gets a component of its own:

    nothing     beta_k ~ Cauchy(0, S_k), as in the spike the likelihood hardly matters; if it does (Fisher
                information times S_k^2 above `LOOSE`), part of Student's t around the mode near zero
    something   part of Student's t around the mode under a prior `WIDE` times as wide
    separated   something that the likelihood does not bound on one side, as where a group has no counts: the
                posterior has the prior's tail there, so beta_k is drawn from that side of
                Cauchy(0, `REACH` times the mode)

A coefficient whose likelihood is narrower than its prior (information times S_k^2 above `SETTLED`) has one
mode and is part of Student's t. Its scale matrix is the inverse of the negative Hessian, `WIDER` squared,
because the posterior's tails are heavier than the Hessian at the mode tells. One component more bounds the
weights far out: every coefficient that may be nothing has a Cauchy distribution `REACH` times as wide as the
mode where all are something. What is not drawn from Cauchy distributions (F) makes way for what is (K) by

    C = -(X_F' W X_F)^-1 X_F' W X_K,     w_j = y_j / (1 + alpha y_j),

so much as keeps the expected counts where counts are.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.model.density import ConditionalModel, log_density
from bayesde.model.modes import climb, density_arguments, fill_factor, starting_points
from bayesde.numerics.cholesky import cholesky, solve
from bayesde.numerics.compiled import copy_row, kernel
from bayesde.numerics.threads import over_genes
from bayesde.posterior.proposal.mixture import Mixture

__all__ = ["gene_mixtures", "most_components"]

WIDE = 25.0
"""With 8, effects of few counts, which the likelihood wants and the prior nearly holds back, lie between the
components: of 6,000 simulated genes 4 to 7 had k > 0.7, with 25 none."""
LOOSE, SETTLED = 1.0, 4.0
WIDER, TAILS_WIDER = 1.3, 1.5
"""Of 1, 1.3 costs 8 % of airway's effective draws, and Monte-Carlo errors are no longer underestimated."""
FAR, LEVEL = 12.0, 0.5
"""A coefficient is separated if it can move so far (natural log) at no greater cost in log likelihood."""
REACH = 2.0
SAME = 0.1
MOST_SPLIT = 4
"""Coefficients up to which all combinations are taken; of more, all something, all nothing, and all but one
of either."""
LITTLE = 1e-4
NO_PRIOR = 1e150
FLAT = 1e-3
"""Where a search takes its last step: within 0.05 standard deviations of a mode, and 0.01 after it, which is
near enough to draw around."""
LEAST_DISPERSION = -8.0
"""Natural log, where the search from no effect starts: from below, the dispersion is slow to grow."""


def gene_mixtures(model: ConditionalModel, beta: np.ndarray, log_dispersion: np.ndarray) -> Mixture:
    """Build every gene's mixture.

    Parameters
    ----------
    model : ConditionalModel
        Its hyperparameters are those that the proposal is made for.
    beta : ndarray (gene, coefficient)
        Where to start, natural log; NaN is taken as 0.
    log_dispersion : ndarray (gene,)

    Returns
    -------
    Mixture
        With equal shares. The first component has every coefficient something, where that has a mode of its
        own; the last are those with all nothing and with the prior's tails. Room that a gene does not need
        comes after them.
    """
    start, null = starting_points(model, beta, log_dispersion)
    null[:, -1] = np.maximum(null[:, -1], LEAST_DISPERSION)
    n_genes, d = start.shape
    n = most_components(model)
    location, share = np.zeros((n_genes, n, d)), np.zeros((n_genes, n))
    shape, reach = np.zeros((n_genes, n, d, d)), np.zeros((n_genes, n, d))
    side = np.zeros((n_genes, n, d), dtype=np.int8)
    over_genes(
        _build,
        n_genes,
        start,
        null,
        *density_arguments(model),
        location,
        shape,
        reach,
        side,
        share,
    )
    n = int((share > 0.0).sum(axis=1).max())
    share /= share.sum(axis=1, keepdims=True)
    return Mixture(*(np.ascontiguousarray(part[:, :n]) for part in (location, shape, reach, side, share)))


def most_components(model: ConditionalModel) -> int:
    """Return how many components a gene may have, whichever of its shrunken coefficients are in doubt.

    Of 5 or 6 coefficients there are fewer combinations than of 4, all of which are taken.
    """
    return max(int(_n_combinations(n)) for n in range(int(model.shrunken.sum()) + 1)) + 1


@kernel
def _n_combinations(n):  # type: ignore[no-untyped-def]
    return 2**n if n <= MOST_SPLIT else 2 * n + 2


@kernel
def _is_something(number, i, n):  # type: ignore[no-untyped-def]
    """Return whether the i-th of n coefficients is something in a combination; in the last, none is."""
    if n <= MOST_SPLIT:
        return not (number >> i) & 1
    if number == 0 or number > 2 * n:
        return number == 0
    return (number - 1) % n == i if number > n else number - 1 != i


@kernel
def _build(  # type: ignore[no-untyped-def]
    first,
    last,
    start,
    null,
    y,
    log_nf,
    x,
    shrunken,
    scale,
    log_trend,
    sd,
    nu,
    location,
    shape,
    reach,
    side,
    share,
):
    """Fill the components of some genes."""
    p = x.shape[1]
    near, weights = np.empty(p), np.empty(y.shape[1])
    gradient, hessian, some_hessian = np.empty(p + 1), np.empty((p + 1, p + 1)), np.empty((p + 1, p + 1))
    loose, separated = np.empty(p, dtype=np.bool_), np.empty(p, dtype=np.int8)
    wide = np.empty(p)
    for k in range(p):
        wide[k] = WIDE * scale[k] if shrunken[k] else scale[k]
    for g in range(first, last):
        data, residuals = (y[g], log_nf[g], x, shrunken), (log_trend[g], sd, nu)
        some, nothing = start[g], null[g]
        climb(nothing, *data, scale, *residuals, FLAT, gradient, hessian)
        climb(some, *data, wide, *residuals, FLAT, gradient, some_hessian)
        _fill_weights(y[g], math.exp(max(some[p], nothing[p])), weights)
        split = _classify(some, nothing, data, scale, residuals, weights, loose, separated)
        c = 0
        for number in range(_n_combinations(split.size)):
            copy_row(some, location[g, c])
            if number > 0:  # a dispersion that explains what coefficients no longer do
                location[g, c, p] = max(some[p], nothing[p])
            copy_row(scale, near)
            reach[g, c, :], side[g, c, :] = 0.0, 0
            for i in range(split.size):
                k = split[i]
                if _is_something(number, i, split.size):
                    near[k], side[g, c, k] = wide[k], separated[k]
                    if separated[k] != 0:
                        reach[g, c, k] = max(scale[k], REACH * max(abs(some[k]), 1.0))
                else:
                    location[g, c, k] = 0.0
                    reach[g, c, k] = scale[k] if loose[k] else 0.0
            climb(location[g, c], *data, near, *residuals, FLAT, gradient, hessian)
            if _comes_to_nothing(location[g, c], split, number, separated, scale):
                continue
            _fill_shape(location[g, c], hessian, x, shrunken, near, weights, reach[g, c], WIDER, shape[g, c])
            if not _is_there(c, location[g], reach[g], shape[g]):
                share[g, c] = 1.0
                c += 1
        copy_row(some, location[g, c])
        reach[g, c, :], side[g, c, :] = 0.0, 0
        for k in split:
            reach[g, c, k] = max(scale[k], REACH * abs(some[k]))
        _fill_shape(some, some_hessian, x, shrunken, wide, weights, reach[g, c], TAILS_WIDER, shape[g, c])
        share[g, c] = 1.0


@kernel
def _fill_weights(y, dispersion, weights):  # type: ignore[no-untyped-def]
    """Fill the weights W of the samples; those without counts have hardly any."""
    for j in range(y.size):
        weights[j] = y[j] / (1.0 + dispersion * y[j])
    total = 0.0
    for j in range(y.size):
        total += weights[j]
    for j in range(y.size):
        weights[j] += LITTLE * (total / y.size)


@kernel
def _classify(some, nothing, data, scale, residuals, weights, loose, separated):  # type: ignore[no-untyped-def]
    """Return which coefficients may be something or nothing; fill which are loose, and the open sides.

    A gene's dispersion is smaller where its coefficients explain the counts, and information larger: what
    would be settled there may have a second mode where they do not.
    """
    _, log_nf, x, shrunken = data
    p = shrunken.size
    least, most = math.exp(min(some[p], nothing[p])), math.exp(max(some[p], nothing[p]))
    slopes = np.zeros((p + 1, p + 1))
    indicator = np.zeros(p)
    for k in range(p):
        indicator[k] = 1.0 if shrunken[k] else 0.0
    _fill_slopes(x, weights, indicator, slopes)
    split = np.empty(p, dtype=np.int64)
    n = 0
    for k in range(p):
        if not shrunken[k]:
            continue
        separated[k] = _open_side(some, k, slopes, data, residuals)
        loose[k] = _information(x, log_nf, some, least, k) * scale[k] ** 2 < LOOSE
        if separated[k] != 0 or _information(x, log_nf, some, most, k) * scale[k] ** 2 < SETTLED:
            split[n] = k
            n += 1
    return split[:n]


@kernel
def _information(x, log_nf, at, dispersion, k):  # type: ignore[no-untyped-def]
    """Return Fisher's information about one coefficient: sum_j x_jk^2 mu_j / (1 + alpha mu_j)."""
    total = 0.0
    for j in range(log_nf.size):
        eta = log_nf[j]
        for b in range(x.shape[1]):
            eta += x[j, b] * at[b]
        mu = math.exp(eta)
        total += x[j, k] ** 2 * mu / (1.0 + dispersion * mu)
    return total


@kernel
def _open_side(at, k, slopes, data, residuals):  # type: ignore[no-untyped-def]
    """Return to which side a coefficient can go far, others making way, at the cost of no more than `LEVEL`.

    0 if to neither; to both sides no coefficient can go whose samples have a count.
    """
    no_prior = np.empty(at.size - 1)
    no_prior[:] = NO_PRIOR
    level = log_density(at, *data, no_prior, *residuals) - LEVEL
    for move in (-FAR, FAR):
        there = at + move * slopes[:, k]
        there[k] += move
        if log_density(there, *data, no_prior, *residuals) > level:
            return -1 if move < 0.0 else 1
    return 0


@kernel
def _comes_to_nothing(at, split, number, separated, scale):  # type: ignore[no-untyped-def]
    """Return whether the search has ended where another combination's does."""
    for i in range(split.size):
        k = split[i]
        if _is_something(number, i, split.size) and separated[k] == 0 and abs(at[k]) < scale[k]:
            return True
    return False


@kernel
def _is_there(c, location, reach, shape):  # type: ignore[no-untyped-def]
    """Return whether a component is another one again, no number further than `SAME` scales from its."""
    for other in range(c):
        same = True
        for k in range(location.shape[1]):
            gap = location[c, k] - location[other, k]
            same &= reach[c, k] == reach[other, k] and (reach[c, k] > 0.0 or abs(gap) * shape[c, k, k] < SAME)
        if same:
            return True
    return False


@kernel
def _fill_shape(at, hessian, x, shrunken, near, weights, reach, wider, shape):  # type: ignore[no-untyped-def]
    """Fill what `Mixture` calls shape of one component; the Hessian is overwritten."""
    d = at.size
    factor = np.zeros((d, d))
    for k in range(d):
        if reach[k] > 0.0:
            hessian[k, :] = 0.0
            hessian[:, k] = 0.0
            hessian[k, k] = -1.0
    fill_factor(at, hessian, shrunken & (reach[:-1] == 0.0), near, factor)
    for k in range(d):
        for b in range(d):
            shape[k, b] = factor[k, b] / wider
    _fill_slopes(x, weights, reach, shape)


@kernel
def _fill_slopes(x, weights, reach, shape):  # type: ignore[no-untyped-def]
    """Fill C, in the rows of the coefficients of F and the columns of K."""
    p = x.shape[1]
    free, moved = np.flatnonzero(reach[:p] == 0.0), np.flatnonzero(reach[:p] > 0.0)
    if free.size == 0 or moved.size == 0:
        return
    gram, factor = np.empty((free.size, free.size)), np.zeros((free.size, free.size))
    slope = np.empty(free.size)
    for a in range(free.size):
        for b in range(a + 1):
            gram[a, b] = _weighted_product(x, weights, free[a], free[b])
    if not cholesky(gram, factor):  # so few counts that nothing has to be kept
        return
    for k in moved:
        for a in range(free.size):
            slope[a] = -_weighted_product(x, weights, free[a], k)
        solve(factor, slope)
        for a in range(free.size):
            shape[free[a], k] = slope[a]


@kernel
def _weighted_product(x, weights, a, b):  # type: ignore[no-untyped-def]
    """Return sum_j w_j x_ja x_jb."""
    total = 0.0
    for j in range(weights.size):
        total += weights[j] * x[j, a] * x[j, b]
    return total
