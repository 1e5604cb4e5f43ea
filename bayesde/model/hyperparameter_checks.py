"""Which values hyperparameters may have, and what must go together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesde.errors import InputError, first_few
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameter_names import EFFECT_NU, OF_RANDOM_EFFECTS, OF_RESIDUALS, PI0, SCALE
from bayesde.options import nearest

__all__ = ["check_values"]

RESIDUALS = tuple(OF_RESIDUALS)
LARGEST = 1e6


def check_values(given: Any) -> None:
    """Refuse hyperparameters that do not fit together.

    Parameters
    ----------
    given : Hyperparameters

    Raises
    ------
    InputError
    """
    for name, scale in given.shrinkage_scale.items():
        _check_number(f"{SCALE}['{name}']", scale, 0.0)
    _check_laws(given)
    _check_number("dispersion_sd", given.dispersion_sd, 0.0)
    _check_number("asymptotic_dispersion", given.asymptotic_dispersion, 0.0)
    _check_number("extra_poisson", given.extra_poisson, 0.0, may_equal=True)
    _check_residuals(given)
    _check_random_effects(given)
    lengths = {name: len(column) for name, column in given.draws.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"hyperparameters: draws must be of one length; got {lengths}.")
    _check_draws(given)


def _check_number(name: str, value: Any, low: float, *, may_equal: bool = False) -> None:
    """Refuse anything but a finite number above (or at) a limit."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (number and (value > low or (may_equal and value == low)) and value <= LARGEST):
        raise InputError(
            f"hyperparameters: {name} must be a number {'from' if may_equal else 'above'} {low:g} to "
            f"{LARGEST:g}; got {value!r}."
        )


def _check_random_effects(given: Any) -> None:
    """Refuse laws of random effects that are not complete, and numbers that they cannot have."""
    if set(given.random_effect_sd) != set(given.random_effect_sd_spread):
        raise InputError(
            f"hyperparameters: {' and '.join(OF_RANDOM_EFFECTS)} must name the same random effects; got "
            f"{first_few(given.random_effect_sd) or 'none'} and "
            f"{first_few(given.random_effect_sd_spread) or 'none'}."
        )
    for part in OF_RANDOM_EFFECTS:
        for name, value in getattr(given, part).items():
            _check_number(f"{part}['{name}']", value, 0.0)


def _check_residuals(given: Any) -> None:
    """Refuse unknown laws of residuals, and numbers that do not belong to the law or that it cannot have."""
    if given.residuals not in RESIDUALS:
        raise InputError(
            f"hyperparameters: residuals must be one of 'normal', 'student_t', 'two_normals'; got "
            f"{given.residuals!r}.{nearest(str(given.residuals), RESIDUALS)}"
        )
    lowest = {"wide_ratio": 1.0}
    for law, names in OF_RESIDUALS.items():
        for name in names:
            value = getattr(given, name)
            if law == given.residuals:
                _check_number(name, value, lowest.get(name, 0.0))
            elif value is not None:
                raise InputError(
                    f"hyperparameters: {name} is for {law} residuals; got {value!r} with {given.residuals} "
                    "ones."
                )
    if given.wide_share is not None and given.wide_share >= 1.0:
        raise InputError(f"hyperparameters: wide_share must be below 1; got {given.wide_share!r}.")


def _check_laws(given: Any) -> None:
    """Refuse laws of coefficients that are not shrunken, and numbers that they cannot have."""
    parts: dict[str, Mapping[str, Any]] = {
        EFFECT_NU: given.effect_nu,
        PI0: given.pi0,
        "mixtures": given.mixtures,
    }
    for part, by in parts.items():
        unknown = [name for name in by if name not in given.shrinkage_scale]
        if unknown:
            raise InputError(
                f"hyperparameters: {part} names {first_few(unknown)}, without a {SCALE}; "
                f"{first_few(given.shrinkage_scale, 20) or 'no coefficient'} has one."
            )
    for name, value in given.effect_nu.items():
        _check_number(f"{EFFECT_NU}['{name}']", value, 0.0)
    for name, value in given.pi0.items():
        if name not in given.effect_nu:
            raise InputError(f"hyperparameters: {PI0}['{name}'] needs {EFFECT_NU}['{name}'] beside it.")
        _check_number(f"{PI0}['{name}']", value, 0.0)
        if value >= 1.0:
            raise InputError(f"hyperparameters: {PI0}['{name}'] must be below 1; got {value!r}.")
    both = [name for name in given.mixtures if name in given.effect_nu]
    if both:
        raise InputError(f"hyperparameters: {first_few(both)} has both {EFFECT_NU} and a mixture; give one.")
    for name, law in given.mixtures.items():
        if not isinstance(law, EffectMixture):
            raise InputError(f"hyperparameters: mixtures['{name}'] must be an EffectMixture; got {law!r}.")


def _check_draws(given: Any) -> None:
    """Refuse draws of what is no hyperparameter here, or of values that it cannot have."""
    allowed = list(given.named)
    for name, column in given.draws.items():
        if name not in allowed:
            raise InputError(
                f"hyperparameters: draws has '{name}';{nearest(name, allowed)} allowed are "
                f"{first_few(allowed, 20)}."
            )
        low = float(np.min(column))
        if low < 0.0 or (low == 0.0 and name != "extra_poisson"):
            raise InputError(f"hyperparameters: draws['{name}'] must be above 0; the smallest is {low:g}.")
        high = float(np.max(column))
        if high >= 1.0 and name.startswith(f"{PI0}["):
            raise InputError(f"hyperparameters: draws['{name}'] must be below 1; the largest is {high:g}.")
