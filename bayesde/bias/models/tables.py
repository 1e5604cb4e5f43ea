r"""Distributions of sequences as products of tables: each base given some others.

    log p(s) = sum over positions j of log p_j(s_j | s of the parents of j)

Position weights, Markov models, k-mers and Bayesian networks are of this form; they differ in the parents of
a position. Counts n of bases x after contexts c are smoothed towards the same table without the first parent,
recursively down to no parent, by a Dirichlet prior worth `strength` sequences (MacKay and Peto 1995,
doi:10.1017/S1351324900000218):

    p(x | c) = (n(x, c) + strength p(x | c')) / (n(c) + strength)

where c' is c without its first base. A pair of tables, p for starts and q for their background, can be
smoothed so that their ratio is drawn towards the ratio for c' (at last, 1), and not only each table by
itself:

    p(x | c) = (n(x, c) + strength r(x | c)) / (n(c) + strength),  r(x | c) ~ q(x | c) p(x | c') / q(x | c')

The bias is this ratio, and needs fewer parameters than the composition of genes, which both tables have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["TableModel", "cells", "count_table", "smoothed", "smoothed_pair"]

STRENGTH = 30.0
"""Sequences that the prior of a table is worth."""
FIRST_STRENGTH, RATIO_STRENGTH = 100.0, 1000.0
"""The same of a ratio of tables, without parents and with them. Held-out starts are told from their
background best by about these values, both among 15,000 and among 1,000 sequences: shares of bases at a
position are soon known, but most dependences are weak (`benchmarks/bias/README.md`)."""


@dataclass(frozen=True, eq=False)
class TableModel:
    """A product of conditional tables, one for each position.

    Attributes
    ----------
    parents : tuple of tuple of int (position,)
        The positions that a base depends on.
    tables : tuple of ndarray (position,), each (4^parents, 4)
        Log probabilities; the first parent is the most significant digit of the row.
    n_parameters : int
        Number of free parameters.
    """

    parents: tuple[tuple[int, ...], ...]
    tables: tuple[np.ndarray, ...]
    n_parameters: int

    def log_prob(self, sequences: np.ndarray) -> np.ndarray:
        """Return the log probability of each sequence.

        Parameters
        ----------
        sequences : ndarray uint8 (sequence, base)

        Returns
        -------
        ndarray float64 (sequence,)
        """
        columns = np.ascontiguousarray(sequences.T)
        total = np.zeros(columns.shape[1])
        for position, (parents, table) in enumerate(zip(self.parents, self.tables, strict=True)):
            total += table.ravel()[cells(columns, parents, position)]
        return total

    def log_ratio_of_windows(self, other: TableModel, codes: np.ndarray) -> np.ndarray:
        """Return the difference of log probabilities to another model of every window of an array.

        Words around a base are looked up once for all positions whose parents have the same offsets.

        Parameters
        ----------
        other : TableModel
            With the same parents.
        codes : ndarray uint8 (base,)
            Without unknown bases.

        Returns
        -------
        ndarray float64 (base - window + 1,)
        """
        window = len(self.parents)
        number = codes.size - window + 1
        words: dict[tuple[int, ...], np.ndarray] = {}
        total = np.zeros(number)
        for position, parents in enumerate(self.parents):
            ratio = (self.tables[position] - other.tables[position]).ravel()
            if not ratio.any():
                continue
            offsets = tuple(parent - position for parent in parents)
            if offsets not in words:
                words[offsets] = _words(codes, offsets)
            total += ratio[words[offsets][position : position + number]]
        return total


def _words(codes: np.ndarray, offsets: tuple[int, ...]) -> np.ndarray:
    """Return, for every base, the row and column of a table; those beyond the ends are arbitrary."""
    word = np.zeros(codes.size, dtype=np.int32)
    for offset in (*offsets, 0):
        word = 4 * word + np.roll(codes, -offset)
    return word


def cells(columns: np.ndarray, parents: Sequence[int], position: int) -> np.ndarray:
    """Return the cell of a table that each sequence falls into.

    Parameters
    ----------
    columns : ndarray uint8 (base, sequence)
    parents : sequence of int
    position : int

    Returns
    -------
    ndarray int32 (sequence,)
        4 times the row plus the column.
    """
    cell = np.zeros(columns.shape[1], dtype=np.int32)
    for one in (*parents, position):
        cell = 4 * cell + columns[one]
    return cell


def count_table(columns: np.ndarray, parents: Sequence[int], position: int) -> np.ndarray:
    """Count the bases at a position by the bases at its parents.

    Parameters
    ----------
    columns : ndarray uint8 (base, sequence)
    parents : sequence of int
    position : int

    Returns
    -------
    ndarray float64 (4^parents, 4)
    """
    counts = np.bincount(cells(columns, parents, position), minlength=4 ** (len(parents) + 1))
    return counts.reshape(-1, 4).astype(np.float64)


def smoothed(counts: np.ndarray) -> np.ndarray:
    """Estimate the probabilities of a table.

    Parameters
    ----------
    counts : ndarray (4^parents, 4)

    Returns
    -------
    ndarray (4^parents, 4)
        Rows sum to 1.
    """
    shorter = np.full((1, 4), 0.25) if len(counts) == 1 else np.tile(smoothed(without_first(counts)), (4, 1))
    return _estimated(counts, shorter, STRENGTH)


def without_first(counts: np.ndarray) -> np.ndarray:
    """Add up the rows that differ in their first parent only.

    Parameters
    ----------
    counts : ndarray (4^parents, 4)

    Returns
    -------
    ndarray (4^(parents - 1), 4)
    """
    return np.asarray(counts.reshape(4, -1, 4).sum(axis=0))


def _estimated(counts: np.ndarray, prior: np.ndarray, strength: float) -> np.ndarray:
    """Return the posterior mean of each row under a Dirichlet prior."""
    return np.asarray((counts + strength * prior) / (counts.sum(axis=1, keepdims=True) + strength))


def smoothed_pair(
    starts: np.ndarray, background: np.ndarray, threshold: float | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Estimate the tables of starts and of their background, with a smoothed ratio.

    Parameters
    ----------
    starts, background : ndarray (4^parents, 4)
        Counts.
    threshold : float, optional
        Half of the chi-squared statistic of a row of `starts` below which its ratio is that of the row
        without the first parent; by default every row has a ratio of its own.

    Returns
    -------
    p, q : ndarray (4^parents, 4)
        Of starts and of the background; rows sum to 1.
    used : int
        Number of rows, with any number of parents, whose ratio is their own.
    """
    if len(starts) == 1:
        q, ratio, used = _estimated(background, np.full((1, 4), 0.25), STRENGTH), np.ones((1, 4)), 0
    else:
        fewer = smoothed_pair(without_first(starts), without_first(background), threshold)
        p, q, used = np.tile(fewer[0], (4, 1)), np.tile(fewer[1], (4, 1)), fewer[2]
        ratio, q = p / q, _estimated(background, q, STRENGTH)
    expected = q * ratio
    expected /= expected.sum(axis=1, keepdims=True)
    p = _estimated(starts, expected, FIRST_STRENGTH if len(starts) == 1 else RATIO_STRENGTH)
    if threshold is None:
        return p, q, used + len(p)
    own = _half_chi_squared(starts, background, expected) > threshold
    return np.where(own[:, None], p, expected), q, used + int(own.sum())


def _half_chi_squared(starts: np.ndarray, background: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Compare the bases after each context with those expected from shorter ones, (context,).

    The variance includes that of the background, from which the expectation comes; it is approximately the
    gain in log likelihood of a ratio of its own.
    """
    mean = starts.sum(axis=1, keepdims=True) * expected
    variance = mean + mean * mean / np.maximum(background, 1.0)
    return np.asarray(0.5 * ((starts - mean) ** 2 / np.maximum(variance, 1e-12)).sum(axis=1))
