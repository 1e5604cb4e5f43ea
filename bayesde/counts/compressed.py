"""Sparse counts, kept as compressed rows of genes and never as a whole matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesde.counts.storage import chunk_cells, frozen
from bayesde.counts.values import are_counts, check_kind, faults, refuse_cells

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True, eq=False)
class CompressedRows:
    """Positive counts, the samples they belong to, and where each gene begins (compressed sparse rows)."""

    matrix: sparse.csr_array  # int32, or int64 where a count needs it; no explicit zeros; read-only
    expressed: np.ndarray
    library_sizes: np.ndarray

    @classmethod
    def checked(cls, matrix: Any, genes: pd.Index, samples: pd.Index) -> CompressedRows:
        """Copy a sparse matrix of any format and type after checking that it holds counts.

        Parameters
        ----------
        matrix : scipy.sparse matrix or array, (gene, sample)
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
        given = _summed(matrix)
        largest = _checked_largest(given, genes, samples)
        data = given.data.astype(count_type(largest), copy=True)
        places = index_type(given.nnz)
        indices, indptr = given.indices.astype(places), given.indptr.astype(places)
        own = type(given)((data, indices, indptr), shape=given.shape)
        return cls.of(own if given.format == "csr" else own.tocsr())

    @classmethod
    def of(cls, own: sparse.csr_array) -> CompressedRows:
        """Take over compressed rows of counts without duplicate entries.

        Parameters
        ----------
        own : scipy.sparse.csr_array, (gene, sample)
            Integers; it must not be used elsewhere, because its arrays become read-only.

        Returns
        -------
        CompressedRows
        """
        own.eliminate_zeros()
        sums = np.zeros(own.shape[1])
        for some in pieces(own.nnz):
            sums += np.bincount(own.indices[some], weights=own.data[some], minlength=own.shape[1])
        for part in (own.data, own.indices, own.indptr):
            frozen(part)
        return cls(own, frozen(np.diff(own.indptr) > 0), frozen(sums))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the unpickled arrays read-only."""
        for part in (state["matrix"].data, state["matrix"].indices, state["matrix"].indptr):
            frozen(part)
        vars(self).update(state)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of genes and samples."""
        return int(self.matrix.shape[0]), int(self.matrix.shape[1])

    def rows(self, selection: Any) -> np.ndarray:
        """Return the counts of some genes, zeros included.

        Parameters
        ----------
        selection : slice, sequence of int or of bool
            Which genes.

        Returns
        -------
        numpy.ndarray, float64, (chosen gene, sample)
            New.
        """
        if not isinstance(selection, slice):
            selection = np.arange(self.shape[0])[selection]
        return self.matrix[selection].astype(np.float64).toarray(order="C")

    def whole(self) -> np.ndarray:
        """Return all counts, zeros included."""
        return frozen(self.matrix.toarray(order="C").astype(np.int64, copy=False))

    def subset(self, genes: np.ndarray, samples: np.ndarray) -> CompressedRows:
        """Copy some genes and samples.

        Parameters
        ----------
        genes, samples : numpy.ndarray of int
            Positions.

        Returns
        -------
        CompressedRows
        """
        part = self.matrix[genes]
        if not np.array_equal(samples, np.arange(self.shape[1])):
            part = part[:, samples]
            part.sort_indices()
        return CompressedRows.of(part)


def pieces(number: int, size: int | None = None) -> Iterator[slice]:
    """Cut a long array into slices.

    Parameters
    ----------
    number : int
        Length of the array.
    size : int, optional
        Elements in a slice; by default half a chunk, because values are held together with their positions.

    Yields
    ------
    slice
        Consecutive; together they are the whole array.
    """
    size = size or max(1, chunk_cells() // 2)
    for start in range(0, number, size):
        yield slice(start, min(start + size, number))


def count_type(largest: int) -> type:
    """Return the smallest integer type, of four bytes or more, that holds the counts.

    Parameters
    ----------
    largest : int
        The largest count.

    Returns
    -------
    type
        ``numpy.int32`` or ``numpy.int64``.
    """
    return np.int32 if largest <= np.iinfo(np.int32).max else np.int64


def index_type(number: int) -> type:
    """Return the type of the positions of stored cells; SciPy copies one of two arrays whose types differ.

    Parameters
    ----------
    number : int
        Of stored cells.

    Returns
    -------
    type
        ``numpy.int32`` or ``numpy.int64``.
    """
    return count_type(number)


def _summed(matrix: Any) -> Any:
    """Compressed rows or columns, on the caller's own numbers where nothing must be added up.

    A cell may be listed several times and then means the sum; narrow types would overflow in it.
    """
    from scipy import sparse  # an import of a tenth of a second, for sparse counts only

    check_kind(matrix.dtype)
    wide = np.int64 if matrix.dtype.kind in "iu" else np.float64
    if getattr(matrix, "format", None) not in ("csr", "csc"):
        narrow = matrix.dtype.itemsize < 8
        matrix = (matrix.astype(wide) if narrow else matrix).tocsr()
    shell = sparse.csr_array if matrix.format == "csr" else sparse.csc_array
    shared = shell((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape, copy=False)
    if shared.has_canonical_format:
        return shared
    own = shared.astype(matrix.dtype if matrix.dtype.itemsize == 8 else wide, copy=True)
    own.sum_duplicates()
    return own


def _checked_largest(given: Any, genes: pd.Index, samples: pd.Index) -> int:
    """Check the stored numbers piece by piece and return the largest."""
    largest = 0
    for some in pieces(given.nnz):
        values = given.data[some]
        if not are_counts(values):
            _refuse(given, genes, samples)
        largest = max(largest, int(values.max()))
    return largest


def _refuse(given: Any, genes: pd.Index, samples: pd.Index) -> None:
    """Name the first cells that are not counts."""
    for bad, found, advice in faults(given.data):
        places = np.flatnonzero(bad)
        major = np.searchsorted(given.indptr, places[:3], side="right") - 1
        minor = given.indices[places[:3]]
        rows, columns = (major, minor) if given.format == "csr" else (minor, major)
        refuse_cells((genes[rows], samples[columns]), given.data[places[:3]], len(places), (found, advice))
