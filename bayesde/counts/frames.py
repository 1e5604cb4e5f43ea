"""DataFrames given as counts: allowed arguments beside them, orientation, and gene labels in them."""

from __future__ import annotations

import warnings
from typing import Any

import pandas as pd

from bayesde.counts.gene_labels import label_columns
from bayesde.counts.whitespace import stripped
from bayesde.errors import BayesdeNote, InputError, first_few

__all__ = ["check_arguments", "split_labels"]


def check_arguments(frame: pd.DataFrame, genes: Any, samples: Any, sample_table: Any) -> None:
    """Refuse names given beside a DataFrame, and a DataFrame whose rows are the samples.

    Parameters
    ----------
    frame : pandas.DataFrame
        The counts.
    genes, samples : object
        What was given as names; only None is allowed.
    sample_table : object
        What was given as sample table.

    Raises
    ------
    InputError
        If the DataFrame is transposed, or names were given.
    """
    misplaced = next((given for given in (genes, samples) if isinstance(given, pd.DataFrame)), None)
    table = sample_table if isinstance(sample_table, pd.DataFrame) else misplaced
    if table is not None and _is_transposed(frame, table):
        raise InputError(
            f"the rows of the counts are the samples, {first_few(frame.index, 3)}: is the table transposed? "
            "Genes must be the rows and samples the columns: Counts(frame.T, sample_table=table)."
        )
    if misplaced is not None:
        raise InputError(
            "a DataFrame was given where names are needed; pass a sample table by keyword: Counts(frame, "
            "sample_table=table)."
        )
    if genes is not None or samples is not None:
        raise InputError(
            "the counts are a DataFrame, whose index and columns name genes and samples: omit genes= and "
            "samples=, or pass the bare matrix."
        )


def _is_transposed(frame: pd.DataFrame, table: pd.DataFrame) -> bool:
    """Return whether the samples of a table are the rows of the counts, and none is a column."""
    samples = {str(stripped(name)) for name in table.index}
    rows, columns = ([str(stripped(name)) for name in labels] for labels in (frame.index, frame.columns))
    return bool(samples) and samples <= set(rows) and samples.isdisjoint(columns)


def split_labels(
    frame: pd.DataFrame, sample_table: Any, gene_labels: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Separate columns that describe the genes from a DataFrame of counts.

    Parameters
    ----------
    frame : pandas.DataFrame
    sample_table : pandas.DataFrame or None
        Its rows are samples, whatever they are called.
    gene_labels : pandas.DataFrame or None
        Labels that were given explicitly; they take precedence.

    Returns
    -------
    frame : pandas.DataFrame
        The counts; the caller's own object where there is nothing to separate.
    gene_labels : pandas.DataFrame or None

    Warns
    -----
    BayesdeNote
        If numeric columns are taken for labels.
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
    """Note which numeric columns are taken for gene labels and not for samples.

    Parameters
    ----------
    names : list of str
        These columns; without any there is no note.

    Warns
    -----
    BayesdeNote
    """
    if names:
        warnings.warn(
            f"the column(s) {first_few(names)} are taken for gene labels, not samples; if they are samples, "
            "give a sample table that names them.",
            BayesdeNote,
            stacklevel=4,
        )
