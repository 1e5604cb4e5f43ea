"""Engine psis: every gene's posterior by importance sampling, the hyperparameters integrated over.

The hyperparameters' posterior is learnt from all genes: a proposal is built at the empirical-Bayes values, the
marginal likelihood of the draws is maximized, and the proposal is built again where that has moved far. The
same draws then get weights with the hyperparameters averaged over.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bayesde.errors import FitError
from bayesde.posterior.adapt import adapted
from bayesde.posterior.hyperparameters import Hyperparameters
from bayesde.posterior.importance import (
    HyperPosterior,
    Layout,
    Surface,
    gene_weights,
    hyper_posterior,
    maximize,
)
from bayesde.posterior.integrate import USED_DRAWS
from bayesde.posterior.model import ConditionalModel
from bayesde.posterior.pareto import MAX_K, effective_size, smoothed
from bayesde.posterior.proposal import Draws, Proposal, draw, fitted_shares, gene_seeds, laplace_mixture

__all__ = ["WeightedGenes", "fixed_points", "learn_hyperparameters", "weigh_genes"]

logger = logging.getLogger(__name__)

SCOUTS = 250
"""Draws of a gene while the hyperparameters are still on their way."""
FAR = math.log(2.0)
"""A change of ln S, ln sigma or the log trend after which the proposal is built again."""
MAX_ROUNDS = 10
FEWEST_POINTS, MOST_POINTS, POINTS_TIMES_GENES = 32, 400, 400_000
"""The more genes, the narrower the posterior of the hyperparameters, and the fewer points it takes."""
ADAPTATIONS = 2


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
        """Take some of the genes."""
        return Start(self.beta[rows], self.log_dispersion[rows], self.seeds[rows])

    def proposal(self, model: ConditionalModel) -> Proposal:
        """Build the genes' proposals."""
        mixture = laplace_mixture(model, self.beta, self.log_dispersion)
        return fitted_shares(model, mixture, self.seeds)


def model_at(model: ConditionalModel, layout: Layout, psi: np.ndarray) -> ConditionalModel:
    """Return the model with other hyperparameters."""
    scale, trend, sd, nu = layout.parts(psi, model.base_mean)
    scales = model.shrinkage_scale.copy()
    scales[list(layout.shrunken)] = scale
    return replace(model, shrinkage_scale=scales, log_trend=trend, dispersion_sd=sd, nu=nu)


def moved(model: ConditionalModel, new: ConditionalModel) -> float:
    """Return the largest change of a log scale or of the log trend."""
    changes = [
        np.log(new.shrinkage_scale / model.shrinkage_scale),
        new.log_trend - model.log_trend,
        np.log([new.dispersion_sd / model.dispersion_sd]),
    ]
    return float(np.abs(np.concatenate(changes)).max())


def learn_hyperparameters(
    model: ConditionalModel, start: Start, layout: Layout, psi: np.ndarray, n_draws: int, seed: int
) -> HyperPosterior:
    rng = np.random.default_rng(seed)
    size = SCOUTS
    for _ in range(MAX_ROUNDS):
        model = model_at(model, layout, psi)
        surface = Surface.of(layout, model, draw(model, start.proposal(model), start.seeds, size))
        psi = maximize(surface, psi)
        if moved(model, model_at(model, layout, psi)) < FAR:
            if size == n_draws:
                break
            size = n_draws
    else:
        raise FitError('no')
    points = min(MOST_POINTS, max(FEWEST_POINTS, POINTS_TIMES_GENES // model.n_genes))
    return hyper_posterior(surface, psi, points, rng)
