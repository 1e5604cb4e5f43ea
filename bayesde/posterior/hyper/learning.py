r"""The hyperparameters' posterior, learnt from some draws of all genes.

A proposal is built at the values where the search starts, the marginal likelihood of its draws is maximized,
and the proposal is built again where that has moved far; first for some of the genes, then for all.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace

import numpy as np

from bayesde.errors import FitError
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.modes import Starts
from bayesde.numerics.small_matrices import weighted_mean
from bayesde.numerics.threads import for_each
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.laws import (
    ENOUGH_GENES,
    LawsToLearn,
    gain_of_student_t,
    learn_laws,
    with_mean_weights,
    with_zeros,
)
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood
from bayesde.posterior.hyper.maximum import curvature_sd, maximize
from bayesde.posterior.hyper.sampling import FEW_POINTS, sample_hyperparameters
from bayesde.posterior.proposal.genes import ProposedGenes, in_pieces, propose
from bayesde.posterior.storage.draws_room import DrawsRoom
from bayesde.workers.progress import Progress, silent

__all__ = [
    "STAGES",
    "Learnt",
    "ProposedZeros",
    "draw_all",
    "few_draws",
    "learn",
    "maximum_of_some",
    "model_under",
    "number_of_points",
    "settled",
    "spread_genes",
]

logger = logging.getLogger(__name__)

SCOUTED_GENES, SCOUTED_DRAWS = 1000, 250
"""For the first search, from far away."""
FEWEST_DRAWS, DRAWS_TIMES_GENES = 500, 400_000
"""Of every gene: of few genes it takes more draws each, or the marginal likelihood is too rough."""
FAR = math.log(2.0)
"""A change of ln S, ln sigma or the log trend after which the proposal is built again."""
FAR_OF_LEVELS, MANY_LEVELS = math.log(1.3), 4
"""The same for factors of more levels than that: the scale has as many times the weight."""
MAX_ROUNDS, STRAIGHT_ROUNDS = 12, 4
FEWEST_POINTS, MOST_POINTS, POINTS_TIMES_GENES = 48, 1000, 400_000
"""The more genes, the narrower the posterior of the hyperparameters, and the fewer points it takes."""
STAGES = 4
"""Of the work of engine psis, as progress counts them."""


@dataclass(frozen=True, eq=False)
class ProposedZeros:
    """The proposals of all genes with zeros, where a law has an atom.

    Attributes
    ----------
    pieces : list of list of ProposedGenes
        Those of every piece.
    at : HyperparameterPosterior
        A single point of the hyperparameters, for which they were made.
    """

    pieces: list[list[ProposedGenes]]
    at: HyperparameterPosterior


@dataclass(frozen=True, eq=False)
class Learnt:
    """The hyperparameters' posterior, and the draws that it was learnt from.

    Attributes
    ----------
    points : HyperparameterPosterior
        The posterior of the hyperparameters.
    pieces : list of ProposedGenes
        All genes, with proposals made near the maximum.
    likelihood : MarginalLikelihood
        The draws that were learnt from, without zeros; its array may have room for more.
    zeros : ProposedZeros or None
    gain : dict of str to float
        What `gain_of_student_t` returns, where the law is Cauchy's.
    at : ndarray (hyperparameter,)
        Where proposals were made, as psi of Cauchy's law.
    """

    points: HyperparameterPosterior
    pieces: list[ProposedGenes]
    likelihood: MarginalLikelihood
    zeros: ProposedZeros | None = None
    gain: dict[str, float] = field(default_factory=dict)
    at: np.ndarray = field(default_factory=lambda: np.empty(0))

    def summary(self, rng: np.random.Generator) -> Hyperparameters:
        """Return posterior means, standard deviations and draws of the hyperparameters, and what was checked.

        Parameters
        ----------
        rng : Generator

        Returns
        -------
        Hyperparameters
        """
        found = self.points.summary(rng)
        return replace(found, checks=found.checks | self.gain)


def learn(
    model: ConditionalModel,
    start: Starts,
    space: HyperparameterSpace,
    psi: np.ndarray,
    rng: np.random.Generator,
    progress: Progress | None = None,
    room: DrawsRoom | None = None,
    laws: LawsToLearn | None = None,
) -> Learnt:
    """Learn the hyperparameters from all genes.

    Parameters
    ----------
    model : ConditionalModel
        Of all genes.
    start : Starts
    space : HyperparameterSpace
        With Cauchy's law of effects.
    psi : ndarray (hyperparameter,)
        Where the search starts.
    rng : Generator
    progress : callable, optional
    room : DrawsRoom, optional
        Where the draws are made.
    laws : LawsToLearn, optional
        Other laws of effects; they are learnt from the draws made under Cauchy's.

    Returns
    -------
    Learnt

    Raises
    ------
    FitError
        If the search does not converge.
    """
    report = progress or silent
    enough = max(FEWEST_DRAWS, DRAWS_TIMES_GENES // model.n_genes)
    psi, at, pieces, likelihood = settled(model, start, space, psi, enough, progress, room)
    under, zeros = likelihood, None
    if laws is not None:
        report(1, STAGES, "learning the law of the effects")
        under, psi, zeros = _under_laws(model, start, likelihood, psi, laws)
    report(2, STAGES, "sampling the hyperparameters")
    points = sample_hyperparameters(under, psi, number_of_points(model.n_genes), rng)
    known = points.effective_size >= min(FEW_POINTS, 0.5 * points.weight.size)
    logger.log(
        logging.INFO if known else logging.WARNING,
        "%.0f effective of %d points of the hyperparameters%s",
        points.effective_size,
        points.weight.size,
        "" if known else ": their posterior is only roughly known",
    )
    gain = gain_of_student_t(likelihood, psi) if laws is None else {}
    return Learnt(points, pieces, likelihood, zeros, gain, at)


def _under_laws(
    model: ConditionalModel, start: Starts, likelihood: MarginalLikelihood, psi: np.ndarray, laws: LawsToLearn
) -> tuple[MarginalLikelihood, np.ndarray, ProposedZeros | None]:
    """Learn laws of effects; return the likelihood under them, its maximum, and the proposals with zeros.

    At most `ENOUGH_GENES` teach a law first that the proposals with zeros of all are made for: effects that
    are not zero are larger than Cauchy's law has them, and seldom in doubt, so that it is faster and better.
    """
    space = likelihood.space
    hyper, at = space.hyperparameters(space.phi(psi)), _point(space, psi)
    if not laws.atoms:
        return *with_mean_weights(likelihood, laws, *learn_laws(likelihood, laws, hyper)), None
    taken = likelihood.spread_genes(ENOUGH_GENES)
    genes = in_pieces(start.genes(taken), model_under(at, model.genes(taken)))
    found, psi = learn_laws(with_zeros(likelihood.spread(ENOUGH_GENES), genes, laws.atoms)[0], laws, hyper)
    hyper, at = found.space.hyperparameters(found.space.phi(psi)), _point(found.space, psi)
    under, pieces = with_zeros(likelihood, in_pieces(start, model_under(at, model)), laws.atoms)
    learnt = learn_laws(under, laws, hyper, near=True)
    return *with_mean_weights(under, laws, *learnt), ProposedZeros(pieces, at)


def _point(space: HyperparameterSpace, psi: np.ndarray) -> HyperparameterPosterior:
    return HyperparameterPosterior(space, space.phi(psi)[None], np.ones(1))


def model_under(points: HyperparameterPosterior, model: ConditionalModel) -> ConditionalModel:
    """Return a model under laws of effects that have been learnt, to make proposals for.

    Parameters
    ----------
    points : HyperparameterPosterior
        Of which the mean is taken.
    model : ConditionalModel

    Returns
    -------
    ConditionalModel
        Of the same genes. Where the law is a mixture, the scale is the median absolute effect that is not 0.
    """
    at = points.space.model_at(model, weighted_mean(points.weight, points.phi))
    scale = at.shrinkage_scale.copy()
    for k, law in points.space.mixtures:
        scale[k] = law.median_size
    return replace(at, shrinkage_scale=scale)


def settled(
    model: ConditionalModel,
    start: Starts,
    space: HyperparameterSpace,
    psi: np.ndarray,
    n_draws: int,
    progress: Progress | None = None,
    room: DrawsRoom | None = None,
) -> tuple[np.ndarray, np.ndarray, list[ProposedGenes], MarginalLikelihood]:
    """Find the hyperparameters of largest posterior density, with proposals made near them.

    Parameters
    ----------
    model : ConditionalModel
        Of all genes.
    start : Starts
    space : HyperparameterSpace
        With Cauchy's law of effects.
    psi : ndarray (hyperparameter,)
        Where the search starts.
    n_draws : int
        Of every gene.
    progress : callable, optional
    room : DrawsRoom, optional
        Where the draws are made.

    Returns
    -------
    psi, at : ndarray (hyperparameter,)
        The maximum, and where proposals were made.
    pieces : list of ProposedGenes
    likelihood : MarginalLikelihood

    Raises
    ------
    FitError
        If the search does not converge.
    """
    report, some = progress or silent, spread_genes(model.base_mean, start.seeds)
    few = min(n_draws, few_draws(some.size))
    if some.size < model.n_genes or few < n_draws:
        report(0, STAGES, "learning the hyperparameters from some of the genes")
        psi, *_ = _settle(model.genes(some), start.genes(some), space, psi, few)
    report(1, STAGES, f"learning the hyperparameters from {model.n_genes:,} genes")
    return _settle(model, start, space, psi, n_draws, room)


def maximum_of_some(
    model: ConditionalModel,
    start: Starts,
    space: HyperparameterSpace,
    psi: np.ndarray,
    n_draws: int = SCOUTED_DRAWS,
) -> tuple[np.ndarray, MarginalLikelihood]:
    """Find the maximum from few genes and few draws.

    Parameters
    ----------
    model, start, space, psi, n_draws
        As of `settled`.

    Returns
    -------
    psi : ndarray (hyperparameter,)
    likelihood : MarginalLikelihood

    Raises
    ------
    FitError
        If the search does not converge.
    """
    psi, _, _, likelihood = _settle(model, start, space, psi, n_draws)
    return psi, likelihood


def number_of_points(n_genes: int) -> int:
    """Return by how many points the posterior of the hyperparameters is represented.

    Parameters
    ----------
    n_genes : int
        From which they are learnt.

    Returns
    -------
    int
    """
    return min(MOST_POINTS, max(FEWEST_POINTS, POINTS_TIMES_GENES // n_genes))


def few_draws(n_genes: int) -> int:
    """Return how many draws of each gene a first search needs: the fewer genes, the more.

    Parameters
    ----------
    n_genes : int
        That are learnt from.

    Returns
    -------
    int
    """
    return max(SCOUTED_DRAWS, DRAWS_TIMES_GENES // n_genes)


def spread_genes(base_mean: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Choose at most `SCOUTED_GENES`, evenly by base mean; which ones does not depend on the genes' order.

    Parameters
    ----------
    base_mean : ndarray (gene,)
    seeds : ndarray of uint32 (gene,)

    Returns
    -------
    ndarray of int
    """
    order = np.lexsort((seeds, base_mean))
    return np.asarray(order[np.linspace(0, order.size - 1, min(order.size, SCOUTED_GENES)).astype(int)])


