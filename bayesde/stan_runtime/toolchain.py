"""The C++ compiler and make that Stan programs are built with."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass

from bayesde.errors import ToolchainError

__all__ = ["EB_NEEDS_NONE", "Toolchain", "find_toolchain", "require_toolchain"]

EB_NEEDS_NONE = "The empirical-Bayes mode (bayesde eb) needs none of this."
_INSTALL = (
    "Install a C++ compiler and make: 'apt install g++ make' (Debian, Ubuntu), 'dnf install gcc-c++ make' "
    "(Fedora, Red Hat), 'xcode-select --install' (macOS), or 'conda install -c conda-forge cxx-compiler "
    "make' without administrator's rights"
)


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """The tools for compiling.

    Parameters
    ----------
    compiler, make : str or None
        The command, as found on the path; None where there is none.
    compiler_version, make_version : str or None
        The first line that the command prints about its version.
    """

    compiler: str | None
    compiler_version: str | None
    make: str | None
    make_version: str | None

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the tools that are missing."""
        wanted = {"a C++ compiler": self.compiler_version, "make": self.make_version}
        return tuple(name for name, version in wanted.items() if version is None)

    @property
    def advice(self) -> str:
        """One sentence on what is missing and what to do; empty where nothing is."""
        if not self.missing:
            return ""
        looked = "; $CXX names the compiler" if os.environ.get("CXX") else ""
        return f"{' and '.join(self.missing)} not found (looked in PATH{looked}). {_INSTALL}."


def find_toolchain() -> Toolchain:
    """Look for a compiler ($CXX, g++, clang++, c++) and make ($MAKE, make).

    Returns
    -------
    Toolchain
        With None for what is not there or does not run.
    """
    compiler, compiler_version = _first_that_runs([os.environ.get("CXX"), "g++", "clang++", "c++"])
    make, make_version = _first_that_runs([os.environ.get("MAKE"), "make"])
    return Toolchain(
        compiler=compiler, compiler_version=compiler_version, make=make, make_version=make_version
    )


def require_toolchain() -> Toolchain:
    """Return the toolchain, or raise an error that explains what to install.

    Raises
    ------
    ToolchainError
        There is no compiler or no make.
    """
    found = find_toolchain()
    if found.missing:
        raise ToolchainError(f"Stan programs cannot be compiled: {found.advice} {EB_NEEDS_NONE}")
    return found


def _first_that_runs(commands: list[str | None]) -> tuple[str | None, str | None]:
    """Return the first command that runs and its version; one that the user set is the only candidate."""
    chosen = commands[:1] if commands[0] else commands[1:]
    for command in chosen:
        version = _version_line(command) if command else None
        if version is not None:
            return command, version
    return None, None


def _version_line(command: str) -> str | None:
    words = shlex.split(command)
    if not words or shutil.which(words[0]) is None:
        return None
    try:
        ran = subprocess.run([*words, "--version"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return (ran.stdout.strip() or ran.stderr.strip() or "unknown version").splitlines()[0]
