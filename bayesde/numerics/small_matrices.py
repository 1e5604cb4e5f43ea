"""Linear algebra of small symmetric matrices, in an order of operations that depends on no library.

LAPACK and BLAS use other code on every processor, and their results differ in the last digits.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics import cholesky as factors
from bayesde.numerics.compiled import kernel

__all__ = [
    "cholesky",
    "eigenvectors",
    "inverse",
    "products",
    "solve",
    "weighted_mean",
    "weighted_products",
]

SWEEPS = 60
"""Jacobi's method converges quadratically; a matrix of 500 rows takes about ten sweeps."""
NEGLIGIBLE = 1e-32
"""Part of the sum of squares that may be left beside the diagonal."""


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


def eigenvectors(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues and eigenvectors of a symmetric matrix, by cyclic Jacobi rotations.

    Parameters
    ----------
    matrix : ndarray (k, k)
        Symmetric.

    Returns
    -------
    values : ndarray (k,)
        From the largest to the smallest.
    vectors : ndarray (k, k)
        In columns, of length 1. The entry of largest absolute value is positive; of equal ones, the first.

    References
    ----------
    Golub, G. H. and Van Loan, C. F. (2013) Matrix Computations, 4th edition, algorithms 8.5.1 and 8.5.3.
    """
    rotated, vectors = np.array(matrix, dtype=np.float64, order="C"), np.eye(len(matrix))
    _diagonalize(rotated, vectors)
    order = np.argsort(-np.diag(rotated), kind="stable")
    vectors = vectors[:, order]
    size = np.abs(vectors)
    # Entries that are equal but for rounding are taken as equal, so that rounding does not choose the sign.
    largest = np.argmax(size >= (1.0 - 1e-9) * size.max(axis=0), axis=0)
    signs = np.where(vectors[largest, np.arange(len(vectors))] < 0.0, -1.0, 1.0)
    return np.diag(rotated)[order], vectors * signs


@kernel
def _diagonalize(a, vectors):  # type: ignore[no-untyped-def]
    """Overwrite a symmetric matrix with a diagonal one, and multiply the vectors by the rotations."""
    n = a.shape[0]
    for _ in range(SWEEPS):
        beside, total = 0.0, 0.0
        for p in range(n):
            total += a[p, p] * a[p, p]
            for q in range(p):
                beside += 2.0 * a[p, q] * a[p, q]
        if beside <= NEGLIGIBLE * (beside + total):
            break
        for p in range(n - 1):
            for q in range(p + 1, n):
                if a[p, q] != 0.0:
                    _rotate(a, vectors, p, q)


@kernel
def _rotate(a, vectors, p, q):  # type: ignore[no-untyped-def]
    """Make the element (p, q) zero by a rotation of two rows and columns."""
    ratio = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
    tangent = math.copysign(1.0, ratio) / (abs(ratio) + math.sqrt(ratio * ratio + 1.0))
    cosine = 1.0 / math.sqrt(tangent * tangent + 1.0)
    sine = tangent * cosine
    for k in range(a.shape[0]):
        left, right = a[k, p], a[k, q]
        a[k, p], a[k, q] = cosine * left - sine * right, sine * left + cosine * right
    for k in range(a.shape[0]):
        left, right = a[p, k], a[q, k]
        a[p, k], a[q, k] = cosine * left - sine * right, sine * left + cosine * right
        left, right = vectors[k, p], vectors[k, q]
        vectors[k, p], vectors[k, q] = cosine * left - sine * right, sine * left + cosine * right
    a[p, q] = a[q, p] = 0.0
