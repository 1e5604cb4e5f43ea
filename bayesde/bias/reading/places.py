"""The sequences of genes in one array, and where reads start in it.

The exons of each gene are joined, and a flank of genomic bases is put at either end, so that the bases around
every start are consecutive. ``position`` always means an index into this array. The strand is that of the
genome, also for genes on the reverse strand.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from bayesde.bias.reading.alignments import Alignments
from bayesde.bias.reading.annotation import Gene
from bayesde.bias.reading.genome import UNKNOWN, check_contigs, encoded, opened_genome, reverse_complement
from bayesde.errors import BayesdeWarning, InputError, first_few

__all__ = ["Places", "Starts", "join_exons", "located"]


@dataclass(frozen=True, eq=False)
class Places:
    """The sequences of all genes.

    Attributes
    ----------
    names : tuple of str (gene,)
    strands : ndarray int8 (gene,)
        1, -1, or 0 if unknown.
    codes : ndarray uint8 (position,)
        Bases, see `bayesde.bias.reading.genome`.
    first, last : ndarray int64 (gene,)
        Positions of the gene's first base, and one beyond its last.
    flank : int
        Number of bases at either end of every gene that do not belong to it.
    pieces : dict of str to ndarray int64 (piece, 3)
        By reference sequence: disjoint, sorted intervals (start, end) of bases that belong to one gene only,
        with what has to be added to a base's place in the genome to have its position.
    shared : int
        Number of bases that belong to several genes; reads that start there are not counted.
    """

    names: tuple[str, ...]
    strands: np.ndarray
    codes: np.ndarray
    first: np.ndarray
    last: np.ndarray
    flank: int
    pieces: dict[str, np.ndarray]
    shared: int

    @property
    def lengths(self) -> np.ndarray:
        """Number of bases of each gene."""
        return self.last - self.first

    def gene_of(self, position: np.ndarray) -> np.ndarray:
        """Return the gene of positions.

        Parameters
        ----------
        position : ndarray int (n,)
            Positions of genes, not of flanks.

        Returns
        -------
        ndarray int (n,)
        """
        return np.searchsorted(self.first, position, side="right") - 1

    def contexts(self, position: np.ndarray, reverse: np.ndarray, window: int) -> np.ndarray:
        """Return the sequences around starts, in the direction of the reads.

        Parameters
        ----------
        position : ndarray int (n,)
        reverse : ndarray bool (n,)
            Whether the reads are aligned to the reverse strand.
        window : int
            Number of bases, odd: half of them before the start.

        Returns
        -------
        ndarray uint8 (n, window)
        """
        half = window // 2
        found = self.codes[position[:, None] + np.arange(-half, half + 1)]
        found[reverse] = reverse_complement(found[reverse])
        return found


class Starts(NamedTuple):
    """Reads of one library that start in a gene.

    Attributes
    ----------
    position : ndarray int64 (start,)
    reverse, second : ndarray bool (start,)
    mate : ndarray int64 (start,)
        Index of the mate, -1 if it does not start in the same gene.
    """

    position: np.ndarray
    reverse: np.ndarray
    second: np.ndarray
    mate: np.ndarray


def join_exons(
    genes: Sequence[Gene], genome: str | PathLike[str], flank: int, sizes: Mapping[str, int]
) -> Places:
    """Read the sequences of genes.

    Parameters
    ----------
    genes : sequence of Gene
    genome : path
        FASTA file.
    flank : int
        Number of bases to be had at either end.
    sizes : mapping of str to int
        Lengths of the reference sequences that the reads were aligned to. The genome must have all of them
        that have a gene; genes on other sequences that it does not have are left out.

    Returns
    -------
    Places

    Raises
    ------
    InputError
        If the genome lacks a reference sequence, or has one of another length.

    Warns
    -----
    BayesdeWarning
        If genes are left out.
    """
    with opened_genome(genome) as opened:
        genes = _on_genome(genes, opened, str(genome), sizes)
        return _read(genes, opened, flank)


def _on_genome(genes: Sequence[Gene], opened: Any, genome: str, sizes: Mapping[str, int]) -> list[Gene]:
    """Check that genome, genes and reads fit together; leave out genes without a sequence."""
    available = {name: len(opened[name]) for name in opened.keys()}
    contigs = dict.fromkeys(gene.contig for gene in genes)
    check_contigs([name for name in contigs if name in sizes], available, genome)
    other = [name for name in contigs if name in sizes and sizes[name] != available[name]]
    if other:
        raise InputError(
            f"'{other[0]}' has {available[other[0]]:,} bases in the genome '{genome}', and "
            f"{sizes[other[0]]:,} "
            "where the reads were aligned: give the FASTA file of the same release."
        )
    kept = [gene for gene in genes if gene.contig in available]
    if len(kept) < len(genes):
        warnings.warn(
            f"{len(genes) - len(kept)} of {len(genes)} genes lie on sequences that the genome does not have "
            f"({first_few(name for name in contigs if name not in available)}), and are left out.",
            BayesdeWarning,
            stacklevel=4,
        )
    return kept


def _read(genes: Sequence[Gene], opened: Any, flank: int) -> Places:
    """Join the sequences of genes."""
    sizes = np.array([np.diff(gene.exons).sum() for gene in genes], dtype=np.int64)
    last = np.cumsum(sizes + 2 * flank) - flank
    first = last - sizes
    codes = np.full(last[-1] + flank, UNKNOWN, dtype=np.uint8)
    by_contig: dict[str, list[int]] = {}
    for number, gene in enumerate(genes):
        by_contig.setdefault(gene.contig, []).append(number)
    for contig, numbers in by_contig.items():
        whole = encoded(str(opened[contig][:]))
        for number in numbers:
            part = _joined(whole, genes[number], flank)
            codes[first[number] - flank : last[number] + flank] = part
    pieces, shared = {}, 0
    for contig, numbers in by_contig.items():
        pieces[contig], more = _unshared([genes[i] for i in numbers], first[numbers])
        shared += more
    strands = np.array([gene.strand for gene in genes], dtype=np.int8)
    names = tuple(gene.name for gene in genes)
    return Places(names, strands, codes, first, last, flank, pieces, shared)


def _joined(whole: np.ndarray, gene: Gene, flank: int) -> np.ndarray:
    """Join the exons of a gene, with flanks of which bases beyond the reference sequence are unknown."""
    start, end = int(gene.exons[0, 0]), int(gene.exons[-1, 1])
    if end > whole.size or start < 0:
        raise InputError(
            f"'{gene.name}' ends at base {end:,} of '{gene.contig}', which has {whole.size:,} bases in the "
            "genome; annotation and FASTA file belong to different releases of the genome."
        )
    parts = [whole[a:b] for a, b in gene.exons]
    before, after = whole[max(start - flank, 0) : start], whole[end : end + flank]
    return np.concatenate([_filled(flank - before.size), before, *parts, after, _filled(flank - after.size)])


def _filled(size: int) -> np.ndarray:
    return np.full(size, UNKNOWN, dtype=np.uint8)


def _unshared(genes: Sequence[Gene], first: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the pieces of one reference sequence that belong to one gene, and the number of other bases."""
    exons = np.concatenate([gene.exons for gene in genes])
    sizes = np.diff(exons)[:, 0]
    before = np.concatenate([np.cumsum(np.r_[0, np.diff(gene.exons)[:-1, 0]]) for gene in genes])
    shift = np.repeat(first, [len(gene.exons) for gene in genes]) + before - exons[:, 0]
    borders = np.unique(exons)
    opens, closes = np.searchsorted(borders, exons.T)
    depth, owner = np.zeros((2, borders.size), dtype=np.int64)
    for values, target in ((np.ones_like(sizes), depth), (np.arange(sizes.size), owner)):
        np.add.at(target, opens, values)
        np.subtract.at(target, closes, values)
    depth, owner = (
        np.cumsum(depth),
        np.cumsum(owner),
    )  # where one exon is open, the sum of owners is its number
    alone = np.flatnonzero(depth[:-1] == 1)
    shared = int(np.diff(borders)[depth[:-1] > 1].sum())
    return np.column_stack([borders[alone], borders[alone + 1], shift[owner[alone]]]), shared


