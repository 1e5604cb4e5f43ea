"""The first run on a machine: kernels are compiled by several processes, and the user is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

from numba.core.dispatcher import Dispatcher

from bayesde.design.random_effects import fixed_formula
from bayesde.numerics.compiled import is_cached
from bayesde.runs.plan import RunPlan
from bayesde.workers.progress import Progress

__all__ = ["Compilations", "compiled_ahead", "is_cold"]

MESSAGES = {
    "eb": "compiling for this processor, once: about 20 seconds",
    "sample": "compiling for this processor, once: about a minute",
}
POINT_ESTIMATES, SAMPLING = "bayesde.eb.regression.irls", "bayesde.posterior.proposal.components"
"""Modules whose kernels represent all of a step: if these are compiled, all are."""


@dataclass(frozen=True)
class Compilations:
    """Processes that compile kernels.

    Parameters
    ----------
    running : tuple of subprocess.Popen
    """

    running: tuple[subprocess.Popen[bytes], ...] = ()

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.running)

    def wait(self) -> None:
        """Wait until all have finished."""
        for process in self.running:
            process.wait()


def is_cold(module: str) -> bool:
    """Return whether numba's cache has no kernel of a module for this processor.

    Parameters
    ----------
    module : str

    Returns
    -------
    bool
        Also False if this cannot be determined; kernels are then compiled when they are first called.
    """
    loops = [value for value in vars(import_module(module)).values() if isinstance(value, Dispatcher)]
    own = [loop for loop in loops if loop.py_func.__module__ == module]
    try:
        return bool(own) and not any(is_cached(loop) for loop in own)
    except (AttributeError, LookupError, OSError):  # another numba, which keeps its cache in another way
        return False


@contextmanager
def compiled_ahead(plan: RunPlan, progress: Progress | None) -> Iterator[Compilations]:
    """On a first run, tell the user, and start processes that compile the kernels of the later steps.

    Parameters
    ----------
    plan : RunPlan
    progress : callable, optional
        Called if something has to be compiled.

    Yields
    ------
    Compilations
        The processes, which are ended with the context; kernels that they have not compiled by then are
        compiled when they are called.
    """
    commands = _commands(plan)
    if progress and commands:
        progress(0, 0, MESSAGES["sample" if len(commands) > 1 else "eb"])
    running = [_start(*command) for command in commands] if (os.cpu_count() or 1) > 1 else []
    try:
        yield Compilations(tuple(running))
    finally:
        for process in running:
            process.kill()
            process.wait()


def _commands(plan: RunPlan) -> list[tuple[str, ...]]:
    """Return the modules, with their arguments, that compile the kernels a run needs and the cache lacks."""
    commands: list[tuple[str, ...]] = [("bayesde.eb.warm_up",)] if is_cold(POINT_ESTIMATES) else []
    if _draws_weighted(plan) and is_cold(SAMPLING):
        from bayesde.posterior.warm_up import PARTS  # slow to load, and for sampling only

        commands += [("bayesde.posterior.warm_up", part) for part in PARTS]
    return commands


def _draws_weighted(plan: RunPlan) -> bool:
    """Tell whether a run makes weighted draws: engine psis, and whatever learns laws of random effects."""
    formula = plan.model.design
    sampled = plan.command == "sample" and plan.sample.engine == "psis"
    return sampled or (plan.command == "eb" and fixed_formula(formula) != formula)


def _start(*command: str) -> subprocess.Popen[bytes]:
    silent = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", *command], stdin=silent, stdout=silent, stderr=silent)
