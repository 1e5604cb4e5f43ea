"""The design: a checked model matrix with the names of its samples, coefficients, factors and terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from formulaic import ModelSpec

from bayesde.counts.display import html_table
from bayesde.design.contrast import Contrast, read_contrast
from bayesde.design.description import variable_lines
from bayesde.design.doubts import entered_as_numbers, tell_doubtful_levels, tell_doubtful_numbers
from bayesde.design.formula import (
    check_variables,
    materialized,
    parsed_formula,
    prepared,
    term_columns,
    variables,
)
from bayesde.design.rank import check_finite, check_rank, tell_badly_scaled
from bayesde.errors import InputError, first_few

__all__ = ["Design"]


@dataclass(frozen=True, eq=False, repr=False)
class Design:
    """A model matrix with the names of its parts. Make one by `from_formula` or `from_matrix`.

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

    @classmethod
    def from_formula(
        cls,
        formula: str,
        sample_table: pd.DataFrame,
        references: Mapping[str, str] | None = None,
    ) -> Design:
        """Make the model matrix of a formula.

        Text, categorical and true/false columns are factors with treatment coding: the reference level has
        no column, the others one each. The reference is the one named in `references`, else the first
        category of a categorical column, else the first in alphabetical order (as in R). Levels that no
        sample has are dropped. Numeric columns are covariates; ``C(batch)`` makes a factor of one.

        Parameters
        ----------
        formula : str
            For example ``"~ batch + condition"``, ``"~ 0 + condition"``, ``"~ age * condition"``; the
            tilde may be left out.
        sample_table : pandas.DataFrame
            One row a sample, indexed by name.
        references : mapping of str to str, optional
            Reference level by factor.

        Returns
        -------
        Design

        Raises
        ------
        InputError
            If the formula cannot be read or has a response; a variable or level is unknown; a value is
            missing; a factor has one level; columns are collinear; no residual degree of freedom is left.

        Warns
        -----
        BayesdeWarning
            If a covariate is so far from 0, or in such units, that fits suffer; if levels of a factor differ
            only in case, blanks or ``_-.``; if a numeric column looks like the names of groups.
        """
        parsed = parsed_formula(formula)
        names = variables(parsed)
        check_variables(names, sample_table, formula)
        data, factors = prepared(parsed, names, sample_table, dict(references or {}))
        matrix, spec = materialized(parsed, data, formula)
        covariates = [name for name in names if name not in factors]
        entered = entered_as_numbers(parsed, data)
        tell_doubtful_levels(factors)
        tell_doubtful_numbers(entered)
        design = cls(
            formula=formula.strip(),
            matrix=matrix.to_numpy(dtype=np.float64),
            coefficients=tuple(map(str, matrix.columns)),
            samples=tuple(map(str, sample_table.index)),
            factors=factors,
            terms=term_columns(spec, matrix.shape[1]),
            groups={name: tuple(map(str, data[name])) for name in factors},
            ranges={name: (float(data[name].min()), float(data[name].max())) for name in covariates},
            spec=spec,
        )
        columns = _covariates(design)
        tell_badly_scaled(design.matrix[:, columns], [design.coefficients[k] for k in columns])
        return design

    @classmethod
    def from_matrix(
        cls, matrix: Any, coefficients: Sequence[str] | None = None, samples: Sequence[str] | None = None
    ) -> Design:
        """Take a model matrix as it is.

        Parameters
        ----------
        matrix : array-like or pandas.DataFrame, (sample, coefficient)
            A DataFrame names its rows and columns.
        coefficients, samples : sequence of str, optional
            Names, for a matrix without labels; by default ``x1, x2, ...`` and ``sample1, sample2, ...``.

        Returns
        -------
        Design

        Raises
        ------
        InputError
            If it is not a matrix of finite numbers, names do not fit, columns are collinear or no residual
            degree of freedom is left.
        """
        if isinstance(matrix, pd.DataFrame):
            coefficients = list(matrix.columns) if coefficients is None else coefficients
            samples = list(matrix.index) if samples is None else samples
        try:
            values = np.asarray(matrix, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"the model matrix is not numeric: {error}") from error
        if values.ndim != 2:
            raise InputError(f"the model matrix has shape {values.shape}; (sample, coefficient) is needed")
        names = _labels(coefficients, values.shape[1], "x", "coefficient")
        rows = _labels(samples, values.shape[0], "sample", "sample")
        return cls(None, values, names, rows, {}, {name: (i,) for i, name in enumerate(names)})

    def __repr__(self) -> str:
        size = f"{self.n_samples} samples, {self.n_coefficients} coefficients"
        return f"<Design: {'; '.join([self.formula or 'a matrix', size, *variable_lines(self)])}>"

    def _repr_html_(self) -> str:
        rows = [
            ("Design", self.formula or "a matrix"),
            ("samples", self.n_samples),
            ("coefficients", ", ".join(self.coefficients)),
            *(line.split(": ", 1) for line in variable_lines(self)),
        ]
        return html_table(rows)

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

    def contrast(self, spec: Any = None) -> Contrast:
        """Turn what a user asks for into weights of the coefficients.

        Parameters
        ----------
        spec : tuple of three str, str, array-like (coefficient,), Contrast or None
            * ``("condition", "treated", "control")``: a factor, a level, and the level that it is compared
              with, either of which may be the reference. Other factors are held at their reference level
              and the terms of covariates at 0, so that with interactions this is the effect in the
              reference group;
            * the name of a coefficient;
            * weights, one a coefficient, in the order of `coefficients`;
            * an expression of coefficients, ``"a - b"`` or ``"0.5 * a + b / 2"``;
            * None: the last coefficient; without an intercept, the last against the first level of the
              last factor.

        Returns
        -------
        Contrast

        Raises
        ------
        InputError
            If a factor, level or coefficient is unknown (the message lists those there are), or the
            weights do not fit.
        """
        return read_contrast(self, spec)


def _covariates(design: Design) -> list[int]:
    """Columns of the terms that hold covariates only."""
    spec: Any = design.spec
    return [
        k
        for term, columns in spec.term_slices.items()
        if variables([term]) and not any(name in design.factors for name in variables([term]))
        for k in range(*columns.indices(design.n_coefficients))
    ]


def _labels(given: Sequence[str] | None, expected: int, stem: str, kind: str) -> tuple[str, ...]:
    """Check or make names."""
    if given is None:
        return tuple(f"{stem}{i + 1}" for i in range(expected))
    names = tuple(str(name) for name in given)
    if len(names) != expected:
        raise InputError(f"{len(names)} {kind} names were given for {expected} {kind}s of the model matrix")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"duplicate {kind} names in the model matrix: {first_few(sorted(twice))}")
    return names
