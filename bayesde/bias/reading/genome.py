"""Bases as codes, and the sequences of a FASTA file.

A, C, G and T are 0 to 3, so that 3 - code is the complement; every other letter is 4.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from bayesde.bias.needs import library
from bayesde.errors import InputError, first_few

__all__ = [
    "BASES",
    "UNKNOWN",
    "check_contigs",
    "encoded",
    "opened_genome",
    "prefix_hint",
    "reverse_complement",
]

BASES, UNKNOWN = "ACGT", 4
_CODES = np.full(256, UNKNOWN, dtype=np.uint8)
for _code, _letter in enumerate(BASES):
    _CODES[ord(_letter)] = _CODES[ord(_letter.lower())] = _code
_COMPLEMENTS = np.array([3, 2, 1, 0, UNKNOWN], dtype=np.uint8)


def encoded(sequence: str) -> np.ndarray:
    """Return the codes of the bases of a sequence.

    Parameters
    ----------
    sequence : str

    Returns
    -------
    ndarray uint8 (base,)
    """
    return _CODES[np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)]


def reverse_complement(codes: np.ndarray) -> np.ndarray:
    """Return the other strand of sequences.

    Parameters
    ----------
    codes : ndarray uint8 (..., base)

    Returns
    -------
    ndarray uint8 (..., base)
    """
    return np.ascontiguousarray(_COMPLEMENTS[codes[..., ::-1]])


@contextmanager
def opened_genome(path: str | PathLike[str]) -> Iterator[Any]:
    """Open a FASTA file; an index that it does not have is made in a temporary folder.

    Parameters
    ----------
    path : path
        Plain text, or compressed by bgzip.

    Yields
    ------
    pyfaidx.Fasta

    Raises
    ------
    InputError
        If it does not exist or is no FASTA file.
    """
    if not Path(path).is_file():
        raise InputError(f"the genome '{path}' does not exist; give a FASTA file.")
    pyfaidx = library("pyfaidx")
    with tempfile.TemporaryDirectory() as folder:
        beside = Path(f"{path}.fai")
        index = beside if _is_newer(beside, Path(path)) else Path(folder) / "genome.fai"
        try:
            opened = pyfaidx.Fasta(str(path), indexname=str(index), rebuild=False, as_raw=True)
        except (
            OSError,
            ValueError,
            ImportError,
            pyfaidx.FastaIndexingError,
            pyfaidx.FastaNotFoundError,
        ) as error:
            raise InputError(f"the genome '{path}' cannot be read as a FASTA file: {error}") from error
        with opened:
            yield opened


def _is_newer(index: Path, file: Path) -> bool:
    return index.is_file() and os.stat(index).st_mtime >= os.stat(file).st_mtime


def check_contigs(wanted: Iterable[str], available: Collection[str], owner: str) -> None:
    """Refuse names of reference sequences that a file does not have.

    Parameters
    ----------
    wanted : iterable of str
        The names that are needed.
    available : collection of str
        Those of the file.
    owner : str
        The file, as the message calls it.

    Raises
    ------
    InputError
    """
    absent = [name for name in wanted if name not in available]
    if absent:
        raise InputError(
            f"'{owner}' has no sequence {first_few(absent)}, which the reads were aligned to; its sequences "
            f"are {first_few(available)}.{prefix_hint(absent, available)}"
        )


def prefix_hint(absent: Iterable[str], available: Collection[str]) -> str:
    """Point out names that differ by 'chr' only.

    Parameters
    ----------
    absent : iterable of str
        Names of reference sequences.
    available : collection of str
        Those of another file.

    Returns
    -------
    str
        A hint that can be appended to a message.
    """
    for name in absent:
        other = name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"
        if other in available:
            return (
                f" '{name}' and '{other}' may be the same: give the file for the genome that the reads were "
                "aligned to, or rename its sequences."
            )
    return " Give the file for the genome that the reads were aligned to."
