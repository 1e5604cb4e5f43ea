"""Tables as Parquet files, with what their columns mean."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from bayesde.errors import InputError

__all__ = ["is_parquet", "parquet_bytes", "read_parquet"]

_MAGIC = b"PAR1"


def is_parquet(path: str | PathLike[str]) -> bool:
    """Tell whether a file is a Parquet file, by its first bytes.

    Parameters
    ----------
    path : path
        It must exist.

    Returns
    -------
    bool
    """
    with Path(path).open("rb") as stream:
        return stream.read(4) == _MAGIC


def parquet_bytes(frame: pd.DataFrame, about: Mapping[str, Mapping[str, str]]) -> bytes:
    """Write a table as the content of a Parquet file.

    Parameters
    ----------
    frame : pandas.DataFrame
        Its index becomes a column, too.
    about : mapping of str to mapping of str to str
        Metadata of columns, by name.

    Returns
    -------
    bytes

    Raises
    ------
    InputError
        If pyarrow is not installed.
    """
    arrow, parquet = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")
    table = arrow.Table.from_pandas(pd.DataFrame(frame))
    fields = [field.with_metadata(dict(about.get(field.name, {})) or None) for field in table.schema]
    whole = {**(table.schema.metadata or {}), b"bayesde": json.dumps(about, default=dict).encode()}
    stream = io.BytesIO()
    parquet.write_table(table.cast(arrow.schema(fields, metadata=whole)), stream)
    return stream.getvalue()


def read_parquet(path: str | PathLike[str]) -> pd.DataFrame:
    """Read a table.

    Parameters
    ----------
    path : path

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    InputError
        If pyarrow is not installed, or the file is damaged.
    """
    parquet = _pyarrow("pyarrow.parquet")
    try:
        return pd.DataFrame(parquet.read_table(path).to_pandas())
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read as a Parquet file: {error}.") from error


def _pyarrow(module: str) -> Any:
    """Import pyarrow on first use."""
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            "Parquet files need pyarrow, which is not installed: pip install bayesde[parquet]."
        ) from error
