"""Messages that are logged before a run has a folder, kept until they can be written into its log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["early_messages"]

_ROOT = "bayesde"


class _Keeper(logging.Handler):
    """Collects log records in a list."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def early_messages() -> Iterator[list[logging.LogRecord]]:
    """Collect what is logged, from INFO up, for `RunDirectory.logging` to write when there is a folder.

    Yields
    ------
    list of logging.LogRecord
        Grows until the context ends.
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
