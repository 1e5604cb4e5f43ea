"""Stan's headers, libraries and compiler from a wheel on the package index.

The wheel ``httpstan`` carries all of Stan except CmdStan's command line. Nothing in it is imported: it is
downloaded with pip whatever the running Python's version, checked against its known hash, and unpacked into
the cache.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from bayesde.errors import ToolchainError
from bayesde.stan_runtime.cache import build_folder, cache_dir
from bayesde.stan_runtime.toolchain import EB_NEEDS_NONE

__all__ = ["STAN_VERSION", "library_folder", "platform_wheel", "unpacked_library"]

logger = logging.getLogger(__name__)

STAN_VERSION = "2.35.0"
_REQUIREMENT = "httpstan==4.13.0"
_PIP_PATIENCE = (
    "--timeout",
    "20",
    "--retries",
    "2",
)  # seconds per read, and tries: an unreachable index ends soon

# platform tag and SHA-256 of the wheel for each system that has one
_WHEELS = {
    ("Linux", "x86_64"): (
        "manylinux2014_x86_64",
        "db96f12cacea0ae8efb6bddbf3061c3536b3503187befda936c6a36c1da7124d",
    ),
    ("Darwin", "arm64"): (
        "macosx_14_0_arm64",
        "c8f8d9129afbe03b05562700b3a9d3b0333ebaae75e32c7013300b7c884f2896",
    ),
    ("Darwin", "x86_64"): (
        "macosx_13_0_x86_64",
        "d0c0807843d75629f61876319d5715e6a4efcc0c7b55fdbaa970baa86e7d2b09",
    ),
}


def platform_wheel() -> tuple[str, str]:
    """Return the platform tag and the SHA-256 of the wheel for this machine.

    Raises
    ------
    ToolchainError
        There is none for this system.
    """
    system = (platform.system(), platform.machine())
    is_musl = system[0] == "Linux" and platform.libc_ver()[0] != "glibc"
    if system not in _WHEELS or is_musl:
        raise ToolchainError(
            f"there is no Stan wheel for {system[0]} on {system[1]}{' (musl)' if is_musl else ''}; there are "
            "wheels for Linux x86_64 (glibc) and macOS. Install a CmdStan release: conda install -c "
            f"conda-forge cmdstan. {EB_NEEDS_NONE}"
        )
    return _WHEELS[system]


def library_folder() -> Path:
    """Name the folder of the cache that the wheel is unpacked into."""
    return cache_dir() / _REQUIREMENT.replace("==", "-")


def unpacked_library(force: bool = False) -> Path:
    """Return the unpacked wheel, downloading it if it is not there.

    Parameters
    ----------
    force : bool
        Download and unpack anew.

    Returns
    -------
    pathlib.Path
        A folder with ``include``, ``lib`` and ``stanc``.

    Raises
    ------
    ToolchainError
        No wheel for this system, the index cannot be reached, or the file is not the known one.
    """
    return build_folder(library_folder(), _download_and_unpack, force)


def _download_and_unpack(folder: Path) -> None:
    tag, sha256 = platform_wheel()
    with tempfile.TemporaryDirectory(dir=folder) as downloads:
        wheel = _download(tag, Path(downloads))
        check_hash(wheel, sha256)
        unpack(wheel, folder)


def _download(tag: str, target: Path) -> Path:
    given = os.environ.get("BAYESDE_HTTPSTAN_WHEEL")
    if given:
        return Path(shutil.copy(_given_wheel(given), target))
    command = [sys.executable, "-m", "pip", "download", _REQUIREMENT, "--no-deps", "--only-binary=:all:"]
    command += ["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--platform", tag]
    command += ["--disable-pip-version-check", "--no-input", *_PIP_PATIENCE, "--dest", str(target)]
    ran = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    logger.debug("pip download: %s%s", ran.stdout, ran.stderr)
    wheels = sorted(target.glob("*.whl"))
    if ran.returncode or not wheels:
        raise ToolchainError(_download_failed(ran.stderr))
    return wheels[0]


def _given_wheel(given: str) -> Path:
    if not Path(given).is_file():
        raise ToolchainError(f"BAYESDE_HTTPSTAN_WHEEL is set to {given}, which is not a file")
    return Path(given)


def _download_failed(messages: str) -> str:
    lines = [line for line in messages.strip().splitlines() if line.strip()]
    reason = lines[-1].removeprefix("ERROR: ") if lines else "pip gave no reason"
    return (
        f"the wheel {_REQUIREMENT} cannot be downloaded with pip: {reason}. Configure pip for a package "
        "index that can be reached from here, or set BAYESDE_HTTPSTAN_WHEEL to a copy of the wheel, or "
        f"install a CmdStan release and set CMDSTAN. {EB_NEEDS_NONE}"
    )


def check_hash(wheel: Path, sha256: str) -> None:
    """Refuse a file that is not the known wheel.

    Raises
    ------
    ToolchainError
        Its SHA-256 differs.
    """
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ToolchainError(
            f"{wheel.name} has SHA-256 {found}, expected {sha256}: it is not the file that was published. "
            "It was not unpacked. Ask whoever runs the package index, or try another one."
        )


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack what compiling needs: headers, libraries, stanc and the licence.

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
                    f"{wheel.name} has a file that would land outside its folder: {member.filename}"
                )
            target = folder.joinpath(*parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
    (folder / "stanc").chmod(0o755)


def _is_wanted(parts: tuple[str, ...]) -> bool:
    is_library = len(parts) > 1 and parts[0] == "httpstan" and parts[1] in ("include", "lib", "stanc")
    return is_library or (len(parts) > 1 and parts[0].endswith(".dist-info") and "LICENSE" in parts[-1])
