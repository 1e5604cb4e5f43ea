"""From command-line options to the plan of a run."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesde.errors import InputError, OptionError

if TYPE_CHECKING:
    from bayesde.batch import RunPlan

__all__ = ["build_plan", "model_options"]


def model_options(
    design: str,
    contrast: str | None,
    reference: list[str] | None,
    size_factors: str | None,
    lfc_threshold: float,
) -> dict[str, Any]:
    """Gather what the model options say."""
    return {
        "design": design,
        "contrast": _contrast(contrast),
        "references": _references(reference or []),
        "size_factors": size_factors,
        "lfc_threshold": lfc_threshold,
    }


def _contrast(text: str | None) -> tuple[str, ...] | tuple[float, ...] | str | None:
    """Tell ``factor,level,reference`` and weights, ``0,1,-1`` or ``[0,1,-1]``, from a contrast."""
    if text is None:
        return None
    bare = text.strip()
    parts = [part.strip() for part in bare.removeprefix("[").removesuffix("]").split(",")]
    with contextlib.suppress(ValueError):
        return tuple(float(part) for part in parts)
    return text if "[" in text or len(parts) != 3 else tuple(parts)


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
    config: Path | None,
    trend: str | None,
    chosen: dict[str, Any],
) -> RunPlan:
    """Put a plan together: defaults, then the configuration file, then the command line."""
    from bayesde.batch.plan import ModelPlan, RunFiles, RunPlan, SamplePlan, read_config
    from bayesde.options import EbOptions
    from bayesde.posterior.options import SamplingOptions

    tables = {} if config is None else read_config(config)
    given = {name: value for name, value in chosen.items() if value is not None}
    eb = tables.get("eb", {}) | ({} if trend is None else {"trend": trend})
    sample, sampling = tables.get("sample", {}) | given, tables.get("sampling", {})
    if sample.get("engine") == "joint" and (trend is not None or "trend" not in sampling):
        sampling = sampling | {"trend": "constant" if eb.get("trend") == "mean" else "parametric"}
    if files.get("normalization_factors") is not None and model["size_factors"] is not None:
        raise OptionError("--normalization-factors take the place of size factors: leave out --size-factors")
    return RunPlan(
        command=command,
        files=RunFiles(**{name: str(path) for name, path in files.items() if path is not None}),
        model=ModelPlan(**{name: value for name, value in model.items() if value is not None}),
        eb=EbOptions(**eb),
        sample=SamplePlan(**sample),
        sampling=SamplingOptions(**sampling),
    )
