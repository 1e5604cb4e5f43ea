"""The two passes over all genes, a block at a time, so that no matrix of all genes is ever made.

The first pass estimates gene-wise dispersions; the trend and the prior are learnt from all of them; the
second pass estimates everything else, replaces excessive counts and fits the genes concerned again. What is
done with a block depends on that block and on what all genes share, so that the workers of a cluster can do
it, and neither their number nor the size of the blocks changes a number.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bayesde.design import Design
from bayesde.eb.block import GeneBlock
from bayesde.eb.dispersion.estimates import fits_cell_means
from bayesde.eb.dispersion.prior import fit_dispersion_prior
from bayesde.eb.dispersion.trend import DispersionTrend, fit_trend
from bayesde.eb.estimates import EbEstimates, ReplacedCounts
from bayesde.eb.genes import (
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
from bayesde.workers.pools import LocalPool, Pool, in_order
from bayesde.workers.progress import GenesDone, Progress, silent

__all__ = ["first_pass", "fitted_cooks_distances", "learn_hierarchy", "second_pass"]

PIECES_REPLACED = 8
"""Replacing counts takes several copies of a block, so it is done in so many pieces."""


def first_pass(inputs: EbInputs, pool: Pool | None = None, progress: Progress = silent) -> GeneWise:
    """Estimate base means and gene-wise dispersions.

    Parameters
    ----------
    inputs : EbInputs
    pool : Pool, optional
        Where blocks are fitted; by default here.
    progress : callable
        See `Progress`.

    Returns
    -------
    GeneWise
        Of the fitted genes, in their order.
    """
    n_genes, layout = int(inputs.fitted.sum()), inputs.layout
    estimated = GenesDone(progress, n_genes, "estimating dispersions of {:,} genes")
    columns = 0 if fits_cell_means(layout, inputs.weights is not None) else layout.n_coefficients
    found = GeneWise(np.zeros(n_genes), np.full(n_genes, math.nan), np.full((n_genes, columns), math.nan))
    mean_reciprocal = inputs.mean_reciprocal_factor(inputs.fitted)
    blocks = (
        (where, block, (layout, mean_reciprocal, inputs.options.min_mu))
        for where, _, block in inputs.blocks()
    )
    for where, part in _each(pool, estimate_gene_wise, blocks):
        found.base_mean[where] = part.base_mean
        found.dispersion[where] = part.dispersion
        found.coefficients[where] = part.coefficients
        estimated.more(part.base_mean.size)
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
class _BlockEstimates:
    """What the second pass finds out about a block of genes.

    `flagged` are the genes (places in the block) whose excessive counts are replaced; `emptied` tells which
    of them have no counts left then; `changes` are gene (place in the block), sample and new count.
    """

    estimates: GeneEstimates
    cooks: CooksSummary
    separated: np.ndarray
    flagged: np.ndarray
    emptied: np.ndarray
    changes: tuple[np.ndarray, np.ndarray, np.ndarray]


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
        return cls(
            no_estimates(n_genes, n_coefficients), cooks, separated, replaced, emptied, [_no_changes()]
        )

    def put(self, genes: np.ndarray, part: _BlockEstimates) -> None:
        put_estimates(self.estimates, genes, part.estimates)
        self.cooks.largest[genes] = part.cooks.largest
        self.cooks.excessive[genes] = part.cooks.excessive
        self.cooks.n_larger[genes] = part.cooks.n_larger
        self.separated[genes] = part.separated
        self.replaced[genes[part.flagged]] = True
        self.emptied[genes[part.flagged]] = part.emptied
        row, sample, count = part.changes
        self.changes.append((genes[row], sample, count))


def _no_changes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)


def second_pass(
    inputs: EbInputs,
    gene_wise: GeneWise,
    hierarchy: Hierarchy,
    *,
    cooks_at_gene_wise_means: bool = False,
    pool: Pool | None = None,
    progress: Progress = silent,
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
    pool : Pool, optional
        Where blocks are fitted; by default here.
    progress : callable
        See `Progress`.

    Returns
    -------
    EbEstimates
    """
    fewest = inputs.options.min_replicates if inputs.options.replace_outliers else None
    replaceable = replaceable_samples(inputs.layout, fewest)
    setting = Setting(inputs.layout, replaceable, inputs.options.min_mu, cooks_at_gene_wise_means)
    found = _Found.of(inputs.counts.n_genes, inputs.layout.n_coefficients)
    at_a_time = inputs.piece_size(PIECES_REPLACED)
    blocks = (
        (genes, block, (gene_wise.take(where), hierarchy, setting, at_a_time))
        for where, genes, block in inputs.blocks()
    )
    fitted = GenesDone(progress, int(inputs.fitted.sum()), "fitting {:,} genes")
    for genes, part in _each(pool, _second_of_block, blocks):
        found.put(genes, part)
        fitted.more(genes.size)
    changed = ReplacedCounts(*(np.concatenate(each) for each in zip(*found.changes, strict=True)))
    _refit(inputs, hierarchy, setting, found, changed, pool, progress)
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


