"""A first run: what is compiled for this processor, by several processes at a time, and said at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from numba.core.dispatcher import Dispatcher

from bayesde.batch.plan import RunPlan

__all__ = ["Ready", "compiled_ahead", "is_cold"]

Progress = Callable[[int, int, str], None]

MESSAGE = "compiling for this processor, once: about a minute"
POINT_ESTIMATES, SAMPLING = "bayesde.eb.irls", "bayesde.posterior.importance.components"
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
        return bool(own) and not any(_is_cached(loop) for loop in own)
    except (AttributeError, LookupError, OSError):  # another numba, which keeps its cache in another way
        return False


def _is_cached(loop: Any) -> bool:
    target = loop.targetctx.codegen().magic_tuple()
    return any(key[1] == target for key in loop._cache._cache_file._load_index())


@contextmanager
def compiled_ahead(plan: RunPlan, progress: Progress | None) -> Iterator[Ready]:
    """On a first run, say so, and start processes that compile what sampling needs.

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
    sampling = plan.command == "sample" and plan.sample.engine == "psis"
    cold = sampling and is_cold(SAMPLING)
    if progress and (cold or is_cold(POINT_ESTIMATES)):
        progress(0, 0, MESSAGE)
    running = [_start(part) for part in _parts()] if cold and (os.cpu_count() or 1) > 1 else []
    try:
        yield Ready(tuple(running))
    finally:
        for process in running:
            process.kill()
            process.wait()


def _parts() -> list[str]:
    from bayesde.posterior.warm_up import PARTS  # what samples nothing does without

    return list(PARTS)


def _start(part: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bayesde.posterior.warm_up", part]
    silent = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent)
