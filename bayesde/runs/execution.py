"""Carrying out a plan in its folder, from the data to the results, and resuming it after an interruption."""

from __future__ import annotations

import logging
import platform
import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict, Unpack

from bayesde.design import Contrast
from bayesde.design.description import variable_lines
from bayesde.eb.fit import EbFit
from bayesde.eb.summary import fit_lines
from bayesde.eb.tables import is_level
from bayesde.errors import InputError, StorageError
from bayesde.io.writing import DISK_FULL
from bayesde.posterior.options import EngineRunOptions
from bayesde.posterior.point_estimates.fit import RandomEffectsFit
from bayesde.results import ResultsTable, read_results
from bayesde.runs.compiling import Compilations, compiled_ahead
from bayesde.runs.directory import RunDirectory
from bayesde.runs.early_messages import early_messages
from bayesde.runs.ignored_options import ignored_options
from bayesde.runs.inputs import RunInputs, check_unchanged, file_hashes, fitted, load, plan_of
from bayesde.runs.outputs import write_eb, write_posterior
from bayesde.runs.plan import RunPlan
from bayesde.runs.reports.outliers import outlier_sentence
from bayesde.runs.watching.interruption import Stopper, run_interruptible
from bayesde.runs.watching.progress import Reporter
from bayesde.statuses import FAILED
from bayesde.workers.progress import Progress, silent

__all__ = ["Machine", "RunOutcome", "now", "prepare", "resume", "run"]

logger = logging.getLogger(__name__)

_PROGRAMS = {"nuts": ("genes", False), "joint": ("joint", True)}
"""The Stan program of each engine that has one, and whether it is compiled with threads."""


class Machine(TypedDict, total=False):
    """Where a run samples: fields of `EngineRunOptions` that do not change a number."""

    workers: int
    scheduler: Any
    shared_folder: bool


@dataclass(frozen=True, eq=False)
class RunOutcome:
    """The results of a finished run.

    Attributes
    ----------
    directory : pathlib.Path
    table : ResultsTable
        As written to ``results.tsv``.
    eb : EbFit, RandomEffectsFit or None
        None when the run had been finished before.
    notes : tuple of str
        Summaries of the fit and the tables, one sentence each.
    """

    directory: Path
    table: ResultsTable
    eb: EbFit | RandomEffectsFit | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_failed(self) -> int:
        """Number of genes that failed a check."""
        return int(self.table["status"].isin(FAILED).sum())


def run(
    plan: RunPlan,
    path: str | Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
    **machine: Unpack[Machine],
) -> RunOutcome:
    """Carry out a plan in a new folder.

    The input, the folder and the compiler are checked before the folder is made.

    Parameters
    ----------
    plan : RunPlan
    path : path
        The folder.
    force : bool
        Replace an earlier run there.
    progress : callable, optional
        Called with (units done, units, text).
    **machine
        ``workers``, ``scheduler`` and ``shared_folder`` of `EngineRunOptions`: they do not change the
        results.

    Returns
    -------
    RunOutcome

    Raises
    ------
    InputError
        If the input or the folder cannot be used.
    ToolchainError
        If Stan is needed and cannot be had.
    """
    directory = RunDirectory(path)
    directory.check_free(force)
    with compiled_ahead(plan, progress) as ready:
        return _run(plan, directory, machine, progress, ready)


def _run(
    plan: RunPlan, directory: RunDirectory, machine: Machine, progress: Progress | None, ready: Compilations
) -> RunOutcome:
    """Carry out a plan in a folder that is free, or is to be replaced."""
    with early_messages() as earlier:
        start = _loaded(plan, earlier, ready)
        hashes = file_hashes(plan, directory.path)
        prepare(plan, progress)
        if (directory.path / "run.json").exists():
            # the fit may still refuse the input, and the earlier run should not be lost then
            start = replace(start, fit=_fitted(plan, start, machine, progress or silent))
    directory.create()
    with directory.locked():
        directory.update(
            state="running",
            plan=plan.to_dict(),
            inputs=hashes,
            versions=_versions(),
            workers=machine.get("workers", EngineRunOptions.workers),
            started=now(),
        )
        try:
            return _carry_out(plan, start, directory, machine, progress)
        except InputError:  # found by the fit only; bad input leaves nothing behind
            directory.discard()
            raise


