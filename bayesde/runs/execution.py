"""Carrying out a plan in its folder, from the data to the results, and resuming it after an interruption."""

from __future__ import annotations

import logging
import platform
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bayesde.design import Contrast
from bayesde.design.description import variable_lines
from bayesde.eb.fit import EbFit, fit_eb
from bayesde.eb.summary import fit_lines
from bayesde.eb.tables import is_level
from bayesde.errors import InputError, first_few
from bayesde.posterior.options import EngineRunOptions
from bayesde.posterior.progress import Progress
from bayesde.results import ResultsTable, read_results
from bayesde.runs.compiling import Compilations, compiled_ahead
from bayesde.runs.directory import RunDirectory
from bayesde.runs.early_messages import early_messages
from bayesde.runs.ignored_options import ignored_options
from bayesde.runs.inputs import RunInputs, file_hashes, load
from bayesde.runs.interruption import Stopper, run_interruptible
from bayesde.runs.outputs import write_eb, write_posterior
from bayesde.runs.plan import RunPlan
from bayesde.runs.progress import Reporter
from bayesde.statuses import FAILED

__all__ = ["RunOutcome", "resume", "run"]

logger = logging.getLogger(__name__)

_PROGRAMS = {"nuts": ("genes", False), "joint": ("joint", True)}
"""The Stan program of each engine that has one, and whether it is compiled with threads."""


@dataclass(frozen=True, eq=False)
class RunOutcome:
    """The results of a finished run.

    Attributes
    ----------
    directory : pathlib.Path
    table : ResultsTable
        As written to ``results.tsv``.
    eb : EbFit or None
        None when the run had been finished before.
    notes : tuple of str
        Summaries of the fit and the tables, one sentence each.
    """

    directory: Path
    table: ResultsTable
    eb: EbFit | None = None
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
    workers: int = EngineRunOptions.workers,
    progress: Progress | None = None,
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
    workers : int
        Number of processes that sample at the same time; does not change the results.
    progress : callable, optional
        Called with (units done, units, text).

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
        return _run(plan, directory, workers, progress, ready)


def _run(
    plan: RunPlan, directory: RunDirectory, workers: int, progress: Progress | None, ready: Compilations
) -> RunOutcome:
    """Carry out a plan in a folder that is free, or is to be replaced."""
    with early_messages() as earlier:
        start = _loaded(plan, earlier, ready)
        hashes = file_hashes(plan)
        _prepare(plan, progress)
        if (directory.path / "run.json").exists():
            # the fit may still refuse the input, and the earlier run should not be lost then
            start = replace(start, fit=_fitted(plan, start))
    directory.create()
    with directory.locked():
        directory.update(
            state="running",
            plan=plan.to_dict(),
            inputs=hashes,
            versions=_versions(),
            workers=workers,
            started=_now(),
        )
        try:
            return _carry_out(plan, start, directory, workers, progress)
        except InputError:  # found by the fit only; bad input leaves nothing behind
            directory.discard()
            raise


