r"""Normal equations of designs with a factor of many levels, such as patients of a paired design.

Columns of a design that are not 0 for the same sample, as the indicators of a factor's levels, have no cross
products. With these d columns first and the q others last, the matrix of the normal equations is an arrow,

    X' W X + R = [ D   B ]      D diagonal (d, d),   B (d, q),   C (q, q),
                 [ B'  C ]

and by Schur's complement S = C - B' D^-1 B (Golub and Van Loan 2013, "Matrix Computations", section 3.2.6)

    ln det = sum ln D + ln det S,      a solution costs O(d q + q^2) operations and S O(d q^2 + q^3),

where a dense matrix takes O((d + q)^3). S is summed from squares of what the level means leave, in which
nothing cancels: with M = D^-1 B, a cell with the entry v in column l and z in the others, and the ridge r,

    S = sum_cells w (z - v M_l) (z - v M_l)' + sum_l r_l M_l M_l' + diag(r).

In treatment coding the intercept is one of the others, and the reference level has no column.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.numerics.cholesky import cholesky, log_determinant, solve
from bayesde.numerics.compiled import inlined, kernel

__all__ = [
    "FEWEST",
    "Arrow",
    "ArrowFactors",
    "add_arrow_products",
    "arrow_effects",
    "arrow_factors",
    "arrow_form",
    "arrow_leverage",
    "arrow_log_determinant",
    "arrow_variances",
    "factorize_arrow",
    "solve_arrow",
]

FEWEST = 16
"""Designs with fewer disjoint columns are solved as dense matrices: little would be saved."""


class Arrow(NamedTuple):
    """Which columns of a design are disjoint, and the entries of its cells (distinct rows) by kind.

    Attributes
    ----------
    disjoint : ndarray of int64 (level,)
        Columns of which at most one is not 0 in any row; none if the design is taken as dense.
    dense : ndarray of int64 (other,)
        The other columns.
    level : ndarray of int64 (cell,)
        Which of the disjoint columns is not 0 in a cell; -1 if all are.
    value : ndarray (cell,)
        Its entry there.
    border : ndarray (cell, other)
        Entries of the other columns.
    """

    disjoint: np.ndarray
    dense: np.ndarray
    level: np.ndarray
    value: np.ndarray
    border: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, fewest: int = FEWEST) -> Arrow:
        """Find the disjoint columns of a design: one by one, from the columns with the fewest entries.

        Parameters
        ----------
        rows : ndarray (cell, coefficient)
            Distinct rows of the design.
        fewest : int
            Take the design as dense if there are fewer disjoint columns, or fewer of them than of others.

        Returns
        -------
        Arrow
        """
        filled = rows != 0.0
        taken, disjoint = np.zeros(len(rows), dtype=bool), []
        for k in np.argsort(filled.sum(axis=0), kind="stable"):
            if not (filled[:, k] & taken).any():
                taken |= filled[:, k]
                disjoint.append(int(k))
        if len(disjoint) < max(fewest, rows.shape[1] - len(disjoint)):
            disjoint = []
        return cls._with(np.array(sorted(disjoint), dtype=np.int64), rows)

    @classmethod
    def _with(cls, disjoint: np.ndarray, rows: np.ndarray) -> Arrow:
        if not disjoint.size:
            nothing = np.empty(0, dtype=np.int64)
            return cls(disjoint, nothing, nothing, np.empty(0), np.empty((0, 0)))
        dense = np.setdiff1d(np.arange(rows.shape[1]), disjoint)
        own = rows[:, disjoint]
        has, level = (own != 0.0).any(axis=1), np.argmax(own != 0.0, axis=1)
        value = np.where(has, own[np.arange(len(rows)), level], 0.0)
        return cls(disjoint, dense, np.where(has, level, -1), value, np.ascontiguousarray(rows[:, dense]))


class ArrowFactors(NamedTuple):
    """Memory for the factors of one matrix.

    Attributes
    ----------
    diagonal : ndarray (level,)
        D.
    means : ndarray (level, other)
        M = D^-1 B.
    schur, factor : ndarray (other, other)
        S (later scratch) and its Cholesky factor.
    vector : ndarray (other,)
        Scratch.
    """

    diagonal: np.ndarray
    means: np.ndarray
    schur: np.ndarray
    factor: np.ndarray
    vector: np.ndarray


@inlined
def arrow_factors(arrow):  # type: ignore[no-untyped-def]
    """Make room for the factors of a matrix of this structure; none if the design is taken as dense."""
    n, q = arrow.disjoint.size, arrow.dense.size
    return ArrowFactors(np.empty(n), np.empty((n, q)), np.empty((q, q)), np.zeros((q, q)), np.empty(q))


@kernel
def arrow_effects(arrow, beta, eta):  # type: ignore[no-untyped-def]
    """Fill ``eta`` (cell,) with x . beta of each cell."""
    for c in range(eta.size):
        total = 0.0
        for a in range(arrow.dense.size):
            total += arrow.border[c, a] * beta[arrow.dense[a]]
        if arrow.level[c] >= 0:
            total += arrow.value[c] * beta[arrow.disjoint[arrow.level[c]]]
        eta[c] = total


@kernel
def add_arrow_products(arrow, score, vector):  # type: ignore[no-untyped-def]
    """Add to ``vector`` (coefficient,) the sums over cells of score (cell,) times their rows."""
    for c in range(score.size):
        for a in range(arrow.dense.size):
            vector[arrow.dense[a]] += arrow.border[c, a] * score[c]
        if arrow.level[c] >= 0:
            vector[arrow.disjoint[arrow.level[c]]] += arrow.value[c] * score[c]


@kernel
def _set_levels(arrow, total, ridge, diagonal, means):  # type: ignore[no-untyped-def]
    """Fill D and M; a column without weight gets a diagonal of 1. False if D is not positive."""
    n, q = means.shape
    for i in range(n):
        diagonal[i] = ridge[arrow.disjoint[i]]
        for a in range(q):
            means[i, a] = 0.0
    for c in range(total.size):
        i = arrow.level[c]
        if i >= 0:
            weighted = total[c] * arrow.value[c]
            diagonal[i] += weighted * arrow.value[c]
            for a in range(q):
                means[i, a] += weighted * arrow.border[c, a]
    for i in range(n):
        if diagonal[i] == 0.0:
            diagonal[i] = 1.0
        if not diagonal[i] > 0.0:
            return False
        for a in range(q):
            means[i, a] /= diagonal[i]
    return True


@kernel
def factorize_arrow(arrow, total, ridge, factors):  # type: ignore[no-untyped-def]
    """Factorize X' diag(w) X + diag(r) for weights (cell,) and a ridge; False if it is not definite.

    A coefficient that has neither weight nor ridge is left out: its diagonal element is 1.
    """
    diagonal, means, schur, factor, vector = factors
    n, q = means.shape
    if not _set_levels(arrow, total, ridge, diagonal, means):
        return False
    schur[:, :] = 0.0
    for a in range(q):
        schur[a, a] = ridge[arrow.dense[a]]
    for c in range(total.size):
        i = arrow.level[c]
        for a in range(q):
            vector[a] = arrow.border[c, a]
            if i >= 0:
                vector[a] -= arrow.value[c] * means[i, a]
            for b in range(a + 1):
                schur[a, b] += total[c] * vector[a] * vector[b]
    for i in range(n):
        for a in range(q):
            for b in range(a + 1):
                schur[a, b] += ridge[arrow.disjoint[i]] * means[i, a] * means[i, b]
    for a in range(q):
        if schur[a, a] == 0.0 and not _has_weight(arrow, total, a):
            schur[a, a] = 1.0
    return cholesky(schur, factor)


@inlined
def _has_weight(arrow, total, a):  # type: ignore[no-untyped-def]
    """Tell whether any cell with weight has an entry in one of the other columns."""
    for c in range(total.size):
        if total[c] * arrow.border[c, a] != 0.0:
            return True
    return False


@kernel
def solve_arrow(arrow, factors, vector):  # type: ignore[no-untyped-def]
    """Overwrite ``vector`` (coefficient,) with the solution of the factorized system."""
    diagonal, means, _, factor, others = factors
    n, q = means.shape
    for a in range(q):
        others[a] = vector[arrow.dense[a]]
        for i in range(n):
            others[a] -= means[i, a] * vector[arrow.disjoint[i]]
    solve(factor, others)
    for i in range(n):
        value = vector[arrow.disjoint[i]] / diagonal[i]
        for a in range(q):
            value -= means[i, a] * others[a]
        vector[arrow.disjoint[i]] = value
    for a in range(q):
        vector[arrow.dense[a]] = others[a]


@inlined
def arrow_log_determinant(factors):  # type: ignore[no-untyped-def]
    """Return ln det of the factorized matrix."""
    total = log_determinant(factors.factor)
    for i in range(factors.diagonal.size):
        total += math.log(factors.diagonal[i])
    return total


@kernel
def arrow_leverage(arrow, factors, c):  # type: ignore[no-untyped-def]
    """Return x' A^-1 x of a cell's row x, A being the factorized matrix."""
    diagonal, means, _, factor, vector = factors
    i = arrow.level[c]
    length = arrow.value[c] ** 2 / diagonal[i] if i >= 0 else 0.0
    for a in range(vector.size):
        value = arrow.border[c, a]
        if i >= 0:
            value -= arrow.value[c] * means[i, a]
        for b in range(a):
            value -= factor[a, b] * vector[b]
        vector[a] = value / factor[a, a]
        length += vector[a] ** 2
    return length


@inlined
def arrow_form(arrow, factors, ridge, contrast, solution):  # type: ignore[no-untyped-def]
    """Return c' A^-1 c and c' A^-1 (A - R) A^-1 c, with A the factorized matrix; fills A^-1 c."""
    for k in range(contrast.size):
        solution[k] = contrast[k]
    solve_arrow(arrow, factors, solution)
    form, of_ridge = 0.0, 0.0
    for k in range(contrast.size):
        form += contrast[k] * solution[k]
        of_ridge += ridge[k] * solution[k] ** 2
    return form, form - of_ridge


@inlined
def _solution_length(ridge, dense, products, x):  # type: ignore[no-untyped-def]
    """Return x' (M' R M + R) x for a solution's part x (other,), given M' R M."""
    total = 0.0
    for a in range(x.size):
        total += ridge[dense[a]] * x[a] ** 2
        for b in range(x.size):
            total += x[a] * products[a, b] * x[b]
    return total


@inlined
def _set_ridge_products(arrow, ridge, means, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (other, other) with M' R M."""
    out[:, :] = 0.0
    for i in range(means.shape[0]):
        for a in range(means.shape[1]):
            for b in range(means.shape[1]):
                out[a, b] += ridge[arrow.disjoint[i]] * means[i, a] * means[i, b]


@kernel
def arrow_variances(arrow, factors, ridge, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (coefficient,) with the diagonal of A^-1 (A - R) A^-1, A being the factorized matrix.

    It is that of A^-1 - A^-1 R A^-1. A column of A^-1 is x in the other columns, and in the disjoint ones
    -M x, plus 1 / D at its own place: x = S^-1 e for one of the others, x = -S^-1 M_l for the disjoint l.
    """
    diagonal, means, products, factor, x = factors
    _set_ridge_products(arrow, ridge, means, products)
    q = x.size
    for place in range(q + diagonal.size):
        i = place - q
        for a in range(q):
            x[a] = -means[i, a] if i >= 0 else (1.0 if a == place else 0.0)
        solve(factor, x)
        if i < 0:
            form, of_ridge, k = x[place], 0.0, arrow.dense[place]
        else:
            change, k = 0.0, arrow.disjoint[i]
            for a in range(q):
                change -= means[i, a] * x[a]
            form = 1.0 / diagonal[i] + change
            of_ridge = ridge[k] / diagonal[i] * (1.0 / diagonal[i] + 2.0 * change)
        out[k] = form - of_ridge - _solution_length(ridge, arrow.dense, products, x)
