"""Draws that are kept, with weights in which the hyperparameters are averaged over.

A few genes at a time: while one thread is within ArviZ's fit, which is Python, others draw. Of many genes the
draws that the hyperparameters were learnt from are kept, and as many more added. Genes whose weights are not
to be trusted get an adapted proposal, and are drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bayesde.eb.threads import over_genes
from bayesde.posterior.gene_draws import GeneDraws
from bayesde.posterior.importance.adapt import adapted
from bayesde.posterior.importance.layout import Layout
from bayesde.posterior.importance.pareto import MAX_K, effective_size, smoothed
from bayesde.posterior.importance.proposal import fitted_shares
from bayesde.posterior.importance.proposed import Proposed
from bayesde.posterior.importance.surface import HyperPosterior, Surface, gene_weights

__all__ = ["SMALLEST_SIZE", "Begun", "Weighed", "weigh"]

GENES_AT_A_TIME = 250
"""Whose draws stay in the cache, or near."""
ADAPTATIONS = 3
LONG_PILOT = 1000
SMALLEST_SIZE = 0.1
"""Share of effective draws below which a proposal is adapted; where that fails, the status is low_ess."""
KEPT_STREAM, NEW_STREAM = 0x27D4EB2F, 0x85EBCA6B
"""What a gene's seed is combined with: other random numbers than those that were learnt from."""


@dataclass(frozen=True, eq=False)
class Begun:
    """Room for draws, some of which may be there already.

    Attributes
    ----------
    theta : ndarray of float32 (gene, draw, P + 1)
    log_ratio : ndarray of float32 (gene, draw)
    there : int
        How many of every gene's draws are.
    top : ndarray (gene,)
        As `Surface` has it, of these draws.
    """

    theta: np.ndarray
    log_ratio: np.ndarray
    there: int
    top: np.ndarray

    @classmethod
    def empty(cls, proposed: Proposed, n_draws: int) -> Begun:
        """Make room for draws of the genes."""
        shape = (proposed.seeds.size, n_draws)
        theta = np.empty((*shape, proposed.model.n_coefficients + 1), dtype=np.float32)
        return cls(theta, np.empty(shape, dtype=np.float32), 0, np.empty(shape[0]))

    def with_learnt(self, surface: Surface, rows: np.ndarray) -> Begun:
        """Keep the draws that were learnt from, if at least as many new ones come to them.

        A gene's draws have then had a say, together with those of hundreds of other genes, in the
        hyperparameters that they are weighed by.
        """
        n = surface.log_ratio.shape[1]
        if 2 * n > self.log_ratio.shape[1]:
            return self

        def copy(first: int, last: int) -> None:
            self.theta[first:last, :n] = surface.theta[rows[first:last]]
            self.log_ratio[first:last, :n] = surface.log_ratio[rows[first:last]]

        over_genes(copy, rows.size)
        return replace(self, there=n, top=surface.top[rows])

    def completed(self, proposed: Proposed, rows: np.ndarray, layout: Layout) -> Surface:
        """Draw what is missing of some genes."""
        n = self.there
        new = proposed.surface(layout, self.log_ratio.shape[1] - n, KEPT_STREAM)
        if not n:
            return new
        old = Surface(layout, new.base_mean, self.theta[rows, :n], self.log_ratio[rows, :n], self.top[rows])
        return old.joined(new)


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


@dataclass(frozen=True, eq=False)
class _Attempt:
    """Weighted draws of a few genes.

    Attributes
    ----------
    surface : Surface
    log_weights : ndarray of float32 (gene, draw)
    pareto_k, size : ndarray (gene,)
        Pareto's k, and the effective number of draws.
    """

    surface: Surface
    log_weights: np.ndarray
    pareto_k: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, surface: Surface, points: HyperPosterior) -> _Attempt:
        """Weigh draws."""
        weights = gene_weights(surface.layout, surface.base_mean, surface.theta, surface.log_ratio, points)
        log_weights, pareto_k = smoothed(weights)
        return cls(surface, log_weights, pareto_k, effective_size(log_weights))

    @property
    def trouble(self) -> np.ndarray:
        """How far weights are from what can be trusted: above 1, they cannot."""
        return np.maximum(self.pareto_k / MAX_K, SMALLEST_SIZE * self.log_weights.shape[1] / self.size)

    def write(self, weighed: Weighed, at: np.ndarray, taken: np.ndarray) -> None:
        """Write the genes that are taken, by mask, where ``at`` says."""
        draws, report, rows = weighed.draws, weighed.report, at[taken]
        assert draws.log_weights is not None
        assert draws.log_ratio is not None
        draws.theta[rows] = self.surface.theta[taken]
        draws.log_ratio[rows] = self.surface.log_ratio[taken]
        draws.log_weights[rows] = self.log_weights[taken]
        report["pareto_k"][rows], report["ess_bulk"][rows] = self.pareto_k[taken], self.size[taken]


def weigh(proposed: Proposed, points: HyperPosterior, begun: Begun) -> Weighed:
    """Draw, with the hyperparameters integrated out; adapt the proposals that do not serve.

    Parameters
    ----------
    proposed : Proposed
        Its proposals are made near the points.
    points : HyperPosterior
    begun : Begun
        Room for the draws, which is filled.

    Returns
    -------
    Weighed
    """
    n_genes = proposed.seeds.size
    report = {name: np.ones(n_genes) for name in ("pareto_k", "ess_bulk", "attempts")}
    log_weights = np.empty(begun.log_ratio.shape, dtype=np.float32)
    weighed = Weighed(GeneDraws(begun.theta, log_weights, begun.log_ratio), report)

    def weigh_some(first: int, last: int) -> None:
        for begin in range(first, last, GENES_AT_A_TIME):
            rows = np.arange(begin, min(begin + GENES_AT_A_TIME, last))
            current = proposed.genes(rows)
            surface = begun.completed(current, rows, points.layout)
            _weigh_few(current, points, weighed, rows, surface)

    over_genes(weigh_some, n_genes)
    return weighed


def _weigh_few(
    current: Proposed, points: HyperPosterior, weighed: Weighed, rows: np.ndarray, surface: Surface
) -> None:
    """Weigh draws of the genes of some rows, draw again where that does not serve, and write the best."""
    n_draws = weighed.draws.n_draws
    attempt = _Attempt.of(surface, points)
    trouble = attempt.trouble
    attempt.write(weighed, rows, np.full(rows.size, True))
    for number in range(ADAPTATIONS):
        bad = np.flatnonzero(trouble > 1.0)
        if not bad.size:
            return
        rows, trouble = rows[bad], trouble[bad]
        stream = NEW_STREAM + number
        current = _moved(current.genes(bad), attempt.surface.theta[bad], attempt.log_weights[bad], stream)
        attempt = _Attempt.of(current.surface(points.layout, n_draws, stream), points)
        better = attempt.trouble < trouble
        attempt.write(weighed, rows, better)
        trouble = np.minimum(trouble, attempt.trouble)
        weighed.report["attempts"][rows] += 1.0


def _moved(proposed: Proposed, theta: np.ndarray, log_weights: np.ndarray, stream: int) -> Proposed:
    """Adapt proposals to weighted draws."""
    proposal = adapted(proposed.proposal, theta, np.exp(log_weights))
    seeds = proposed.seeds ^ np.uint32(stream)
    return Proposed(
        proposed.model, fitted_shares(proposed.model, proposal, seeds, LONG_PILOT), proposed.seeds
    )
