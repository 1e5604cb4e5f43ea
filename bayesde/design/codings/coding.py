r"""The coefficients that a posterior is sampled in, of which those of the design are linear maps.

By default they are the design's own, beta = theta. Where the levels of a factor are treated alike
(`bayesde.design.codings.level_coding`), there are more of them than columns of the design: with the matrix
W of sampled coefficients and the design matrix X,

    x . beta = w . theta  for every sample,     beta = T theta,     X T = W,

so that a contrast v . beta is (T' v) . theta.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bayesde.design.matrix import DesignMatrix
from bayesde.errors import InputError

__all__ = ["Coding", "IntegratedFactor"]

ROUNDED = 12
"""Decimals of the map: what are whole numbers are so exactly, and contrasts of levels have exact zeros."""


@dataclass(frozen=True, eq=False)
class IntegratedFactor:
    """A factor, or an interaction, whose levels' effects are integrated out instead of being sampled.

    Attributes
    ----------
    name, factor : str
        Of its term, and of the variable in the sample table (of several, ``"strain:time"``).
    levels : tuple of str
        Of the cells of an interaction ``"wild:6h"``.
    level : ndarray of int64 (sample,)
        Position in `levels` of every sample's.
    transform : ndarray (coefficient, level)
        The part of T that belongs to the levels.
    """

    name: str
    factor: str
    levels: tuple[str, ...]
    level: np.ndarray
    transform: np.ndarray


@dataclass(frozen=True, eq=False)
class Coding:
    """The coefficients that are sampled.

    Attributes
    ----------
    matrix : ndarray (sample, sampled coefficient)
        W.
    coefficients : tuple of str
        The names under which hyperparameters know the columns: the levels of a factor all have that of their
        term.
    terms : dict of str to tuple of int
        The columns of each term.
    factor : ndarray of int64 (sampled coefficient,)
        Which columns are the levels of one factor: the same number from 0 on; -1 for others.
    order : ndarray of int64 (sampled coefficient,)
        Number of variables in the term of the column; 0 for what is not shrunken.
    transform : ndarray (coefficient, sampled coefficient), or None
        T; None where the sampled coefficients are those of the design.
    formula : str or None
    note : str
        Why levels are not treated alike that were to be, or only some of them are; else empty.
    integrated : IntegratedFactor or None
        Whose levels have no columns in `matrix`: x . beta = w . theta + u_level.
    """

    matrix: np.ndarray
    coefficients: tuple[str, ...]
    terms: dict[str, tuple[int, ...]]
    factor: np.ndarray
    order: np.ndarray
    transform: np.ndarray | None = None
    formula: str | None = None
    note: str = field(default="")
    integrated: IntegratedFactor | None = None

    @classmethod
    def of(cls, design: DesignMatrix, note: str = "") -> Coding:
        """Return the coefficients of a design as those that are sampled.

        Parameters
        ----------
        design : DesignMatrix
        note : str

        Returns
        -------
        Coding
        """
        none = np.full(design.n_coefficients, -1, dtype=np.int64)
        order = np.ones(design.n_coefficients, dtype=np.int64)
        names = design.coefficients
        return cls(design.matrix, names, design.terms, none, order, formula=design.formula, note=note)

    @classmethod
    def by_levels(
        cls,
        design: DesignMatrix,
        columns: Sequence[np.ndarray],
        names: Sequence[str],
        terms: Sequence[str],
        factor: Sequence[int],
        order: Sequence[int],
    ) -> Coding:
        """Return coefficients other than those of a design.

        Parameters
        ----------
        design : DesignMatrix
        columns : sequence of ndarray (sample,)
            Of W, whose span is that of the design matrix.
        names, terms : sequence of str
            Of each column, and of its term.
        factor, order : sequence of int
        """
        matrix = np.ascontiguousarray(np.column_stack(columns))
        exact = np.linalg.lstsq(design.matrix, matrix, rcond=None)[0]
        transform = np.asarray(np.round(exact, ROUNDED)) + 0.0
        matrix.flags.writeable = False
        of_term = {term: tuple(k for k, other in enumerate(terms) if other == term) for term in terms}
        numbers = np.array(factor, dtype=np.int64), np.array(order, dtype=np.int64)
        return cls(matrix, tuple(names), of_term, numbers[0], numbers[1], transform, design.formula)

    @property
    def n_coefficients(self) -> int:
        """Number of coefficients that are sampled."""
        return len(self.coefficients)

    @property
    def has_levels(self) -> bool:
        """Whether the coefficients are others than those of the design."""
        return self.transform is not None

    def levels_of(self, k: int) -> tuple[int, ...]:
        """Return the columns that are levels of the same factor as column k; itself, if of none.

        Parameters
        ----------
        k : int

        Returns
        -------
        tuple of int
        """
        if self.factor[k] < 0:
            return (k,)
        return tuple(np.flatnonzero(self.factor == self.factor[k]).tolist())

    def vector(self, contrast: np.ndarray) -> np.ndarray:
        """Return the weights of a contrast for the sampled coefficients.

        Parameters
        ----------
        contrast : ndarray (coefficient,)
            Weights of the design's coefficients.

        Returns
        -------
        ndarray (sampled coefficient,)
            T' v.

        Raises
        ------
        InputError
            If it has weights of levels that are integrated out.
        """
        if self.level_vector(contrast).any():
            assert self.integrated is not None
            raise InputError(
                f"this needs the effects of the levels of {self.integrated.name}, which are integrated out; "
                "leave that factor out of what is compared, or sample its levels "
                "(coding='sampled', --coding sampled)."
            )
        return contrast if self.transform is None else _mapped(contrast, self.transform)

    def level_vector(self, contrast: np.ndarray) -> np.ndarray:
        """Return the weights of a contrast for the levels that are integrated out.

        Parameters
        ----------
        contrast : ndarray (coefficient,)
            Weights of the design's coefficients.

        Returns
        -------
        ndarray (level,)
            Empty where there is no such factor.
        """
        return np.empty(0) if self.integrated is None else _mapped(contrast, self.integrated.transform)

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Return model rows of new samples for the sampled coefficients.

        Parameters
        ----------
        rows : ndarray (sample, coefficient)
            Of the design.

        Returns
        -------
        ndarray (sample, sampled coefficient)
            Without the effects of levels that are integrated out.
        """
        return rows if self.transform is None else np.stack([_mapped(row, self.transform) for row in rows])

    def coefficients_of(self, theta: np.ndarray) -> np.ndarray:
        """Turn draws of the sampled coefficients into draws of those of the design.

        Parameters
        ----------
        theta : ndarray of float32 (..., sampled coefficient + others)
            With log standard deviations of random effects, if there are any, and the log dispersion last.

        Returns
        -------
        ndarray of float32 (..., coefficient + others)
            With the same ones last.
        """
        if self.transform is None:
            return theta
        n, others = len(self.transform), theta[..., self.n_coefficients :]
        found = np.empty((*theta.shape[:-1], n + others.shape[-1]), dtype=np.float32)
        for i, row in enumerate(self.transform):
            used = np.flatnonzero(row)
            found[..., i] = sum(row[k] * theta[..., k].astype(np.float64) for k in used)
        found[..., n:] = others
        return found


def _mapped(contrast: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Return T' v, with exact zeros."""
    found = (contrast[:, None] * transform).sum(axis=0)
    found[np.abs(found) < 10.0**-ROUNDED * np.abs(contrast).max()] = 0.0
    return np.asarray(found)
