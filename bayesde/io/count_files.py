"""Counts from files: text tables, featureCounts, .h5ad and .parquet."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.counts.annotated import opened_h5ad
from bayesde.counts.experiment import counts_of
from bayesde.counts.frames import warn_numeric_labels
from bayesde.counts.gene_labels import label_columns
from bayesde.counts.storage import DatasetReader
from bayesde.errors import InputError, first_few
from bayesde.io.one_sample import check_is_table, counts_by_sample, numbers, sample_files
from bayesde.io.summary_rows import genes_only, warn_left_out
from bayesde.io.tables import read_sample_table
from bayesde.io.text import check_file, check_unique, column_position, read_table, sep_advice

# Columns of featureCounts before the samples.
FEATURE_COUNTS = ["Geneid", "Chr", "Start", "End", "Strand", "Length"]
ALIGNMENT_SUFFIXES = (".bam", ".sam", ".cram")


def read_counts(
    path: str | PathLike[str] | Mapping[str, str | PathLike[str]],
    samples: str | PathLike[str] | pd.DataFrame | None = None,
    *,
    gene_column: str | None = None,
    sep: str | None = None,
    layer: str | None = None,
    backed: bool = False,
    strand: str | None = None,
) -> Counts:
    """Read a table of counts, one row per gene and one column per sample.

    Text tables as R, Python and spreadsheets write them: separated by tab, comma, semicolon or space, plain
    or compressed (gzip, bzip2, xz), with or without a header of the gene column, with ``#`` lines before the
    header, quotes, a byte-order mark or Windows line ends; whitespace around names and cells is stripped, and
    separators at the end of lines that are followed by nothing are ignored.
    Output of featureCounts can be read as it is (samples are named after the alignment files, without folder
    and ``.bam``). Columns that describe the genes, such as ``gene_name`` in the merged tables of nf-core,
    become `Counts.gene_labels`. Summary rows of STAR, htseq-count and featureCounts are left out. The kind of
    file is detected from its content.

    Parameters
    ----------
    path : path, or mapping of path by sample name
        The table; or an AnnData file (.h5ad, needs ``pip install bayesde[anndata]``), where observations are
        the samples; or a .parquet file (needs pyarrow); or one file per sample, as htseq-count
        (genes and counts, no header), featureCounts or STAR (``ReadsPerGene.out.tab``) write them, all with
        the same genes; or a folder of such files, ``SAMPLE.ReadsPerGene.out.tab``,
        ``SAMPLE/ReadsPerGene.out.tab`` or ``SAMPLE.counts``.
    samples : path or pandas.DataFrame, optional
        The sample table, see `read_sample_table`; a DataFrame is indexed by sample name. Rows are matched to
        the columns of the counts by name and must name the same samples. By default ``obs`` of an AnnData
        file, and none for other files.
    gene_column : str, optional
        The column with the gene names, in an AnnData file a column of ``var``; by default the first column,
        the index of a .parquet file, or ``var_names``.
    sep : str, optional
        Separator of the columns of text; by default detected from the header.
    layer : str, optional
        The layer of an AnnData file with the raw counts; by default ``X``.
    backed : bool
        Whether dense counts of an AnnData file stay in it and are read when needed, for counts larger than
        memory. Sparse counts are always kept compressed in memory.
    strand : {"unstranded", "forward", "reverse"}, optional
        Strandedness of the libraries, for STAR's files; by default inferred from the totals of their columns,
        for all samples together.

    Returns
    -------
    Counts

    Warns
    -----
    BayesdeNote
        Reports which rows were left out, which columns are not samples, and which strand was used.

    Raises
    ------
    InputError
        If a file cannot be read as a table, or does not contain counts (see `Counts`).
    """
    table = read_sample_table(samples) if isinstance(samples, (str, PathLike)) else samples
    if not isinstance(path, Mapping) and Path(path).is_dir():
        path = sample_files(path)
    if isinstance(path, Mapping):
        return counts_by_sample(path, table, sep, strand)
    if strand is not None:
        raise InputError("strand= applies only to STAR's files of single samples; omit it.")
    check_file(path, "counts")
    start, annotated = _start(path), is_hdf5(path)
    if not annotated and (layer is not None or backed):
        raise InputError(f"'{path}' is not an .h5ad file: omit layer= and backed=.")
    if annotated:
        return _from_h5ad(path, table, gene_column, layer, backed=backed)
    if start.startswith(b"PAR1"):
        return _from_parquet(path, table, gene_column)
    return _from_text(path, table, gene_column, sep)


def _start(path: str | PathLike[str]) -> bytes:
    """Read the bytes by which kinds of files are told apart."""
    with open(path, "rb") as stream:
        return stream.read(8)


def is_hdf5(path: str | PathLike[str]) -> bool:
    """Tell whether a file is in the format of .h5ad files.

    Parameters
    ----------
    path : path
        Of an existing file.

    Returns
    -------
    bool
    """
    return _start(path) == b"\x89HDF\r\n\x1a\n"


def _from_text(
    path: str | PathLike[str], table: pd.DataFrame | None, gene_column: str | None, sep: str | None
) -> Counts:
    """Read a text table."""
    names, frame = read_table(path, sep, "counts", gene_column)
    check_is_table(names, path)
    gene = column_position(names, gene_column, path)
    if table is not None:
        _check_orientation(frame[gene], names, table, path)
    names, labels = _labels(names, frame, gene, table)
    others = [i for i in range(len(names)) if i != gene and i not in labels]
    if not others:
        raise InputError(
            f"'{path}' has no sample with counts: its column(s) are {first_few(names)}, one column of "
            f"genes{' and labels of them' if labels else ''}. {sep_advice(sep)}"
        )
    check_unique(names, others, path)
    kept, left_out = genes_only(frame[gene], path)
    warn_left_out(left_out, f"'{path}'")
    frame = frame[kept]
    samples = [names[i] for i in others]
    genes = pd.Index(frame[gene].astype(str), dtype=object)
    known = frame[labels].set_axis([names[i] for i in labels], axis=1).set_axis(genes, axis=0)
    matrix = pd.DataFrame({i: numbers(frame[i]) for i in others}).to_numpy()
    try:
        return Counts(
            matrix,
            genes=genes,
            samples=samples,
            sample_table=table,
            gene_labels=None if known.empty or genes.has_duplicates else known,
        )
    except InputError as error:
        if not labels and not str(error).startswith("text instead"):
            raise
        raise InputError(f"{error} {_taken(path, samples, list(map(str, known)))}") from error


def _labels(
    names: list[str], frame: pd.DataFrame, gene: int, table: pd.DataFrame | None
) -> tuple[list[str], list[int]]:
    """Find the columns that are gene labels; name the samples of featureCounts."""
    first: list[int] = []
    if names[: len(FEATURE_COUNTS)] == FEATURE_COUNTS:
        first = list(range(len(FEATURE_COUNTS)))
        names = names[: len(FEATURE_COUNTS)] + alignment_names(names[len(FEATURE_COUNTS) :])
    known = () if table is None else [str(name) for name in table.index]
    labels = label_columns(names, frame, gene, known)
    warn_numeric_labels(
        [names[i] for i in labels if i not in first and pd.api.types.is_numeric_dtype(frame[i])]
    )
    return names, [i for i in range(len(names)) if i != gene and i in {*first, *labels}]


def _taken(path: str | PathLike[str], samples: list[str], labels: list[str]) -> str:
    """Report which columns of a table were taken for what."""
    kept = f"; for gene labels: {first_few(labels)}" if labels else ""
    return f"(Columns of '{path}' taken for samples: {first_few(samples, 8)}{kept}.)"


def _check_orientation(
    genes: pd.Series, samples: list[str], table: pd.DataFrame, path: str | PathLike[str]
) -> None:
    """Refuse counts whose rows are the samples, and a sample table given as counts."""
    if table.index.isin(samples).any():
        return
    if table.index.isin(genes).all():
        raise InputError(
            f"the rows of '{path}' are the samples, {first_few(table.index, 3)}; genes must be its rows and "
            "samples its columns: transpose it."
        )
    if genes.isin(table.columns).all():
        raise InputError(
            f"the rows of '{path}' are columns of the sample table, {first_few(genes, 3)}: were the counts "
            "and the sample table swapped?"
        )


def alignment_names(names: list[str]) -> list[str]:
    """Name samples after their alignment files, without folder and suffix where that keeps them unique.

    Parameters
    ----------
    names : list of str
        Columns of featureCounts.

    Returns
    -------
    list of str
    """
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
    """Read an AnnData file; it stays open only if its counts are to stay in it."""
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
        raise InputError("reading .parquet files needs pyarrow: pip install pyarrow.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read as a .parquet file: {error}.") from error
    if gene_column is not None or isinstance(frame.index, pd.RangeIndex):
        names = [str(name) for name in frame.columns]
        place = column_position(names, gene_column, path) if names else 0
        frame = frame.set_index(frame.columns[place]) if names else frame
    kept, left_out = genes_only(frame.index, path)
    warn_left_out(left_out, f"'{path}'")
    frame = frame[kept] if left_out else frame
    return Counts(frame.set_axis(np.asarray(frame.columns, dtype=str), axis=1), sample_table=table)