def resume(path: str | Path, *, progress: Progress | None = None, **machine: Unpack[Machine]) -> RunOutcome:
    """Resume an interrupted run; finished blocks are not sampled again.

    Parameters
    ----------
    path : path
        The folder of the run.
    progress : callable, optional
        As in `run`.
    **machine
        As in `run`.

    Returns
    -------
    RunOutcome

    Raises
    ------
    InputError
        If there is no run, another process is working on it, or an input file has changed since.
    """
    directory = RunDirectory(path)
    record = directory.read()
    if record.get("state") == "finished":
        return RunOutcome(directory.path, read_results(directory.path))
    plan = plan_of(record, directory.path)
    check_unchanged(record.get("inputs", {}), file_hashes(plan))
    with compiled_ahead(plan, progress) as ready:
        with early_messages() as earlier:
            start = _loaded(plan, earlier, ready)
            prepare(plan, progress)
        with directory.locked():
            if directory.read().get("state") == "finished":  # by another process, in the meantime
                return RunOutcome(directory.path, read_results(directory.path))
            workers = machine.get("workers", EngineRunOptions.workers)
            directory.remove_unfinished()
            directory.update(state="running", versions=_versions(), workers=workers, resumed=now())
            return _carry_out(plan, start, directory, machine, progress)


def prepare(plan: RunPlan, progress: Progress | None) -> None:
    """Compile the Stan program of the engine: a missing compiler is noticed before anything is written.

    Parameters
    ----------
    plan : RunPlan
    progress : callable, optional
        As in `run`.

    Raises
    ------
    ToolchainError
        If Stan is needed and cannot be had.
    """
    if plan.command == "sample" and plan.sample.engine in _PROGRAMS:
        from bayesde.stan_runtime import compiled_model  # loads cmdstanpy, which an EB run does without

        say = None if progress is None else (lambda message: progress(0, 0, message))
        compiled_model(*_PROGRAMS[plan.sample.engine], progress=say)


@dataclass(frozen=True, eq=False)
class _Start:
    """The state of a run before its folder is opened.

    `timings` grows during the run; `ready` are processes that compile kernels in the meantime.
    """

    inputs: RunInputs
    messages: list[logging.LogRecord]
    timings: dict[str, float]
    ready: Compilations
    fit: EbFit | RandomEffectsFit | None = None


def _fitted(plan: RunPlan, start: _Start, machine: Machine, progress: Progress) -> EbFit | RandomEffectsFit:
    """Return the point estimates, computed now unless they were before."""
    if start.fit is not None:
        return start.fit
    with _timed(start.timings, "eb"):
        return fitted(plan, start.inputs, machine.get("scheduler"), progress)


def _loaded(plan: RunPlan, messages: list[logging.LogRecord], ready: Compilations) -> _Start:
    """Read and check the data of a plan."""
    timings: dict[str, float] = {}
    with _timed(timings, "reading"):
        inputs = load(plan)
    return _Start(inputs, messages, timings, ready)


def _carry_out(
    plan: RunPlan, start: _Start, directory: RunDirectory, machine: Machine, progress: Progress | None
) -> RunOutcome:
    """Compute and write everything, and record how the run ended."""
    with directory.logging(start.messages):
        try:
            outcome = _compute(plan, start, directory, machine, progress)
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            with suppress(OSError):  # of a disk that is full: without a record the run counts as interrupted
                logger.error("%s", "interrupted" if stopped else traceback.format_exc())
                directory.update(state="interrupted" if stopped else "failed")
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise _no_space(directory, error) from error
            raise
        directory.update(state="finished", finished=now())
        if (
            plan.command == "sample" and plan.sample.engine == "psis"
        ):  # the draws are in a folder of their own
            shutil.rmtree(directory.blocks, ignore_errors=True)
        logger.info("finished; %d gene(s) failed a check", outcome.n_failed)
        return outcome


def _no_space(directory: RunDirectory, error: OSError) -> StorageError:
    """Explain that the disk is full, and what becomes of the run."""
    return StorageError(
        f"nothing more can be written into '{directory.path}': {error.strerror or error}. What is finished "
        f"is kept: make room there, then 'bayesde resume {directory.path}' goes on."
    )


