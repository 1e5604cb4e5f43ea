"""Counts a block of genes at a time, so that memory is bounded however many samples there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bayesde.counts import Counts

__all__ = ["row_blocks"]

BLOCK_VALUES = 2**20
"""Numbers in a block: 8 MB of float64, which a processor's cache nearly holds."""


def _slices(counts: Counts) -> Iterator[slice]:
    """Cut the genes into runs of bounded size."""
    if hasattr(counts, "chunks"):
        yield from counts.chunks()
        return
    step = max(1, BLOCK_VALUES // counts.n_samples)
    for start in range(0, counts.n_genes, step):
        yield slice(start, min(start + step, counts.n_genes))


def _rows(counts: Counts, selection: slice) -> np.ndarray:
    """Return the counts of some genes, dense float64 (chosen gene, sample)."""
    if hasattr(counts, "rows"):
        return np.asarray(counts.rows(selection))
    return counts.matrix[selection].astype(np.float64)


def row_blocks(counts: Counts) -> Iterator[tuple[Any, np.ndarray]]:
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
    for selection in _slices(counts):
        yield selection, _rows(counts, selection)
