"""What a run leaves in its folder: table, hyperparameters, diagnostics, draws and pictures."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bayesde.design import Contrast
from bayesde.eb.fit import EbFit
from bayesde.eb.tables import is_level
from bayesde.errors import BayesdeWarning
from bayesde.io import write_atomically
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.plots import (
    dispersion_plot,
    effect_law_plot,
    hyperparameter_plot,
    hyperparameter_trace_plot,
    interval_plot,
    ma_plot,
    random_effect_sd_plot,
)
from bayesde.posterior.point_estimates.fit import RandomEffectsFit
from bayesde.results import ResultsTable, tab_separated, write_results
from bayesde.runs.directory import RunDirectory
from bayesde.runs.draws import write_draws
from bayesde.runs.inputs import RunInputs
from bayesde.runs.plan import RunPlan
from bayesde.runs.reports.column_descriptions import (
    posterior_columns,
    shrunken_columns,
    tested_columns,
    without_tests,
)
from bayesde.runs.reports.headline import headline
from bayesde.runs.reports.outliers import write_outliers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayesde.posterior import Posterior

__all__ = ["Described", "Written", "estimated", "sampled", "write_eb", "write_posterior"]

Described = tuple[ResultsTable, dict[str, str]]
"""A table, and what its columns mean."""
_TOP_GENES = 25
_INTERVALS = "intervals.png"
_RECTANGLE = (0.09, 0.125, 0.55, 0.84)
"""Left, bottom, width and height of the axes as parts of the figure; the legend is right of them."""


@dataclass(frozen=True, eq=False)
class Written:
    """What was written.

    Attributes
    ----------
    table : ResultsTable
        As in ``results.tsv``.
    headlines : dict of str to str
        What each table says, in a sentence, by its place in the folder.
    """

    table: ResultsTable
    headlines: dict[str, str]


def write_eb(
    directory: RunDirectory, plan: RunPlan, fit: EbFit | RandomEffectsFit, inputs: RunInputs
) -> Written:
    """Write what an empirical-Bayes run leaves.

    Parameters
    ----------
    directory : RunDirectory
    plan : RunPlan
    fit : EbFit or RandomEffectsFit
    inputs : RunInputs

    Returns
    -------
    Written
    """
    model, contrast = plan.model, inputs.contrast
    main = "shrunken" if model.shrink else "eb"
    tables = {"eb": _tested(plan, fit, inputs, contrast)}
    if model.shrinkage != "none" and _can_be_shrunken(fit, contrast):
        tables["shrunken"] = _shrunken(plan, fit, contrast)
    for name, (table, meanings) in tables.items():
        folders = [directory.tables(name), *([directory.path] if name == main else [])]
        write_results(table, *folders, meanings=meanings)
    table = tables[main][0]
    headlines = {"results.tsv": headline(table, contrast.name, plan)}
    headlines |= _write_others(directory, plan, inputs, partial(estimated, plan, fit, inputs))
    _save(directory, "ma.png", lambda ax: ma_plot(table, ax=ax))
    if isinstance(fit, RandomEffectsFit):
        fit.hyperparameters.to_json(directory.path / "hyperparameters.json")
        _save(directory, "random_effect_sd.png", lambda ax: random_effect_sd_plot(fit, ax=ax))
        return Written(table, headlines)
    if math.isfinite(fit.trend.asymptotic_dispersion):  # a local regression has no parameters
        with warnings.catch_warnings():  # of what the values lack for a posterior, which this run has none of
            warnings.simplefilter("ignore", BayesdeWarning)
            Hyperparameters.from_eb(fit).to_json(directory.path / "hyperparameters.json")
    _save(directory, "dispersion.png", lambda ax: dispersion_plot(fit, ax=ax))
    return Written(table, headlines)


def _can_be_shrunken(fit: EbFit | RandomEffectsFit, contrast: Contrast) -> bool:
    """Tell whether a contrast is an effect, and has a prior."""
    without = isinstance(fit, RandomEffectsFit) and not fit.hyperparameters.shrinkage_scale
    return not without and not is_level(fit.design, contrast)


def _write_others(
    directory: RunDirectory, plan: RunPlan, inputs: RunInputs, described: Callable[[Contrast], Described]
) -> dict[str, str]:
    """Write the tables of further contrasts; return what they say."""
    headlines = {}
    for number, contrast in enumerate(inputs.other_contrasts, 2):
        table, meanings = described(contrast)
        place = write_results(table, directory.contrast(number, contrast.name), meanings=meanings)
        headlines[str(place.relative_to(directory.path))] = headline(table, contrast.name, plan)
    return headlines


def estimated(
    plan: RunPlan, fit: EbFit | RandomEffectsFit, inputs: RunInputs, contrast: Contrast
) -> Described:
    """Make the table of a contrast of point estimates, and describe its columns.

    Parameters
    ----------
    plan : RunPlan
    fit : EbFit or RandomEffectsFit
    inputs : RunInputs
    contrast : Contrast

    Returns
    -------
    table : ResultsTable
    meanings : dict of str to str
    """
    if plan.model.shrink:
        return _shrunken(plan, fit, contrast)
    return _tested(plan, fit, inputs, contrast)


def sampled(plan: RunPlan, posterior: Posterior, contrast: Contrast) -> Described:
    """Make the table of a contrast of a posterior, and describe its columns.

    Parameters
    ----------
    plan : RunPlan
    posterior : Posterior
    contrast : Contrast

    Returns
    -------
    table : ResultsTable
    meanings : dict of str to str
    """
    probability = plan.sample.ci_prob
    table = posterior.results(contrast=contrast, lfc_threshold=plan.model.lfc_threshold, ci_prob=probability)
    return table, posterior_columns(contrast, plan.model, probability)


def write_posterior(
    directory: RunDirectory, plan: RunPlan, posterior: Posterior, inputs: RunInputs
) -> Written:
    """Write what a sampling run leaves.

    Parameters
    ----------
    directory : RunDirectory
    plan : RunPlan
    posterior : Posterior
    inputs : RunInputs

    Returns
    -------
    Written
    """
    contrast = inputs.contrast
    table, meanings = sampled(plan, posterior, contrast)
    write_results(table, directory.path, meanings=meanings)
    posterior.hyperparameters.to_json(directory.path / "hyperparameters.json")
    write_atomically(directory.path / "diagnostics.tsv", tab_separated(posterior.diagnostics))
    if posterior.outliers is not None:
        write_outliers(directory.path, posterior)
    write_draws(directory, posterior)
    _save(directory, "ma.png", lambda ax: ma_plot(table, ax=ax))
    _save(directory, "dispersion.png", lambda ax: dispersion_plot(posterior.eb, ax=ax))
    if posterior.design.groupings:  # tests that ignore them would be of no use
        _save(directory, "random_effect_sd.png", lambda ax: random_effect_sd_plot(posterior, ax=ax))
    else:
        _write_estimates(directory, plan, posterior, contrast, table)
    _save_hyperparameters(directory, posterior)
    if name := _with_another_law(posterior, contrast):
        _save(directory, "effect_law.png", lambda ax: effect_law_plot(posterior, name, ax=ax))
    headlines = {"results.tsv": headline(table, contrast.name, plan)}
    others = _write_others(directory, plan, inputs, partial(sampled, plan, posterior))
    return Written(table, headlines | others)


def _write_estimates(
    directory: RunDirectory, plan: RunPlan, posterior: Posterior, contrast: Contrast, table: ResultsTable
) -> None:
    """Write the tables of point estimates, and a picture of them beside the posterior's intervals."""
    eb, model = posterior.eb, plan.model
    mle = eb.results(contrast=contrast, lfc_threshold=model.lfc_threshold)
    write_results(mle, directory.tables("eb"), meanings=tested_columns(contrast, model, plan.eb))
    mode = None
    if not is_level(eb.design, contrast):
        mode = eb.shrink(contrast=contrast, lfc_threshold=model.lfc_threshold)
        told = shrunken_columns(contrast, model, plan.eb)
        write_results(mode, directory.tables("shrunken"), meanings=told)
    _save(directory, _INTERVALS, lambda ax: interval_plot(table, mle, mode, top=_TOP_GENES, ax=ax))


