"""The user's cache: folders that are either complete or not there.

A folder is filled under a temporary name, marked with a file ``ok`` as the last step, and renamed. An
interrupted build therefore leaves nothing that a later run would take for finished, and processes that build
the same folder at once do not interfere.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_dir

from bayesde.errors import ToolchainError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

__all__ = ["build_folder", "cache_dir", "is_complete", "sole_builder"]

logger = logging.getLogger(__name__)

_OK = "ok"
_ABANDONED_AFTER = 6 * 3600  # seconds: no build takes this long, so an older temporary folder is abandoned


def cache_dir() -> Path:
    """Name the folder that bayesde keeps CmdStan and compiled programs in.

    Returns
    -------
    pathlib.Path
        ``$BAYESDE_CACHE`` where that is set, otherwise the platform's cache folder for bayesde. It may not
        exist yet.
    """
    chosen = os.environ.get("BAYESDE_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path(user_cache_dir("bayesde"))


def is_complete(folder: Path) -> bool:
    """Return whether a folder of the cache was finished.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    bool
    """
    return (folder / _OK).is_file()


def build_folder(folder: Path, fill: Callable[[Path], None], force: bool = False) -> Path:
    """Return a complete folder, filling it first if it is not there.

    Parameters
    ----------
    folder : pathlib.Path
        Its place in the cache.
    fill : callable
        Called with an empty folder beside it, whose contents it makes.
    force : bool
        Fill it again even where it is complete.

    Returns
    -------
    pathlib.Path
        `folder`.

    Raises
    ------
    ToolchainError
        The cache cannot be written.
    """
    if is_complete(folder) and not force:
        return folder
    with _writable_cache(folder.parent), sole_builder(folder):
        _remove_leftovers(folder)
        if force or not is_complete(folder):
            _build(folder, fill, force)
    return folder


def _build(folder: Path, fill: Callable[[Path], None], force: bool) -> None:
    scratch = folder.with_name(f".{folder.name}-{os.getpid()}-{secrets.token_hex(4)}")
    scratch.mkdir()
    try:
        fill(scratch)
        (scratch / _OK).touch()
        _publish(scratch, folder, force)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _publish(scratch: Path, folder: Path, force: bool) -> None:
    if folder.exists():
        if is_complete(folder) and not force:
            return  # another process was faster
        displaced = folder.with_name(f"{scratch.name}-old")
        folder.rename(displaced)
        shutil.rmtree(displaced, ignore_errors=True)
    try:
        scratch.rename(folder)
    except OSError:
        if not is_complete(folder):
            raise
        logger.debug("another process finished %s first", folder)


def _remove_leftovers(folder: Path) -> None:
    for scratch in folder.parent.glob(f".{folder.name}-*"):
        if time.time() - scratch.stat().st_mtime > _ABANDONED_AFTER:
            logger.debug("removing what an interrupted build left: %s", scratch)
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def sole_builder(target: Path) -> Iterator[None]:
    """Let one process at a time build a folder or file, where the file system has locks.

    Where it has none, several may build the same; the first to finish is used.

    Parameters
    ----------
    target : pathlib.Path
        What is built.
    """
    with open(target.parent / f".{target.name}.lock", "w") as lock:
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _writable_cache(parent: Path) -> Iterator[None]:
    try:
        parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "Make room there (Stan takes 300 MB), or set" if is_full else "Set"
        where = "a folder elsewhere" if is_full else "a folder that can be written"
        raise ToolchainError(
            f"cannot write to the cache folder {parent} ({error.strerror or error}). "
            f"{advice} the environment variable BAYESDE_CACHE to {where}."
        ) from error
