"""One file of counts per sample: htseq-count, featureCounts, STAR, and folders of such files.

STAR's ReadsPerGene.out.tab has three counts of each gene: of reads on either strand, of reads on the strand
of the gene (a forward library, htseq-count's ``yes``) and on the other strand (``reverse``).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.counts.checks import summary_rows
from bayesde.counts.gene_labels import label_columns
from bayesde.errors import BayesdeNote, BayesdeWarning, InputError, first_few
from bayesde.io.options import STRANDS
from bayesde.io.summary_rows import genes_only, warn_left_out
from bayesde.io.text import read_table
from bayesde.options import check_choice

__all__ = ["check_is_table", "counts_by_sample", "numbers", "sample_files"]

OF_GDC = ("unstranded", "stranded_first", "stranded_second")
"""STAR's columns in the files of the Genomic Data Commons, which have a header."""
MOSTLY = 0.75
"""Share of the reads on one strand above which a library is taken for a stranded one."""

_STAR_ENDINGS = (
    "ReadsPerGene.out.tab",
    ".rna_seq.augmented_star_gene_counts.tsv",
    ".augmented_star_gene_counts.tsv",
)
_OTHER_ENDINGS = (".htseq.counts", ".counts.txt", ".counts.tsv", ".counts", ".htseq.txt", ".htseq", ".count")
_COMPRESSED = (".gz", ".bz2", ".xz")


@dataclass(frozen=True, eq=False)
class _OneSample:
    """Counts (gene, column) of one sample: a single column, or STAR's three."""

    counts: pd.DataFrame
    labels: pd.DataFrame
    left_out: list[str]
    path: str

    @property
    def is_star(self) -> bool:
        return self.counts.shape[1] == len(STRANDS)


def sample_files(folder: str | PathLike[str]) -> dict[str, Path]:
    """Find the files of single samples in a folder.

    Parameters
    ----------
    folder : path
        With files of STAR, called ``SAMPLE.ReadsPerGene.out.tab`` or in a folder of the sample's name, or of
        htseq-count, called ``SAMPLE.counts``; plain or compressed.

    Returns
    -------
    dict of str to pathlib.Path
        By name of the sample.

    Raises
    ------
    InputError
        If there is none, or two of one name.
    """
    files = [file for file in sorted([*Path(folder).glob("*"), *Path(folder).glob("*/*")]) if file.is_file()]
    for endings in (_STAR_ENDINGS, _OTHER_ENDINGS):
        named = [(_sample_of(file, endings), file) for file in files]
        found = [(name, file) for name, file in named if name is not None]
        names = [name for name, _ in found]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"'{folder}' has several files of the sample(s) {first_few(twice)}.")
        if found:
            return dict(found)
    transcripts = any(file.name.startswith(("quant.sf", "abundance.tsv")) for file in files)
    advice = "; files of Salmon and kallisto are read by read_tximport" if transcripts else ""
    raise InputError(
        f"'{folder}' is a folder without files of STAR (SAMPLE.ReadsPerGene.out.tab) or htseq-count "
        f"(SAMPLE.counts); a counts file is needed{advice}."
    )


def _sample_of(file: Path, endings: Sequence[str]) -> str | None:
    """Return the name of the sample: the file name before an ending, or the folder; None for other files."""
    name = file.name.removesuffix(file.suffix) if file.suffix in _COMPRESSED else file.name
    ending = next((ending for ending in endings if name.endswith(ending)), None)
    return None if ending is None else name.removesuffix(ending).rstrip("._-") or file.parent.name


def check_is_table(names: Sequence[str], path: str | PathLike[str]) -> None:
    """Refuse STAR's file of one sample where a table of all samples is needed.

    Parameters
    ----------
    names : sequence of str
        Header of the file.
    path : path
        For the message.

    Raises
    ------
    InputError
    """
    if (len(names) == 4 and summary_rows(names[:1]).all()) or set(OF_GDC) <= set(names):
        raise InputError(
            f"'{path}' has STAR's counts of a single sample; give the folder that holds the files of all "
            f"samples, or the path of each by sample name: read_counts({{'sample': path, ...}})."
        )


def counts_by_sample(
    paths: Mapping[str, str | PathLike[str]], table: pd.DataFrame | None, sep: str | None, strand: str | None
) -> Counts:
    """Read one file per sample; see `bayesde.io.count_files.read_counts`.

    Parameters
    ----------
    paths : mapping of str to path
        By sample name.
    table : pandas.DataFrame or None
        The sample table.
    sep : str or None
        Separator; None to detect it.
    strand : str or None
        One of `STRANDS` for STAR's files; None to choose by the totals.

    Returns
    -------
    Counts

    Raises
    ------
    InputError
        If the files do not fit together.
    """
    if not paths:
        raise InputError("no file was given; give the path of each sample's counts by sample name.")
    if strand is not None:
        check_choice("strand", strand, STRANDS)
    samples = [_one_sample(path, sep) for path in paths.values()]
    first = samples[0]
    for sample in samples:
        _check_alike(sample, first)
    names = [str(name) for name in paths]
    place = 0
    if first.is_star:
        place = _column_of_star(dict(zip(names, samples, strict=True)), strand)
    elif strand is not None:
        raise InputError("strand= chooses among the columns of STAR's ReadsPerGene.out.tab; omit it.")
    left_out = list(dict.fromkeys(row for sample in samples for row in sample.left_out))
    warn_left_out(left_out, f"'{first.path}'" + (" and the other files" if len(samples) > 1 else ""))
    genes = first.counts.index
    together = pd.concat([sample.counts.loc[genes].iloc[:, place] for sample in samples], axis=1, keys=names)
    return Counts(together, sample_table=table, gene_labels=first.labels)


