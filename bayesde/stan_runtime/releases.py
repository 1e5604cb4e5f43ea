"""Which wheels contain Stan: the versions, and every file that was published for a system.

Nothing else in the package states a version of Stan or of the wheel.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass

from bayesde.errors import ToolchainError
from bayesde.stan_runtime.toolchain import EB_NEEDS_NONE

__all__ = ["STAN_VERSION", "Release", "release_for_this_system"]

STAN_VERSION = "2.39.0"
"""The newest Stan that bayesde has been tried with, and the one that is installed where there is none."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release of the wheel ``httpstan``, as published for one system.

    Parameters
    ----------
    httpstan, stan : str
        Its version, and that of the Stan in it.
    tag : str
        The platform tag to ask pip for.
    files : mapping of str to tuple of str
        For each CPython ("3.12") the SHA-256 of every file. Any of them will do, for nothing in the wheel is
        imported.
    """

    httpstan: str
    stan: str
    tag: str
    files: Mapping[str, tuple[str, ...]]

    @property
    def requirement(self) -> str:
        """The release as pip writes it."""
        return f"httpstan=={self.httpstan}"

    @property
    def hashes(self) -> tuple[str, ...]:
        """The SHA-256 of every file."""
        return tuple(sha256 for published in self.files.values() for sha256 in published)


_LINUX_X86_64 = Release(
    httpstan="4.17.0",
    stan=STAN_VERSION,
    tag="manylinux2014_x86_64",
    files={
        "3.12": ("7f73e29a415718ddc45e4703c0253a9d4adc6a21aa7110ccf36821a0f94202cd",),
        "3.13": ("b05349967ad19a6970d4392732653b8ad98839cb3cb7a7e8a493ae70a264988e",),
        "3.14": ("c118898d4f6c0f724748a8fcefab1a27f79d6c76a717e1e1e89838dd3719f3d2",),
    },
)
_MACOS_ARM64 = Release(
    httpstan="4.17.0",
    stan=STAN_VERSION,
    tag="macosx_14_0_arm64",
    files={
        "3.12": ("ce276d71c7bfe82f1c3f84f19a472dbccbbd3f23b265f7d09b68dd611457fad3",),
        "3.13": ("f1559fce9ae4aaff28e5faaad368591a43d158869b378fc0ed2fea9731ee8510",),
        "3.14": ("5a6cb7afec68f81b2595b4cfacaa53c09386ad8bf9dec477ac79a141e7516658",),
    },
)
_MACOS_X86_64 = Release(  # the last that was published for this system
    httpstan="4.13.0",
    stan="2.35.0",
    tag="macosx_13_0_x86_64",
    files={
        "3.10": ("d74077e482391586da9510847bd56cb7feb6fbed8b32bfc741c9067f1bb5cd17",),
        "3.11": ("d0c0807843d75629f61876319d5715e6a4efcc0c7b55fdbaa970baa86e7d2b09",),
        "3.12": ("046cc66f0adbf7e149361ccaa76a0e1478ed865490d1288eb91ef5007d4de590",),
        "3.13": ("dfb5bc019969659d46ad3e4db93bf4c1cebb787f9b7fd32ca66fc38beca6c861",),
    },
)
_RELEASES = {
    ("Linux", "x86_64"): _LINUX_X86_64,
    ("Darwin", "arm64"): _MACOS_ARM64,
    ("Darwin", "x86_64"): _MACOS_X86_64,
}


def release_for_this_system() -> Release:
    """Return the release of the wheel that this machine can use.

    Raises
    ------
    ToolchainError
        There is none for this system.
    """
    system = (platform.system(), platform.machine())
    is_musl = system[0] == "Linux" and platform.libc_ver()[0] != "glibc"
    if system not in _RELEASES or is_musl:
        raise ToolchainError(
            f"there is no Stan wheel for {system[0]} on {system[1]}{' (musl)' if is_musl else ''}; there are "
            "wheels for Linux x86_64 (glibc) and macOS. Install a CmdStan release: conda install -c "
            f"conda-forge cmdstan. {EB_NEEDS_NONE}"
        )
    return _RELEASES[system]
