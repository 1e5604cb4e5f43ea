"""Where counts are kept: as one array in memory, or in a file from which genes are read when needed.

Sparse counts are kept compressed, see `bayesde.counts.compressed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd

from bayesde.counts.values import check_counts, check_kind, numeric
from bayesde.errors import InputError

# Counts of one chunk: 16 MB as doubles, small beside any machine, large beside the cost of a call.
CHUNK_CELLS = 2_000_000
# Genes this near to each other are read from a file in one go: a read costs more than a few idle genes.
NEAR = 16


class Storage(Protocol):
    """Checked counts (gene, sample), accessed by rows."""

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of genes and samples."""

    @property
    def expressed(self) -> np.ndarray:
        """Genes with a count above zero, bool (gene,)."""

    @property
    def library_sizes(self) -> np.ndarray:
        """Sums over genes, float64 (sample,)."""

    def rows(self, selection: Any) -> np.ndarray:
        """Return the counts of some genes.

        Parameters
        ----------
        selection : slice, sequence of int or of bool
            Which genes.

        Returns
        -------
        numpy.ndarray, float64, (chosen gene, sample)
            New and C-contiguous.
        """

    def whole(self) -> np.ndarray:
        """Return all counts, int64 (gene, sample), C-contiguous and read-only."""

    def subset(self, genes: np.ndarray, samples: np.ndarray) -> Storage:
        """Keep some genes and samples.

        Parameters
        ----------
        genes, samples : numpy.ndarray of int
            Positions.

        Returns
        -------
        Storage
        """


class Reader(Protocol):
    """Numbers (gene, sample) that are read from elsewhere, block by block, in their stored type."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of genes and samples."""

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored numbers."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return consecutive genes.

        Parameters
        ----------
        start, stop : int
            The first gene, and the one after the last.

        Returns
        -------
        numpy.ndarray, (gene, sample)
        """


def chunk_cells() -> int:
    """Return how many counts are held in memory at once where the number can be chosen."""
    return CHUNK_CELLS


def chunks(shape: tuple[int, ...], cells: int | None = None) -> Iterator[slice]:
    """Cut the genes into consecutive pieces.

    Parameters
    ----------
    shape : tuple of int
        Numbers of genes and samples.
    cells : int, optional
        About how many counts a piece has, at least one gene; by default `CHUNK_CELLS`.

    Yields
    ------
    slice
    """
    step = max(1, int(cells or CHUNK_CELLS) // max(1, shape[1]))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def frozen(array: np.ndarray) -> np.ndarray:
    """Make an array read-only.

    Parameters
    ----------
    array : numpy.ndarray
        One that the package itself made.

    Returns
    -------
    numpy.ndarray
        `array`.
    """
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """Counts as one array in memory."""

    matrix: np.ndarray  # int64, C-contiguous, read-only
    expressed: np.ndarray
    library_sizes: np.ndarray

    @classmethod
    def checked(cls, values: np.ndarray, genes: pd.Index, samples: pd.Index) -> ArrayRows:
        """Copy numbers of any type after checking that they are counts.

        Parameters
        ----------
        values : numpy.ndarray, (gene, sample)
        genes, samples : pandas.Index
            Names of rows and columns, for messages.

        Returns
        -------
        ArrayRows

        Raises
        ------
        InputError
            If a number is not a count.
        """
        values = numeric(values, genes, samples)
        check_counts(values, genes, samples)
        return cls.of(np.array(values, dtype=np.int64, order="C"))

    @classmethod
    def of(cls, matrix: np.ndarray) -> ArrayRows:
        """Take over a new matrix of counts.

        Parameters
        ----------
        matrix : numpy.ndarray, int64, (gene, sample)
            It must not be used elsewhere, because it becomes read-only.

        Returns
        -------
        ArrayRows
        """
        expressed = [matrix[some].any(axis=1) for some in chunks(matrix.shape)]
        return cls(frozen(matrix), np.concatenate(expressed), matrix.sum(axis=0).astype(np.float64))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the unpickled array read-only."""
        frozen(state["matrix"])
        vars(self).update(state)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of genes and samples."""
        return self.matrix.shape[0], self.matrix.shape[1]

    def rows(self, selection: Any) -> np.ndarray:
        """Return the counts of some genes.

        Parameters
        ----------
        selection : slice, sequence of int or of bool
            Which genes.

        Returns
        -------
        numpy.ndarray, float64, (chosen gene, sample)
            New.
        """
        return np.array(self.matrix[selection], dtype=np.float64, order="C")

    def whole(self) -> np.ndarray:
        """Return all counts, without a copy."""
        return self.matrix

    def subset(self, genes: np.ndarray, samples: np.ndarray) -> ArrayRows:
        """Copy some genes and samples.

        Parameters
        ----------
        genes, samples : numpy.ndarray of int
            Positions.

        Returns
        -------
        ArrayRows
        """
        return ArrayRows.of(self.matrix[np.ix_(genes, samples)])


@dataclass(frozen=True, eq=False)
class DatasetReader:
    """An array in a file (an HDF5 data set or a Zarr array), with genes as its rows or as its columns."""

    dataset: Any
    genes_are_columns: bool = False

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Numbers of genes and samples."""
        shape = tuple(map(int, self.dataset.shape))
        return shape[::-1] if self.genes_are_columns else shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored numbers."""
        return np.dtype(self.dataset.dtype)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return consecutive genes.

        Parameters
        ----------
        start, stop : int
            The first gene, and the one after the last.

        Returns
        -------
        numpy.ndarray, (gene, sample)

        Raises
        ------
        InputError
            If the file cannot be read any more.
        """
        try:
            if self.genes_are_columns:
                return np.asarray(self.dataset[:, start:stop]).T
            return np.asarray(self.dataset[start:stop])
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"the counts can no longer be read from their file ({error}); keep it open and in place "
                "while they are in use."
            ) from error


