"""The design: a checked model matrix with the names of its samples, coefficients, factors and terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bayesde.counts.display import html_table
from bayesde.design.construction import fields_from_formula, fields_from_matrix, warn_covariates
from bayesde.design.contrast import Contrast, read_contrast
from bayesde.design.description import variable_lines
from bayesde.design.matrix import DesignMatrix

__all__ = ["Design"]


@dataclass(frozen=True, eq=False, repr=False)
class Design(DesignMatrix):
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
    groupings : tuple of Grouping
        The random effects of the formula (`bayesde.design.random_effects`).
    """

    @classmethod
    def from_formula(
        cls,
        formula: str,
        sample_table: pd.DataFrame,
        references: Mapping[str, str] | None = None,
    ) -> Design:
        """Make the model matrix of a formula.

        Text, categorical and true/false columns are factors with treatment coding: the reference level has
        no column, the others one each. The reference is the one named in `references`, or else the first
        category of a categorical column, else the first in alphabetical order (as in R). Levels that no
        sample has are dropped. Numeric columns are covariates; ``C(batch)`` makes a factor of one.

        Terms in parentheses with a bar are random effects, in the syntax of lme4: ``(1 | donor)``, nested
        ``(1 | clinic/patient)``, slopes ``(1 + time | donor)`` and ``(0 + treated | donor)``. Those of
        different columns are independent of each other.

        Parameters
        ----------
        formula : str
            For example ``"~ batch + condition"``, ``"~ 0 + condition"``, ``"~ age * condition"``,
            ``"~ condition + (1 | donor)"``; the tilde may be omitted.
        sample_table : pandas.DataFrame
            One row per sample, indexed by name.
        references : mapping of str to str, optional
            Reference level by factor.

        Returns
        -------
        Design

        Raises
        ------
        InputError
            If the formula cannot be read or has a response; a variable or level is unknown; a value is
            missing; a factor has one level; columns are collinear; no residual degree of freedom is left;
            a grouping of random effects has fewer than 3 levels, one for each sample, or levels that the
            fixed effects tell apart.

        Warns
        -----
        BayesdeWarning
            If a grouping of random effects has fewer than 6 levels;
            if a covariate is badly scaled; if levels of a factor differ only in case, whitespace or ``_-.``;
            if a numeric column looks like group labels.
        """
        design = cls(**fields_from_formula(formula, sample_table, references))
        warn_covariates(design)
        return design

    @classmethod
    def from_matrix(
        cls, matrix: Any, coefficients: Sequence[str] | None = None, samples: Sequence[str] | None = None
    ) -> Design:
        """Make a design from a bare model matrix.

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
        return cls(**fields_from_matrix(matrix, coefficients, samples))

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

    def contrast(self, spec: Any = None) -> Contrast:
        """Turn a contrast in any form into weights of the coefficients.

        Parameters
        ----------
        spec : tuple of three str, str, array-like (coefficient,), Contrast or None
            * ``("condition", "treated", "control")``: a factor, a level, and the level it is compared with,
              either of which may be the reference. Other factors are held at their reference level
              and the terms of covariates at 0, so that with interactions this is the effect in the
              reference group;
            * the name of a coefficient;
            * weights, one per coefficient, in the order of `coefficients`;
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
