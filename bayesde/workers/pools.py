"""Where functions are called: in this process (which may start others), or by the workers of a cluster."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from bayesde.errors import ClusterError, InputError, OptionError, ToolchainError

__all__ = ["LocalPool", "Pool", "in_order", "pool_of", "scheduler_or_address"]

AT_ONCE = 64
"""Calls of `in_order` under way at the most, so that their data do not fill the memory of this process."""

logger = logging.getLogger(__name__)


class Pool(Protocol):
    """Where functions are called."""

    @property
    def elsewhere(self) -> bool:
        """Whether they are called by other processes than this one and those that it starts."""

    @property
    def shared_folder(self) -> bool:
        """Whether these processes may write into folders of this one."""

    @property
    def at_once(self) -> int:
        """How many calls it is worth giving it at a time."""

    @property
    def threads(self) -> int:
        """How many threads of this process wait for results, at the most."""

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
    """Calls functions in this process.

    Parameters
    ----------
    workers : int
        Calls at a time.
    """

    elsewhere = False
    shared_folder = True

    def __init__(self, workers: int = 1) -> None:
        self.threads = workers
        self.at_once = 2 * workers

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


def in_order(pool: Pool, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Call a function for each of several tuples of arguments, and yield what it returns, in their order.

    Workers elsewhere have several calls at a time. What fails there twice is computed here.

    Parameters
    ----------
    pool : Pool
    function : callable
        A function of a module, of its arguments alone, if the pool is elsewhere.
    calls : iterable of tuple
        Is asked for the next arguments when their turn comes, by this thread.

    Yields
    ------
    object
    """
    if not pool.elsewhere:
        yield from (function(*arguments) for arguments in calls)
        return
    with ThreadPoolExecutor(max_workers=AT_ONCE) as threads:
        pending: deque[Future[Any]] = deque()
        try:
            for arguments in calls:
                while len(pending) >= min(AT_ONCE, pool.at_once):
                    yield pending.popleft().result()
                pending.append(threads.submit(_called, pool, function, arguments))
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _called(pool: Pool, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call a function elsewhere, once more if that fails, and then here."""
    for _ in range(2):
        try:
            return pool.call(function, *arguments)
        except (ClusterError, InputError, ToolchainError):
            raise
        except Exception as problem:
            logger.warning("a worker failed: %r", problem)
    return function(*arguments)


def scheduler_or_address(name: str, value: Any) -> Any:
    """Refuse what is neither an address nor a client of a scheduler.

    Parameters
    ----------
    name : str
        Of the argument or option, for the message.
    value : object

    Returns
    -------
    object
        The value.

    Raises
    ------
    OptionError
    """
    if isinstance(value, str) or hasattr(value, "submit"):
        return value
    raise OptionError(
        f"{name} must be the address of a Dask scheduler or a distributed.Client; got {value!r}."
    )


def pool_of(scheduler: Any, shared_folder: bool = True, workers: int = 1) -> Pool:
    """Return where functions are to be called.

    Parameters
    ----------
    scheduler : str, distributed.Client or None
        Of a Dask cluster; None for this process.
    shared_folder : bool
        Whether the workers of the cluster write into the folder of the run.
    workers : int
        Calls at a time in this process.

    Returns
    -------
    Pool

    Raises
    ------
    OptionError
        If the scheduler is neither an address nor a client, or does not answer.
    """
    if scheduler is None:
        return LocalPool(workers)
    from bayesde.workers.cluster import ClusterPool  # what needs no cluster does not load it

    return ClusterPool(scheduler_or_address("scheduler", scheduler), shared_folder)
