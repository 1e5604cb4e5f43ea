"""The names of the hyperparameters, in tables, files and draws."""

from __future__ import annotations

__all__ = [
    "EFFECT_NU",
    "OF_EFFECTS",
    "OF_RANDOM_EFFECTS",
    "OF_RESIDUALS",
    "PI0",
    "RANDOM_SD",
    "RANDOM_SPREAD",
    "SCALE",
    "SHARED",
    "WIDE_RATIO",
    "WIDE_SHARE",
    "effect_name",
    "effect_part",
    "random_part",
    "scale_name",
]

SCALE, EFFECT_NU, PI0 = "shrinkage_scale", "effect_nu", "pi0"
OF_EFFECTS = (SCALE, EFFECT_NU, PI0)
"""The hyperparameters of a coefficient's prior: scale, degrees of freedom, probability of zero."""
SHARED = ("dispersion_sd", "asymptotic_dispersion", "extra_poisson")
"""The hyperparameters that every model has, beside those of its effects."""
RANDOM_SD, RANDOM_SPREAD = "random_effect_sd", "random_effect_sd_spread"
OF_RANDOM_EFFECTS = (RANDOM_SD, RANDOM_SPREAD)
"""The law of the standard deviations of random effects over the genes: median, and standard deviation of the
natural log."""
WIDE_SHARE, WIDE_RATIO = "wide_share", "wide_ratio"
OF_RESIDUALS: dict[str, tuple[str, ...]] = {
    "normal": (),
    "student_t": ("nu",),
    "two_normals": (WIDE_SHARE, WIDE_RATIO),
}
"""The hyperparameters of every law of the residuals around the dispersion trend."""


def scale_name(coefficient: str) -> str:
    """Return the name of a coefficient's scale among the hyperparameters, ``shrinkage_scale[COEFFICIENT]``.

    Parameters
    ----------
    coefficient : str
    """
    return effect_name(SCALE, coefficient)


def effect_name(part: str, coefficient: str) -> str:
    """Return the name of a hyperparameter of a coefficient's prior, ``PART[COEFFICIENT]``.

    Parameters
    ----------
    part : str
        Of `OF_EFFECTS`, or of `OF_RANDOM_EFFECTS`.
    coefficient : str
        Or the name of random effects.
    """
    return f"{part}[{coefficient}]"


def effect_part(name: str) -> tuple[str, str] | None:
    """Return which part of which coefficient's prior a hyperparameter is; None if it is of no effect.

    Parameters
    ----------
    name : str
        As `Hyperparameters.named` has it.
    """
    return _part(name, OF_EFFECTS)


def random_part(name: str) -> tuple[str, str] | None:
    """Return which part of which random effects' law a hyperparameter is; None if it is of none.

    Parameters
    ----------
    name : str
        As `Hyperparameters.named` has it.
    """
    return _part(name, OF_RANDOM_EFFECTS)


def _part(name: str, parts: tuple[str, ...]) -> tuple[str, str] | None:
    for part in parts:
        if name.startswith(f"{part}["):
            return part, name[len(part) + 1 : -1]
    return None
