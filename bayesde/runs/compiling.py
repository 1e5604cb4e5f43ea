"""A first run: what is compiled for this processor, by several processes at a time, and said at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

from numba.core.dispatcher import Dispatcher

from bayesde.numerics.compiled import is_cached
from bayesde.posterior.progress import Progress
from bayesde.runs.plan import RunPlan

__all__ = ["Ready", "compiled_ahead", "is_cold"]

MESSAGES = {
    "eb": "compiling for this processor, once: about 20 seconds",
    "sample": "compiling for this processor, once: about a minute",
}
POINT_ESTIMATES, SAMPLING = "bayesde.eb.regression.irls", "bayesde.posterior.proposal.components"
"""Modules whose compiled loops stand for those of all."""


@dataclass(frozen=True)
class Ready:
    """Processes that compile."""

    running: tuple[subprocess.Popen[bytes], ...] = ()

    @property
    def any(self) -> bool:
        """Whether there are some."""
        return bool(self.running)

    def wait(self) -> None:
        """Wait until all have ended."""
        for process in self.running:
            process.wait()


def is_cold(module: str) -> bool:
    """Tell whether numba's cache has nothing of a module for this processor.

    Parameters
    ----------
    module : str

    Returns
    -------
    bool
        False, too, if it cannot be told: then what is missing is compiled where it is first called.
    """
    loops = [value for value in vars(import_module(module)).values() if isinstance(value, Dispatcher)]
    own = [loop for loop in loops if loop.py_func.__module__ == module]
    try:
        return bool(own) and not any(is_cached(loop) for loop in own)
    except (AttributeError, LookupError, OSError):  # another numba, which keeps its cache in another way
        return False


@contextmanager
def compiled_ahead(plan: RunPlan, progress: Progress | None) -> Iterator[Ready]:
    """On a first run, say so, and start processes that compile what it comes to last.

    Parameters
    ----------
    plan : RunPlan
    progress : callable, optional
        Told if something has to be compiled.

    Yields
    ------
    Ready
        These processes, which end with the block, whatever they have come to; what they have not compiled is
        compiled where it is called.
    """
    commands = _commands(plan)
    if progress and commands:
        progress(0, 0, MESSAGES["sample" if len(commands) > 1 else "eb"])
    running = [_start(*command) for command in commands] if (os.cpu_count() or 1) > 1 else []
    try:
        yield Ready(tuple(running))
    finally:
        for process in running:
            process.kill()
            process.wait()


def _commands(plan: RunPlan) -> list[tuple[str, ...]]:
    """Name modules, with their arguments, that compile what a run needs and the cache has not."""
    commands: list[tuple[str, ...]] = [("bayesde.eb.warm_up",)] if is_cold(POINT_ESTIMATES) else []
    if plan.command == "sample" and plan.sample.engine == "psis" and is_cold(SAMPLING):
        from bayesde.posterior.warm_up import PARTS  # what samples nothing does without

        commands += [("bayesde.posterior.warm_up", part) for part in PARTS]
    return commands


def _start(*command: str) -> subprocess.Popen[bytes]:
    silent = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", *command], stdin=silent, stdout=silent, stderr=silent)
