"""What a run leaves in its folder: table, hyperparameters, diagnostics, draws and pictures."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesde.batch.directory import RunDirectory
from bayesde.batch.plan import RunPlan
from bayesde.design import Contrast
from bayesde.eb.fit import EbFit
from bayesde.io import write_atomically
from bayesde.plots import dispersion_plot, interval_plot, ma_plot
from bayesde.posterior.hyperparameters import Hyperparameters
from bayesde.results import ResultsTable, write_results

if TYPE_CHECKING:
    from bayesde.posterior import Posterior

__all__ = ["write_eb", "write_posterior"]

_TOP_GENES = 25


def write_eb(directory: RunDirectory, plan: RunPlan, fit: EbFit, contrast: Contrast) -> ResultsTable:
    """Write what an empirical-Bayes run leaves.

    Parameters
    ----------
    directory : RunDirectory
    plan : RunPlan
    fit : EbFit
    contrast : Contrast

    Returns
    -------
    ResultsTable
        As written.
    """
    tested, shrunken = _write_estimates(directory, plan, fit, contrast)
    table = shrunken if plan.model.shrink else tested
    write_results(table, directory.path)
    if math.isfinite(fit.trend.asymptotic_dispersion):  # a local regression has no parameters
        Hyperparameters.from_eb(fit).to_json(directory.path / "hyperparameters.json")
    _save(directory, "ma.png", lambda ax: ma_plot(table, ax=ax))
    _save(directory, "dispersion.png", lambda ax: dispersion_plot(fit, ax=ax))
    return table


def write_posterior(
    directory: RunDirectory, plan: RunPlan, posterior: Posterior, contrast: Contrast
) -> ResultsTable:
    """Write what a sampling run leaves.

    Parameters
    ----------
    directory : RunDirectory
    plan : RunPlan
    posterior : Posterior
    contrast : Contrast

    Returns
    -------
    ResultsTable
        As written.
    """
    table = posterior.results(
        contrast=contrast, lfc_threshold=plan.model.lfc_threshold, ci_prob=plan.sample.ci_prob
    )
    write_results(table, directory.path)
    posterior.hyperparameters.to_json(directory.path / "hyperparameters.json")
    write_atomically(directory.path / "diagnostics.tsv", _tab_separated(posterior.diagnostics))
    _write_draws(directory, posterior)
    mle, mode = _write_estimates(directory, plan, posterior.eb, contrast)
    _save(directory, "ma.png", lambda ax: ma_plot(table, ax=ax))
    _save(directory, "dispersion.png", lambda ax: dispersion_plot(posterior.eb, ax=ax))
    _save(directory, "intervals.png", lambda ax: interval_plot(table, mle, mode, top=_TOP_GENES, ax=ax), 8.5)
    return table


def _write_estimates(
    directory: RunDirectory, plan: RunPlan, fit: EbFit, contrast: Contrast
) -> tuple[ResultsTable, ResultsTable]:
    """Write the point estimates of all genes, tested and shrunken, into folders of their own."""
    threshold = plan.model.lfc_threshold
    tested = fit.results(contrast=contrast, lfc_threshold=threshold)
    shrunken = fit.shrink(contrast=contrast, lfc_threshold=threshold)
    write_results(tested, directory.tables("eb"))
    write_results(shrunken, directory.tables("shrunken"))
    return tested, shrunken


def _tab_separated(frame: pd.DataFrame) -> str:
    """Write a table by gene as text; missing values are empty."""
    return pd.DataFrame(frame).to_csv(sep="\t", index_label="gene", lineterminator="\n")


def _write_draws(directory: RunDirectory, posterior: Posterior) -> None:
    """Write all draws into a folder that is renamed when it is complete."""
    target = directory.path / "posterior.zarr"
    scratch = directory.path / ".posterior.zarr.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    draws = posterior.draws
    encoding = {
        name: {
            "chunks": tuple(min(256, size) if dim == "gene" else size for dim, size in values.sizes.items())
        }
        for name, values in draws.data_vars.items()
        if "gene" in values.dims
    }
    draws.to_zarr(scratch, encoding=encoding, zarr_format=2, consolidated=True)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(scratch, target)


def _save(directory: RunDirectory, name: str, draw: Callable[[Axes], Axes], height: float = 4.2) -> None:
    """Draw a picture on a figure of its own (no display, no global state) and write it."""
    directory.plots.mkdir(exist_ok=True)
    figure = Figure(figsize=(8.0, height), layout="constrained")
    draw(figure.add_subplot())
    scratch = directory.plots / f".{name}.tmp"
    figure.savefig(scratch, dpi=150, format="png")
    os.replace(scratch, directory.plots / name)
