"""Sequences at read starts (foreground) and beside them (background).

The foreground has every distinct start once, however many reads begin there, so that single places of many
copies do not dominate. Where reads are dense, the preferred places all have a read, and distinct starts would
show less of the preference than there is: from genes with many reads some are drawn, so that there are few
for each base. The background has the same starts, each shifted within its gene by a normal random number:
bases of the same genes, but not chosen by the priming or ligation of reads (Jones, Ruzzo, Peng and Katze
2012, doi:10.1093/bioinformatics/bts055).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from bayesde.bias.reading.genome import UNKNOWN
from bayesde.bias.reading.places import Places, Starts

__all__ = ["Sequences", "SplitSequences", "distinct_starts", "draw_sequences", "shifted"]

TRIES = 20
"""Of a shift that stays within the gene; after them a place is drawn from the whole gene."""
VALIDATION, TEST = 0.05, 0.05
"""Shares of the sequences for stopping or choosing, and for judging."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences of one kind, in the direction of the reads.

    Attributes
    ----------
    foreground, background : ndarray uint8 (sequence, base)
        Around starts, and around the same starts shifted.
    """

    foreground: np.ndarray
    background: np.ndarray

    @property
    def window(self) -> int:
        """Number of bases."""
        return self.foreground.shape[1]


@dataclass(frozen=True, eq=False)
class SplitSequences:
    """Sequences to train on, to stop or choose by, and to judge by.

    Attributes
    ----------
    training, validation, test : Sequences
    n_starts : int
        Number of distinct starts that there were to draw from.
    """

    training: Sequences
    validation: Sequences
    test: Sequences
    n_starts: int


def distinct_starts(
    starts: Starts, places: Places, coverage: float, rng: np.random.Generator, *, second: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return starts of first or of second reads, each once, after thinning genes of many reads.

    Parameters
    ----------
    starts : Starts
    places : Places
    coverage : float
        Largest number of reads for each base and strand of a gene; of a gene with more, as many are drawn.
    rng : numpy.random.Generator
    second : bool
        Whether those of second reads.

    Returns
    -------
    position : ndarray int64 (start,)
    reverse : ndarray bool (start,)
    """
    ours = rng.permutation(np.flatnonzero(starts.second == second))
    gene = places.gene_of(starts.position[ours])
    order = np.argsort(gene, kind="stable")
    ours, gene = ours[order], gene[order]
    rank = np.arange(gene.size) - np.searchsorted(gene, gene)  # within the gene, in random order
    kept = ours[rank < np.maximum(2.0 * coverage * places.lengths[gene], 1.0)]
    keys = np.unique(2 * starts.position[kept] + starts.reverse[kept])
    return keys // 2, (keys % 2).astype(bool)


def shifted(position: np.ndarray, places: Places, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Shift positions at random, within their genes.

    Parameters
    ----------
    position : ndarray int64 (n,)
    places : Places
    sd : float
        Standard deviation of the shift, bases.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray int64 (n,)
    """
    gene = places.gene_of(position)
    low, high = places.first[gene], places.last[gene]
    found = np.full(position.size, -1, dtype=np.int64)
    open_ = np.arange(position.size)
    for _ in range(TRIES):
        shift = np.rint(rng.normal(0.0, sd, open_.size)).astype(np.int64)
        there = position[open_] + shift
        fits = (shift != 0) & (there >= low[open_]) & (there < high[open_])
        found[open_[fits]] = there[fits]
        open_ = open_[~fits]
    found[open_] = rng.integers(low[open_], high[open_])
    return found


def draw_sequences(
    starts: tuple[np.ndarray, np.ndarray],
    places: Places,
    window: int,
    number: int,
    sd: float,
    rng: np.random.Generator,
) -> SplitSequences:
    """Draw foreground and background sequences, and split them for training, validation and test.

    Parameters
    ----------
    starts : (ndarray, ndarray)
        Positions and strands, see `distinct_starts`.
    places : Places
    window : int
        Number of bases, odd.
    number : int
        The largest number of starts that is used.
    sd : float
        Standard deviation of the shift to the background, bases.
    rng : numpy.random.Generator

    Returns
    -------
    SplitSequences
        Sequences with an unknown base are left out.
    """
    chosen = rng.permutation(starts[0].size)[:number]
    position, reverse = starts[0][chosen], starts[1][chosen]
    foreground = places.contexts(position, reverse, window)
    background = places.contexts(shifted(position, places, sd, rng), reverse, window)
    edges = np.round(np.cumsum([0.0, 1.0 - VALIDATION - TEST, VALIDATION, TEST]) * chosen.size).astype(int)
    training, validation, test = (
        Sequences(known(foreground[a:b]), known(background[a:b])) for a, b in itertools.pairwise(edges)
    )
    return SplitSequences(training, validation, test, n_starts=starts[0].size)


def known(sequences: np.ndarray) -> np.ndarray:
    """Leave out sequences with an unknown base.

    Parameters
    ----------
    sequences : ndarray uint8 (sequence, base)

    Returns
    -------
    ndarray uint8 (sequence, base)
    """
    return sequences[(sequences != UNKNOWN).all(axis=1)]
