"""How loops are compiled: with the same results on every processor, and anew when their source changes.

No compiler flag allows another rounding or order: products and sums are fused only by `fused`, and sums over
draws have an order of their own (`bayesde.numerics.sums`). Without that, results would differ in their last
digits between processors with and without certain instructions, and where draws are resampled by weight
sometimes in a whole draw.

A processor without fused instructions (of x86: those before 2013, and some of low power since) could round as
they do only by many other instructions. There `fused` rounds twice, and last digits may differ.

numba caches compiled loops on disk by the size and time of the file that they are defined in. The code of a
loop includes the loops that it calls, from other files too, and all files of a wheel have one time: after an
upgrade numba would use outdated code. Here the sources of all compiled loops are part of the cache key.

numba compiles a function once for itself and once more within each function that calls it. What is called at
one place only is therefore `inlined` there.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from llvmlite import binding
from numba import njit, types
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.extending import intrinsic

__all__ = ["copy_row", "fused", "inlined", "is_cached", "kernel", "transpose"]


@cache
def _sources() -> str:
    """Digest of the files of this package that hold compiled loops."""
    package, digest = Path(__file__).resolve().parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        if b"numerics.compiled" in content or path.name == Path(__file__).name:
            digest.update(content)
    return digest.hexdigest()


class _Index(IndexDataCacheFile):
    """Index of the compiled versions of a loop on disk.

    An index names the types of arguments by their modules, and numba reads it before it looks whether it is
    of this source: an index of an earlier version, whose modules have moved since, is passed over.
    """

    def _load_index(self) -> Any:
        try:
            return super()._load_index()
        except (ImportError, AttributeError):
            return {}


class _Cache(FunctionCache):
    """numba's cache on disk, with the sources of all compiled loops in the key."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = _Index(self._cache_path, self._impl.filename_base, stamp)

    def _index_key(self, signature: Any, codegen: Any) -> Any:
        return *super()._index_key(signature, codegen), _sources()


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    loop = njit(error_model="numpy", **options)(function)
    loop._cache = _Cache(function)
    return loop


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a loop, and keep it on disk; it runs without the GIL, and divides by zero as NumPy does.

    Parameters
    ----------
    function : callable
        In the subset of Python that numba compiles.

    Returns
    -------
    callable
    """
    return _compiled(function, nogil=True)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function into the one place that calls it.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
    """
    return _compiled(function, inline="always")


def is_cached(loop: Any) -> bool:
    """Tell whether a loop is on disk, compiled for this processor from these sources, for any arguments.

    Parameters
    ----------
    loop : callable
        As `kernel` returns it.

    Returns
    -------
    bool
    """
    target = loop.targetctx.codegen().magic_tuple()
    return any(key[1] == target and key[-1] == _sources() for key in loop._cache._cache_file._load_index())


_X86 = ("x86_64", "amd64", "i386", "i686", "x86")
HAS_FUSED = platform.machine().lower() not in _X86 or bool(binding.get_host_cpu_features().get("fma", False))
"""Of the processor itself, so that setting ``NUMBA_CPU_NAME`` changes no result."""


def _fused(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if HAS_FUSED:
            return builder.fma(*arguments)
        return builder.fadd(builder.fmul(*arguments[:2]), arguments[2])

    return types.float64(types.float64, types.float64, types.float64), generate


fused: Any = intrinsic(_fused)


@kernel
def copy_row(source, target):  # type: ignore[no-untyped-def]
    """Copy numbers: assigning one array to another takes seconds to compile, for shapes that may differ."""
    for i in range(target.size):
        target[i] = source[i]


@kernel
def transpose(draws, points):  # type: ignore[no-untyped-def]
    """Fill points (parameter, draw) with the first draws (draw, parameter)."""
    for m in range(points.shape[1]):
        for k in range(points.shape[0]):
            points[k, m] = draws[m, k]
