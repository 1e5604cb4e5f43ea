r"""What engine joint knows before it starts: a first look at the posterior by engine psis.

Weighted draws of every gene, and of the hyperparameters, take seconds. From them come

* starts: a draw of each gene, and of the hyperparameters one from somewhat wider than their posterior;
* variances of all that the sampler moves, where the adaptation of its metric begins;
* coordinates in which genes depend on the hyperparameters as little as can be.

The last is what limits a joint run: where a gene's parameter moves with a hyperparameter although its counts
say what it is (or stands still although they do not), the two are correlated, and steps must be small. So a
log dispersion a moves with its conditional posterior,

    a = v (h + ln trend / sigma^2) + sqrt(v) z,    1 / v = w + 1 / sigma^2,

in which w and h / w are precision and mean of a normal density that, at the first look's hyperparameters,
gives a its posterior mean and variance: between non-centered (w = 0) and centered (w large), for each gene as
its counts want it (Papaspiliopoulos, Roberts and Skoeld 2007, doi:10.1214/088342307000000014). Coefficients
have that from the map of `stan/README.md`: they follow S up to about a standard error, and hardly beyond.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from bayesde.errors import FitError
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.modes import Starts
from bayesde.numerics.small_matrices import weighted_mean
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.laws import LawsToLearn
from bayesde.posterior.hyper.learning import learn
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood, gene_weights
from bayesde.posterior.stan.data import SamplerCoordinates
from bayesde.posterior.stan.effects import check_effects
from bayesde.posterior.stan.starts import chain_starts

__all__ = ["FirstLook", "first_look", "informed"]

logger = logging.getLogger(__name__)

UNKNOWN_SD = 0.2
"""Of the logarithms of hyperparameters, where engine psis could not learn them."""
LOWEST, HIGHEST = 0.01, 100.0
"""Variances of what the sampler moves are kept between these."""
SMALLEST = 1e-12


@dataclass(frozen=True, eq=False)
class FirstLook:
    """What a joint run starts from.

    Attributes
    ----------
    space : HyperparameterSpace
        Which hyperparameters there are, and their priors.
    genes : SamplerCoordinates
    starts : ndarray (chain, gene, P + 1 + level)
        On the sampler's scale.
    variances : ndarray (gene, P + 1 + level)
        On the same.
    psi_mean, psi_sd : ndarray (hyperparameter,)
        Mean and standard deviation of the hyperparameters on the scale psi of the space.
    """

    space: HyperparameterSpace
    genes: SamplerCoordinates
    starts: np.ndarray
    variances: np.ndarray
    psi_mean: np.ndarray
    psi_sd: np.ndarray


def first_look(
    model: ConditionalModel,
    start: Starts,
    beta_se: np.ndarray,
    *,
    space: HyperparameterSpace,
    hyper: Hyperparameters,
    chains: int,
    seed: int,
    laws: LawsToLearn | None = None,
) -> FirstLook:
    """Learn the hyperparameters from the genes of the panel alone, by engine psis, and prepare a joint run.

    Parameters
    ----------
    model : ConditionalModel
        At `hyper`.
    start : Starts
    beta_se : ndarray (gene, fixed coefficient)
        Standard errors of the maximum-likelihood coefficients, natural log.
    space : HyperparameterSpace
        Which hyperparameters there are under Cauchy's law of effects, and their priors.
    hyper : Hyperparameters
        Where the search for them starts.
    chains, seed : int
    laws : LawsToLearn, optional
        Other laws of effects.

    Returns
    -------
    FirstLook
        If the genes say too little of the hyperparameters for that, around the values given.

    Raises
    ------
    OptionError
        If a law of effects has a point mass at zero, which Stan cannot sample.
    """
    cauchy, space = space, space if laws is None else laws.space
    check_effects("joint", space.families, [law for _, law in space.mixtures])
    rng = np.random.default_rng(seed)
    try:
        learnt = learn(model, start, cauchy, cauchy.psi_of(hyper), rng, laws=laws)
    except FitError as problem:
        logger.info("engine joint starts from the empirical-Bayes fit: %s", problem)
        genes = SamplerCoordinates.of(replace(model, mixtures=space.mixtures), start, beta_se)
        psi = space.psi_of(hyper)
        even = genes.with_levels(np.ones(genes.location.shape), 1.0)
        starts = genes.with_levels(chain_starts(genes, chains), 0.0)
        return FirstLook(space, genes, starts, even, psi, np.full(psi.size, UNKNOWN_SD))
    points, likelihood = learnt.points, learnt.likelihood
    theta = likelihood.theta[:, : likelihood.n_draws].astype(np.float64)
    weights = _weights(likelihood, points)
    at_mean = space.model_at(model, weighted_mean(points.weight, points.phi))
    genes = informed(SamplerCoordinates.of(at_mean, start, beta_se), theta, weights)
    z = genes.z(theta)
    taken = _taken(weights, chains, rng)
    starts = genes.with_levels(np.take_along_axis(z, taken[:, :, None], axis=1).transpose(1, 0, 2), 0.0)
    variance = genes.with_levels(np.clip(_moments(z, weights)[1], LOWEST, HIGHEST), 1.0)
    return FirstLook(space, genes, starts, variance, *_psi_moments(points))


def informed(genes: SamplerCoordinates, theta: np.ndarray, weights: np.ndarray) -> SamplerCoordinates:
    """Choose coordinates that depend on the hyperparameters as little as can be.

    Parameters
    ----------
    genes : SamplerCoordinates
    theta : ndarray (gene, draw, P + 1)
        Coefficients, log standard deviations of random effects and log dispersion, natural log.
    weights : ndarray (gene, draw)
        Each gene's add up to 1: the posterior under the hyperparameters of ``genes.model``.

    Returns
    -------
    SamplerCoordinates
        All log dispersions, and log standard deviations of random effects, are noncentered, to a degree.
    """
    model, levels = genes.model, genes.levels
    n = int(model.is_fixed.sum())
    center, spread = model.log_sd_prior
    trend = model.log_trend[:, None]
    of_dispersion = _precisions(theta[:, :, -1:], weights, trend, np.array([model.dispersion_sd]))
    precision, precision_times_mean = (part[:, 0] for part in of_dispersion)
    noncentered = genes.noncentered.copy()
    noncentered[:, n:] = True
    if levels is not None:
        of_sds = _precisions(theta[:, :, n:-1], weights, center, spread)
        levels = replace(levels, sd_precision=of_sds[0], sd_precision_times_mean=of_sds[1])
    return replace(
        genes,
        noncentered=noncentered,
        precision=precision,
        precision_times_mean=precision_times_mean,
        levels=levels,
    )


def _precisions(
    values: np.ndarray, weights: np.ndarray, center: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return precision, and precision times mean, of normal densities that the likelihoods are like.

    With the prior Normal(center, spread^2) they have the moments of the draws (gene, draw, parameter).
    """
    mean, variance = _moments(values, weights)
    prior = spread**-2.0
    precision = np.maximum(1.0 / np.maximum(variance, SMALLEST) - prior, 0.0)
    return precision, mean * (precision + prior) - center * prior


