"""What a run leaves in its folder: table, hyperparameters, diagnostics, draws and pictures."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

from bayesde.batch.directory import RunDirectory
from bayesde.batch.inputs import RunInputs
from bayesde.batch.plan import ModelPlan, RunPlan
from bayesde.design import Contrast
from bayesde.eb.fit import EbFit
from bayesde.io import write_atomically
from bayesde.plots import dispersion_plot, interval_plot, ma_plot
from bayesde.posterior.hyperparameters import Hyperparameters
from bayesde.results import ResultsTable, tab_separated, write_results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesde.posterior import Posterior

__all__ = ["write_eb", "write_posterior"]

_TOP_GENES = 25
_INTERVALS = "intervals.png"
_RECTANGLE = (0.09, 0.125, 0.55, 0.84)
"""Left, bottom, width and height of the axes as parts of the figure; the legend is right of them."""


def write_eb(directory: RunDirectory, plan: RunPlan, fit: EbFit, inputs: RunInputs) -> ResultsTable:
    """Write what an empirical-Bayes run leaves.

    Parameters
    ----------
    directory : RunDirectory
    plan : RunPlan
    fit : EbFit
    inputs : RunInputs

    Returns
    -------
    ResultsTable
        As written.
    """
    model = plan.model
    main = "shrunken" if model.shrink else "eb"
    tables = {} if model.shrinkage == "none" else {"shrunken": _shrunken(fit, inputs.contrast, model)}
    tables["eb"] = _tested(fit, inputs, inputs.contrast, model)
    for name, table in tables.items():
        write_results(table, directory.tables(name), *([directory.path] if name == main else []))
    for number, contrast in enumerate(inputs.other_contrasts, 2):
        other = _shrunken(fit, contrast, model) if model.shrink else _tested(fit, inputs, contrast, model)
        write_results(other, directory.contrast(number, contrast.name))
    table = tables[main]
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
    write_atomically(directory.path / "diagnostics.tsv", tab_separated(posterior.diagnostics))
    _write_draws(directory, posterior)
    mle = posterior.eb.results(contrast=contrast, lfc_threshold=plan.model.lfc_threshold)
    mode = posterior.eb.shrink(contrast=contrast, lfc_threshold=plan.model.lfc_threshold)
    write_results(mle, directory.tables("eb"))
    write_results(mode, directory.tables("shrunken"))
    _save(directory, "ma.png", lambda ax: ma_plot(table, ax=ax))
    _save(directory, "dispersion.png", lambda ax: dispersion_plot(posterior.eb, ax=ax))
    _save(directory, _INTERVALS, lambda ax: interval_plot(table, mle, mode, top=_TOP_GENES, ax=ax))
    return table


def _tested(fit: EbFit, inputs: RunInputs, contrast: Contrast, model: ModelPlan) -> ResultsTable:
    """Test a contrast as a plan says."""
    if inputs.reduced is not None:
        return fit.test_lrt(inputs.reduced, contrast=contrast)
    return fit.results(contrast=contrast, lfc_threshold=model.lfc_threshold, alternative=model.alternative)


def _shrunken(fit: EbFit, contrast: Contrast, model: ModelPlan) -> ResultsTable:
    """Shrink the effects as a plan says."""
    return fit.shrink(contrast=contrast, lfc_threshold=model.lfc_threshold, method=model.shrinkage)


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


def _save(directory: RunDirectory, name: str, draw: Callable[[Axes], Axes]) -> None:
    """Draw a picture on a figure of its own (no display, no global state) and write it."""
    from matplotlib.figure import Figure  # slow to load, so not before it is needed

    directory.plots.mkdir(exist_ok=True)
    if name == _INTERVALS:  # its margins depend on the names of the genes, which takes a second drawing
        figure = Figure(figsize=(8.0, 8.5), layout="constrained")
        draw(figure.add_subplot())
    else:
        figure = Figure(figsize=(8.0, 4.2))
        draw(figure.add_axes(_RECTANGLE))
    scratch = directory.plots / f".{name}.tmp"
    figure.savefig(scratch, dpi=150, format="png", pil_kwargs={"compress_level": 3})
    os.replace(scratch, directory.plots / name)
