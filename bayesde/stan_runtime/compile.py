"""Compile Stan programs once and keep them.

A compiled program is kept in the cache under a key made of its source, all files that it includes, the flags
and the CmdStan it was compiled with, together with a copy of those sources.
"""

from __future__ import annotations

import hashlib
import logging
import re
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import bayesde
from bayesde.errors import InputError, ToolchainError
from bayesde.stan_runtime.cache import build_folder, cache_dir, is_complete
from bayesde.stan_runtime.embedded import Progress, compile_front_end, last_lines
from bayesde.stan_runtime.install import ensure_cmdstan
from bayesde.stan_runtime.locate import CmdStanHome
from bayesde.stan_runtime.quiet_cmdstanpy import import_cmdstanpy
from bayesde.stan_runtime.toolchain import require_toolchain

if TYPE_CHECKING:
    from cmdstanpy import CmdStanModel

__all__ = ["compiled_model", "stan_source_dir"]

logger = logging.getLogger(__name__)

_INCLUDE = re.compile(r"^\s*#include\s+[<\"]?([^>\"\s]+)", re.MULTILINE)


def stan_source_dir() -> Path:
    """Return the folder of bayesde's Stan programs.

    Returns
    -------
    pathlib.Path
        ``bayesde/stan`` in an installed package, ``stan`` of the repository in an editable one.

    Raises
    ------
    ToolchainError
        The installation is incomplete.
    """
    package = Path(bayesde.__file__).parent
    for folder in (package / "stan", package.parent / "stan"):
        if folder.is_dir():
            return folder
    raise ToolchainError(
        f"bayesde's Stan programs are missing (looked for {package / 'stan'}): reinstall bayesde."
    )


def compiled_model(
    name_or_path: str | PathLike[str], threads: bool = False, progress: Progress | None = None
) -> CmdStanModel:
    """Return a compiled Stan program, compiling it if it is not in the cache.

    Parameters
    ----------
    name_or_path : str or path
        The name of one of bayesde's programs ("genes"), or a file ``*.stan``.
    threads : bool
        Compile with threads (STAN_THREADS), as ``reduce_sum`` needs; somewhat slower on one thread.
    progress : callable, optional
        Called with one line of text at each step that takes long.

    Returns
    -------
    cmdstanpy.CmdStanModel
        Ready for sample, optimize, pathfinder, laplace_sample, generate_quantities and log_prob.

    Raises
    ------
    InputError
        There is no such program, or a file that it includes is missing.
    ToolchainError
        No compiler, no CmdStan, or the program does not compile: with the compiler's last lines.
    """
    source = _find_program(name_or_path)
    sources = _with_includes(source)
    home = ensure_cmdstan(progress)
    folder = cache_dir() / "programs" / f"{source.stem}-{_key(sources, threads, home)}"
    if not is_complete(folder):
        require_toolchain()
        if home.source == "embedded":
            compile_front_end(home, threads, progress)
        (progress or logger.info)(f"compiling {source.name} (half a minute, once)")
        build_folder(folder, partial(_compile, source.name, sources, threads))
    return _model(folder / source.name, threads, is_compiled=True)


def _find_program(name_or_path: str | PathLike[str]) -> Path:
    path = Path(name_or_path)
    if path.suffix == ".stan":
        if path.is_file():
            return path.absolute()
        raise InputError(f"there is no Stan program {path}.")
    source = stan_source_dir() / f"{name_or_path}.stan"
    if source.is_file():
        return source
    known = ", ".join(sorted(file.stem for file in stan_source_dir().glob("*.stan"))) or "none"
    raise InputError(
        f"there is no Stan program '{name_or_path}'; the programs are: {known}. The name of a file must end "
        "in .stan."
    )


def _with_includes(source: Path) -> dict[str, bytes]:
    """Map the program's file name, and each included file's name as written there, to their contents."""
    contents = {source.name: source.read_bytes()}
    waiting = [source.name]
    while waiting:
        name = waiting.pop()
        for included in _INCLUDE.findall(contents[name].decode()):
            if included not in contents:
                contents[included] = _read_include(included, name, source.parent)
                waiting.append(included)
    return contents


def _read_include(included: str, includer: str, folder: Path) -> bytes:
    if Path(included).is_absolute() or ".." in Path(included).parts:
        raise InputError(
            f"{includer} includes {included}; an included file must lie below the program's folder."
        )
    for place in (folder, stan_source_dir()):
        if (place / included).is_file():
            return (place / included).read_bytes()
    raise InputError(f"{includer} includes {included}, which is not in {folder}.")


def _key(sources: dict[str, bytes], threads: bool, home: CmdStanHome) -> str:
    digest = hashlib.sha256(f"{home.identity}\0threads={threads}".encode())
    for name, content in sorted(sources.items()):
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:20]


def _compile(program: str, sources: dict[str, bytes], threads: bool, folder: Path) -> None:
    for name, content in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    try:
        _model(folder / program, threads, is_compiled=False)
    except (ValueError, RuntimeError) as error:
        raise ToolchainError(
            f"{program} does not compile; the last lines:\n{last_lines(str(error))}"
        ) from error
    for leftover in (file for ending in ("hpp", "o", "d") for file in folder.glob(f"*.{ending}")):
        leftover.unlink()


def _model(program: Path, threads: bool, is_compiled: bool) -> CmdStanModel:
    return import_cmdstanpy().CmdStanModel(
        stan_file=program,
        exe_file=program.with_suffix("") if is_compiled else None,
        stanc_options={"include-paths": [str(program.parent)]},
        cpp_options={"STAN_THREADS": True} if threads else None,
    )
