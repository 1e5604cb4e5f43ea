"""Engine psis: every gene's posterior by importance sampling, the hyperparameters integrated over."""

from __future__ import annotations

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.starts import Starts
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.integrate import USED_DRAWS
from bayesde.posterior.hyper.learning import STAGES, learn
from bayesde.posterior.importance.sampler import ImportanceSample, draw_sample
from bayesde.posterior.progress import Progress
from bayesde.posterior.proposal.genes import propose

__all__ = ["importance_sample"]

FEWEST_AVERAGED, AVERAGED_TIMES_GENES = 8, 100_000
"""Points of the hyperparameters that a gene's weights are averaged over: fewer than their posterior is made
of, since it is its own counts that a gene mostly depends on."""


def importance_sample(
    model: ConditionalModel,
    start: Starts,
    hyper: Hyperparameters,
    keep: np.ndarray,
    *,
    space: HyperparameterSpace,
    learning: bool,
    draws: int,
    seed: int,
    progress: Progress | None = None,
) -> tuple[ImportanceSample, Hyperparameters]:
    """Sample genes, with hyperparameters that are given or learnt.

    Parameters
    ----------
    model : ConditionalModel
        At `hyper`; of all genes if the hyperparameters are to be learnt.
    start : Starts
        Of the same genes.
    hyper : Hyperparameters
        Given values (with draws, these are averaged over), or where the search for them starts.
    keep : ndarray of int
        The genes to return, in increasing order.
    space : HyperparameterSpace
        Which hyperparameters there are, and their priors.
    learning : bool
    draws : int
        Of every gene.
    seed : int
    progress : callable, optional

    Returns
    -------
    genes : ImportanceSample
    hyperparameters : Hyperparameters
        Posterior means, standard deviations and draws if they were learnt; otherwise those given.
    """
    if learning:
        rng = np.random.default_rng(seed)
        room_for = draws if keep.size == model.n_genes else 0
        learnt = learn(model, start, space, space.psi_of(hyper), rng, progress, room_for)
        hyper, pieces, likelihood = learnt.points.summary(rng), learnt.pieces, learnt.likelihood
        most = max(FEWEST_AVERAGED, AVERAGED_TIMES_GENES // model.n_genes)
        points = learnt.points.thinned(min(learnt.points.weight.size, most))
        if keep.size < model.n_genes:
            kept = (piece.genes(np.isin(piece.rows, keep)) for piece in pieces)
            pieces = [piece for piece in kept if piece.rows.size]
    else:
        points, likelihood = HyperparameterPosterior.fixed(space, hyper, USED_DRAWS), None
        pieces = propose(start.genes(keep), model.genes(keep))
    if progress:
        progress(3, STAGES, f"sampling {keep.size:,} genes")
    sampled = draw_sample(pieces, points, draws, likelihood)
    if progress:
        progress(STAGES, STAGES, "sampling")
    return sampled, hyper
