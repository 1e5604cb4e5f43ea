"""Finished blocks of genes, each in a folder that is named by its key.

A key is a hash of everything that the draws of the block depend on, so a block that is found under its key
need not be sampled again, by whatever process, machine or run it was written.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayesde.posterior.storage.files import DamagedFolder, check_folder, is_complete, save_array, write_folder

__all__ = [
    "n_found",
    "LARGEST_SEED",
    "Block",
    "BlockResult",
    "is_finished",
    "read_block",
    "read_finished",
    "write_block",
]

REPORT = "block.json"
LARGEST_SEED = 2**31 - 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Block:
    """Genes that are sampled together.

    Attributes
    ----------
    rows : ndarray of int (gene,)
        Which genes of the model.
    key : str
        Hash of everything that the draws depend on.
    """

    rows: np.ndarray
    key: str

    @property
    def seed(self) -> int:
        """Seed of the block's chains and of their starts, where it has chains."""
        return int(self.key[:15], 16) % LARGEST_SEED + 1


@dataclass(frozen=True, eq=False)
class BlockResult:
    """The result of sampling a block.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Draws and what belongs to them.
    report : dict of str to list (gene,)
        Diagnostics; or other plain values, of a unit of work that is not of genes.
    """

    arrays: Mapping[str, np.ndarray]
    report: Mapping[str, Any]


def is_finished(directory: Path, key: str) -> bool:
    """Return whether a block's folder is there and complete.

    Parameters
    ----------
    directory : Path
        The folder of all blocks.
    key : str
        The block's key.

    Returns
    -------
    bool
    """
    return is_complete(directory / key)


def n_found(directory: Path | None, plan: Iterable[Block]) -> int:
    """Return how many genes are in blocks that are finished.

    Parameters
    ----------
    directory : Path or None
        The folder of all blocks, if there is one.
    plan : iterable of Block

    Returns
    -------
    int
    """
    if directory is None:
        return 0
    return sum(block.rows.size for block in plan if is_finished(directory, block.key))


def write_block(directory: Path, key: str, result: BlockResult) -> None:
    """Write a block into a temporary folder, rename that to its key, and mark it finished.

    Parameters
    ----------
    directory : Path
        The folder of all blocks; made if need be.
    key : str
        The block's key.
    result : BlockResult
    """

    def fill(scratch: Path) -> None:
        for name, values in result.arrays.items():
            save_array(scratch / f"{name}.npy", values)
        (scratch / REPORT).write_text(json.dumps(dict(result.report)) + "\n", encoding="utf-8")

    write_folder(directory / key, fill)


def read_block(directory: Path, key: str) -> BlockResult:
    """Read a finished block.

    Parameters
    ----------
    directory : Path
        The folder of all blocks.
    key : str
        The block's key.

    Returns
    -------
    BlockResult

    Raises
    ------
    DamagedFolder
        If its files are not what was written.
    """
    folder = directory / key
    check_folder(folder)
    try:
        arrays = {file.stem: np.load(file) for file in sorted(folder.glob("*.npy"))}
        return BlockResult(arrays, json.loads((folder / REPORT).read_text(encoding="utf-8")))
    except (OSError, ValueError, EOFError) as error:
        raise DamagedFolder(f"'{folder}' cannot be read ({error})") from None


def read_finished(directory: Path | None, key: str) -> BlockResult | None:
    """Read a block if it is finished; one that has been damaged is removed, with a warning in the log.

    Parameters
    ----------
    directory : Path or None
        The folder of all blocks, if there is one.
    key : str
        The block's key.

    Returns
    -------
    BlockResult or None
        None if the block is to be sampled.
    """
    if directory is None or not is_finished(directory, key):
        return None
    try:
        return read_block(directory, key)
    except DamagedFolder as damage:
        logger.warning("a finished block is damaged and is sampled again: %s", damage)
        shutil.rmtree(directory / key, ignore_errors=True)
        return None
