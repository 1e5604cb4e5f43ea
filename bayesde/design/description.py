"""Description of a design: its factors with the sizes of their levels, and the ranges of its covariates."""

from __future__ import annotations

from collections import Counter

from bayesde.design.matrix import DesignMatrix
from bayesde.design.random_effects import Grouping

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
        covariate, ``"(1 | donor): 6 levels of 2 samples"`` of random effects; empty for a bare matrix.
    """
    factors = [f"{name}: {_levels(levels, design.groups[name])}" for name, levels in design.factors.items()]
    numbers = [f"{name}: {low:g} to {high:g} (a number)" for name, (low, high) in design.ranges.items()]
    return factors + numbers + [_random_effects(grouping) for grouping in design.groupings]


def _random_effects(grouping: Grouping) -> str:
    """Say how many levels a grouping has, and of how many samples."""
    sizes = Counter(grouping.level.tolist()).values()
    few, most = min(sizes), max(sizes)
    samples = f"{few} sample{'s' * (most > 1)}" if few == most else f"{few} to {most} samples"
    return f"{grouping.term}: {grouping.n_levels} levels of {samples}"


def _levels(levels: tuple[str, ...], groups: tuple[str, ...]) -> str:
    """List levels with their numbers of samples, the reference first."""
    sizes = Counter(groups)
    first, *others = levels
    listed = [f"{first} {sizes[first]} (reference)", *(f"{level} {sizes[level]}" for level in others)]
    more = len(listed) - MOST_LEVELS
    return ", ".join(listed[:MOST_LEVELS]) + (f" and {more} more levels" if more > 0 else "")
