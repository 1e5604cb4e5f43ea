"""Orderly interruption: Ctrl-C ends a run between blocks, and does not reach the sampler's processes.

A terminal sends Ctrl-C to every process of a command. A chain that it kills would look like a block that
cannot be sampled, so the work is done in a thread that blocks the signal, as do the processes that it starts.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["Stopper", "run_interruptible"]

Result = TypeVar("Result")

_PATIENCE = 0.2  # seconds after which a signal is noticed


class Stopper:
    """A flag that the work checks wherever it may stop."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def stop(self) -> None:
        """Ask the work to stop."""
        self._event.set()

    def check(self) -> None:
        """Stop here if that was requested.

        Raises
        ------
        KeyboardInterrupt
        """
        if self._event.is_set():
            raise KeyboardInterrupt


def run_interruptible(work: Callable[[Stopper], Result], stopping: Callable[[], None]) -> Result:
    """Do work that ends at its next `Stopper.check` after Ctrl-C.

    Parameters
    ----------
    work : callable
        Called in another thread, with a `Stopper`.
    stopping : callable
        Called at Ctrl-C, to tell the user that the current blocks are being finished.

    Returns
    -------
    object
        What `work` returned.

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
            stopping()
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
