"""The progress of a run, read from its folder without changing it."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bayesde.runs.directory import RunDirectory

__all__ = ["RunStatus", "status"]


@dataclass(frozen=True)
class RunStatus:
    """The state of a run.

    Attributes
    ----------
    state : {"running", "interrupted", "failed", "finished"}
    done, total : int or None
        Finished blocks, and the number of blocks; None if that is not known (yet).
    running : int
        Blocks that are being sampled.
    failed : int
        Finished blocks with a gene that could not be sampled.
    seconds_left : float or None
        Of a running run, extrapolated from the time that its blocks took so far.
    step : str or None
        Of a running run without blocks: the current step.
    """

    state: str
    done: int
    total: int | None
    running: int
    failed: int
    seconds_left: float | None
    step: str | None = None

    def lines(self) -> list[str]:
        """Return the state as lines of text.

        Returns
        -------
        list of str
        """
        rows = [f"state    {self.state}"]
        if self.total is not None:
            rows.append(
                f"blocks   {self.done} of {self.total} done, {self.running} running, {self.failed} with "
                "failures"
            )
        if self.step is not None:
            rows.append(f"steps    {self.step}")
        if self.seconds_left is not None:
            rows.append(f"left     about {_duration(self.seconds_left)}")
        return rows


def status(path: str | Path) -> RunStatus:
    """Read the status of a run from its folder.

    Parameters
    ----------
    path : path
        The folder of the run.

    Returns
    -------
    RunStatus

    Raises
    ------
    InputError
        If the folder holds no run.
    """
    directory = RunDirectory(path)
    record = directory.read()
    state = str(record.get("state"))
    if state == "running" and not directory.is_locked():
        state = "interrupted"  # its process was killed
    marks = list(directory.blocks.glob("*/ok"))
    times = sorted(mark.stat().st_mtime for mark in marks)
    total = record.get("n_blocks")
    done = len(times) if total is None else min(len(times), int(total))  # other plans may have left blocks
    left, running = None, 0
    if state == "running" and total is not None:
        left = _seconds_left(times, int(total), record.get("resumed") or record.get("started"))
        running = min(int(record.get("workers", 1)), int(total) - done)
    step = record.get("step") if state == "running" else None
    return RunStatus(state, done, total, running, sum(map(_has_failures, marks)), left, step)


def _has_failures(mark: Path) -> bool:
    """Return whether a finished block has a gene without draws, that is, without an R-hat."""
    report = json.loads(mark.with_name("block.json").read_text(encoding="utf-8"))
    return any(math.isnan(value) for value in report["rhat"])


def _seconds_left(times: list[float], total: int, since: str | None) -> float | None:
    """Extrapolate from the blocks that were finished since the run was started or resumed."""
    start = datetime.fromisoformat(since).timestamp() if since else 0.0
    recent = [moment for moment in times if moment >= start]
    if not recent or not since:
        return None
    spent = max(time.time() - start, 1e-3)
    return spent / len(recent) * max(total - len(times), 0)


def _duration(seconds: float) -> str:
    """Write a time span in two units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
