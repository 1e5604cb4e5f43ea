"""The fields of a design, from a formula and a sample table or from a bare matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesde.design.checks import entered_as_numbers, warn_numeric_groups, warn_similar_levels
from bayesde.design.formula import (
    check_variables,
    evaluated,
    formula_data,
    parsed_formula,
    term_columns,
    variables,
)
from bayesde.design.matrix import DesignMatrix
from bayesde.design.random_effects import fixed_formula, read_groupings
from bayesde.design.rank import warn_badly_scaled
from bayesde.errors import InputError, first_few

__all__ = ["fields_from_formula", "fields_from_matrix", "warn_covariates"]


def fields_from_formula(
    formula: str, sample_table: pd.DataFrame, references: Mapping[str, str] | None
) -> dict[str, Any]:
    """Evaluate a formula on a sample table.

    Parameters
    ----------
    formula : str
    sample_table : pandas.DataFrame
        One row a sample, indexed by name.
    references : mapping of str to str, optional
        Reference level by factor.

    Returns
    -------
    dict
        The fields of a `DesignMatrix`.

    Raises
    ------
    InputError
        If the formula or its variables cannot be used; see `Design.from_formula`.
    """
    parsed = parsed_formula(fixed_formula(formula))
    names = variables(parsed)
    check_variables(names, sample_table, formula)
    data, factors = formula_data(parsed, names, sample_table, dict(references or {}))
    matrix, spec = evaluated(parsed, data, formula)
    covariates = [name for name in names if name not in factors]
    warn_similar_levels(factors)
    warn_numeric_groups(entered_as_numbers(parsed, data))
    values = matrix.to_numpy(dtype=np.float64)
    return {
        "formula": formula.strip(),
        "matrix": values,
        "coefficients": tuple(map(str, matrix.columns)),
        "samples": tuple(map(str, sample_table.index)),
        "factors": factors,
        "terms": term_columns(spec, matrix.shape[1]),
        "groups": {name: tuple(map(str, data[name])) for name in factors},
        "ranges": {name: (float(data[name].min()), float(data[name].max())) for name in covariates},
        "spec": spec,
        "groupings": read_groupings(formula, sample_table, values),
    }


def fields_from_matrix(
    matrix: Any, coefficients: Sequence[str] | None, samples: Sequence[str] | None
) -> dict[str, Any]:
    """Name the rows and columns of a bare model matrix.

    Parameters
    ----------
    matrix : array-like or pandas.DataFrame, (sample, coefficient)
    coefficients, samples : sequence of str, optional
        Names; by default those of a DataFrame, else ``x1, x2, ...`` and ``sample1, sample2, ...``.

    Returns
    -------
    dict
        The fields of a `DesignMatrix`.

    Raises
    ------
    InputError
        If it is not a numeric matrix, or names do not fit.
    """
    if isinstance(matrix, pd.DataFrame):
        coefficients = list(matrix.columns) if coefficients is None else coefficients
        samples = list(matrix.index) if samples is None else samples
    try:
        values = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the model matrix is not numeric: {error}.") from error
    if values.ndim != 2:
        raise InputError(f"the model matrix has shape {values.shape}; (sample, coefficient) is needed.")
    names = _labels(coefficients, values.shape[1], "x", "coefficient")
    rows = _labels(samples, values.shape[0], "sample", "sample")
    terms = {name: (i,) for i, name in enumerate(names)}
    return {"formula": None, "matrix": values, "coefficients": names, "samples": rows, "terms": terms}


def warn_covariates(design: DesignMatrix) -> None:
    """Warn of covariates of a formula that are badly scaled.

    Parameters
    ----------
    design : DesignMatrix
        Of a formula.

    Warns
    -----
    BayesdeWarning
        See `bayesde.design.rank.warn_badly_scaled`.
    """
    columns = _covariates(design)
    warn_badly_scaled(design.matrix[:, columns], [design.coefficients[k] for k in columns])


def _covariates(design: DesignMatrix) -> list[int]:
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
        raise InputError(f"{len(names)} {kind} names were given for {expected} {kind}s of the model matrix.")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"duplicate {kind} names in the model matrix: {first_few(sorted(twice))}.")
    return names
