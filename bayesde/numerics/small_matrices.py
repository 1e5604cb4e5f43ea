"""Linear algebra of the few hyperparameters, in an order of operations that depends on no library.

LAPACK and BLAS use other code on every processor, and their results differ in the last digits.
"""

from __future__ import annotations

import numpy as np

from bayesde.numerics import cholesky as factors
from bayesde.numerics.compiled import kernel

__all__ = ["cholesky", "inverse", "products", "solve", "weighted_mean", "weighted_products"]


def cholesky(matrix: np.ndarray) -> np.ndarray | None:
    """Return the lower Cholesky factor of a symmetric matrix (k, k), None if it is not positive definite.

    Parameters
    ----------
    matrix : ndarray (k, k)

    Returns
    -------
    ndarray (k, k) or None
    """
    root = np.zeros(matrix.shape)
    return root if factors.cholesky(np.ascontiguousarray(matrix), root) else None


def solve(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray | None:
    """Return the solution (k,) of matrix x = vector; None if the matrix is not positive definite.

    Parameters
    ----------
    matrix : ndarray (k, k)
        Symmetric.
    vector : ndarray (k,)

    Returns
    -------
    ndarray (k,) or None
    """
    root = cholesky(matrix)
    if root is None:
        return None
    result = np.array(vector, dtype=np.float64)
    factors.solve(root, result)
    return result


def inverse(matrix: np.ndarray) -> np.ndarray | None:
    """Return the inverse of a symmetric matrix (k, k); None if it is not positive definite.

    Parameters
    ----------
    matrix : ndarray (k, k)

    Returns
    -------
    ndarray (k, k) or None
    """
    root = cholesky(matrix)
    if root is None:
        return None
    result = np.empty(matrix.shape)
    factors.invert(root, result)
    return 0.5 * (result + result.T)


def products(rows: np.ndarray) -> np.ndarray:
    """Return the sum of the outer products (k, k) of rows (row, k) with themselves.

    Parameters
    ----------
    rows : ndarray (row, k)

    Returns
    -------
    ndarray (k, k)
    """
    result = np.zeros((rows.shape[1], rows.shape[1]))
    _add_products(np.ascontiguousarray(rows), result)
    return result


def weighted_mean(weight: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the sum of rows (row, k), or of numbers (row,), times their weights (row,).

    Parameters
    ----------
    weight : ndarray (row,)
    rows : ndarray (row, k) or (row,)

    Returns
    -------
    ndarray (k,) or ()
    """
    return np.asarray((weight.reshape(-1, *[1] * (rows.ndim - 1)) * rows).sum(axis=0))


def weighted_products(weight: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the sum of the outer products (k, k) of rows (row, k) with themselves, times their weights.

    Parameters
    ----------
    weight : ndarray (row,)
    rows : ndarray (row, k)

    Returns
    -------
    ndarray (k, k)
    """
    return products(np.sqrt(weight)[:, None] * rows)


@kernel
def _add_products(rows, result):  # type: ignore[no-untyped-def]
    n, size = rows.shape
    for i in range(n):
        for a in range(size):
            for b in range(a + 1):
                result[a, b] += rows[i, a] * rows[i, b]
    for a in range(size):
        for b in range(a):
            result[b, a] = result[a, b]
