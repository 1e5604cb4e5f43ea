"""A file to which draws are written block by block, and which becomes a memory map when all are there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

__all__ = ["DRAWS_FILE", "DrawsFile"]

DRAWS_FILE = "theta.npy"


class DrawsFile:
    """Draws of many genes, (gene, draw, P + 1) in single precision, of which few are in memory at a time.

    Written with ordinary writes, not through the map, so that the draws do not count as the process's memory
    while they are written. In a folder the file gets its name only when it is complete; an older file of that
    name is replaced, and maps of it stay valid. Without a folder it is a temporary file, which is deleted as
    soon as nothing refers to its map any more.

    Parameters
    ----------
    shape : tuple of int
        (gene, draw, P + 1).
    directory : Path or None
    """

    def __init__(self, shape: tuple[int, int, int], directory: Path | None) -> None:
        self._shape, self._directory = shape, directory
        self._file: IO[bytes]
        if directory is None:
            self._file = tempfile.TemporaryFile(prefix="bayesde-")
        else:
            directory.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.NamedTemporaryFile(dir=directory, prefix=f".{DRAWS_FILE}.", delete=False)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._offset = self._file.tell()
        self._file.truncate(self._offset + 4 * int(np.prod(shape)))

    def write(self, genes: np.ndarray, theta: np.ndarray) -> None:
        """Write the draws of some genes.

        Parameters
        ----------
        genes : ndarray of int (gene,)
            Which genes.
        theta : ndarray (gene, draw, P + 1)
        """
        size = 4 * self._shape[1] * self._shape[2]
        for gene, values in zip(genes.tolist(), np.ascontiguousarray(theta, dtype="<f4"), strict=True):
            self._file.seek(self._offset + gene * size)
            self._file.write(values.data)

    def finished(self) -> np.ndarray:
        """Return the draws of all genes as a read-only memory map."""
        self._file.flush()
        if self._directory is not None:
            os.replace(self._file.name, self._directory / DRAWS_FILE)
        draws = np.memmap(self._file, "<f4", "r", self._offset, self._shape)
        self._file.close()
        return draws

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
