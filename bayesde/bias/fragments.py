"""How long the fragments of a library are, and from which strand of genes its first reads come."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesde.bias.reading.places import Places, Starts

__all__ = ["FragmentLaw", "fragment_law", "fragments"]

QUANTILES = 10
"""Number of quantiles that stand for the distribution of fragment lengths."""


class FragmentLaw(NamedTuple):
    """What fragments of a library look like.

    Attributes
    ----------
    lengths : ndarray int64 (length,)
        Of fragments, in bases of their gene; that of reads, if these are single.
    weights : ndarray (length,)
        Shares of fragments, which sum to 1.
    paired : bool
        Whether both ends of fragments are known to lie in the gene.
    sense : float
        Share of first reads that have the direction of their gene: 0.5 of an unstranded library.
    """

    lengths: np.ndarray
    weights: np.ndarray
    paired: bool
    sense: float

    def forward_share(self, strands: np.ndarray) -> np.ndarray:
        """Return the share of first reads that are aligned forward.

        Parameters
        ----------
        strands : ndarray (gene,)
            1, -1, or 0 if unknown.

        Returns
        -------
        ndarray (gene,)
        """
        return 0.5 + strands * (self.sense - 0.5)


def fragments(starts: Starts) -> np.ndarray:
    """Return one start of each fragment: of first reads, and of second reads without a first one.

    Parameters
    ----------
    starts : Starts

    Returns
    -------
    ndarray int64 (fragment,)
        Indices of starts.
    """
    return np.flatnonzero(~starts.second | (starts.mate < 0))


def fragment_law(
    starts: Starts, places: Places, read_length: int, *, whole_genes: bool = True
) -> FragmentLaw:
    """Estimate the distribution of fragments.

    Parameters
    ----------
    starts : Starts
    places : Places
    read_length : int
        Bases; the length of fragments of which one end is known.
    whole_genes : bool
        Whether `places` are genes, so that fragments lie in them with both ends. Of fragments that start in
        an exon and end in another, only the first end is known.

    Returns
    -------
    FragmentLaw
        Pairs are those whose ends lie in one gene and face each other.
    """
    first = np.flatnonzero(~starts.second & (starts.mate >= 0))
    mate = starts.mate[first]
    forward = np.where(starts.reverse[first], mate, first)
    backward = np.where(starts.reverse[first], first, mate)
    sizes = starts.position[backward] - starts.position[forward] + 1
    sizes = sizes[(starts.reverse[first] != starts.reverse[mate]) & (sizes >= min(read_length, 10))]
    lengths, weights = np.array([read_length]), np.ones(1)
    if sizes.size and whole_genes:
        at = (np.arange(QUANTILES) + 0.5) / QUANTILES
        quantiles = np.quantile(sizes, at, method="inverted_cdf").astype(np.int64)
        lengths, number = np.unique(quantiles, return_counts=True)
        weights = number / number.sum()
    return FragmentLaw(lengths, weights, bool(sizes.size) and whole_genes, _sense(starts, places))


def _sense(starts: Starts, places: Places) -> float:
    """Return the share of first reads in the direction of genes whose strand is known."""
    ours = np.flatnonzero(~starts.second)
    strand = places.strands[places.gene_of(starts.position[ours])]
    known = strand != 0
    if not known.any():
        return 0.5
    return float(np.mean((strand[known] < 0) == starts.reverse[ours][known]))
