"""Results of each method on a data set: for every parameter, the posterior probability below the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bayesde.model.modes import Starts
from bayesde.posterior import SamplingOptions
from bayesde.posterior.draws.diagnostics import effective_sizes
from bayesde.posterior.draws.streams import gene_seeds
from bayesde.posterior.importance.engine import sample_and_learn
from bayesde.posterior.proposal.genes import StartedGenes
from bayesde.posterior.stan.data import SamplerCoordinates
from bayesde.posterior.stan.first_look import first_look
from bayesde.posterior.stan.joint import sample_joint
from bayesde.posterior.stan.nuts import SampledGenes, sample_genes
from bayesde.posterior.stan.run import ChainSettings
from benchmarks.calibration.designs import CONTRAST, quantity_names
from benchmarks.calibration.experiments import Experiment

QUANTITIES = quantity_names()
"""Of every gene, without random effects."""
PSIS_DRAWS = 1000
CHAINS = ChainSettings(chains=2, warmup=300, draws=250, adapt_delta=0.9, max_treedepth=10)
OPTIONS = SamplingOptions(max_rhat=1.05, min_ess=100.0)
EVERY = {"nuts": 5, "joint": 10}
"""Of the draws of a chain every so many-th is taken for ranks, so that they are nearly independent."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A method's answer to one data set.

    Attributes
    ----------
    shared : dict of str to float
        Posterior probability below the true hyperparameters; empty where they are given.
    genes : ndarray (gene, quantity)
        The same of every gene's quantities (`quantity_names`).
    trouble : int
        Genes that did not pass the method's checks (psis: k > 0.7 or few effective draws; chains: R-hat above
        1.05, or fewer than 100 effective draws).
    smallest_size : float
        Effective number of draws of the hyperparameters, the smallest; of the genes where those are given.
    """

    shared: dict[str, float]
    genes: np.ndarray
    trouble: int
    smallest_size: float


def quantities(theta: np.ndarray) -> np.ndarray:
    """Append the contrast to coefficients, log standard deviations and log dispersion (..., P + 1)."""
    return np.concatenate([theta, (theta[..., : CONTRAST.size] @ CONTRAST)[..., None]], axis=-1)


def by_importance(experiment: Experiment, seed: int) -> Answer:
    """Run inference method psis, and add up the weights of the draws below the truth.

    Where effect and draws are exactly 0, a random share of the weight of these draws is added.
    """
    beta, _, log_dispersion = experiment.estimates()
    model = experiment.model_at_guess
    everyone, seeds = np.arange(model.n_genes), gene_seeds(map(str, range(model.n_genes)), seed)
    weighed, hyper = sample_and_learn(
        StartedGenes(everyone, model, Starts(beta, log_dispersion, seeds)),
        experiment.guess,
        everyone,
        space=experiment.variant.space,
        draws=PSIS_DRAWS,
        seed=seed,
        laws=experiment.variant.laws,
    )
    rng, report = np.random.default_rng(seed), weighed.report
    drawn, truth = quantities(weighed.draws.theta.astype(float)), quantities(experiment.theta)[:, None, :]
    share, ties = (
        np.einsum("gm,gmq->gq", weighed.draws.weights(), which) for which in (drawn < truth, drawn == truth)
    )
    genes = _rank_of_share(share, report["ess"][:, None], rng)
    if ties.any():
        share = share + ties * rng.random(ties.shape)
        genes = np.where(ties > 0.0, _rank_of_share(share, report["ess"][:, None], rng), genes)
    shared = {
        name: float(
            _rank_of_share(np.mean(hyper.draws[name] < truth), np.unique(hyper.draws[name]).size, rng)
        )
        for name, truth in experiment.phi.items()
    }
    trouble = int(np.sum((report["pareto_k"] > 0.7) | (report["ess"] < 0.1 * PSIS_DRAWS)))
    return Answer(shared, genes, trouble, hyper.checks["effective_points"])


def _ranks(draws: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn the rank of the truth among draws (draw, ...) into a number that is uniform under the null."""
    rank = (draws < truth).sum(axis=0)
    return (rank + rng.random(rank.shape)) / (draws.shape[0] + 1.0)


def _rank_of_share(share: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Do the same with the share of weighted draws below the truth; size is their effective number."""
    return (share * size + rng.random(np.shape(share))) / (size + 1.0)


def _thinned(draws: np.ndarray, engine: str) -> np.ndarray:
    """Take some draws of (chain, draw, ...) and put the chains one after the other."""
    some = draws[:, EVERY[engine] - 1 :: EVERY[engine]]
    return some.reshape(-1, *some.shape[2:])


def _by_chain(sampled: SampledGenes) -> np.ndarray:
    """Return draws as (chain, draw, gene, P + 1)."""
    draws = sampled.draws
    shape = (draws.n_genes, draws.chains, -1, draws.theta.shape[2])
    return draws.theta.reshape(shape).transpose(1, 2, 0, 3).astype(float)


def _failed(report: dict[str, np.ndarray], options: SamplingOptions) -> int:
    size = np.minimum(report["ess_bulk"], report["ess_tail"])
    return int(np.sum(~((report["rhat"] <= options.max_rhat) & (size >= options.min_ess))))


def by_blocks(experiment: Experiment, seed: int) -> Answer:
    """Run inference method nuts, given the true hyperparameters."""
    beta, beta_se, log_dispersion = experiment.estimates()
    model = experiment.model
    start = Starts(beta, log_dispersion, gene_seeds(map(str, range(model.n_genes)), seed))
    sampled = sample_genes(SamplerCoordinates.of(model, start, beta_se), CHAINS, options=OPTIONS, seed=seed)
    rng = np.random.default_rng(seed)
    drawn = quantities(_thinned(_by_chain(sampled), "nuts"))
    genes = _ranks(drawn, quantities(experiment.theta), rng)
    size = float(np.min(sampled.report["ess_bulk"]))
    return Answer({}, genes, _failed(sampled.report, OPTIONS), size)


def jointly(experiment: Experiment, seed: int) -> Answer:
    """Run inference method joint."""
    beta, beta_se, log_dispersion = experiment.estimates()
    model, variant = experiment.model_at_guess, experiment.variant
    look = first_look(
        model,
        Starts(beta, log_dispersion, gene_seeds(map(str, range(model.n_genes)), seed)),
        beta_se,
        space=variant.space,
        hyper=experiment.guess,
        laws=variant.laws,
        chains=CHAINS.chains,
        seed=seed,
    )
    sampled, points = sample_joint(look, CHAINS, options=OPTIONS, seed=seed)
    shared = points.by_chain()
    rng = np.random.default_rng(seed)
    genes = _ranks(quantities(_thinned(_by_chain(sampled), "joint")), quantities(experiment.theta), rng)
    ranks = {
        name: float(_ranks(_thinned(shared[name], "joint"), np.asarray(truth), rng))
        for name, truth in experiment.phi.items()
    }
    sizes = effective_sizes(np.stack([shared[name] for name in experiment.phi]))
    return Answer(ranks, genes, _failed(sampled.report, OPTIONS), float(sizes.min()))


ENGINES: dict[str, Callable[[Experiment, int], Answer]] = {
    "psis": by_importance,
    "nuts": by_blocks,
    "joint": jointly,
}
