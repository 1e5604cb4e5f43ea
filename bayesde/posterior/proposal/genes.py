"""Genes with their proposal distributions, a few genes at a time.

So the draws of a few genes stay in the processor's cache while they are worked on, and little is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.modes import Starts
from bayesde.numerics.threads import for_each
from bayesde.posterior.draws.streams import Stream, seeds_for
from bayesde.posterior.proposal.components import gene_mixtures
from bayesde.posterior.proposal.drawing import ProposalDraws, draw, fitted_shares
from bayesde.posterior.proposal.mixture import Mixture

__all__ = ["ProposedGenes", "StartedGenes", "in_pieces", "propose"]

GENES_AT_A_TIME = 250
"""Few enough for their draws to stay in the cache, and for `over_genes` not to share them out once more."""
SHORT_PILOT = 100
"""Draws that the shares of components are fitted to where coefficients are zero: of each pattern of zeros few
draws are made."""


@dataclass(frozen=True, eq=False)
class StartedGenes:
    """A few genes, and where the searches for the components of their proposals start.

    Attributes
    ----------
    rows : ndarray of int (gene,)
        Which of all genes these are, in increasing order.
    model : ConditionalModel
        What proposals are made for.
    start : Starts
    """

    rows: np.ndarray
    model: ConditionalModel
    start: Starts

    def proposed(self) -> ProposedGenes:
        """Build proposals."""
        mixture = gene_mixtures(self.model, self.start.beta, self.start.log_dispersion)
        proposal = fitted_shares(self.model, mixture, self.start.seeds)
        return ProposedGenes(self.rows, self.model, self.start, proposal)

    def at_zero(self, zero: tuple[int, ...], number: int) -> ProposedGenes:
        """Build proposals for the same genes with some of the coefficients exactly zero.

        Parameters
        ----------
        zero : tuple of int
            These coefficients.
        number : int
            Of this pattern of zeros, for its random numbers.

        Returns
        -------
        ProposedGenes
        """
        kept = np.delete(np.arange(self.model.n_coefficients), zero)
        beta, seeds = self.start.beta[:, kept], seeds_for(Stream.PATTERN, self.start.seeds, number)
        start = Starts(np.ascontiguousarray(beta), self.start.log_dispersion, seeds)
        model = self.model.with_coefficients(kept)
        mixture = gene_mixtures(model, start.beta, start.log_dispersion)
        proposal = fitted_shares(model, mixture, seeds, SHORT_PILOT, negligible=0.0)
        return ProposedGenes(self.rows, model, start, proposal, zero)


@dataclass(frozen=True, eq=False)
class ProposedGenes(StartedGenes):
    """A few genes with the distributions that they are drawn from.

    Attributes
    ----------
    rows, model, start
        As of `StartedGenes`.
    proposal : Mixture
    zero : tuple of int
        Coefficients that are exactly zero in its draws, which model and proposal are without.
    """

    proposal: Mixture
    zero: tuple[int, ...] = ()

    def genes(self, some: np.ndarray) -> ProposedGenes:
        """Take some of the genes.

        Parameters
        ----------
        some : ndarray of int or bool
            By index or by mask.

        Returns
        -------
        ProposedGenes
        """
        own = self.model.genes(some), self.start.genes(some), self.proposal.genes(some)
        return ProposedGenes(self.rows[some], *own, self.zero)

    def draws(self, n_draws: int, stream: Stream = Stream.LEARNING, attempt: int = 0) -> ProposalDraws:
        """Draw, by one of a gene's streams of random numbers.

        Parameters
        ----------
        n_draws : int
            Of every gene.
        stream : Stream
        attempt : int

        Returns
        -------
        ProposalDraws
        """
        drawn = draw(self.model, self.proposal, seeds_for(stream, self.start.seeds, attempt), n_draws)
        if not self.zero:
            return drawn
        size = self.model.n_coefficients + len(self.zero) + 1
        theta = np.zeros((*drawn.log_ratio.shape, size), dtype=np.float32)
        theta[:, :, np.delete(np.arange(size), self.zero)] = drawn.theta
        return ProposalDraws(theta, drawn.log_ratio)

    def updated(self, some: np.ndarray, moved: ProposedGenes) -> ProposedGenes:
        """Put other proposals in the place of those of some genes.

        Parameters
        ----------
        some : ndarray of bool (gene,)
        moved : ProposedGenes
            Of these genes.

        Returns
        -------
        ProposedGenes
        """
        if some.all():
            return moved
        size = max(self.proposal.share.shape[1], moved.proposal.share.shape[1])
        proposal, other = self.proposal.padded(size), moved.proposal.padded(size)
        for own, new in zip(proposal, other, strict=True):
            own[some] = new
        return replace(self, proposal=proposal)

    def with_all_components(self) -> ProposedGenes:
        """Take back the components that were left out, and search for more of them where there are many."""
        mixture = gene_mixtures(self.model, self.start.beta, self.start.log_dispersion, thorough=True)
        return replace(self, proposal=fitted_shares(self.model, mixture, self.start.seeds, negligible=0.0))


def propose(start: Starts, model: ConditionalModel) -> list[ProposedGenes]:
    """Build the genes' proposals for the model's hyperparameters.

    Parameters
    ----------
    start : Starts
    model : ConditionalModel

    Returns
    -------
    list of ProposedGenes
        Together all genes, in their order.
    """
    return for_each(StartedGenes.proposed, in_pieces(start, model))


def in_pieces(start: Starts, model: ConditionalModel) -> Iterator[StartedGenes]:
    """Yield all genes, a few at a time.

    Parameters
    ----------
    start : Starts
    model : ConditionalModel

    Yields
    ------
    StartedGenes
    """
    everyone = np.arange(model.n_genes)
    for at in everyone[::GENES_AT_A_TIME]:
        rows = everyone[at : at + GENES_AT_A_TIME]
        yield StartedGenes(rows, model.genes(rows), start.genes(rows))
