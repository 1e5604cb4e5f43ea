"""From command-line options to the plan of a run."""

from __future__ import annotations

from typing import Any

from bayesde.cli.arguments import Chosen
from bayesde.eb.options import EbOptions
from bayesde.errors import InputError, OptionError
from bayesde.model.priors import Priors
from bayesde.posterior.options import SamplingOptions
from bayesde.runs.options import ModelPlan, RunFiles, SamplePlan, read_contrast
from bayesde.runs.plan import ANALYSIS, RunPlan, read_config

__all__ = ["build_plan"]

_TABLES = ("model", "eb", "sample", "sampling", "priors")


def build_plan(command: str, chosen: Chosen) -> RunPlan | dict[str, RunPlan]:
    """Put a plan together: defaults, then the configuration file, then the command line.

    Parameters
    ----------
    command : {"eb", "sample"}
    chosen : dict of dict
        The options of the command line, by table: those of a configuration file, and ``files``, ``plan`` and
        ``run``.

    Returns
    -------
    RunPlan, or dict of str to RunPlan
        The latter, by name, if the file has several analyses: what these choose comes last.

    Raises
    ------
    OptionError
        If a value is not allowed, options contradict each other, or there is no design.
    """
    config = chosen.get("run", {}).get("config")
    tables = {} if config is None else read_config(config)
    analyses = tables.pop(ANALYSIS, [])
    files, model = dict(chosen["files"]), _model(chosen["model"])
    if "normalization_factors" in files and "size_factors" in model:
        raise OptionError("--normalization-factors take the place of size factors: leave out --size-factors.")
    asked = {**chosen, "model": model, "sample": dict(chosen.get("sample", {}))}
    asked["priors"] = chosen.get("plan", {}).get("priors", {})
    if (fixed := files.get("hyperparameters")) is not None:
        asked["sample"]["hyperparameters"] = "eb" if fixed == "eb" else "integrated"
        if fixed == "eb":
            del files["hyperparameters"]
    shared = {name: {**tables.get(name, {}), **asked.get(name, {})} for name in _TABLES}
    if "trend" in chosen.get("eb", {}):  # of the command line, which comes before [sampling] of the file
        shared["sampling"].pop("trend", None)
    read = RunFiles(**{name: str(path) for name, path in files.items()})
    if not analyses:
        return _plan(command, read, shared)
    return {one["name"]: _plan_of_analysis(command, read, shared, one) for one in analyses}


def _plan_of_analysis(
    command: str, files: RunFiles, shared: dict[str, dict[str, Any]], analysis: dict[str, Any]
) -> RunPlan:
    """Put the plan of one of several analyses together; errors name it."""
    shared = {name: dict(table) for name, table in shared.items()}
    if "contrast" in analysis["model"]:  # which replaces all contrasts
        shared["model"].pop("other_contrasts", None)
    values = {name: {**table, **analysis.get(name, {})} for name, table in shared.items()}
    try:
        return _plan(command, files, values)
    except InputError as error:
        raise type(error)(f"analysis '{analysis['name']}': {error}") from None


def _plan(command: str, files: RunFiles, tables: dict[str, dict[str, Any]]) -> RunPlan:
    """Make a plan of the values of its tables."""
    model = tables["model"]
    _read_contrasts(model)
    if not model.get("design"):
        raise OptionError("a design is needed: --design FORMULA, such as --design '~ batch + condition'.")
    return RunPlan(
        command=command,
        files=files,
        model=ModelPlan(**model),
        eb=EbOptions(**tables["eb"]),
        sample=SamplePlan(**tables["sample"]),
        sampling=SamplingOptions(**tables["sampling"]),
        priors=Priors.from_dict(tables["priors"]),
    )


def _model(chosen: dict[str, Any]) -> dict[str, Any]:
    """Tell the contrast of the main table from the others."""
    model = dict(chosen)
    if contrasts := model.pop("contrast", None):
        model |= {"contrast": contrasts[0], "other_contrasts": contrasts[1:]}
    return model


def _read_contrasts(model: dict[str, Any]) -> None:
    """Read contrasts that are text, as a configuration file may have them, too."""
    others = model.get("other_contrasts", [])
    if not isinstance(others, list):
        raise OptionError(f"other_contrasts must be a list of contrasts; got {others!r}.")
    model["other_contrasts"] = [read_contrast(one) if isinstance(one, str) else one for one in others]
    if isinstance(model.get("contrast"), str):
        model["contrast"] = read_contrast(model["contrast"])
