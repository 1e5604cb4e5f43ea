"""Genes on their way through engine psis: where their searches start, and what they are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesde.posterior.importance.components import gene_mixtures
from bayesde.posterior.importance.layout import Layout
from bayesde.posterior.importance.mixture import Proposal
from bayesde.posterior.importance.proposal import draw, fitted_shares
from bayesde.posterior.importance.surface import Surface
from bayesde.posterior.model import ConditionalModel

__all__ = ["Proposed", "Start"]


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

    def proposed(self, model: ConditionalModel) -> Proposed:
        """Build the genes' proposals for the model's hyperparameters."""
        mixture = gene_mixtures(model, self.beta, self.log_dispersion)
        return Proposed(model, fitted_shares(model, mixture, self.seeds), self.seeds)


@dataclass(frozen=True, eq=False)
class Proposed:
    """Genes with the distributions that they are drawn from.

    Attributes
    ----------
    model : ConditionalModel
        What the proposal was made for.
    proposal : Proposal
    seeds : ndarray of uint32 (gene,)
    """

    model: ConditionalModel
    proposal: Proposal
    seeds: np.ndarray

    def genes(self, rows: np.ndarray) -> Proposed:
        """Take some of the genes, by index."""
        return Proposed(self.model.genes(rows), self.proposal.genes(rows), self.seeds[rows])

    def surface(self, layout: Layout, n_draws: int, stream: int = 0) -> Surface:
        """Draw."""
        draws = draw(self.model, self.proposal, self.seeds ^ np.uint32(stream), n_draws)
        return Surface.of(layout, self.model, draws)