def _moments(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted means and variances (gene, parameter) of (gene, draw, parameter)."""
    mean = (weights[:, :, None] * values).sum(axis=1)
    return mean, (weights[:, :, None] * (values - mean[:, None]) ** 2).sum(axis=1)


def _weights(likelihood: MarginalLikelihood, points: HyperparameterPosterior) -> np.ndarray:
    few = points.thinned(min(points.weight.size, 50))
    weights = gene_weights(points.space, likelihood.base_mean, likelihood.theta, likelihood.log_ratio, few)
    return np.where(np.isfinite(weights), weights, 1.0 / weights.shape[1])


def _taken(weights: np.ndarray, chains: int, rng: np.random.Generator) -> np.ndarray:
    """Draw by weights which draw (gene, chain) of a gene each chain starts from."""
    ladder = np.cumsum(weights, axis=1)
    level = rng.random((weights.shape[0], chains, 1)) * ladder[:, None, -1:]
    return np.asarray(np.minimum((ladder[:, None, :] < level).sum(axis=2), weights.shape[1] - 1))


def _psi_moments(points: HyperparameterPosterior) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (hyperparameter,) on the scale psi."""
    psi = points.space.psi(points.phi)
    mean = weighted_mean(points.weight, psi)
    return mean, np.sqrt(weighted_mean(points.weight, (psi - mean) ** 2))
