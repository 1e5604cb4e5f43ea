r"""Random effects: terms such as ``(1 | donor)`` of a formula, in the syntax of lme4.

    ln mu_j = ln s_j + x_j . beta + sum_g z_gj . u_g,level(j),     u_g,l ~ Normal(0, diag(tau_g^2))

Samples of one level of a grouping (a donor, a litter) share the effects u of its columns: one column of ones
for an intercept, the values of a covariate for a slope. The effects of different columns are independent, so
that ``(1 + time | donor)`` means what lme4 writes ``(1 + time || donor)``. Nested groupings
``(1 | clinic/patient)`` are ``(1 | clinic) + (1 | clinic:patient)``. The package formulae reads the terms
(Capretto et al. 2022, https://bambinos.github.io/formulae); formulaic reads the rest of the formula.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesde.design.formula import check_variables, evaluated, formula_data, level_text, parsed_formula
from bayesde.design.formula import variables as variables_of
from bayesde.errors import BayesdeWarning, InputError, OptionError, first_few

__all__ = ["Grouping", "fixed_formula", "read_groupings", "refuse_for_point_estimates", "refuse_groupings"]

FEWEST_LEVELS, FEW_LEVELS = 3, 6
"""Levels that a grouping must have; and below which they say little about the standard deviation."""
SEPARATOR = ":"
RANK_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class Grouping:
    """Samples in groups that have random effects in common.

    Attributes
    ----------
    name : str
        ``"donor"``; of several variables ``"clinic:patient"``.
    term : str
        ``"(1 | donor)"``.
    levels : tuple of str
        Those that samples have.
    level : ndarray of int64 (sample,)
        Position in `levels` of every sample's.
    columns : ndarray (sample, effect)
        What the effects are multiplied by: ones for an intercept. Read-only, as is `level`.
    column_names : tuple of str
        ``("Intercept",)``, ``("Intercept", "time")``.
    """

    name: str
    term: str
    levels: tuple[str, ...]
    level: np.ndarray
    columns: np.ndarray
    column_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, kind in (("level", np.int64), ("columns", np.float64)):
            values = np.array(getattr(self, name), dtype=kind, order="C")
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    @property
    def n_levels(self) -> int:
        """Number of levels."""
        return len(self.levels)

    @property
    def sd_names(self) -> tuple[str, ...]:
        """What the standard deviation of each column is called: ``"donor"``, of a slope ``"time|donor"``."""
        return tuple(self.name if one == "Intercept" else f"{one}|{self.name}" for one in self.column_names)

    @property
    def is_intercept(self) -> bool:
        """Whether an intercept is its only effect."""
        return self.column_names == ("Intercept",)


def fixed_formula(formula: str) -> str:
    """Return a formula without its random effects.

    Parameters
    ----------
    formula : str

    Returns
    -------
    str
        The formula itself if it has none.

    Raises
    ------
    InputError
        If random effects are not added to the others.
    """
    return _split(formula)[0]


def _split(formula: Any) -> tuple[str, list[str]]:
    """Split a formula into its fixed effects and its terms in parentheses with a bar, without parentheses."""
    if not isinstance(formula, str) or "|" not in formula:
        return formula, []
    kept, pieces, at = "", [], 0
    for begin, end in _parentheses(formula):
        inside = formula[begin + 1 : end]
        if "|" not in re.sub(r"`[^`]*`", "", inside):
            continue
        before = formula[at:begin].rstrip()
        if before and before[-1] not in "~+":
            raise InputError(
                f"the design '{formula}': the random effects ({inside}) must be added to the other terms, "
                f"such as '~ condition + ({inside})'."
            )
        pieces.append(re.sub(r"\s*\|\|?\s*", " | ", inside.strip()))
        kept, at = kept + before.removesuffix("+"), end + 1
    rest = kept + formula[at:]
    rest = re.sub(r"~\s*\+\s*", "~ ", re.sub(r"~\s\s+", "~ ", rest)).strip()
    return ("~ 1" if rest in ("", "~") else rest), pieces


def _parentheses(text: str) -> list[tuple[int, int]]:
    """Return where the outermost parentheses begin and end that are not those of a call."""
    found, depth, begin = [], 0, 0
    for at, letter in enumerate(text):
        if letter == "(":
            begin, depth = (at if depth == 0 else begin), depth + 1
        elif letter == ")" and depth > 0:
            depth -= 1
            called = re.search(r"[\w.`]$", text[:begin]) is not None
            if depth == 0 and not called:
                found.append((begin, at))
    return found


def read_groupings(formula: str, table: pd.DataFrame, fixed: np.ndarray) -> tuple[Grouping, ...]:
    """Read the random effects of a formula.

    Parameters
    ----------
    formula : str
    table : pandas.DataFrame
        One row a sample.
    fixed : ndarray (sample, coefficient)
        The model matrix of the fixed effects.

    Returns
    -------
    tuple of Grouping
        In the order of the formula; none if it has no random effects.

    Raises
    ------
    InputError
        If a term cannot be read, a variable is not in the table or has missing values, a grouping has fewer
        than `FEWEST_LEVELS` levels or one for each sample, or the fixed effects tell its levels apart.

    Warns
    -----
    BayesdeWarning
        If a grouping has fewer than `FEW_LEVELS` levels.
    """
    found: list[Grouping] = []
    for piece in _split(formula)[1]:
        effects, names = _effects(piece, table, formula)
        for factors in _factors(piece, formula):
            check_variables(factors, table, formula)
            found.append(_grouping(factors, effects, names, table))
    _check_twice(found, formula)
    for grouping in found:
        _check(grouping, fixed)
    return tuple(found)


def _factors(piece: str, formula: str) -> list[tuple[str, ...]]:
    """Return the variables of every grouping of a term: of ``1 | a/b`` those are a, and a and b."""
    from formulae import model_description  # takes half a second to import, and few formulas need it

    try:
        terms = model_description(f"({piece})").group_terms
        found = dict.fromkeys(tuple(str(part.name) for part in term.factor.components) for term in terms)
    except Exception as error:  # the parser raises exceptions of many kinds
        raise InputError(
            f"the design '{formula}': the random effects ({piece}) cannot be read: {error}. "
            "Write them as in lme4: (1 | donor), (1 | clinic/patient), (0 + time | donor)."
        ) from error
    if not found:
        raise InputError(f"the design '{formula}': ({piece}) has no grouping; write (1 | donor).")
    return [tuple(re.sub(r"^C\((.*)\)$", r"\1", name) for name in factors) for factors in found]


def _effects(piece: str, table: pd.DataFrame, formula: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the columns (sample, effect) on the left of the bar, and their names."""
    parsed = parsed_formula(f"~ {piece.split(' | ')[0]}")
    names = variables_of(parsed)
    check_variables(names, table, formula)
    data, _ = formula_data(parsed, names, table, {})
    matrix, _ = evaluated(parsed, data, formula)
    values = matrix.to_numpy(dtype=np.float64)
    empty = ~(values != 0.0).any(axis=0) | ~np.isfinite(values).all(axis=0)
    if empty.any():
        raise InputError(
            f"the design '{formula}': the random effect of {first_few(matrix.columns[empty])} is 0 or not "
            "finite for every sample; leave it out."
        )
    return values, tuple(map(str, matrix.columns))


