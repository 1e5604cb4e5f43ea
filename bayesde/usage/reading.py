"""Reading counts of features: DEXSeq's bins, exons of featureCounts, and pairs of junction tables."""

from __future__ import annotations

import warnings
from os import PathLike, fspath
from pathlib import Path

import pandas as pd

from bayesde.counts import Counts
from bayesde.errors import BayesdeNote, InputError, first_few
from bayesde.io import read_counts, read_gene_table, read_sample_table
from bayesde.io.count_files import FEATURE_COUNTS, alignment_names
from bayesde.io.text import check_file, read_table
from bayesde.usage.counts import UsageCounts

__all__ = ["read_usage"]


def read_usage(
    path: str | PathLike[str],
    samples: str | PathLike[str] | pd.DataFrame | None = None,
    *,
    exclusion: str | PathLike[str] | None = None,
    lengths: str | PathLike[str] | None = None,
    sep: str | None = None,
) -> UsageCounts:
    """Read counts of the parts of genes.

    Parameters
    ----------
    path : path
        One row a feature: named ``gene:bin`` as by DEXSeq's Python scripts, or the output of featureCounts by
        exon (``featureCounts -f``), where features are named ``gene:chromosome_start_end_strand`` and rows
        of the same exon are taken once. With `exclusion`, counts of reads that include each event.
    samples : path or pandas.DataFrame, optional
        The sample table, as in `read_counts`.
    exclusion : path, optional
        Counts of reads that skip each event, with the same names of rows and columns.
    lengths : path, optional
        Effective lengths: one row an event, columns ``inclusion`` and ``exclusion``.
    sep : str, optional
        Separator of the columns; by default detected.

    Returns
    -------
    UsageCounts

    Raises
    ------
    InputError
        If a file cannot be read, names do not match, or features have no gene.

    Warns
    -----
    BayesdeNote
        If rows of the same exon were taken once.
    """
    if exclusion is None and lengths is not None:
        raise InputError("effective lengths are for junctions: give the exclusion counts, too.")
    check_file(path, "counts")
    by_exon = _exons(path, samples, sep)
    if by_exon is not None:
        if exclusion is not None:
            raise InputError(f"'{fspath(path)}' is by exon; exclusion counts belong to inclusion junctions.")
        return by_exon
    counts = read_counts(path, samples, sep=sep)
    if exclusion is None:
        return UsageCounts.from_features(counts)
    skipped = read_counts(exclusion, sep=sep)
    table = None if lengths is None else read_gene_table(lengths, sep=sep)
    return UsageCounts.from_junctions(counts, skipped, lengths=table)


def _exons(
    path: str | PathLike[str], samples: str | PathLike[str] | pd.DataFrame | None, sep: str | None
) -> UsageCounts | None:
    """Read the output of featureCounts by exon; None if it is not that."""
    with Path(path).open("rb") as stream:
        if stream.read(4) in (b"\x89HDF", b"PAR1"):
            return None
    names, frame = read_table(path, sep, "counts", "Geneid")
    if names[: len(FEATURE_COUNTS)] != FEATURE_COUNTS or not frame[0].duplicated().any():
        return None
    first = len(FEATURE_COUNTS)
    place = frame[1].astype(str)
    for column in (2, 3, 4):
        place = place + "_" + frame[column].astype(str)
    features = frame[0].astype(str) + ":" + place
    once = ~features.duplicated()
    if not once.all():
        warnings.warn(
            f"{(~once).sum()} row(s) of exons that are listed several times, as by several transcripts, were "
            f"taken once: {first_few(features[~once].unique(), 3)}.",
            BayesdeNote,
            stacklevel=3,
        )
    table = read_sample_table(samples) if isinstance(samples, str | PathLike) else samples
    kept = frame[once]
    counts = Counts(
        kept[list(range(first, len(names)))].to_numpy(),
        genes=features[once],
        samples=alignment_names(names[first:]),
        sample_table=table,
    )
    return UsageCounts.from_features(counts, kept[0].astype(str).tolist())
