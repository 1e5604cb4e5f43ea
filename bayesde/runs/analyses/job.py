"""Carrying out several analyses one after the other, and going on after an interruption.

Each analysis is an ordinary run in a folder of its own. All of them are checked before the first one starts;
those that are finished are not done again. One that the fit refuses does not keep the others from being done.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from bayesde.errors import BayesdeWarning, FitError, InputError, SamplerStopped
from bayesde.results import read_results
from bayesde.runs.analyses.directory import JobDirectory
from bayesde.runs.analyses.report import write_analyses_report
from bayesde.runs.directory import RunDirectory
from bayesde.runs.execution import Machine, RunOutcome, now, prepare, resume, run
from bayesde.runs.inputs import check_unchanged, file_hashes, load, plan_of
from bayesde.runs.plan import RunPlan, check_names
from bayesde.runs.reports.report import write_report
from bayesde.workers.progress import BlockCount, Progress, silent

__all__ = ["AnalysesOutcome", "NamedProgress", "resume_analyses", "run_analyses"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class AnalysesOutcome:
    """The results of several analyses.

    Attributes
    ----------
    directory : pathlib.Path
    outcomes : dict of str to RunOutcome
        Of each analysis that was done, by name.
    errors : dict of str to str
        Why the others could not be done.
    """

    directory: Path
    outcomes: dict[str, RunOutcome] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def report(self) -> Path:
        """The report on all of them."""
        return self.directory / "report.html"

    @property
    def n_failed(self) -> int:
        """Number of genes that failed a check, over all analyses."""
        return sum(outcome.n_failed for outcome in self.outcomes.values())


def run_analyses(
    plans: Mapping[str, RunPlan],
    path: str | Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
    **machine: Unpack[Machine],
) -> AnalysesOutcome:
    """Carry out several plans in a new folder, one after the other.

    The input of all of them is checked before anything is written.

    Parameters
    ----------
    plans : mapping of str to RunPlan
        By the names of the analyses, which are also those of their folders.
    path : path
        The folder of the job.
    force : bool
        Replace an earlier job there.
    progress : callable, optional
        Called with (units done, units, text).
    **machine
        As in `bayesde.runs.run`.

    Returns
    -------
    AnalysesOutcome

    Raises
    ------
    InputError
        If the input of an analysis, which the message names, or the folder cannot be used.
    ToolchainError
        If Stan is needed and cannot be had.
    """
    check_names(plans)
    if not plans:
        raise InputError("there is no analysis; give at least one.")
    directory = JobDirectory(path)
    directory.check_free(force)
    for name, plan in plans.items():
        RunDirectory(directory.analysis(name)).check_free(force)
        with _named(name):
            load(plan)
        prepare(plan, progress)
    entries = {
        name: {"plan": plan.to_dict(), "inputs": file_hashes(plan, directory.analysis(name))}
        for name, plan in plans.items()
    }
    directory.create()
    with directory.locked():
        directory.update(state="running", analyses=entries, errors={}, started=now())
        return _carry_out(plans, directory, machine, progress or silent)


def resume_analyses(
    path: str | Path, *, progress: Progress | None = None, **machine: Unpack[Machine]
) -> AnalysesOutcome:
    """Go on with several analyses; what is finished is not done again.

    Parameters
    ----------
    path : path
        The folder of the job.
    progress : callable, optional
        As in `run_analyses`.
    **machine
        As in `run_analyses`.

    Returns
    -------
    AnalysesOutcome

    Raises
    ------
    InputError
        If there is no job, another process is working on it, or an input file has changed since.
    """
    directory = JobDirectory(path)
    record = directory.read()
    if record.get("state") == "finished":
        return _finished(directory, record)
    plans = {name: plan_of(entry, directory.analysis(name)) for name, entry in record["analyses"].items()}
    for name, plan in plans.items():
        if not _is_finished(directory.analysis(name)):
            with _named(name):
                check_unchanged(record["analyses"][name]["inputs"], file_hashes(plan))
    with directory.locked():
        if (record := directory.read()).get("state") == "finished":  # by another process, in the meantime
            return _finished(directory, record)
        directory.update(state="running", errors={}, resumed=now())
        return _carry_out(plans, directory, machine, progress or silent)


def _carry_out(
    plans: Mapping[str, RunPlan], directory: JobDirectory, machine: Machine, progress: Progress
) -> AnalysesOutcome:
    """Do the analyses that are left, write the reports, and record how the job ended."""
    done = AnalysesOutcome(directory.path)
    try:
        for number, (name, plan) in enumerate(plans.items(), 1):
            told = NamedProgress(f"{name} ({number} of {len(plans)})", progress)
            try:
                done.outcomes[name] = _one(plan, directory.analysis(name), told, machine)
            except SamplerStopped:
                raise
            except (InputError, FitError) as error:
                done.errors[name] = str(error)
                directory.update(errors=done.errors)
        progress(0, 0, "writing the report on all analyses")
        write_analyses_report(directory.path)
        directory.update(state="failed" if done.errors else "finished", finished=now())
    except BaseException as error:
        with suppress(OSError):  # of a disk that is full: without a record the job counts as interrupted
            directory.update(state="interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    return done


def _one(plan: RunPlan, folder: Path, progress: Progress, machine: Machine) -> RunOutcome:
    """Do one analysis, or go on with it, and write its report."""
    with warnings.catch_warnings():  # so that those of earlier analyses are given, and logged, again
        if (folder / "run.json").exists():
            outcome = resume(folder, progress=progress, **machine)
        else:
            outcome = run(plan, folder, progress=progress, **machine)
    if not (folder / "report.html").exists():
        progress(0, 0, "writing the report")
        write_report(folder)
    return replace(outcome, eb=None)  # fits of many analyses would fill the memory


def _finished(directory: JobDirectory, record: dict[str, Any]) -> AnalysesOutcome:
    """Return the results of a job that had been finished before."""
    folders = {name: directory.analysis(name) for name in record["analyses"]}
    return AnalysesOutcome(
        directory.path, {name: RunOutcome(folder, read_results(folder)) for name, folder in folders.items()}
    )


def _is_finished(folder: Path) -> bool:
    """Return whether a run is finished."""
    directory = RunDirectory(folder)
    return (folder / "run.json").exists() and directory.read().get("state") == "finished"


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say in errors which analysis they are about; warnings are left to its run."""
    try:
        with warnings.catch_warnings(action="ignore", category=BayesdeWarning):
            yield
    except InputError as error:
        raise type(error)(f"analysis '{name}': {error}") from None


class NamedProgress:
    """Passes progress on with the name of an analysis.

    Parameters
    ----------
    name : str
    progress : callable
        See `Progress`.
    """

    def __init__(self, name: str, progress: Progress) -> None:
        self._name, self._progress = name, progress

    def __call__(self, done: int, total: int, message: str) -> None:
        """Pass on that some units of work are done; see `Progress`."""
        self._progress(done, total, f"{self._name}: {message}")

    def blocks(self, count: BlockCount, text: str) -> None:
        """Pass on how many blocks are done.

        Parameters
        ----------
        count : BlockCount
        text : str
        """
        show: Any = getattr(self._progress, "blocks", None)
        if show is None:
            self(count.done, count.total, text)
        else:
            show(count, f"{self._name}: {text}")
