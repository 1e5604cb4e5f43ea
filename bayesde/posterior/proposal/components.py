r"""The components of each gene's proposal: a posterior under a prior that peaks at zero has several modes.

Where the Cauchy prior of a coefficient is narrower than the likelihood, the posterior has a peak at zero, of
the prior's shape, and a second part where the likelihood has its maximum. With P such coefficients there are
2^P combinations of "null" and "non-null", and each gets a component of its own
(`bayesde.posterior.proposal.combinations` chooses them where P is large):

    null        beta_k ~ Cauchy(0, S_k), as in the peak at zero the likelihood hardly matters; if it does
                (Fisher information times S_k^2 above `LOOSE`), part of Student's t around the mode near zero
    non-null    part of Student's t around the mode under a prior `WIDE` times as wide
    separated   non-null where the likelihood does not bound the coefficient on one side, as where a group has
                no counts: the posterior has the prior's tail there, so beta_k is drawn from that half of
                Cauchy(0, `TAIL_SCALE` times the mode)

A coefficient whose likelihood is narrower than its prior (information times S_k^2 above `SETTLED`) has one
mode and is part of Student's t. Its scale matrix is the inverse of the negative Hessian, times `WIDER`
squared, because the posterior's tails are heavier than the Hessian at the mode suggests. One more component
bounds the weights in the tails: every coefficient that may be null has a Cauchy distribution `TAIL_SCALE`
times as wide as the mode where all are non-null. The location of what is not drawn from Cauchy distributions
(F) depends linearly on what is (K), with the slopes

    C = -(X_F' W X_F)^-1 X_F' W X_K,     w_j = y_j / (1 + alpha y_j),

which keep the expected counts as they are in samples that have counts.

Genes that these components do not serve get more of them: those of a wider search for combinations, and for
each of these one in which the coefficients that few counts tell of are neither null nor non-null
(`bayesde.posterior.proposal.averaged`).

The log standard deviation of random effects is part of Student's t, around its mode, where it may be well
known. Towards tau = 0 the likelihood becomes flat, and the posterior there is as wide as the prior: all
non-null and all null coefficients get a component more, around the mode without random effects, in which
ln tau has its prior's scale, `BELOW` prior standard deviations below the prior's center.

The levels of a factor, u_l around a center m that is not shrunken, are always in doubt: whatever their
likelihood given m, the center can lie near any of them. Where it lies near one alone, the only null one, no
count says where exactly: that u_l is drawn from its prior, and m follows. So there is a component for each
level, and the weights are bounded. Where the others move, the prior holds levels of F in place as counts do,
and 1/S^2 is added to the diagonal of their Gram matrix.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.model.density import ConditionalModel, GeneData, GenePrior, log_density, one_gene
from bayesde.model.modes import climb, fill_factor, starting_points
from bayesde.model.random_effects.groups import Groups
from bayesde.model.random_effects.term_likelihood import lost_information
from bayesde.numerics.cholesky import cholesky, solve
from bayesde.numerics.compiled import copy_row, kernel
from bayesde.numerics.threads import over_genes
from bayesde.posterior.proposal.averaged import add_averaged_sets, climb_averaged
from bayesde.posterior.proposal.combinations import choose_combinations, most_combinations
from bayesde.posterior.proposal.mixture import Mixture, one_mixture

__all__ = ["gene_mixtures", "most_components"]

WIDE = 25.0
"""Scale of the prior that non-null modes are searched under, in units of the prior's own. With 8, effects
that few counts support and the prior almost shrinks to zero lie between the components."""
LOOSE, SETTLED = 1.0, 4.0
"""Fisher information times S^2, below and above which the prior and the likelihood prevail."""
WIDER, TAILS_WIDER = 1.3, 1.5
"""Factors of the scales of Student-t components, and of the one with the prior's tails. With 1, Monte-Carlo
errors are underestimated (benchmarks/notes/proposal.md)."""
FAR, LEVEL = 12.0, 0.5
"""A coefficient is separated if it can move so far (natural log) at no greater cost in log likelihood."""
TAIL_SCALE = 2.0
"""Scale of the Cauchy distributions that cover the prior's tail, over the size of the mode."""
BELOW = 1.0
SAME = 0.1
"""Distance, in standard deviations, within which two modes count as one."""
LITTLE = 1e-4
"""Share of the mean weight that every sample gets, so that no Gram matrix is singular."""
FLAT_SCALE = 1e150
"""Of a prior that is flat in effect."""
FLAT = 1e-3
"""Where a search takes its last step: within 0.05 standard deviations of a mode, and 0.01 after it, which is
near enough to draw around."""
LEAST_DISPERSION = -8.0
"""Natural log, where the search from no effect starts: from below, the dispersion is slow to grow."""


