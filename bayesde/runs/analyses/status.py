"""The progress of several analyses, read from their folders without changing them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bayesde.runs.analyses.directory import JobDirectory
from bayesde.runs.watching.run_status import RunStatus, status

__all__ = ["AnalysesStatus", "analyses_status"]

WAITING = RunStatus("waiting", 0, None, 0, 0, None)


@dataclass(frozen=True)
class AnalysesStatus:
    """The state of a job of several analyses.

    Attributes
    ----------
    state : {"running", "interrupted", "failed", "finished"}
    done, total : int
        Finished analyses, and all.
    analyses : dict of str to RunStatus
        Each by its name; the state of those that have not begun is ``"waiting"``.
    errors : dict of str to str
        Why some could not be done.
    """

    state: str
    done: int
    total: int
    analyses: dict[str, RunStatus]
    errors: dict[str, str]

    def lines(self) -> list[str]:
        """Return the state as lines of text.

        Returns
        -------
        list of str
        """
        rows = [f"state    {self.state}", f"analyses {self.done} of {self.total} done"]
        for name, one in self.analyses.items():
            rows += [f"{name}:", *(f"  {line}" for line in one.lines())]
            if name in self.errors:
                rows.append(f"  error    {self.errors[name]}")
        return rows

    def to_json(self) -> str:
        """Return the state as one line of JSON, with the names of the attributes.

        Returns
        -------
        str
        """
        return json.dumps(asdict(self))


def analyses_status(path: str | Path) -> AnalysesStatus:
    """Read the status of several analyses from their folder.

    Parameters
    ----------
    path : path
        The folder of the job.

    Returns
    -------
    AnalysesStatus

    Raises
    ------
    InputError
        If the folder holds no such job.
    """
    directory = JobDirectory(path)
    record = directory.read()
    state = str(record.get("state"))
    if state == "running" and not directory.is_locked():
        state = "interrupted"  # its process was killed
    folders = {name: directory.analysis(name) for name in record["analyses"]}
    each = {
        name: status(folder) if (folder / "run.json").exists() else WAITING
        for name, folder in folders.items()
    }
    done = sum(one.state == "finished" for one in each.values())
    return AnalysesStatus(state, done, len(each), each, record.get("errors", {}))
