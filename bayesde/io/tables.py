"""Tables that go with counts: the sample table, and matrices (gene, sample) such as normalization factors."""

from __future__ import annotations

from os import PathLike

import pandas as pd

from bayesde.counts.gene_labels import label_columns
from bayesde.counts.whitespace import stripped_table
from bayesde.errors import InputError, first_few
from bayesde.io.text import MISSING, as_numbers, check_unique, read_table


def read_sample_table(path: str | PathLike[str], *, sep: str | None = None) -> pd.DataFrame:
    """Read a sample table, one row per sample.

    Parameters
    ----------
    path : path
        A text table in any format of `read_counts`. Sample names are in the column ``sample``, or else in the
        first. Numbers stay numeric: write ``C(batch)`` in a design to make a factor of a numeric column. A
        column with leading zeros (``001``) is text. Whitespace around names and cells is stripped. ``NA``
        and empty cells are missing.
    sep : str, optional
        Separator; by default detected from the header.

    Returns
    -------
    pandas.DataFrame
        Indexed by sample name.

    Warns
    -----
    BayesdeNote
        If levels had whitespace around them.

    Raises
    ------
    InputError
        If the file cannot be read as a table or names a sample or column twice.
    """
    names, frame = read_table(path, sep, "sample table", "sample", as_text=True)
    index = names.index("sample") if "sample" in names else 0
    others = [i for i in range(len(names)) if i != index]
    check_unique(names, others, path)
    table = frame[others].set_axis([names[i] for i in others], axis=1)
    table.index = pd.Index(frame[index].astype(str), dtype=object, name="sample")
    table = stripped_table(table).apply(_read_column)
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()].unique()
        raise InputError(
            f"'{path}' has several rows for the sample(s) {first_few(twice)}; one row per sample is needed."
        )
    return table


def _read_column(column: pd.Series) -> pd.Series:
    """Read text as numbers, unless it has leading zeros, which only identifiers have."""
    known = column.mask(column.isin(MISSING))
    if known.dropna().str.fullmatch(r"[+-]?0\d+").any():
        return known
    return as_numbers(known)


def read_gene_table(path: str | PathLike[str], *, sep: str | None = None) -> pd.DataFrame:
    """Read a matrix (gene, sample) that is not counts, such as normalization factors.

    Parameters
    ----------
    path : path
        A text table in any format of `read_counts`; the first column names the genes. Columns that describe
        the genes, such as ``gene_name``, are left out.
    sep : str, optional
        Separator; by default detected from the header.

    Returns
    -------
    pandas.DataFrame, (gene, sample)

    Raises
    ------
    InputError
        If the file cannot be read as a table or names a sample twice.
    """
    return read_labelled_table(path, sep=sep)[0]


def read_labelled_table(
    path: str | PathLike[str], *, sep: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a matrix (gene, sample), and separately the columns that describe the genes.

    Parameters
    ----------
    path, sep
        As in `read_gene_table`.

    Returns
    -------
    numbers : pandas.DataFrame, (gene, sample)
    labels : pandas.DataFrame, (gene, label)
        See `bayesde.counts.gene_labels.label_columns`.
    """
    names, frame = read_table(path, sep, "gene table", None)
    labels = label_columns(names, frame, 0, ())
    others = [i for i in range(1, len(names)) if i not in labels]
    check_unique(names, others, path)
    genes = pd.Index(frame[0].astype(str), dtype=object, name="gene")
    parts = [frame[some].set_axis([names[i] for i in some], axis=1) for some in (others, labels)]
    return parts[0].set_axis(genes, axis=0), parts[1].set_axis(genes, axis=0)
