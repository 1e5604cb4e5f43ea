"""Engine psis: every gene's posterior by importance sampling, the hyperparameters integrated over.

The hyperparameters' posterior is learnt from all genes: a proposal is built at the empirical-Bayes values,
the marginal likelihood of its draws is maximized, and the proposal is built again where that has moved far;
first with few draws of some of the genes, then with all. The last draws get weights with the
hyperparameters averaged over. Genes whose weights are not to be trusted get an adapted proposal.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bayesde.errors import FitError
from bayesde.posterior.chains.integrate import USED_DRAWS
from bayesde.posterior.gene_draws import GeneDraws
from bayesde.posterior.hyperparameters import Hyperparameters
from bayesde.posterior.importance.adapt import adapted
from bayesde.posterior.importance.components import gene_mixtures
from bayesde.posterior.importance.layout import Layout
from bayesde.posterior.importance.mixture import Proposal
from bayesde.posterior.importance.pareto import MAX_K, smoothed_in_parts
from bayesde.posterior.importance.proposal import draw, fitted_shares
from bayesde.posterior.importance.surface import (
    HyperPosterior,
    Surface,
    curvature_sd,
    gene_weights,
    hyper_posterior,
    maximize,
)
from bayesde.posterior.model import ConditionalModel

__all__ = [
    "SMALLEST_SIZE",
    "Sampled",
    "Start",
    "Weighed",
    "importance_sample",
    "learn",
    "learn_hyperparameters",
    "sample_given",
    "weigh",
]

logger = logging.getLogger(__name__)

SCOUTED_GENES, SCOUTED_DRAWS = 2000, 250
"""While the hyperparameters are still on their way."""
LEARNING_DRAWS = 200_000
"""Of all genes together, at least: of few genes more draws each, or the marginal likelihood is too rough."""
FAR = math.log(2.0)
"""A change of ln S, ln sigma or the log trend after which the proposal is built again."""
MAX_ROUNDS, STRAIGHT_ROUNDS = 12, 4
FEWEST_POINTS, MOST_POINTS, POINTS_TIMES_GENES = 32, 1000, 400_000
"""The more genes, the narrower the posterior of the hyperparameters, and the fewer points it takes."""
FEWEST_AVERAGED, AVERAGED_TIMES_GENES = 8, 100_000
"""A gene's weights are averaged over fewer still: it is its own counts that it mostly depends on."""
FEW_POINTS = 20.0
ADAPTATIONS = 3
LONG_PILOT = 1000
SMALLEST_SIZE = 0.1
"""Share of effective draws below which a proposal is adapted; where that fails, the status is low_ess."""
STAGES = 4
"""Of the work, as progress counts them."""
NEW_STREAM = 0x85EBCA6B
"""What a gene's seed is combined with for other random numbers."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Start:
    """Where the searches for the genes' modes start, and the genes' seeds.

    Attributes
    ----------
    beta : ndarray (gene, coefficient)
    log_dispersion : ndarray (gene,)
    seeds : ndarray of uint32 (gene,)
    """

    beta: np.ndarray
    log_dispersion: np.ndarray
    seeds: np.ndarray

    def genes(self, rows: np.ndarray) -> Start:
        """Take some of the genes, by index."""
        return Start(self.beta[rows], self.log_dispersion[rows], self.seeds[rows])

    def proposal(self, model: ConditionalModel) -> Proposal:
        """Build the genes' proposals."""
        mixture = gene_mixtures(model, self.beta, self.log_dispersion)
        return fitted_shares(model, mixture, self.seeds)


@dataclass(frozen=True, eq=False)
class Sampled:
    """Draws of some genes, and what of their weights does not depend on the hyperparameters.

    Attributes
    ----------
    model : ConditionalModel
        What the proposal was made for.
    proposal : Proposal
    surface : Surface
    seeds : ndarray of uint32 (gene,)
    """

    model: ConditionalModel
    proposal: Proposal
    surface: Surface
    seeds: np.ndarray

    def genes(self, rows: np.ndarray) -> Sampled:
        """Take some of the genes, by index."""
        return Sampled(
            self.model.genes(rows), self.proposal.genes(rows), self.surface.genes(rows), self.seeds[rows]
        )


@dataclass(frozen=True, eq=False)
class Weighed:
    """What engine psis gives.

    Attributes
    ----------
    draws : GeneDraws
    report : dict of str to ndarray (gene,)
        ``pareto_k``, ``ess_bulk`` (the effective number of draws) and ``attempts``.
    """

    draws: GeneDraws
    report: dict[str, np.ndarray]


