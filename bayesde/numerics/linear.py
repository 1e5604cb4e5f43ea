r"""Least squares and linear systems of a few columns, in a fixed order of summation.

Least squares are by Householder reflections (Golub and Van Loan 2013, "Matrix Computations", algorithm
5.2.1): with A = Q R, the solution of min |A x - y| is R^-1 Q' y. Sums over rows are NumPy's, which adds in
pairs and in the same order on every processor; there is no call of a BLAS, whose kernels differ.
"""

from __future__ import annotations

import numpy as np

__all__ = ["combine", "least_squares", "orthonormal_columns", "products", "projections", "solve_tridiagonal"]


RANK_TOLERANCE = 1e-12
"""A column is a combination of those before it if they leave less than this share of its length."""


def combine(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return ``columns @ weights``, summed in the order of the columns; weights of 0 are left out.

    Parameters
    ----------
    columns : ndarray (row, column)
    weights : ndarray (column,)

    Returns
    -------
    ndarray (row,)
    """
    total = np.zeros(len(columns))
    for k in np.flatnonzero(weights):
        total += weights[k] * columns[:, k]
    return total


def products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return ``left @ right.T``, summed in the order of the columns.

    Parameters
    ----------
    left : ndarray (m, column)
    right : ndarray (n, column)

    Returns
    -------
    ndarray (m, n)
    """
    total = left[:, :1] * right[:, 0]
    for k in range(1, right.shape[1]):
        total += left[:, k : k + 1] * right[:, k]
    return np.asarray(total)


def least_squares(columns: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the x for which ``columns @ x - y`` is shortest.

    Parameters
    ----------
    columns : ndarray (row, column)
    y : ndarray (row,)

    Returns
    -------
    ndarray (column,)
        0 for a column that is a combination of those before it.
    """
    most = min(columns.shape)
    basis, triangular = orthonormal_columns(columns[:, :most])
    x = np.zeros(columns.shape[1])
    x[:most] = _back_substitute(triangular, np.array([np.sum(column * y) for column in basis.T]))
    return x


def orthonormal_columns(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decompose ``columns = Q R``.

    Parameters
    ----------
    columns : ndarray (row, column)
        Of full column rank, with at least as many rows as columns.

    Returns
    -------
    basis : ndarray (row, column)
        Q, with orthonormal columns.
    triangular : ndarray (column, column)
        R, upper triangular.
    """
    rest = np.array(columns.T, dtype=np.float64, order="C")  # (column, row): what reflections leave of them
    n_columns, n_rows = rest.shape
    reflectors = []
    for k in range(n_columns):
        v = rest[k].copy()
        v[:k] = 0.0
        v[k] += np.copysign(np.sqrt(np.sum(v * v)), v[k])
        square = np.sum(v * v)
        reflectors.append((v, 2.0 / square if square > 0.0 else 0.0))
        for column in rest[k:]:
            _reflect(column, *reflectors[k])
    basis = np.eye(n_columns, n_rows)
    for column in basis:
        for v, scale in reversed(reflectors):
            _reflect(column, v, scale)
    return np.ascontiguousarray(basis.T), np.triu(rest[:, :n_columns].T)


def _reflect(column: np.ndarray, v: np.ndarray, scale: float) -> None:
    """Overwrite a column with its reflection (1 - scale v v') column."""
    column -= scale * np.sum(v * column) * v


def _back_substitute(triangular: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Solve R x = y, y being (column,) or (column, right side), for an upper triangular R (column, column).

    A dependent column of A = Q R gets 0.
    """
    x = np.array(y, dtype=np.float64, order="C")
    for k in range(len(x) - 1, -1, -1):
        for later in range(k + 1, len(x)):
            x[k] -= triangular[k, later] * x[later]
        dependent = abs(triangular[k, k]) <= RANK_TOLERANCE * np.sqrt(np.sum(triangular[:, k] ** 2))
        x[k] = 0.0 if dependent else x[k] / triangular[k, k]
    return x


def projections(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Q (row, column) and (X'X)^-1 X' (column, row) of columns X.

    Parameters
    ----------
    columns : ndarray (row, column)
        Of full column rank.

    Returns
    -------
    basis : ndarray (row, column)
    to_coefficients : ndarray (column, row)
        ``to_coefficients @ y`` are the least-squares coefficients of y (row,).
    """
    basis, triangular = orthonormal_columns(columns)
    return basis, _back_substitute(triangular, basis.T)


def solve_tridiagonal(
    below: np.ndarray, diagonal: np.ndarray, above: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Solve a tridiagonal system by elimination without exchanges (Golub and Van Loan 2013, section 4.3.1).

    Parameters
    ----------
    below, above : ndarray (n - 1,)
        Next to the diagonal.
    diagonal, y : ndarray (n,)

    Returns
    -------
    ndarray (n,)
    """
    d, x = diagonal.tolist(), y.tolist()
    for i in range(1, len(d)):
        share = below[i - 1] / d[i - 1]
        d[i] -= share * above[i - 1]
        x[i] -= share * x[i - 1]
    x[-1] /= d[-1]
    for i in range(len(d) - 2, -1, -1):
        x[i] = (x[i] - above[i] * x[i + 1]) / d[i]
    return np.array(x)
