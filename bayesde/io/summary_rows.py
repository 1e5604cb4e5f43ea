"""Summary rows of counting programs, such as ``__no_feature``: they are left out, with a note."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from os import PathLike

import numpy as np

from bayesde.counts.checks import summary_rows
from bayesde.errors import BayesdeNote, InputError, first_few

__all__ = ["genes_only", "warn_left_out"]


def genes_only(names: Iterable[object], path: str | PathLike[str]) -> tuple[np.ndarray, list[str]]:
    """Separate genes from the summary rows of a counting program.

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
            f"'{path}' has no gene: all its rows are summary rows of a counting program, {first_few(rows)}. "
            "Give the table of counts itself."
        )
    return ~left_out, rows


def warn_left_out(rows: Sequence[str], where: str) -> None:
    """Note which rows were left out.

    Parameters
    ----------
    rows : sequence of str
        Their names; without any there is no note.
    where : str
        The file or files.

    Warns
    -----
    BayesdeNote
    """
    if rows:
        warnings.warn(
            f"{len(rows)} row(s) of {where} are summary rows of a counting program, not genes, and are left "
            f"out: {first_few(rows, 10)}.",
            BayesdeNote,
            stacklevel=4,
        )
