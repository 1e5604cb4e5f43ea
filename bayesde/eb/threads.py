"""Sharing the genes of a compiled loop among threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from numba.core import config

__all__ = ["over_genes"]

SMALLEST_SHARE = 256
SHARES_PER_THREAD = 4
"""More shares than threads, because genes differ in how long they take."""


def over_genes(kernel: Callable[..., Any], n_genes: int, *arguments: Any) -> None:
    """Call ``kernel(first, last, *arguments)`` for ranges of genes that together are all genes.

    The kernel is compiled with ``nogil=True`` and writes the results of each gene into arrays that it is
    given, so that neither the order nor the number of threads changes a number. There are as many threads as
    numba would use: one a core, or ``NUMBA_NUM_THREADS``. (numba's own parallel loops would take several
    times as long to compile and to load, and must not be entered by two threads at once.)

    Parameters
    ----------
    kernel : callable
    n_genes : int
    *arguments
        Passed on.
    """
    threads: int = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    share = max(SMALLEST_SHARE, -(-n_genes // (threads * SHARES_PER_THREAD)))
    ranges = [(first, min(first + share, n_genes)) for first in range(0, n_genes, share)]
    if threads == 1 or len(ranges) == 1:
        for first, last in ranges:
            kernel(first, last, *arguments)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(kernel, first, last, *arguments) for first, last in ranges]:
            done.result()
