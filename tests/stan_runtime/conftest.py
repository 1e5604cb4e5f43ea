"""One program, compiled once for the whole run, whose posterior is known in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from bayesde.stan_runtime import CmdStanHome, compiled_model
from bayesde.stan_runtime.embedded import build_embedded

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
