r"""Patterns: which coefficients of a gene are exactly zero, where the law of effects has an atom there.

Under p(beta_k) = pi0_k delta_0 + (1 - pi0_k) f_k(beta_k) the posterior of a gene is a mixture over the
subsets z of the coefficients that are zero, each with a posterior of its own in fewer dimensions. Each gets
proposals and draws of its own. With M_z draws of pattern z, of M in all, and the log ratio of each raised by
ln(M / M_z), all draws of a gene stand in one array whose mean weight is the sum over the patterns:

    (1/M) sum_m w_m = sum_z (1/M_z) sum_{m in z} p(y | theta_m) / q_z(theta_m) p(theta_m).

The effective number of draws is largest where a pattern has the share of the draws that it has of the
posterior. That is known for no gene beforehand, but on average it is the prior probability of the pattern, so
that once the law has been learnt, part of the draws are divided by it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bayesde.posterior.proposal.genes import ProposedGenes, StartedGenes

__all__ = ["MOST_ATOMS", "Patterns", "add_offsets", "offset", "slices"]

MOST_ATOMS = 4
"""Coefficients that may have an atom: all their subsets are taken."""
SHARE_OF_ZEROS = (0.0, 0.25, 0.4, 0.5, 0.5)
"""Of the draws, those in which a coefficient is zero, by the number of coefficients with an atom."""
BY_PROBABILITY = 0.5
"""Of the draws, those that are divided among the patterns by their probabilities, where these are known."""


@dataclass(frozen=True)
class Patterns:
    """The patterns of zeros, and how many draws each has.

    Attributes
    ----------
    zeros : tuple of tuple of int
        The coefficients that are zero, of each pattern; none of the first.
    probability : tuple of float
        Prior probability of each pattern; empty if it is not known.
    """

    zeros: tuple[tuple[int, ...], ...] = ((),)
    probability: tuple[float, ...] = ()

    @classmethod
    def of(cls, atoms: tuple[int, ...], null: Mapping[int, float] | None = None) -> Patterns:
        """Return all patterns.

        Parameters
        ----------
        atoms : tuple of int
            The coefficients whose law has an atom, at most `MOST_ATOMS`.
        null : mapping of int to float, optional
            Probability of zero, by coefficient.

        Returns
        -------
        Patterns
        """
        assert len(atoms) <= MOST_ATOMS
        sizes = range(len(atoms) + 1)
        zeros = tuple(z for size in sizes for z in itertools.combinations(atoms, size))
        if null is None:
            return cls(zeros)
        return cls(
            zeros, tuple(math.prod(null[k] if k in z else 1.0 - null[k] for k in atoms) for z in zeros)
        )

    def sizes(self, n_draws: int) -> list[int]:
        """Return how many of a gene's draws each pattern has.

        Parameters
        ----------
        n_draws : int
            In all.

        Returns
        -------
        list of int
        """
        n = len(self.zeros) - 1
        evenly = n_draws * (1.0 - BY_PROBABILITY) if self.probability else n_draws
        each = max(1, int(self._share * evenly) // n) if n else 0
        sizes = [each + int((n_draws - evenly) * p) for p in self.probability[1:]] or [each] * n
        return [n_draws - sum(sizes), *sizes]

    def sizes_beside(self, n_draws: int) -> list[int]:
        """Return how many draws each pattern has beside a number of draws without zeros.

        Parameters
        ----------
        n_draws : int
            Without zeros.

        Returns
        -------
        list of int
        """
        return [n_draws, *self.sizes(round(n_draws / (1.0 - self._share)))[1:]]

    @property
    def _share(self) -> float:
        return SHARE_OF_ZEROS[len(self.zeros).bit_length() - 1]

    def pieces_of(self, piece: StartedGenes) -> list[ProposedGenes]:
        """Build the proposals of a few genes with zeros.

        Parameters
        ----------
        piece : StartedGenes

        Returns
        -------
        list of ProposedGenes
            Of every pattern but the first.
        """
        return [piece.at_zero(zero, number) for number, zero in enumerate(self.zeros) if zero]


def slices(sizes: list[int]) -> list[slice]:
    """Return where the draws of each pattern stand.

    Parameters
    ----------
    sizes : list of int

    Returns
    -------
    list of slice
    """
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def offset(size: int, n_draws: int) -> np.float32:
    """Return ln(M / M_z), by which the log ratios of a pattern's draws are raised.

    Parameters
    ----------
    size : int
        Draws of the pattern.
    n_draws : int
        Draws in all.

    Returns
    -------
    float32
    """
    return np.float32(math.log(n_draws / size))


def add_offsets(log_ratio: np.ndarray, sizes: list[int]) -> None:
    """Raise the log ratios of the draws of all patterns, so that they stand in one array.

    Parameters
    ----------
    log_ratio : ndarray of float32 (gene, draw)
        Changed.
    sizes : list of int
        Draws of each pattern.
    """
    if len(sizes) > 1:
        for size, part in zip(sizes, slices(sizes), strict=True):
            log_ratio[:, part] += offset(size, sum(sizes))
