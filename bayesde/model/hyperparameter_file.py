"""The file of the hyperparameters: one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from bayesde.errors import InputError, first_few
from bayesde.io import write_atomically
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameter_names import OF_RANDOM_EFFECTS, OF_RESIDUALS
from bayesde.options import nearest

__all__ = ["read_values", "write_values"]

REQUIRED = ("shrinkage_scale", "dispersion_sd", "asymptotic_dispersion", "extra_poisson", "residuals", "nu")
WIDE = OF_RESIDUALS["two_normals"]
OPTIONAL = ("sd", "draws", "source", "checks", "effect_nu", "pi0", "mixtures", *WIDE, *OF_RANDOM_EFFECTS)
OF_LAWS = ("effect_nu", "pi0", "mixtures")
"""Keys that are written where a law of effects is not Cauchy's."""


def read_values(path: str | PathLike[str]) -> dict[str, Any]:
    """Read the values of the hyperparameters, with standard deviations and draws where there are some.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict
        Arguments of `Hyperparameters`, but for ``source`` and ``checks``, which are not read.

    Raises
    ------
    InputError
        If the file cannot be read, a key is missing or unknown, or draws are not numbers.
    """
    values = _read(Path(path))
    _check_keys(values, f"'{path}'")
    draws = values.get("draws") or {}
    for name in ("shrinkage_scale", "sd", "draws", *OF_LAWS, *OF_RANDOM_EFFECTS):
        if not isinstance(values.get(name) or {}, Mapping):
            raise InputError(f"'{path}': {name} must be an object with names and numbers.")
    found: dict[str, Any] = {name: values[name] for name in REQUIRED}
    found |= {name: values.get(name) for name in WIDE}
    found["sd"] = dict(values.get("sd") or {})
    found |= {name: dict(values.get(name) or {}) for name in ("effect_nu", "pi0", *OF_RANDOM_EFFECTS)}
    mixtures = (values.get("mixtures") or {}).items()
    found["mixtures"] = {name: EffectMixture.from_dict(law) for name, law in mixtures}
    found["draws"] = {name: _draw_array(name, column) for name, column in draws.items()}
    return found


def write_values(path: str | PathLike[str], values: Mapping[str, Any]) -> None:
    """Write the values of the hyperparameters, under a temporary name first.

    Parameters
    ----------
    path : path
    values : mapping
        With the keys of `REQUIRED` and `OPTIONAL`; draws as arrays (draw,).
    """
    text = {name: values[name] for name in REQUIRED}
    text |= {"sd": values["sd"], "source": values["source"], "checks": values["checks"]}
    text["draws"] = {name: column.tolist() for name, column in values["draws"].items()} or None
    text |= {name: values[name] for name in WIDE if values[name] is not None}
    text |= {name: values[name] for name in ("effect_nu", "pi0", *OF_RANDOM_EFFECTS) if values[name]}
    if values["mixtures"]:
        text["mixtures"] = {name: law.to_dict() for name, law in values["mixtures"].items()}
    write_atomically(path, json.dumps(text, indent=1) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(f"cannot read the hyperparameters '{path}': {problem.strerror}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise InputError(f"'{path}' is not valid JSON: {problem}.") from None
    if not isinstance(values, dict):
        raise InputError(f"'{path}' must hold one JSON object with the keys {', '.join(REQUIRED)}.")
    return values


def _check_keys(values: Mapping[str, Any], where: str) -> None:
    """Refuse keys that are missing or unknown."""
    unknown = [key for key in values if key not in REQUIRED + OPTIONAL]
    if unknown:
        raise InputError(
            f"{where}: unknown key {first_few(unknown)};{nearest(unknown[0], REQUIRED + OPTIONAL)} "
            f"allowed are {', '.join(REQUIRED + OPTIONAL)}."
        )
    missing = [key for key in REQUIRED if key not in values]
    if missing:
        raise InputError(f"{where}: missing key {first_few(missing)}; {', '.join(REQUIRED)} are all needed.")


def _draw_array(name: str, column: Any) -> np.ndarray:
    """Read one column of draws."""
    try:
        values = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise InputError(f"hyperparameters: draws['{name}'] must be a list of finite numbers.")
    return values
