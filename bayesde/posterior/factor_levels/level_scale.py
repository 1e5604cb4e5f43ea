r"""The scale S of a factor whose levels are integrated out, by maximum marginal likelihood.

The likelihood of the draws depends on S, unlike on the other hyperparameters, so that it cannot be learnt by
reweighting them. With draws of theta from the posterior at the maximum of the others, Fisher's identity and
that of Louis (1982, JRSS B 44:226) give the derivatives of the marginal likelihood,

    d / d ln S = sum_g E[s_g],   d^2 / d (ln S)^2 = sum_g E[sum_l ds(u_l)] + Var[s_g],   s_g = sum_l s(u_l),

with s and ds the derivatives of the log density of u_l by ln S, and Newton's method takes a step. Each step
has proposals and draws of its own. There are so many levels, of all genes, that S is known far better than a
gene's counts ask for; it is held from then on.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_names import SCALE
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.modes import Starts
from bayesde.model.random_effects.quadrature import integrate_group, number_of_nodes, sample_log_means
from bayesde.numerics.compiled import kernel
from bayesde.numerics.resampling import systematic
from bayesde.numerics.threads import over_genes
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.learning import maximum_of_some
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood, gene_weights

__all__ = ["learn_level_scale"]

logger = logging.getLogger(__name__)

FEWEST_GENES, MOST_EFFECTS = 100, 10_000
"""From which the scale is learnt: the effects of so many levels tell it to some percent."""
MOST_STEPS, LARGEST_STEP = 12, 1.0
NEAR, OF_ERROR = 0.01, 0.3
"""A step of ln S is the last that is smaller, or so much smaller than the standard error."""
DRAWS = 20
"""Of a gene, which the derivatives are averages over."""
FLATTEST = 0.1
"""Share of the information of known effects that the counts are taken to have at the least."""


def learn_level_scale(
    model: ConditionalModel, start: Starts, space: HyperparameterSpace, psi: np.ndarray
) -> tuple[float, float, np.ndarray]:
    """Learn the scale.

    Parameters
    ----------
    model : ConditionalModel
        Of all genes, with the scale that the search starts from.
    start : Starts
    space : HyperparameterSpace
        Of the other hyperparameters.
    psi : ndarray (hyperparameter,)
        Where their search starts.

    Returns
    -------
    scale, error : float
        And the standard error of its logarithm.
    psi : ndarray (hyperparameter,)
        The maximum of the others.
    """
    random = model.random
    assert random is not None
    groups = random.groups
    most = max(FEWEST_GENES, MOST_EFFECTS // (groups.bounds.size - 1))
    order = np.lexsort((start.seeds, model.base_mean))
    some = order[np.linspace(0, order.size - 1, min(order.size, most)).astype(int)]
    model, start, error = model.genes(some), start.genes(some), math.inf
    for _ in range(MOST_STEPS):
        psi, likelihood = maximum_of_some(model, start, space, psi)
        slope, information = _derivatives(model, likelihood, psi)
        _, by_prior, of_prior = getattr(space.priors, SCALE).log_density(math.log(groups.scale))
        step = (slope + by_prior) / (information + of_prior)
        error = 1.0 / math.sqrt(information + of_prior)
        step = min(max(step, -LARGEST_STEP), LARGEST_STEP)
        groups = groups._replace(scale=groups.scale * math.exp(step))
        model = replace(model, random=replace(random, groups=groups))
        logger.debug("scale of the levels %.4g, last step %.3g, error %.2g", groups.scale, step, error)
        if abs(step) < max(NEAR, OF_ERROR * error):
            break
    return groups.scale, error, psi


def _derivatives(
    model: ConditionalModel, likelihood: MarginalLikelihood, psi: np.ndarray
) -> tuple[float, float]:
    """Return the derivative of the log marginal likelihood by ln S, and minus the second one."""
    space, n = likelihood.space, likelihood.n_draws
    point = HyperparameterPosterior(space, space.phi(psi)[None], np.ones(1))
    theta = likelihood.theta[:, :n]
    weights = gene_weights(space, likelihood.base_mean, theta, likelihood.log_ratio, point)
    taken = np.stack([systematic(np.cumsum(own), DRAWS, 0.5) for own in weights])
    drawn = np.take_along_axis(theta, taken[:, :, None], axis=1)
    found = np.empty((model.n_genes, 3))
    over_genes(_fill_derivatives, model.n_genes, drawn, model.data, found)
    slope, curvature, known = found.sum(axis=0)
    return float(slope), float(max(-curvature, FLATTEST * known))


@kernel
def _fill_derivatives(first, last, theta, data, found):  # type: ignore[no-untyped-def]
    """Fill the two derivatives of some genes, and the information of known effects."""
    y, log_nf, x, groups = data
    eta, n_draws = np.empty(y.shape[1]), theta.shape[1]
    shares, at = np.empty(number_of_nodes(groups)), np.empty(number_of_nodes(groups))
    for g in range(first, last):
        total, square, curve, known = 0.0, 0.0, 0.0, 0.0
        for m in range(n_draws):
            point, score = theta[g, m].astype(np.float64), 0.0
            sample_log_means(point, log_nf[g], x, eta)
            r = math.exp(-point[point.size - 1])
            for d in range(groups.bounds.size - 1):
                members = groups.order[groups.bounds[d] : groups.bounds[d + 1]]
                integrate_group(y[g], eta, r, members, groups, groups.scale, shares, at)
                mean, second = 0.0, 0.0
                for node in range(shares.size):
                    slope, bend = _by_log_scale(at[node], groups.df, groups.scale)
                    mean += shares[node] * slope
                    second += shares[node] * (slope * slope + bend)
                    known -= shares[node] * bend
                score += mean
                curve += second - mean * mean
            total += score
            square += score * score
        mean = total / n_draws
        found[g, 0], found[g, 2] = mean, known / n_draws
        found[g, 1] = curve / n_draws + square / n_draws - mean * mean


@kernel
def _by_log_scale(u, df, scale):  # type: ignore[no-untyped-def]
    """Return the derivatives of the log density of an effect by ln S."""
    square = (u / scale) ** 2
    if math.isinf(df):
        return square - 1.0, -2.0 * square
    part = square / (df + square)
    return (df + 1.0) * part - 1.0, -2.0 * (df + 1.0) * part * (1.0 - part)