def _each(
    pool: Pool | None,
    function: Callable[..., Any],
    blocks: Iterable[tuple[Any, GeneBlock, tuple[Any, ...]]],
) -> Iterator[tuple[Any, Any]]:
    """Yield which genes a block has, and what a function makes of it and of further arguments, in order."""
    pool, places = pool or LocalPool(), deque[Any]()

    def calls() -> Iterator[tuple[Any, ...]]:
        for place, block, arguments in blocks:
            places.append(place)
            yield (block.packed() if pool.elsewhere else block, *arguments)

    work = partial(_of_packed, function) if pool.elsewhere else function
    for part in in_order(pool, work, calls()):
        yield places.popleft(), part


def _of_packed(function: Callable[..., Any], block: GeneBlock, *arguments: Any) -> Any:
    """Call a function of a block that was sent."""
    return function(block.unpacked(), *arguments)


def _second_of_block(
    block: GeneBlock, gene_wise: GeneWise, hierarchy: Hierarchy, setting: Setting, at_a_time: int
) -> _BlockEstimates:
    """Estimate everything else of a block, and find what replaces its excessive counts."""
    part = estimate_genes(block, gene_wise, hierarchy, setting)
    separated = separated_genes(block.counts, setting.layout)
    flagged = (
        np.flatnonzero(part.cooks.excessive) if setting.replaceable.any() else np.empty(0, dtype=np.int64)
    )
    emptied, changes = np.zeros(flagged.size, dtype=bool), [_no_changes()]
    for start in range(0, flagged.size, at_a_time):
        piece = slice(start, start + at_a_time)
        some = flagged[piece]
        data = block.take(some)
        cooks = cooks_distances(data, setting.layout, part.fitted.take(some))
        new = replaced_counts(data, cooks, setting.layout, setting.replaceable)
        row, sample = np.nonzero(new != data.counts)
        changes.append((some[row], sample, new[row, sample]))
        emptied[piece] = ~new.any(axis=1)
    gene, sample, count = (np.concatenate(each) for each in zip(*changes, strict=True))
    return _BlockEstimates(part.estimates, part.cooks, separated, flagged, emptied, (gene, sample, count))


def _refit(
    inputs: EbInputs,
    hierarchy: Hierarchy,
    setting: Setting,
    found: _Found,
    changed: ReplacedCounts,
    pool: Pool | None,
    progress: Progress,
) -> None:
    """Fit genes with replaced counts again, and leave those without any counts left without estimates.

    The trend and the prior stay; Cook's distances stay those of the original counts.
    """
    clear_estimates(found.estimates, found.emptied)
    again = found.replaced & ~found.emptied
    if not again.any():
        return
    # DESeq2 fits these genes as a separate data set with its default smallest mean, whatever the options.
    arguments = (inputs.mean_reciprocal_factor(again), hierarchy, replace(setting, min_mu=MIN_MU))
    blocks = (
        (genes, _with_changes(inputs.block(genes), genes, changed), arguments)
        for genes in inputs.pieces(np.flatnonzero(again))
    )
    fitted = GenesDone(progress, int(again.sum()), "fitting {:,} genes again, without outlying counts")
    for genes, estimates in _each(pool, _both_of_block, blocks):
        put_estimates(found.estimates, genes, estimates)
        fitted.more(genes.size)


def _with_changes(block: GeneBlock, genes: np.ndarray, changed: ReplacedCounts) -> GeneBlock:
    """Put the replaced counts into a block."""
    changed.put_into(block.counts, genes)
    return block


def _both_of_block(
    block: GeneBlock, mean_reciprocal: float, hierarchy: Hierarchy, setting: Setting
) -> GeneEstimates:
    """Estimate everything of a block, the hierarchy given."""
    gene_wise = estimate_gene_wise(block, setting.layout, mean_reciprocal, MIN_MU)
    return estimate_genes(block, gene_wise, hierarchy, setting).estimates


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
