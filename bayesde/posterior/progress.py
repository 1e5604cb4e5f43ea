"""How functions report their progress."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "silent"]

Progress = Callable[[int, int, str], None]
"""Called with the units of work done, the units in all, and what is being done."""


def silent(done: int, total: int, text: str) -> None:
    """Report nothing.

    Parameters
    ----------
    done, total : int
        Units of work.
    text : str
        What is being done.
    """
