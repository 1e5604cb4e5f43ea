"""Groups of samples, as callers name them: a column of the sample table, or a label for each sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesde.errors import InputError, first_few
from bayesde.options import nearest

__all__ = ["sample_column"]


def sample_column(table: pd.DataFrame, samples: pd.Index, by: Any) -> pd.Series:
    """Return the group, or another variable, of each sample.

    Parameters
    ----------
    table : pandas.DataFrame
        The sample table, in the order of the samples; without columns if there is none.
    samples : pandas.Index
    by : str, pandas.Series or sequence (sample,)
        A column of the table, or values; a Series is matched by name.

    Returns
    -------
    pandas.Series (sample,)

    Raises
    ------
    InputError
        If there is no such column, or not one value a sample.
    """
    if isinstance(by, str):
        columns = list(map(str, table.columns))
        if by not in table:
            there = f"its columns are {first_few(columns, 20)}" if columns else "it has no columns"
            raise InputError(f"the sample table has no column '{by}'; {there}.{nearest(by, columns)}")
        return pd.Series(table[by].array, index=samples, name=by)
    if isinstance(by, pd.Series):
        absent = samples[~samples.isin(by.index)]
        if len(absent) or by.index.has_duplicates:
            raise InputError(
                f"the groups lack the sample(s) {first_few(absent)}; name each sample once."
                if len(absent)
                else "the groups name a sample twice; name each sample once."
            )
        return by.loc[samples]
    values = list(np.asarray(by, dtype=object).ravel())
    if len(values) != len(samples):
        raise InputError(f"{len(values)} groups were given for {len(samples)} samples; give one a sample.")
    return pd.Series(values, index=samples).infer_objects()
