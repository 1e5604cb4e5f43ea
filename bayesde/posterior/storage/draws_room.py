"""Arrays for the draws that hyperparameters are learnt from: in memory, or in a file without a name."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["DrawsRoom"]


@dataclass(frozen=True)
class DrawsRoom:
    """Where draws are made.

    Attributes
    ----------
    draws : int
        Draws of each gene that there is room for, if that is more than are made at first.
    in_file : bool
        Whether the array is a temporary file, so that the system may write it to the disk whenever memory is
        short; otherwise it is in memory.
    directory : Path or None
        Where the file is; by default in the system's folder for temporary files.
    """

    draws: int = 0
    in_file: bool = False
    directory: Path | None = None

    def made(self, n_genes: int, n_draws: int, size: int) -> np.ndarray:
        """Make the array.

        Parameters
        ----------
        n_genes : int
        n_draws : int
            Of every gene.
        size : int
            Numbers of a draw.

        Returns
        -------
        ndarray of float32 (gene, draw, size)
            Not set to anything.

        Raises
        ------
        OSError
            If the disk is full.
        """
        shape = (n_genes, max(n_draws, self.draws), size)
        if not self.in_file:
            return np.empty(shape, dtype=np.float32)
        if self.directory is not None:
            self.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix="bayesde-", dir=self.directory) as file:
            length = 4 * shape[0] * shape[1] * shape[2]
            if hasattr(os, "posix_fallocate"):  # a full disk is an error now, and no crash later
                os.posix_fallocate(file.fileno(), 0, length)
            return np.memmap(file, np.float32, "r+" if length else "w+", shape=shape)
