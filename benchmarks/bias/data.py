"""The two real libraries, divided into stretches to train on and stretches to judge on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bayesde.bias.reading.alignments import read_alignments
from bayesde.bias.reading.annotation import covered_stretches
from bayesde.bias.reading.places import Places, Starts, join_exons, located
from bayesde.bias.samples import Sequences, known, shifted

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
FILES = {
    "pasilla_chr4": ("untreated3_chr4.bam", "dm3_chr4.fa"),
    "seqbias_example": ("example.bam", "example.fa"),
}
SHIFT = 500.0
VALIDATION = 0.05


@dataclass(frozen=True, eq=False)
class Library:
    """A real library.

    Attributes
    ----------
    places : Places
        Covered stretches.
    starts : Starts
        Of all reads.
    position, reverse : ndarray
        Distinct starts of first and second reads together.
    """

    places: Places
    starts: Starts
    position: np.ndarray
    reverse: np.ndarray


@dataclass(frozen=True, eq=False)
class Halves:
    """Sequences of two halves of a library.

    Attributes
    ----------
    training, validation : Sequences
        Of one half.
    test : Sequences
        Of the other.
    judged : ndarray bool (gene,)
        The stretches of the latter.
    """

    training: Sequences
    validation: Sequences
    test: Sequences
    judged: np.ndarray


def read(name: str, flank: int) -> Library:
    """Read one of the libraries.

    Parameters
    ----------
    name : str
        A key of `FILES`.
    flank : int
        Bases at either end of stretches.

    Returns
    -------
    Library
    """
    bam, genome = (SHARED / name / file for file in FILES[name])
    reads = read_alignments(bam, blocks=True)
    places = join_exons(covered_stretches([reads]), genome, flank, reads.contigs)
    starts = located(reads, places)
    keys = np.unique(2 * starts.position + starts.reverse)
    return Library(places, starts, keys // 2, (keys % 2).astype(bool))


def halves(library: Library, window: int, seed: int) -> Halves:
    """Divide a library into two halves by stretches, and draw sequences of both.

    Parameters
    ----------
    library : Library
    window : int
    seed : int

    Returns
    -------
    Halves
    """
    rng = np.random.default_rng(seed)
    places = library.places
    gene = places.gene_of(library.position)
    number = np.bincount(gene, minlength=len(places.names))
    order = rng.permutation(number.size)
    judged = np.zeros(number.size, dtype=bool)
    judged[order[np.cumsum(number[order]) > number.sum() / 2]] = True
    chosen = rng.permutation(library.position.size)
    position, reverse = library.position[chosen], library.reverse[chosen]
    background = shifted(position, places, SHIFT, rng)
    f, b = (places.contexts(one, reverse, window) for one in (position, background))
    test = judged[places.gene_of(position)]
    held = ~test & (rng.random(test.size) < VALIDATION)
    parts = (~test & ~held, held, test)
    training, validation, tested = (Sequences(known(f[part]), known(b[part])) for part in parts)
    return Halves(training, validation, tested, judged)