@dataclass(frozen=True, eq=False)
class ReaderRows:
    """Counts that stay in a file; only the genes asked for are read into memory."""

    reader: Reader
    genes: np.ndarray  # positions in the file
    samples: np.ndarray | None  # positions in the file; None for all of them in order
    expressed: np.ndarray
    library_sizes: np.ndarray

    @classmethod
    def checked(cls, reader: Reader, genes: pd.Index, samples: pd.Index) -> ReaderRows:
        """Read everything once, chunk by chunk, and check that it is counts.

        Parameters
        ----------
        reader : Reader
        genes, samples : pandas.Index
            Names of rows and columns, for messages.

        Returns
        -------
        ReaderRows

        Raises
        ------
        InputError
            If a number is not a count.
        """
        check_kind(reader.dtype)
        expressed = np.zeros(len(genes), dtype=bool)
        sums = np.zeros(len(samples))
        for some in chunks((len(genes), len(samples))):
            block = reader.read(some.start, some.stop)
            check_counts(block, genes[some], samples, part=some.stop - some.start < len(genes))
            expressed[some] = block.any(axis=1)
            sums += block.sum(axis=0, dtype=np.float64)
        return cls(reader, np.arange(len(genes)), None, frozen(expressed), frozen(sums))

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to be pickled: an open file cannot be."""
        raise InputError(
            "counts that stay in an open file cannot be pickled; load them into memory first, by "
            "Counts(counts.to_frame(), sample_table=counts.sample_table), or open the file again."
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of genes and samples."""
        return len(self.genes), len(self.library_sizes)

    def rows(self, selection: Any) -> np.ndarray:
        """Read the counts of some genes.

        Parameters
        ----------
        selection : slice, sequence of int or of bool
            Which genes.

        Returns
        -------
        numpy.ndarray, float64, (chosen gene, sample)
            New.
        """
        return self._filled(self.genes[selection], np.float64)

    def whole(self) -> np.ndarray:
        """Read all counts."""
        return frozen(self._filled(self.genes, np.int64))

    def subset(self, genes: np.ndarray, samples: np.ndarray) -> ReaderRows:
        """Keep some genes and samples; their sums are computed again from the file.

        Parameters
        ----------
        genes, samples : numpy.ndarray of int
            Positions among those that are kept now.

        Returns
        -------
        ReaderRows
        """
        places = samples if self.samples is None else self.samples[samples]
        bare = ReaderRows(self.reader, self.genes[genes], places, np.empty(0), np.zeros(len(samples)))
        expressed, sums = np.zeros(len(genes), dtype=bool), np.zeros(len(samples))
        for some in chunks(bare.shape):
            block = bare.rows(some)
            expressed[some] = block.any(axis=1)
            sums += block.sum(axis=0)
        return ReaderRows(self.reader, bare.genes, places, frozen(expressed), frozen(sums))

    def _filled(self, wanted: np.ndarray, kind: type) -> np.ndarray:
        """Read genes at any positions of the file, neighboring ones together."""
        out: np.ndarray = np.empty((len(wanted), self.shape[1]), dtype=kind)
        order = np.argsort(wanted, kind="stable")
        limit = max(1, min(len(wanted), CHUNK_CELLS // (2 * max(1, self.reader.shape[1]))))
        for places in np.split(order, _run_starts(wanted[order], limit)):
            if len(places):
                first, last = int(wanted[places[0]]), int(wanted[places[-1]])
                block = self.reader.read(first, last + 1)
                self._place(out, places, block, wanted[places] - first)
        return out

    def _place(self, out: np.ndarray, places: np.ndarray, block: np.ndarray, within: np.ndarray) -> None:
        """Write the rows of a block to their positions; without a copy where the block fits as it is."""
        chosen = block if self.samples is None else block[:, self.samples]
        if len(within) == len(block) and _is_range(places) and _is_range(within):
            out[places[0] : places[0] + len(places)] = chosen
        else:
            out[places] = chosen[within]


def _run_starts(positions: np.ndarray, limit: int) -> list[int]:
    """Cut sorted positions where genes are far apart or a run would span more than `limit` of them."""
    starts: list[int] = []
    jumps = [*(np.flatnonzero(np.diff(positions) > NEAR) + 1), len(positions)]
    begin = 0
    for end in jumps:
        while begin < end:
            step = int(np.searchsorted(positions[begin:end], positions[begin] + limit))
            begin += step
            starts.append(begin)
    return starts


def _is_range(positions: np.ndarray) -> bool:
    """Return whether positions are consecutive."""
    return bool((np.diff(positions) == 1).all())
