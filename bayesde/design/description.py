"""Description of a design: its factors with the sizes of their levels, and the ranges of its covariates."""

from __future__ import annotations

from collections import Counter

from bayesde.design.matrix import DesignMatrix

__all__ = ["variable_lines"]

MOST_LEVELS = 12
"""Levels that are listed; of a factor with more, only the first."""


def variable_lines(design: DesignMatrix) -> list[str]:
    """Describe each variable of a formula.

    Parameters
    ----------
    design : DesignMatrix

    Returns
    -------
    list of str
        ``"condition: control 4 (reference), treated 4"`` of a factor, ``"age: 21 to 64 (a number)"`` of a
        covariate; empty for a bare matrix.
    """
    factors = [f"{name}: {_levels(levels, design.groups[name])}" for name, levels in design.factors.items()]
    return factors + [
        f"{name}: {low:g} to {high:g} (a number)" for name, (low, high) in design.ranges.items()
    ]


def _levels(levels: tuple[str, ...], groups: tuple[str, ...]) -> str:
    """List levels with their numbers of samples, the reference first."""
    sizes = Counter(groups)
    first, *others = levels
    listed = [f"{first} {sizes[first]} (reference)", *(f"{level} {sizes[level]}" for level in others)]
    more = len(listed) - MOST_LEVELS
    return ", ".join(listed[:MOST_LEVELS]) + (f" and {more} more levels" if more > 0 else "")
