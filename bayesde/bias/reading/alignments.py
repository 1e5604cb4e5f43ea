"""The reads of a BAM file: where their 5' ends lie, and which of them are mates.

A read starts at its 5' end: the first base of a read aligned forward, the last base of one aligned to the
reverse strand. Bases that are soft-clipped at the 5' end belong to the read, and its start is extended by
them. Only uniquely mapped primary alignments are used: those whose tag NH is 1 or, without this tag, whose
mapping quality is large enough. Files may be sorted in any way or not at all, and need no index: mates are
found by name, wherever they stand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from bayesde.bias.needs import library
from bayesde.errors import InputError

__all__ = ["Alignments", "read_alignments"]

_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block at the end of every complete BAM file (SAM specification, section 4.1.2)."""
_PAIRED, _UNMAPPED, _REVERSE, _SECOND = 0x1, 0x4, 0x10, 0x80
_NOT_PRIMARY, _FAILED, _DUPLICATE = 0x100 | 0x800, 0x200, 0x400
_SOFT_CLIP = 4


@dataclass(frozen=True, eq=False)
class Alignments:
    """The uniquely mapped reads of one file.

    Attributes
    ----------
    contigs : dict of str to int
        Names and lengths of the reference sequences, of the header.
    contig : ndarray int32 (read,)
        Number of the reference sequence, in the order of `contigs`.
    start : ndarray int64 (read,)
        0-based position of the read's 5' end.
    reverse : ndarray bool (read,)
        Whether the read is aligned to the reverse strand.
    second : ndarray bool (read,)
        Whether it is the second read of a pair.
    mate : ndarray int64 (read,)
        Index of the mate, -1 where there is none on the same reference sequence.
    length : int
        Median number of aligned bases of a read.
    blocks : ndarray int64 (block, 3)
        Index of the reference sequence, start and end of every aligned block; empty if not asked for.
    left_out : dict of str to int
        Number of reads that are not used, by reason.
    """

    contigs: dict[str, int]
    contig: np.ndarray
    start: np.ndarray
    reverse: np.ndarray
    second: np.ndarray
    mate: np.ndarray
    length: int
    blocks: np.ndarray
    left_out: dict[str, int]

    @property
    def n_reads(self) -> int:
        """Number of reads."""
        return self.start.size

    def contigs_with_reads(self) -> list[str]:
        """Return the names of the reference sequences that reads lie on."""
        names = list(self.contigs)
        return [names[number] for number in np.unique(self.contig)]


def read_alignments(
    path: str | PathLike[str], *, min_quality: int = 10, drop_duplicates: bool = False, blocks: bool = False
) -> Alignments:
    """Read the 5' ends of all uniquely mapped reads of a BAM (or SAM) file.

    Parameters
    ----------
    path : path
    min_quality : int
        The smallest mapping quality of a read without the tag NH.
    drop_duplicates : bool
        Whether reads that are flagged as duplicates are left out.
    blocks : bool
        Whether aligned blocks are kept, from which stretches of coverage are made.

    Returns
    -------
    Alignments

    Raises
    ------
    InputError
        If the file does not exist, is no BAM file, is truncated or corrupt, or has no usable read.
    """
    check_complete(path)
    reads = _Reads(min_quality, drop_duplicates, blocks)
    pysam = library("pysam")
    verbosity = pysam.set_verbosity(0)  # htslib would print what the exceptions say
    try:
        with pysam.AlignmentFile(str(path), check_sq=False) as opened:
            contigs = dict(zip(opened.references, opened.lengths, strict=True))
            for read in opened.fetch(until_eof=True):
                reads.add(read)
    except (OSError, ValueError) as error:
        reason = error.__context__ or error  # closing a damaged file fails, too
        raise InputError(
            f"'{path}' cannot be read as a BAM file: {reason}. It may be damaged; check it by samtools "
            "quickcheck, and align again or copy it again."
        ) from error
    finally:
        pysam.set_verbosity(verbosity)
    if not contigs:
        raise InputError(
            f"'{path}' holds no alignments: its header names no reference sequence. Give the BAM file "
            "that the aligner wrote."
        )
    if not reads.starts:
        raise InputError(
            f"'{path}' has no uniquely mapped read ({_reasons(reads.left_out) or 'it is empty'}). Aligners "
            "that do not write the tag NH mark unique reads by their mapping quality: see min_quality."
        )
    return reads.finished(contigs)


