"""Blocks of genes on the workers of a Dask cluster.

What a worker gets is a task with all of its data, so that it needs nothing but the same package; what it
computes depends on the task alone. Dask gives the tasks of a worker that is lost to others. A worker writes
its block into the folder of the run, if it can reach that, or sends it back to be written there.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import bayesde
from bayesde.errors import ClusterError, OptionError, ToolchainError
from bayesde.numerics.threads import one_thread
from bayesde.posterior.storage.block_folders import Block, BlockResult, read_finished, write_block
from bayesde.posterior.storage.tasks import Task

__all__ = ["ClusterPool"]

FEWEST, MOST = 8, 512
"""Tasks that are given to the scheduler at a time, whatever the number of workers: also while there are none
yet; and so many that their data do not fill this process's memory."""
TASKS_PER_THREAD = 2
"""So that a worker has the next task when it has finished one."""
CONNECTING = 30.0  # seconds
PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds before looks for a block that a worker has written: network file systems may show it later."""


class ClusterPool:
    """The workers of a Dask cluster.

    Parameters
    ----------
    scheduler : str or distributed.Client
        The address of the scheduler, such as ``"tcp://host:8786"``, or a client of it.
    shared_folder : bool
        Whether workers write finished blocks into the folder of the run; otherwise they send them back.

    Raises
    ------
    OptionError
        If Dask is not installed, or no scheduler answers.
    """

    elsewhere = True
    threads = MOST

    def __init__(self, scheduler: Any, shared_folder: bool = True) -> None:
        self._own = isinstance(scheduler, str)
        self._client = _connected(scheduler) if self._own else scheduler
        self._shared = shared_folder

    @property
    def at_once(self) -> int:
        """Tasks that are given to the scheduler at a time."""
        return min(MOST, max(FEWEST, TASKS_PER_THREAD * sum(self._client.nthreads().values())))

    def carry_out(self, block: Block, task: Task, directory: Path | None) -> BlockResult:
        """Have a worker carry out a task.

        Parameters
        ----------
        block : Block
        task : Task
            Of the block or of a part of it.
        directory : Path or None
            The folder of blocks, of a whole block.

        Returns
        -------
        BlockResult

        Raises
        ------
        ClusterError
            If the scheduler is lost, or the block that a worker has written cannot be found.
        """
        folder = None
        if self._shared and directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            folder = str(directory.absolute())
        result: BlockResult | None = self.call(_carried_out, task, block.key, folder, bayesde.__version__)
        return result if result is not None else _written(Path(folder or ""), block.key)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Have a worker call a function, and wait for what it returns.

        Parameters
        ----------
        function : callable
        *arguments

        Returns
        -------
        object

        Raises
        ------
        ClusterError
            If the scheduler is lost.
        """
        from concurrent.futures import CancelledError

        try:
            with warnings.catch_warnings():  # that the data of a task are large
                warnings.simplefilter("ignore")
                future = self._client.submit(function, *arguments, pure=False)
            return future.result()
        except (CancelledError, OSError) as error:
            if self._client.status == "running":
                raise
            raise ClusterError(
                "the connection to the scheduler was lost. Finished blocks are kept: start the scheduler "
                "again, and resume the run with its address (--scheduler)."
            ) from error

    def close(self) -> None:
        """Close the connection, if it was made here."""
        if self._own:
            with suppress(OSError, TimeoutError):
                self._client.close(timeout=5.0)


def _connected(address: str) -> Any:
    """Connect to a scheduler."""
    try:
        from distributed import Client
    except ImportError:
        raise OptionError(
            "scheduler: Dask is not installed; install it with: pip install 'bayesde[dask]'."
        ) from None
    try:
        return Client(address, timeout=CONNECTING, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise OptionError(
            f"scheduler: no Dask scheduler answers at {address!r} ({error}); give the address that "
            "'dask scheduler' prints, such as tcp://host:8786."
        ) from None


def _carried_out(task: Task, key: str, folder: str | None, version: str) -> BlockResult | None:
    """Carry out a task, on a worker: by one thread, as workers have as many tasks as threads."""
    if version != bayesde.__version__:
        raise ToolchainError(
            f"a worker has bayesde {bayesde.__version__}, and the run {version}: the same must be installed "
            "everywhere."
        )
    with one_thread():
        result = task.run()
    if folder is None or not Path(folder).is_dir():  # this machine does not share the folder
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
