"""Text tables as programs write them: compressed or not, with any separator and any kind of header."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import operator
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path

import pandas as pd

from bayesde.counts.whitespace import stripped, stripped_texts
from bayesde.errors import BayesdeNote, InputError, first_few

_DECOMPRESSORS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
}
MISSING = ["", "NA", "NaN", "nan", "N/A", "n/a", "<NA>"]
_SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon"}
_WHITESPACE = r"\s+"
_TRUTH = ["True", "TRUE", "true", "False", "FALSE", "false"]
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_FIRST_LINE = re.compile(r"[^\n]*\S[^\n]*")


def read_table(
    path: str | PathLike[str], sep: str | None, what: str, key: str | None, *, as_text: bool = False
) -> tuple[list[str], pd.DataFrame]:
    """Read a table; its columns are numbered, and their names are returned separately.

    Whitespace around names and cells is stripped; with `as_text`, around cells only where it follows every
    separator.

    Parameters
    ----------
    path : path
    sep : str or None
        Separator; None to detect it.
    what : str
        Kind of table, for messages.
    key : str or None
        Column that is kept as text; the first if there is none of that name.
    as_text : bool
        Whether to keep all columns as text.

    Returns
    -------
    names : list of str
    frame : pandas.DataFrame
        Columns 0, 1, ...

    Raises
    ------
    InputError
        If it cannot be read as a table.
    """
    header, body, skipped = _split_header(read_text(path, what), sep, path)
    sep = sep or _sniffed(header)
    names = [stripped(name) for name in _fields(header, sep)]
    first = _FIRST_LINE.search(body)
    if first is None:
        raise InputError(f"'{path}' has a header but no rows.")
    cells = _fields(first.group(), sep)
    where = f"'{path}' (lines after the first {skipped})"
    spaced = _is_spaced(header, sep)
    for known, n_beyond in _possible_names(names, cells, certain=not as_text or key in names):
        position = known.index(key) if key in known else 0
        width = len(known) + n_beyond
        text = range(width) if as_text else [position]
        frame = _parsed(body, sep, width, text, where, spaced=spaced)
        if all(_is_empty(frame[i]) for i in range(len(known), width)):
            break
    else:
        raise InputError(
            f"'{path}' has {len(names)} columns in its header ({first_few(names)}) but {len(cells)} in its "
            f"first row. {sep_advice(sep)}"
        )
    in_header, names = len(names), _without_empty_columns(known, frame)
    if len(names) < max(in_header, len(cells)):
        _note_empty_columns(path)
        frame = frame[list(range(len(names)))]
    if what != "sample table" and frame[len(names) - 1].isna().any():
        _check_widths(body, sep, len(names), skipped, path)
    if not as_text:
        for i in _text_columns(frame):
            frame[i] = _stripped(frame[i], key=i == position)
    return names, frame


def _possible_names(names: list[str], cells: list[str], *, certain: bool) -> Iterator[tuple[list[str], int]]:
    """Yield what the columns may be called, and how many empty ones follow, the likelier first.

    Rows may end with separators for which there are no names. A header that is shorter by one may also be
    R's, of a table whose first column are the names of the rows: it is taken for that in a sample table
    without a column ``sample``, where a last column may be empty (then nothing is `certain`).
    """
    n_more = len(cells) - len(names)
    if n_more == 0:
        yield names, 0
    elif n_more < 0 and not any(names[n_more:]):
        yield names[:n_more], 0
    elif n_more > 0:
        if certain and not any(map(str.strip, cells[-n_more:])):
            yield names, n_more
        if not any(map(str.strip, cells[len(names) + 1 :])):
            yield ["", *names], n_more - 1


def _is_empty(column: pd.Series) -> bool:
    """Tell whether no cell of a column has a content."""
    known = column.dropna()
    is_text = not pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known)
    return bool(known.empty or (is_text and not (known.str.strip() != "").any()))


def _without_empty_columns(names: list[str], frame: pd.DataFrame) -> list[str]:
    """Leave out the names of columns at the end that have neither a name nor a cell with a content."""
    n = len(names)
    while n > 1 and not names[n - 1] and _is_empty(frame[n - 1]):
        n -= 1
    return names[:n]


def _note_empty_columns(path: str | PathLike[str]) -> None:
    """Say that columns were left out."""
    warnings.warn(
        f"lines of '{path}' end with separators behind which there is nothing: they were ignored.",
        BayesdeNote,
        stacklevel=4,
    )


def _text_columns(frame: pd.DataFrame) -> list[int]:
    """List the columns that hold text."""
    return [i for i in range(frame.shape[1]) if not pd.api.types.is_numeric_dtype(frame[i])]


def _stripped(column: pd.Series, *, key: bool) -> pd.Series:
    """Strip the cells of a column, and read as numbers those that only whitespace had made text."""
    before = list(column)
    values = stripped_texts(before)
    if all(map(operator.is_, before, values)):
        return column
    if key:
        return pd.Series(values, index=column.index, dtype=object)
    return as_numbers(pd.Series([None if text in MISSING else text for text in values], dtype=object))


def as_numbers(column: pd.Series) -> pd.Series:
    """Read a column of text as pandas would: as numbers or truth values if all cells are, otherwise as text.

    Parameters
    ----------
    column : pandas.Series of str

    Returns
    -------
    pandas.Series
    """
    known = column.dropna()
    if known.isin(_TRUTH).all() and len(known) == len(column):
        return column.str.lower() == "true"
    if not known.map(lambda text: isinstance(text, str) and _NUMBER.fullmatch(text) is not None).all():
        return column
    lines = "".join(f"{text}\n" for text in column.fillna("NA"))
    # The same parser as that of the whole table, so that the last digit is the same.
    numbers = pd.read_csv(io.StringIO(lines), header=None, names=["x"], na_values=MISSING)["x"]
    return numbers.set_axis(column.index)


def _is_spaced(header: str, sep: str | None) -> bool:
    """Return whether a blank follows every separator of a header, as in "gene, a, b"."""
    return sep in (",", ";") and header.count(f"{sep} ") == header.count(sep) > 0


def _check_widths(body: str, sep: str | None, width: int, skipped: int, path: str | PathLike[str]) -> None:
    """Refuse rows with too few fields, which would read as missing values."""
    for number, line in enumerate(body.split("\n"), skipped + 1):
        fields = len(_fields(line, sep)) if line.strip() else width
        if fields < width and '"' not in line:  # a quoted name may go on in the next line
            raise InputError(
                f"'{path}' has too few fields in line {number}: {fields} instead of {width}. The file may "
                "be truncated; complete the line or remove it."
            )


def _parsed(
    body: str, sep: str | None, width: int, text: Sequence[int], where: str, *, spaced: bool
) -> pd.DataFrame:
    """Parse the rows with pandas' C parser."""
    columns = [str(i) for i in range(width)]
    kept = {columns[i] for i in text}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of cells beyond the header
            frame = pd.read_csv(
                io.BytesIO(body.encode()),
                sep=sep or "\x00",
                header=None,
                names=columns,
                index_col=False,
                dtype=dict.fromkeys(kept, str),
                keep_default_na=False,
                na_values={name: MISSING for name in columns if name not in kept},
                skipinitialspace=spaced,
                engine="c",
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise InputError(f"{where} is not a table: {reason}. {sep_advice(sep)}") from error
    return frame.set_axis(range(width), axis=1)


def check_file(path: str | PathLike[str], what: str) -> None:
    """Refuse a path where there is no file.

    Parameters
    ----------
    path : path
    what : str
        Kind of file, for messages.

    Raises
    ------
    InputError
    """
    file = Path(path)
    if not file.exists():
        raise InputError(f"the {what} file '{path}' does not exist.")
    if file.is_dir():
        raise InputError(f"'{path}' is a folder; a {what} file is needed.")


def read_text(path: str | PathLike[str], what: str) -> str:
    """Read a whole file, decompressed and decoded.

    Parameters
    ----------
    path : path
    what : str
        Kind of file, for messages.

    Returns
    -------
    str
        With newline line ends.

    Raises
    ------
    InputError
        If it cannot be read, or is not text.
    """
    check_file(path, what)
    try:
        data = Path(path).read_bytes()
        for magic, decompress in _DECOMPRESSORS.items():
            if data.startswith(magic):
                data = decompress(data)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"the {what} file '{path}' cannot be read: {error}.") from error
    if b"\x00" in data[:4096]:
        raise InputError(
            f"'{path}' is not a text file; a table in UTF-8 text, plain or compressed, is needed."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"'{path}' is not UTF-8 text ({error.reason} at byte {error.start}); re-save it."
        ) from error
    if not text.strip():
        raise InputError(f"the {what} file '{path}' is empty.")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _split_header(text: str, sep: str | None, path: str | PathLike[str]) -> tuple[str, str, int]:
    """Separate comment lines, the header and the rows; the third value counts the lines before the rows."""
    comment = ""
    skipped = 0
    while text:
        line, _, rest = text.partition("\n")
        if line.strip() and not line.startswith("#"):
            break
        comment, text, skipped = line, rest, skipped + 1
    if not text:
        raise InputError(f"'{path}' contains only comments.")
    # "#gene<tab>a<tab>b" over rows of as many columns is a header, not a remark.
    mark = sep or _sniffed(line)
    if comment.startswith("#") and mark and len(_fields(comment, mark)) == len(_fields(line, mark)) > 1:
        return comment[1:].lstrip(), text, skipped
    return line, rest, skipped + 1


