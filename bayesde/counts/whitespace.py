"""Whitespace around names and levels, including no-break spaces and invisible characters."""

from __future__ import annotations

import operator
import warnings
from typing import Any

import pandas as pd

from bayesde.errors import BayesdeNote, first_few

__all__ = ["stripped", "stripped_labels", "stripped_table", "stripped_texts"]

# What str.strip() takes for blank, and characters without width: joiners, marks of byte order.
_SPACES = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
NO_BREAK = "\u00a0"
_EDGES = _SPACES + "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"


def stripped(value: Any) -> Any:
    """Return text without whitespace around it, anything else unchanged.

    Parameters
    ----------
    value : object

    Returns
    -------
    object
    """
    return value.strip(_EDGES) if isinstance(value, str) else value


def stripped_texts(values: list[Any]) -> list[Any]:
    """Strip many values, each as `stripped` does; fast where all are plain text.

    Parameters
    ----------
    values : list
        Text or anything else.

    Returns
    -------
    list
        As long as `values`.
    """
    try:
        plain = "".join(values).isascii()
    except TypeError:  # some are not text
        plain = False
    return list(map(str.strip, values)) if plain else list(map(stripped, values))


def stripped_labels(labels: pd.Index) -> pd.Index:
    """Strip names.

    Parameters
    ----------
    labels : pandas.Index

    Returns
    -------
    pandas.Index
        New, or `labels` itself where there is nothing to strip.
    """
    if isinstance(labels, pd.MultiIndex) or pd.api.types.is_numeric_dtype(labels):
        return labels
    before = list(labels)
    after = stripped_texts(before)
    return labels if _same(before, after) else pd.Index(after, dtype=object, name=labels.name)


def stripped_table(table: pd.DataFrame) -> pd.DataFrame:
    """Strip the text in a table of samples: its cells, and the names of its rows and columns.

    Parameters
    ----------
    table : pandas.DataFrame

    Returns
    -------
    pandas.DataFrame
        New, or the same where there was nothing to strip.

    Warns
    -----
    BayesdeNote
        Naming the cells, because levels that differed in whitespace only are one level afterwards.
    """
    columns = [_stripped_column(table.iloc[:, i]) for i in range(table.shape[1])]
    changed = [i for i, column in enumerate(columns) if column is not None]
    if changed:
        _warn([(stripped(table.columns[i]), _changes(table.iloc[:, i])) for i in changed])
        whole = [table.iloc[:, i] if column is None else column for i, column in enumerate(columns)]
        table = pd.concat(whole, axis=1)
    names, rows = stripped_labels(table.columns), stripped_labels(table.index)
    if names is not table.columns or rows is not table.index:
        table = table.set_axis(names, axis=1).set_axis(rows, axis=0)
    return table


def _same(before: list[Any], after: list[Any]) -> bool:
    """Return whether nothing was stripped: Python, and `stripped`, return the same text object then."""
    return all(map(operator.is_, before, after))


def _stripped_column(column: pd.Series) -> pd.Series | None:
    """Strip the text in a column, categories keeping their order; None if there is nothing to strip."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = list(column.cat.categories)
        after = [stripped(category) for category in categories]
        if _same(categories, after):
            return None
        merged = pd.CategoricalDtype(list(dict.fromkeys(after)), ordered=column.cat.ordered)
        return column.astype(object).map(stripped).astype(merged)
    if not (pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)):
        return None
    before = list(column)
    values = stripped_texts(before)
    return None if _same(before, values) else pd.Series(values, index=column.index, name=column.name)


def _changes(column: pd.Series) -> list[str]:
    """List the values of a column that have whitespace around them."""
    texts = [value for value in pd.unique(column.astype(object)) if isinstance(value, str)]
    return [text for text in texts if stripped(text) != text]


def _warn(changes: list[tuple[Any, list[str]]]) -> None:
    """Say what was stripped."""
    shown = [
        (name, [text.replace(NO_BREAK, "<no-break space>") for text in texts]) for name, texts in changes
    ]
    listed = "; ".join(f"{first_few(texts, 3)} in column '{name}'" for name, texts in shown)
    warnings.warn(
        f"whitespace around text in the sample table was stripped: {listed}. Values that differed only in "
        "whitespace are now one level.",
        BayesdeNote,
        stacklevel=4,
    )