class Followers(NamedTuple):
    """What says how the coefficients of F follow those of K.

    Attributes
    ----------
    x : ndarray (sample, coefficient)
    weights : ndarray (sample,)
        W.
    factor : ndarray of int64 (coefficient,)
        Which coefficients are levels of a factor; -1 for others.
    """

    x: np.ndarray
    weights: np.ndarray
    factor: np.ndarray


def gene_mixtures(
    model: ConditionalModel, beta: np.ndarray, log_dispersion: np.ndarray, *, thorough: bool = False
) -> Mixture:
    """Build every gene's mixture.

    Parameters
    ----------
    model : ConditionalModel
        Its hyperparameters are those that the proposal is made for.
    beta : ndarray (gene, coefficient)
        Where to start, natural log; NaN is taken as 0.
    log_dispersion : ndarray (gene,)
    thorough : bool
        Search widely for combinations of null coefficients, and add components of averaged priors.

    Returns
    -------
    Mixture
        With equal shares. The first component has every coefficient non-null, where that has a mode of its
        own; the last are that with all null and that with the prior's tails. Components that a gene does not
        need, with a share of 0, come after them.
    """
    start, null = starting_points(model, beta, log_dispersion)
    null[:, -1] = np.maximum(null[:, -1], LEAST_DISPERSION)
    n_genes, d = start.shape
    n = most_components(model, thorough=thorough)
    mixture = Mixture(
        location=np.zeros((n_genes, n, d)),
        shape=np.zeros((n_genes, n, d, d)),
        cauchy_scale=np.zeros((n_genes, n, d)),
        half=np.zeros((n_genes, n, d), dtype=np.int8),
        share=np.zeros((n_genes, n)),
    )
    prior = model.for_proposals.prior
    over_genes(_build, n_genes, start, null, model.data, prior, (model.factors, thorough), mixture)
    n = int((mixture.share > 0.0).sum(axis=1).max())
    mixture = mixture._replace(share=mixture.share / mixture.share.sum(axis=1, keepdims=True))
    return Mixture(*(np.ascontiguousarray(part[:, :n]) for part in mixture))


def most_components(model: ConditionalModel, *, thorough: bool = False) -> int:
    """Return how many components a gene may have, whichever of its shrunken coefficients are in doubt.

    Parameters
    ----------
    model : ConditionalModel
    thorough : bool
        As `gene_mixtures` takes it.

    Returns
    -------
    int
    """
    levels = bool((model.factors >= 0).any())
    n = most_combinations(int(model.shrunken.sum()), levels=levels, thorough=thorough)
    return (2 * n if thorough else n) + 1 + 2 * (model.n_random > 0)