def importance_sample(
    model: ConditionalModel,
    start: Start,
    hyper: Hyperparameters,
    keep: np.ndarray,
    *,
    layout: Layout,
    learning: bool,
    draws: int,
    seed: int,
    progress: Progress | None = None,
) -> tuple[Weighed, Hyperparameters]:
    """Sample genes, with hyperparameters that are given or learnt.

    Parameters
    ----------
    model : ConditionalModel
        At `hyper`; of all genes if the hyperparameters are to be learnt.
    start : Start
        Of the same genes.
    hyper : Hyperparameters
        Given values (with draws, these are averaged over), or where the search for them starts.
    keep : ndarray of int
        The genes to return.
    layout : Layout
        Which hyperparameters there are, and their priors.
    learning : bool
    draws : int
        Of every gene.
    seed : int
    progress : callable, optional

    Returns
    -------
    genes : Weighed
    hyperparameters : Hyperparameters
        Posterior means, standard deviations and draws if they were learnt; otherwise those given.
    """
    say = progress or _unheard
    if learning:
        rng = np.random.default_rng(seed)
        points, sampled = learn(model, start, layout, layout.psi(hyper), draws, rng, progress)
        hyper = points.summary(rng)
        points = points.thinned(
            min(points.weight.size, max(FEWEST_AVERAGED, AVERAGED_TIMES_GENES // model.n_genes))
        )
    else:
        say(1, STAGES, f"drawing from {model.n_genes:,} genes")
        points = HyperPosterior.fixed(layout, hyper, USED_DRAWS)
        sampled = sample_given(model, start, layout, draws)
    if keep.size < model.n_genes:
        sampled = sampled.genes(keep)
    say(3, STAGES, f"weighing the draws of {keep.size:,} genes")
    genes = weigh(sampled, points)
    say(STAGES, STAGES, "weighing")
    return genes, hyper


def learn_hyperparameters(
    model: ConditionalModel,
    start: Start,
    hyper: Hyperparameters,
    *,
    layout: Layout,
    seed: int,
    draws: int = 500,
    progress: Progress | None = None,
) -> Hyperparameters:
    """Learn the hyperparameters from all genes, for another engine to sample under.

    Parameters
    ----------
    model : ConditionalModel
    start : Start
    hyper : Hyperparameters
        Where the search starts.
    layout : Layout
    seed : int
    draws : int
        Of every gene.
    progress : callable, optional

    Returns
    -------
    Hyperparameters
        Posterior means, standard deviations and draws.
    """
    rng = np.random.default_rng(seed)
    points, _ = learn(model, start, layout, layout.psi(hyper), draws, rng, progress)
    return points.summary(rng)


def _unheard(done: int, total: int, text: str) -> None:
    """Tell nobody."""


def sample_given(model: ConditionalModel, start: Start, layout: Layout, n_draws: int) -> Sampled:
    """Draw from proposals made for the model's hyperparameters.

    Parameters
    ----------
    model : ConditionalModel
    start : Start
    layout : Layout
    n_draws : int

    Returns
    -------
    Sampled
    """
    proposal = start.proposal(model)
    surface = Surface.of(layout, model, draw(model, proposal, start.seeds, n_draws))
    return Sampled(model, proposal, surface, start.seeds)


def learn(
    model: ConditionalModel,
    start: Start,
    layout: Layout,
    psi: np.ndarray,
    n_draws: int,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> tuple[HyperPosterior, Sampled]:
    """Learn the hyperparameters from all genes.

    Parameters
    ----------
    model : ConditionalModel
        Of all genes.
    start : Start
    layout : Layout
    psi : ndarray (hyperparameter,)
        Where the search starts.
    n_draws : int
        Of every gene, in the end.
    rng : Generator
    progress : callable, optional

    Returns
    -------
    points : HyperPosterior
    sampled : Sampled
        All genes, drawn from proposals made near the maximum.

    Raises
    ------
    FitError
        If the search does not come to rest.
    """
    say = progress or _unheard
    some = _spread_genes(model, start.seeds)
    enough = max(n_draws, LEARNING_DRAWS // model.n_genes)
    few = min(enough, max(SCOUTED_DRAWS, LEARNING_DRAWS // some.size))
    if some.size < model.n_genes or few < enough:
        say(0, STAGES, "learning the hyperparameters from some of the genes")
        psi, _ = _settle(model.genes(some), start.genes(some), layout, psi, few)
    say(1, STAGES, f"drawing from {model.n_genes:,} genes")
    psi, sampled = _settle(model, start, layout, psi, enough)
    say(2, STAGES, "learning the hyperparameters from all genes")
    n_points = min(MOST_POINTS, max(FEWEST_POINTS, POINTS_TIMES_GENES // model.n_genes))
    points = hyper_posterior(sampled.surface, psi, n_points, rng)
    known = points.effective_size >= min(FEW_POINTS, 0.5 * n_points)
    logger.log(
        logging.INFO if known else logging.WARNING,
        "%.0f effective of %d points of the hyperparameters%s",
        points.effective_size,
        n_points,
        "" if known else ": their posterior is only roughly known",
    )
    if enough > n_draws:
        sampled = sample_given(sampled.model, start, layout, n_draws)
    return points, sampled


def _spread_genes(model: ConditionalModel, seeds: np.ndarray) -> np.ndarray:
    """Choose at most `SCOUTED_GENES`, evenly by base mean; which ones does not depend on the genes' order."""
    order = np.lexsort((seeds, model.base_mean))
    return order[np.linspace(0, order.size - 1, min(order.size, SCOUTED_GENES)).astype(int)]


def _settle(
    model: ConditionalModel, start: Start, layout: Layout, psi: np.ndarray, n_draws: int
) -> tuple[np.ndarray, Sampled]:
    """Maximize, with proposals made near the maximum.

    Where genes say little of a scale, its maximum depends on the draws. So after some rounds proposals are
    made halfway, and a maximum counts as near within a posterior standard deviation.
    """
    at = psi
    for number in range(MAX_ROUNDS):
        at = psi if number < STRAIGHT_ROUNDS else 0.5 * (at + psi)
        sampled = sample_given(_model_at(model, layout, at), start, layout, n_draws)
        psi = maximize(sampled.surface, at)
        near = _change(sampled.model, _model_at(model, layout, psi)) < FAR
        if near or (
            number >= STRAIGHT_ROUNDS and (np.abs(psi - at) < curvature_sd(sampled.surface, psi)).all()
        ):
            return psi, sampled
    raise FitError(
        f"the hyperparameters still moved after {MAX_ROUNDS} rounds: these genes say too little of them. Use "
        "more genes, or give values, such as Hyperparameters.from_eb(fit)."
    )


def _model_at(model: ConditionalModel, layout: Layout, psi: np.ndarray) -> ConditionalModel:
    """Return the model with other hyperparameters."""
    scale, trend, sd, nu = layout.parts(layout.phi(psi), model.base_mean)
    scales = model.shrinkage_scale.copy()
    scales[list(layout.shrunken)] = scale
    return replace(model, shrinkage_scale=scales, log_trend=trend, dispersion_sd=sd, nu=nu)


def _change(model: ConditionalModel, new: ConditionalModel) -> float:
    """Return the largest change of a log scale or of the log trend."""
    changes = [
        np.log(new.shrinkage_scale / model.shrinkage_scale),
        new.log_trend - model.log_trend,
        np.log([new.dispersion_sd / model.dispersion_sd]),
    ]
    return float(np.abs(np.concatenate(changes)).max())


def weigh(sampled: Sampled, points: HyperPosterior) -> Weighed:
    """Weigh the draws with the hyperparameters integrated out; adapt the proposals that do not serve.

    Parameters
    ----------
    sampled : Sampled
        Its proposals are made near the points. The draws of genes that are adapted are overwritten.
    points : HyperPosterior

    Returns
    -------
    Weighed
    """
    log_weights, pareto_k, size = _smoothed_weights(sampled, points)
    theta, log_ratio = sampled.surface.theta, sampled.surface.log_ratio
    attempts = np.ones(size.size)
    trouble = _trouble(pareto_k, size, log_weights.shape[1])
    bad = np.flatnonzero(trouble > 1.0)
    current, newest = sampled.genes(bad), log_weights[bad]
    for attempt in range(ADAPTATIONS):
        if not bad.size:
            break
        current = _again(current, np.exp(newest), attempt)
        newest, k, new_size = _smoothed_weights(current, points)
        new_trouble = _trouble(k, new_size, log_weights.shape[1])
        better = new_trouble < trouble[bad]
        taken = bad[better]
        theta[taken], log_weights[taken] = current.surface.theta[better], newest[better]
        log_ratio[taken] = current.surface.log_ratio[better]
        pareto_k[taken], size[taken] = k[better], new_size[better]
        trouble[taken] = new_trouble[better]
        attempts[bad] += 1.0
        still = np.flatnonzero(trouble[bad] > 1.0)
        current, newest, bad = current.genes(still), newest[still], bad[still]
    report = {"pareto_k": pareto_k, "ess_bulk": size, "attempts": attempts}
    return Weighed(GeneDraws(theta, log_weights, log_ratio), report)


def _smoothed_weights(sampled: Sampled, points: HyperPosterior) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log weights, Pareto's k and effective sizes."""
    layout, surface = sampled.surface.layout, sampled.surface

    def weights_of(rows: slice) -> np.ndarray:
        return gene_weights(
            layout, surface.base_mean[rows], surface.theta[rows], surface.log_ratio[rows], points
        )

    n_genes, n_draws = surface.log_ratio.shape
    return smoothed_in_parts(weights_of, n_genes, n_draws)


def _trouble(pareto_k: np.ndarray, size: np.ndarray, n_draws: int) -> np.ndarray:
    """Return how far weights are from what can be trusted: above 1, they cannot."""
    return np.maximum(pareto_k / MAX_K, SMALLEST_SIZE * n_draws / size)


def _again(sampled: Sampled, weights: np.ndarray, attempt: int) -> Sampled:
    """Adapt proposals to weighted draws, and draw with new random numbers."""
    n_draws = sampled.surface.theta.shape[1]
    seeds = sampled.seeds ^ np.uint32(NEW_STREAM + attempt)
    moved = adapted(sampled.proposal, sampled.surface.theta, weights)
    proposal = fitted_shares(sampled.model, moved, seeds, LONG_PILOT)
    draws = draw(sampled.model, proposal, seeds, n_draws)
    return Sampled(
        sampled.model, proposal, Surface.of(sampled.surface.layout, sampled.model, draws), sampled.seeds
    )
