"""The folder of a run: its files, its lock and its record."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bayesde.errors import InputError, first_few
from bayesde.io import write_atomically

try:
    import fcntl
except ImportError:  # Windows has no such locks: two runs in one folder are not noticed there
    fcntl = None  # type: ignore[assignment]

__all__ = ["RunDirectory", "check_writable"]

_OWN_FILES = (
    "hyperparameters.json",
    "results.tsv",
    "results.columns.json",
    "diagnostics.tsv",
    "outlier_counts.tsv",
    "report.html",
    "log.txt",
    ".lock",
    "run.json",
)
_OWN_FOLDERS = ("blocks", "draws", "posterior.zarr", ".posterior.zarr.tmp")
_CONTRASTS = "contrasts"
_WARNING, _NOTE = "warning: ", "note: "
_SHARED_FOLDERS = {
    "eb": ("results.tsv", "results.columns.json"),
    "plots": (
        "ma.png",
        "dispersion.png",
        "intervals.png",
        "hyperparameters.png",
        "effect_law.png",
        "random_effect_sd.png",
    ),
    "shrunken": ("results.tsv", "results.columns.json"),
}
"""Folders that may also hold files of the user, with the files that bayesde writes."""


class RunDirectory:
    """The folder of one run.

    Parameters
    ----------
    path : path
        Need not exist yet.
    """

    _what = "plan"
    """The entry of the record with what is to be done."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def blocks(self) -> Path:
        """The folder of finished blocks."""
        return self.path / "blocks"

    @property
    def draws(self) -> Path:
        """The folder of the draws as they were made, with their weights."""
        return self.path / "draws"

    @property
    def plots(self) -> Path:
        """The folder of plots."""
        return self.path / "plots"

    def tables(self, name: str) -> Path:
        """Return the folder of a table beside the main one; it is created if necessary.

        Parameters
        ----------
        name : str

        Returns
        -------
        pathlib.Path
        """
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        return folder

    def contrast(self, number: int, name: str) -> Path:
        """Return the folder of the table of a further contrast; it is created if necessary.

        Parameters
        ----------
        number : int
            Its place among the contrasts, from 2 on.
        name : str

        Returns
        -------
        pathlib.Path
        """
        folder = self.path / _CONTRASTS / f"{number}_{_as_file_name(name)}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def contrast_again(self, name: str) -> Path:
        """Return the folder of the table of a contrast: the one that it has, or else the next number.

        Parameters
        ----------
        name : str

        Returns
        -------
        pathlib.Path
        """
        numbered = [
            (int(number), rest, folder)
            for folder in self.path.glob(f"{_CONTRASTS}/*/")
            for number, _, rest in [folder.name.partition("_")]
            if number.isdigit()
        ]
        for _, rest, folder in numbered:
            if rest == _as_file_name(name):
                return folder
        return self.contrast(1 + max([1, *(number for number, *_ in numbered)]), name)

    @property
    def log(self) -> Path:
        """The log file."""
        return self.path / "log.txt"

    def warnings(self) -> list[str]:
        """Return the warnings of the log; none if there is no log."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return list(dict.fromkeys(line.partition(_WARNING)[2] for line in lines if _WARNING in line))

    def check_free(self, force: bool) -> None:
        """Refuse a folder that holds something else, or a run that is not to be replaced; change nothing.

        Parameters
        ----------
        force : bool
            Whether an earlier run is replaced.

        Raises
        ------
        InputError
            With what to do instead.
        """
        check_writable(self.path)
        if self.is_locked():
            raise _busy(self.path)
        others = [] if not self.path.is_dir() else [e.name for e in self.path.iterdir() if not _is_scratch(e)]
        if not others:
            return
        record = self.read() if "run.json" in others else {}
        if self._what not in record:
            raise InputError(
                f"'{self.path}' is not empty and holds no run of bayesde ({first_few(sorted(others))}); "
                "choose a new folder."
            )
        if not force:
            state = record.get("state")
            advice = f"'bayesde resume {self.path}' resumes it, " if state != "finished" else ""
            raise InputError(
                f"'{self.path}' already holds a run ({state}); {advice}--force replaces it, or choose "
                "another folder."
            )

    def create(self) -> None:
        """Make the folder, and remove the files of an earlier run from it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._empty()
        except OSError as error:
            raise _not_writable(self.path, error) from error

    def discard(self) -> None:
        """Remove the files that bayesde wrote, and the folder if nothing else is in it."""
        self._empty()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def remove_unfinished(self) -> None:
        """Remove files that were being written when a run was killed."""
        own = [self.path, *(self.path / name for name in _SHARED_FOLDERS)]
        for folder in (*own, *self.path.glob(f"{_CONTRASTS}/*/")):
            _remove(folder, ())

    def _empty(self) -> None:
        """Remove the files that bayesde wrote, the record last."""
        for name in _OWN_FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name, files in _SHARED_FOLDERS.items():
            _remove(self.path / name, files)
        for folder in self.path.glob(f"{_CONTRASTS}/*/"):
            _remove(folder, _SHARED_FOLDERS["eb"])
            with contextlib.suppress(OSError):
                folder.rmdir()
        for name in (*_SHARED_FOLDERS, _CONTRASTS):
            with contextlib.suppress(OSError):
                (self.path / name).rmdir()
        _remove(self.path, _OWN_FILES)

    def read(self) -> dict[str, Any]:
        """Return the record of the run, ``run.json``.

        Raises
        ------
        InputError
            If there is none, or it cannot be read.
        """
        file = self.path / "run.json"
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"'{self.path}' holds no run of bayesde: there is no run.json.") from None
        except (OSError, ValueError) as error:
            raise InputError(f"'{file}' cannot be read: {error}.") from error
        if not isinstance(record, dict):
            raise InputError(f"'{file}' is not the record of a run.")
        self._check_kind(record)
        return record

    def _check_kind(self, record: dict[str, Any]) -> None:
        """Refuse the folder of several analyses."""
        if "analyses" in record:
            raise InputError(
                f"'{self.path}' holds several analyses, each in a folder of its own "
                f"({first_few(record['analyses'])}); give the folder of one of them."
            )

    def update(self, **changes: Any) -> None:
        """Change some entries of the record; the file is replaced as a whole.

        Parameters
        ----------
        **changes
            Entries and their new values.
        """
        record = self.read() if (self.path / "run.json").exists() else {}
        write_atomically(self.path / "run.json", json.dumps({**record, **changes}, indent=2) + "\n")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other processes, until this one ends in whatever way.

        Raises
        ------
        InputError
            If another process is working there.
        """
        with open(self.path / ".lock", "a") as handle:
            if not _lock(handle.fileno()):
                raise _busy(self.path)
            yield

    def is_locked(self) -> bool:
        """Return whether a process is working in the folder."""
        try:
            with open(self.path / ".lock", "rb") as handle:
                return not _lock(handle.fileno())
        except OSError:
            return False

    @contextlib.contextmanager
    def logging(self, earlier: Iterable[logging.LogRecord] = ()) -> Iterator[None]:
        """Write what the package logs, from INFO up, into ``log.txt`` as plain lines.

        Parameters
        ----------
        earlier : iterable of logging.LogRecord
            Logged before there was a folder; they are written first.
        """
        handler = logging.FileHandler(self.log, encoding="utf-8")
        handler.addFilter(_FirstWarnings())
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        for record in earlier:
            handler.handle(record)
        root = logging.getLogger("bayesde")
        before = root.level
        root.addHandler(handler)
        root.setLevel(logging.INFO if before == logging.NOTSET else min(before, logging.INFO))
        try:
            yield
        finally:
            root.removeHandler(handler)
            root.setLevel(before)
            handler.close()


class _FirstWarnings(logging.Filter):
    """Lets each of the package's warnings and notes pass once."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a message is written."""
        text = record.getMessage()
        if not text.startswith((_WARNING, _NOTE)):
            return True
        new = text not in self._seen
        self._seen.add(text)
        return new


