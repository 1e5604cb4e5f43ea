"""The inputs and the estimates of an empirical-Bayes fit, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.eb.block import GeneBlock
from bayesde.eb.dispersion.prior import DispersionPrior
from bayesde.eb.dispersion.trend import DispersionTrend
from bayesde.eb.genes import GeneEstimates, Hierarchy
from bayesde.eb.inputs import EbInputs
from bayesde.eb.options import EbOptions

__all__ = ["EbEstimates", "ReplacedCounts"]


@dataclass(frozen=True, eq=False)
class ReplacedCounts:
    """Excessive counts that were replaced, one entry a count, ordered by gene.

    Attributes
    ----------
    gene, sample : ndarray of int (replaced,)
        Positions.
    count : ndarray (replaced,)
        What was fitted in their place.
    """

    gene: np.ndarray
    sample: np.ndarray
    count: np.ndarray

    def put_into(self, counts: np.ndarray, genes: np.ndarray) -> np.ndarray:
        """Overwrite the counts of some genes.

        Parameters
        ----------
        counts : ndarray (gene, sample)
            Is overwritten.
        genes : ndarray of int (gene,)
            Positions of these genes among all, none of them twice.

        Returns
        -------
        ndarray (gene, sample)
            The same array.
        """
        if genes.size:
            some = slice(*np.searchsorted(self.gene, [genes.min(), genes.max() + 1]))
            order = np.argsort(genes)
            row = order[np.minimum(np.searchsorted(genes[order], self.gene[some]), genes.size - 1)]
            asked = genes[row] == self.gene[some]
            counts[row[asked], self.sample[some][asked]] = self.count[some][asked]
        return counts


@dataclass(frozen=True, eq=False, repr=False)
class EbEstimates(GeneEstimates):
    """Point estimates of every gene, and what they were estimated from.

    The arrays of ``GeneEstimates`` are for all genes; see ``EbFit`` for all attributes.

    Attributes
    ----------
    inputs : EbInputs
    hierarchy : Hierarchy
        Dispersion trend and prior.
    separated, replaced, count_outlier : ndarray of bool (gene,)
    max_cooks : ndarray (gene,)
    replaced_counts : ReplacedCounts
    """

    inputs: EbInputs
    hierarchy: Hierarchy
    separated: np.ndarray
    replaced: np.ndarray
    count_outlier: np.ndarray
    max_cooks: np.ndarray
    replaced_counts: ReplacedCounts

    @property
    def counts(self) -> Counts:
        """The counts."""
        return self.inputs.counts

    @property
    def design(self) -> Design:
        """The design."""
        return self.inputs.design

    @property
    def options(self) -> EbOptions:
        """The options of the fit."""
        return self.inputs.options

    @property
    def normalization_factors(self) -> np.ndarray:
        """Normalization factors (gene, sample); a read-only view that takes no memory for size factors."""
        return self.inputs.factors

    @property
    def weights(self) -> np.ndarray | None:
        """Observation weights (gene, sample) as they were given, or None."""
        return self.inputs.weights

    @property
    def trend(self) -> DispersionTrend:
        """Dispersion trend."""
        return self.hierarchy.trend

    @property
    def dispersion_prior(self) -> DispersionPrior:
        """Width of the prior on ln dispersion."""
        return self.hierarchy.prior

    @property
    def dispersion_prior_var(self) -> float:
        """Variance of the prior on ln dispersion."""
        return self.dispersion_prior.prior_var

    @property
    def size_factors(self) -> pd.Series | None:
        """Size factors by sample, or None where the factors differ between genes."""
        if not self.inputs.shared_factors:
            return None
        return pd.Series(self.normalization_factors[0], index=self.counts.samples, name="size_factor")

    @property
    def all_zero(self) -> np.ndarray:
        """Genes (gene,) without a count."""
        return self.counts.all_zero

    @property
    def low_weight(self) -> np.ndarray:
        """Genes (gene,) without estimates because their observations have too little weight."""
        return ~self.inputs.fitted & ~self.all_zero

    @property
    def emptied(self) -> np.ndarray:
        """Genes (gene,) without counts once their excessive ones are replaced."""
        return self.replaced & (self.base_mean == 0.0)

    @property
    def estimated(self) -> np.ndarray:
        """Genes (gene,) that have estimates."""
        return self.inputs.fitted & ~self.emptied

    def fitted_counts(self, genes: np.ndarray | None = None) -> np.ndarray:
        """Return counts as fitted, excessive ones replaced.

        Parameters
        ----------
        genes : ndarray of int, optional
            Positions, none of them twice; by default all.

        Returns
        -------
        ndarray of float64 (gene, sample)
            New.
        """
        genes = np.arange(self.counts.n_genes) if genes is None else np.asarray(genes)
        return self.replaced_counts.put_into(self.counts.rows(genes), genes)

    def fitted_blocks(self) -> Iterator[tuple[np.ndarray, GeneBlock]]:
        """Yield the genes that have estimates block by block: their positions, and their data as fitted."""
        for genes in self.inputs.pieces(np.flatnonzero(self.estimated)):
            block = self.inputs.block(genes)
            self.replaced_counts.put_into(block.counts, genes)
            yield genes, block
