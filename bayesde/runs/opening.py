"""A finished run, opened again: its data, fit, posterior and tables, without sampling anything."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesde.counts import Counts
from bayesde.design import Contrast, Design
from bayesde.eb.fit import EbFit
from bayesde.eb.tables import is_level
from bayesde.errors import BayesdeWarning, InputError
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.point_estimates.fit import RandomEffectsFit
from bayesde.results import ResultsTable, read_results, write_results
from bayesde.runs.directory import RunDirectory
from bayesde.runs.inputs import RunInputs, check_unchanged, file_hashes, fitted, load, plan_of
from bayesde.runs.outputs import Described, estimated, sampled
from bayesde.runs.plan import RunPlan
from bayesde.runs.reports.headline import headline
from bayesde.runs.reports.outliers import read_outliers

if TYPE_CHECKING:
    from bayesde.posterior.posterior import Posterior

__all__ = ["OpenedRun", "open_run", "write_contrasts"]


@dataclass(frozen=True, eq=False, repr=False)
class OpenedRun:
    """A finished run. What it consists of is read, or computed from its input files, when it is asked for.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    plan : RunPlan
        What was asked for.
    record : dict
        ``run.json``.
    """

    path: Path
    plan: RunPlan
    record: dict[str, Any]

    def __repr__(self) -> str:
        kind = f"engine {self.plan.sample.engine}" if self.has_posterior else "point estimates"
        return f"<Run '{self.path}': {kind}, design {self.plan.model.design}>"

    @property
    def has_posterior(self) -> bool:
        """Whether this is a run of `bayesde sample`."""
        return self.plan.command == "sample"

    @cached_property
    def inputs(self) -> RunInputs:
        """The data, as the run read them; they must not have changed since."""
        check_unchanged(self.record.get("inputs", {}), file_hashes(self.plan))
        with _said_before():
            return load(self.plan)

    @property
    def counts(self) -> Counts:
        """The counts."""
        return self.inputs.counts

    @property
    def design(self) -> Design:
        """The design."""
        return self.inputs.design

    @property
    def contrast(self) -> Contrast:
        """The contrast of the main table."""
        return self.inputs.contrast

    @cached_property
    def fit(self) -> EbFit | RandomEffectsFit:
        """The point estimates; they are computed again, to the same numbers."""
        with _said_before():
            return fitted(self.plan, self.inputs)

    @cached_property
    def posterior(self) -> Posterior:
        """The posterior, whose draws are read from the folder as they are needed."""
        if not self.has_posterior:
            raise InputError(f"'{self.path}' has point estimates only; `bayesde sample` makes a posterior.")
        with _said_before():
            return _posterior(self)

    @cached_property
    def table(self) -> ResultsTable:
        """The main table, ``results.tsv``."""
        return read_results(self.path)

    @property
    def tables(self) -> dict[str, ResultsTable]:
        """All tables of the folder, by their place in it."""
        files = sorted(self.path.glob("**/results.tsv"))
        return {file.relative_to(self.path).as_posix(): read_results(file) for file in files}

    def results(self, contrast: Any = None, lfc_threshold: float | None = None) -> ResultsTable:
        """Make the table of a contrast as the run makes its own.

        Parameters
        ----------
        contrast : optional
            Whatever ``design.contrast`` understands; by default the run's.
        lfc_threshold : float, optional
            In log2; by default the run's.

        Returns
        -------
        ResultsTable

        Raises
        ------
        InputError
            If the contrast does not exist.
        """
        return self._table(*self._question(contrast, lfc_threshold))[0]

    def write_contrast(self, contrast: Any, lfc_threshold: float | None = None) -> tuple[str, str]:
        """Write the table of a contrast into a folder of its own in ``contrasts``.

        Parameters
        ----------
        contrast, lfc_threshold
            As of `results`.

        Returns
        -------
        place : str
            Of the table in the folder of the run.
        headline : str
            What it says.
        """
        read, plan = self._question(contrast, lfc_threshold)
        table, meanings = self._table(read, plan)
        threshold = plan.model.lfc_threshold
        name = f"{read.name}_beyond_{threshold:g}" if threshold else read.name
        directory = RunDirectory(self.path)
        place = write_results(table, directory.contrast_again(name), meanings=meanings)
        return place.relative_to(self.path).as_posix(), headline(table, read.name, plan)

    def _question(self, contrast: Any, lfc_threshold: float | None) -> tuple[Contrast, RunPlan]:
        """Read a contrast, and put the threshold into the plan."""
        read = self.contrast if contrast is None else self.design.contrast(contrast)
        if lfc_threshold is None:
            return read, self.plan
        return read, replace(self.plan, model=replace(self.plan.model, lfc_threshold=float(lfc_threshold)))

    def _table(self, contrast: Contrast, plan: RunPlan) -> Described:
        """Return the table of a contrast, and descriptions of its columns."""
        if self.has_posterior:
            return sampled(plan, self.posterior, contrast)
        if plan.model.shrink and is_level(self.design, contrast):
            raise InputError(f"'{contrast.name}' is a level of expression, which cannot be shrunken.")
        return estimated(plan, self.fit, self.inputs, contrast)


def open_run(path: str | Path) -> OpenedRun:
    """Open a finished run again.

    Parameters
    ----------
    path : path
        The folder.

    Returns
    -------
    OpenedRun
        With the counts, design, fit, posterior and tables; ``run.posterior`` takes contrasts, thresholds,
        predictions and leave-one-out without sampling anything.

    Raises
    ------
    InputError
        If there is no run, or it is not finished.
    """
    directory = RunDirectory(path)
    record = directory.read()
    if (state := record.get("state")) != "finished":
        raise InputError(
            f"the run in '{directory.path}' is not finished ({state}); 'bayesde status {directory.path}' "
            f"shows its progress, 'bayesde resume {directory.path}' goes on with one that was interrupted."
        )
    return OpenedRun(directory.path, plan_of(record, directory.path), record)


def write_contrasts(
    path: str | Path, contrasts: Iterable[Any], lfc_threshold: float | None = None
) -> dict[str, str]:
    """Write the tables of further contrasts of a finished run, and enter them into its record.

    Parameters
    ----------
    path : path
        The folder of the run.
    contrasts : iterable
        Each as `OpenedRun.results` takes it.
    lfc_threshold : float, optional
        In log2; by default the run's.

    Returns
    -------
    dict of str to str
        What each table says, by its place in the folder.

    Raises
    ------
    InputError
        If the run cannot be opened, a contrast does not exist (then no table is written), or another process
        is working in the folder.
    """
    opened, directory = open_run(path), RunDirectory(path)
    read = [opened.design.contrast(contrast) for contrast in contrasts]
    with directory.locked():
        headlines = dict(opened.write_contrast(contrast, lfc_threshold) for contrast in read)
        directory.update(tables={**directory.read().get("tables", {}), **headlines})
    return headlines


def _posterior(run: OpenedRun) -> Posterior:
    """Put the posterior together from the run's files."""
    from bayesde.posterior.data import PosteriorData  # loads what point estimates do without
    from bayesde.posterior.fit import request_of
    from bayesde.posterior.options import EngineRunOptions
    from bayesde.posterior.posterior import Posterior

    plan, sample = run.plan, run.plan.sample
    kept = _kept(run)
    own = {name: getattr(sample, name) for name in ("engine", "draws", "warmup", "chains", "seed")}
    request = request_of(
        run.fit.fixed if isinstance(run.fit, RandomEffectsFit) else run.fit,
        EngineRunOptions(**own),
        design=run.design,
        genes=run.inputs.genes,
        hyperparameters=run.inputs.hyperparameters or ("eb" if plan.fixed else None),
        priors=plan.priors,
        options=plan.sampling,
    )
    hyper = _hyperparameters(run.path / "hyperparameters.json")
    data = PosteriorData(
        kept.gene_draws, hyper, kept.diagnostics, sample.engine, request, kept.shared, kept.statistics
    )
    if (known := read_outliers(run.path)) is not None:
        outliers, left_out = known
        data = replace(data, outliers=outliers, left_out=None if left_out.empty else left_out)
    return Posterior.of(data)


