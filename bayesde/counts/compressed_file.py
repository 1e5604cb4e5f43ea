"""Sparse counts in an HDF5 file, turned into compressed rows of genes without reading the whole file at once.

AnnData stores compressed rows (``csr_matrix``) or columns (``csc_matrix``) of a (sample, gene) matrix as
the arrays ``data``, ``indices`` and ``indptr``. Its columns are our genes. From its rows, the position of
each gene is found by counting first: gene g starts at ``sum_{h < g} n_h``, where n_h is its number of stored
entries; then the rows are read block by block, and each entry is written to its gene.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts.compressed import CompressedRows, count_type, index_type, pieces
from bayesde.counts.storage import CHUNK_CELLS
from bayesde.counts.values import are_counts, check_kind, faults, refuse_cells

# A block of stored cells is held several times over while it is sorted by gene.
BLOCK_CELLS = CHUNK_CELLS // 8


@dataclass(frozen=True, eq=False)
class CompressedFile:
    """A sparse (sample, gene) matrix in a file.

    Parameters
    ----------
    group : mapping with the arrays ``data``, ``indices`` and ``indptr``
        As AnnData writes them into HDF5.
    shape : tuple of int
        Numbers of genes and samples (the transpose of what is stored).
    by_gene : bool
        Whether genes are stored one after another (``csc_matrix``), rather than samples.
    """

    group: Any
    shape: tuple[int, int]
    by_gene: bool

    def compressed(self, genes: pd.Index, samples: pd.Index) -> CompressedRows:
        """Read the counts, check them and sort them by gene.

        Parameters
        ----------
        genes, samples : pandas.Index
            Names of rows and columns, for messages.

        Returns
        -------
        CompressedRows

        Raises
        ------
        InputError
            If a number is not a count.
        """
        from scipy import sparse

        check_kind(np.dtype(self.group["data"].dtype))
        indptr = np.asarray(self.group["indptr"][:], dtype=np.int64)
        fill = self._by_gene if self.by_gene else self._by_sample
        data, indices, begins = fill(indptr, genes, samples)
        own = sparse.csr_array((data, indices, begins.astype(indices.dtype)), shape=self.shape)
        if not own.has_canonical_format:
            own.data = own.data.astype(np.int64)
            own.sum_duplicates()
        return CompressedRows.of(own)

    def _by_gene(
        self, indptr: np.ndarray, genes: pd.Index, samples: pd.Index
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Copy entries that are already sorted by gene."""
        data = np.empty(indptr[-1], dtype=np.int32)
        indices = np.empty(indptr[-1], dtype=index_type(indptr[-1]))
        for some in pieces(int(indptr[-1]), BLOCK_CELLS):
            values, indices[some] = self.group["data"][some], self.group["indices"][some]
            if not are_counts(values):
                rows = np.searchsorted(indptr, np.arange(some.start, some.stop), side="right") - 1
                _refuse(values, genes[rows], samples[indices[some]])
            data = _widened(data, values)
            data[some] = values
        return data, indices, indptr

    def _by_sample(
        self, indptr: np.ndarray, genes: pd.Index, samples: pd.Index
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Append the entries of each block of samples to those of earlier blocks, gene by gene."""
        begins = self._gene_begins()
        free = begins[:-1].copy()
        data = np.empty(begins[-1], dtype=np.int32)
        indices = np.empty(begins[-1], dtype=index_type(begins[-1]))
        for first, last in _blocks(indptr):
            some = slice(int(indptr[first]), int(indptr[last]))
            values, gene = self.group["data"][some], self.group["indices"][some].astype(np.intp)
            sample = np.repeat(np.arange(first, last, dtype=np.int32), np.diff(indptr[first : last + 1]))
            if not are_counts(values):
                _refuse(values, genes[gene], samples[sample])
            data = _widened(data, values)
            order = np.argsort(gene, kind="stable")
            gene = gene[order]
            # The i-th cell of a gene in this block goes i places behind the gene's first free place.
            number = np.bincount(gene, minlength=len(free))
            place = (free - np.cumsum(number) + number)[gene] + np.arange(len(gene))
            data[place], indices[place] = values[order], sample[order]
            free += number
        return data, indices, begins

    def _gene_begins(self) -> np.ndarray:
        """Count the stored entries of each gene and return where each begins."""
        number = np.zeros(self.shape[0] + 1, dtype=np.int64)
        for some in pieces(len(self.group["indices"]), BLOCK_CELLS):
            number[1:] += np.bincount(self.group["indices"][some], minlength=self.shape[0])
        return np.cumsum(number)


def _blocks(indptr: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield ranges of samples with about BLOCK_CELLS stored entries, at least one sample each."""
    first, end = 0, len(indptr) - 1
    while first < end:
        last = int(np.searchsorted(indptr, indptr[first] + BLOCK_CELLS, side="right")) - 1
        last = min(max(last, first + 1), end)
        yield first, last
        first = last


def _widened(data: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Change to a wider type where a count needs it."""
    wanted = count_type(int(values.max(initial=0)))
    return data if data.dtype == np.int64 or wanted is np.int32 else data.astype(np.int64)


def _refuse(values: np.ndarray, genes: pd.Index, samples: pd.Index) -> None:
    """Name the first cells of a block that are not counts."""
    for bad, found, advice in faults(values):
        places = np.flatnonzero(bad)
        shown = places[:3]
        refuse_cells((genes[shown], samples[shown]), values[shown], len(places), (found, advice), part=True)
