"""The embedded CmdStan: a folder that cmdstanpy accepts, made of the wheel and of our own front end.

The folder holds a makefile, a link to the wheel's ``stanc``, the front end's C++ (in ``embedded/`` of this
package) and its object file, compiled once without and once with threads, each when first needed.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path

from bayesde.errors import ToolchainError
from bayesde.stan_runtime.cache import build_folder, cache_dir, is_complete, sole_builder
from bayesde.stan_runtime.locate import CmdStanHome
from bayesde.stan_runtime.releases import Release, release_for_this_system
from bayesde.stan_runtime.toolchain import require_toolchain
from bayesde.stan_runtime.wheel import library_folder, unpacked_library

__all__ = ["Progress", "build_embedded", "built_embedded", "compile_front_end", "last_lines"]

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]

_SOURCES = ("arguments.hpp", "command_line.hpp", "files.hpp", "front_end.cpp", "makefile", "methods.hpp")


def built_embedded() -> CmdStanHome | None:
    """Return the embedded CmdStan if it is ready for use."""
    try:
        release = release_for_this_system()
    except ToolchainError:  # there is none for this system
        return None
    folder = _home_folder(release)
    is_ready = is_complete(folder) and is_complete(library_folder(release))
    return CmdStanHome(folder, release.stan, "embedded") if is_ready else None


def build_embedded(force: bool = False, progress: Progress | None = None) -> CmdStanHome:
    """Download the wheel and set up the embedded CmdStan, as far as they are not there.

    Parameters
    ----------
    force : bool
        Do all of it again.
    progress : callable, optional
        Called with one line of text at each step.

    Returns
    -------
    CmdStanHome
        With the front end compiled for programs without threads.

    Raises
    ------
    ToolchainError
        No compiler, no wheel for this system, no package index, or the front end does not compile.
    """
    release = release_for_this_system()
    require_toolchain()
    say = progress or logger.info
    if force or not is_complete(library_folder(release)):
        say(f"downloading Stan {release.stan} (some 40 MB) from the package index")
    library = unpacked_library(force)
    folder = _home_folder(release)
    if force or not is_complete(folder):
        say("compiling CmdStan's front end (about a minute, once)")
    build_folder(folder, partial(_fill_home, release.stan, library.name), force)
    return CmdStanHome(folder, release.stan, "embedded")


def compile_front_end(home: CmdStanHome, threads: bool, progress: Progress | None = None) -> None:
    """Compile the front end's object file, if it is not there.

    Parameters
    ----------
    home : CmdStanHome
        An embedded one.
    threads : bool
        For programs with threads.
    progress : callable, optional
        Called with one line of text before a compilation.
    """
    compiled = home.path / ("front_end_threads.o" if threads else "front_end.o")
    if compiled.exists():
        return
    with sole_builder(compiled):
        if not compiled.exists():
            (progress or logger.info)("compiling CmdStan's front end with threads (about a minute, once)")
            _make(home.path, threads)


def last_lines(text: str, count: int = 15) -> str:
    """Return the end of a compiler's output.

    Parameters
    ----------
    text : str
    count : int
        How many lines.

    Returns
    -------
    str
    """
    return "\n".join(text.strip().splitlines()[-count:])


def _home_folder(release: Release) -> Path:
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((files(__package__) / "embedded" / name).read_bytes())
    return cache_dir() / f"cmdstan-{release.stan}-{digest.hexdigest()[:12]}"


def _fill_home(stan: str, library: str, folder: Path) -> None:
    for name in _SOURCES:
        with as_file(files(__package__) / "embedded" / name) as source:
            shutil.copyfile(source, folder / name)
    makefile = folder / "makefile"
    versions = f"CMDSTAN_VERSION := {stan}\nLIBRARY ?= ../{library}\n"  # cmdstanpy reads the first line
    makefile.write_text(versions + makefile.read_text())
    (folder / "bin").mkdir()
    (folder / "bin" / "stanc").symlink_to(Path("..", "..", library, "stanc"))
    _make(folder, threads=False)


def _make(folder: Path, threads: bool) -> None:
    tools = require_toolchain()
    command = [*(tools.make or "make").split(), "front_end", f"CXX={tools.compiler}"]
    if threads:
        command.append("STAN_THREADS=true")
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    logger.debug("make: %s%s", ran.stdout, ran.stderr)
    if ran.returncode:
        raise ToolchainError(
            f"CmdStan's front end does not compile with {tools.compiler_version}; the last lines:\n"
            f"{last_lines(ran.stderr or ran.stdout)}"
        )
