"""Functions called by the workers of a Dask cluster.

What a worker gets is a function with all of its data, so that it needs nothing but the same package; what it
computes depends on these alone. Dask gives the calls of a worker that is lost to others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import bayesde
from bayesde.errors import ClusterError, OptionError, ToolchainError
from bayesde.numerics.threads import one_thread

__all__ = ["ClusterPool"]

FEWEST, MOST = 8, 512
"""Calls that are given to the scheduler at a time, whatever the number of workers: also while there are none
yet; and so many that their data do not fill this process's memory."""
CALLS_PER_THREAD = 2
"""So that a worker has the next call when it has finished one."""
CONNECTING = 30.0  # seconds


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
        self.shared_folder = shared_folder

    @property
    def at_once(self) -> int:
        """Calls that are given to the scheduler at a time."""
        return min(MOST, max(FEWEST, CALLS_PER_THREAD * sum(self._client.nthreads().values())))

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
        ToolchainError
            If a worker has another version of the package.
        """
        from concurrent.futures import CancelledError

        try:
            with warnings.catch_warnings():  # that the arguments are large
                warnings.simplefilter("ignore")
                future = self._client.submit(_called, bayesde.__version__, function, *arguments, pure=False)
            return future.result()
        except (CancelledError, OSError) as error:
            if self._client.status == "running":
                raise
            raise ClusterError(
                "the connection to the scheduler was lost: start the scheduler again, and resume the run "
                "with its address (--scheduler). Blocks in the folder of the run are kept."
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


def _called(version: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, on a worker: by one thread, as workers have as many calls as threads."""
    if version != bayesde.__version__:
        raise ToolchainError(
            f"a worker has bayesde {bayesde.__version__}, and the run {version}: the same must be installed "
            "everywhere."
        )
    with one_thread():
        return function(*arguments)
