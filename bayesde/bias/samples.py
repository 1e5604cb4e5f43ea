"""Sequences at read starts (foreground) and beside them (background).

The foreground has every distinct start a few times at the most, however many reads begin there, so that
single places of many copies do not dominate. Where reads are dense, the preferred places all have a read, and
distinct starts, each taken once, would show less of the preference than there is: from genes with many reads
some are drawn, so that there are few for each base, and a place counts as often as reads of these begin
there, up to a limit. The background has the same starts, each shifted within its gene by a normal random
number: bases of the same genes, but not chosen by the priming or ligation of reads (Jones, Ruzzo, Peng and
Katze 2012, doi:10.1093/bioinformatics/bts055).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bayesde.bias.options import BiasOptions
from bayesde.bias.reading.genome import UNKNOWN
from bayesde.bias.reading.places import Places, Starts

__all__ = ["DistinctStarts", "Sequences", "SplitSequences", "distinct_starts", "draw_sequences", "shifted"]

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


class DistinctStarts(NamedTuple):
    """Places and strands where reads start, sorted.

    Attributes
    ----------
    position : ndarray int64 (start,)
    reverse : ndarray bool (start,)
    copies : ndarray int64 (start,)
        How often each counts.
    """

    position: np.ndarray
    reverse: np.ndarray
    copies: np.ndarray


def distinct_starts(
    starts: Starts, places: Places, options: BiasOptions, rng: np.random.Generator, *, second: bool
) -> DistinctStarts:
    """Return the places where first or second reads start, after thinning genes of many reads.

    Parameters
    ----------
    starts : Starts
    places : Places
    options : BiasOptions
        Of which `coverage`, the largest number of reads for each base and strand of a gene (of a gene with
        more, as many are drawn), and `copies`, how often a place counts at the most.
    rng : numpy.random.Generator
    second : bool
        Whether those of second reads.

    Returns
    -------
    DistinctStarts
        Whatever the order of the reads.
    """
    ours = starts.second == second
    keys = rng.permutation(np.sort(2 * starts.position[ours] + starts.reverse[ours]))
    gene = places.gene_of(keys // 2)
    order = np.argsort(gene, kind="stable")
    keys, gene = keys[order], gene[order]
    rank = np.arange(gene.size) - np.searchsorted(gene, gene)  # within the gene, in random order
    kept = keys[rank < np.maximum(2.0 * options.coverage * places.lengths[gene], 1.0)]
    distinct, reads = np.unique(kept, return_counts=True)
    return DistinctStarts(distinct // 2, (distinct % 2).astype(bool), np.minimum(reads, options.copies))


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
    starts: DistinctStarts, places: Places, options: BiasOptions, rng: np.random.Generator
) -> SplitSequences:
    """Draw foreground and background sequences, and split them for training, validation and test.

    Parameters
    ----------
    starts : DistinctStarts
        All copies of a place belong to one part of the split.
    places : Places
    options : BiasOptions
        Of which `sequences`, `window` and `shift`.
    rng : numpy.random.Generator

    Returns
    -------
    SplitSequences
        Sequences with an unknown base are left out.
    """
    chosen = rng.permutation(starts.position.size)[: options.sequences]
    copies = starts.copies[chosen]
    rows = np.repeat(chosen, copies)
    position, reverse = starts.position[rows], starts.reverse[rows]
    foreground = places.contexts(position, reverse, options.window)
    background = places.contexts(shifted(position, places, options.shift, rng), reverse, options.window)
    shares = np.cumsum([0.0, 1.0 - VALIDATION - TEST, VALIDATION, TEST])
    edges = np.concatenate([[0], np.cumsum(copies)])[np.round(shares * chosen.size).astype(int)]
    training, validation, test = (
        Sequences(known(foreground[a:b]), known(background[a:b])) for a, b in itertools.pairwise(edges)
    )
    return SplitSequences(training, validation, test, n_starts=starts.position.size)


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
