"""The folder of a job of several analyses: its record, and the folders of their runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bayesde.errors import InputError
from bayesde.runs.directory import RunDirectory

__all__ = ["JobDirectory", "holds_analyses"]

_OWN_FILES = ("report.html", ".lock", "run.json")


class JobDirectory(RunDirectory):
    """The folder of a job.

    Its ``run.json`` has the entry ``analyses``: by name, what each analysis is (``plan``), and the hashes of
    the files that it reads (``inputs``), both as a run's own record has them.

    Parameters
    ----------
    path : path
        Need not exist yet.
    """

    _what = "analyses"

    def analysis(self, name: str) -> Path:
        """Return the folder of the run of an analysis.

        Parameters
        ----------
        name : str

        Returns
        -------
        pathlib.Path
        """
        return self.path / name

    def _check_kind(self, record: dict[str, Any]) -> None:
        """Refuse the folder of a single run."""
        if "analyses" not in record:
            raise InputError(
                f"'{self.path}' holds a single run; several analyses need a folder of their own."
            )

    def _empty(self) -> None:
        """Remove the runs, and the files of the job, the record last."""
        if (self.path / "run.json").exists():
            for name in self.read()["analyses"]:
                RunDirectory(self.analysis(name)).discard()
        for file in (*self.path.glob(".*.tmp"), *(self.path / name for name in _OWN_FILES)):
            file.unlink(missing_ok=True)


def holds_analyses(path: str | Path) -> bool:
    """Return whether a folder is that of several analyses, and not of a single run.

    Parameters
    ----------
    path : path

    Returns
    -------
    bool
    """
    try:
        JobDirectory(path).read()
    except InputError:
        return False
    return True
