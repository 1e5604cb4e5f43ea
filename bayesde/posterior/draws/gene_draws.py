"""Weighted draws of genes, the form in which every inference method returns its draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bayesde.numerics.elementary import exponentials

__all__ = ["GeneDraws", "contrast_values"]


@dataclass(frozen=True, eq=False)
class GeneDraws:
    """Weighted draws of genes; they may lie on disk, as memory maps.

    Attributes
    ----------
    theta : ndarray of float32 (gene, draw, P + 1)
        Coefficients and log dispersion, natural log. Of several chains, one after the other.
    log_weights : ndarray of float32 (gene, draw), or None
        The exponentials of each gene's add up to 1; None if all are equal.
    log_ratio : ndarray of float32 (gene, draw), or None
        ln p(y | theta) - ln q(theta), plus the log prior of the coefficients that are not shrunken, up to a
        constant of the gene; q is the density that the draws were made from. This is the part of the weights
        that does not depend on the hyperparameters: with it draws can be reweighted for other values.
    chains : int
    has_atoms : bool
        Whether coefficients have a posterior probability of being exactly 0, as under a prior with a point
        mass there. Draws of them are then 0 to the bit, and so are contrasts of which all coefficients are 0.
    log_level : ndarray (gene,), or None
        What `log_ratio` is less by than it would be without a constant.
    """

    theta: np.ndarray
    log_weights: np.ndarray | None = None
    log_ratio: np.ndarray | None = None
    chains: int = 1
    has_atoms: bool = False
    log_level: np.ndarray | None = None

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return int(self.theta.shape[0])

    @property
    def n_draws(self) -> int:
        """Number of draws of each gene, of all chains."""
        return int(self.theta.shape[1])

    def genes(self, rows: np.ndarray | slice) -> GeneDraws:
        """Take some of the genes.

        Parameters
        ----------
        rows : ndarray of int or bool, or slice
            By index, mask or slice.

        Returns
        -------
        GeneDraws
        """
        log_weights = None if self.log_weights is None else self.log_weights[rows]
        log_ratio = None if self.log_ratio is None else self.log_ratio[rows]
        level = None if self.log_level is None else self.log_level[rows]
        return GeneDraws(self.theta[rows], log_weights, log_ratio, self.chains, self.has_atoms, level)

    def weights(self) -> np.ndarray:
        """Return the weights (gene, draw), each gene's adding up to 1."""
        if self.log_weights is None:
            return np.full(self.theta.shape[:2], 1.0 / self.n_draws)
        weights = exponentials(self.log_weights)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def batches(
        self, first: int = 0, last: int | None = None, size: int = 250
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield the genes of a range a few at a time, so that only they need be in memory.

        Parameters
        ----------
        first : int
            The first gene of the range.
        last : int, optional
            The end of the range; by default the number of genes.
        size : int
            Number of genes at a time.

        Yields
        ------
        rows : slice
        theta : ndarray of float32 (gene, draw, P + 1)
        weights : ndarray (gene, draw)
            Each gene's add up to 1.
        """
        last = self.n_genes if last is None else last
        for start in range(first, last, size):
            rows = slice(start, min(start + size, last))
            some = self.genes(rows)
            yield rows, some.theta, some.weights()


def contrast_values(theta: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return a contrast's values at draws, in double precision.

    Parameters
    ----------
    theta : ndarray (..., P + 1)
        Coefficients and log dispersion, natural log.
    vector : ndarray (coefficient,)
        Weights of the contrast.

    Returns
    -------
    ndarray (...,)
        Natural log.
    """
    values = np.zeros(theta.shape[:-1])
    for k in np.flatnonzero(vector):  # mostly one: no copy of the others is made
        values += vector[k] * theta[..., k]
    return values