def _with_another_law(posterior: Posterior, contrast: Contrast) -> str:
    """Return a coefficient with another law than Cauchy's, one of the contrast if it can be; or nothing."""
    names, hyper = posterior.design.coefficients, posterior.hyperparameters
    others = [k for k, name in enumerate(names) if name in hyper.shrinkage_scale]
    others = [k for k in others if hyper.family(names[k]) != "cauchy"]
    return names[max(others, key=lambda k: (contrast.vector[k] != 0.0, k))] if others else ""


def _tested(plan: RunPlan, fit: EbFit | RandomEffectsFit, inputs: RunInputs, contrast: Contrast) -> Described:
    """Test a contrast as a plan says, and describe the columns."""
    model = plan.model
    if inputs.reduced is not None:
        table = fit.test_lrt(inputs.reduced, contrast=contrast)
    else:
        table = fit.results(
            contrast=contrast, lfc_threshold=model.lfc_threshold, alternative=model.alternative
        )
    return table, _meanings(fit, tested_columns(contrast, model, plan.eb))


def _shrunken(plan: RunPlan, fit: EbFit | RandomEffectsFit, contrast: Contrast) -> Described:
    """Shrink the effects as a plan says, and describe the columns."""
    model = plan.model
    table = fit.shrink(contrast=contrast, lfc_threshold=model.lfc_threshold, method=model.shrinkage)
    return table, _meanings(fit, shrunken_columns(contrast, model, plan.eb))


def _meanings(fit: EbFit | RandomEffectsFit, told: dict[str, str]) -> dict[str, str]:
    """Return what the columns mean of a fit."""
    return without_tests(told, list(fit.random_effect_sd)) if isinstance(fit, RandomEffectsFit) else told


def _save(directory: RunDirectory, name: str, draw: Callable[[Axes], Axes]) -> None:
    """Draw a picture on a figure of its own (no display, no global state) and write it."""
    from matplotlib.figure import Figure  # slow to load, so not before it is needed

    if name == _INTERVALS:  # its margins depend on the names of the genes, which takes a second drawing
        figure = Figure(figsize=(8.0, 8.5), layout="constrained")
        draw(figure.add_subplot())
    else:
        figure = Figure(figsize=(8.0, 4.2))
        draw(figure.add_axes(_RECTANGLE))
    _write_picture(directory, name, figure)


def _save_hyperparameters(directory: RunDirectory, posterior: Posterior) -> None:
    """Draw the hyperparameters' posterior, where they have one: with their chains, if there are some."""
    from matplotlib.figure import Figure  # slow to load

    if not posterior.hyperparameters.draws:
        return
    figure = Figure()
    draw = hyperparameter_trace_plot if posterior.shared else hyperparameter_plot
    draw(posterior, figure=figure)
    _write_picture(directory, "hyperparameters.png", figure)


def _write_picture(directory: RunDirectory, name: str, figure: Figure) -> None:
    """Write a picture into the run's folder, under a temporary name first."""
    directory.plots.mkdir(exist_ok=True)
    scratch = directory.plots / f".{name}.tmp"
    figure.savefig(scratch, dpi=150, format="png", pil_kwargs={"compress_level": 3})
    os.replace(scratch, directory.plots / name)
