"""DataFrames given as counts: what may be beside them, which way round they are, and labels of the genes."""

from __future__ import annotations

import warnings
from typing import Any

import pandas as pd

from bayesde.counts.gene_labels import label_columns
from bayesde.counts.whitespace import stripped
from bayesde.errors import BayesdeNote, InputError, first_few

__all__ = ["check_arguments", "split_labels"]


def check_arguments(frame: pd.DataFrame, genes: Any, samples: Any, sample_table: Any) -> None:
    """Refuse names beside a DataFrame, and one whose rows are the samples.

    Raises
    ------
    InputError
    """
    misplaced = next((given for given in (genes, samples) if isinstance(given, pd.DataFrame)), None)
    table = sample_table if isinstance(sample_table, pd.DataFrame) else misplaced
    if table is not None and _is_transposed(frame, table):
        raise InputError(
            f"the rows of the counts are the samples, {first_few(frame.index, 3)}: transposed? Genes must be "
            "the rows and samples the columns: Counts(frame.T, sample_table=table)"
        )
    if misplaced is not None:
        raise InputError(
            "a DataFrame was given in place of names; a table of the samples is given by name: "
            "Counts(frame, sample_table=table)"
        )
    if genes is not None or samples is not None:
        raise InputError(
            "the counts are a DataFrame, whose index and columns name genes and samples: leave genes= "
            "and samples= out, or pass the bare matrix"
        )


def _is_transposed(frame: pd.DataFrame, table: pd.DataFrame) -> bool:
    """Tell whether the samples of a table are the rows of the counts, and none is a column."""
    samples = {str(stripped(name)) for name in table.index}
    rows, columns = ([str(stripped(name)) for name in labels] for labels in (frame.index, frame.columns))
    return bool(samples) and samples <= set(rows) and samples.isdisjoint(columns)


def split_labels(
    frame: pd.DataFrame, sample_table: Any, gene_labels: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Take columns that tell about the genes out of a DataFrame of counts.

    Parameters
    ----------
    frame : pandas.DataFrame
    sample_table : pandas.DataFrame or None
        Whose rows are samples, whatever they are called.
    gene_labels : pandas.DataFrame or None
        Labels that were given beside the counts, which come first.

    Returns
    -------
    frame : pandas.DataFrame
        The counts, the caller's own where there is nothing to take out.
    gene_labels : pandas.DataFrame or None

    Warns
    -----
    BayesdeNote
        If columns of numbers are taken for labels.
    """
    if isinstance(frame.columns, pd.MultiIndex):
        return frame, gene_labels
    known = sample_table.index if isinstance(sample_table, pd.DataFrame) else ()
    headers = [str(stripped(name)) for name in frame.columns]
    labels = label_columns(headers, frame, None, [str(stripped(name)) for name in known])
    if not labels or len(labels) == frame.shape[1]:
        return frame, gene_labels
    warn_numeric_labels([headers[i] for i in labels if pd.api.types.is_numeric_dtype(frame.dtypes.iloc[i])])
    counts = [i for i in range(frame.shape[1]) if i not in labels]
    found = frame.iloc[:, labels].set_axis([headers[i] for i in labels], axis=1)
    return frame.iloc[:, counts], found if gene_labels is None else gene_labels


def warn_numeric_labels(names: list[str]) -> None:
    """Say which columns of numbers are not taken for samples."""
    if names:
        warnings.warn(
            f"the column(s) {first_few(names)} are taken for labels of the genes and not for samples; give a "
            "sample table that names them if they are samples",
            BayesdeNote,
            stacklevel=4,
        )