def _kept(run: OpenedRun) -> Any:
    """Open the draws of a run."""
    from bayesde.posterior.storage.files import DamagedFolder, is_complete
    from bayesde.posterior.storage.kept import read_draws

    folder = RunDirectory(run.path).draws
    if not is_complete(folder):
        version = run.record.get("versions", {}).get("bayesde", "?")
        raise InputError(
            f"'{run.path}' was made by an early bayesde ({version}) that did not keep the weights of its "
            "draws, so its posterior cannot be opened; the draws in posterior.zarr can be read with "
            "xarray.open_zarr, and running it again with --force makes a folder that can be opened."
        )
    try:
        return read_draws(folder, run.counts.genes)
    except DamagedFolder as damage:
        raise InputError(
            f"the draws of the run cannot be read: {damage}; run it again with --force."
        ) from None


def _hyperparameters(file: Path) -> Hyperparameters:
    """Read the hyperparameters with all that was written of them."""
    values = json.loads(file.read_text(encoding="utf-8"))
    read = Hyperparameters.from_json(file)
    return replace(read, source=values.get("source", "file"), checks=dict(values.get("checks") or {}))


def _said_before() -> warnings.catch_warnings:
    """Leave out the warnings that the run has given, and that are in its log."""
    return warnings.catch_warnings(action="ignore", category=BayesdeWarning)
