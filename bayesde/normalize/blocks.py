"""Counts in blocks of genes, so that memory is bounded however many samples there are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bayesde.counts import Counts, chunk_cells

__all__ = ["row_blocks"]


def row_blocks(counts: Counts, share: int = 1) -> Iterator[tuple[slice, np.ndarray]]:
    """Iterate once over the counts.

    Parameters
    ----------
    counts : Counts
    share : int
        Fraction of a chunk that a block is: 4 for a quarter, where much is computed from each count.

    Yields
    ------
    slice
        Which genes.
    ndarray of float64 (chosen gene, sample)
        Their counts.
    """
    for genes in counts.chunks(max(1, chunk_cells() // share)):
        yield genes, counts.rows(genes)
