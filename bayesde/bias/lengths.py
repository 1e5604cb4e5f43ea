r"""Effective lengths of genes under the bias of a library.

    ell_g = sum over lengths l of w_l sum over i of
                s b_1(i) b_2'(i + l - 1) + (1 - s) b_2(i) b_1'(i + l - 1)

i runs over the places where a fragment of l bases fits into the gene, w_l is the share of fragments of this
length among those that are not longer than the gene, b_1 and b_2 are the biases of forward starts of first
and second reads, b_1' and b_2' those of reverse ones, and s is the share of fragments whose first read is
aligned forward. Of single reads only one end is known: b_2 = 1, and l is the length of reads. In short genes
few fragments fit, and the bias of their ends is known badly: the mean over i is smoothed towards that of ends
which may lie anywhere in the gene, which counts as `PRIOR_PLACES` places. The lengths of a library are
divided by the mean bias over all of its possible fragments, so that a library without bias has ell_g equal to
the number of places where fragments fit.

Effective lengths by bias: Roberts, Trapnell, Donaghey, Rinn and Pachter 2011, doi:10.1186/gb-2011-12-3-r22.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from bayesde.bias.fragments import FragmentLaw
from bayesde.bias.models.interface import BiasModel
from bayesde.bias.reading.genome import reverse_complement
from bayesde.bias.reading.places import Places

__all__ = ["EffectiveLengths", "Tracks", "bias_tracks", "effective_lengths", "gene_groups"]

PRIOR_PLACES = 50.0
"""Places of fragments that the mean bias of a gene is worth."""
AT_ONCE = 4_000_000
"""Bases of the genes that are evaluated together; bounds the memory."""


class Tracks(NamedTuple):
    """The bias of a start at each position, for one end of fragments.

    Attributes
    ----------
    forward, reverse : ndarray float32 (position,)
        Of reads aligned forward and to the reverse strand.
    """

    forward: np.ndarray
    reverse: np.ndarray


class EffectiveLengths(NamedTuple):
    """Effective lengths of all genes in one library, and what they are without bias.

    Attributes
    ----------
    biased, unbiased : ndarray (gene,)
        Bases.
    """

    biased: np.ndarray
    unbiased: np.ndarray


def bias_tracks(model: BiasModel, codes: np.ndarray) -> Tracks:
    """Return the bias of starts on both strands.

    Parameters
    ----------
    model : BiasModel
    codes : ndarray uint8 (position,)

    Returns
    -------
    Tracks
    """
    forward = np.exp(model.track(codes))
    reverse = np.exp(model.track(reverse_complement(codes)))[::-1]
    return Tracks(forward, reverse)


def gene_groups(places: Places) -> Iterator[tuple[slice, slice]]:
    """Divide the genes into groups of limited size.

    Parameters
    ----------
    places : Places

    Yields
    ------
    genes, positions : slice
        Of genes, and of their positions with all flanks.
    """
    begins = places.first - places.flank
    low = 0
    while low < len(places.names):
        high = max(int(np.searchsorted(begins, begins[low] + AT_ONCE)), low + 1)
        yield slice(low, high), slice(int(begins[low]), int(places.last[high - 1] + places.flank))
        low = high


def effective_lengths(models: Mapping[str, BiasModel], places: Places, law: FragmentLaw) -> EffectiveLengths:
    """Compute the effective lengths of all genes in a library.

    Parameters
    ----------
    models : mapping of str to BiasModel
        ``first``, and ``second`` of paired reads.
    places : Places
    law : FragmentLaw

    Returns
    -------
    EffectiveLengths
    """
    shares = law.forward_share(places.strands)
    biased, unbiased = np.zeros((2, len(places.names)))
    for genes, positions in gene_groups(places):
        tracks = [bias_tracks(one, places.codes[positions]) for one in models.values()]
        for gene in range(genes.start, genes.stop):
            low, high = (int(one[gene]) - positions.start for one in (places.first, places.last))
            inside = [Tracks(one.forward[low:high], one.reverse[low:high]) for one in tracks]
            biased[gene], unbiased[gene] = _one_gene(inside, law, shares[gene])
    return EffectiveLengths(biased * (unbiased.sum() / biased.sum()), unbiased)


def _one_gene(tracks: list[Tracks], law: FragmentLaw, share: float) -> tuple[float, float]:
    """Return the effective length of a gene before it is normalized, and that without bias."""
    size = tracks[0].forward.size
    fits = law.lengths <= size
    mean = share * _mean(tracks) + (1.0 - share) * _mean(tracks[::-1], flipped=True)
    if not fits.any():  # as if one fragment of the gene's own length fitted
        return mean, 1.0
    weights = law.weights[fits] / law.weights[fits].sum()
    lengths = law.lengths[fits]
    sums = [
        share * _pairs(tracks, size, length)
        + (1.0 - share) * _pairs(tracks[::-1], size, length, flipped=True)
        for length in lengths
    ]
    number = float(weights @ (size - lengths + 1))
    total = float(weights @ np.array(sums))
    return number * (total + PRIOR_PLACES * mean) / (number + PRIOR_PLACES), number


def _mean(tracks: list[Tracks], flipped: bool = False) -> float:
    """Return the bias of fragments whose ends may lie anywhere in the gene."""
    if len(tracks) == 1:
        return float((tracks[0].reverse if flipped else tracks[0].forward).mean(dtype=np.float64))
    left, right = tracks
    return float(left.forward.mean(dtype=np.float64) * right.reverse.mean(dtype=np.float64))


def _pairs(tracks: list[Tracks], size: int, length: int, flipped: bool = False) -> float:
    """Add up the bias of all fragments of a length whose first read (flipped: second) is aligned forward."""
    number = size - length + 1
    if len(tracks) == 1:
        one = tracks[0]
        part = one.reverse[length - 1 :] if flipped else one.forward[:number]
        return float(part.sum(dtype=np.float64))
    left, right = tracks
    products = left.forward[:number] * right.reverse[length - 1 :]
    return float(products.sum(dtype=np.float64))