def _as_file_name(name: str) -> str:
    """Replace what file names had better not have."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", name).strip("_")


def _is_scratch(entry: Path) -> bool:
    """Return whether a file may be left from a run that was killed at its start."""
    return entry.is_file() and (entry.name == ".lock" or entry.match(".*.tmp"))


def _remove(folder: Path, names: tuple[str, ...]) -> None:
    """Remove files of these names, and those that were being written."""
    unfinished = (file for file in folder.glob(".*.tmp") if file.is_file())
    for file in [*unfinished, *(folder / name for name in names)]:
        file.unlink(missing_ok=True)


def _busy(path: Path) -> InputError:
    """Explain that another process is working there."""
    return InputError(f"another process is working in '{path}'; wait for it, or end it first.")


def _lock(descriptor: int) -> bool:
    """Lock a file unless another process has; closing the file unlocks it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def check_writable(path: Path) -> None:
    """Refuse a folder that could not be made or written to, as far as one can tell without trying.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    InputError
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"'{path}' is a file; --out needs a folder.")
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not existing.is_dir():
        raise InputError(f"'{path}' cannot be made: '{existing}' is a file.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise _not_writable(path, PermissionError(13, f"no permission to write in '{existing}'"))


def _not_writable(path: Path, error: OSError) -> InputError:
    """Explain that a folder cannot be written to."""
    return InputError(
        f"cannot write to the output folder '{path}': {error.strerror}; choose another by --out."
    )
