"""Rows in which counting programs report reads of no gene: they are left out of counts, and said to be."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from os import PathLike

import numpy as np

from bayesde.counts.checks import summary_rows
from bayesde.errors import BayesdeNote, InputError, first_few

__all__ = ["genes_only", "warn_left_out"]


def genes_only(names: Iterable[object], path: str | PathLike[str]) -> tuple[np.ndarray, list[str]]:
    """Tell genes from rows that report reads of no gene.

    Parameters
    ----------
    names : iterable of str
        First column of a table.
    path : path
        For messages.

    Returns
    -------
    kept : numpy.ndarray of bool
    left_out : list of str
        Names of the other rows.

    Raises
    ------
    InputError
        If there is no gene.
    """
    texts = [str(name) for name in names]
    left_out = summary_rows(texts)
    rows = [texts[int(i)] for i in np.flatnonzero(left_out)]
    if rows and left_out.all():
        raise InputError(
            f"'{path}' has no gene: all its rows report reads of no gene, {first_few(rows)}. Give the table "
            "of counts itself"
        )
    return ~left_out, rows


def warn_left_out(rows: Sequence[str], where: str) -> None:
    """Say which rows were left out."""
    if rows:
        warnings.warn(
            f"{len(rows)} row(s) of {where} report reads of no gene and are left out: {first_few(rows, 10)}",
            BayesdeNote,
            stacklevel=4,
        )
