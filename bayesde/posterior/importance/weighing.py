"""Draws that are kept, with weights in which the hyperparameters are averaged over.

A few genes at a time: while one thread is within ArviZ's fit, which is Python, others draw. Genes whose
weights are not to be trusted get an adapted proposal, and are drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesde.eb.threads import over_genes
from bayesde.posterior.gene_draws import GeneDraws
from bayesde.posterior.importance.adapt import adapted
from bayesde.posterior.importance.pareto import MAX_K, effective_size, smoothed
from bayesde.posterior.importance.proposal import fitted_shares
from bayesde.posterior.importance.proposed import Proposed
from bayesde.posterior.importance.surface import HyperPosterior, Surface, gene_weights

__all__ = ["SMALLEST_SIZE", "Weighed", "weigh"]

GENES_AT_A_TIME = 250
"""Whose draws stay in the cache, or near."""
ADAPTATIONS = 6
"""Of a gene's proposal, at the most. With 3, of airway's genes 1 to 4 were left to engine nuts, which costs
seconds; with 6 none, by three seeds."""
LONG_PILOT = 1000
SMALLEST_SIZE = 0.1
"""Share of effective draws below which a proposal is adapted; where that fails, the status is low_ess."""
KEPT_STREAM, NEW_STREAM = 0x27D4EB2F, 0x85EBCA6B
"""What a gene's seed is combined with: other random numbers than those that were learnt from."""


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


def weigh(proposed: Proposed, points: HyperPosterior, n_draws: int) -> Weighed:
    """Draw, with the hyperparameters integrated out; adapt the proposals that do not serve.

    Parameters
    ----------
    proposed : Proposed
        Its proposals are made near the points.
    points : HyperPosterior
    n_draws : int
        Of every gene.

    Returns
    -------
    Weighed
    """
    n_genes, n_parameters = proposed.seeds.size, proposed.model.n_coefficients + 1
    theta = np.empty((n_genes, n_draws, n_parameters), dtype=np.float32)
    log_weights, log_ratio = (np.empty((n_genes, n_draws), dtype=np.float32) for _ in range(2))
    report = {name: np.ones(n_genes) for name in ("pareto_k", "ess_bulk", "attempts")}
    weighed = Weighed(GeneDraws(theta, log_weights, log_ratio), report)

    def weigh_some(first: int, last: int) -> None:
        for begin in range(first, last, GENES_AT_A_TIME):
            _weigh_few(proposed, points, weighed, np.arange(begin, min(begin + GENES_AT_A_TIME, last)))

    over_genes(weigh_some, n_genes)
    return weighed


def _weigh_few(proposed: Proposed, points: HyperPosterior, weighed: Weighed, rows: np.ndarray) -> None:
    """Draw and weigh the genes of some rows, and write what came of it."""
    n_draws = weighed.draws.n_draws
    current = proposed.genes(rows)
    attempt = _Attempt.of(current.surface(points.layout, n_draws, KEPT_STREAM), points)
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
