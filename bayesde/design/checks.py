"""Legal but suspicious sample tables: levels that look alike, numeric columns that may be group labels."""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bayesde.errors import BayesdeWarning, first_few

__all__ = ["entered_as_numbers", "warn_similar_levels", "warn_numeric_groups"]

_IDENTIFIER = re.compile(
    r"(?:^|[_. -]|(?<=[a-z])(?=[A-Z]))"
    r"(?:id|ids|patient|pat|subject|subj|donor|individual|person|participant|animal|mouse|mice|rat|litter"
    r"|batch|lane|run|flowcell|plate|pool|chip|slide|array|well|site|cent(?:er|re)|hospital|family|pair|block"
    r"|clone|colony|line|passage|rep|repl|replicate|library|lib|prep|cluster|group|cohort|experiment|exp)"
    r"(?:s|[_. -]?(?:id|ids|no|nr|num|number|code|n))?[0-9]?$",
    re.IGNORECASE,
)
_MEASURED = re.compile(
    r"(?:^|[_. -])(?:age|bmi|weight|height|rin|pmi|ph|score|percent|percentage|pct|rate|ratio|concentration"
    r"|volume|temperature|depth|years?)(?:$|[_. -])",
    re.IGNORECASE,
)
MOST_DISTINCT = 6
"""A column of more distinct numbers is taken for a measurement, unless it is named like an identifier."""


def warn_similar_levels(factors: Mapping[str, tuple[str, ...]]) -> None:
    """Warn of levels that differ only in case, whitespace or punctuation.

    Parameters
    ----------
    factors : mapping of str to tuple of str
        Levels by factor.

    Warns
    -----
    BayesdeWarning
    """
    for name, levels in factors.items():
        alike: dict[str, list[str]] = defaultdict(list)
        for level in levels:
            alike[_key(level)].append(level)
        pairs = [" and ".join(f"'{level}'" for level in group) for group in alike.values() if len(group) > 1]
        if pairs:
            warnings.warn(
                f"levels of '{name}' differ only in case, whitespace or punctuation: {'; '.join(pairs)}. "
                "They are fitted as different groups; if they are the same, use one spelling in the table.",
                BayesdeWarning,
                stacklevel=5,
            )


def _key(level: str) -> str:
    """Reduce a level to what distinguishes it: numbers, and signs at the end of a name, are kept."""
    if re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", level, re.IGNORECASE):
        return level
    between_digits = re.sub(r"(?<=\d)[\s_.\-]+(?=\d)", "|", level.casefold())
    return re.sub(r"[\s_.]+|-(?=.)|(?<=[\s_.])-", "", between_digits) or level


def entered_as_numbers(parsed: Any, data: pd.DataFrame) -> pd.DataFrame:
    """Select the numeric variables that a formula uses as they are, not within an expression.

    Parameters
    ----------
    parsed : formulaic.Formula
    data : pandas.DataFrame
        Its variables, factors as categories.

    Returns
    -------
    pandas.DataFrame
    """
    expressions = {str(factor.expr) for term in parsed for factor in term.factors}
    return data[[name for name in data if name in expressions and data[name].dtype == np.float64]]


def warn_numeric_groups(data: pd.DataFrame) -> None:
    """Warn of covariates that may be group labels, by their name or because few values are repeated.

    Parameters
    ----------
    data : pandas.DataFrame
        Numeric variables that a formula uses as they are.

    Warns
    -----
    BayesdeWarning
    """
    for name in data:
        values = data[name].to_numpy()
        if _looks_like_groups(str(name), values):
            distinct = np.unique(values)
            slope = f"one slope, the change per unit, from {distinct[0]:g} to {distinct[-1]:g}"
            warnings.warn(
                f"`{name}` is used as a number: {slope} ({distinct.size} distinct values: "
                f"{first_few([f'{value:g}' for value in distinct])}). Write C({name}) in the design if the "
                "values are group labels; leave it as it is if the change is proportional to the value.",
                BayesdeWarning,
                stacklevel=5,
            )


def _looks_like_groups(name: str, values: np.ndarray) -> bool:
    """Judge by the name, by whether numbers are integers, and by how often they are repeated."""
    distinct, sizes = np.unique(values, return_counts=True)
    whole = bool((distinct == np.floor(distinct)).all())
    if _IDENTIFIER.search(name) and whole and distinct.size > 1:
        return True
    if distinct.size < 2 or _MEASURED.search(name) or set(distinct) <= {0.0, 1.0}:
        return False
    fewest = 2 if whole else 3
    return bool(distinct.size <= MOST_DISTINCT and sizes.min() >= fewest)