def _sniffed(header: str) -> str | None:
    """Detect the separator of a header; None if it has a single field."""
    mark = max(_SEPARATORS, key=header.count)
    if header.count(mark):
        return mark
    return _WHITESPACE if len(header.split()) > 1 else None


def _fields(line: str, sep: str | None) -> list[str]:
    """Split a line, honouring quotes."""
    line = line.rstrip("\n")
    if sep is None:
        return _split(line, "\x00")
    if sep == _WHITESPACE:
        return _split(" ".join(line.split()), " ")
    if len(sep) != 1:
        raise InputError(f"the separator {sep!r} is not valid; give one character, such as ',' or '\\t'.")
    return _split(line, sep, skip_blanks=_is_spaced(line, sep))


def _split(line: str, sep: str, skip_blanks: bool = False) -> list[str]:
    """Split a line at a character."""
    try:
        return next(csv.reader([line], delimiter=sep, skipinitialspace=skip_blanks))
    except csv.Error as error:  # a quote that is not closed in a line of more than 131,072 characters
        raise InputError(f"the line {line[:30]!r}... is not a row of a table: {error}.") from error


def sep_advice(sep: str | None) -> str:
    """Report which separator was used, and how to give another.

    Parameters
    ----------
    sep : str or None

    Returns
    -------
    str
    """
    taken = "none was found" if sep is None else f"{_SEPARATORS.get(sep, repr(sep))} was used"
    return f"Is the separator right? ({taken}; give another by sep=.)"


def column_position(names: list[str], wanted: str | None, path: str | PathLike[str]) -> int:
    """Find a column by name.

    Parameters
    ----------
    names : list of str
        All columns.
    wanted : str or None
        None for the first.
    path : path
        For the message.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If there is no such column.
    """
    if wanted is None:
        return 0
    if wanted not in names:
        raise InputError(f"'{path}' has no column '{wanted}'; its columns are {first_few(names, 20)}.")
    return names.index(wanted)


def check_unique(names: list[str], columns: list[int], path: str | PathLike[str]) -> None:
    """Refuse columns with the same name.

    Parameters
    ----------
    names : list of str
        All columns.
    columns : list of int
        Positions of those that must be unique.
    path : path
        For the message.

    Raises
    ------
    InputError
    """
    index = pd.Index([names[i] for i in columns])
    if index.has_duplicates:
        raise InputError(
            f"'{path}' has several columns called {first_few(index[index.duplicated()].unique())}."
        )
