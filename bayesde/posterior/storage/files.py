"""Writing folders so that they are whole or not there, and finding out whether one has been damaged since.

A folder is written under a temporary name, its files are flushed to the disk, it is renamed, and the file
``ok`` is written last, with the size and SHA-256 of every other file. So a process may be killed, or the
machine lose power, at any moment: what has an ``ok`` is complete. A file that was truncated or altered later
is found by its hash when it is read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bayesde.io import write_atomically

__all__ = ["FINISHED", "DamagedFolder", "check_folder", "flush", "is_complete", "save_array", "write_folder"]

FINISHED = "ok"
_AT_A_TIME = 1 << 24


class DamagedFolder(Exception):
    """A finished folder whose files are not what was written; the message says what is wrong."""


def is_complete(folder: Path) -> bool:
    """Return whether a folder was written to its end.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    bool
    """
    return (folder / FINISHED).is_file()


def write_folder(
    folder: Path, fill: Callable[[Path], None], *, replace: bool = False, hashed: bool = True
) -> None:
    """Write a folder under a temporary name, rename it, and mark it as complete.

    Parameters
    ----------
    folder : Path
        The folders above it are made if need be.
    fill : callable
        Given the temporary folder, it writes the files.
    replace : bool
        Whether a complete folder is replaced; by default it is left as it is.
    hashed : bool
        Whether files are flushed to the disk and hashed, which takes a while for large ones; otherwise only
        their sizes are known.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fill(scratch)
        hashes = {file.name: _description(file, hashed) for file in sorted(scratch.iterdir())}
        for file in scratch.iterdir() if hashed else ():
            flush(file)
        flush(scratch)
        os.chmod(scratch, 0o777 & ~_mask_of(folder.parent))
        if replace or not is_complete(folder):
            shutil.rmtree(folder, ignore_errors=True)
            try:
                os.rename(scratch, folder)
            except OSError as error:
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # another process was faster
                    return
                raise
            flush(folder.parent)
            write_atomically(folder / FINISHED, json.dumps(hashes) + "\n")
            flush(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def save_array(file: Path, values: np.ndarray) -> None:
    """Write an array as a .npy file.

    NumPy writes arrays to real files by a function of C that does not say why it failed, so that a full disk
    would not be known for what it is.

    Parameters
    ----------
    file : Path
    values : ndarray

    Raises
    ------
    OSError
        With the system's reason.
    """
    with open(file, "wb") as stream:
        np.lib.format.write_array(_Writer(stream), values, allow_pickle=False)


class _Writer:
    """What NumPy does not take for a real file."""

    def __init__(self, stream: BinaryIO) -> None:
        self.write = stream.write


def check_folder(folder: Path) -> None:
    """Compare the files of a complete folder with their sizes and hashes.

    Parameters
    ----------
    folder : Path
        One whose ``ok`` is empty, as early versions wrote it, cannot be checked.

    Raises
    ------
    DamagedFolder
        If a file is missing, or is not what was written.
    """
    try:
        text = (folder / FINISHED).read_text(encoding="utf-8")
        hashes = json.loads(text) if text.strip() else {}
    except (OSError, ValueError) as error:
        raise DamagedFolder(f"'{folder / FINISHED}' cannot be read ({error})") from None
    for name, (size, digest) in hashes.items():
        file = folder / name
        if not file.is_file():
            raise DamagedFolder(f"'{file}' is missing")
        if (found := file.stat().st_size) != size:
            raise DamagedFolder(f"'{file}' has {found:,} bytes instead of {size:,}")
        if digest and _description(file, True)[1] != digest:
            raise DamagedFolder(f"'{file}' has been altered since it was written")


def flush(path: Path) -> None:
    """Wait until a file or folder is on the disk, where the system can do that.

    Parameters
    ----------
    path : Path
    """
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _description(file: Path, hashed: bool) -> tuple[int, str]:
    """Return the size and the SHA-256 of a file; an empty text in place of the latter if it is not wanted."""
    if not hashed:
        return file.stat().st_size, ""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while part := stream.read(_AT_A_TIME):
            digest.update(part)
    return file.stat().st_size, digest.hexdigest()


def _mask_of(folder: Path) -> int:
    """Return the permissions that a folder lacks: what is made in it lacks them, too."""
    return 0o777 & ~folder.stat().st_mode
