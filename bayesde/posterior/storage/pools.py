"""Where tasks are carried out: in this process (which may start others), or by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from bayesde.posterior.storage.block_folders import Block, BlockResult
from bayesde.posterior.storage.tasks import Task

__all__ = ["LocalPool", "Pool", "pool_of"]


class Pool(Protocol):
    """Where tasks are carried out."""

    @property
    def elsewhere(self) -> bool:
        """Whether tasks are carried out by other processes than this one and those that it starts."""

    @property
    def at_once(self) -> int:
        """How many tasks it is worth giving it at a time."""

    @property
    def threads(self) -> int:
        """How many threads of this process wait for tasks, at the most."""

    def carry_out(self, block: Block, task: Task, directory: Path | None) -> BlockResult:
        """Carry out a task and wait for its result.

        Parameters
        ----------
        block : Block
        task : Task
            Of the block or of a part of it.
        directory : Path or None
            The folder of blocks, where the result may be written at once; None for a part, or without one.

        Returns
        -------
        BlockResult
        """

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function there, and return what it returns.

        Parameters
        ----------
        function : callable
        *arguments

        Returns
        -------
        object
        """

    def close(self) -> None:
        """Give up what was opened for the pool."""


class LocalPool:
    """Carries out tasks in this process.

    Parameters
    ----------
    workers : int
        Tasks at a time.
    """

    elsewhere = False

    def __init__(self, workers: int = 1) -> None:
        self.threads = workers
        self.at_once = 2 * workers

    def carry_out(self, block: Block, task: Task, directory: Path | None) -> BlockResult:
        """Carry out a task.

        Parameters
        ----------
        block : Block
        task : Task
        directory : Path or None
            Not used.

        Returns
        -------
        BlockResult
        """
        return task.run()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function.

        Parameters
        ----------
        function : callable
        *arguments

        Returns
        -------
        object
        """
        return function(*arguments)

    def close(self) -> None:
        """Do nothing."""


def pool_of(scheduler: Any, shared_folder: bool, workers: int) -> Pool:
    """Return where tasks are to be carried out.

    Parameters
    ----------
    scheduler : str, distributed.Client or None
        Of a Dask cluster; None for this process.
    shared_folder : bool
        Whether the workers of the cluster write into the folder of the run.
    workers : int
        Tasks at a time in this process.

    Returns
    -------
    Pool
    """
    if scheduler is None:
        return LocalPool(workers)
    from bayesde.posterior.storage.cluster import ClusterPool  # what needs no cluster does not load it

    return ClusterPool(scheduler, shared_folder)