def check_complete(path: str | PathLike[str]) -> None:
    """Refuse a file that is missing, or a BAM file whose end is missing.

    Parameters
    ----------
    path : path

    Raises
    ------
    InputError
    """
    file = Path(path)
    if not file.is_file():
        found = "is a folder" if file.is_dir() else "does not exist"
        raise InputError(f"the BAM file '{path}' {found}; give the file that the aligner wrote.")
    with file.open("rb") as stream:
        head = stream.read(2)
        stream.seek(max(file.stat().st_size - len(_BGZF_END), 0))
        tail = stream.read()
    if head == _BGZF_END[:2] and tail != _BGZF_END:
        raise InputError(
            f"'{path}' is truncated: the block that ends a BAM file is missing. Copy the file or align again."
        )


def _reasons(left_out: Counter[str]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in left_out.items())


class _Reads:
    """Collects reads one by one."""

    def __init__(self, min_quality: int, drop_duplicates: bool, blocks: bool) -> None:
        self.min_quality = min_quality
        self.refused = _FAILED | (_DUPLICATE if drop_duplicates else 0)
        self.with_blocks = blocks
        self.starts: list[tuple[int, int, int]] = []
        self.mates: dict[int, int] = {}
        self.lengths: Counter[int] = Counter()
        self.blocks: list[tuple[int, int, int]] = []
        self.left_out: Counter[str] = Counter()
        self._waiting: dict[str, int] = {}

    def add(self, read: Any) -> None:
        """Keep a read, or count why not."""
        flag = read.flag
        reason = self._reason(read, flag)
        if reason:
            self.left_out[reason] += 1
            return
        cigar = read.cigartuples
        if flag & _REVERSE:
            start = read.reference_end - 1 + (cigar[-1][1] if cigar[-1][0] == _SOFT_CLIP else 0)
        else:
            start = read.reference_start - (cigar[0][1] if cigar[0][0] == _SOFT_CLIP else 0)
        self._pair(read, flag)
        self.starts.append((read.reference_id, start, flag))
        self.lengths[read.query_alignment_length] += 1
        if self.with_blocks:
            self.blocks.extend((read.reference_id, *block) for block in _blocks(read, cigar))

    def _reason(self, read: Any, flag: int) -> str:
        """Say why a read is not used; empty if it is."""
        if flag & _UNMAPPED or not read.cigartuples:
            return "unmapped"
        if flag & _NOT_PRIMARY:
            return "secondary or supplementary"
        if flag & self.refused:
            return "flagged as duplicate or failed"
        unique = read.get_tag("NH") == 1 if read.has_tag("NH") else read.mapping_quality >= self.min_quality
        return "" if unique else "not uniquely mapped"

    def _pair(self, read: Any, flag: int) -> None:
        """Join a read with its mate, if that came before."""
        if not flag & _PAIRED or read.next_reference_id != read.reference_id:
            return
        here = len(self.starts)
        there = self._waiting.pop(read.query_name, None)
        if there is None:
            self._waiting[read.query_name] = here
        elif (self.starts[there][2] ^ flag) & _SECOND and self.starts[there][0] == read.reference_id:
            self.mates[here] = there

    def finished(self, contigs: dict[str, int]) -> Alignments:
        """Return all reads as arrays."""
        contig, start, flag = np.array(self.starts, dtype=np.int64).T
        mate = np.full(start.size, -1, dtype=np.int64)
        if self.mates:
            pairs = np.array(list(self.mates.items()), dtype=np.int64)
            mate[pairs] = pairs[:, ::-1]
        return Alignments(
            contigs=contigs,
            contig=contig.astype(np.int32),
            start=start,
            reverse=(flag & _REVERSE) > 0,
            second=(flag & _SECOND) > 0,
            mate=mate,
            length=_median(self.lengths),
            blocks=np.array(self.blocks, dtype=np.int64).reshape(-1, 3),
            left_out=dict(self.left_out),
        )


def _blocks(read: Any, cigar: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the aligned blocks of a read; most reads have one."""
    if len(cigar) == 1:
        yield read.reference_start, read.reference_end
    else:
        yield from read.get_blocks()


def _median(numbers: Counter[int]) -> int:
    """Return the median of counted values."""
    values = sorted(numbers)
    below = np.cumsum([numbers[value] for value in values])
    return values[int(np.searchsorted(below, below[-1] / 2))]