def _settle(
    model: ConditionalModel,
    start: Starts,
    space: HyperparameterSpace,
    psi: np.ndarray,
    n_draws: int,
    room: DrawsRoom | None = None,
) -> tuple[np.ndarray, np.ndarray, list[ProposedGenes], MarginalLikelihood]:
    """Maximize, with proposals made near the maximum; return it, where they were made, them and their draws.

    Where genes say little of a scale, its maximum depends on the draws. So after some rounds proposals are
    made halfway, and a maximum counts as near within a posterior standard deviation.
    """
    at = psi
    far = FAR_OF_LEVELS if _has_many_levels(model) else FAR
    made = (room or DrawsRoom()).made(model.n_genes, n_draws, model.n_coefficients + 1)
    for number in range(MAX_ROUNDS):
        at = psi if number < STRAIGHT_ROUNDS else 0.5 * (at + psi)
        model_at = space.model_at(model, space.phi(at))
        pieces = propose(start, model_at)
        likelihood = draw_all(pieces, space, n_draws, made)
        psi = maximize(likelihood, at)
        near = _change(model_at, space.model_at(model, space.phi(psi))) < far
        if near or (number >= STRAIGHT_ROUNDS and (np.abs(psi - at) < curvature_sd(likelihood, psi)).all()):
            return psi, at, pieces, likelihood
    raise FitError(
        f"the hyperparameters still moved after {MAX_ROUNDS} rounds: these genes say too little of them. Use "
        "more genes, or give values, such as Hyperparameters.from_eb(fit)."
    )


