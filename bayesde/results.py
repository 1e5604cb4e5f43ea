"""The results table: its columns, and the conversion of natural logarithms to log2."""

from __future__ import annotations

import io
import json
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from bayesde.columns import COLUMNS, Column, column_of
from bayesde.errors import InputError, first_few
from bayesde.io import write_atomically
from bayesde.io.parquet import is_parquet, parquet_bytes, read_parquet
from bayesde.io.text import read_text
from bayesde.statuses import STATUSES

__all__ = [
    "COLUMNS",
    "ResultsTable",
    "build_results",
    "read_results",
    "s_values",
    "tab_separated",
    "to_log2",
    "to_natural",
    "write_results",
]

_SPECIAL = re.compile('["\t\r\n]')


def _known(name: str) -> Column:
    return cast(Column, column_of(name))


class ResultsTable(pd.DataFrame):
    """A results table: a DataFrame with one row a gene and columns from the schema.

    Made by `build_results`; everything a DataFrame does works.
    """

    @property
    def _constructor(self) -> type[ResultsTable]:
        return ResultsTable

    def write_parquet(self, path: str | PathLike[str]) -> None:
        """Write a Parquet file, with the meanings of columns as metadata; `read_results` reads it, too.

        Parameters
        ----------
        path : path
            An existing file is replaced.

        Raises
        ------
        InputError
            If pyarrow is not installed.
        """
        about = {
            name: {"unit": _known(name).unit, "description": text} for name, text in self.descriptions.items()
        }
        write_atomically(path, parquet_bytes(self, about))

    @property
    def descriptions(self) -> dict[str, str]:
        """What the table's columns mean, by name."""
        return {name: column.description for name in self.columns if (column := column_of(name))}

    def to_deseq2(self) -> pd.DataFrame:
        """Return the columns that DESeq2 has, under its names.

        Returns
        -------
        pandas.DataFrame
            Of ``baseMean, log2FoldChange, lfcSE, stat, pvalue, padj, svalue`` those that are there; missing
            numbers are NaN, as DESeq2's NA.
        """
        names = {
            name: COLUMNS[name].deseq2 for name in self.columns if name in COLUMNS and COLUMNS[name].deseq2
        }
        plain = pd.DataFrame({new: self[old].to_numpy() for old, new in names.items()}, index=self.index)
        plain.index.name = None
        return plain


def build_results(genes: Sequence[str] | pd.Index, columns: Mapping[str, Any]) -> ResultsTable:
    """Build a results table and check it against the schema.

    Parameters
    ----------
    genes : sequence of str
        All genes in input order.
    columns : mapping of str to array-like, (gene,)
        In any order. ``log2_fold_change``, ``lfc_se``, ``lfc_lower`` and ``lfc_upper`` are given as natural
        logarithms and converted here. ``status`` must be there.

    Returns
    -------
    ResultsTable
        Indexed by gene, columns in the order of the schema.

    Raises
    ------
    ValueError
        If a column is unknown or of another length, a status is unknown, or a number is missing where the
        status is ``ok``: mistakes of the caller, not of the data.
    """
    unknown = [name for name in columns if column_of(name) is None]
    if unknown or "status" not in columns:
        raise ValueError(
            f"unknown results columns {unknown}" if unknown else "a results table needs a status"
        )
    order, extra = list(COLUMNS), [name for name in columns if name not in COLUMNS]
    order[(at := order.index("dispersion") + 1) : at] = extra
    arrays = {name: _values(_known(name), columns[name], len(genes)) for name in order if name in columns}
    _check_status(arrays)
    return ResultsTable(arrays, index=pd.Index(genes, dtype=object, name="gene"), copy=False)


def _values(column: Column, given: Any, n_genes: int) -> np.ndarray:
    """Check one column and convert it to its unit."""
    if isinstance(given, str):
        word, given = given, np.empty(n_genes, dtype=object)
        given.fill(word)  # one word for all genes; np.full would make a copy for each
    values = np.array(given, dtype=object if column.text else np.float64)
    if values.shape != (n_genes,):
        raise ValueError(f"results column {column.name} has shape {values.shape}, not ({n_genes},).")
    return to_log2(values) if column.natural_log else values


def to_log2(natural: Any) -> Any:
    """Turn natural logarithms of fold changes into log2.

    Parameters
    ----------
    natural : float or array-like

    Returns
    -------
    float or array-like
    """
    return natural / math.log(2.0)


def to_natural(log2: Any) -> Any:
    """Turn log2 of fold changes into natural logarithms.

    Parameters
    ----------
    log2 : float or array-like

    Returns
    -------
    float or array-like
    """
    return log2 * math.log(2.0)


def _check_status(arrays: Mapping[str, np.ndarray]) -> None:
    """Check that every status is known, and that every missing number has a reason."""
    status = arrays["status"]
    unknown = sorted({str(value) for value in pd.unique(status)} - set(STATUSES))
    if unknown:
        raise ValueError(f"unknown status {unknown}")
    ok = np.asarray(status == "ok", dtype=bool)
    for name, values in arrays.items():
        if _known(name).text or _known(name).diagnostic:
            continue
        unexplained = np.flatnonzero(np.isnan(values) & ok)
        if unexplained.size:
            raise ValueError(f"{name} is missing for {unexplained.size} gene(s) whose status is ok.")