@kernel
def _build(first, last, start, null, data, prior, kinds, mixture):  # type: ignore[no-untyped-def]
    """Fill the components of some genes; ``start`` and ``null`` (gene, P + 1) become modes."""
    x, df, scale, factor = data.x, prior.df, prior.scale, kinds[0]
    sd, nu = prior.dispersion_sd, prior.nu
    p = x.shape[1]
    near, weights = np.empty(p), np.empty(data.y.shape[1])
    gradient, hessian, wide_hessian = np.empty(p + 1), np.empty((p + 1, p + 1)), np.empty((p + 1, p + 1))
    worth, separated, averaged = np.empty(p), np.empty(p, dtype=np.int8), np.empty(p, dtype=np.bool_)
    wide, chosen = np.empty(p), np.empty((mixture.share.shape[1], p), dtype=np.bool_)
    balance, n_random = Followers(x, weights, factor), prior.center.size
    low_center = prior.center - BELOW * scale[p - n_random :]
    for k in range(p):
        wide[k] = scale[k] if math.isinf(df[k]) else WIDE * scale[k]
    for g in range(first, last):
        own, own_prior = one_gene(data, prior, g)
        trend = prior.log_trend[g]
        wide_prior = GenePrior(df, wide, trend, sd, nu, 0.0, 1.0, prior.center)
        near_prior = GenePrior(df, near, trend, sd, nu, 0.0, 1.0, prior.center)
        low_prior = GenePrior(df, near, trend, sd, nu, 0.0, 1.0, low_center)
        alone = _without_groups(own)
        mixed = one_mixture(mixture, g)
        location, shape, scales, half, share = mixed
        non_null_mode, null_mode = start[g], null[g]
        climb(null_mode, own, own_prior, FLAT, gradient, hessian)
        climb(non_null_mode, own, wide_prior, FLAT, gradient, wide_hessian)
        _fill_weights(own.y, math.exp(max(non_null_mode[p], null_mode[p])), weights)
        split = _classify(non_null_mode, null_mode, own, own_prior, balance, worth, separated)
        c, log_dispersion = 0, null_mode[p]
        taken = choose_combinations(split, non_null_mode, log_dispersion, own, own_prior, wide, kinds, chosen)
        sets = add_averaged_sets(chosen, taken, split, worth) if kinds[1] else taken
        for step in range(sets + 2 * (n_random > 0)):
            low = step >= sets
            number = step if not low else (taken - 1) * (step - sets)
            copy_row(non_null_mode, location[c])
            if low:
                copy_row(low_center, location[c, p - n_random : p])
            if number > 0:  # a dispersion that explains what coefficients no longer do
                location[c, p] = max(non_null_mode[p], null_mode[p])
            copy_row(scale, near)
            scales[c, :], half[c, :] = 0.0, 0
            for k in range(p):
                averaged[k] = number >= taken and not math.isinf(df[k])
            for i in range(split.size):
                k = split[i]
                averaged[k] &= not chosen[number, i] and separated[k] == 0
                if not chosen[number, i]:
                    near[k], half[c, k] = scale[k] if averaged[k] else wide[k], separated[k]
                    if separated[k] != 0:
                        scales[c, k] = max(scale[k], TAIL_SCALE * max(abs(non_null_mode[k]), 1.0))
                else:
                    location[c, k] = 0.0
                    scales[c, k] = scale[k] if worth[k] < LOOSE else 0.0
            _draw_anchors(chosen[number], split, factor, scale, scales[c])
            if number >= taken:
                normal = climb_averaged(location[c], own, near_prior, averaged, gradient, hessian)
                _fill_shape(location[c], hessian, normal, balance, scales[c], WIDER, shape[c])
            else:
                if low:
                    climb(location[c], alone, low_prior, FLAT, gradient, hessian)
                else:
                    climb(location[c], own, near_prior, FLAT, gradient, hessian)
                if _became_null(location[c], split, chosen[number], separated, scale):
                    continue
                _fill_shape(location[c], hessian, near_prior, balance, scales[c], WIDER, shape[c])
            if not _is_there(c, mixed):
                share[c] = 1.0
                c += 1
        copy_row(non_null_mode, location[c])
        scales[c, :], half[c, :] = 0.0, 0
        for k in split:
            scales[c, k] = max(scale[k], TAIL_SCALE * abs(non_null_mode[k]))
        _fill_shape(non_null_mode, wide_hessian, wide_prior, balance, scales[c], TAILS_WIDER, shape[c])
        share[c] = 1.0


@kernel
def _without_groups(data):  # type: ignore[no-untyped-def]
    """Return one gene's data without random effects: views, no copies."""
    order, bounds, df, scale, nodes, log_weights, terms, tangents = data.groups
    none = Groups(order, bounds[:1], df, scale, nodes, log_weights, terms, tangents)
    return GeneData(data.y, data.log_nf, data.x, none)


@kernel
def _draw_anchors(null, split, factor, scale, scales):  # type: ignore[no-untyped-def]
    """Draw a level from its prior that is the only null one of its factor, of two levels or more."""
    for i in range(split.size):
        own = factor[split[i]]
        if own < 0 or not null[i]:
            continue
        n, n_null = 0, 0
        for other in range(split.size):
            if factor[split[other]] == own:
                n += 1
                n_null += null[other]
        if n > 1 and n_null == 1:
            scales[split[i]] = scale[split[i]]


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
def _classify(non_null_mode, null_mode, data, prior, balance, worth, separated):  # type: ignore[no-untyped-def]
    """Return which coefficients may be null or non-null; fill information times S^2, and the unbounded sides.

    A gene's dispersion is smaller where its coefficients explain the counts, and information larger: what
    would be settled there may have a second mode where they do not.
    """
    df, scale = prior.df, prior.scale
    p = df.size
    least, most = math.exp(min(non_null_mode[p], null_mode[p])), math.exp(max(non_null_mode[p], null_mode[p]))
    nowhere = np.empty(0)  # the larger the standard deviations, the less counts say of other effects
    grouped = prior.center.size > 0 or data.groups.scale > 0.0
    apart = np.maximum(non_null_mode, null_mode) if grouped else nowhere
    slopes = np.zeros((p + 1, p + 1))
    indicator = np.zeros(p)
    for k in range(p):
        indicator[k] = 0.0 if math.isinf(df[k]) else 1.0
    none = np.full(p, -1)
    _fill_slopes(Followers(data.x, balance.weights, none), scale, indicator, slopes)
    split = np.empty(p, dtype=np.int64)
    n = 0
    for k in range(p):
        if math.isinf(df[k]):
            continue
        separated[k] = _unbounded_side(non_null_mode, k, slopes, data, prior)
        worth[k] = _information(data, non_null_mode, least, nowhere, k) * scale[k] ** 2
        doubtful = _information(data, non_null_mode, most, apart, k) * scale[k] ** 2 < SETTLED
        if separated[k] != 0 or doubtful or balance.factor[k] >= 0:
            split[n] = k
            n += 1
    return split[:n]


