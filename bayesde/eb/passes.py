"""The two passes over all genes, a block at a time, so that no matrix of all genes is ever made.

The first pass estimates gene-wise dispersions; the trend and the prior are learnt from all of them; the
second pass estimates everything else, replaces excessive counts and fits the genes concerned again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from bayesde.design import Design
from bayesde.eb.block import GeneBlock
from bayesde.eb.dispersion.estimates import fits_cell_means
from bayesde.eb.dispersion.prior import fit_dispersion_prior
from bayesde.eb.dispersion.trend import DispersionTrend, fit_trend
from bayesde.eb.estimates import EbEstimates, ReplacedCounts
from bayesde.eb.genes import (
    BlockFit,
    GeneEstimates,
    GeneWise,
    Hierarchy,
    Setting,
    clear_estimates,
    estimate_gene_wise,
    estimate_genes,
    no_estimates,
    put_estimates,
)
from bayesde.eb.inputs import EbInputs
from bayesde.eb.outliers import (
    CooksSummary,
    cooks_distances,
    count_outliers,
    replaceable_samples,
    replaced_counts,
)
from bayesde.eb.regression.glm import MIN_MU
from bayesde.eb.regression.separation import separated_genes

__all__ = ["first_pass", "fitted_cooks_distances", "learn_hierarchy", "second_pass"]

PIECES_REPLACED = 8
"""Replacing counts takes several copies of a block, so it is done in so many pieces."""


def first_pass(inputs: EbInputs) -> GeneWise:
    """Estimate base means and gene-wise dispersions.

    Parameters
    ----------
    inputs : EbInputs

    Returns
    -------
    GeneWise
        Of the fitted genes, in their order.
    """
    n_genes, layout = int(inputs.fitted.sum()), inputs.layout
    columns = 0 if fits_cell_means(layout, inputs.weights is not None) else layout.n_coefficients
    found = GeneWise(np.zeros(n_genes), np.full(n_genes, math.nan), np.full((n_genes, columns), math.nan))
    mean_reciprocal = inputs.mean_reciprocal_factor(inputs.fitted)
    for where, _, block in inputs.blocks():
        part = estimate_gene_wise(block, layout, mean_reciprocal, inputs.options.min_mu)
        found.base_mean[where] = part.base_mean
        found.dispersion[where] = part.dispersion
        found.coefficients[where] = part.coefficients
    return found


def learn_hierarchy(inputs: EbInputs, gene_wise: GeneWise, trend: DispersionTrend | None) -> Hierarchy:
    """Fit the dispersion trend (unless one is given) and the spread of the genes around it.

    Parameters
    ----------
    inputs : EbInputs
    gene_wise : GeneWise
        Of the fitted genes.
    trend : DispersionTrend or None

    Returns
    -------
    Hierarchy
    """
    trend = trend or fit_trend(inputs.options.trend, gene_wise.dispersion, gene_wise.base_mean)
    residual_df = inputs.layout.n_samples - inputs.layout.n_coefficients
    prior = fit_dispersion_prior(gene_wise.dispersion, trend(gene_wise.base_mean), residual_df)
    return Hierarchy(trend, prior)


@dataclass(frozen=True, eq=False)
class _Found:
    """Results of the second pass for all genes, filled block by block."""

    estimates: GeneEstimates
    cooks: CooksSummary
    separated: np.ndarray
    replaced: np.ndarray
    emptied: np.ndarray
    changes: list[tuple[np.ndarray, np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, n_genes: int, n_coefficients: int) -> _Found:
        separated, replaced, emptied, excessive = (np.zeros(n_genes, dtype=bool) for _ in range(4))
        cooks = CooksSummary(np.full(n_genes, math.nan), excessive, np.zeros(n_genes, dtype=np.int64))
        none = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))
        return cls(no_estimates(n_genes, n_coefficients), cooks, separated, replaced, emptied, [none])

    def put(self, genes: np.ndarray, part: BlockFit) -> None:
        put_estimates(self.estimates, genes, part.estimates)
        self.cooks.largest[genes] = part.cooks.largest
        self.cooks.excessive[genes] = part.cooks.excessive
        self.cooks.n_larger[genes] = part.cooks.n_larger


def second_pass(
    inputs: EbInputs, gene_wise: GeneWise, hierarchy: Hierarchy, *, cooks_at_gene_wise_means: bool = False
) -> EbEstimates:
    """Estimate dispersions and coefficients; replace excessive counts and fit their genes again.

    Parameters
    ----------
    inputs : EbInputs
    gene_wise : GeneWise
        From the first pass.
    hierarchy : Hierarchy
    cooks_at_gene_wise_means : bool
        See ``Setting``.

    Returns
    -------
    EbEstimates
    """
    fewest = inputs.options.min_replicates if inputs.options.replace_outliers else None
    replaceable = replaceable_samples(inputs.layout, fewest)
    setting = Setting(inputs.layout, replaceable, inputs.options.min_mu, cooks_at_gene_wise_means)
    found = _Found.of(inputs.counts.n_genes, inputs.layout.n_coefficients)
    for where, genes, block in inputs.blocks():
        part = estimate_genes(block, gene_wise.take(where), hierarchy, setting)
        found.put(genes, part)
        found.separated[genes] = separated_genes(block.counts, inputs.layout)
        if replaceable.any():
            _replace_counts(inputs, found, genes, block, part, replaceable)
    changed = ReplacedCounts(*(np.concatenate(each) for each in zip(*found.changes, strict=True)))
    _refit(inputs, hierarchy, setting, found, changed)
    outlier = count_outliers(found.cooks, inputs.layout, two_groups=_two_groups(inputs.design))
    return EbEstimates(
        **vars(found.estimates),
        inputs=inputs,
        hierarchy=hierarchy,
        separated=found.separated,
        replaced=found.replaced,
        count_outlier=outlier & inputs.options.cooks_cutoff,
        max_cooks=found.cooks.largest,
        replaced_counts=changed,
    )


def _replace_counts(
    inputs: EbInputs,
    found: _Found,
    genes: np.ndarray,
    block: GeneBlock,
    part: BlockFit,
    replaceable: np.ndarray,
) -> None:
    """Note what replaces the excessive counts of a block, and which genes have no counts left."""
    flagged = np.flatnonzero(part.cooks.excessive)
    found.replaced[genes[flagged]] = True
    for some in inputs.pieces(flagged, share=PIECES_REPLACED):
        data = block.take(some)
        cooks = cooks_distances(data, inputs.layout, part.fitted.take(some))
        new = replaced_counts(data, cooks, inputs.layout, replaceable)
        row, sample = np.nonzero(new != data.counts)
        found.changes.append((genes[some[row]], sample, new[row, sample]))
        found.emptied[genes[some]] = ~new.any(axis=1)


def _refit(
    inputs: EbInputs, hierarchy: Hierarchy, setting: Setting, found: _Found, changed: ReplacedCounts
) -> None:
    """Fit genes with replaced counts again, and leave those without any counts left without estimates.

    The trend and the prior stay; Cook's distances stay those of the original counts.
    """
    clear_estimates(found.estimates, found.emptied)
    again = found.replaced & ~found.emptied
    if not again.any():
        return
    # DESeq2 fits these genes as a separate data set with its default smallest mean, whatever the options.
    mean_reciprocal, setting = inputs.mean_reciprocal_factor(again), replace(setting, min_mu=MIN_MU)
    for genes in inputs.pieces(np.flatnonzero(again)):
        block = inputs.block(genes)
        changed.put_into(block.counts, genes)
        gene_wise = estimate_gene_wise(block, inputs.layout, mean_reciprocal, MIN_MU)
        part = estimate_genes(block, gene_wise, hierarchy, setting)
        put_estimates(found.estimates, genes, part.estimates)


def _two_groups(design: Design) -> bool:
    """Tell whether the design is one factor of two levels."""
    levels = [len(names) for names in design.factors.values()]
    return levels == [2] and design.matrix.shape[1] == 2 and len(np.unique(design.matrix, axis=0)) == 2


def fitted_cooks_distances(fit: EbEstimates, genes: np.ndarray | None = None) -> np.ndarray:
    """Compute Cook's distance of every count of some genes anew.

    Parameters
    ----------
    fit : EbEstimates
    genes : ndarray of int, optional
        Positions; by default all.

    Returns
    -------
    ndarray (gene, sample)
        Of the original counts, whether replaced or not; NaN for genes without estimates.
    """
    inputs, layout, min_mu = fit.inputs, fit.inputs.layout, fit.options.min_mu
    genes = np.arange(fit.counts.n_genes) if genes is None else np.asarray(genes)
    usable = inputs.fitted[genes]
    out = np.full((genes.size, fit.counts.n_samples), np.nan)
    if usable.any():
        block = inputs.block(genes[usable])
        mean_reciprocal = inputs.mean_reciprocal_factor(inputs.fitted)
        gene_wise = estimate_gene_wise(block, layout, mean_reciprocal, min_mu)
        setting = Setting(layout, np.zeros(layout.n_samples, dtype=bool), min_mu)
        part = estimate_genes(block, gene_wise, fit.hierarchy, setting)
        out[usable] = cooks_distances(block, layout, part.fitted)
    return out
