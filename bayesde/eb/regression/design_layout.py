"""What the compiled kernels need from a design matrix, computed once for all genes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bayesde.eb.regression.arrow import FEWEST, Arrow
from bayesde.numerics.linear import projections

__all__ = ["Cells", "DesignLayout"]


class Cells(NamedTuple):
    """The distinct rows of a design, in the form in which the kernels take them.

    Attributes
    ----------
    rows : ndarray (cell, coefficient)
    of_sample : ndarray of int64 (sample,)
        Which of the rows a sample has.
    size : ndarray of int64 (cell,)
        How many samples have it.
    arrow : Arrow
        The columns of which no two share a sample, if there are many.
    """

    rows: np.ndarray
    of_sample: np.ndarray
    size: np.ndarray
    arrow: Arrow

    @classmethod
    def of(cls, design: np.ndarray, fewest: int = FEWEST) -> Cells:
        """Find the distinct rows of a design (sample, coefficient).

        They are told apart by 15 digits, as R does: a scaled covariate may carry rounding errors.

        Parameters
        ----------
        design : ndarray (sample, coefficient)
        fewest : int
            Disjoint columns that a design has at least if it is not taken as dense.

        Returns
        -------
        Cells
        """
        rounded = np.array([float(f"{value:.15g}") for value in design.ravel()]).reshape(design.shape)
        rows, cell, sizes = np.unique(rounded, axis=0, return_inverse=True, return_counts=True)
        arrow = Arrow.of(rows, fewest)
        return cls(np.ascontiguousarray(rows), cell.ravel().astype(np.int64), sizes.astype(np.int64), arrow)

    @property
    def order(self) -> np.ndarray:
        """Samples (sample,) in the order of their cells: cell c has ``order[bounds[c]:bounds[c + 1]]``."""
        return np.argsort(self.of_sample, kind="stable")

    @property
    def bounds(self) -> np.ndarray:
        """Where the cells begin and end (cell + 1,) in that order."""
        return np.concatenate([[0], np.cumsum(self.size)])


@dataclass(frozen=True, eq=False)
class DesignLayout:
    """A design matrix, its distinct rows, and its least-squares projections.

    Samples with the same row of the design (a cell) have the same linear predictor, so that the kernels
    compute it, and whatever depends on it alone, once for a cell.

    Attributes
    ----------
    matrix : ndarray (sample, coefficient)
        Of full column rank.
    cells : Cells
    """

    matrix: np.ndarray
    cells: Cells

    @classmethod
    def of(cls, design: np.ndarray, fewest: int = FEWEST) -> DesignLayout:
        """Compute the layout of a design (sample, coefficient).

        Parameters
        ----------
        design : ndarray (sample, coefficient)
            Of full column rank.
        fewest : int
            Disjoint columns that a design has at least if it is not taken as dense.

        Returns
        -------
        DesignLayout
        """
        matrix = np.ascontiguousarray(design, dtype=np.float64)
        return cls(matrix, Cells.of(matrix, fewest))

    @property
    def basis(self) -> np.ndarray:
        """Orthonormal basis of the columns (sample, coefficient): Q of the QR decomposition."""
        return self._projections[0]

    @property
    def to_beta(self) -> np.ndarray:
        """Projection (coefficient, sample): the least-squares coefficients of v are ``to_beta @ v``."""
        return self._projections[1]

    @cached_property
    def _projections(self) -> tuple[np.ndarray, np.ndarray]:
        return projections(self.matrix)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.matrix.shape[0])

    @property
    def n_coefficients(self) -> int:
        """Number of coefficients."""
        return int(self.matrix.shape[1])

    @property
    def saturated(self) -> bool:
        """Whether there is a coefficient for every cell, so that cell means are the fit."""
        return len(self.cells.rows) == self.n_coefficients

    @property
    def is_intercept(self) -> bool:
        """Whether the design is a single column of ones."""
        return self.n_coefficients == 1 and bool(np.all(self.matrix == 1.0))
