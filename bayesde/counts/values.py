"""What a count is: an integer from 0 to 2**53, of whatever type it is stored as."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bayesde.errors import InputError, first_few

# Above this a double no longer holds every integer, and likelihoods would silently lose counts.
LARGEST_COUNT = 2**53


def check_counts(values: np.ndarray, genes: pd.Index, samples: pd.Index, *, part: bool = False) -> None:
    """Refuse a block of numbers that are not counts.

    Parameters
    ----------
    values : numpy.ndarray of integers or floats, (gene, sample)
    genes, samples : pandas.Index
        Names of rows and columns, for the message.
    part : bool
        Whether the block is a part of the counts, so that more cells may be at fault elsewhere.

    Raises
    ------
    InputError
        Naming the first genes and samples at fault.
    """
    check_kind(values.dtype)
    if are_counts(values):
        return
    for bad, found, advice in faults(values):
        rows, columns = np.nonzero(bad)
        refuse_cells(
            (genes[rows[:3]], samples[columns[:3]]), values[bad][:3], len(rows), (found, advice), part=part
        )


def are_counts(values: np.ndarray) -> bool:
    """Return whether all numbers are counts; fast, because none is named.

    Parameters
    ----------
    values : numpy.ndarray of integers or floats

    Returns
    -------
    bool
    """
    if values.size == 0:
        return True
    if values.dtype.kind != "f":
        return bool(values.min() >= 0 and values.max() <= LARGEST_COUNT)
    with np.errstate(invalid="ignore"):  # missing and huge numbers turn into integers that differ from them
        whole = values.astype(np.int64)
    return bool(whole.min() >= 0 and whole.max() <= LARGEST_COUNT and (whole == values).all())


def faults(values: np.ndarray) -> Iterator[tuple[np.ndarray, str, str]]:
    """Find numbers that are not counts.

    Parameters
    ----------
    values : numpy.ndarray of integers or floats

    Yields
    ------
    mask : numpy.ndarray of bool
        Like `values`; True for the numbers with this fault.
    found : str
        The fault.
    advice : str
        What to do.
    """
    continuous = values.dtype.kind == "f"
    if continuous:
        yield np.isnan(values), "missing counts", "Fill or drop these genes or samples."
        yield np.isinf(values), "infinite counts", "Counts must be finite."
    yield values < 0, "negative counts", "Raw counts are 0 or more: were they transformed?"
    yield values > LARGEST_COUNT, "counts above 2**53", "They cannot be kept exactly."
    if continuous:
        yield (
            values != np.floor(values),
            "fractional counts",
            "Give raw whole-number counts, not TPM or normalized values; estimated counts of Salmon, "
            "kallisto or RSEM are read by read_tximport, on the command line with --average-lengths FILE.",
        )


def refuse_cells(
    labels: tuple[Any, Any],
    values: Any,
    number: int,
    words: tuple[str, str],
    *,
    part: bool = False,
) -> None:
    """Raise if any cell is bad, naming the first ones.

    Parameters
    ----------
    labels : tuple of two sequences
        The genes and the samples of the first bad cells (at most three).
    values : sequence
        Their contents.
    number : int
        How many bad cells there are.
    words : tuple of str
        What was found, and what to do.
    part : bool
        Whether only a part of the counts was checked.
    """
    if not number:
        return
    cells = [f"gene '{i}', sample '{j}': {value}" for i, j, value in zip(*labels, values, strict=True)]
    more = f"; and {number - 3} more" if number > 3 else ""
    raise InputError(
        f"{words[0]} in {'at least ' if part else ''}{number} cell(s) ({'; '.join(cells)}{more}). {words[1]}"
    )


def check_kind(kind: np.dtype) -> None:
    """Refuse truth values, complex numbers, dates and other types that cannot be counts.

    Parameters
    ----------
    kind : numpy.dtype

    Raises
    ------
    InputError
    """
    if kind.kind == "b":
        raise InputError("the counts are True/False values; whole numbers are needed.")
    if kind.kind not in "iuf":
        raise InputError(f"the counts are of type {kind}; whole numbers are needed.")


def check_extent(shape: tuple[int, ...], samples: pd.Index) -> None:
    """Refuse matrices that are too small to be fitted.

    Parameters
    ----------
    shape : tuple of int
        Numbers of genes and samples.
    samples : pandas.Index
        Names, for the message.

    Raises
    ------
    InputError
        If there is no gene, or fewer than two samples.
    """
    if shape[0] == 0:
        raise InputError("the counts have no gene; at least one is needed.")
    if shape[1] < 2:
        raise InputError(
            f"the counts have {shape[1]} sample(s) ({first_few(samples) or 'none'}); at least two are "
            "needed, and comparisons need replicates."
        )


def frame_values(frame: pd.DataFrame) -> np.ndarray:
    """Return the values of a table.

    Parameters
    ----------
    frame : pandas.DataFrame

    Returns
    -------
    numpy.ndarray
        Masked (nullable) missing numbers are NaN.
    """
    if all(isinstance(kind, np.dtype) for kind in frame.dtypes):
        return frame.to_numpy()
    if all(pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes):
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return frame.to_numpy(dtype=object)


def plain_array(matrix: Any) -> np.ndarray:
    """Turn nested lists, masked arrays and the like into an array.

    Parameters
    ----------
    matrix : array-like

    Returns
    -------
    numpy.ndarray
        May be the caller's own. Masked numbers are NaN.

    Raises
    ------
    InputError
        If the rows have different lengths.
    """
    if np.ma.isMaskedArray(matrix):
        matrix = np.ma.filled(np.ma.asarray(matrix, dtype=np.float64), np.nan)
    try:
        return np.asarray(matrix)
    except ValueError as error:
        raise InputError(
            "the counts are not a matrix: every gene needs the same number of samples."
        ) from error


def numeric(values: np.ndarray, genes: pd.Index, samples: pd.Index) -> np.ndarray:
    """Convert Python numbers to float64; refuse text and truth values, naming the cells.

    Parameters
    ----------
    values : numpy.ndarray, (gene, sample)
    genes, samples : pandas.Index
        Names of rows and columns, for the message.

    Returns
    -------
    numpy.ndarray
        `values` itself where it is numeric already.

    Raises
    ------
    InputError
        If a cell is not a number.
    """
    if values.dtype.kind not in "OUST":
        return values
    objects = values.astype(object)
    missing = np.asarray(pd.isna(objects))
    foreign = np.asarray(np.frompyfunc(_is_not_number, 1, 1)(objects), dtype=bool) & ~missing
    rows, columns = np.nonzero(foreign)
    words = ("text instead of counts", "Every cell must be a whole number.")
    refuse_cells((genes[rows[:3]], samples[columns[:3]]), objects[foreign][:3], len(rows), words)
    numbers = np.full(objects.shape, np.nan)
    numbers[~missing] = objects[~missing].astype(np.float64)
    return numbers


def _is_not_number(value: object) -> bool:
    """Return whether a cell is anything but a real number."""
    return isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating))
