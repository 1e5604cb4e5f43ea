"""Separated genes: those with a coefficient whose maximum-likelihood estimate is infinite."""

from __future__ import annotations

import numpy as np

from bayesde.eb.regression.arrow import Arrow
from bayesde.eb.regression.design_layout import DesignLayout

__all__ = ["distinct_patterns", "separated_genes", "unbounded"]

NEGLIGIBLE = 1e-10
"""An eigenvalue below this share of the largest is 0."""
BYTES_OF_A_NUMBER = 8
PIECES = 8
"""Patterns are judged in so many pieces: with many cells they are as large as the counts."""


def separated_genes(counts: np.ndarray, layout: DesignLayout) -> np.ndarray:
    """Find genes without a finite maximum-likelihood estimate.

    The likelihood grows without end along a direction d if x . d = 0 for every sample with a count and
    x . d <= 0 for all the others, not always 0 (Albert and Anderson 1984, doi:10.1093/biomet/71.1.1, for
    logistic regression): as where one group has no counts at all. The ridge, or the prior, is then all that
    bounds the estimate.

    Parameters
    ----------
    counts : ndarray (gene, sample)
    layout : DesignLayout

    Returns
    -------
    ndarray of bool (gene,)
    """
    out, cells = np.zeros(len(counts), dtype=bool), layout.cells
    counted = np.logical_or.reduceat((counts > 0.0)[:, cells.order], cells.bounds[:-1], axis=1)
    suspects = np.flatnonzero(~counted.all(axis=1))
    packed, which = distinct_patterns(counted[suspects])
    found = np.empty(len(packed), dtype=bool)
    step = max(1, len(counts) // PIECES)
    for start in range(0, len(packed), step):
        some = slice(start, start + step)
        patterns = np.unpackbits(packed[some], axis=1, count=counted.shape[1]).astype(bool)
        found[some] = unbounded(patterns, layout)
    out[suspects] = found[which]
    return out


def distinct_patterns(patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the distinct rows of truth values.

    Parameters
    ----------
    patterns : ndarray of bool (row, column)

    Returns
    -------
    packed : ndarray of uint8 (distinct row, byte)
        As ``numpy.packbits`` packs them.
    which : ndarray of int (row,)
        The distinct row that each row is.
    """
    packed = np.packbits(patterns, axis=1)
    n_bytes = packed.shape[1]
    if n_bytes <= BYTES_OF_A_NUMBER:  # which NumPy sorts many times faster than rows
        wide = np.zeros((len(packed), BYTES_OF_A_NUMBER), dtype=np.uint8)
        wide[:, :n_bytes] = packed
        keys: np.ndarray = wide.view(np.uint64)[:, 0]
    else:
        keys = packed.view(np.dtype((np.void, n_bytes)))[:, 0]
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return packed[first], which


def _dense_directions(patterns: np.ndarray, layout: DesignLayout) -> tuple[np.ndarray, np.ndarray]:
    """Return how many directions do not move the cells with counts, and how one of them moves each cell.

    They are (pattern,) and (pattern, cell).
    """
    p = layout.n_coefficients
    products = (layout.cells.rows[:, :, None] * layout.cells.rows[:, None, :]).reshape(-1, p * p)
    # einsum adds the cells of each pattern in the same order, however many patterns there are.
    information = np.einsum("uc,ck->uk", patterns.astype(float), products)
    values, vectors = np.linalg.eigh(information.reshape(-1, p, p))
    free = values < NEGLIGIBLE * np.maximum(values[:, -1:], NEGLIGIBLE)
    return free.sum(axis=1), np.einsum("uk,ck->uc", vectors[:, :, 0], layout.cells.rows)


def _arrow_directions(patterns: np.ndarray, arrow: Arrow) -> tuple[np.ndarray, np.ndarray]:
    """Return the same where the columns of many levels are disjoint, by Schur's complement.

    Each level without counts is a direction of its own; others move other columns, and the levels with them.
    """
    cells = np.flatnonzero(arrow.level >= 0)
    cells = cells[np.argsort(arrow.level[cells], kind="stable")]
    starts = np.searchsorted(arrow.level[cells], np.arange(arrow.disjoint.size))
    counted, value = patterns.astype(float), arrow.value[:, None]
    diagonal = np.add.reduceat((counted * arrow.value**2)[:, cells], starts, axis=1)
    empty = diagonal == 0.0
    sums = (counted[:, :, None] * (value * arrow.border))[:, cells]
    means = np.add.reduceat(sums, starts, axis=1) / np.where(empty, 1.0, diagonal)[:, :, None]
    rest = arrow.border - np.where(value != 0.0, value * means[:, arrow.level], 0.0)
    values, vectors = np.linalg.eigh(np.einsum("uc,uca,ucb->uab", counted, rest, rest))
    scale = np.einsum("uc,ca->ua", counted, arrow.border**2).max(axis=1)
    free = values < NEGLIGIBLE * np.maximum(scale, NEGLIGIBLE)[:, None]
    without = empty.any(axis=1)[:, None]
    own = np.where(arrow.level == empty.argmax(axis=1)[:, None], arrow.value, 0.0)
    return empty.sum(axis=1) + free.sum(axis=1), np.where(
        without, own, np.einsum("ua,uca->uc", vectors[:, :, 0], rest)
    )


def unbounded(patterns: np.ndarray, layout: DesignLayout) -> np.ndarray:
    """Tell whether an estimate is infinite if some cells have counts and the others have none.

    Parameters
    ----------
    patterns : ndarray of bool (pattern, cell)
        Which cells have counts.
    layout : DesignLayout

    Returns
    -------
    ndarray of bool (pattern,)
    """
    if layout.cells.arrow.dense.size:
        n_free, along = _arrow_directions(patterns, layout.cells.arrow)
    else:
        n_free, along = _dense_directions(patterns, layout)
    along = np.where(patterns, 0.0, along)
    tiny = 1e-8 * np.abs(layout.cells.rows).max()
    one_sided = ~((along > tiny).any(axis=1) & (along < -tiny).any(axis=1))
    return np.asarray((n_free > 0) & (one_sided | (n_free > 1)))
