r"""The information matrix X' W X of one gene, compiled: solutions, covariances, leverages, determinants.

    Cov(beta) = (M + R)^-1 M (M + R)^-1,   M = X' W X,   ridge R,        h_c = x_c' (M + R)^-1 x_c

for the cells c of a design, of which ``total`` (cell,) holds the summed weights W. Designs with many disjoint
columns are solved as an arrow (`bayesde.eb.regression.arrow`), others as dense matrices.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.eb.regression.arrow import (
    ArrowFactors,
    add_arrow_products,
    arrow_effects,
    arrow_factors,
    arrow_form,
    arrow_leverage,
    arrow_log_determinant,
    arrow_variances,
    factorize_arrow,
    solve_arrow,
)
from bayesde.numerics.cholesky import cholesky, invert, log_determinant, solve, weighted_gram
from bayesde.numerics.compiled import inlined, kernel

__all__ = [
    "Equations",
    "add_products",
    "covariance",
    "equations",
    "leverages",
    "log_determinant_and_trace",
    "quadratic_forms",
    "set_predictors",
    "solve_equations",
    "standard_errors",
]


class Equations(NamedTuple):
    """Memory for one information matrix.

    Attributes
    ----------
    gram, factor : ndarray (coefficient, coefficient)
        The matrix and its Cholesky factor; without rows if the design is an arrow.
    arrow : ArrowFactors
    """

    gram: np.ndarray
    factor: np.ndarray
    arrow: ArrowFactors


@inlined
def equations(cells):  # type: ignore[no-untyped-def]
    """Make room for the information matrix of a design."""
    p = 0 if cells.arrow.disjoint.size else cells.rows.shape[1]
    return Equations(np.empty((p, p)), np.zeros((p, p)), arrow_factors(cells.arrow))


@kernel
def set_predictors(cells, beta, eta):  # type: ignore[no-untyped-def]
    """Fill ``eta`` (cell,) with x . beta of each distinct row x of the design."""
    if cells.arrow.disjoint.size:
        arrow_effects(cells.arrow, beta, eta)
        return
    for c in range(eta.size):
        eta[c] = 0.0
        for k in range(beta.size):
            eta[c] += cells.rows[c, k] * beta[k]


@kernel
def add_products(cells, score, vector):  # type: ignore[no-untyped-def]
    """Add to ``vector`` (coefficient,) the sums over cells of score (cell,) times their rows."""
    if cells.arrow.disjoint.size:
        add_arrow_products(cells.arrow, score, vector)
        return
    for k in range(vector.size):
        for c in range(score.size):
            vector[k] += cells.rows[c, k] * score[c]


@kernel
def solve_equations(cells, total, ridge, room, vector):  # type: ignore[no-untyped-def]
    """Overwrite ``vector`` (coefficient,) with (M + R)^-1 vector; False if the matrix is singular."""
    if cells.arrow.disjoint.size:
        if not factorize_arrow(cells.arrow, total, ridge, room.arrow):
            return False
        solve_arrow(cells.arrow, room.arrow, vector)
        return True
    weighted_gram(cells.rows, total, room.gram)
    for k in range(vector.size):
        room.gram[k, k] += ridge[k]
    if not cholesky(room.gram, room.factor):
        return False
    solve(room.factor, vector)
    return True


@kernel
def covariance(rows, total, ridge, gram, inverse, factor, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with (M + R)^-1 M (M + R)^-1 and ``inverse`` with (M + R)^-1, by dense matrices."""
    p = ridge.size
    weighted_gram(rows, total, gram)
    for k in range(p):
        gram[k, k] += ridge[k]
    if not cholesky(gram, factor):
        return False
    invert(factor, inverse)
    # (M + R)^-1 M (M + R)^-1 = (M + R)^-1 - (M + R)^-1 R (M + R)^-1
    for a in range(p):
        for b in range(p):
            square = 0.0
            for k in range(p):
                square += inverse[a, k] * ridge[k] * inverse[k, b]
            out[a, b] = inverse[a, b] - square
    return True


