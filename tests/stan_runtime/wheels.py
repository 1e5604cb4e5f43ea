"""Small wheels that stand for the published ones, and a release that knows them."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from bayesde.stan_runtime.releases import Release

STANC = "httpstan/stanc"
INFO = "httpstan-1.2.3.dist-info"
NAMES = (STANC, "httpstan/include/stan/version.hpp", "httpstan/lib/libtbb.so.2", f"{INFO}/LICENSE")
TAGS = ("manylinux2014_x86_64.manylinux_2_17_x86_64", "manylinux_2_17_x86_64.manylinux2014_x86_64")


def make_wheel(folder: Path, python: str = "312", tags: str = TAGS[0], text: str = "") -> Path:
    """Write a wheel that pip accepts; `text` makes it another file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"httpstan-1.2.3-cp{python}-cp{python}-{tags}.whl"
    contents = {name: f"{name}{python}{tags}{text}" for name in NAMES} | {
        f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: httpstan\nVersion: 1.2.3\n",
        f"{INFO}/WHEEL": f"Wheel-Version: 1.0\nTag: cp{python}-cp{python}-{TAGS[0]}\n",
        f"{INFO}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # always the same date, so the same hash
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def release_of(folder: Path) -> Release:
    """Publish two wheels for CPython 3.12, their tags in another order, and one each for two others."""
    both = tuple(sha256(make_wheel(folder, "312", tags)) for tags in TAGS)
    others = {f"3.{minor}": (sha256(make_wheel(folder, f"3{minor}")),) for minor in (13, 14)}
    files = {"3.12": both, **others}
    return Release(httpstan="1.2.3", stan="2.39.0", tag="manylinux2014_x86_64", files=files)
