"""Formulas: from text and a sample table to a model matrix with named columns."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from formulaic import Formula, ModelSpec
from formulaic.errors import FormulaicError
from formulaic.parser.types import Factor
from formulaic.transforms import TRANSFORMS

from bayesde.errors import InputError, first_few
from bayesde.options import nearest

__all__ = [
    "check_variables",
    "level_text",
    "evaluated",
    "parsed_formula",
    "formula_data",
    "term_columns",
    "variables",
]


def parsed_formula(formula: str) -> Formula:
    """Parse a formula with a right-hand side only.

    Parameters
    ----------
    formula : str

    Returns
    -------
    formulaic.Formula

    Raises
    ------
    InputError
        If it cannot be parsed, or has a response, several parts or no terms.
    """
    if not isinstance(formula, str) or not formula.strip():
        raise InputError(f"the design is {formula!r}; give a formula such as '~ batch + condition'.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = Formula(formula)
    except (FormulaicError, SyntaxError, ValueError) as error:
        first_line = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()[0]
        raise InputError(f"the design '{formula}' cannot be read: {first_line}.") from error
    if not isinstance(parsed, Sequence):
        raise InputError(
            f"the design '{formula}' has a response or several parts; write only the right-hand side, such "
            "as '~ batch + condition'; random effects in parentheses, such as '~ condition + (1 | donor)'."
        )
    if not list(parsed):
        raise InputError(f"the design '{formula}' has no terms; '~ 1' fits one mean for each gene.")
    return parsed


def variables(terms: Iterable[Any]) -> list[str]:
    """List the variables of terms in the order in which they first occur.

    (``Formula.required_variables`` is a set, and lacks those inside stateful transformations.)

    Parameters
    ----------
    terms : iterable of formulaic terms

    Returns
    -------
    list of str
    """
    found: dict[str, None] = {}
    for term in terms:
        for factor in term.factors:
            found.update(dict.fromkeys(_expression_variables(factor)))
    return list(found)


def _expression_variables(factor: Any) -> list[str]:
    """List the variables of one factor such as ``age`` or ``np.log(age)``."""
    if factor.eval_method is Factor.EvalMethod.LITERAL:
        return []
    if factor.eval_method is Factor.EvalMethod.LOOKUP:
        return [str(factor.expr)]
    quoted: list[str] = re.findall(r"`([^`]+)`", factor.expr)
    bare = re.sub(r"`[^`]+`", "0", factor.expr)
    nodes = [node for node in ast.walk(ast.parse(bare, mode="eval")) if isinstance(node, ast.Name)]
    names = [node.id for node in sorted(nodes, key=lambda node: node.col_offset)]
    return quoted + [name for name in names if name not in TRANSFORMS]


def check_variables(names: Sequence[str], table: pd.DataFrame, formula: str) -> None:
    """Refuse variables that are not in the sample table, or have missing values.

    Parameters
    ----------
    names : sequence of str
        The variables.
    table : pandas.DataFrame
        The sample table.
    formula : str
        For messages.

    Raises
    ------
    InputError
    """
    for name in names:
        if name not in table.columns:
            columns = first_few(table.columns, 20) or "none"
            raise InputError(
                f"the design '{formula}' uses '{name}', which is not in the sample "
                f"table.{nearest(name, [str(label) for label in table.columns])} Its columns are {columns}."
            )
        column = table[name]
        gaps = column.isna()
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            gaps |= ~np.isfinite(column.astype(float))
        else:
            gaps |= column.astype(str).str.strip() == ""
        if gaps.any():
            raise InputError(
                f"'{name}' is missing or not finite for the sample(s) "
                f"{first_few(table.index[gaps.to_numpy(dtype=bool)])}; "
                "fill it in or drop these samples from counts and table."
            )


def formula_data(
    parsed: Formula, names: Sequence[str], table: pd.DataFrame, references: dict[str, str]
) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]]]:
    """Copy the variables of a formula, factors as categories with the reference level first.

    Parameters
    ----------
    parsed : formulaic.Formula
    names : sequence of str
        Its variables.
    table : pandas.DataFrame
        The sample table.
    references : dict of str to str
        Reference level by factor; emptied.

    Returns
    -------
    data : pandas.DataFrame
    factors : dict of str to tuple of str
        Levels by factor.

    Raises
    ------
    InputError
        If a factor has one level, or a reference does not exist.
    """
    expressions = {str(factor.expr) for term in parsed for factor in term.factors}
    columns: dict[str, Any] = {}
    factors: dict[str, tuple[str, ...]] = {}
    for name in names:
        column = table[name]
        numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if numeric and (name in expressions or f"C({name})" not in expressions):
            columns[name] = column.to_numpy(dtype=np.float64)
            continue
        texts, levels = _levels(column)
        factors[name] = _ordered(name, levels, references.pop(name, None))
        columns[name] = pd.Categorical(texts, categories=list(factors[name]))
    if references:
        name = next(iter(references))
        raise InputError(
            f"a reference level is given for '{name}', which is not a factor of the design."
            f"{nearest(name, factors)} Its factors are {first_few(factors, 20) or 'none'}."
        )
    return pd.DataFrame(columns, index=table.index), factors


def _levels(column: pd.Series) -> tuple[list[str], list[str]]:
    """Return the values of a factor as text, and the levels that occur, in order."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        order = list(column.cat.categories[column.cat.categories.isin(column)])
    else:
        found = list(column.unique())
        alike = len({isinstance(value, str) for value in found}) == 1
        order = sorted(found) if alike else sorted(found, key=level_text)
    texts = {value: level_text(value) for value in order}
    return [texts[value] for value in column], list(dict.fromkeys(texts.values()))


