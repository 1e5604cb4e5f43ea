"""Download the wheel with any pip that is available, trying each of the published files."""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from bayesde.errors import ToolchainError
from bayesde.stan_runtime.releases import Release
from bayesde.stan_runtime.toolchain import EB_NEEDS_NONE

__all__ = ["download", "find_pip", "wrong_hash"]

logger = logging.getLogger(__name__)

# seconds per read, and tries: an index that cannot be reached is given up soon
_PATIENCE = ("--timeout", "20", "--retries", "2")
_FULL_DISK = os.strerror(errno.ENOSPC)
_ASK = (
    "Run 'pip cache purge' and try again; if that does not help, ask whoever runs the package index, or set "
    "BAYESDE_HTTPSTAN_WHEEL to a copy of the wheel from elsewhere"
)


def download(release: Release, folder: Path) -> Path:
    """Download one of the release's files.

    pip refuses a file whose hash is not among the known ones. Where the index has no file for one CPython,
    the next is tried.

    Parameters
    ----------
    release : Release
    folder : pathlib.Path
        Where pip may write, temporary files included.

    Returns
    -------
    pathlib.Path
        The wheel.

    Raises
    ------
    ToolchainError
        There is no pip, the index cannot be reached or lacks the release, or the file is not one of the known
        ones.
    OSError
        The disk is full.
    """
    pip = find_pip(release)
    requirements = folder / "requirements.txt"
    hashes = " ".join(f"--hash=sha256:{sha256}" for sha256 in release.hashes)
    requirements.write_text(f"{release.requirement} {hashes}\n")
    messages = ""
    for python in release.files:
        ran = _run_pip(pip, release.tag, python, requirements)
        wheels = sorted(folder.glob("*.whl"))
        if ran.returncode == 0 and wheels:
            return wheels[0]
        messages = ran.stderr
        if not _lacks_the_file(messages):
            break
    raise _failure(release, messages)


def find_pip(release: Release) -> list[str]:
    """Find a pip that runs: this environment's, the one bundled with Python, or another environment's.

    Environments made by uv, or by ``python -m venv --without-pip``, have none of their own.

    Parameters
    ----------
    release : Release
        What is to be downloaded, for the message.

    Returns
    -------
    list of str
        The beginning of a command.

    Raises
    ------
    ToolchainError
        There is none.
    """
    for command in _pips():
        if _runs([*command, "--version"]):
            return command
    raise ToolchainError(
        f"downloading {release.requirement} needs pip, which was not found: run '{sys.executable} -m "
        "ensurepip' (or, with uv, 'uv pip install pip'), or set BAYESDE_HTTPSTAN_WHEEL to a copy of the "
        f"wheel, or install a CmdStan release and set CMDSTAN. {EB_NEEDS_NONE}"
    )


def _pips() -> Iterator[list[str]]:
    """Yield commands that may be pip; first those that read the configuration of this environment."""
    yield [sys.executable, "-m", "pip"]
    for wheel in _bundled_pips():
        yield [sys.executable, str(wheel / "pip")]
    base = getattr(sys, "_base_executable", None)
    if base and base != sys.executable:
        yield [base, "-m", "pip"]
    for name in ("pip", "pip3"):
        if (found := shutil.which(name)) is not None:
            yield [found]


def _bundled_pips() -> list[Path]:
    """List the wheels of pip bundled with Python; Python runs a wheel without unpacking it."""
    ensurepip = importlib.util.find_spec("ensurepip")
    folders = [Path(ensurepip.origin).parent / "_bundled"] if ensurepip and ensurepip.origin else []
    elsewhere = sysconfig.get_config_var("WHEEL_PKG_DIR")  # where distributions keep them
    folders += [Path(elsewhere)] if elsewhere else []
    return [wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))]


def _runs(command: list[str]) -> bool:
    try:
        ran = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    except OSError:
        return False
    return ran.returncode == 0


def _run_pip(pip: list[str], tag: str, python: str, requirements: Path) -> subprocess.CompletedProcess[str]:
    command = [*pip, "download", "--require-hashes", "--requirement", str(requirements), "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    command += ["--abi", f"cp{python.replace('.', '')}", "--platform", tag]
    command += ["--disable-pip-version-check", "--no-input", "--no-color", *_PATIENCE]
    command += ["--dest", str(requirements.parent)]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
        env={**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "TMPDIR": str(requirements.parent)},
    )
    logger.debug("pip download: %s%s", ran.stdout, ran.stderr)
    return ran


def _lacks_the_file(messages: str) -> bool:
    """Return whether the index answered but has no matching file."""
    return "No matching distribution" in messages and "Retrying" not in messages


def _failure(release: Release, messages: str) -> Exception:
    if _FULL_DISK in messages:
        return OSError(errno.ENOSPC, _FULL_DISK)
    if "DO NOT MATCH THE HASHES" in messages:
        got = re.search(r"Got\s+([0-9a-f]{64})", messages)
        return wrong_hash(
            release, "the file that the package index sends", got[1] if got else "unknown", _ASK
        )
    return ToolchainError(
        f"the wheel {release.requirement} cannot be downloaded with pip: {_reason(messages)}. Configure pip "
        "for a package index that can be reached from here, or set BAYESDE_HTTPSTAN_WHEEL to a copy of the "
        f"wheel, or install a CmdStan release and set CMDSTAN. {EB_NEEDS_NONE}"
    )


def _reason(messages: str) -> str:
    """Return pip's last line, and the reason if there was no connection."""
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    if not lines:
        return "pip gave no reason"
    last = lines[-1].removeprefix("ERROR: ")
    broken = re.findall(r"connection broken by '(.+)'", messages)
    return f"{last} (connection broken: {broken[-1]})" if broken else last


def wrong_hash(release: Release, what: str, found: str, advice: str) -> ToolchainError:
    """Return the error about a file that is none of the release's.

    Parameters
    ----------
    release : Release
    what : str
        The file, or where it came from.
    found : str
        Its SHA-256.
    advice : str
        What to do.

    Returns
    -------
    ToolchainError
    """
    known = ", ".join(release.hashes)
    return ToolchainError(
        f"{what} has SHA-256 {found}; the wheels published as {release.requirement} for this system have "
        f"{known}. Either the download was incomplete or the file was altered; it was not unpacked. "
        f"{advice}. {EB_NEEDS_NONE}"
    )
