"""The names of the hyperparameters, in tables, files and draws."""

from __future__ import annotations

__all__ = ["SCALE", "SHARED", "coefficient_of", "scale_name"]

SCALE = "shrinkage_scale"
SHARED = ("dispersion_sd", "asymptotic_dispersion", "extra_poisson")
"""The hyperparameters that every model has, beside the scales of its effects."""


def scale_name(coefficient: str) -> str:
    """Return the name of a coefficient's scale among the hyperparameters, ``shrinkage_scale[COEFFICIENT]``.

    Parameters
    ----------
    coefficient : str
    """
    return f"{SCALE}[{coefficient}]"


def coefficient_of(name: str) -> str | None:
    """Return the coefficient whose scale a hyperparameter is; None if it is no scale.

    Parameters
    ----------
    name : str
        As `Hyperparameters.named` has it.
    """
    return name[len(SCALE) + 1 : -1] if name.startswith(f"{SCALE}[") else None
