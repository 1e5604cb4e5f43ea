"""Files: reading counts and sample tables from text, and writing so that no half-written file is seen."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import tempfile
import zlib
from collections.abc import Callable
from os import PathLike
from pathlib import Path

import pandas as pd

from bayesde.counts import Counts
from bayesde.errors import InputError, first_few

__all__ = ["read_counts", "read_gene_table", "read_sample_table", "write_atomically"]

_DECOMPRESSORS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
}
_MISSING = ["", "NA", "NaN", "nan", "N/A", "n/a", "<NA>"]
_SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon"}
_WHITESPACE = r"\s+"


def read_counts(
    path: str | PathLike[str],
    samples: str | PathLike[str] | pd.DataFrame | None = None,
    *,
    gene_column: str | None = None,
    sep: str | None = None,
) -> Counts:
    """Read a table of counts, one row a gene and one column a sample.

    Text tables as R, Python and spreadsheets write them: tab, comma, semicolon or space between columns,
    plain or compressed (gzip, bzip2, xz), with or without a name over the gene column, with ``#`` lines
    before the header, quotes, a byte-order mark or Windows line ends.

    Parameters
    ----------
    path : path
        The table.
    samples : path or pandas.DataFrame, optional
        The sample table, see `read_sample_table`; a DataFrame is indexed by sample name. Rows are matched to
        the columns of the counts by name and must name the same samples.
    gene_column : str, optional
        The column with the gene names; by default the first.
    sep : str, optional
        What stands between columns; by default found out from the header.

    Returns
    -------
    Counts

    Raises
    ------
    InputError
        If a file cannot be read as a table, or what it holds are not counts (see `Counts`).
    """
    if isinstance(samples, (str, PathLike)):
        samples = read_sample_table(samples)
    names, frame = _read_table(path, sep, "counts", gene_column)
    gene = _column_position(names, gene_column, path)
    others = [i for i in range(len(names)) if i != gene]
    if not others:
        raise InputError(
            f"'{path}' has one column, {first_few(names)}: no sample with counts. {_sep_advice(sep)}"
        )
    _check_unique(names, others, path)
    matrix = pd.DataFrame({i: _numbers(frame[i]) for i in others}).to_numpy()
    return Counts(
        matrix, genes=frame[gene].astype(str), samples=[names[i] for i in others], sample_table=samples
    )


def read_sample_table(path: str | PathLike[str], *, sep: str | None = None) -> pd.DataFrame:
    """Read what is known of the samples, one row each.

    Parameters
    ----------
    path : path
        A text table, as `read_counts` takes them. Sample names are in the column called ``sample``, else in
        the first. Numbers stay numbers: write ``C(batch)`` in a design to make a factor of a numeric column.
        ``NA`` and empty cells are missing.
    sep : str, optional
        What stands between columns; by default found out from the header.

    Returns
    -------
    pandas.DataFrame
        Indexed by sample name.

    Raises
    ------
    InputError
        If the file cannot be read as a table or names a sample or column twice.
    """
    names, frame = _read_table(path, sep, "sample table", "sample")
    index = names.index("sample") if "sample" in names else 0
    others = [i for i in range(len(names)) if i != index]
    _check_unique(names, others, path)
    table = frame[others].set_axis([names[i] for i in others], axis=1)
    table.index = pd.Index(frame[index].astype(str), dtype=object, name="sample")
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()].unique()
        raise InputError(
            f"'{path}' has several rows for the sample(s) {first_few(twice)}; one each is needed"
        )
    return table


def read_gene_table(path: str | PathLike[str], *, sep: str | None = None) -> pd.DataFrame:
    """Read numbers by gene and sample that are not counts, such as normalization factors.

    Parameters
    ----------
    path : path
        A text table, as `read_counts` takes them; the first column names the genes.
    sep : str, optional
        What stands between columns; by default found out from the header.

    Returns
    -------
    pandas.DataFrame, (gene, sample)

    Raises
    ------
    InputError
        If the file cannot be read as a table or names a sample twice.
    """
    names, frame = _read_table(path, sep, "gene table", None)
    others = list(range(1, len(names)))
    _check_unique(names, others, path)
    table = frame[others].set_axis([names[i] for i in others], axis=1)
    return table.set_axis(pd.Index(frame[0].astype(str), dtype=object, name="gene"), axis=0)


def write_atomically(path: str | PathLike[str], content: str | bytes) -> None:
    """Write a file under a temporary name beside its place, then rename it.

    Parameters
    ----------
    path : path
        Where it is to be; its folder must exist.
    content : str or bytes
        Text is written as UTF-8 with newline line ends.
    """
    target = Path(path)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """Read the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _read_table(
    path: str | PathLike[str], sep: str | None, what: str, key: str | None
) -> tuple[list[str], pd.DataFrame]:
    """Read a table; its columns are numbered, their names returned beside it, the key column kept as text."""
    header, body, skipped = _split_header(_text(path, what), sep, path)
    sep = sep or _sniffed(header)
    names = _fields(header, sep)
    first = next((line for line in io.StringIO(body) if line.strip()), None)
    if first is None:
        raise InputError(f"'{path}' has a header but no rows")
    width = len(_fields(first, sep))
    if width == len(names) + 1:
        names = ["", *names]
    if width != len(names):
        raise InputError(
            f"'{path}' has {len(names)} columns in its header ({first_few(names)}) but {width} in its "
            "first row. "
            f"{_sep_advice(sep)}"
        )
    position = names.index(key) if key in names else 0
    frame = _parsed(body, sep, len(names), position, f"'{path}' (lines after the first {skipped})")
    if what != "sample table" and frame[len(names) - 1].isna().any():
        _check_widths(body, sep, len(names), skipped, path)
    return names, frame


