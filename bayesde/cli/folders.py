"""Output folders of commands whose results are not those of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bayesde.errors import InputError

__all__ = ["check_folder"]


def check_folder(out: Path, files: Sequence[str] = (), *, force: bool = False) -> None:
    """Refuse a folder with other results, or that cannot be written to, before anything is computed.

    Parameters
    ----------
    out : pathlib.Path
        Need not exist.
    files : sequence of str
        What the command would replace.
    force : bool
        Whether it may.
    """
    from bayesde.runs.directory import check_writable

    if (out / "run.json").exists():
        raise InputError(f"'{out}' holds a run of bayesde; give another folder.")
    there = [name for name in files if (out / name).exists()]
    if there and not force:
        raise InputError(f"'{out}' already holds results ({', '.join(there)}); --force replaces them.")
    check_writable(out)