def resume(
    path: str | Path, *, workers: int = EngineRunOptions.workers, progress: Progress | None = None
) -> RunOutcome:
    """Resume an interrupted run; finished blocks are not sampled again.

    Parameters
    ----------
    path : path
        The folder of the run.
    workers : int
        As in `run`.
    progress : callable, optional
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
    plan = RunPlan.from_dict(record.get("plan", {}), f"'{directory.path / 'run.json'}'")
    _check_unchanged(record.get("inputs", {}), file_hashes(plan))
    with compiled_ahead(plan, progress) as ready:
        with early_messages() as earlier:
            start = _loaded(plan, earlier, ready)
            _prepare(plan, progress)
        with directory.locked():
            directory.update(state="running", versions=_versions(), workers=workers, resumed=_now())
            return _carry_out(plan, start, directory, workers, progress)


def _prepare(plan: RunPlan, progress: Progress | None) -> None:
    """Compile the Stan program of the engine: a missing compiler is noticed before anything is written."""
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
    fit: EbFit | None = None


def _fitted(plan: RunPlan, start: _Start) -> EbFit:
    """Return the point estimates, computed now unless they were before."""
    if start.fit is not None:
        return start.fit
    with _timed(start.timings, "eb"):
        inputs = start.inputs
        return fit_eb(
            inputs.counts,
            inputs.design if plan.command == "eb" else inputs.design.fixed,
            size_factors=inputs.size_factors,
            weights=inputs.weights,
            options=plan.eb,
        )


def _loaded(plan: RunPlan, messages: list[logging.LogRecord], ready: Compilations) -> _Start:
    """Read and check the data of a plan."""
    timings: dict[str, float] = {}
    with _timed(timings, "reading"):
        inputs = load(plan)
    return _Start(inputs, messages, timings, ready)


def _carry_out(
    plan: RunPlan, start: _Start, directory: RunDirectory, workers: int, progress: Progress | None
) -> RunOutcome:
    """Compute and write everything, and record how the run ended."""
    with directory.logging(start.messages):
        try:
            outcome = _compute(plan, start, directory, workers, progress)
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            logger.error("%s", "interrupted" if stopped else traceback.format_exc())
            directory.update(state="interrupted" if stopped else "failed")
            raise
        directory.update(state="finished", finished=_now())
        logger.info("finished; %d gene(s) failed a check", outcome.n_failed)
        return outcome


def _compute(
    plan: RunPlan, start: _Start, directory: RunDirectory, workers: int, progress: Progress | None
) -> RunOutcome:
    """Fit (unless that was done), sample, and write the results."""
    inputs, timings = start.inputs, start.timings
    logger.info("%s: %r, %s", plan.command, inputs.counts, _question(plan, inputs))
    if names := ignored_options(plan):
        logger.info("set, but not used by this run: %s", ", ".join(names))
    fit = _fitted(plan, start)
    variables, lines = variable_lines(fit.design), fit_lines(fit)
    if plan.command == "eb":
        with _timed(timings, "results"):
            written = write_eb(directory, plan, fit, inputs)
    else:
        _compile_tables(fit, inputs.contrast, start.ready)
        with _timed(timings, "sampling"):
            posterior = _sample(plan, inputs, fit, directory, workers, progress)
        lines.append(posterior.checked)
        with _timed(timings, "results"):
            written = write_posterior(directory, plan, posterior, inputs.contrast)
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
    workers: int,
    progress: Progress | None,
) -> Any:
    """Sample the posterior; finished blocks are written into the run's folder."""
    in_blocks = plan.sample.engine == "nuts"
    reporter = Reporter(directory, progress, in_blocks)
    if not in_blocks:  # a single unit of work, which Ctrl-C ends at once
        return _posterior(plan, inputs, fit, directory, workers, reporter)

    def work(stopper: Stopper) -> Any:
        def watched(done: int, total: int, message: str) -> None:
            reporter(done, total, message)
            stopper.check()

        return _posterior(plan, inputs, fit, directory, workers, watched)

    return run_interruptible(work, reporter.stopping)


def _posterior(
    plan: RunPlan, inputs: RunInputs, fit: EbFit, directory: RunDirectory, workers: int, progress: Progress
) -> Any:
    """Call the engine."""
    from bayesde.posterior import fit_posterior  # loads cmdstanpy and arviz

    sample = plan.sample
    return fit_posterior(
        inputs.counts,
        inputs.design,
        engine=sample.engine,
        genes=inputs.genes,
        hyperparameters=inputs.hyperparameters or ("eb" if plan.fixed else None),
        draws=sample.draws,
        chains=sample.chains,
        warmup=sample.warmup,
        seed=sample.seed,
        workers=workers,
        eb=fit,
        priors=plan.priors,
        options=plan.sampling,
        directory=directory.blocks,
        progress=progress,
    )


def _check_unchanged(before: dict[str, Any], now: dict[str, dict[str, str]]) -> None:
    """Refuse input files that have changed, so that results of different inputs are not mixed."""
    changed = [
        entry["path"] for name, entry in now.items() if before.get(name, {}).get("sha256") != entry["sha256"]
    ]
    if changed:
        raise InputError(
            f"changed since the run was started: {first_few(changed)}; restore the file(s), or start "
            "a new run."
        )


@contextmanager
def _timed(timings: dict[str, float], name: str) -> Iterator[None]:
    """Record how many seconds a step takes."""
    start = time.perf_counter()
    yield
    timings[name] = round(time.perf_counter() - start, 3)


def _now() -> str:
    """Return the time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    """Return the versions of what computes the numbers."""
    names = ("bayesde", "numpy", "scipy", "numba", "pandas", "formulaic", "cmdstanpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