@kernel
def standard_errors(cells, total, ridge, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (coefficient,) with the roots of the diagonal of Cov(beta), NaN if it is singular."""
    p, room = ridge.size, equations(cells)
    if cells.arrow.disjoint.size:
        definite = factorize_arrow(cells.arrow, total, ridge, room.arrow)
        if definite:
            arrow_variances(cells.arrow, room.arrow, ridge, out)
    else:
        inverse, sandwich = np.empty((p, p)), np.empty((p, p))
        definite = covariance(cells.rows, total, ridge, room.gram, inverse, room.factor, sandwich)
        for k in range(p):
            out[k] = sandwich[k, k]
    for k in range(p):
        out[k] = math.sqrt(max(out[k], 0.0)) if definite else math.nan
    return definite


@kernel
def quadratic_forms(cells, total, ridge, contrast):  # type: ignore[no-untyped-def]
    """Return c' (M + R)^-1 c and c' Cov(beta) c, NaN if the matrix is singular."""
    p, room = ridge.size, equations(cells)
    if cells.arrow.disjoint.size:
        if not factorize_arrow(cells.arrow, total, ridge, room.arrow):
            return math.nan, math.nan
        return arrow_form(cells.arrow, room.arrow, ridge, contrast, np.empty(p))
    inverse, sandwich = np.empty((p, p)), np.empty((p, p))
    if not covariance(cells.rows, total, ridge, room.gram, inverse, room.factor, sandwich):
        return math.nan, math.nan
    form, of_estimate = 0.0, 0.0
    for a in range(p):
        for b in range(p):
            form += contrast[a] * inverse[a, b] * contrast[b]
            of_estimate += contrast[a] * sandwich[a, b] * contrast[b]
    return form, of_estimate


@kernel
def leverages(cells, total, ridge, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (cell,) with x' (M + R)^-1 x of each cell; False if the matrix is singular."""
    p, room = ridge.size, equations(cells)
    if cells.arrow.disjoint.size:
        definite = factorize_arrow(cells.arrow, total, ridge, room.arrow)
        for c in range(out.size if definite else 0):
            out[c] = arrow_leverage(cells.arrow, room.arrow, c)
        return definite
    inverse, sandwich = np.empty((p, p)), np.empty((p, p))
    if not covariance(cells.rows, total, ridge, room.gram, inverse, room.factor, sandwich):
        return False
    for c in range(out.size):
        out[c] = 0.0
        for a in range(p):
            for b in range(p):
                out[c] += cells.rows[c, a] * inverse[a, b] * cells.rows[c, b]
    return True


@kernel
def log_determinant_and_trace(cells, information, square, none, room):  # type: ignore[no-untyped-def]
    """Return ln det M and the trace of M^-1 X' W^2 X; minus infinity if M is singular.

    ``information`` and ``square`` (cell,) are the summed W and W^2, ``none`` a ridge of 0. With M = L L', the
    trace is the sum of W_j^2 |L^-1 x_j|^2. A coefficient that no usable observation informs is left out.
    """
    if cells.arrow.disjoint.size:
        if not factorize_arrow(cells.arrow, information, none, room.arrow):
            return -math.inf, 0.0
        trace = 0.0
        for c in range(square.size):
            if square[c] != 0.0:
                trace += square[c] * arrow_leverage(cells.arrow, room.arrow, c)
        return arrow_log_determinant(room.arrow), trace
    return _dense_log_determinant_and_trace(cells.rows, information, square, room.gram, room.factor)


@inlined
def _dense_log_determinant_and_trace(rows, information, square, gram, factor):  # type: ignore[no-untyped-def]
    n_cells, p = rows.shape
    weighted_gram(rows, information, gram)
    for k in range(p):
        if gram[k, k] == 0.0:
            gram[k, k] = 1.0
    if not cholesky(gram, factor):
        return -math.inf, 0.0
    trace = 0.0
    for c in range(n_cells):
        if square[c] == 0.0:
            continue
        length = 0.0
        for a in range(p):
            value = rows[c, a]
            for b in range(a):
                value -= factor[a, b] * gram[0, b]
            value /= factor[a, a]
            gram[0, a] = value  # the factor is made: the matrix serves as scratch
            length += value * value
        trace += square[c] * length
    return log_determinant(factor), trace
