"""Carrying out a plan from the command line: progress while it runs, and a summary at the end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bayesde.cli.arguments import Chosen
    from bayesde.runs import AnalysesOutcome, RunPlan
    from bayesde.runs.execution import Machine, RunOutcome
    from bayesde.workers.progress import BlockCount, Progress

__all__ = [
    "carry_out",
    "finish",
    "finish_analyses",
    "machine",
    "resumable",
    "run_plan",
    "shown_progress",
]

NOT_ALL_DONE = 1
"""Exit code if one of several analyses could not be done."""
FAILED_GENES = 3
"""Exit code of a run that finished with genes that failed a check."""
TERMINATED, INTERRUPTED = 4, 130
"""Exit codes of a run that was stopped by SIGTERM, or by Ctrl-C, and can be resumed."""


def carry_out(command: str, chosen: Chosen) -> None:
    """Plan a run and carry it out, with a progress bar on a terminal, and print what was found.

    Parameters
    ----------
    command : {"eb", "sample"}
    chosen : dict of dict
        The options of the command.
    """
    from bayesde.cli.planning import build_plan

    plan, out = build_plan(command, chosen), chosen["run"]["out"]
    force = bool(chosen["run"].get("force"))
    where = machine(chosen)
    if isinstance(plan, dict):
        from bayesde.runs import run_analyses

        with shown_progress() as progress, resumable(out):
            done = run_analyses(plan, out, force=force, progress=progress, **where)
        finish_analyses(done)
        return
    with shown_progress() as progress:
        outcome = run_plan(plan, out, force=force, machine=where, progress=progress)
    finish(outcome)


def run_plan(plan: RunPlan, out: Path, *, force: bool, machine: Machine, progress: Progress) -> RunOutcome:
    """Run a plan; tell the user how to resume it if it is interrupted.

    Parameters
    ----------
    plan : RunPlan
    out : pathlib.Path
        The folder.
    force : bool
        Whether an earlier run in it is replaced.
    machine : dict
        Where it samples.
    progress : callable

    Returns
    -------
    RunOutcome

    Raises
    ------
    KeyboardInterrupt, typer.Exit
        See `resumable`.
    """
    # Loaded first: deep inside other imports, CPython 3.11 needs 0.15 s more for it (it then asks the system
    # for memory at every call of a function).
    import numba  # noqa: F401

    from bayesde.runs import run

    with resumable(out):
        return run(plan, out, force=force, progress=progress, **machine)


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Tell the user how to go on with a run that is interrupted, and end as the signal asks for.

    Parameters
    ----------
    folder : pathlib.Path
        Of the run.

    Raises
    ------
    KeyboardInterrupt
        If the user interrupts it.
    typer.Exit
        After SIGTERM.
    """
    from bayesde.runs.watching.interruption import (
        StoppedAtOnce,
        Terminated,
        kill_started_processes,
        terminable,
    )

    try:
        with terminable():
            yield
    except StoppedAtOnce:
        _say_how_to_resume(folder)
        kill_started_processes()  # which would be waited for
        os._exit(INTERRUPTED)
    except Terminated:
        _say_how_to_resume(folder)
        raise typer.Exit(TERMINATED) from None
    except KeyboardInterrupt:
        _say_how_to_resume(folder)
        raise


def _say_how_to_resume(folder: Path) -> None:
    """Say how the run is resumed, if it has come so far."""
    begun = (folder / "run.json").exists()
    typer.echo(f"\nStopped. To resume: bayesde resume {folder}" if begun else "\nStopped.", err=True)
    sys.stderr.flush()


def machine(chosen: Chosen) -> Machine:
    """Return where a run samples: as was chosen, and by as many processes as there are cores otherwise.

    Parameters
    ----------
    chosen : dict of dict

    Returns
    -------
    dict
    """
    own = chosen["machine"]
    found: Machine = {"workers": int(own.get("workers") or _cores())}
    if own.get("scheduler"):
        found |= {"scheduler": own["scheduler"], "shared_folder": own.get("shared_folder", True)}
    return found


def finish(outcome: RunOutcome, *, exit_code: int = FAILED_GENES) -> None:
    """Print what was found and where the results are; exit with a code of its own if genes failed a check.

    Parameters
    ----------
    outcome : RunOutcome
    exit_code : int
        If genes failed a check.

    Raises
    ------
    typer.Exit
        If genes failed a check.
    """
    _tell(outcome)
    if outcome.n_failed:
        raise typer.Exit(exit_code)


def finish_analyses(outcome: AnalysesOutcome) -> None:
    """Print what several analyses found and where that is.

    Parameters
    ----------
    outcome : AnalysesOutcome

    Raises
    ------
    typer.Exit
        If an analysis could not be done, or genes failed a check.
    """
    for name, one in outcome.outcomes.items():
        typer.echo(f"{name}:", err=True)
        _tell(one)
    typer.echo(f"the report on all analyses is {outcome.report}")
    for name, text in outcome.errors.items():
        typer.echo(f"error: analysis '{name}': {text}", err=True)
    if outcome.errors or outcome.n_failed:
        raise typer.Exit(NOT_ALL_DONE if outcome.errors else FAILED_GENES)


def _tell(outcome: RunOutcome) -> None:
    """Print what a run found and where its table is."""
    for note in outcome.notes:
        typer.echo(note, err=True)
    genes = "1 gene" if len(outcome.table) == 1 else f"{len(outcome.table):,} genes"
    typer.echo(f"{genes} in {outcome.directory / 'results.tsv'}")
    if outcome.n_failed:
        typer.echo(f"{outcome.n_failed} gene(s) failed a check; see the column 'status'.", err=True)


def _cores() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Show a progress bar on a terminal; elsewhere one line as each long step begins."""
    if not sys.stderr.isatty():
        yield _say_once()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("reading", total=None)
        yield _Bar(
            lambda done, total, text: bars.update(task, completed=done, total=total or None, description=text)
        )


class _Bar:
    """Shows units of work, and of blocks also how fast genes are sampled and how many failed.

    Parameters
    ----------
    show : callable
        Given (units done, units, text).
    """

    def __init__(self, show: Progress) -> None:
        self._show = show
        self._text, self._begun = "", 0.0

    def __call__(self, done: int, total: int, message: str) -> None:
        """Show units of work."""
        self._show(done, total, message)

    def blocks(self, count: BlockCount, text: str) -> None:
        """Show blocks.

        Parameters
        ----------
        count : BlockCount
        text : str
        """
        if text != self._text:  # of another run
            self._text, self._begun = text, time.monotonic()
        sampled, seconds = count.genes_done - count.genes_found, time.monotonic() - self._begun
        rate = f", {sampled / seconds:.3g} per second" if sampled > 0 and seconds > 0.0 else ""
        self._show(
            count.done, count.total, text + rate + (f", {count.failed} failed" if count.failed else "")
        )


def _say_once() -> Progress:
    """Make what prints each message when it is first heard."""
    said: set[str] = set()

    def say(done: int, total: int, message: str) -> None:
        if message not in said and (done < total or not total):
            said.add(message)
            typer.echo(message, err=True)

    return say
