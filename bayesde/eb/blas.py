"""One BLAS thread for SciPy's searches over a handful of coefficients.

``scipy.optimize`` solves a triangular system of a few rows at every step of L-BFGS-B, and the OpenBLAS in
SciPy's wheels wakes a thread on every core for each: that takes twenty times as long as the work itself.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import scipy

__all__ = ["one_blas_thread"]

_FOLDERS = ("../scipy.libs", ".dylibs")
_PREFIXES = ("scipy_openblas", "openblas")
_SUFFIXES = ("", "64_")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let SciPy's linear algebra use one thread; of an OpenBLAS that SciPy does not bring, change nothing."""
    control = _control()
    before = 1 if control is None else control[0]()
    if control is None or before == 1:
        yield
        return
    control[1](1)
    try:
        yield
    finally:
        control[1](before)


@cache
def _control() -> tuple[Any, Any] | None:
    """Find the functions that get and set the number of threads in the library that SciPy has loaded."""
    home = Path(scipy.__file__).parent
    for folder in _FOLDERS:
        for path in sorted((home / folder).glob("*openblas*")):
            try:
                library = ctypes.CDLL(str(path.resolve()))
            except OSError:
                continue
            for prefix, suffix in ((prefix, suffix) for prefix in _PREFIXES for suffix in _SUFFIXES):
                names = (f"{prefix}_get_num_threads{suffix}", f"{prefix}_set_num_threads{suffix}")
                if all(hasattr(library, name) for name in names):
                    return getattr(library, names[0]), getattr(library, names[1])
    return None
