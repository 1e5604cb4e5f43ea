"""Rows of the model matrix for samples that were not part of the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesde.design.formula import check_variables, level_text, parsed_formula, variables
from bayesde.design.matrix import DesignMatrix
from bayesde.design.random_effects import fixed_formula
from bayesde.errors import InputError, first_few
from bayesde.options import nearest

__all__ = ["rows_of_new_samples"]


def rows_of_new_samples(design: DesignMatrix, samples: Any) -> pd.DataFrame:
    """Make model rows of new samples.

    Parameters
    ----------
    design : DesignMatrix
    samples : pandas.DataFrame
        The variables of the formula, one row a sample. For a design from a bare matrix: the rows themselves
        (sample, coefficient), a DataFrame or an array.

    Returns
    -------
    pandas.DataFrame (sample, coefficient)

    Raises
    ------
    InputError
        If a variable is missing, a level is unknown, or rows do not fit.
    """
    if design.spec is None:
        return _bare_rows(design, samples)
    if not isinstance(samples, pd.DataFrame):
        raise InputError(
            f"new samples: a table with the variables of '{design.formula}' is needed, one row per sample; "
            f"got {type(samples).__name__}."
        )
    names = variables(parsed_formula(fixed_formula(str(design.formula))))
    check_variables(names, samples, str(design.formula))
    columns: dict[str, Any] = {}
    for name in names:
        levels = design.factors.get(name)
        columns[name] = (
            samples[name].astype(float) if levels is None else _levels(name, levels, samples[name])
        )
    data = pd.DataFrame(columns, index=samples.index)
    rows = design.spec.get_model_matrix(data, context={}, na_action="ignore", output="pandas")
    values = np.asarray(rows, dtype=np.float64)
    if values.shape[0] != len(samples):  # a formula without variables has a row for every sample all the same
        values = np.broadcast_to(values[:1], (len(samples), design.n_coefficients))
    return pd.DataFrame(values, index=samples.index.astype(str), columns=list(design.coefficients))


def _levels(name: str, levels: tuple[str, ...], column: pd.Series) -> Any:
    texts = [level_text(value) for value in column]
    unknown = [text for text in texts if text not in levels]
    if unknown:
        raise InputError(
            f"new samples: '{unknown[0]}' is not a level of '{name}'; its levels are {first_few(levels, 20)}."
            f"{nearest(unknown[0], levels)}"
        )
    return pd.Categorical(texts, categories=list(levels))


def _bare_rows(design: DesignMatrix, samples: Any) -> pd.DataFrame:
    frame = samples if isinstance(samples, pd.DataFrame) else pd.DataFrame(np.atleast_2d(samples))
    try:
        values = frame.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"new samples: the rows are not numeric: {error}.") from error
    if values.shape[1] != design.n_coefficients or not np.isfinite(values).all():
        raise InputError(
            f"new samples: rows of {design.n_coefficients} finite numbers are needed, for the coefficients "
            f"{first_few(design.coefficients, 20)}; got an array of shape {values.shape}."
        )
    return pd.DataFrame(values, index=frame.index.astype(str), columns=list(design.coefficients))
