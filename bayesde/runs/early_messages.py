"""What the package says from the start of a run, kept until the run has a folder with a log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["kept_messages"]

_ROOT = "bayesde"


class _Keeper(logging.Handler):
    """Puts records into a list."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def kept_messages() -> Iterator[list[logging.LogRecord]]:
    """Keep what is logged, from INFO up, for `RunDirectory.logging` to write when there is a folder.

    Yields
    ------
    list of logging.LogRecord
        Which grows as long as the context lasts.
    """
    keeper, root = _Keeper(), logging.getLogger(_ROOT)
    before = root.level
    root.addHandler(keeper)
    root.setLevel(logging.INFO if before == logging.NOTSET else min(before, logging.INFO))
    try:
        yield keeper.records
    finally:
        root.removeHandler(keeper)
        root.setLevel(before)
