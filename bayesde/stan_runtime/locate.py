"""Which CmdStan is already installed, and the one function that sets it for cmdstanpy.

Looking for one writes nothing. A folder is a CmdStan home if it has a ``makefile`` that states its version
and a ``bin/stanc``. `SUPPORTED` lists the versions that may be used: an older one is skipped, or refused
where $CMDSTAN names it; a newer one is used, with a warning.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from bayesde.errors import OptionError, ToolchainError
from bayesde.stan_runtime.releases import STAN_VERSION

__all__ = [
    "FRONT_END",
    "SUPPORTED",
    "CmdStanHome",
    "activate",
    "find_existing",
    "forced_source",
    "too_old_note",
    "read_home",
]

Source = Literal["existing", "release", "embedded"]

FRONT_END = "front_end.cpp"  # only the embedded home has this file
MINIMUM_VERSION = (2, 33)  # the oldest with which both programs were compiled and compared
SUPPORTED = f"{'.'.join(map(str, MINIMUM_VERSION))} to {STAN_VERSION.rpartition('.')[0]}"
"""The versions of CmdStan that bayesde supports, in words."""


@dataclass(frozen=True)
class CmdStanHome:
    """A CmdStan that can compile programs.

    Parameters
    ----------
    path : pathlib.Path
        Its home folder.
    version : str
        Of Stan, as "2.39.0".
    source : {"existing", "release", "embedded"}
        Whether it was found, installed as a release, or built from the wheel.
    """

    path: Path
    version: str
    source: Source

    @property
    def identity(self) -> str:
        """A hash of what determines how programs are compiled: the folder, its version and its make files."""
        digest = hashlib.sha256(f"{self.version}\0{self.path}".encode())
        for name in ("makefile", "make/local"):
            file = self.path / name
            digest.update(file.read_bytes() if file.is_file() else b"\0")
        return digest.hexdigest()

    @property
    def version_warning(self) -> str:
        """A warning where the version is newer than the supported ones; otherwise empty."""
        if _version_tuple(self.version)[:2] <= _version_tuple(STAN_VERSION)[:2]:
            return ""
        return (
            f"CmdStan {self.version} in {self.path} is newer than the versions that bayesde supports "
            f"({SUPPORTED}); if programs do not compile or sample, set BAYESDE_CMDSTAN=embedded, or CMDSTAN "
            "to another CmdStan."
        )


def forced_source() -> Source | None:
    """Read the environment variable BAYESDE_CMDSTAN, which forces where CmdStan comes from.

    Returns
    -------
    str or None
        "existing", "release" or "embedded"; None where the variable is not set.

    Raises
    ------
    OptionError
        It is set to something else.
    """
    value = os.environ.get("BAYESDE_CMDSTAN")
    if not value:
        return None
    if value in get_args(Source):
        return cast(Source, value)
    raise OptionError(f"BAYESDE_CMDSTAN is '{value}'; it may be existing, release or embedded, or not set.")


def read_home(path: Path) -> CmdStanHome | None:
    """Describe a folder that may be a CmdStan home.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    CmdStanHome or None
        None where it is not one.
    """
    makefile, stanc = path / "makefile", path / "bin" / "stanc"
    if not makefile.is_file() or not (stanc.is_file() or stanc.with_suffix(".exe").is_file()):
        return None
    stated = re.search(r"^CMDSTAN_VERSION := (\d+\.\d+\.\S+)", makefile.read_text(errors="replace"), re.M)
    if stated is None:
        return None
    return CmdStanHome(path, stated[1], "embedded" if (path / FRONT_END).exists() else "existing")


def find_existing() -> CmdStanHome | None:
    """Find a CmdStan that the user has: $CMDSTAN, the active conda environment, or cmdstanpy's own folder.

    Returns
    -------
    CmdStanHome or None
        The first of these that is complete and new enough. Never the embedded one.

    Raises
    ------
    ToolchainError
        $CMDSTAN names a folder that is not a usable CmdStan.
    """
    named = _named_home()
    if named is not None and named.source != "embedded":
        return named
    return next((home for home in _usual_homes() if not _is_old(home)), None)


def too_old_note() -> str:
    """Return a note on CmdStans in the usual places that are too old; empty where there are none."""
    old = [f"{home.version} in {home.path}" for home in _usual_homes() if _is_old(home)]
    if not old:
        return ""
    return (
        f"Not used, because bayesde supports CmdStan {SUPPORTED}: CmdStan {', '.join(old)}. Install a newer "
        "one (bayesde install-stan)."
    )


def activate(home: CmdStanHome) -> None:
    """Make cmdstanpy use this CmdStan, by $CMDSTAN, for this process and its children.

    Parameters
    ----------
    home : CmdStanHome
    """
    os.environ["CMDSTAN"] = str(home.path)


def _named_home() -> CmdStanHome | None:
    named = os.environ.get("CMDSTAN")
    if not named:
        return None
    home = read_home(Path(named).expanduser().absolute())
    advice = "Set CMDSTAN to a complete CmdStan folder, or unset it."
    if home is None:
        raise ToolchainError(
            f"CMDSTAN is set to {named}, which is not a CmdStan (no makefile with a version, or no "
            f"bin/stanc). {advice}"
        )
    if _is_old(home):
        raise ToolchainError(
            f"CMDSTAN is set to {named}, version {home.version}; bayesde supports CmdStan {SUPPORTED}. Set "
            "CMDSTAN to the folder of one of these, or unset it and run bayesde install-stan."
        )
    return home


def _is_old(home: CmdStanHome) -> bool:
    return _version_tuple(home.version) < MINIMUM_VERSION


def _usual_homes() -> list[CmdStanHome]:
    return [home for path in _usual_places() if (home := read_home(path)) is not None]


def _usual_places() -> list[Path]:
    prefix = os.environ.get("CONDA_PREFIX")
    conda = [Path(prefix) / "bin" / "cmdstan"] if prefix else []
    releases = Path.home().joinpath(".cmdstan").glob("cmdstan-*")
    return conda + sorted(releases, key=lambda path: _version_tuple(path.name[8:]), reverse=True)


def _version_tuple(version: str) -> tuple[int, ...]:
    """Order versions by their numbers; a release candidate comes before its release."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version.split("-")[0]))
    return (*numbers[:2], *numbers[2:], -1 if "-rc" in version else 0)
