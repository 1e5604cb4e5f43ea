r"""Every count at every draw: its log probability, and what weighted draws predict of it.

    ln p(y | theta) = (y+r) ln((y+r)/(mu+r)) + A(y+r) - A(r) + y ln mu - y - ln y!,
    r = exp(-a),  mu = nf exp(x . beta),

A being `gamma_excess` of `bayesde.numerics.gamma_functions`, so that it keeps its digits towards Poisson.
With normalized weights w_m of the draws, the predictive distribution of the count is the mixture sum_m w_m
NB(. | theta_m); its density and its tails at the count are the weighted means of those of the draws, so
that they can be far smaller than one in the number of draws. A count of a group with a random intercept is
predicted given the others of its group (`bayesde.posterior.queries.group_pointwise`), one with several random
effects given those that it shares any with (`bayesde.posterior.queries.several_terms`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.numerics.compiled import kernel
from bayesde.numerics.gamma_functions import HALF_LOG_TWO_PI, gamma_excess, log_ratio
from bayesde.numerics.threads import over_genes
from bayesde.posterior.draws.weighted_statistics import LARGEST_EFFECT
from bayesde.posterior.queries.count_tails import count_tails
from bayesde.posterior.queries.group_pointwise import (
    fill_group_tails,
    grouped_log_probabilities,
    tail_groups,
)
from bayesde.posterior.queries.several_terms import fill_term_tails, term_log_probabilities

__all__ = ["Among", "Prediction", "leave_out_weights", "log_probabilities", "predictions"]

LARGEST_ETA = 700.0
"""Log means are cut here, where the exponential would overflow."""
NO_WEIGHT = 1e-250
"""Weights below it have lost their value to the floor of double precision."""
FLOOR = -700.0
"""Of log weights, below the largest."""
NEGLIGIBLE = 1e-14
"""Draws of smaller weight are left out of tail probabilities, which are known to about this times their
number."""


class Prediction(NamedTuple):
    """What weighted draws predict of counts.

    Attributes
    ----------
    log_density : ndarray (gene, sample)
        Natural log of the predictive probability of the count that was seen.
    error : ndarray (gene, sample)
        Its Monte-Carlo standard error.
    below, above : ndarray (gene, sample)
        Predictive probabilities of a smaller and of a larger count.
    log_expected : ndarray (gene, sample)
        Weighted mean of the draws' ln mu, which are cut at plus and minus `LARGEST_EFFECT`.
    size : ndarray (gene, sample)
        Effective number of draws, 1 / sum of squares of the weights.
    """

    log_density: np.ndarray
    error: np.ndarray
    below: np.ndarray
    above: np.ndarray
    log_expected: np.ndarray
    size: np.ndarray


class Among(NamedTuple):
    """Which counts are predicted, and which are not known.

    Attributes
    ----------
    samples : ndarray of int64 (chosen sample,)
        The samples whose counts are predicted.
    left_out : ndarray of bool (gene, sample)
        Counts that the others of a group are without.
    """

    samples: np.ndarray
    left_out: np.ndarray

    @classmethod
    def of(cls, model: ConditionalModel) -> Among:
        """Return all samples, with every count known.

        Parameters
        ----------
        model : ConditionalModel
        """
        return cls(np.arange(model.y.shape[1]), np.zeros(model.y.shape, dtype=bool))


def log_probabilities(model: ConditionalModel, theta: np.ndarray, among: Among | None = None) -> np.ndarray:
    """Return the log probability of every count at every draw.

    Parameters
    ----------
    model : ConditionalModel
        Of it only counts, factors and design are used.
    theta : ndarray (gene, draw, P + 1)
        Coefficients and log dispersion, natural log.
    among : Among, optional
        For a model with random effects; by default all samples.

    Returns
    -------
    ndarray (gene, sample, draw)
    """
    if model.random is not None:
        given_others = term_log_probabilities if model.random.groups.has_terms else grouped_log_probabilities
        return given_others(model, theta, *(among or Among.of(model)))
    value = np.empty((*model.y.shape, theta.shape[1]))
    over_genes(_fill_log_probabilities, model.n_genes, theta, model.data, value)
    return value


def leave_out_weights(
    log_p: np.ndarray, weights: np.ndarray, left_out: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the draws without each count in turn.

    Parameters
    ----------
    log_p : ndarray (gene, sample, draw)
        Log probabilities of the counts.
    weights : ndarray (gene, draw)
        Each gene's add up to 1.
    left_out : ndarray of bool (gene, sample)
        Counts that did not enter the weights in the first place.

    Returns
    -------
    log_weights : ndarray (gene, sample, draw)
        ln w - ln p, over the largest of them.
    log_density : ndarray (gene, sample)
        ln sum w p, the predictive density of the count by draws that depend on it.
    """
    ratio, seen = np.empty_like(log_p), np.empty(log_p.shape[:2])
    over_genes(_fill_leave_out_weights, weights.shape[0], log_p, weights, left_out, ratio, seen)
    return ratio, seen


def predictions(
    model: ConditionalModel,
    theta: np.ndarray,
    log_p: np.ndarray,
    log_weights: np.ndarray,
    among: Among | None = None,
) -> Prediction:
    """Return what weighted draws predict of every count.

    Parameters
    ----------
    model : ConditionalModel
    theta : ndarray (gene, draw, P + 1)
    log_p : ndarray (gene, sample, draw)
        Log probabilities of the counts.
    log_weights : ndarray (gene, sample, draw)
        Their exponentials add up to 1 over the draws. They may differ from sample to sample.
    among : Among, optional
        As of `log_probabilities`.

    Returns
    -------
    Prediction
    """
    found = Prediction(*(np.empty(log_p.shape[:2]) for _ in Prediction._fields))
    if model.random is not None:
        several, tails = model.random.groups.has_terms, (found.below, found.above, found.log_expected)
        fill = fill_term_tails if several else fill_group_tails
        data = model.data if several else model.data._replace(groups=tail_groups(model.data.groups))
        over_genes(_fill_densities, model.n_genes, log_p, log_weights, found)
        chosen = among or Among.of(model)
        over_genes(fill, model.n_genes, theta, data, *chosen, log_weights, tails)
        return found
    over_genes(_fill_predictions, model.n_genes, theta, model.data, log_p, log_weights, found)
    return found