def _check_widths(body: str, sep: str | None, width: int, skipped: int, path: str | PathLike[str]) -> None:
    """Refuse rows that end too early, which would read as missing values."""
    for number, line in enumerate(body.split("\n"), skipped + 1):
        fields = len(_fields(line, sep)) if line.strip() else width
        if fields < width and '"' not in line:  # a quoted name may go on in the next line
            raise InputError(
                f"'{path}' has too few fields in line {number}: {fields} in place of {width}. The file may "
                "be cut off; complete the line or leave it out"
            )


def _parsed(body: str, sep: str | None, width: int, key: int, where: str) -> pd.DataFrame:
    """Parse the rows with pandas' C parser."""
    columns = [str(i) for i in range(width)]
    try:
        frame = pd.read_csv(
            io.StringIO(body),
            sep=sep or "\x00",
            header=None,
            names=columns,
            index_col=False,
            dtype={columns[key]: str},
            keep_default_na=False,
            na_values={name: _MISSING for name in columns if name != columns[key]},
            engine="c",
            low_memory=False,
        )
    except (pd.errors.ParserError, ValueError) as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise InputError(f"{where} is not a table: {reason}. {_sep_advice(sep)}") from error
    return frame.set_axis(range(width), axis=1)


def _text(path: str | PathLike[str], what: str) -> str:
    """Read a whole file, decompressed and decoded."""
    file = Path(path)
    if not file.exists():
        raise InputError(f"the {what} file '{path}' does not exist")
    if file.is_dir():
        raise InputError(f"'{path}' is a folder; a {what} file is needed")
    try:
        data = file.read_bytes()
        for magic, decompress in _DECOMPRESSORS.items():
            if data.startswith(magic):
                data = decompress(data)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"the {what} file '{path}' cannot be read: {error}") from error
    if b"\x00" in data[:4096]:
        raise InputError(
            f"'{path}' is not a text file; a table in UTF-8 text, plain or compressed, is needed"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"'{path}' is not UTF-8 text ({error.reason} at byte {error.start}); re-save it"
        ) from error
    if not text.strip():
        raise InputError(f"the {what} file '{path}' is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


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
        raise InputError(f"'{path}' holds comments only")
    # "#gene<tab>a<tab>b" over rows of as many columns is a header, not a remark.
    mark = sep or _sniffed(line)
    if comment.startswith("#") and mark and len(_fields(comment, mark)) == len(_fields(line, mark)) > 1:
        return comment[1:].lstrip(), text, skipped
    return line, rest, skipped + 1


def _sniffed(header: str) -> str | None:
    """Find the separator of a header; None if it has a single field."""
    mark = max(_SEPARATORS, key=header.count)
    if header.count(mark):
        return mark
    return _WHITESPACE if len(header.split()) > 1 else None


def _fields(line: str, sep: str | None) -> list[str]:
    """Split a line, honouring quotes."""
    line = line.rstrip("\n")
    if sep is None:
        return next(csv.reader([line], delimiter="\x00"))
    if sep == _WHITESPACE:
        return next(csv.reader([" ".join(line.split())], delimiter=" "))
    if len(sep) != 1:
        raise InputError(f"the separator {sep!r} is not understood; give one character, such as ',' or '\\t'")
    return next(csv.reader([line], delimiter=sep))


def _sep_advice(sep: str | None) -> str:
    """Say which separator was taken and what to do about it."""
    taken = "none was found" if sep is None else f"{_SEPARATORS.get(sep, repr(sep))} was taken"
    return f"Is the separator right? ({taken}; give another by sep=)"


def _column_position(names: list[str], wanted: str | None, path: str | PathLike[str]) -> int:
    """Find a column by name, the first for None."""
    if wanted is None:
        return 0
    if wanted not in names:
        raise InputError(f"'{path}' has no column '{wanted}'; its columns are {first_few(names, 20)}")
    return names.index(wanted)


def _check_unique(names: list[str], columns: list[int], path: str | PathLike[str]) -> None:
    """Refuse columns of the same name."""
    index = pd.Index([names[i] for i in columns])
    if index.has_duplicates:
        raise InputError(
            f"'{path}' has several columns called {first_few(index[index.duplicated()].unique())}"
        )


def _numbers(column: pd.Series) -> pd.Series:
    """Keep as text only the cells that are no numbers, so that messages name just these."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    numbers = pd.to_numeric(column, errors="coerce")
    text = (numbers.isna() & column.notna()).to_numpy()
    if not text.any():
        return numbers
    mixed = numbers.astype(object)
    mixed[text] = column[text].astype(object)
    return mixed
