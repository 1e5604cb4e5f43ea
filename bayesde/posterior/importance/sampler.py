"""Draws that are kept, with weights in which the hyperparameters are averaged over.

A few genes at a time. Genes whose weights are not to be trusted get an adapted proposal, and are drawn again.
Where the law of effects has an atom at zero, every pattern of zeros has proposals and draws of its own.
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
from bayesde.posterior.proposal.patterns import Patterns, add_offsets, offset, slices

__all__ = ["SMALLEST_SIZE", "ImportanceSample", "draw_sample"]

ADAPTATIONS = 6
"""Of a gene's proposal, at the most. With 3, of airway's genes 1 to 4 were left to engine nuts, which costs
seconds; with 6 none, by three seeds."""
LONG_PILOT = 1000
FEWEST_MORE = 250
"""Draws that are added to those learnt from, at the least: of fewer, some components would have none."""
LEAST_WEIGHT = 0.02
"""Of a gene's weight, that of the patterns of zeros whose proposals are adapted."""
SMALLEST_SIZE = 0.1
"""Share of effective draws below which a proposal is adapted; where that fails, the status is low_ess."""


@dataclass(frozen=True, eq=False)
class ImportanceSample:
    """What engine psis gives.

    Attributes
    ----------
    draws : GeneDraws
    report : dict of str to ndarray (gene,)
        ``pareto_k``, ``ess`` (the effective number of draws) and ``attempts``.
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

    def genes(self, rows: np.ndarray) -> _Attempt:
        """Take some of the genes."""
        own = self.theta, self.log_ratio, self.log_weights, self.pareto_k, self.size
        return _Attempt(*(part[rows] for part in own))

    def write_weights(
        self, sampled: ImportanceSample, rows: np.ndarray | slice, taken: np.ndarray | slice
    ) -> None:
        """Write what was found of the genes that are taken, where ``rows`` says."""
        report = sampled.report
        assert sampled.draws.log_weights is not None
        sampled.draws.log_weights[rows] = self.log_weights[taken]
        report["pareto_k"][rows], report["ess"][rows] = self.pareto_k[taken], self.size[taken]

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
    at_zero: list[list[ProposedGenes]] | None = None,
    patterns: Patterns | None = None,
) -> ImportanceSample:
    """Draw, with the hyperparameters integrated out; adapt the proposals that do not serve.

    Parameters
    ----------
    pieces : list of ProposedGenes
        With proposals made near the points.
    points : HyperparameterPosterior
    n_draws : int
        Of every gene, of all patterns of zeros together.
    learnt : MarginalLikelihood, optional
        Draws of all genes from the same proposals, without zeros. If they are as many as asked for, or at
        least `FEWEST_MORE` fewer, they are the first of those that are returned, and where there is room in
        it for all that are returned, the others are written there.
    at_zero : list of list of ProposedGenes, optional
        Of every piece, the proposals of the patterns of zeros; by default they are built.
    patterns : Patterns, optional
        Of zeros, with their numbers of draws; by default those of the points' law.

    Returns
    -------
    ImportanceSample
    """
    n_genes, d = sum(piece.rows.size for piece in pieces), pieces[0].model.n_coefficients + 1
    patterns = patterns or Patterns.of(points.space.atoms, points.null)
    sizes = patterns.sizes(n_draws)
    if learnt is not None and not (sizes[0] == learnt.n_draws or sizes[0] >= learnt.n_draws + FEWEST_MORE):
        learnt = None
    if learnt is not None and learnt.theta.shape == (n_genes, n_draws, d):
        theta = learnt.theta
    else:
        theta = np.empty((n_genes, n_draws, d), dtype=np.float32)
    log_weights, log_ratio = (np.empty((n_genes, n_draws), dtype=np.float32) for _ in range(2))
    report = {name: np.ones(n_genes) for name in ("pareto_k", "ess", "attempts")}
    level, has_atoms = np.empty(n_genes), bool(points.space.atoms)
    draws = GeneDraws(theta, log_weights, log_ratio, has_atoms=has_atoms, log_level=level)
    sampled = ImportanceSample(draws, report)

    def weigh_piece(work: tuple[int, int]) -> None:
        number, end = work
        piece = pieces[number]
        family = [piece, *(at_zero[number] if at_zero else patterns.pieces_of(piece))]
        at = slice(end - piece.rows.size, end)
        level[at] = _draw(family, sizes, learnt, points, sampled, at)
        _weigh(family, sizes, points, sampled, at)

    ends = np.cumsum([piece.rows.size for piece in pieces]).tolist()
    for_each(weigh_piece, enumerate(ends))
    return sampled


def _draw(
    family: list[ProposedGenes],
    sizes: list[int],
    learnt: MarginalLikelihood | None,
    points: HyperparameterPosterior,
    sampled: ImportanceSample,
    at: slice,
) -> np.ndarray:
    """Write draws of a few genes, those that are there already first; return what log ratios are less by."""
    draws, piece = sampled.draws, family[0]
    assert draws.log_ratio is not None
    theta, log_ratio = draws.theta[at], draws.log_ratio[at]
    if learnt is None:
        likelihood = MarginalLikelihood.of(points.space, piece.model, piece.draws(sizes[0], Stream.KEPT))
        theta[:, : sizes[0]], log_ratio[:, : sizes[0]] = likelihood.theta, likelihood.log_ratio
        highest = likelihood.highest
    else:
        n, highest = learnt.n_draws, learnt.highest[piece.rows]
        if draws.theta is not learnt.theta:
            theta[:, :n] = learnt.theta[piece.rows, :n]
        log_ratio[:, :n] = learnt.log_ratio[piece.rows]
        if n < sizes[0]:
            more = piece.draws(sizes[0] - n, Stream.KEPT)
            theta[:, n : sizes[0]] = more.theta
            log_ratio[:, n : sizes[0]] = relative(more.log_ratio, highest)
    for own, part in zip(family[1:], slices(sizes)[1:], strict=True):
        drawn = own.draws(part.stop - part.start, Stream.KEPT)
        theta[:, part], log_ratio[:, part] = drawn.theta, relative(drawn.log_ratio, highest)
    add_offsets(log_ratio, sizes)
    return highest


def _weigh(
    family: list[ProposedGenes],
    sizes: list[int],
    points: HyperparameterPosterior,
    sampled: ImportanceSample,
    at: slice,
) -> None:
    """Weigh the draws of a few genes, and draw those again whose proposals do not serve."""
    draws, rows = sampled.draws, np.arange(at.start, at.stop)
    assert draws.log_ratio is not None
    assert draws.log_level is not None
    highest, base_mean = draws.log_level[at], family[0].model.base_mean
    attempt = _Attempt.of(base_mean, draws.theta[at], draws.log_ratio[at], points)
    trouble = attempt.trouble
    attempt.write_weights(sampled, at, slice(None))
    for number in range(ADAPTATIONS):
        bad = np.flatnonzero(trouble > 1.0)
        if not bad.size:
            return
        rows, trouble, highest = rows[bad], trouble[bad], highest[bad]
        family = [piece.genes(bad) for piece in family]
        if number == 0:  # those with zeros have all components
            family[0] = family[0].with_all_components()
        attempt = attempt.genes(bad)
        for own, part in enumerate(slices(sizes)):
            family[own], highest = _redrawn(family[own], attempt, highest, part, number, points)
        attempt = _Attempt.of(family[0].model.base_mean, attempt.theta, attempt.log_ratio, points)
        better = attempt.trouble < trouble
        attempt.write(sampled, rows[better], better)
        draws.log_level[rows[better]] = highest[better]
        trouble = np.minimum(trouble, attempt.trouble)
        sampled.report["attempts"][rows] += 1.0


def _redrawn(
    piece: ProposedGenes,
    attempt: _Attempt,
    highest: np.ndarray,
    part: slice,
    number: int,
    points: HyperparameterPosterior,
) -> tuple[ProposedGenes, np.ndarray]:
    """Adapt the proposals of one pattern, and draw again; return the proposals and what ratios are less by.

    The draws of genes in whose posterior the pattern has little weight stay as they are.
    """
    size, n_draws = part.stop - part.start, attempt.theta.shape[1]
    log_weights, taken = attempt.log_weights[:, part], np.ones(len(highest), dtype=bool)
    if size < n_draws:
        share = exponentials(log_weights).sum(axis=1)
        log_weights, taken = log_weights - np.log(share)[:, None], share > LEAST_WEIGHT
        if not taken.any():
            return piece, highest
    moved = _moved(piece.genes(taken), attempt.theta[taken, part], log_weights[taken], number)
    drawn = moved.draws(size, Stream.ADAPTED, number)
    if piece.zero:
        ratio = relative(drawn.log_ratio, highest[taken])
    else:
        new = MarginalLikelihood.of(points.space, moved.model, drawn)
        ratio, change = new.log_ratio, highest[taken] - new.highest
        attempt.log_ratio[taken] += change[:, None].astype(np.float32)
        highest = highest.copy()
        highest[taken] = new.highest
    if size < n_draws:
        ratio = ratio + offset(size, n_draws)
    attempt.theta[taken, part], attempt.log_ratio[taken, part] = drawn.theta, ratio
    return piece.updated(taken, moved), highest


def _moved(piece: ProposedGenes, theta: np.ndarray, log_weights: np.ndarray, number: int) -> ProposedGenes:
    """Adapt proposals to weighted draws, with all their components: one that was left out may be missing."""
    own = np.ascontiguousarray(np.delete(theta, piece.zero, axis=2) if piece.zero else theta)
    proposal = adapted(piece.proposal, own, exponentials(log_weights))
    seeds = seeds_for(Stream.ADAPTED, piece.start.seeds, number)
    return replace(piece, proposal=fitted_shares(piece.model, proposal, seeds, LONG_PILOT, negligible=0.0))
