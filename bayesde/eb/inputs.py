"""What a fit starts from: counts, design, factors and weights of all genes, and blocks of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesde.counts import Counts, chunk_cells
from bayesde.design import Design
from bayesde.eb.block import GeneBlock, are_shared
from bayesde.eb.genes import mean_reciprocal_factor
from bayesde.eb.observation_weights import observation_weights, too_little_weight
from bayesde.eb.options import EbOptions
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.size_factors.methods import resolved_factors
from bayesde.errors import InputError

__all__ = ["EbInputs", "gather_inputs"]


@dataclass(frozen=True, eq=False)
class EbInputs:
    """Everything that is known before anything is estimated.

    Attributes
    ----------
    counts : Counts
    design : Design
    options : EbOptions
    factors : ndarray (gene, sample)
        Normalization factors; a broadcast view where they are size factors.
    weights : ndarray (gene, sample) or None
        Observation weights, as they were given.
    layout : DesignLayout
        Of the design.
    fitted : ndarray of bool (gene,)
        Genes with a count and with enough weight.
    """

    counts: Counts
    design: Design
    options: EbOptions
    factors: np.ndarray
    weights: np.ndarray | None
    layout: DesignLayout
    fitted: np.ndarray

    def __getstate__(self) -> dict[str, Any]:
        """Leave out of a pickle what is only a view: size factors would be written once for every gene."""
        return vars(self) | {"factors": self.factors[:1] if self.shared_factors else self.factors}

    def __setstate__(self, state: dict[str, Any]) -> None:
        factors, shape = state["factors"], (state["counts"].n_genes, state["counts"].n_samples)
        if factors.shape != shape or len(factors) == 1:
            factors = np.broadcast_to(factors[0], shape)
        factors.flags.writeable = False
        vars(self).update(state, factors=factors)

    @property
    def shared_factors(self) -> bool:
        """Whether all genes have the same factors."""
        return are_shared(self.factors)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray, GeneBlock]]:
        """Yield the fitted genes block by block: where they are among these and among all; their data."""
        start = 0
        for genes in self.pieces(np.flatnonzero(self.fitted)):
            yield slice(start, start + genes.size), genes, self.block(genes)
            start += genes.size

    def pieces(self, genes: np.ndarray, share: int = 1) -> Iterator[np.ndarray]:
        """Cut genes into pieces so small that the data of one piece have as many numbers as a chunk.

        Parameters
        ----------
        genes : ndarray of int (gene,)
            Positions.
        share : int
            Make the pieces smaller by this factor.

        Yields
        ------
        ndarray of int (gene in the piece,)
        """
        step = self.piece_size(share)
        for start in range(0, genes.size, step):
            yield genes[start : start + step]

    def piece_size(self, share: int = 1) -> int:
        """Return how many genes the data of one piece have.

        Parameters
        ----------
        share : int
            Make the pieces smaller by this factor.

        Returns
        -------
        int
        """
        weighted = 0 if self.weights is None else 2
        matrices = 1 + (not self.shared_factors) + weighted
        return max(1, chunk_cells() // (share * matrices * self.counts.n_samples))

    def block(self, genes: np.ndarray) -> GeneBlock:
        """Return the data of some genes.

        Parameters
        ----------
        genes : ndarray of int (gene,)
            Positions.

        Returns
        -------
        GeneBlock
        """
        return GeneBlock.of(
            self.counts.rows(genes),
            self.factors[:1] if self.shared_factors else self.factors[genes],
            None if self.weights is None else self.weights[genes],
        )

    def mean_reciprocal_factor(self, genes: np.ndarray) -> float:
        """Mean over samples of 1 / (mean factor of some genes).

        Parameters
        ----------
        genes : ndarray of bool (gene,)

        Returns
        -------
        float
        """
        if self.shared_factors:
            return mean_reciprocal_factor(self.factors[:1])
        total = np.add.reduce(self.factors, axis=0, where=genes[:, None])
        return mean_reciprocal_factor((total / genes.sum())[None, :])


def gather_inputs(
    counts: Counts, design: Design, size_factors: Any, weights: Any, options: EbOptions
) -> EbInputs:
    """Check factors and weights, and find the genes that can be fitted.

    Parameters
    ----------
    counts : Counts
    design : Design
    size_factors, weights : optional
        As ``fit_eb`` takes them.
    options : EbOptions

    Returns
    -------
    EbInputs

    Raises
    ------
    InputError
        If factors or weights do not fit the counts, or no gene has enough weight.
    """
    layout, fitted = DesignLayout.of(design.matrix), ~counts.all_zero
    checked = None if weights is None else observation_weights(weights, counts)
    if checked is not None:
        fitted &= ~too_little_weight(checked, layout)
        for chunk in counts.chunks():
            fitted[chunk] &= (counts.rows(chunk) * checked[chunk]).any(axis=1)
        if not fitted.any():
            raise InputError(
                "no gene has observations of enough weight to estimate the coefficients; raise the weights, "
                "or leave terms out of the design."
            )
    factors = resolved_factors(counts, size_factors)
    return EbInputs(counts, design, options, factors, checked, layout, fitted)
