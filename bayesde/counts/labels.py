"""Names of genes and samples, and tables that are matched to the counts by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts.checks import spreadsheet_names
from bayesde.counts.sample_names import (
    likely_pairs,
    listed_pairs,
    matched_names,
    parts_of_names,
    warn_matched,
)
from bayesde.counts.storage import frozen
from bayesde.counts.values import refuse_cells
from bayesde.counts.whitespace import stripped_labels, stripped_table
from bayesde.errors import InputError, first_few


def positions(chosen: Any, names: pd.Index, kind: str) -> np.ndarray:
    """Turn names, positions or a mask into positions.

    Parameters
    ----------
    chosen : sequence of str, of int or of bool, or None
        The selection; None is everything.
    names : pandas.Index
        All names.
    kind : str
        ``"gene"`` or ``"sample"``, for messages.

    Returns
    -------
    numpy.ndarray of int
        Positions in `names`, in the requested order.

    Raises
    ------
    InputError
        If something selected does not exist.
    """
    if chosen is None:
        return np.arange(len(names))
    if isinstance(chosen, str):
        chosen = [chosen]
    values = np.asarray(chosen) if len(chosen) else np.empty(0, dtype=np.int64)
    if values.dtype == bool:
        if values.shape != (len(names),):
            raise InputError(
                f"a mask of {values.shape} was given for {len(names)} {kind}s; give one value per {kind}."
            )
        return np.flatnonzero(values)
    if np.issubdtype(values.dtype, np.integer):
        outside = values[(values < 0) | (values >= len(names))]
        if outside.size:
            raise InputError(
                f"{kind} positions {first_few(outside)} are out of range; allowed are 0 to {len(names) - 1}."
            )
        return values.astype(np.int64)
    found = names.get_indexer(pd.Index(values.astype(str)))
    if (found < 0).any():
        unknown = values[found < 0]
        raise InputError(
            f"unknown {kind}s: {first_few(unknown)}; names must be those of the counts, for example "
            f"{first_few(names, 3)}."
        )
    return found


def names(given: Any, expected: int, kind: str) -> pd.Index:
    """Check names: as many as there are rows or columns, unique, none missing or empty.

    Parameters
    ----------
    given : sequence of str, pandas.Index or None
        None makes names such as ``gene1``.
    expected : int
        How many there must be.
    kind : str
        ``"gene"`` or ``"sample"``, for messages.

    Returns
    -------
    pandas.Index of str
        Named `kind`.

    Raises
    ------
    InputError
        If they do not fit.
    """
    if given is None:
        return pd.Index([f"{kind}{i + 1}" for i in range(expected)], dtype=object)
    if isinstance(given, pd.MultiIndex):
        raise InputError(f"the {kind} names have {given.nlevels} levels; give one name per {kind}.")
    index = stripped_labels(given if isinstance(given, pd.Index) else pd.Index(list(given), dtype=object))
    if len(index) != expected:
        raise InputError(
            f"{len(index)} {kind} names were given for a matrix with {expected} {kind}s. Genes must be the "
            "rows and samples the columns: is the matrix transposed?"
        )
    texts, empty = _texts(index)
    if empty.any():
        places = np.flatnonzero(empty) + 1
        raise InputError(f"empty {kind} names at position(s) {first_few(places)}: every {kind} needs a name.")
    if texts.has_duplicates:
        twice = texts[texts.duplicated()].unique()
        raise InputError(
            f"duplicate {kind} names: {first_few(twice)}; every {kind} must be named once. "
            + (
                f"Sum or drop the repeated rows first.{_of_a_spreadsheet(twice)}"
                if kind == "gene"
                else "Rename or drop the repeated columns."
            )
        )
    return pd.Index(texts, dtype=object, name=kind)


def _of_a_spreadsheet(twice: pd.Index) -> str:
    """Explain duplicate names that a spreadsheet made by turning two genes into the same date."""
    if not len(spreadsheet_names(twice)):
        return ""
    return (
        " Spreadsheets turn different genes, such as MARCH1 and MARC1, into the same date: use the file "
        "that the counting program wrote."
    )


def _texts(index: pd.Index) -> tuple[pd.Index, np.ndarray]:
    """Return names as text, and which are missing or blank."""
    if pd.api.types.infer_dtype(index, skipna=False) == "string":
        texts = pd.Index(index, dtype=object)
        if all(map(str.strip, texts)):  # much faster than pandas' string methods
            return texts, np.zeros(len(texts), dtype=bool)
    texts = pd.Index(index.astype(str), dtype=object)
    return texts, np.asarray(index.isna()) | np.asarray(texts.str.strip() == "", dtype=bool)


def as_table(table: Any) -> pd.DataFrame:
    """Refuse sample tables that are not a DataFrame.

    Parameters
    ----------
    table : object

    Returns
    -------
    pandas.DataFrame
        `table` itself.

    Raises
    ------
    InputError
        If it is something else.
    """
    if not isinstance(table, pd.DataFrame):
        raise InputError(
            f"the sample table is a {type(table).__name__}; give a pandas DataFrame indexed by sample name."
        )
    return table


def matched_table(table: Any, samples: pd.Index) -> pd.DataFrame:
    """Copy the sample table in the order of the counts, matched by name.

    Parameters
    ----------
    table : pandas.DataFrame or None
    samples : pandas.Index of str
        The samples of the counts.

    Returns
    -------
    pandas.DataFrame
        Indexed by `samples`; without columns if `table` is None.

    Raises
    ------
    InputError
        If it is not a table of the same samples, or has duplicate columns.
    """
    if table is None:
        return pd.DataFrame(index=samples)
    copy = stripped_table(as_table(table)).copy()
    copy.index = names(copy.index, len(copy), "sample")
    pairs = matched_names(samples, copy.index)
    if pairs is None:
        raise InputError(_unmatched(samples, copy.index))
    warn_matched(pairs)
    copy.index = copy.index.map(
        lambda name: {given: wanted for wanted, given in pairs.items()}.get(name, name)
    )
    if copy.columns.has_duplicates:
        twice = copy.columns[copy.columns.duplicated()].unique()
        raise InputError(f"the sample table has duplicate columns: {first_few(twice)}.")
    return copy.loc[samples]


def _unmatched(samples: pd.Index, rows: pd.Index) -> str:
    """Explain that a sample table does not match the counts."""
    missing = samples.difference(rows, sort=False)
    extra = rows.difference(samples, sort=False)
    parts = []
    if len(missing):
        parts.append(f"no row for the counted sample(s) {first_few(missing)}")
    if len(extra):
        parts.append(f"row(s) for {first_few(extra)}, which have no counts")
    pairs = likely_pairs(samples, rows) or parts_of_names(samples, rows)
    hint = f". Perhaps {listed_pairs(pairs.items(), 'is')}" if pairs else ""
    return (
        f"the sample table does not match the counts: it has {' and '.join(parts)}{hint}. Both must name the "
        f"same samples (counts: {first_few(samples)}; table: {first_few(rows)})."
    )


def matched_matrix(
    given: Any, genes: Sequence[str] | pd.Index, samples: Sequence[str] | pd.Index, what: str
) -> np.ndarray:
    """Bring a positive matrix into the order of the counts.

    Parameters
    ----------
    given : array-like or pandas.DataFrame, (gene, sample)
        A DataFrame is matched by its labels.
    genes, samples : sequence of str
        The order wanted.
    what : str
        Its name in messages.

    Returns
    -------
    numpy.ndarray, float64, (gene, sample)
        New and C-contiguous.

    Raises
    ------
    InputError
        If shape or labels do not fit, or a value is not finite and above zero.
    """
    values = matched_numbers(given, genes, samples, what)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        rows, columns = np.nonzero(bad)
        gene_index, sample_index = pd.Index(genes, dtype=object), pd.Index(samples, dtype=object)
        words = (f"{what} that are not finite and above 0", "Correct these values.")
        refuse_cells((gene_index[rows[:3]], sample_index[columns[:3]]), values[bad][:3], len(rows), words)
    return values


def matched_numbers(
    given: Any, genes: Sequence[str] | pd.Index, samples: Sequence[str] | pd.Index, what: str
) -> np.ndarray:
    """Bring a matrix of any numbers, also missing ones, into the order of the counts.

    Parameters
    ----------
    given, genes, samples, what
        As in `matched_matrix`.

    Returns
    -------
    numpy.ndarray, float64, (gene, sample)
        New and C-contiguous.

    Raises
    ------
    InputError
        If shape or labels do not fit, or there is something else than numbers.
    """
    gene_index, sample_index = pd.Index(genes, dtype=object), pd.Index(samples, dtype=object)
    if isinstance(given, pd.DataFrame):
        given = _reordered(given, gene_index, sample_index, what)
    try:
        values = np.array(given, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise InputError(f"the {what} are not numbers: {error}.") from error
    wanted = (len(gene_index), len(sample_index))
    if values.shape != wanted:
        raise InputError(f"the {what} have shape {values.shape}; the counts' shape {wanted} is needed.")
    return values


def _reordered(frame: pd.DataFrame, genes: pd.Index, samples: pd.Index, what: str) -> pd.DataFrame:
    """Match a labelled table to the counts by name."""
    rows, columns = (stripped_labels(labels.astype(str)) for labels in (frame.index, frame.columns))
    labelled = frame.set_axis(rows, axis=0).set_axis(columns, axis=1)
    for kind, wanted, there in (("gene", genes, labelled.index), ("sample", samples, labelled.columns)):
        if there.has_duplicates:
            raise InputError(
                f"the {what} name {kind}s twice: {first_few(there[there.duplicated()].unique())}."
            )
        absent = wanted[~wanted.isin(there)]
        pairs = likely_pairs(wanted, there) if kind == "sample" and len(absent) else {}
        if pairs and len(pairs) == len(absent):
            warn_matched(pairs, what)
            labelled = labelled.rename(columns={given: name for name, given in pairs.items()})
        elif len(absent):
            raise InputError(
                f"the {what} lack the {kind}(s) {first_few(absent)}; values for every {kind} of the counts "
                "are needed."
            )
    return labelled.loc[genes, samples]


def kept_matrix(given: Any, genes: pd.Index, samples: pd.Index, what: str) -> np.ndarray | None:
    """Check and copy a positive matrix such as normalization factors.

    Parameters
    ----------
    given : array-like, pandas.DataFrame or None, (gene, sample)
    genes, samples : pandas.Index of str
        The order wanted.
    what : str
        Its name in messages.

    Returns
    -------
    numpy.ndarray, float64, (gene, sample), or None
        Read-only; None for None.

    Raises
    ------
    InputError
        See `matched_matrix`.
    """
    return None if given is None else frozen(matched_matrix(given, genes, samples, what))
