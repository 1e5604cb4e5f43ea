"""Stan's headers, libraries and compiler from a wheel on the package index.

The wheel ``httpstan`` contains all of Stan except CmdStan's command line. Nothing in it is imported: it is
downloaded with pip whatever the running Python's version, checked against the known hashes, and unpacked into
the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from bayesde.errors import ToolchainError
from bayesde.stan_runtime.cache import build_folder, cache_dir
from bayesde.stan_runtime.download import download, wrong_hash
from bayesde.stan_runtime.releases import Release, release_for_this_system

__all__ = ["library_folder", "unpack", "unpacked_library"]


def library_folder(release: Release) -> Path:
    """Return the folder of the cache that the wheel is unpacked into.

    Parameters
    ----------
    release : Release

    Returns
    -------
    pathlib.Path
        It may not exist yet.
    """
    return cache_dir() / f"httpstan-{release.httpstan}"


def unpacked_library(force: bool = False) -> Path:
    """Return the unpacked wheel, downloading it if it is not there.

    Parameters
    ----------
    force : bool
        Download and unpack again.

    Returns
    -------
    pathlib.Path
        A folder with ``include``, ``lib`` and ``stanc``.

    Raises
    ------
    ToolchainError
        No wheel for this system, no pip, the index cannot be reached, the file is none of the known ones, or
        the cache cannot be written.
    """
    release = release_for_this_system()

    def fill(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as downloads:
            wheel = _wheel_from_environment() or download(release, Path(downloads))
            _check_hash(wheel, release)
            unpack(wheel, folder)

    return build_folder(library_folder(release), fill, force)


def _wheel_from_environment() -> Path | None:
    given = os.environ.get("BAYESDE_HTTPSTAN_WHEEL")
    if given and not Path(given).expanduser().is_file():
        raise ToolchainError(f"BAYESDE_HTTPSTAN_WHEEL is set to {given}, which is not a file.")
    return Path(given).expanduser() if given else None


def _check_hash(wheel: Path, release: Release) -> None:
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found not in release.hashes:
        raise wrong_hash(release, str(wheel), found, "Set BAYESDE_HTTPSTAN_WHEEL to a complete copy of one")


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack what compiling needs: headers, libraries, stanc and the licence.

    Parameters
    ----------
    wheel : pathlib.Path
    folder : pathlib.Path
        Where to.

    Raises
    ------
    ToolchainError
        A name in the archive points outside the folder.
    """
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            parts = PurePosixPath(member.filename).parts
            if not _is_wanted(parts) or member.is_dir():
                continue
            if ".." in parts or member.filename.startswith("/"):
                raise ToolchainError(
                    f"{wheel.name} has a file that would be written outside its folder: {member.filename}."
                )
            target = folder.joinpath(*parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
    (folder / "stanc").chmod(0o755)


def _is_wanted(parts: tuple[str, ...]) -> bool:
    is_library = len(parts) > 1 and parts[0] == "httpstan" and parts[1] in ("include", "lib", "stanc")
    return is_library or (len(parts) > 1 and parts[0].endswith(".dist-info") and "LICENSE" in parts[-1])
