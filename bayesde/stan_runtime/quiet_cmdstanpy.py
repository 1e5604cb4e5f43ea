"""cmdstanpy, imported when needed, with its console messages turned into log records at level DEBUG."""

from __future__ import annotations

import logging
import warnings
from types import ModuleType

__all__ = ["import_cmdstanpy"]

logger = logging.getLogger("bayesde.cmdstanpy")


class _ToDebug(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logger.debug("%s", record.getMessage())


def import_cmdstanpy() -> ModuleType:
    """Import cmdstanpy; its log messages go to the logger ``bayesde.cmdstanpy`` instead of the console.

    Errors are not lost: cmdstanpy also raises them, with their details.

    Returns
    -------
    module
    """
    theirs = logging.getLogger("cmdstanpy")
    if not any(isinstance(handler, _ToDebug) for handler in theirs.handlers):
        theirs.handlers.clear()
        theirs.addHandler(_ToDebug())
        theirs.setLevel(logging.DEBUG)
        theirs.propagate = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm, in a notebook without widgets
        import cmdstanpy

    return cmdstanpy
