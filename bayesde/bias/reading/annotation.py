"""Where reads may start: the exons of genes, or stretches that reads cover.

A `Gene` is what one effective length is computed for: the union of the exons of all transcripts of a gene, or
one covered stretch.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bayesde.bias.needs import library
from bayesde.bias.reading.alignments import Alignments
from bayesde.errors import InputError

__all__ = ["Gene", "covered_stretches", "read_genes"]

SHORTEST_STRETCH = 100
"""Bases; shorter stretches of coverage have hardly a start that is not at one of their ends."""
LARGEST_GAP = 10
"""Bases; stretches closer to each other are joined."""


class Gene(NamedTuple):
    """A gene, or a stretch of coverage.

    Attributes
    ----------
    name : str
    contig : str
    strand : int
        1 or -1; 0 if unknown.
    exons : ndarray int64 (exon, 2)
        Disjoint, sorted, 0-based and half-open.
    """

    name: str
    contig: str
    strand: int
    exons: np.ndarray


def read_genes(path: str | PathLike[str]) -> list[Gene]:
    """Read the exons of all genes of a GTF file.

    Parameters
    ----------
    path : path
        GTF, possibly compressed by gzip; lines of type exon with an attribute gene_id.

    Returns
    -------
    list of Gene
        In the order of the file. A gene with the same name on two reference sequences or strands is that of
        its first exon; exons elsewhere are left out, as in the pseudoautosomal regions of X and Y.

    Raises
    ------
    InputError
        If the file does not exist, cannot be read, or has no exon.
    """
    if not Path(path).is_file():
        raise InputError(f"the annotation '{path}' does not exist; give a GTF file.")
    places: dict[str, tuple[str, int]] = {}
    exons: dict[str, list[tuple[int, int]]] = defaultdict(list)
    try:
        for name, place, exon in _exons(path):
            if places.setdefault(name, place) == place:
                exons[name].append(exon)
    except (OSError, UnicodeDecodeError, ValueError, EOFError) as error:
        raise InputError(f"the annotation '{path}' cannot be read as a GTF file: {error}.") from error
    if not exons:
        raise InputError(
            f"the annotation '{path}' has no exons: no line of type 'exon' with an attribute gene_id was "
            "found. GTF files of Ensembl, GENCODE, NCBI and FlyBase have them; GFF3 files "
            "are of another form, and gffread -T converts them."
        )
    return [Gene(name, *places[name], union(exons[name])) for name in exons]


def _exons(path: str | PathLike[str]) -> Iterator[tuple[str, tuple[str, int], tuple[int, int]]]:
    """Yield the gene, place and ends of every exon."""
    parse = library("gffutils").feature.feature_from_line
    dialect = None
    for line in _lines(path):
        if line.split("\t", 3)[2:3] != ["exon"]:
            continue
        feature = parse(line, dialect=dialect, strict=True)
        dialect = dialect or feature.dialect
        names = feature.attributes.get("gene_id", [])
        if names and feature.start is not None and feature.end is not None:
            strand = {"+": 1, "-": -1}.get(feature.strand, 0)
            yield names[0], (feature.seqid, strand), (feature.start - 1, feature.end)


def _lines(path: str | PathLike[str]) -> Iterator[str]:
    with Path(path).open("rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rt") if compressed else Path(path).open(encoding="utf-8") as text:
        yield from (line.rstrip("\n") for line in text)


def union(intervals: Any, largest_gap: int = 0) -> np.ndarray:
    """Return the union of intervals.

    Parameters
    ----------
    intervals : array-like of int (interval, 2)
        Half-open, at least one.
    largest_gap : int
        Intervals that are at most this far from each other are joined.

    Returns
    -------
    ndarray int64 (interval, 2)
        Disjoint and sorted.
    """
    ends = np.asarray(intervals, dtype=np.int64).reshape(-1, 2)
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ends[:, 1])
    first = np.flatnonzero(np.r_[True, ends[1:, 0] > reach[:-1] + largest_gap])
    return np.column_stack([ends[first, 0], reach[np.r_[first[1:] - 1, len(ends) - 1]]])


def covered_stretches(libraries: Sequence[Alignments]) -> list[Gene]:
    """Return the stretches that reads of any library cover, as genes of unknown strand.

    Parameters
    ----------
    libraries : sequence of Alignments
        Read with their blocks.

    Returns
    -------
    list of Gene
        Named ``contig:start-end`` (1-based), sorted.

    Raises
    ------
    InputError
        If there is none of `SHORTEST_STRETCH` bases.
    """
    stretches = []
    for contig in sorted({name for one in libraries for name in one.contigs}):
        blocks = [one.blocks[_is_on(one, contig)][:, 1:] for one in libraries if contig in one.contigs]
        together = np.concatenate(blocks)
        if together.size:
            stretches += [
                Gene(f"{contig}:{start + 1}-{end}", contig, 0, np.array([[start, end]]))
                for start, end in union(np.unique(together, axis=0), LARGEST_GAP)
                if end - start >= SHORTEST_STRETCH
            ]
    if not stretches:
        raise InputError(
            f"the reads cover no stretch of {SHORTEST_STRETCH} bases; give an annotation, or more reads."
        )
    return stretches


def _is_on(library: Alignments, contig: str) -> np.ndarray:
    return library.blocks[:, 0] == list(library.contigs).index(contig)
