"""The data of some genes, in the form in which the compiled kernels take them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numba import njit, prange

from bayesde.eb.glm import NO_WEIGHTS, shared_row
from bayesde.eb.nb import row_of

__all__ = ["GeneBlock", "Moments", "moments"]


@dataclass(frozen=True, eq=False)
class GeneBlock:
    """Counts, factors and weights of some genes.

    Attributes
    ----------
    counts : ndarray of float64 (gene, sample)
        C-contiguous.
    factors : ndarray (gene, sample), or (1, sample) where they are the same for all genes
    weights : ndarray (gene, sample), or (1, 0) where all observations count the same
        At most 1.
    weight_scale : ndarray (gene,)
        What the weights were divided by.
    """

    counts: np.ndarray
    factors: np.ndarray
    weights: np.ndarray = field(default_factory=lambda: NO_WEIGHTS)
    weight_scale: np.ndarray = field(default_factory=lambda: np.ones(1))

    @classmethod
    def of(cls, counts: np.ndarray, factors: np.ndarray, weights: np.ndarray | None = None) -> GeneBlock:
        """Bring arrays (gene, sample) into shape; size factors as a broadcast view take one row.

        The weights of each gene are divided by the largest of them.
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
        """Return the block of some of the genes (positions, or a mask)."""
        return GeneBlock(
            self.counts[rows],
            self.factors if len(self.factors) == 1 else self.factors[rows],
            self.weights[rows] if self.weights.size else self.weights,
            self.weight_scale[rows] if self.weights.size else self.weight_scale,
        )

    def with_counts(self, counts: np.ndarray) -> GeneBlock:
        """Return a block of the same genes with other counts (gene, sample)."""
        return replace(self, counts=np.ascontiguousarray(counts, dtype=np.float64))

    def with_weights_above(self, least: float) -> GeneBlock:
        """Return a block in which no weight is below ``least``."""
        return replace(self, weights=np.maximum(self.weights, least))


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and variance of normalized counts, and how much they scatter around a regression.

    Attributes
    ----------
    mean, variance : ndarray (gene,)
        Over samples (divisor n - 1) of y / nf, times the weights as they were given.
    rough_dispersion : ndarray (gene,)
        sum_j [(q_j - f_j)^2 - f_j] / f_j^2 / (m - p), at least 0, with f the least-squares fit of q = y / nf
        on the design, held above 1.
    """

    mean: np.ndarray
    variance: np.ndarray
    rough_dispersion: np.ndarray


@njit(cache=True, parallel=True)
def _moments(counts, factors, weights, weight_scale, basis):  # type: ignore[no-untyped-def]
    n_genes, m = counts.shape
    p = basis.shape[1]
    mean, variance, rough = np.empty(n_genes), np.empty(n_genes), np.empty(n_genes)
    for g in prange(n_genes):
        own, weight = row_of(factors, g), row_of(weights, g)
        q, projection = np.empty(m), np.zeros(p)
        total = 0.0
        for j in range(m):
            q[j] = counts[g, j] / own[j]
            for k in range(p):
                projection[k] += basis[j, k] * q[j]
            total += q[j] * weight[j] * weight_scale[g] if weight.size else q[j]
        centre = total / m
        spread, excess = 0.0, 0.0
        for j in range(m):
            value = q[j] * weight[j] * weight_scale[g] if weight.size else q[j]
            spread += (value - centre) ** 2
            fitted = 0.0
            for k in range(p):
                fitted += basis[j, k] * projection[k]
            fitted = max(fitted, 1.0)
            excess += ((q[j] - fitted) ** 2 - fitted) / fitted**2
        mean[g], variance[g] = centre, spread / (m - 1)
        rough[g] = max(excess / (m - p), 0.0)
    return mean, variance, rough


def moments(block: GeneBlock, basis: np.ndarray) -> Moments:
    """Compute the moments of every gene of a block; ``basis`` (sample, coefficient) spans the design."""
    return Moments(*_moments(block.counts, block.factors, block.weights, block.weight_scale, basis))
