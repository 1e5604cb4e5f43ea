"""The data of a design: a checked model matrix, and the names of its rows, columns, factors and terms."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from formulaic import ModelSpec

from bayesde.design.rank import check_finite, check_rank

__all__ = ["DesignMatrix"]


@dataclass(frozen=True, eq=False, repr=False)
class DesignMatrix:
    """A model matrix with the names of its parts; `bayesde.design.Design` is what users see.

    Attributes
    ----------
    formula : str or None
        As it was given; None for a bare matrix.
    matrix : numpy.ndarray, float64, (sample, coefficient)
        Of full column rank, with at least one residual degree of freedom; read-only.
    coefficients : tuple of str
        Names of the columns, such as ``"Intercept"`` and ``"condition[T.treated]"``.
    samples : tuple of str
        Names of the rows.
    factors : dict of str to tuple of str
        The levels of each factor in the formula, the reference level first.
    groups : dict of str to tuple of str
        The level that each sample has, by factor.
    terms : dict of str to tuple of int
        The columns that belong to each term.
    spec : formulaic.ModelSpec or None
        What makes model rows of new samples; None for a bare matrix.
    ranges : dict of str to tuple of two floats
        The smallest and largest value of each numeric covariate in the formula.
    """

    formula: str | None
    matrix: np.ndarray
    coefficients: tuple[str, ...]
    samples: tuple[str, ...]
    factors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    terms: dict[str, tuple[int, ...]] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    spec: ModelSpec | None = None
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64, order="C")
        check_finite(matrix, self.coefficients, self.samples)
        check_rank(matrix, self.coefficients)
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return int(self.matrix.shape[0])

    @property
    def n_coefficients(self) -> int:
        """Number of columns."""
        return int(self.matrix.shape[1])

    @property
    def residual_df(self) -> int:
        """Residual degrees of freedom, samples minus coefficients."""
        return self.n_samples - self.n_coefficients

    @property
    def intercept(self) -> int | None:
        """Position of the first column that is 1 for every sample, or None."""
        constant = np.flatnonzero((self.matrix == 1.0).all(axis=0))
        return int(constant[0]) if constant.size else None

    @property
    def has_intercept(self) -> bool:
        """Whether a column is 1 for every sample."""
        return self.intercept is not None

    def to_frame(self) -> pd.DataFrame:
        """Return the model matrix as a new DataFrame (sample, coefficient)."""
        return pd.DataFrame(self.matrix.copy(), index=list(self.samples), columns=list(self.coefficients))
