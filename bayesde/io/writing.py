"""Writing files atomically: a reader never sees a half-written one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from bayesde.errors import InputError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Errors of a disk to which nothing more can be written."""


def write_atomically(path: str | PathLike[str], content: str | bytes) -> None:
    """Write a file under a temporary name beside its place, then rename it.

    Parameters
    ----------
    path : path
        Where it is to be; its folder must exist.
    content : str or bytes
        Text is written as UTF-8 with newline line ends.
    """
    target = Path(path)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def results_folder(path: str | PathLike[str]) -> Iterator[Path]:
    """Make a folder for the files that are written in the context.

    Parameters
    ----------
    path : path
        Created if it does not exist.

    Yields
    ------
    pathlib.Path
        The folder.

    Raises
    ------
    InputError
        If it cannot be made or written to.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except OSError as problem:
        raise InputError(f"cannot write to '{folder}': {problem.strerror}; give another folder.") from problem


def _umask() -> int:
    """Read the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
