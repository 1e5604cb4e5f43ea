"""Sharing the genes of a compiled loop among threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from numba.core import config

__all__ = ["for_each", "one_thread", "over_genes"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_LIMITED: ContextVar[bool] = ContextVar("one_thread", default=False)
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
    share = max(SMALLEST_SHARE, -(-n_genes // (_threads() * SHARES_PER_THREAD)))
    ranges = [(first, min(first + share, n_genes)) for first in range(0, n_genes, share)]
    for_each(lambda some: kernel(*some, *arguments), ranges)


def for_each(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return what ``work`` makes of every item, in their order, by as many threads as `over_genes` has.

    Parameters
    ----------
    work : callable
        Spends its time in compiled loops.
    items : iterable

    Returns
    -------
    list
    """
    waiting = list(items)
    if _threads() == 1 or len(waiting) <= 1:
        return [work(item) for item in waiting]
    with ThreadPoolExecutor(_threads()) as pool:
        return list(pool.map(work, waiting))


@contextmanager
def one_thread() -> Iterator[None]:
    """Do without other threads, where each of several tasks at a time is to have one."""
    token = _LIMITED.set(True)
    try:
        yield
    finally:
        _LIMITED.reset(token)


def _threads() -> int:
    if _LIMITED.get():
        return 1
    threads: int = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    return threads
