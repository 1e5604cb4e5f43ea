"""Seeds: one for every gene, and a stream of random numbers for every purpose.

Every purpose combines the gene's seed with a number of its own by exclusive or, so that no two of them use
the same random numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import IntEnum

import numpy as np

__all__ = ["MOST_ATTEMPTS", "Stream", "gene_seeds", "seeds_for"]

MOST_ATTEMPTS = 64
"""Purposes with repeated attempts add the number of the attempt, which is below this."""


class Stream(IntEnum):
    """What random numbers are for."""

    LEARNING = 0
    """Draws that the hyperparameters are learnt from."""
    PILOT = 0x9E3779B9
    """Draws that the shares of the components are fitted to; combined with the purpose of the components."""
    KEPT = 0x27D4EB2F
    """Draws that are kept besides those that the hyperparameters are learnt from."""
    ADAPTED = 0x85EBCA6B
    """Draws from an adapted proposal, by attempt."""
    EQUAL_WEIGHT = 0xC2B2AE35
    """Resampling of weighted draws to draws of equal weight."""
    CHAINS_REWEIGHTED = 0x165667B1
    """Resampling of chains with the hyperparameters averaged over."""
    STARTS = 0xD3A2646C
    """Starts of chains, by attempt."""
    PREDICTION = 0xFD7046C5
    """Predicted counts."""
    RANDOM_EFFECTS = 0x68E31DA4
    """Random effects of the levels given the other parameters, by chain."""
    NEW_LEVELS = 0x1B56C4E9
    """Random effects of levels that were not seen."""
    PATTERN = 0xB5297A4D
    """Draws of which some coefficients are exactly zero, by pattern."""


def gene_seeds(names: Iterable[str], seed: int) -> np.ndarray:
    """Return a seed of 32 bits for every gene, from its name and the run's seed alone.

    Parameters
    ----------
    names : iterable of str
    seed : int

    Returns
    -------
    ndarray of uint32 (gene,)
    """
    key = int(seed).to_bytes(8, "little")
    digests = (hashlib.blake2b(str(name).encode(), digest_size=4, key=key).digest() for name in names)
    return np.frombuffer(b"".join(digests), dtype="<u4").astype(np.uint32)


def seeds_for(stream: Stream, seeds: np.ndarray, attempt: int = 0) -> np.ndarray:
    """Return the seeds of some genes for a purpose.

    Parameters
    ----------
    stream : Stream
    seeds : ndarray of uint32 (gene,)
    attempt : int
        From 0 to `MOST_ATTEMPTS` less one.

    Returns
    -------
    ndarray of uint32 (gene,)
    """
    assert 0 <= attempt < MOST_ATTEMPTS
    return seeds ^ np.uint32(stream + attempt)
