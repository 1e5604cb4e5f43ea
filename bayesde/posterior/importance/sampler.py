"""Draws that are kept, with weights in which the hyperparameters are averaged over.

A few genes at a time. Genes whose weights are not to be trusted get an adapted proposal, and are drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bayesde.numerics.elementary import exponentials
from bayesde.numerics.threads import for_each
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.pareto_smoothing import MAX_K, effective_size, smoothed
from bayesde.posterior.draws.streams import Stream, seeds_for
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood, gene_weights, relative
from bayesde.posterior.proposal.adaptation import adapted
from bayesde.posterior.proposal.drawing import fitted_shares
from bayesde.posterior.proposal.genes import ProposedGenes

__all__ = ["SMALLEST_SIZE", "ImportanceSample", "draw_sample"]

ADAPTATIONS = 6
"""Of a gene's proposal, at the most. With 3, of airway's genes 1 to 4 were left to engine nuts, which costs
seconds; with 6 none, by three seeds."""
LONG_PILOT = 1000
FEWEST_MORE = 250
"""Draws that are added to those learnt from, at the least: of fewer, some components would have none."""
SMALLEST_SIZE = 0.1
"""Share of effective draws below which a proposal is adapted; where that fails, the status is low_ess."""


@dataclass(frozen=True, eq=False)
class ImportanceSample:
    """What engine psis gives.

    Attributes
    ----------
    draws : GeneDraws
    report : dict of str to ndarray (gene,)
        ``pareto_k``, ``ess_bulk`` (the effective number of draws) and ``attempts``.
    """

    draws: GeneDraws
    report: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Attempt:
    """Weighted draws of a few genes.

    Attributes
    ----------
    theta : ndarray of float32 (gene, draw, P + 1)
    log_ratio, log_weights : ndarray of float32 (gene, draw)
    pareto_k, size : ndarray (gene,)
        Pareto's k, and the effective number of draws.
    """

    theta: np.ndarray
    log_ratio: np.ndarray
    log_weights: np.ndarray
    pareto_k: np.ndarray
    size: np.ndarray

    @classmethod
    def of(
        cls, base_mean: np.ndarray, theta: np.ndarray, log_ratio: np.ndarray, points: HyperparameterPosterior
    ) -> _Attempt:
        """Weigh draws."""
        log_weights, pareto_k = smoothed(gene_weights(points.space, base_mean, theta, log_ratio, points))
        return cls(theta, log_ratio, log_weights, pareto_k, effective_size(log_weights))

    @property
    def trouble(self) -> np.ndarray:
        """How far weights are from what can be trusted: above 1, they cannot."""
        return np.maximum(self.pareto_k / MAX_K, SMALLEST_SIZE * self.log_weights.shape[1] / self.size)

    def write_weights(
        self, sampled: ImportanceSample, rows: np.ndarray | slice, taken: np.ndarray | slice
    ) -> None:
        """Write what was found of the genes that are taken, where ``rows`` says."""
        report = sampled.report
        assert sampled.draws.log_weights is not None
        sampled.draws.log_weights[rows] = self.log_weights[taken]
        report["pareto_k"][rows], report["ess_bulk"][rows] = self.pareto_k[taken], self.size[taken]

    def write(self, sampled: ImportanceSample, rows: np.ndarray, taken: np.ndarray) -> None:
        """Write the draws, too."""
        assert sampled.draws.log_ratio is not None
        sampled.draws.theta[rows] = self.theta[taken]
        sampled.draws.log_ratio[rows] = self.log_ratio[taken]
        self.write_weights(sampled, rows, taken)


def draw_sample(
    pieces: list[ProposedGenes],
    points: HyperparameterPosterior,
    n_draws: int,
    learnt: MarginalLikelihood | None = None,
) -> ImportanceSample:
    """Draw, with the hyperparameters integrated out; adapt the proposals that do not serve.

    Parameters
    ----------
    pieces : list of ProposedGenes
        With proposals made near the points.
    points : HyperparameterPosterior
    n_draws : int
        Of every gene.
    learnt : MarginalLikelihood, optional
        Draws of all genes from the same proposals. If they are as many as asked for, or at least
        `FEWEST_MORE` fewer, they are the first of those that are returned, and where there is room in it for
        all that are returned, the others are written there.

    Returns
    -------
    ImportanceSample
    """
    n_genes, d = sum(piece.rows.size for piece in pieces), pieces[0].model.n_coefficients + 1
    if learnt is not None and not (n_draws == learnt.n_draws or n_draws >= learnt.n_draws + FEWEST_MORE):
        learnt = None
    if learnt is not None and learnt.theta.shape == (n_genes, n_draws, d):
        theta = learnt.theta
    else:
        theta = np.empty((n_genes, n_draws, d), dtype=np.float32)
    log_weights, log_ratio = (np.empty((n_genes, n_draws), dtype=np.float32) for _ in range(2))
    report = {name: np.ones(n_genes) for name in ("pareto_k", "ess_bulk", "attempts")}
    sampled = ImportanceSample(GeneDraws(theta, log_weights, log_ratio), report)

    def weigh_piece(work: tuple[ProposedGenes, int]) -> None:
        piece, end = work
        at = slice(end - piece.rows.size, end)
        _draw(piece, learnt, points, sampled, at)
        _weigh(piece, points, sampled, at)

    ends = np.cumsum([piece.rows.size for piece in pieces]).tolist()
    for_each(weigh_piece, zip(pieces, ends, strict=True))
    return sampled


def _draw(
    piece: ProposedGenes,
    learnt: MarginalLikelihood | None,
    points: HyperparameterPosterior,
    sampled: ImportanceSample,
    at: slice,
) -> None:
    """Write draws of a few genes, those that are there already first."""
    draws = sampled.draws
    assert draws.log_ratio is not None
    if learnt is None:
        likelihood = MarginalLikelihood.of(points.space, piece.model, piece.draws(draws.n_draws, Stream.KEPT))
        draws.theta[at], draws.log_ratio[at] = likelihood.theta, likelihood.log_ratio
        return
    n = learnt.n_draws
    if draws.theta is not learnt.theta:
        draws.theta[at, :n] = learnt.theta[piece.rows, :n]
    draws.log_ratio[at, :n] = learnt.log_ratio[piece.rows]
    if n < draws.n_draws:
        more = piece.draws(draws.n_draws - n, Stream.KEPT)
        draws.theta[at, n:] = more.theta
        draws.log_ratio[at, n:] = relative(more.log_ratio, learnt.highest[piece.rows])


def _weigh(
    piece: ProposedGenes, points: HyperparameterPosterior, sampled: ImportanceSample, at: slice
) -> None:
    """Weigh the draws of a few genes, and draw those again whose proposals do not serve."""
    draws, rows = sampled.draws, np.arange(at.start, at.stop)
    assert draws.log_ratio is not None
    attempt = _Attempt.of(piece.model.base_mean, draws.theta[at], draws.log_ratio[at], points)
    trouble = attempt.trouble
    attempt.write_weights(sampled, at, slice(None))
    for number in range(ADAPTATIONS):
        bad = np.flatnonzero(trouble > 1.0)
        if not bad.size:
            return
        rows, trouble = rows[bad], trouble[bad]
        piece = piece.genes(bad) if number else piece.genes(bad).complete()
        piece = _moved(piece, attempt.theta[bad], attempt.log_weights[bad], number)
        new = MarginalLikelihood.of(
            points.space, piece.model, piece.draws(draws.n_draws, Stream.ADAPTED, number)
        )
        attempt = _Attempt.of(new.base_mean, new.theta, new.log_ratio, points)
        better = attempt.trouble < trouble
        attempt.write(sampled, rows[better], better)
        trouble = np.minimum(trouble, attempt.trouble)
        sampled.report["attempts"][rows] += 1.0


def _moved(piece: ProposedGenes, theta: np.ndarray, log_weights: np.ndarray, number: int) -> ProposedGenes:
    """Adapt proposals to weighted draws, with all their components: one that was left out may be missing."""
    proposal = adapted(piece.proposal, theta, exponentials(log_weights))
    seeds = seeds_for(Stream.ADAPTED, piece.start.seeds, number)
    return replace(piece, proposal=fitted_shares(piece.model, proposal, seeds, LONG_PILOT, negligible=0.0))
