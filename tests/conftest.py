"""Fixtures that every test may use."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from bayesde.cli import main
from bayesde.stan_runtime import CmdStanHome, ensure_cmdstan
from bayesde.stan_runtime.toolchain import find_toolchain

REPOSITORY = Path(__file__).resolve().parents[1]
ON_CI = os.environ.get("CI") == "true"

# The same examples everywhere and every time, however slow the machine, and no folder for those that failed.
hypothesis.settings.register_profile(
    "bayesde",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("bayesde")


NEEDS_STAN = {"compiler", "cmdstan"}
"""A test with one of these fixtures, its own or another fixture's, is marked ``stan``."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that runs tests in another order."""
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run files, and the tests in each, in random order"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs Stan; shuffle files, and tests within them, if asked to."""
    for item in items:
        if NEEDS_STAN & set(getattr(item, "fixturenames", ())):
            item.add_marker("stan")
    seed = config.getoption("--shuffle")
    if seed is not None:
        chance = random.Random(seed)
        place = {path: chance.random() for path in dict.fromkeys(item.path for item in items)}
        chance.shuffle(items)
        items.sort(key=lambda item: place[item.path])


COMPILING = pytest.StashKey[subprocess.Popen]()
PROGRAM = """
from bayesde.stan_runtime import compiled_model
compiled_model("joint", threads=True)
compiled_model("genes")
"""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Compile our Stan programs, which takes minutes, on another core while the first tests run.

    A test that needs one of them waits for it. What fails here fails again, and is told, where it is needed.
    """
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        return
    wanted = any(item.get_closest_marker("stan") for item in session.items)
    if wanted and not session.config.option.collectonly and not find_toolchain().advice:
        silent = subprocess.DEVNULL
        session.config.stash[COMPILING] = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=REPOSITORY,
            stdin=silent,
            stdout=silent,
            stderr=silent,
            start_new_session=True,
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the compilation, compilers included, with the tests."""
    compiling = config.stash.get(COMPILING, None)
    if compiling is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(compiling.pid, signal.SIGTERM)
        compiling.wait()


def skip_or_fail(reason: str) -> None:
    """Skip on a developer's machine, fail on continuous integration."""
    if ON_CI:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _no_figure_left_open() -> Iterator[None]:
    """Close what a test drew with pyplot, which keeps its figures for the whole process."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real counts and of R's answers, kept beside the repository."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "ref" / "README.md").exists():
        skip_or_fail(f"the reference data are not beside the repository ({folder.name}/ is missing)")
    return folder


@pytest.fixture(scope="session")
def compiler() -> None:
    """A C++ compiler and make, without which no Stan program can be compiled."""
    missing = find_toolchain().advice
    if missing:
        skip_or_fail(f"the tests of Stan need a compiler: {missing}")


@pytest.fixture(scope="session")
def cmdstan(compiler: None) -> CmdStanHome:
    """The CmdStan that bayesde would use on this machine, installed now if there is none."""
    return ensure_cmdstan()


@pytest.fixture
def bayesde(monkeypatch, capsys):
    """Run the command line in this process; return exit code, standard output and standard error.

    As on a machine where everything is compiled, whatever the tests before have compiled; what a first run
    says and does is for tests/runs/test_compiling.py.
    """
    monkeypatch.setattr("bayesde.runs.compiling.is_cold", lambda module: False)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["bayesde", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        streams = capsys.readouterr()
        return ended.value.code or 0, streams.out, streams.err

    return call


@pytest.fixture(scope="module")
def dask_client() -> Iterator[Any]:
    """Return a client of a Dask cluster of two worker processes; its ports are free ones."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client