def write_results(
    table: pd.DataFrame, *directories: str | PathLike[str], meanings: Mapping[str, str] | None = None
) -> Path:
    """Write ``results.tsv`` and ``results.columns.json``.

    Numbers are written with as many digits as needed to read the same back; a missing one is empty.

    Parameters
    ----------
    table : ResultsTable
    *directories : path
        Existing folders; each gets both files.
    meanings : mapping of str to str, optional
        Descriptions of columns of this table, in place of those of the schema.

    Returns
    -------
    pathlib.Path
        The table's file in the first of them.
    """
    known = {name: _known(name) for name in table.columns}
    schema = {
        "columns": {
            "gene": {"unit": "", "description": "name of the gene, in the order of the input"},
            **{
                name: {"unit": column.unit, "description": (meanings or {}).get(name, column.description)}
                for name, column in known.items()
            },
        },
        "status": {name: status.meaning for name, status in STATUSES.items()},
    }
    columns, text = json.dumps(schema, indent=2) + "\n", tab_separated(table)
    for folder in map(Path, directories):
        write_atomically(folder / "results.columns.json", columns)
        write_atomically(folder / "results.tsv", text)
    return Path(directories[0]) / "results.tsv"


def tab_separated(frame: pd.DataFrame) -> str:
    """Write a table by gene as text.

    Parameters
    ----------
    frame : pandas.DataFrame
        Indexed by gene; numbers and text.

    Returns
    -------
    str
        A header, then one line a gene; numbers as ``repr`` writes them, nothing for a missing value, text in
        quotes where it holds a separator, quote or line end.
    """
    # Half the time of DataFrame.to_csv, whose text this is.
    columns = (frame.iloc[:, place] for place in range(frame.shape[1]))
    fields = [_quoted(frame.index), *map(_texts, columns)]
    header = "\t".join(["gene", *_quoted(frame.columns)])
    return "\n".join([header, *map("\t".join, zip(*fields, strict=True)), ""])


def _texts(column: pd.Series) -> list[str]:
    """Write the values of a column as text."""
    if column.dtype != np.float64:
        return _quoted(column.to_numpy())
    return ["" if value != value else repr(value) for value in column.tolist()]


def _quoted(values: Iterable[Any]) -> list[str]:
    """Write values as text, those that need it in quotes; a missing one (None, NaN) as nothing."""
    texts = ["" if value is None or value != value else str(value) for value in values]
    if not _SPECIAL.search("".join(texts)):
        return texts
    return ['"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text for text in texts]


def read_results(path: str | PathLike[str]) -> ResultsTable:
    """Read a results table that `write_results` wrote, number for number.

    Parameters
    ----------
    path : path
        ``results.tsv``, the folder that holds it, or a file of `ResultsTable.write_parquet`.

    Returns
    -------
    ResultsTable

    Raises
    ------
    InputError
        If it is not there or is another kind of table.
    """
    file = Path(path)
    file = file / "results.tsv" if file.is_dir() else file
    if not file.is_file():
        raise InputError(f"there is no results table at '{file}'.")
    if is_parquet(file):
        frame = read_parquet(file)
        _check_columns(["gene", *frame.columns], file)
        return ResultsTable(frame.set_axis(pd.Index(frame.index, dtype=object, name="gene"), axis=0))
    text = read_text(file, "results table")
    names = text[: text.find("\n")].split("\t")
    _check_columns(names, file)
    frame = _parsed(text, file)
    arrays = {
        name: np.array(
            frame[name] if _known(name).text else _numbers(frame, name, file),
            dtype=object if _known(name).text else np.float64,
        )
        for name in names[1:]
    }
    return ResultsTable(arrays, index=pd.Index(frame["gene"], dtype=object, name="gene"))


def _parsed(text: str, file: Path) -> pd.DataFrame:
    """Read the cells of a results table as text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of cells beyond the header
            frame = pd.read_csv(
                io.StringIO(text), sep="\t", dtype=object, keep_default_na=False, index_col=False
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise InputError(f"'{file}' is damaged: {str(error).strip()}") from error
    if short := list(frame["gene"][frame["status"] == ""]):
        raise InputError(f"'{file}' is damaged: the row(s) of {first_few(short)} have no status.")
    return frame


def _numbers(frame: pd.DataFrame, name: str, file: Path) -> list[float]:
    """Read back the numbers of a column as they were written."""
    try:
        return [float(text or "nan") for text in frame[name]]
    except ValueError as error:
        raise InputError(f"column '{name}' of '{file}' has a cell that is no number: {error}.") from error


def _check_columns(names: list[str], file: Path) -> None:
    """Refuse other kinds of tables."""
    foreign = [name for name in names[1:] if column_of(name) is None]
    if names[0] != "gene" or foreign or "status" not in names or len(set(names)) < len(names):
        raise InputError(
            f"'{file}' is not a results table of bayesde; its columns are {first_few(names, 20)}."
        )


def s_values(lfsr: Any) -> np.ndarray:
    """Turn local false sign rates into s-values.

    The s-value of a gene is the mean local false sign rate of all genes whose rate is not larger than its
    own: the share of wrong signs to expect among them. Of genes with equal rates, those that come first in
    the input are counted first, so that their s-values are the smaller ones: so do apeglm and ashr in R.

    Parameters
    ----------
    lfsr : array-like, (gene,)
        Local false sign rates, NaN where there are none.

    Returns
    -------
    numpy.ndarray, float64, (gene,)
        NaN where `lfsr` is.

    References
    ----------
    Stephens, M. (2017) Biostatistics 18:275, section 3. doi:10.1093/biostatistics/kxw041
    """
    rates = np.asarray(lfsr, dtype=np.float64)
    result = np.full(rates.shape, np.nan)
    known = np.flatnonzero(~np.isnan(rates))
    order = known[np.argsort(rates[known], kind="stable")]
    result[order] = np.cumsum(rates[order]) / np.arange(1, order.size + 1)
    return result
