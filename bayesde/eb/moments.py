"""Mean and variance of normalized counts, how much they scatter around a regression, and trimmed means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesde.eb.block import GeneBlock
from bayesde.numerics.cholesky import row_of
from bayesde.numerics.compiled import inlined, kernel
from bayesde.numerics.threads import over_genes

__all__ = ["Moments", "moments", "trimmed_mean"]


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


@inlined
def _moments_of(y, factors, weights, scale, basis, q, projection):  # type: ignore[no-untyped-def]
    """Return the three moments of one gene; ``q`` and ``projection`` are scratch."""
    m, p = basis.shape
    total = 0.0
    for j in range(m):
        q[j] = y[j] / factors[j]
        for k in range(p):
            projection[k] += basis[j, k] * q[j]
        total += q[j] * weights[j] * scale if weights.size else q[j]
    center = total / m
    spread, excess = 0.0, 0.0
    for j in range(m):
        value = q[j] * weights[j] * scale if weights.size else q[j]
        spread += (value - center) ** 2
        fitted = 0.0
        for k in range(p):
            fitted += basis[j, k] * projection[k]
        fitted = max(fitted, 1.0)
        excess += ((q[j] - fitted) ** 2 - fitted) / fitted**2
    return center, spread / (m - 1), max(excess / (m - p), 0.0)


@kernel
def _moments(first, last, block, basis, mean, variance, rough):  # type: ignore[no-untyped-def]
    for g in range(first, last):
        mean[g], variance[g], rough[g] = _moments_of(
            block.counts[g],
            row_of(block.factors, g),
            row_of(block.weights, g),
            block.weight_scale[g] if block.weight_scale.size > 1 else block.weight_scale[0],
            basis,
            np.empty(basis.shape[0]),
            np.zeros(basis.shape[1]),
        )


def moments(block: GeneBlock, basis: np.ndarray) -> Moments:
    """Compute the moments of every gene of a block; ``basis`` (sample, coefficient) spans the design.

    Parameters
    ----------
    block : GeneBlock
    basis : ndarray (sample, coefficient)
        Orthonormal basis of the columns of the design.

    Returns
    -------
    Moments
    """
    found = Moments(*(np.empty(block.n_genes) for _ in range(3)))
    over_genes(_moments, block.n_genes, block, basis, found.mean, found.variance, found.rough_dispersion)
    return found


def trimmed_mean(values: np.ndarray, share: float) -> np.ndarray:
    """Mean along the last axis without the ``floor(n * share)`` lowest and as many of the highest values.

    Parameters
    ----------
    values : ndarray (..., n)
    share : float
        0 or more, below 1/2.

    Returns
    -------
    ndarray (...,)
    """
    cut = int(values.shape[-1] * share)
    return np.asarray(np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut].mean(axis=-1))