@kernel
def _information(data, at, dispersion, apart, k):  # type: ignore[no-untyped-def]
    """Return Fisher's information about one coefficient: sum_j w_j x_jk^2, w_j = mu_j / (1 + alpha mu_j).

    A random intercept with the standard deviation exp(apart_P), or of a given scale, takes from that
    sum_d (sum_j w_j x_jk)^2 / (1 / variance + sum_j w_j); nothing if ``apart`` is empty.
    """
    x, log_nf, groups = data.x, data.log_nf, data.groups
    total, weights = 0.0, np.empty(log_nf.size)
    for j in range(log_nf.size):
        eta = log_nf[j]
        for b in range(x.shape[1]):
            eta += x[j, b] * at[b]
        mu = math.exp(eta)
        total += x[j, k] ** 2 * mu / (1.0 + dispersion * mu)
        weights[j] = mu / (1.0 + dispersion * mu)
    if apart.size == 0:
        return total
    if groups.terms.z.shape[1] > 0:
        total -= lost_information(apart, weights, x, k, groups)
    else:
        variance = groups.scale**2 if groups.scale > 0.0 else math.exp(2.0 * apart[apart.size - 2])
        for d in range(groups.bounds.size - 1):
            weight, product = 0.0, 0.0
            for j in groups.order[groups.bounds[d] : groups.bounds[d + 1]]:
                weight += weights[j]
                product += weights[j] * x[j, k]
            total -= product**2 / (1.0 / variance + weight)
    return total


@kernel
def _unbounded_side(at, k, slopes, data, prior):  # type: ignore[no-untyped-def]
    """Return to which side a coefficient can go far, the others adjusting, at the cost of at most `LEVEL`.

    0 if to neither. No coefficient of samples that have a count can go far to both sides.
    """
    flat = np.empty(at.size - 1)
    flat[:] = FLAT_SCALE
    trend, sd = prior.log_trend, prior.dispersion_sd
    no_prior = GenePrior(prior.df, flat, trend, sd, prior.nu, 0.0, 1.0, prior.center)
    level = log_density(at, data, no_prior) - LEVEL
    for move in (-FAR, FAR):
        there = at + move * slopes[:, k]
        there[k] += move
        if log_density(there, data, no_prior) > level:
            return -1 if move < 0.0 else 1
    return 0


@kernel
def _became_null(at, split, null, separated, scale):  # type: ignore[no-untyped-def]
    """Return whether a search for a non-null mode has ended near zero, where another combination's does."""
    for i in range(split.size):
        k = split[i]
        if not null[i] and separated[k] == 0 and abs(at[k]) < scale[k]:
            return True
    return False


@kernel
def _is_there(c, own):  # type: ignore[no-untyped-def]
    """Return whether a component of a gene equals an earlier one, to within `SAME` standard deviations."""
    location, shape, scales = own.location, own.shape, own.cauchy_scale
    for other in range(c):
        same = True
        for k in range(location.shape[1]):
            gap = location[c, k] - location[other, k]
            same &= scales[c, k] == scales[other, k]
            same &= scales[c, k] > 0.0 or abs(gap) * shape[c, k, k] < SAME
        if same:
            return True
    return False


@kernel
def _fill_shape(at, hessian, prior, balance, scales, wider, shape):  # type: ignore[no-untyped-def]
    """Fill what `Mixture` calls shape of one component; the Hessian is overwritten."""
    d = at.size
    factor = np.zeros((d, d))
    for k in range(d):
        if scales[k] > 0.0:
            hessian[k, :] = 0.0
            hessian[:, k] = 0.0
            hessian[k, k] = -1.0
    fill_factor(at, hessian, np.where(scales[:-1] == 0.0, prior.df, math.inf), prior.scale, factor)
    for k in range(d):
        for b in range(d):
            shape[k, b] = factor[k, b] / wider
    _fill_slopes(balance, prior.scale, scales, shape)


@kernel
def _fill_slopes(balance, prior_scale, scales, shape):  # type: ignore[no-untyped-def]
    """Fill C, in the rows of the coefficients of F and the columns of K."""
    x, weights, factor_of = balance
    p = x.shape[1]
    free, moved = np.flatnonzero(scales[:p] == 0.0), np.flatnonzero(scales[:p] > 0.0)
    if free.size == 0 or moved.size == 0:
        return
    gram, factor = np.empty((free.size, free.size)), np.zeros((free.size, free.size))
    slope = np.empty(free.size)
    for a in range(free.size):
        for b in range(a + 1):
            gram[a, b] = _weighted_product(x, weights, free[a], free[b])
        if gram[a, a] == 0.0:  # a log standard deviation, on which no mean depends
            gram[a, a] = 1.0
        if factor_of[free[a]] >= 0:
            gram[a, a] += 1.0 / prior_scale[free[a]] ** 2
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
