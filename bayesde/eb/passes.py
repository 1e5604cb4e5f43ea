"""The two passes over all genes, a block at a time, so that no matrix of all genes is ever made.

The first pass estimates each gene's own dispersion; the trend and the prior are learnt from all of them; the
second pass estimates everything else, replaces excessive counts and fits the genes concerned again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bayesde.counts import Counts, chunk_cells
from bayesde.eb.block import GeneBlock, are_shared
from bayesde.eb.dispersion.prior import fit_dispersion_prior
from bayesde.eb.dispersion.trend import DispersionTrend, fit_trend
from bayesde.eb.genes import (
    REFITTED,
    GeneWise,
    Hierarchy,
    Setting,
    estimate_genes,
    own_dispersions,
    poisson_level,
    replacement,
)
from bayesde.eb.options import EbOptions
from bayesde.eb.outliers import replaceable_samples
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.glm import MIN_MU
from bayesde.eb.regression.separation import separated_genes

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
    judged_at_first_means : bool
        See ``Setting``.
    """

    counts: Counts
    factors: np.ndarray
    weights: np.ndarray | None
    layout: DesignLayout
    fitted: np.ndarray
    options: EbOptions
    judged_at_first_means: bool = False

    def blocks(self) -> Iterator[tuple[slice, np.ndarray, GeneBlock]]:
        """Yield the fitted genes block by block: where they are among these and among all; their data."""
        start = 0
        for genes in self.pieces(np.flatnonzero(self.fitted)):
            yield slice(start, start + genes.size), genes, self.block(genes)
            start += genes.size

    def pieces(self, genes: np.ndarray, share: int = 1) -> Iterator[np.ndarray]:
        """Cut genes (positions) into pieces, so many that what a block of one holds is a chunk of numbers.

        Parameters
        ----------
        genes : ndarray of int (gene,)
        share : int
            Make the pieces smaller by this factor.

        Yields
        ------
        ndarray of int (gene in the piece,)
        """
        weighted = 0 if self.weights is None else 2
        matrices = 1 + (not self.shared_factors) + weighted
        step = max(1, chunk_cells() // (share * matrices * self.counts.n_samples))
        for start in range(0, genes.size, step):
            yield genes[start : start + step]

    def block(self, genes: np.ndarray) -> GeneBlock:
        """Return the data of some genes (positions)."""
        return GeneBlock.of(
            self.counts.rows(genes),
            self.factors[:1] if self.shared_factors else self.factors[genes],
            None if self.weights is None else self.weights[genes],
        )

    @property
    def shared_factors(self) -> bool:
        """Whether all genes have the same factors."""
        return are_shared(self.factors)

    def poisson(self, genes: np.ndarray) -> float:
        """Mean reciprocal factor over some genes, bool (gene,)."""
        if self.shared_factors:
            return poisson_level(self.factors[:1])
        return poisson_level(
            (np.add.reduce(self.factors, axis=0, where=genes[:, None]) / genes.sum())[None, :]
        )

    @property
    def setting(self) -> Setting:
        """How genes are fitted."""
        options = self.options
        enough = options.min_replicates if options.replace_outliers else None
        replaceable = replaceable_samples(self.layout, enough)
        return Setting(self.layout, replaceable, options.min_mu, self.judged_at_first_means)


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
        """Overwrite counts (gene, sample) of some genes (different positions), and return them."""
        if genes.size:
            some = slice(*np.searchsorted(self.gene, [genes.min(), genes.max() + 1]))
            order = np.argsort(genes)
            row = order[np.minimum(np.searchsorted(genes[order], self.gene[some]), genes.size - 1)]
            asked = genes[row] == self.gene[some]
            counts[row[asked], self.sample[some][asked]] = self.count[some][asked]
        return counts


@dataclass(frozen=True, eq=False)
class Estimates:
    """What the second pass found, for all genes.

    Attributes
    ----------
    by_gene : dict of ndarray (gene, ...)
        By the names of ``GeneEstimates``, and ``separated``: NaN, False or 0 for genes without estimates.
    replaced : ndarray of bool (gene,)
    replaced_counts : ReplacedCounts
    """

    by_gene: dict[str, np.ndarray]
    replaced: np.ndarray
    replaced_counts: ReplacedCounts


def first_pass(data: AllGenes) -> GeneWise:
    """Estimate base means and gene-wise dispersions of all fitted genes."""
    poisson, min_mu = data.poisson(data.fitted), data.options.min_mu
    found: dict[str, np.ndarray] = {}
    for where, _, block in data.blocks():
        part = own_dispersions(block, data.layout, poisson, min_mu)
        _put(found, where, vars(part), int(data.fitted.sum()))
    return GeneWise(**found)


def learn_hierarchy(data: AllGenes, own: GeneWise, trend: DispersionTrend | None) -> Hierarchy:
    """Fit the trend (unless it is given) and the spread around it."""
    trend = trend or fit_trend(data.options.trend, own.dispersion, own.base_mean)
    residual_df = data.layout.n_samples - data.layout.n_coefficients
    return Hierarchy(trend, fit_dispersion_prior(own.dispersion, trend(own.base_mean), residual_df))


def second_pass(data: AllGenes, own: GeneWise, hierarchy: Hierarchy) -> Estimates:
    """Estimate dispersions and coefficients of all fitted genes; replace excessive counts and fit again."""
    setting, n_genes = data.setting, data.counts.n_genes
    found: dict[str, np.ndarray] = {}
    replaced, emptied = np.zeros(n_genes, dtype=bool), np.zeros(n_genes, dtype=bool)
    changes = [_NO_CHANGE]
    for where, genes, block in data.blocks():
        part = estimate_genes(block, own.take(where), hierarchy, setting)
        separated = separated_genes(block.counts, data.layout)
        _put(found, genes, {name: getattr(part, name) for name in _KEPT} | {"separated": separated}, n_genes)
        flagged = np.flatnonzero(part.excessive & setting.replaceable.any())
        replaced[genes[flagged]] = True
        for some in data.pieces(flagged, share=PIECES_REPLACED):
            new = replacement(block.take(some), own.take(where).take(some), part.take(some), setting)
            row, sample = np.nonzero(new != block.counts[some])
            changes.append((genes[some[row]], sample, new[row, sample]))
            emptied[genes[some]] = ~new.any(axis=1)
    changed = ReplacedCounts(*(np.concatenate(each) for each in zip(*changes, strict=True)))
    _refit(data, hierarchy, found, changed, (replaced & ~emptied, emptied))
    return Estimates(found, replaced, changed)


def _refit(
    data: AllGenes,
    hierarchy: Hierarchy,
    found: dict[str, np.ndarray],
    changed: ReplacedCounts,
    which: tuple[np.ndarray, np.ndarray],
) -> None:
    """Fit genes with replaced counts again, and leave those of which nothing is left without estimates.

    The trend and the prior stay; Cook's distances stay those of the original counts.

    Parameters
    ----------
    data, hierarchy
        As for ``second_pass``.
    found : dict of ndarray (gene, ...)
        Is overwritten.
    changed : ReplacedCounts
    which : two ndarray of bool (gene,)
        The genes to fit again, and those of which nothing is left.
    """
    left, emptied = which
    for name in REFITTED:
        found[name][emptied] = _missing(name, found[name].dtype)
    if not left.any():
        return
    # DESeq2 fits these genes as a data set of their own, with its own defaults, whatever smallest mean was
    # asked for before.
    poisson, setting = data.poisson(left), replace(data.setting, min_mu=MIN_MU)
    for genes in data.pieces(np.flatnonzero(left)):
        block = data.block(genes)
        changed.put_into(block.counts, genes)
        again = own_dispersions(block, data.layout, poisson, MIN_MU)
        part = estimate_genes(block, again, hierarchy, setting)
        for name in REFITTED:
            found[name][genes] = getattr(part, name)


def _put(
    found: dict[str, np.ndarray], where: slice | np.ndarray, part: dict[str, np.ndarray], number: int
) -> None:
    """Put results of some genes among those of all; the first ones tell what arrays are needed."""
    for name, values in part.items():
        if name not in found:
            missing = _missing(name, values.dtype)
            found[name] = np.full((number, *values.shape[1:]), missing, dtype=values.dtype)
        found[name][where] = values


def _missing(name: str, kind: np.dtype) -> float:
    """Return what stands where nothing is estimated."""
    return math.nan if kind.kind == "f" and name != "base_mean" else 0


PIECES_REPLACED = 8
"""Replacing counts holds a block of genes several times over: it is done in so many pieces."""
_NO_CHANGE = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))
_KEPT = (*REFITTED, "max_cooks", "excessive", "n_larger")
