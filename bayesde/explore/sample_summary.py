"""Sizes of samples: reads, genes that were seen, and how much of the reads the most abundant genes take."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.errors import InputError
from bayesde.explore.filters import GeneFilter
from bayesde.normalize.blocks import row_blocks

__all__ = ["sample_summary"]

MOST_ABUNDANT = 10


def sample_summary(counts: Counts, kept: GeneFilter | np.ndarray | None = None) -> pd.DataFrame:
    """Tabulate the sizes of the samples.

    Parameters
    ----------
    counts : Counts
    kept : GeneFilter or ndarray of bool (gene,), optional
        Genes that a filter keeps.

    Returns
    -------
    pandas.DataFrame
        One row a sample: ``reads``, ``genes`` (with a count), ``top_share`` (part of the reads in the ten
        most abundant genes of the sample); with a filter ``reads_kept``, the part of the reads in the genes
        that are kept.

    Raises
    ------
    InputError
        If the mask does not fit.
    """
    seen, largest = np.zeros(counts.n_samples), np.zeros((0, counts.n_samples))
    reads_kept, mask = np.zeros(counts.n_samples), gene_mask(counts, kept)
    for genes, rows in row_blocks(counts):
        seen += (rows > 0.0).sum(axis=0)
        largest = np.sort(np.concatenate([largest, rows]), axis=0)[-MOST_ABUNDANT:]
        reads_kept += rows[mask[genes]].sum(axis=0)
    reads = counts.library_sizes
    share = np.divide(largest.sum(axis=0), reads, out=np.full(reads.size, np.nan), where=reads > 0.0)
    table = pd.DataFrame(
        {"reads": reads.astype(np.int64), "genes": seen.astype(np.int64), "top_share": share}, counts.samples
    )
    if kept is not None:
        table["reads_kept"] = np.divide(reads_kept, reads, out=np.full(reads.size, np.nan), where=reads > 0.0)
    return table


def gene_mask(counts: Counts, kept: GeneFilter | np.ndarray | None) -> np.ndarray:
    """Return the mask of a filter, checked against the counts.

    Parameters
    ----------
    counts : Counts
    kept : GeneFilter, array-like of bool (gene,), or None
        None keeps all genes.

    Returns
    -------
    ndarray of bool (gene,)

    Raises
    ------
    InputError
        If it is of other genes.
    """
    if kept is None:
        return np.ones(counts.n_genes, dtype=bool)
    mask = np.asarray(kept.mask if isinstance(kept, GeneFilter) else kept)
    if mask.dtype != bool or mask.shape != (counts.n_genes,):
        raise InputError(
            f"a mask of type {mask.dtype} and shape {mask.shape} was given for {counts.n_genes} genes; give "
            "a filter of these counts, or one true or false value a gene."
        )
    return mask
