"""The progress of a run: shown to the user, logged, and recorded for `status`."""

from __future__ import annotations

import logging
import time

from bayesde.posterior.progress import Progress, silent
from bayesde.runs.directory import RunDirectory

__all__ = ["Reporter"]

logger = logging.getLogger(__name__)

_LOG_EVERY = 20.0  # seconds between two progress lines in the log


class Reporter:
    """Passes progress on, and writes it to the log now and then and to the record of the run.

    `status` reads from the record the number of blocks, whose folders it counts, or the current step of an
    engine without blocks.

    Parameters
    ----------
    directory : RunDirectory
    progress : callable, optional
        See `Progress`.
    in_blocks : bool
        Whether the engine samples in blocks.
    """

    def __init__(self, directory: RunDirectory, progress: Progress | None, in_blocks: bool) -> None:
        self._directory, self._progress, self._in_blocks = directory, progress or silent, in_blocks
        self._done, self._total, self._message, self._logged = 0, -1, "", 0.0

    def __call__(self, done: int, total: int, message: str) -> None:
        """Pass on, log and record that some units of work are done; see `Progress`."""
        if self._in_blocks and self._total != total:
            self._directory.update(n_blocks=total)
        new = not self._in_blocks and message != self._message
        if new:
            self._directory.update(step=f"{done} of {total} done: {message}")
        self._done, self._total, self._message = done, total, message
        if new or done == total or time.monotonic() - self._logged > _LOG_EVERY:
            logger.info("%d of %d: %s", done, total, message)
            self._logged = time.monotonic()
        self._progress(done, total, message)

    def stopping(self) -> None:
        """Tell the user that the run stops after the current blocks."""
        logger.warning("stopping after the current blocks")
        self._progress(self._done, max(self._total, 0), "stopping after the current blocks")