def located(reads: Alignments, places: Places) -> Starts:
    """Find the reads that start in a base of exactly one gene.

    Parameters
    ----------
    reads : Alignments
    places : Places

    Returns
    -------
    Starts
    """
    position = np.full(reads.n_reads, -1, dtype=np.int64)
    for number, contig in enumerate(reads.contigs):
        if contig in places.pieces:
            here = np.flatnonzero(reads.contig == number)
            position[here] = _positions(reads.start[here], places.pieces[contig])
    kept = position >= 0
    gene = np.where(kept, places.gene_of(position), -1)
    mate = np.where(kept & (reads.mate >= 0) & (gene[reads.mate] == gene), reads.mate, -1)
    renumbered = np.cumsum(kept) - 1
    mate = np.where(mate >= 0, renumbered[mate], -1)
    return Starts(position[kept], reads.reverse[kept], reads.second[kept], mate[kept])


def _positions(start: np.ndarray, pieces: np.ndarray) -> np.ndarray:
    """Return the positions of places in the genome, -1 outside of all pieces."""
    if not pieces.size:
        return np.full(start.size, -1, dtype=np.int64)
    piece = np.searchsorted(pieces[:, 0], start, side="right") - 1
    inside = (piece >= 0) & (start < pieces[piece, 1])
    return np.where(inside, start + pieces[piece, 2], -1)
