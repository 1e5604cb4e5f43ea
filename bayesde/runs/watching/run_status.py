"""The progress of a run, read from its folder without changing it."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from bayesde.runs.directory import RunDirectory
from bayesde.runs.watching.durations import duration

__all__ = ["RunStatus", "status"]

NOT_OF_GENES = "hyperparameters-"
"""Start of the name of the unit of work in which hyperparameters are learnt."""


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
        Of a running run: the current step, where that is not the sampling of blocks.
    genes_done, genes : int or None
        Genes of finished blocks, and all that are sampled in blocks.
    genes_failed : int or None
        Genes that could not be sampled.
    genes_per_second : float or None
        Of a running run, since it was started or resumed.
    """

    state: str
    done: int
    total: int | None
    running: int
    failed: int
    seconds_left: float | None
    step: str | None = None
    genes_done: int | None = None
    genes: int | None = None
    genes_failed: int | None = None
    genes_per_second: float | None = None

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
        if self.genes is not None:
            rate = "" if self.genes_per_second is None else f", {self.genes_per_second:.3g} per second"
            rows.append(
                f"genes    {self.genes_done:,} of {self.genes:,} done{rate}, {self.genes_failed} failed"
            )
        if self.step is not None:
            rows.append(f"steps    {self.step}")
        if self.seconds_left is not None:
            rows.append(f"left     about {duration(self.seconds_left)}")
        return rows

    def to_json(self) -> str:
        """Return the state as one line of JSON, with the names of the attributes.

        Returns
        -------
        str
        """
        return json.dumps(asdict(self))


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
    blocks = (mark for mark in directory.blocks.glob("*/ok") if not mark.parent.name.startswith(NOT_OF_GENES))
    marks = [mark for mark in blocks if (mark.parent / "block.json").exists()]
    times = sorted(mark.stat().st_mtime for mark in marks)
    total = record.get("n_blocks")
    done = len(times) if total is None else min(len(times), int(total))  # other plans may have left blocks
    left, running, seen = None, 0, record.get("progress") or {}
    rate = seen.get("genes_per_second") if state == "running" else None
    if state == "finished" and total is not None:
        done = int(total)  # the blocks of large runs are removed at the end
    if state == "running" and total is not None:
        left = seen.get("seconds_left")
        if left is None:
            left = _seconds_left(times, int(total), record.get("resumed") or record.get("started"))
        running = min(int(record.get("workers", 1)), int(total) - done)
    step = record.get("step") if state == "running" else None
    known = (seen.get("genes_done"), seen.get("genes"), seen.get("genes_failed"), rate)
    return RunStatus(state, done, total, running, sum(map(_has_failures, marks)), left, step, *known)


def _has_failures(mark: Path) -> bool:
    """Return whether a finished block has a gene without draws."""
    report = json.loads(mark.with_name("block.json").read_text(encoding="utf-8"))
    return any(map(math.isnan, report.get("rhat", ()))) or 0.0 in report.get("attempts", ())


def _seconds_left(times: list[float], total: int, since: str | None) -> float | None:
    """Extrapolate from the blocks that were finished since the run was started or resumed."""
    start = datetime.fromisoformat(since).timestamp() if since else 0.0
    recent = [moment for moment in times if moment >= start]
    if not recent or not since:
        return None
    spent = max(time.time() - start, 1e-3)
    return spent / len(recent) * max(total - len(times), 0)
