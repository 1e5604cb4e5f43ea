"""Exponentials and logarithms of whole arrays that are the same numbers on every processor.

NumPy's own are others, in the last digit, with every set of vector instructions that it finds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesde.posterior.compiled import kernel
from bayesde.posterior.importance.elementary import exponential, logarithm

__all__ = ["exponentials", "logarithms"]

SMALLEST = 2.3e-308
"""Of doubles that have all their digits."""


def exponentials(values: Any) -> np.ndarray:
    """Return exp of every number: 0 below -708, and above 709 as at 709.

    Parameters
    ----------
    values : array-like
        NaN stays NaN.

    Returns
    -------
    ndarray of float64
    """
    flat = np.ascontiguousarray(values, dtype=np.float64)
    result = np.empty(np.shape(values))
    _fill_exponentials(flat.reshape(-1), result.reshape(-1))
    return result


def logarithms(values: Any) -> np.ndarray:
    """Return the natural logarithm of every number: -inf of 0, NaN of negative numbers.

    Parameters
    ----------
    values : array-like

    Returns
    -------
    ndarray of float64
    """
    flat = np.ascontiguousarray(values, dtype=np.float64)
    result = np.empty(np.shape(values))
    _fill_logarithms(flat.reshape(-1), result.reshape(-1))
    return result


@kernel
def _fill_exponentials(values, result):  # type: ignore[no-untyped-def]
    for i in range(values.size):
        result[i] = exponential(values[i])
    for i in range(values.size):
        if math.isnan(values[i]):
            result[i] = values[i]


@kernel
def _fill_logarithms(values, result):  # type: ignore[no-untyped-def]
    for i in range(values.size):
        result[i] = logarithm(values[i])
    for i in range(values.size):
        if not SMALLEST < values[i] < math.inf:
            result[i] = (
                math.log(values[i]) if values[i] > 0.0 else -math.inf if values[i] == 0.0 else math.nan
            )
