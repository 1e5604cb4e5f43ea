"""The data of a design: a checked model matrix, and the names of its rows, columns, factors and terms."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import pandas as pd
from formulaic import ModelSpec

from bayesde.design.random_effects import Grouping, fixed_formula
from bayesde.design.rank import check_finite, check_rank, nested_factor

__all__ = ["DesignMatrix"]


@dataclass(frozen=True, eq=False, repr=False)
class DesignMatrix:
    """A model matrix with the names of its parts.

    `bayesde.design.Design`, which inherits from it, describes the attributes.
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
    groupings: tuple[Grouping, ...] = ()

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64, order="C")
        check_finite(matrix, self.coefficients, self.samples)
        check_rank(matrix, self.coefficients, nested_factor(self.groups))
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

    @property
    def fixed(self) -> Self:
        """The design without its random effects; the design itself if it has none."""
        if not self.groupings:
            return self
        return replace(self, formula=fixed_formula(str(self.formula)), groupings=())

    def to_frame(self) -> pd.DataFrame:
        """Return the model matrix as a new DataFrame (sample, coefficient)."""
        return pd.DataFrame(self.matrix.copy(), index=list(self.samples), columns=list(self.coefficients))
