"""Counts from one file: text tables, featureCounts, .h5ad and .parquet."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.counts.annotated import opened_h5ad
from bayesde.counts.experiment import counts_of
from bayesde.counts.storage import DatasetReader
from bayesde.errors import InputError, first_few
from bayesde.io.tables import read_sample_table
from bayesde.io.text import check_file, check_unique, column_position, read_table, sep_advice

# What featureCounts writes before the samples.
FEATURE_COUNTS = ["Geneid", "Chr", "Start", "End", "Strand", "Length"]
ALIGNMENT_SUFFIXES = (".bam", ".sam", ".cram")
# Rows in which htseq-count reports reads of no gene.
NO_GENE = ["__no_feature", "__ambiguous", "__too_low_aQual", "__not_aligned", "__alignment_not_unique"]


def read_counts(
    path: str | PathLike[str] | Mapping[str, str | PathLike[str]],
    samples: str | PathLike[str] | pd.DataFrame | None = None,
    *,
    gene_column: str | None = None,
    sep: str | None = None,
    layer: str | None = None,
    backed: bool = False,
) -> Counts:
    """Read a table of counts, one row a gene and one column a sample.

    Text tables as R, Python and spreadsheets write them: tab, comma, semicolon or space between columns,
    plain or compressed (gzip, bzip2, xz), with or without a name over the gene column, with ``#`` lines
    before the header, quotes, a byte-order mark or Windows line ends. Output of featureCounts is understood
    as it is (samples are called like the alignment files, without folder and ``.bam``), and the rows of
    htseq-count for reads of no gene are left out. The kind of file is found out from its content.

    Parameters
    ----------
    path : path, or mapping of path by sample name
        The table; or an AnnData file (.h5ad, needs ``pip install bayesde[anndata]``), where observations are
        the samples; or a .parquet file (needs pyarrow); or one file for each sample as htseq-count writes
        them (genes and counts, no header), all with the same genes.
    samples : path or pandas.DataFrame, optional
        The sample table, see `read_sample_table`; a DataFrame is indexed by sample name. Rows are matched to
        the columns of the counts by name and must name the same samples. By default ``obs`` of an AnnData
        file, and none for others.
    gene_column : str, optional
        The column with the gene names, for an AnnData file one of ``var``; by default the first column, the
        index of a .parquet file, or ``var_names``.
    sep : str, optional
        What stands between columns of text; by default found out from the header.
    layer : str, optional
        The layer of an AnnData file with the raw counts; by default ``X`` has them.
    backed : bool
        Whether counts that an AnnData file holds as a whole array stay in it and are read when needed, for
        counts larger than memory. Sparse ones are always held compressed in memory.

    Returns
    -------
    Counts

    Raises
    ------
    InputError
        If a file cannot be read as a table, or what it holds are not counts (see `Counts`).
    """
    table = read_sample_table(samples) if isinstance(samples, (str, PathLike)) else samples
    if isinstance(path, Mapping):
        return _from_samples(path, table, sep)
    check_file(path, "counts")
    with open(path, "rb") as stream:
        start = stream.read(8)
    annotated = start == b"\x89HDF\r\n\x1a\n"
    if not annotated and (layer is not None or backed):
        raise InputError(f"'{path}' is not an .h5ad file: leave layer= and backed= out")
    if annotated:
        return _from_h5ad(path, table, gene_column, layer, backed=backed)
    if start.startswith(b"PAR1"):
        return _from_parquet(path, table, gene_column)
    return _from_text(path, table, gene_column, sep)


def _from_text(
    path: str | PathLike[str], table: pd.DataFrame | None, gene_column: str | None, sep: str | None
) -> Counts:
    """Read a text table."""
    names, frame = read_table(path, sep, "counts", gene_column)
    gene = column_position(names, gene_column, path)
    idle = {gene}
    if names[: len(FEATURE_COUNTS)] == FEATURE_COUNTS:
        idle |= set(range(len(FEATURE_COUNTS)))
        names = names[: len(FEATURE_COUNTS)] + _alignment_names(names[len(FEATURE_COUNTS) :])
    others = [i for i in range(len(names)) if i not in idle]
    if not others:
        raise InputError(
            f"'{path}' has one column, {first_few(names)}: no sample with counts. {sep_advice(sep)}"
        )
    check_unique(names, others, path)
    frame = frame[~frame[gene].isin(NO_GENE)]
    if table is not None:
        _check_orientation(frame[gene], [names[i] for i in others], table, path)
    matrix = pd.DataFrame({i: _numbers(frame[i]) for i in others}).to_numpy()
    return Counts(
        matrix, genes=frame[gene].astype(str), samples=[names[i] for i in others], sample_table=table
    )


def _check_orientation(
    genes: pd.Series, samples: list[str], table: pd.DataFrame, path: str | PathLike[str]
) -> None:
    """Refuse counts whose rows are the samples, and a sample table in place of the counts."""
    if table.index.isin(samples).any():
        return
    if table.index.isin(genes).all():
        raise InputError(
            f"the rows of '{path}' are the samples, {first_few(table.index, 3)}; genes must be its rows and "
            "samples its columns: transpose it"
        )
    if genes.isin(table.columns).all():
        raise InputError(
            f"the rows of '{path}' are columns of the sample table, {first_few(genes, 3)}: were the counts "
            "and the sample table given in each other's place?"
        )


def _from_samples(
    paths: Mapping[str, str | PathLike[str]], table: pd.DataFrame | None, sep: str | None
) -> Counts:
    """Read one file for each sample."""
    if not paths:
        raise InputError("no file was given; give the path of each sample's counts by sample name")
    columns = [_one_sample(path, sep) for path in paths.values()]
    genes = columns[0].index
    for path, column in zip(paths.values(), columns, strict=True):
        different = column.index.symmetric_difference(genes)
        if len(different):
            raise InputError(
                f"'{path}' and '{next(iter(paths.values()))}' do not list the same genes, for example "
                f"{first_few(different, 3)}; count all samples against one annotation"
            )
    together = pd.concat(
        [column.loc[genes] for column in columns], axis=1, keys=[str(name) for name in paths]
    )
    return Counts(together, sample_table=table)


def _one_sample(path: str | PathLike[str], sep: str | None) -> pd.Series:
    """Read genes and counts, with or without a header."""
    names, frame = read_table(path, sep, "counts", None)
    if len(names) != 2:
        raise InputError(f"'{path}' has {len(names)} columns; genes and the counts of one sample are needed")
    if not pd.isna(pd.to_numeric(names[1], errors="coerce")):  # the first line is a gene
        first = pd.DataFrame([[names[0], float(names[1])]])
        frame = pd.concat([first, frame], ignore_index=True)
    frame = frame[~frame[0].isin(NO_GENE)]
    genes = pd.Index(frame[0].astype(str), dtype=object)
    if genes.has_duplicates:
        raise InputError(f"'{path}' lists gene(s) twice: {first_few(genes[genes.duplicated()].unique())}")
    return pd.Series(_numbers(frame[1]).to_numpy(), index=genes)


def _alignment_names(names: list[str]) -> list[str]:
    """Name samples like their alignment files, without folder and suffix where that leaves them different."""
    files = [PurePosixPath(name.replace("\\", "/")) for name in names]
    short = [file.stem if file.suffix.lower() in ALIGNMENT_SUFFIXES else file.name for file in files]
    return short if len(set(short)) == len(names) else names


def _from_h5ad(
    path: str | PathLike[str],
    table: pd.DataFrame | None,
    gene_column: str | None,
    layer: str | None,
    *,
    backed: bool,
) -> Counts:
    """Read an AnnData file; it stays open only if its counts are to stay there."""
    parts = opened_h5ad(path, layer)
    stays = False
    try:
        if isinstance(parts.values, DatasetReader) and not backed:
            parts = parts.with_values(parts.values.read(0, parts.values.shape[0]))
        counts = counts_of(parts, gene_column, parts.obs if table is None else table)
        stays = backed and isinstance(parts.values, DatasetReader)
    finally:
        if not stays:
            parts.file.close()
    return counts


def _from_parquet(path: str | PathLike[str], table: pd.DataFrame | None, gene_column: str | None) -> Counts:
    """Read a .parquet table whose gene names are the index, a named column or the first."""
    try:
        frame = pd.read_parquet(Path(path))
    except ImportError as error:
        raise InputError("reading .parquet files needs pyarrow: pip install pyarrow") from error
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read as a .parquet file: {error}") from error
    if gene_column is not None or isinstance(frame.index, pd.RangeIndex):
        names = [str(name) for name in frame.columns]
        place = column_position(names, gene_column, path) if names else 0
        frame = frame.set_index(frame.columns[place]) if names else frame
    return Counts(frame.set_axis(np.asarray(frame.columns, dtype=str), axis=1), sample_table=table)


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