@kernel
def _log_mean(theta, g, m, log_nf, x, j):  # type: ignore[no-untyped-def]
    """Return the log mean of a gene's count in a sample at a draw."""
    eta = log_nf[g, j]
    for k in range(x.shape[1]):
        eta += x[j, k] * theta[g, m, k]
    return min(max(eta, -LARGEST_ETA), LARGEST_ETA)


@kernel
def _fill_log_probabilities(first, last, theta, data, value):  # type: ignore[no-untyped-def]
    """Fill the log probabilities (gene, sample, draw) of some genes' counts."""
    y, log_nf, x = data.y, data.log_nf, data.x
    n_draws, p = theta.shape[1], x.shape[1]
    r, least = np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        for m in range(n_draws):
            r[m] = math.exp(-theta[g, m, p])
            least[m] = gamma_excess(r[m])
        for j in range(y.shape[1]):
            count = float(y[g, j])
            log_count, constant = 0.0, 0.0
            if count > 0.0:
                log_count = math.log(count)
                constant = gamma_excess(count) + log_count + HALF_LOG_TWO_PI
            for m in range(n_draws):
                eta = _log_mean(theta, g, m, log_nf, x, j)
                ratio = log_ratio(count, math.exp(eta), r[m])
                total = (count + r[m]) * ratio + gamma_excess(count + r[m]) - least[m]
                value[g, j, m] = total + count * (eta - log_count) - constant


@kernel
def _fill_predictions(first, last, theta, data, log_p, log_weights, found):  # type: ignore[no-untyped-def]
    """Fill a `Prediction` of some genes' counts."""
    y, log_nf, x = data.y, data.log_nf, data.x
    _, _, below, above, log_expected, _ = found
    n_draws, p = theta.shape[1], x.shape[1]
    r = np.empty(n_draws)
    for g in range(first, last):
        for m in range(n_draws):
            r[m] = math.exp(-theta[g, m, p])
        for j in range(y.shape[1]):
            _fill_density(g, j, log_p, log_weights, found)
            lower, upper, level = 0.0, 0.0, 0.0
            for m in range(n_draws):
                weight = math.exp(log_weights[g, j, m])
                if weight > NEGLIGIBLE:
                    eta = _log_mean(theta, g, m, log_nf, x, j)
                    level += weight * min(max(eta, -LARGEST_EFFECT), LARGEST_EFFECT)
                    smaller, larger = count_tails(
                        float(y[g, j]), math.exp(eta), r[m], math.exp(log_p[g, j, m])
                    )
                    lower += weight * smaller
                    upper += weight * larger
            below[g, j], above[g, j] = min(lower, 1.0), min(upper, 1.0)
            log_expected[g, j] = level


@kernel
def _fill_density(g, j, log_p, log_weights, found):  # type: ignore[no-untyped-def]
    """Fill the predictive density of one count, its error, and the effective number of draws."""
    highest = -math.inf
    for m in range(log_p.shape[2]):
        highest = max(highest, log_weights[g, j, m] + log_p[g, j, m])
    density, squares, weights_squared, products = 0.0, 0.0, 0.0, 0.0
    for m in range(log_p.shape[2]):
        weight = math.exp(log_weights[g, j, m])
        part = math.exp(log_weights[g, j, m] + log_p[g, j, m] - highest)
        density += part
        squares += part * part
        products += part * weight
        weights_squared += weight * weight
    found.log_density[g, j] = highest + math.log(density)
    # of a ratio of means: sum of w^2 (p - mean)^2, over the mean squared
    variance = squares / density**2 - 2.0 * products / density + weights_squared
    found.error[g, j] = math.sqrt(max(variance, 0.0))
    found.size[g, j] = 1.0 / weights_squared


@kernel
def _fill_densities(first, last, log_p, log_weights, found):  # type: ignore[no-untyped-def]
    """Fill predictive densities of some genes' counts, their errors, and the effective numbers of draws."""
    for g in range(first, last):
        for j in range(log_p.shape[1]):
            _fill_density(g, j, log_p, log_weights, found)


@kernel
def _fill_leave_out_weights(first, last, log_p, weights, left_out, ratio, seen):  # type: ignore[no-untyped-def]
    """Fill log weights without each count (gene, sample, draw), and log densities with it (gene, sample)."""
    n_draws = weights.shape[1]
    log_weight = np.empty(n_draws)
    for g in range(first, last):
        for m in range(n_draws):
            log_weight[m] = math.log(weights[g, m]) if weights[g, m] > NO_WEIGHT else -math.inf
        for j in range(log_p.shape[1]):
            largest, highest = -math.inf, -math.inf
            for m in range(n_draws):
                ratio[g, j, m] = log_weight[m] if left_out[g, j] else log_weight[m] - log_p[g, j, m]
                largest = max(largest, ratio[g, j, m])
                highest = max(highest, log_p[g, j, m])
            total = 0.0
            for m in range(n_draws):
                ratio[g, j, m] = max(ratio[g, j, m] - largest, FLOOR)
                total += weights[g, m] * math.exp(log_p[g, j, m] - highest)
            seen[g, j] = highest + math.log(total)
