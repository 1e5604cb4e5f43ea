"""The two passes over all genes, a block at a time, so that no matrix of all genes is ever made.

The first pass estimates each gene's own dispersion; the trend and the prior are learnt from all of them; the
second pass estimates everything else, replaces excessive counts and fits the genes concerned again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bayesde.counts import Counts
from bayesde.eb.block import GeneBlock
from bayesde.eb.dispersion_prior import fit_dispersion_prior
from bayesde.eb.genes import (
    GeneEstimates,
    GeneWise,
    Hierarchy,
    estimate_genes,
    own_dispersions,
    poisson_level,
    refit_replaced,
    stacked,
)
from bayesde.eb.layout import DesignLayout
from bayesde.eb.outliers import replaceable_samples
from bayesde.eb.separation import separated_genes
from bayesde.eb.trend import DispersionTrend, fit_trend
from bayesde.options import EbOptions

__all__ = ["AllGenes", "Estimates", "ReplacedCounts", "first_pass", "learn_hierarchy", "second_pass"]


@dataclass(frozen=True, eq=False)
class AllGenes:
    """Everything that is known before anything is estimated.

    Attributes
    ----------
    counts : Counts
    factors : ndarray (gene, sample)
        Normalization factors; a broadcast view where they are size factors.
    weights : ndarray (gene, sample) or None
    layout : DesignLayout
    fitted : ndarray of bool (gene,)
        Genes with a count and with enough weight.
    options : EbOptions
    """

    counts: Counts
    factors: np.ndarray
    weights: np.ndarray | None
    layout: DesignLayout
    fitted: np.ndarray
    options: EbOptions

    def blocks(self) -> Iterator[tuple[slice, GeneBlock]]:
        """Yield the fitted genes block by block, and where they stand among the fitted ones."""
        start = 0
        for chunk in self.counts.chunks():
            block = self.block(chunk.start + np.flatnonzero(self.fitted[chunk]))
            if block.n_genes:
                yield slice(start, start + block.n_genes), block
                start += block.n_genes

    def block(self, genes: np.ndarray) -> GeneBlock:
        """Return the data of some genes (positions)."""
        shared = self.factors.strides[0] == 0
        return GeneBlock.of(
            self.counts.rows(genes),
            self.factors[:1] if shared else self.factors[genes],
            None if self.weights is None else self.weights[genes],
        )

    @property
    def poisson(self) -> float:
        """Mean reciprocal factor over the fitted genes."""
        if self.factors.strides[0] == 0:
            return poisson_level(self.factors[:1])
        return poisson_level((self.fitted @ self.factors / self.fitted.sum())[None, :])

    @property
    def replaceable(self) -> np.ndarray:
        """Samples (sample,) whose excessive counts are replaced."""
        wanted = self.options.replace_outliers
        return replaceable_samples(self.layout, self.options.min_replicates if wanted else None)


@dataclass(frozen=True, eq=False)
class ReplacedCounts:
    """Excessive counts that were replaced, one entry a count.

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


@dataclass(frozen=True, eq=False)
class Estimates:
    """What the second pass found, for the fitted genes.

    Attributes
    ----------
    genes : GeneEstimates
    replaced, separated : ndarray of bool (gene,)
    replaced_counts : ReplacedCounts
        Genes by their position among all genes.
    """

    genes: GeneEstimates
    replaced: np.ndarray
    separated: np.ndarray
    replaced_counts: ReplacedCounts


def first_pass(data: AllGenes) -> GeneWise:
    """Estimate base means and gene-wise dispersions of all fitted genes."""
    poisson, min_mu = data.poisson, data.options.min_mu
    return stacked([own_dispersions(block, data.layout, poisson, min_mu) for _, block in data.blocks()])


def learn_hierarchy(data: AllGenes, own: GeneWise, trend: DispersionTrend | None) -> Hierarchy:
    """Fit the trend (unless it is given) and the spread around it."""
    trend = trend or fit_trend(data.options.trend, own.dispersion, own.base_mean)
    residual_df = data.layout.n_samples - data.layout.n_coefficients
    return Hierarchy(trend, fit_dispersion_prior(own.dispersion, trend(own.base_mean), residual_df))


def second_pass(data: AllGenes, own: GeneWise, hierarchy: Hierarchy) -> Estimates:
    """Estimate dispersions and coefficients of all fitted genes; replace excessive counts and fit again."""
    positions = np.flatnonzero(data.fitted)
    parts, separated, replaced, changes = [], [], [], []
    for where, block in data.blocks():
        found = estimate_genes(
            block, data.layout, own.take(where), hierarchy, data.replaceable, data.options.min_mu
        )
        flagged = found.excessive & data.replaceable.any()
        separated.append(separated_genes(block.counts, data.layout))
        if flagged.any():
            found, change = _refitted(data, block, found, flagged, hierarchy)
            changes.append((positions[where][change[0]], *change[1:]))
        parts.append(found)
        replaced.append(flagged)
    return Estimates(stacked(parts), np.concatenate(replaced), np.concatenate(separated), _gathered(changes))


def _refitted(
    data: AllGenes, block: GeneBlock, found: GeneEstimates, flagged: np.ndarray, hierarchy: Hierarchy
) -> tuple[GeneEstimates, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Fit the flagged genes of a block again; also return row, sample and value of the changed counts."""
    rows = np.flatnonzero(flagged)
    some = block.take(rows)
    again, counts = refit_replaced(
        some, data.layout, found.take(rows), hierarchy, data.replaceable, data.options.min_mu
    )
    gene, sample = np.nonzero(counts != some.counts)
    return found.updated(rows, again), (rows[gene], sample, counts[gene, sample])


def _gathered(changes: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> ReplacedCounts:
    if not changes:
        nothing = np.empty(0, dtype=np.int64)
        return ReplacedCounts(nothing, nothing, np.empty(0))
    return ReplacedCounts(*(np.concatenate(part) for part in zip(*changes, strict=True)))
