"""Weighted cross products, and Cholesky factors of small matrices, within compiled loops.

Everything here works on one gene and allocates nothing, so that loops over genes can run in parallel.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics.compiled import inlined, kernel

__all__ = ["cholesky", "invert", "log_determinant", "row_of", "solve", "weighted_gram"]


@inlined
def row_of(matrix: np.ndarray, g: int) -> np.ndarray:
    """Return the row of gene ``g``, or the only row if all genes share it."""
    return matrix[g] if matrix.shape[0] > 1 else matrix[0]


@kernel
def weighted_gram(design: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Fill ``out`` (p, p) with X' diag(w) X for ``design`` (m, p) and ``weights`` (m,)."""
    m, p = design.shape
    for a in range(p):
        for b in range(a + 1):
            total = 0.0
            for j in range(m):
                total += weights[j] * design[j, a] * design[j, b]
            out[a, b] = total
            out[b, a] = total


@kernel
def cholesky(matrix: np.ndarray, out: np.ndarray) -> bool:
    """Lower Cholesky factor of a symmetric (p, p) matrix; False if it is not positive definite."""
    p = matrix.shape[0]
    for a in range(p):
        for b in range(a + 1):
            total = matrix[a, b]
            for k in range(b):
                total -= out[a, k] * out[b, k]
            if a == b:
                if not total > 0.0:
                    return False
                out[a, a] = math.sqrt(total)
            else:
                out[a, b] = total / out[b, b]
    return True


@kernel
def solve(factor: np.ndarray, vector: np.ndarray) -> None:
    """Overwrite ``vector`` with A^-1 vector, given the lower Cholesky factor of A."""
    p = factor.shape[0]
    for a in range(p):
        total = vector[a]
        for k in range(a):
            total -= factor[a, k] * vector[k]
        vector[a] = total / factor[a, a]
    for a in range(p - 1, -1, -1):
        total = vector[a]
        for k in range(a + 1, p):
            total -= factor[k, a] * vector[k]
        vector[a] = total / factor[a, a]


@kernel
def invert(factor: np.ndarray, out: np.ndarray) -> None:
    """Fill ``out`` (p, p) with A^-1, given the lower Cholesky factor of A."""
    p = factor.shape[0]
    for a in range(p):
        for b in range(p):
            out[a, b] = 1.0 if a == b else 0.0
        solve(factor, out[a])


@inlined
def log_determinant(factor: np.ndarray) -> float:
    """Return ln det A, given the lower Cholesky factor of A."""
    total = 0.0
    for a in range(factor.shape[0]):
        total += math.log(factor[a, a])
    return 2.0 * total
