"""One program, compiled once for the whole run, whose posterior is known in closed form.

Tests that run no program get `tools` and `pretended_home`: a compiler, make and a CmdStan in name only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from stan_runtime.wheels import release_of

from bayesde.stan_runtime import CmdStanHome, compiled_model, embedded
from bayesde.stan_runtime.cache import build_folder
from bayesde.stan_runtime.embedded import build_embedded
from bayesde.stan_runtime.releases import STAN_VERSION

PROGRAM = Path(__file__).parent / "normal.stan"


class Known(NamedTuple):
    """Data of the program and the exact posterior of mu."""

    data: dict[str, Any]
    mean: float
    sd: float


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the test's own folder: a program with profile sections writes profile.csv where it runs."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler and make that say their version and do nothing else."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("g++", "make"):
        (folder / name).write_text(f"#!/bin/sh\necho {name} 12.2\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    for name in ("CXX", "MAKE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def pretended_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CmdStanHome:
    """An embedded CmdStan in a cache of its own: folders that are complete, and hold next to nothing."""
    monkeypatch.setenv("BAYESDE_CACHE", str(tmp_path / "a cache"))  # the cache must not care about blanks
    monkeypatch.setenv("BAYESDE_CMDSTAN", "embedded")
    monkeypatch.setenv("CMDSTAN", "")
    release = release_of(tmp_path / "published")
    monkeypatch.setattr(embedded, "release_for_this_system", lambda: release)
    build_folder(embedded.library_folder(release), lambda _: None)
    build_folder(embedded._home_folder(release), _lay_out)
    home = embedded.built_embedded()
    assert home is not None
    return home


def _lay_out(folder: Path) -> None:
    for name in ("bin/stanc", "front_end.cpp", "front_end.o", "front_end_threads.o"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "makefile").write_text(f"CMDSTAN_VERSION := {STAN_VERSION}\n")


@pytest.fixture(scope="session")
def embedded_home(compiler: None) -> CmdStanHome:
    """The embedded CmdStan, whatever other CmdStan this machine has."""
    return build_embedded()


def _compile(threads: bool) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAYESDE_CMDSTAN", "embedded")
        model = compiled_model(PROGRAM, threads=threads)
    return model


@pytest.fixture(scope="session")
def _normal(embedded_home: CmdStanHome) -> Any:
    return _compile(threads=False)


@pytest.fixture(scope="session")
def _threaded(embedded_home: CmdStanHome) -> Any:
    return _compile(threads=True)


@pytest.fixture
def normal(_normal: Any, embedded_home: CmdStanHome, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program without threads, as a cmdstanpy model that uses the embedded CmdStan."""
    monkeypatch.setenv("CMDSTAN", str(embedded_home.path))
    monkeypatch.delenv("STAN_NUM_THREADS", raising=False)
    return _normal


@pytest.fixture
def threaded(_threaded: Any, embedded_home: CmdStanHome, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program with threads."""
    monkeypatch.setenv("CMDSTAN", str(embedded_home.path))
    monkeypatch.delenv("STAN_NUM_THREADS", raising=False)
    return _threaded


@pytest.fixture(scope="session")
def known() -> Known:
    y = np.random.default_rng(20).normal(3.0, 2.0, size=40)
    variance = 1 / (1 / 10.0**2 + y.size / 2.0**2)
    data = {"N": y.size, "y": y.tolist(), "sigma": 2.0, "grainsize": y.size}
    return Known(data, variance * y.sum() / 2.0**2, variance**0.5)
