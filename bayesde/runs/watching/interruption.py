"""Orderly interruption: a signal ends a run between blocks, and does not reach the sampler's processes.

A terminal sends Ctrl-C, and a scheduler SIGTERM at the end of the time that a job was granted, to every
process of a command. A chain that it kills would look like a block that cannot be sampled, so the work is
done in a thread that blocks both signals, as do the processes that it starts. The first signal lets the
blocks under way come to their end; a second Ctrl-C stops at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import TypeVar

__all__ = [
    "StoppedAtOnce",
    "Stopper",
    "Terminated",
    "kill_started_processes",
    "run_interruptible",
    "terminable",
]

Result = TypeVar("Result")

_PATIENCE = 0.2  # seconds after which a signal is noticed


class Terminated(KeyboardInterrupt):
    """The process was asked to end, by SIGTERM."""


class StoppedAtOnce(KeyboardInterrupt):
    """A second Ctrl-C: work is still going on in another thread."""


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


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Turn the first SIGTERM into `Terminated`, in the main thread, unless the program handles it already."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    begun = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal begun
        if not begun:  # schedulers send it more than once
            begun = True
            raise Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def run_interruptible(work: Callable[[Stopper], Result], stopping: Callable[[], None]) -> Result:
    """Do work that ends at its next `Stopper.check` after Ctrl-C or, inside `terminable`, SIGTERM.

    Parameters
    ----------
    work : callable
        Called in another thread, with a `Stopper`.
    stopping : callable
        Called at the first signal, to tell the user that the current blocks are being finished.

    Returns
    -------
    object
        What `work` returned.

    Raises
    ------
    KeyboardInterrupt
        After a signal, once the work has stopped.
    StoppedAtOnce
        After a second Ctrl-C, without waiting for the work.
    """
    stopper, future = Stopper(), Future[Result]()
    thread = threading.Thread(target=_fill, args=(future, work, stopper))
    try:
        thread.start()
        return _result(future)
    except KeyboardInterrupt:
        stopper.stop()
        if thread.ident is None:  # it had not begun
            raise
        try:
            stopping()
            _wait_for_end(future)
        except KeyboardInterrupt:
            raise StoppedAtOnce from None
        raise


def _fill(future: Future[Result], work: Callable[[Stopper], Result], stopper: Stopper) -> None:
    """Do the work, in a thread of its own, and hand over its result or exception."""
    _block_signals()
    try:
        future.set_result(work(stopper))
    except BaseException as problem:
        future.set_exception(problem)


def _result(future: Future[Result]) -> Result:
    """Wait, with pauses in which a signal can be noticed on every platform."""
    while True:
        try:
            return future.result(timeout=_PATIENCE)
        except TimeoutError:
            if future.done():
                return future.result()


def _wait_for_end(future: Future[Result]) -> None:
    """Wait for work that was asked to stop; SIGTERM after Ctrl-C changes nothing."""
    while not future.done():
        with contextlib.suppress(TimeoutError, Terminated):
            future.exception(timeout=_PATIENCE)


def _block_signals() -> None:
    """Keep signals from this thread and from the processes that it starts, where the platform can."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})


def kill_started_processes() -> None:
    """End the processes that this one has started, such as Stan's chains."""
    for child in _children():
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


def _children() -> list[int]:
    """Return the ids of the processes that this one has started."""
    listed = list(Path("/proc/self/task").glob("*/children"))
    if listed:
        return [int(number) for file in listed for number in file.read_text().split()]
    try:
        shown = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    pairs = (line.split() for line in shown.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == os.getpid()]