def _check_alike(sample: _OneSample, first: _OneSample) -> None:
    """Refuse files with other genes or from another program."""
    different = sample.counts.index.symmetric_difference(first.counts.index)
    if len(different):
        raise InputError(
            f"'{sample.path}' and '{first.path}' do not list the same genes, for example "
            f"{first_few(different, 3)}; count all samples against one annotation."
        )
    if sample.is_star != first.is_star:
        raise InputError(f"'{sample.path}' and '{first.path}': one is from STAR, the other is not.")


def _one_sample(path: str | PathLike[str], sep: str | None) -> _OneSample:
    """Read genes and counts, with or without a header."""
    names, frame = read_table(path, sep, "counts", None)
    if all(_is_number(name) for name in names[1:]):  # the first line is a gene
        first = pd.DataFrame([[names[0], *map(float, names[1:])]])
        frame = pd.concat([first, frame], ignore_index=True)
        labels, columns = [], list(range(1, len(names)))
    else:
        labels = label_columns(names, frame, 0, OF_GDC)
        columns = [i for i in range(1, len(names)) if i not in labels]
        if set(OF_GDC) <= set(names):
            columns = [names.index(name) for name in OF_GDC]
    kept, left_out = genes_only(frame[0], path)
    if len(columns) not in (1, len(STRANDS)) or (len(columns) > 1 and not _is_star(names, left_out)):
        raise InputError(f"'{path}' has {len(names)} columns; genes and the counts of one sample are needed.")
    frame = frame[kept]
    genes = pd.Index(frame[0].astype(str), dtype=object)
    if genes.has_duplicates:
        raise InputError(f"'{path}' lists gene(s) twice: {first_few(genes[genes.duplicated()].unique())}.")
    counts = pd.DataFrame({i: numbers(frame[i]) for i in columns}).set_axis(genes, axis=0)
    known = frame[labels].set_axis([names[i] for i in labels], axis=1).set_axis(genes, axis=0)
    return _OneSample(counts, known, left_out, str(path))


def _is_star(names: Sequence[str], left_out: Sequence[str]) -> bool:
    """Return whether a file with three columns of counts is STAR's."""
    return set(OF_GDC) <= set(names) or any(row.casefold().startswith("n_") for row in left_out)


def _is_number(text: str) -> bool:
    return not pd.isna(pd.to_numeric(text, errors="coerce"))


def _column_of_star(samples: Mapping[str, _OneSample], strand: str | None) -> int:
    """Choose the column for the kind of library: as requested, or by the totals of the columns."""
    if strand is not None:
        return STRANDS.index(strand)
    shares = {name: _forward_share(sample.counts) for name, sample in samples.items()}
    kinds = {name: _kind(share) for name, share in shares.items() if share is not None}
    if len(set(kinds.values())) > 1:
        _warn_mixed_strands(kinds)
        return 0
    place = STRANDS.index(next(iter(kinds.values()), STRANDS[0]))
    percents = sorted(f"{100.0 * share:.0f}" for share in shares.values() if share is not None)
    _warn_strand(place, sorted(set(percents), key=float))
    return place


def _warn_strand(place: int, percents: list[str]) -> None:
    """Report which of STAR's columns is used, and why."""
    span = f"{' to '.join(dict.fromkeys([percents[0], percents[-1]]))} % " if percents else "none "
    warnings.warn(
        f"the column of STAR's files for {STRANDS[place]} libraries is used (column {place + 2}): {span}of "
        "the reads assigned to one strand are on the strand of the gene; strand= (--strand) chooses "
        f"another: {first_few(STRANDS)}.",
        BayesdeNote,
        stacklevel=6,
    )


def _warn_mixed_strands(kinds: Mapping[str, str]) -> None:
    """Report that libraries are of different kinds, so that only unstranded counts are comparable."""
    groups = [
        f"{kind}: {first_few([name for name, one in kinds.items() if one == kind], 3)}"
        for kind in STRANDS
        if kind in kinds.values()
    ]
    warnings.warn(
        f"the samples' libraries differ in strandedness ({'; '.join(groups)}), so that the column of STAR's "
        "files for unstranded libraries is used; strand= (--strand) chooses another.",
        BayesdeWarning,
        stacklevel=6,
    )


def _forward_share(counts: pd.DataFrame) -> float | None:
    """Return the share of reads on the strand of the gene among those on either; None without any."""
    forward, reverse = (float(pd.to_numeric(counts.iloc[:, i], errors="coerce").sum()) for i in (1, 2))
    return forward / (forward + reverse) if forward + reverse > 0.0 else None


def _kind(share: float) -> str:
    """Name the kind of library by the share of forward reads."""
    if share >= MOSTLY:
        return "forward"
    return "reverse" if share <= 1.0 - MOSTLY else "unstranded"


def numbers(column: pd.Series) -> pd.Series:
    """Read a column as numbers; only cells that are not numbers stay text, so that messages name them.

    Parameters
    ----------
    column : pandas.Series

    Returns
    -------
    pandas.Series
    """
    if pd.api.types.is_numeric_dtype(column):
        return column
    read = pd.to_numeric(column, errors="coerce")
    text = np.asarray(read.isna() & column.notna())
    if not text.any():
        return read
    mixed = read.astype(object)
    mixed[text] = column[text].astype(object)
    return mixed
