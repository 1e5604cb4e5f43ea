"""How the loops of the posterior are compiled: so that every processor gives the same numbers.

No compiler flag allows another rounding or order: products and sums are fused only where `fused` stands, and
sums over draws have an order of their own (`bayesde.posterior.importance.sums`). Without that, results would
differ in their last digits between processors with and without certain instructions, and where draws are
chosen by weight now and then in a whole draw.

A processor without fused instructions (of x86: those before 2013, and some of low power since) could round as
they do only by many other instructions. There `fused` rounds twice, and last digits may differ.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import binding
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["copy_row", "fused", "kernel", "transpose"]

kernel = njit(cache=True, nogil=True, error_model="numpy")

_X86 = ("x86_64", "amd64", "i386", "i686", "x86")
HAS_FUSED = platform.machine().lower() not in _X86 or bool(binding.get_host_cpu_features().get("fma", False))
"""Of the processor itself: what it is told to be taken for (``NUMBA_CPU_NAME``) changes no number."""


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
