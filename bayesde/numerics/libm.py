"""Elementary functions of arrays by the C library, the same on every processor.

NumPy evaluates them with AVX-512 where there is any, and the last bit of a logarithm then differs from that
of another machine. A loop that calls the C library's function takes a few nanoseconds an element longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bayesde.numerics.compiled import kernel

__all__ = ["asinh", "exp", "log", "log2", "sinh"]


@kernel
def _exp(x: np.ndarray, out: np.ndarray) -> None:
    for i in range(x.size):
        out[i] = math.exp(x[i])


@kernel
def _log(x: np.ndarray, out: np.ndarray) -> None:
    for i in range(x.size):
        out[i] = math.log(x[i])


@kernel
def _log2(x: np.ndarray, out: np.ndarray) -> None:
    for i in range(x.size):
        out[i] = math.log2(x[i])


@kernel
def _sinh(x: np.ndarray, out: np.ndarray) -> None:
    for i in range(x.size):
        out[i] = math.sinh(x[i])


@kernel
def _asinh(x: np.ndarray, out: np.ndarray) -> None:
    for i in range(x.size):
        out[i] = math.asinh(x[i])


def exp(x: Any, out: np.ndarray | None = None) -> np.ndarray:
    """Return e^x of every element; infinity where it overflows, NaN for NaN.

    Parameters
    ----------
    x : array-like of float
    out : ndarray of float64, C-contiguous, optional
        Where the values go, of the shape of ``x``; it may be ``x`` itself.

    Returns
    -------
    ndarray of float64
    """
    return _each(_exp, x, out)


def log(x: Any, out: np.ndarray | None = None) -> np.ndarray:
    """Return the natural logarithm of every element: minus infinity for 0, NaN below. See `exp`.

    Parameters
    ----------
    x : array-like of float
    out : ndarray of float64, C-contiguous, optional

    Returns
    -------
    ndarray of float64
    """
    return _each(_log, x, out)


def log2(x: Any, out: np.ndarray | None = None) -> np.ndarray:
    """Return the logarithm to base 2 of every element. See `exp`.

    Parameters
    ----------
    x : array-like of float
    out : ndarray of float64, C-contiguous, optional

    Returns
    -------
    ndarray of float64
    """
    return _each(_log2, x, out)


def sinh(x: Any, out: np.ndarray | None = None) -> np.ndarray:
    """Return the hyperbolic sine of every element. See `exp`.

    Parameters
    ----------
    x : array-like of float
    out : ndarray of float64, C-contiguous, optional

    Returns
    -------
    ndarray of float64
    """
    return _each(_sinh, x, out)


def asinh(x: Any, out: np.ndarray | None = None) -> np.ndarray:
    """Return the inverse hyperbolic sine of every element. See `exp`.

    Parameters
    ----------
    x : array-like of float
    out : ndarray of float64, C-contiguous, optional

    Returns
    -------
    ndarray of float64
    """
    return _each(_asinh, x, out)


def _each(loop: Callable[[np.ndarray, np.ndarray], None], x: Any, out: np.ndarray | None) -> np.ndarray:
    values = np.ascontiguousarray(x, dtype=np.float64)
    found = np.empty(np.shape(x)) if out is None else out
    loop(values.reshape(-1), found.reshape(-1))
    return found