def _compute(
    plan: RunPlan, start: _Start, directory: RunDirectory, machine: Machine, progress: Progress | None
) -> RunOutcome:
    """Fit (unless that was done), sample, and write the results."""
    inputs, timings = start.inputs, start.timings
    logger.info("%s: %r, %s", plan.command, inputs.counts, _question(plan, inputs))
    if names := ignored_options(plan):
        logger.info("set, but not used by this run: %s", ", ".join(names))
    fit = _fitted(plan, start, machine, Reporter(directory, progress))
    variables = variable_lines(fit.design)
    lines = fit.lines if isinstance(fit, RandomEffectsFit) else fit_lines(fit)
    # a posterior starts from fixed effects alone
    if plan.command == "eb" or isinstance(fit, RandomEffectsFit):
        with _timed(timings, "results"):
            written = write_eb(directory, plan, fit, inputs)
    else:
        _compile_tables(fit, inputs.contrast, start.ready)
        with _timed(timings, "sampling"):
            posterior = _sample(plan, inputs, fit, directory, machine, progress)
        with _timed(timings, "outliers"):
            posterior = _with_outliers_treated(plan, posterior, directory, progress)
        if posterior.outliers is not None:
            lines.append(outlier_sentence(posterior))
            logger.info("%s", lines[-1])
        lines.append(posterior.checked)
        with _timed(timings, "results"):
            written = write_posterior(directory, plan, posterior, inputs)
    for sentence in written.headlines.values():
        logger.info("%s", sentence)
    factors = fit.size_factors
    directory.update(
        contrast=inputs.contrast.name,
        variables=variables,
        fit=lines,
        step=None,
        tables=written.headlines,
        timings=timings,
        size_factors=None if factors is None else factors.to_dict(),
    )
    return RunOutcome(directory.path, written.table, fit, (*variables, *lines, *written.headlines.values()))


def _compile_tables(fit: EbFit, contrast: Contrast, ready: Compilations) -> None:
    """On a first run, compile the kernels of tables while other processes compile those of the sampler."""
    if ready.any:
        fit.results(contrast=contrast)
        if not is_level(fit.design, contrast):
            fit.shrink(contrast=contrast)
    ready.wait()


def _question(plan: RunPlan, inputs: RunInputs) -> str:
    """Describe the design, test and contrasts."""
    model = plan.model
    tested = f"likelihood-ratio test against {model.reduced}, " if model.test == "lrt" else ""
    names = [contrast.name for contrast in (inputs.contrast, *inputs.other_contrasts)]
    return f"design {model.design}, {tested}contrast {'; '.join(names)}"


def _sample(
    plan: RunPlan,
    inputs: RunInputs,
    fit: EbFit,
    directory: RunDirectory,
    machine: Machine,
    progress: Progress | None,
) -> Any:
    """Sample the posterior; finished blocks are written into the run's folder."""
    from bayesde.posterior.fit import posterior_of, request_of  # loads cmdstanpy and arviz

    sample, reporter = plan.sample, Reporter(directory, progress)
    own = {name: getattr(sample, name) for name in ("engine", "draws", "chains", "warmup", "seed")}
    request = request_of(
        fit,
        EngineRunOptions(**own, **machine, directory=str(directory.blocks)),
        design=inputs.design,
        genes=inputs.genes,
        hyperparameters=inputs.hyperparameters or ("eb" if plan.fixed else None),
        priors=plan.priors,
        options=plan.sampling,
    )
    request = replace(request, progress=reporter)
    if sample.engine == "joint" or (sample.engine == "psis" and not request.in_blocks):
        return posterior_of(request, sample.engine)  # a single unit of work, which Ctrl-C ends at once

    def work(stopper: Stopper) -> Any:
        reporter.check = stopper.check
        return posterior_of(request, sample.engine)

    return run_interruptible(work, reporter.stopping)


def _with_outliers_treated(
    plan: RunPlan, posterior: Any, directory: RunDirectory, progress: Progress | None
) -> Any:
    """Find outlying counts, and leave them out, as the plan says."""
    from bayesde.posterior.queries.outlier_search import with_outliers_treated  # loads compiled kernels

    return with_outliers_treated(posterior, plan.sample.outliers, Reporter(directory, progress))


@contextmanager
def _timed(timings: dict[str, float], name: str) -> Iterator[None]:
    """Record how many seconds a step takes."""
    start = time.perf_counter()
    yield
    timings[name] = round(time.perf_counter() - start, 3)


def now() -> str:
    """Return the time, in UTC.

    Returns
    -------
    str
        In the format of ISO 8601.
    """
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    """Return the versions of what computes the numbers."""
    names = ("bayesde", "numpy", "scipy", "numba", "pandas", "formulaic", "cmdstanpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
