"""How the loops of the posterior are compiled.

Products and sums are fused (``contract``) where the processor can: one rounding less, and less of psis' time.
`bayesde.eb`, which rounds as R does, goes without.
"""

from __future__ import annotations

from numba import njit

__all__ = ["kernel", "unordered"]

kernel = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
unordered = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
"""For sums that may be added up in any order, several numbers at a time."""
