"""Files that draws are written to block by block, which become memory maps when all are there; and copies."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

import numpy as np

from bayesde.counts import chunks

__all__ = ["DRAWS_FILE", "DrawsFile", "copied_array", "is_mapped"]

DRAWS_FILE = "theta.npy"


class DrawsFile:
    """An array of many genes in single precision, of which few are in memory at a time.

    Written with ordinary writes, not through the map, so that the draws do not count as the process's memory
    while they are written. In a folder the file gets its name only when it is complete; an older file of that
    name is replaced, and maps of it stay valid. Without a folder it is a temporary file, which is deleted as
    soon as nothing refers to its map any more.

    Parameters
    ----------
    shape : tuple of int
        (gene, draw, P + 1) for draws, or (gene, draw).
    directory : Path or None
    name : str
        Of the file.
    writable : bool
        Whether changes of the map are to reach the file; by default it cannot be changed.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        directory: Path | None,
        name: str = DRAWS_FILE,
        *,
        writable: bool = False,
    ) -> None:
        self._shape, self._directory, self._name, self._writable = shape, directory, name, writable
        self._file: IO[bytes]
        if directory is None:
            self._file = tempfile.TemporaryFile(prefix="bayesde-")
        else:
            directory.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.NamedTemporaryFile(dir=directory, prefix=f".{name}.", delete=False)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._offset = self._file.tell()
        self._file.truncate(self._offset + 4 * math.prod(shape))

    def write(self, genes: np.ndarray, values: np.ndarray) -> None:
        """Write the values of some genes.

        Parameters
        ----------
        genes : ndarray of int (gene,)
            Which genes.
        values : ndarray (gene, ...)
        """
        size = 4 * math.prod(self._shape[1:])
        for gene, some in zip(genes.tolist(), np.ascontiguousarray(values, dtype="<f4"), strict=True):
            self._file.seek(self._offset + gene * size)
            self._file.write(some.data)

    def finished(self) -> np.memmap:
        """Return the values of all genes as a memory map."""
        self._file.flush()
        if self._directory is not None:
            os.replace(self._file.name, self._directory / self._name)
        mode: Literal["r+", "r"] = "r+" if self._writable else "r"
        values = np.memmap(self._file, "<f4", mode, self._offset, self._shape)
        self._file.close()
        return values

    def __enter__(self) -> DrawsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the file unless it was finished."""
        if not self._file.closed:
            self._file.close()
            if self._directory is not None:
                Path(self._file.name).unlink(missing_ok=True)


def is_mapped(values: np.ndarray | None) -> bool:
    """Return whether an array lies in a file.

    Parameters
    ----------
    values : ndarray or None
    """
    base: object = values
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    return base is not None


def copied_array(values: np.ndarray, directory: Path | None = None) -> np.ndarray:
    """Copy an array: one that lies in a file, into a file, some genes at a time.

    Parameters
    ----------
    values : ndarray (gene, draw, ...)
    directory : Path, optional
        Of the file, which has no name and goes away with the array; by default that for temporary files.

    Returns
    -------
    ndarray
        It can be changed. Not of the class memmap, by which files are known that have a name.

    Raises
    ------
    OSError
        If the disk is full.
    """
    if not is_mapped(values):
        return np.array(values)
    with tempfile.TemporaryFile(prefix="bayesde-", dir=directory) as file:
        for rows in chunks(values.shape):
            file.write(np.ascontiguousarray(values[rows]).data)
        file.flush()
        return np.asarray(np.memmap(file, values.dtype, "r+", shape=values.shape))
