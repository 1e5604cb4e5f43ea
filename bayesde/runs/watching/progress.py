"""The progress of a run: shown to the user, logged, and recorded for `status`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from bayesde.runs.directory import RunDirectory
from bayesde.runs.watching.durations import duration
from bayesde.workers.progress import BlockCount, Progress, report_blocks, silent

__all__ = ["Reporter"]

logger = logging.getLogger(__name__)

_LOG_EVERY = 20.0  # seconds between two progress lines in the log
_RECORD_EVERY = 2.0  # seconds between two records for `status`


class Reporter:
    """Passes progress on, and writes it to the log now and then and to the record of the run.

    `status` reads from the record how many blocks and genes are done, or the current step where genes are not
    sampled in blocks. All times are of a clock that nobody sets.

    Parameters
    ----------
    directory : RunDirectory
    progress : callable, optional
        See `Progress`.
    """

    def __init__(self, directory: RunDirectory, progress: Progress | None) -> None:
        self._directory, self._progress = directory, progress or silent
        self._done, self._total, self._message, self._logged, self._recorded = 0, -1, "", 0.0, 0.0
        self._begun: float | None = None
        self.check: Callable[[], None] = _go_on
        """Called after every report; it may raise, to stop the work there."""

    def __call__(self, done: int, total: int, message: str) -> None:
        """Pass on, log and record that some units of work are done; see `Progress`."""
        now, new = time.monotonic(), message != self._message
        step = f"{done:,} of {total:,} done: {message}" if total else message
        if new or now - self._recorded > _RECORD_EVERY:
            self._directory.update(step=step)
            self._recorded = now
        self._done, self._total, self._message = done, total, message
        if new or done == total or now - self._logged > _LOG_EVERY:
            logger.info("%s", step)
            self._logged = now
        self._progress(done, total, message)
        self.check()

    def blocks(self, count: BlockCount, text: str) -> None:
        """Pass on, log and record how many blocks are done.

        Parameters
        ----------
        count : BlockCount
        text : str
            What is being done.
        """
        now = time.monotonic()
        self._begun = now if self._begun is None or not count.done else self._begun
        ends = count.done in (0, count.total)
        rate = _rate(count, now - self._begun)
        left = None if rate is None else (count.genes - count.genes_done) / rate
        if ends or now - self._recorded > _RECORD_EVERY:
            self._directory.update(n_blocks=count.total, step=None, progress=_as_record(count, rate, left))
            self._recorded = now
        if ends or now - self._logged > _LOG_EVERY:
            logger.info("%s", _line(count, text, rate, left))
            self._logged = now
        self._done, self._total, self._message = count.done, count.total, text
        report_blocks(self._progress, count)
        try:
            self.check()
        except KeyboardInterrupt:
            self._directory.update(progress=_as_record(count, rate, left))
            raise

    def stopping(self) -> None:
        """Tell the user that the run stops after the current blocks."""
        text = "stopping after the current blocks; Ctrl-C once more stops at once"
        logger.warning("%s", text)
        self._progress(self._done, max(self._total, 0), text)


def _go_on() -> None:
    """Do not stop."""


def _rate(count: BlockCount, seconds: float) -> float | None:
    """Return genes per second, without those that were found on the disk; None if that is not known yet."""
    sampled = count.genes_done - count.genes_found
    return sampled / seconds if sampled > 0 and seconds > 0.0 else None


def _as_record(count: BlockCount, rate: float | None, left: float | None) -> dict[str, Any]:
    """Return what `status` reads."""
    return {
        "genes_done": count.genes_done,
        "genes": count.genes,
        "genes_failed": count.failed,
        "genes_per_second": None if rate is None else round(rate, 3),
        "seconds_left": None if left is None else round(left, 1),
    }


def _line(count: BlockCount, text: str, rate: float | None, left: float | None) -> str:
    """Return a line for the log."""
    line = f"{count.done} of {count.total} blocks done: {text}"
    if rate is not None and left is not None:
        line += f", {rate:.3g} genes per second, about {duration(left)} left"
    return line + (f", {count.failed} failed" if count.failed else "")
