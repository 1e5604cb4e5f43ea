"""Engine psis: every gene's posterior by importance sampling, the hyperparameters integrated over."""

from __future__ import annotations

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.modes import Starts
from bayesde.numerics.threads import for_each
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.laws import LawsToLearn
from bayesde.posterior.hyper.learning import STAGES, learn, model_under
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood
from bayesde.posterior.importance.sampler import ImportanceSample, draw_sample
from bayesde.posterior.proposal.genes import ProposedGenes, StartedGenes, in_pieces, propose
from bayesde.posterior.proposal.patterns import Patterns
from bayesde.posterior.storage.draws_room import DrawsRoom
from bayesde.workers.progress import Progress, silent

__all__ = ["averaged_points", "proposed_zeros", "sample_and_learn", "sample_given"]

FEWEST_AVERAGED, AVERAGED_TIMES_GENES = 8, 100_000
"""Points of the hyperparameters that a gene's weights are averaged over: fewer than their posterior is made
of, since it is its own counts that a gene mostly depends on."""


def sample_given(
    model: ConditionalModel,
    start: Starts,
    points: HyperparameterPosterior,
    keep: np.ndarray,
    *,
    draws: int,
    progress: Progress | None = None,
) -> ImportanceSample:
    """Sample genes, with hyperparameters that are given.

    Parameters
    ----------
    model : ConditionalModel
        At values of the hyperparameters that proposals are made for.
    start : Starts
        Of the same genes.
    points : HyperparameterPosterior
        The values that are averaged over.
    keep : ndarray of int
        The genes to sample, in increasing order.
    draws : int
        Of every gene.
    progress : callable, optional

    Returns
    -------
    ImportanceSample
    """
    return _sampled(propose(start.genes(keep), model.genes(keep)), points, draws, progress)


def sample_and_learn(
    genes: StartedGenes,
    hyper: Hyperparameters,
    keep: np.ndarray,
    *,
    space: HyperparameterSpace,
    draws: int,
    seed: int,
    progress: Progress | None = None,
    laws: LawsToLearn | None = None,
) -> tuple[ImportanceSample, Hyperparameters]:
    """Learn the hyperparameters from all genes, and sample genes with them integrated out.

    Parameters
    ----------
    genes : StartedGenes
        All genes, with the model at `hyper`.
    hyper : Hyperparameters
        Where the search starts.
    keep : ndarray of int
        The genes to return, in increasing order.
    space : HyperparameterSpace
        Which hyperparameters there are under Cauchy's law of effects, and their priors.
    draws : int
        Of every gene.
    seed : int
    progress : callable, optional
    laws : LawsToLearn, optional
        Other laws of effects.

    Returns
    -------
    genes : ImportanceSample
    hyperparameters : Hyperparameters
        Posterior means, standard deviations and draws.
    """
    rng, model = np.random.default_rng(seed), genes.model
    room_for = draws if keep.size == model.n_genes else 0
    learnt = learn(model, genes.start, space, space.psi_of(hyper), rng, progress, DrawsRoom(room_for), laws)
    summary, pieces, zeros = learnt.summary(rng), learnt.pieces, learnt.zeros
    points = averaged_points(learnt.points, model.n_genes)
    if zeros is not None:
        model, start = model.genes(keep), genes.start.genes(keep)
        at, at_zero = model_under(learnt.points, model), zeros.pieces
        if keep.size < len(learnt.likelihood.base_mean):
            at_zero = proposed_zeros(start, model, zeros.at, points.space.atoms)
        del learnt  # its draws
        return _sampled(propose(start, at), points, draws, progress, at_zero=at_zero), summary
    if keep.size < model.n_genes:
        kept = (piece.genes(np.isin(piece.rows, keep)) for piece in pieces)
        pieces = [piece for piece in kept if piece.rows.size]
    return _sampled(pieces, points, draws, progress, learnt.likelihood), summary


def proposed_zeros(
    start: Starts, model: ConditionalModel, at: HyperparameterPosterior, atoms: tuple[int, ...]
) -> list[list[ProposedGenes]]:
    """Make the proposals with zeros of some genes once more.

    Parameters
    ----------
    start : Starts
    model : ConditionalModel
        Of these genes.
    at : HyperparameterPosterior
        A single point, for which proposals were made when laws were learnt.
    atoms : tuple of int
        Coefficients that may be zero.

    Returns
    -------
    list of list of ProposedGenes
        As of `bayesde.posterior.hyper.learning.ProposedZeros`.
    """
    return for_each(Patterns.of(atoms).pieces_of, in_pieces(start, model_under(at, model)))


def averaged_points(points: HyperparameterPosterior, n_genes: int) -> HyperparameterPosterior:
    """Return the points of the hyperparameters that genes' weights are averaged over.

    Parameters
    ----------
    points : HyperparameterPosterior
    n_genes : int
        From which they were learnt.

    Returns
    -------
    HyperparameterPosterior
    """
    most = max(FEWEST_AVERAGED, AVERAGED_TIMES_GENES // n_genes)
    return points.thinned(min(points.weight.size, most))


def _sampled(
    pieces: list[ProposedGenes],
    points: HyperparameterPosterior,
    draws: int,
    progress: Progress | None,
    likelihood: MarginalLikelihood | None = None,
    at_zero: list[list[ProposedGenes]] | None = None,
) -> ImportanceSample:
    """Sample, and report progress before and after."""
    report = progress or silent
    report(3, STAGES, f"sampling {sum(piece.rows.size for piece in pieces):,} genes")
    sampled = draw_sample(pieces, points, draws, likelihood, at_zero)
    report(STAGES, STAGES, "sampling")
    return sampled
