"""A block of genes is sampled where a pool says, and written there, if the folder of the run can be reached.

A worker of a cluster writes its block into the folder of the run, or sends it back to be written there.
"""

from __future__ import annotations

import time
from pathlib import Path

from bayesde.errors import ClusterError
from bayesde.posterior.storage.block_folders import Block, BlockResult, read_finished, write_block
from bayesde.posterior.storage.tasks import Task
from bayesde.workers.pools import Pool

__all__ = ["carry_out"]

PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds before looks for a block that a worker has written: network file systems may show it later."""


def carry_out(pool: Pool, block: Block, task: Task, directory: Path | None) -> BlockResult:
    """Carry out a task and wait for its result.

    Parameters
    ----------
    pool : Pool
    block : Block
    task : Task
        Of the block or of a part of it.
    directory : Path or None
        The folder of blocks, where a worker may write the result at once; None for a part, or without one.

    Returns
    -------
    BlockResult

    Raises
    ------
    ClusterError
        If the block that a worker has written cannot be found.
    """
    folder = None
    if pool.elsewhere and pool.shared_folder and directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        folder = str(directory.absolute())
    result: BlockResult | None = pool.call(_carried_out, task, block.key, folder)
    return result if result is not None else _written(Path(folder or ""), block.key)


def _carried_out(task: Task, key: str, folder: str | None) -> BlockResult | None:
    """Carry out a task, and write the result into a folder, if this machine has it; return it otherwise."""
    result = task.run()
    if folder is None or not Path(folder).is_dir():
        return result
    write_block(Path(folder), key, result)
    return None


def _written(directory: Path, key: str) -> BlockResult:
    """Read a block that a worker has written."""
    for pause in PAUSES:
        time.sleep(pause)
        if (result := read_finished(directory, key)) is not None:
            return result
    raise ClusterError(
        f"the workers have written a block that is not in '{directory}' here: they do not share this folder. "
        "Resume the run with --no-shared-folder (from Python: shared_folder=False)."
    )
