"""Stopping in good order: Ctrl-C ends a run between blocks, and does not reach the sampler's processes.

A terminal sends Ctrl-C to every process of a command. A chain that it kills would look like a block that
cannot be sampled, so the work is done in a thread that blocks the signal, as do the processes that it starts.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["Stopper", "run_stoppable"]

Result = TypeVar("Result")

_PATIENCE = 0.2  # seconds between two looks at the keyboard


class Stopper:
    """A flag that the work looks at where it may stop."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def stop(self) -> None:
        """Ask the work to stop."""
        self._event.set()

    def check(self) -> None:
        """Stop here, if that was asked for.

        Raises
        ------
        KeyboardInterrupt
        """
        if self._event.is_set():
            raise KeyboardInterrupt


def run_stoppable(work: Callable[[Stopper], Result], said: Callable[[], None]) -> Result:
    """Do work that ends at its next `Stopper.check` after Ctrl-C.

    Parameters
    ----------
    work : callable
        Called in another thread, with a `Stopper`.
    said : callable
        Called at Ctrl-C, to tell the user that what is under way is being finished.

    Returns
    -------
    object
        What the work returned.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, once the work has stopped.
    """
    stopper = Stopper()
    with ThreadPoolExecutor(max_workers=1, initializer=_block_interrupts) as pool:
        future = pool.submit(work, stopper)
        try:
            return _result(future)
        except KeyboardInterrupt:
            stopper.stop()
            said()
            future.exception()
            raise


def _result(future: Future[Result]) -> Result:
    """Wait, with pauses in which a signal can be noticed on every platform."""
    while True:
        try:
            return future.result(timeout=_PATIENCE)
        except TimeoutError:
            if future.done():
                return future.result()


def _block_interrupts() -> None:
    """Keep Ctrl-C from this thread and from the processes that it starts, where the platform can."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
