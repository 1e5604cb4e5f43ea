"""From command-line options to the plan of a run."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesde.errors import InputError, OptionError

if TYPE_CHECKING:
    from bayesde.runs import RunPlan

__all__ = ["build_plan", "eb_options", "model_options", "sampling_options"]


def model_options(
    design: str | None,
    contrast: list[str] | None,
    reference: list[str] | None,
    size_factors: str | None,
    lfc_threshold: float | None,
) -> dict[str, Any]:
    """Gather what the model options say; None for what they do not say."""
    contrasts = [_contrast(text) for text in contrast or []]
    return {
        "design": design,
        "contrast": contrasts[0] if contrasts else None,
        "other_contrasts": contrasts[1:] if contrasts else None,
        "references": _references(reference) if reference else None,
        "size_factors": size_factors,
        "lfc_threshold": lfc_threshold,
    }


def eb_options(
    trend: str | None,
    fdr: float | None = None,
    no_filtering: bool = False,
    no_cooks: bool = False,
    no_replace: bool = False,
    use_t: bool = False,
) -> dict[str, Any]:
    """Gather what the options of the empirical-Bayes fit say; None for what they do not say."""
    return {
        "trend": trend,
        "fdr": fdr,
        "independent_filtering": False if no_filtering else None,
        "cooks_cutoff": False if no_cooks else None,
        "replace_outliers": False if no_replace else None,
        "use_t": True if use_t else None,
    }


def sampling_options(
    residuals: str | None,
    shrink: list[str] | None,
    scales: str | None,
    no_hand_over: bool,
    priors: list[str] | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Gather what is said of the model of the posterior: for the tables ``[sampling]`` and ``[priors]``."""
    sampling = {
        "residuals": residuals,
        "shrink": None if not shrink else _coefficients(shrink),
        "scales": scales,
        "hand_over": False if no_hand_over else None,
    }
    return sampling, dict(map(_prior, priors or []))


def _coefficients(names: list[str]) -> tuple[str, ...]:
    """Read the coefficients to be shrunken; ``none`` is no coefficient."""
    if "none" not in names:
        return tuple(names)
    if len(names) > 1:
        raise OptionError("--shrink-coefficient: 'none' shrinks nothing; give it alone or leave it out")
    return ()


def _prior(text: str) -> tuple[str, list[float] | float]:
    """Read ``NAME=VALUE`` or ``NAME=VALUE,VALUE``."""
    name, _, values = text.partition("=")
    try:
        numbers = [float(part) for part in values.split(",")]
    except ValueError:
        raise OptionError(
            f"--prior {text!r} is not understood; write it as NAME=VALUE,VALUE, such as "
            "shrinkage_scale=0.2,1.5"
        ) from None
    return name.strip(), numbers[0] if len(numbers) == 1 else numbers


def _contrast(text: str) -> tuple[str, ...] | tuple[float, ...] | str:
    """Tell ``factor,level,reference`` and weights, ``0,1,-1`` or ``[0,1,-1]``, from a contrast."""
    bare = text.strip()
    parts = [part.strip() for part in bare.removeprefix("[").removesuffix("]").split(",")]
    with contextlib.suppress(ValueError):
        return tuple(float(part) for part in parts)
    return text if "[" in text or len(parts) != 3 else tuple(parts)


def _read_contrasts(model: dict[str, Any]) -> None:
    """Read contrasts that are text, as a configuration file may have them, too."""
    others = model.get("other_contrasts", [])
    if not isinstance(others, list):
        raise OptionError(f"other_contrasts must be a list of contrasts; got {others!r}")
    model["other_contrasts"] = [_contrast(one) if isinstance(one, str) else one for one in others]
    if isinstance(model.get("contrast"), str):
        model["contrast"] = _contrast(model["contrast"])


def _references(texts: list[str]) -> dict[str, str]:
    """Read ``FACTOR=LEVEL``."""
    references = {}
    for text in texts:
        factor, separator, level = text.partition("=")
        if not (separator and factor.strip() and level.strip()):
            raise InputError(f"--reference {text!r} is not understood; write it as FACTOR=LEVEL")
        references[factor.strip()] = level.strip()
    return references


def build_plan(
    command: str,
    files: dict[str, Path | None],
    model: dict[str, Any],
    eb: dict[str, Any],
    config: Path | None,
    chosen: dict[str, Any],
    sampling: dict[str, Any] | None = None,
    priors: dict[str, Any] | None = None,
) -> RunPlan:
    """Put a plan together: defaults, then the configuration file, then the command line."""
    from bayesde.model.priors import Priors
    from bayesde.options import EbOptions
    from bayesde.posterior.options import SamplingOptions
    from bayesde.runs.plan import ModelPlan, RunFiles, RunPlan, SamplePlan, read_config

    tables = {} if config is None else read_config(config)
    if files.get("normalization_factors") is not None and model["size_factors"] is not None:
        raise OptionError("--normalization-factors take the place of size factors: leave out --size-factors")
    asked_trend = eb["trend"]
    given = {"model": model, "eb": eb, "sample": chosen, "sampling": sampling or {}, "priors": priors or {}}
    model, eb, sample, sampling, priors = (
        tables.get(name, {}) | {key: value for key, value in values.items() if value is not None}
        for name, values in given.items()
    )
    _read_contrasts(model)
    learnt = command == "sample" and files.get("hyperparameters") is None
    if learnt and (asked_trend is not None or "trend" not in sampling):
        sampling["trend"] = "constant" if eb.get("trend") == "mean" else "parametric"
    if not model.get("design"):
        raise OptionError("a design is needed: --design FORMULA, such as --design '~ batch + condition'")
    return RunPlan(
        command=command,
        files=RunFiles(**{name: str(path) for name, path in files.items() if path is not None}),
        model=ModelPlan(**model),
        eb=EbOptions(**eb),
        sample=SamplePlan(**sample),
        sampling=SamplingOptions(**sampling),
        priors=Priors.from_dict(priors),
    )