def level_text(value: Any) -> str:
    """Write a level as text; 2.0 becomes 2.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
    """
    return str(int(value)) if isinstance(value, (float, np.floating)) and value.is_integer() else str(value)


def _ordered(name: str, levels: list[str], reference: str | None) -> tuple[str, ...]:
    """Put the reference level first."""
    if len(levels) < 2:
        raise InputError(
            f"the factor '{name}' has one level, {first_few(levels)}, for all samples, so that its effect "
            "cannot be estimated; leave it out of the design."
        )
    if reference is None:
        return tuple(levels)
    if str(reference) not in levels:
        raise InputError(
            f"the reference '{reference}' is not a level of '{name}'; its levels are {first_few(levels, 20)}."
            f"{nearest(str(reference), levels)}"
        )
    return (str(reference), *(level for level in levels if level != str(reference)))


def evaluated(parsed: Formula, data: pd.DataFrame, formula: str) -> tuple[pd.DataFrame, ModelSpec]:
    """Evaluate a formula on its variables; no other names are available to it.

    Parameters
    ----------
    parsed : formulaic.Formula
    data : pandas.DataFrame
        Its variables.
    formula : str
        For messages.

    Returns
    -------
    matrix : pandas.DataFrame, (sample, coefficient)
    spec : formulaic.ModelSpec

    Raises
    ------
    InputError
        If it cannot be evaluated.
    """
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            matrix = parsed.get_model_matrix(data, context={}, na_action="ignore", output="pandas")
    except Exception as error:  # a formula may hold any expression, which may fail in any way
        reason = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
        raise InputError(f"the design '{formula}' cannot be evaluated: {reason}.") from error
    return matrix, matrix.model_spec


def term_columns(spec: ModelSpec, n_coefficients: int) -> dict[str, tuple[int, ...]]:
    """Return the columns of each term.

    Parameters
    ----------
    spec : formulaic.ModelSpec
    n_coefficients : int
        Columns of the model matrix.

    Returns
    -------
    dict of str to tuple of int
        By term; the term ``1`` is called Intercept.
    """
    return {
        "Intercept" if str(term) == "1" else str(term): tuple(range(*columns.indices(n_coefficients)))
        for term, columns in spec.term_slices.items()
    }
