"""The data of some genes, in the form in which the compiled kernels take them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["NO_WEIGHTS", "GeneBlock", "are_shared", "shared_row"]

NO_WEIGHTS = np.empty((1, 0))
"""Weights for the kernels where all observations have the same weight."""
_PACKED = (np.uint8, np.uint16, np.uint32)


class GeneBlock(NamedTuple):
    """Counts, factors and weights of some genes.

    A named tuple, because numba compiles functions of named tuples. Its cache on disk refers to the class
    by its name: a class of another name, or in another module, needs the old cache to be deleted.

    Attributes
    ----------
    counts : ndarray of float64 (gene, sample)
        C-contiguous.
    factors : ndarray (gene, sample), or (1, sample) where they are the same for all genes
    weights : ndarray (gene, sample), or (1, 0) where all weights are the same
        At most 1.
    weight_scale : ndarray (gene,), or (1,)
        What the weights were divided by.
    """

    counts: np.ndarray
    factors: np.ndarray
    weights: np.ndarray = NO_WEIGHTS
    weight_scale: np.ndarray = np.ones(1)

    @classmethod
    def of(cls, counts: np.ndarray, factors: np.ndarray, weights: np.ndarray | None = None) -> GeneBlock:
        """Make a block from arrays (gene, sample); size factors as a broadcast view take one row.

        The weights of each gene are divided by the largest of them.

        Parameters
        ----------
        counts : ndarray (gene, sample)
        factors : ndarray (gene, sample)
        weights : ndarray (gene, sample), optional
            Observation weights.

        Returns
        -------
        GeneBlock
        """
        counts, factors = np.ascontiguousarray(counts, dtype=np.float64), shared_row(factors)
        if weights is None:
            return cls(counts, factors)
        largest = weights.max(axis=1)
        return cls(counts, factors, np.ascontiguousarray(weights / largest[:, None]), largest)

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.counts)

    def take(self, rows: np.ndarray) -> GeneBlock:
        """Return the block of some of the genes (positions, or a mask).

        Parameters
        ----------
        rows : ndarray of int or of bool
            Positions, or a mask.

        Returns
        -------
        GeneBlock
        """
        return GeneBlock(
            self.counts[rows],
            self.factors if len(self.factors) == 1 else self.factors[rows],
            self.weights[rows] if self.weights.size else self.weights,
            self.weight_scale[rows] if self.weights.size else self.weight_scale,
        )

    def with_counts(self, counts: np.ndarray) -> GeneBlock:
        """Return a block of the same genes with other counts (gene, sample).

        Parameters
        ----------
        counts : ndarray (gene, sample)

        Returns
        -------
        GeneBlock
        """
        return self._replace(counts=np.ascontiguousarray(counts, dtype=np.float64))

    def packed(self) -> GeneBlock:
        """Return a block whose counts take as few bytes as they can, to be sent; ``unpacked`` undoes it."""
        largest = self.counts.max(initial=0.0)
        kind = next((kind for kind in _PACKED if largest <= np.iinfo(kind).max), np.int64)
        return self._replace(counts=self.counts.astype(kind))

    def unpacked(self) -> GeneBlock:
        """Return the block as the kernels take it."""
        return self.with_counts(self.counts)

    def with_weights_above(self, least: float) -> GeneBlock:
        """Return a block in which no weight is below ``least``.

        Parameters
        ----------
        least : float

        Returns
        -------
        GeneBlock
        """
        return self._replace(weights=np.maximum(self.weights, least))


def are_shared(factors: np.ndarray) -> bool:
    """Tell whether factors (gene, sample) are a broadcast view of one row, as size factors are.

    Parameters
    ----------
    factors : ndarray (gene, sample)

    Returns
    -------
    bool
    """
    return factors.strides[0] == 0


def shared_row(factors: np.ndarray) -> np.ndarray:
    """Return factors as the kernels take them: contiguous, and only one row if it is the same for all genes.

    Parameters
    ----------
    factors : ndarray (gene, sample)

    Returns
    -------
    ndarray of float64 (gene, sample), or (1, sample)
    """
    if are_shared(factors):
        return np.array(factors[:1], dtype=np.float64)
    return np.ascontiguousarray(factors, dtype=np.float64)
