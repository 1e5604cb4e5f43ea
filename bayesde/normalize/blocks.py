"""Counts a block of genes at a time, so that memory is bounded however many samples there are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bayesde.counts import Counts

__all__ = ["row_blocks"]


def row_blocks(counts: Counts) -> Iterator[tuple[slice, np.ndarray]]:
    """Go once over the counts.

    Parameters
    ----------
    counts : Counts

    Yields
    ------
    slice
        Which genes.
    ndarray of float64 (chosen gene, sample)
        Their counts.
    """
    for genes in counts.chunks():
        yield genes, counts.rows(genes)