def draw_all(
    pieces: list[ProposedGenes], space: HyperparameterSpace, n_draws: int, room: np.ndarray
) -> MarginalLikelihood:
    """Draw from all proposals, and make the marginal likelihood of the draws.

    Parameters
    ----------
    pieces : list of ProposedGenes
        Of all genes.
    space : HyperparameterSpace
    n_draws : int
        Of every gene.
    room : ndarray of float32 (gene, draw, P + 1)
        Where the draws go: the first so many of it are used, and the others stay as they are.

    Returns
    -------
    MarginalLikelihood
    """
    base_mean = np.concatenate([piece.model.base_mean for piece in pieces])
    log_ratio, highest = np.empty((base_mean.size, n_draws), dtype=np.float32), np.empty(base_mean.size)

    def fill(piece: ProposedGenes) -> None:
        part, rows = MarginalLikelihood.of(space, piece.model, piece.draws(n_draws)), piece.rows
        room[rows, :n_draws], log_ratio[rows], highest[rows] = part.theta, part.log_ratio, part.highest

    for_each(fill, pieces)
    return MarginalLikelihood(space, base_mean, room, log_ratio, highest)


def _has_many_levels(model: ConditionalModel) -> bool:
    factor = model.factors
    return bool((np.bincount(factor[factor >= 0]) > MANY_LEVELS).any())


def _change(model: ConditionalModel, new: ConditionalModel) -> float:
    """Return the largest change of a log scale or of the log trend."""
    sd = [one.for_proposals.dispersion_sd for one in (model, new)]
    changes = [
        np.log(new.shrinkage_scale / model.shrinkage_scale),
        new.log_trend - model.log_trend,
        np.log([sd[1] / sd[0]]),
        new.log_sd_prior[0] - model.log_sd_prior[0],
        np.log(new.log_sd_prior[1] / model.log_sd_prior[1]),
    ]
    return float(np.abs(np.concatenate(changes)).max())
