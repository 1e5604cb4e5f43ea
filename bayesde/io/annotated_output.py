"""Results in AnnData objects: one table in ``varm``, what its columns mean in ``uns``."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from bayesde.errors import BayesdeNote, InputError, first_few

__all__ = ["write_anndata"]

ABSENT = "not_in_table"
"""Status of a gene of the AnnData object that the table does not have."""


def write_anndata(
    adata: Any,
    table: pd.DataFrame,
    key: str = "bayesde",
    *,
    gene_names: str | None = None,
    overwrite: bool = False,
) -> None:
    """Put a table of results into an AnnData object.

    This is the only function of bayesde that changes an object of the caller.

    Parameters
    ----------
    adata : anndata.AnnData (sample, gene)
        In memory, a view (which AnnData then turns into an object of its own), or backed: its file changes
        only when it is written.
    table : pandas.DataFrame (gene,)
        A results table, or any other table indexed by gene.
    key : str
        ``adata.varm[key]`` becomes the table in the order of ``adata.var``; ``adata.uns[key]`` what its
        columns mean, and the version of bayesde. Use one key for each contrast.
    gene_names : str, optional
        The column of ``adata.var`` that names the genes of the table; by default ``adata.var_names``.
    overwrite : bool
        Whether an earlier table of that key is replaced.

    Raises
    ------
    InputError
        If it is not an AnnData object, genes are not unique, no gene of the table is in it, or there is
        already something under the key.

    Warns
    -----
    BayesdeNote
        If genes of the table are not in the object, or the other way round. The latter have missing numbers
        and the status ``not_in_table``.
    """
    _check(adata, table, key, overwrite)
    names = pd.Index(adata.var_names if gene_names is None else _column(adata.var, gene_names)).astype(str)
    genes = pd.Index(table.index).astype(str)
    for what, index in (("the AnnData object", names), ("the table", genes)):
        if index.has_duplicates:
            twice = index[index.duplicated()].unique()
            raise InputError(f"{what} names genes twice: {first_few(twice)}; names must be unique.")
    rows = genes.get_indexer(names)
    _report(genes, names, rows)
    ordered = {str(name): _in_order(table[name], rows, str(name)) for name in table.columns}
    adata.varm[key] = pd.DataFrame(ordered, index=adata.var_names)
    meanings = getattr(table, "descriptions", {})
    adata.uns[key] = {
        "bayesde": version("bayesde"),
        "columns": {name: meanings.get(name, "") for name in ordered},
    }


def _check(adata: Any, table: Any, key: Any, overwrite: bool) -> None:
    """Refuse what is not an AnnData object, a table, or a free key."""
    if not all(hasattr(adata, name) for name in ("varm", "uns", "var_names")):
        raise InputError(f"an AnnData object is needed; got a {type(adata).__name__}.")
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"a table (pandas DataFrame) is needed; got a {type(table).__name__}.")
    if not isinstance(key, str) or not key or "/" in key:
        raise InputError(f"key must be a text without '/', such as 'treated_vs_control'; got {key!r}.")
    if not overwrite and (key in adata.varm or key in adata.uns):
        raise InputError(f"the AnnData object already has '{key}'; give another key, or overwrite=True.")


def _column(var: pd.DataFrame, name: str) -> pd.Series:
    """Return a column of ``var``."""
    if name not in var.columns:
        raise InputError(
            f"var has no column '{name}'; its columns are {first_few(var.columns, 20) or 'none'}."
        )
    return var[name]


def _report(genes: pd.Index, names: pd.Index, rows: np.ndarray) -> None:
    """Say which genes are on one side only; refuse if none is on both."""
    if (rows < 0).all():
        raise InputError(
            f"no gene of the table is in the AnnData object: the table has {first_few(genes, 3)}, the object "
            f"{first_few(names, 3)}. If the names are in a column of var, give it by gene_names=."
        )
    missing, absent = genes[~genes.isin(names)], names[rows < 0]
    if len(missing):
        _note(f"{len(missing)} gene(s) of the table are not in the AnnData object: {first_few(missing)}.")
    if len(absent):
        _note(f"{len(absent)} gene(s) of the AnnData object are not in the table: {first_few(absent)}.")


def _note(text: str) -> None:
    warnings.warn(text, BayesdeNote, stacklevel=4)


def _in_order(column: pd.Series, rows: np.ndarray, name: str) -> np.ndarray:
    """Return a column in the order of the AnnData object, of types that .h5ad files can hold."""
    values, there = column.to_numpy(), rows >= 0
    if pd.api.types.is_bool_dtype(column) and there.all():
        return np.asarray(values[rows], dtype=bool)
    if pd.api.types.is_numeric_dtype(column):
        return np.where(there, values[rows].astype(np.float64), np.nan)
    fill = ABSENT if name == "status" else ""
    texts = ["" if pd.isna(value) else str(value) for value in values]
    return np.array([texts[row] if row >= 0 else fill for row in rows], dtype=object)