def _grouping(
    factors: tuple[str, ...], columns: np.ndarray, column_names: tuple[str, ...], table: pd.DataFrame
) -> Grouping:
    """Find the levels of a grouping that samples have."""
    texts = [[level_text(value) for value in table[name]] for name in factors]
    of_samples = [SEPARATOR.join(parts) for parts in zip(*texts, strict=True)]
    levels = tuple(dict.fromkeys(of_samples))
    name = SEPARATOR.join(factors)
    left = " + ".join("1" if one == "Intercept" else one for one in column_names)
    left = left if "Intercept" in column_names else f"0 + {left}"
    level = [levels.index(text) for text in of_samples]
    return Grouping(name, f"({left} | {name})", levels, np.array(level), columns, column_names)


def _check_twice(found: list[Grouping], formula: str) -> None:
    """Refuse random effects that are given twice."""
    names = [name for grouping in found for name in grouping.sd_names]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"the design '{formula}' has random effects of {first_few(sorted(twice))} twice.")


def _check(grouping: Grouping, fixed: np.ndarray) -> None:
    """Refuse a grouping whose standard deviation cannot be estimated; warn of few levels."""
    name, n, term = grouping.name, grouping.n_levels, grouping.term
    if n == grouping.level.size:
        raise InputError(
            f"the random effects {term}: every sample has a level of '{name}' of its own. What differs from "
            "sample to sample is what the dispersion describes; leave the term out."
        )
    if n < FEWEST_LEVELS:
        raise InputError(
            f"the random effects {term}: '{name}' has {n} level(s), {first_few(grouping.levels)}; a standard "
            f"deviation between levels needs {FEWEST_LEVELS}, better {FEW_LEVELS}. Make '{name}' a fixed "
            "effect."
        )
    if _in_span(grouping, fixed):
        raise InputError(
            f"the random effects {term}: the fixed effects already tell the levels of '{name}' apart, so "
            f"that nothing is left for random ones. Have '{name}' in the formula once, as a fixed effect or "
            f"as {term}."
        )
    if n < FEW_LEVELS:
        warnings.warn(
            f"the random effects {term}: '{name}' has {n} levels, which say little about the standard "
            "deviation between them: that of a gene mostly follows what all genes have taught of it.",
            BayesdeWarning,
            stacklevel=5,
        )


def _in_span(grouping: Grouping, fixed: np.ndarray) -> bool:
    """Tell whether the fixed effects contain all columns of all levels."""
    indicator = grouping.level[:, None] == np.arange(grouping.n_levels)
    every = [indicator * column[:, None] for column in grouping.columns.T]
    columns = np.concatenate(every, axis=1).astype(np.float64)
    rest = columns - fixed @ np.linalg.lstsq(fixed, columns, rcond=None)[0]
    return bool(np.abs(rest).max() < RANK_TOLERANCE * np.abs(columns).max())


def refuse_for_point_estimates(groupings: tuple[Grouping, ...]) -> None:
    """Refuse random effects of a fit of point estimates.

    Parameters
    ----------
    groupings : tuple of Grouping

    Raises
    ------
    OptionError
        If there are any.
    """
    refuse_groupings(
        groupings,
        "the empirical-Bayes fit",
        "Those that ignore them would be too certain: bayesde.fit_eb has point estimates with random "
        "effects, fit_posterior (bayesde sample) their posterior.",
    )


def refuse_groupings(groupings: tuple[Grouping, ...], what: str, instead: str) -> None:
    """Refuse random effects where they are not supported.

    Parameters
    ----------
    groupings : tuple of Grouping
    what : str
        That does not support them, such as ``"engine 'nuts'"``.
    instead : str
        What to do: a sentence.

    Raises
    ------
    OptionError
        If there are any.
    """
    if groupings:
        terms = " + ".join(grouping.term for grouping in groupings)
        raise OptionError(f"{what} has no random effects, and the design has {terms}. {instead}")
