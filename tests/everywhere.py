"""The suite under other kernels, targets, Pythons and orders, and the package as it is installed.

    python tests/everywhere.py              # everything that this machine has
    python tests/everywhere.py STEP ...     # some of it; --list names the steps

Each step runs in processes of its own, with variables of its own; those of the caller stay as they are. A
Python that is not there, and a kernel that the processor cannot run, are skipped by name. Ends with 1 if a
step failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENTS = REPOSITORY / ".venv-everywhere"
BLAS_KERNELS = ("Haswell", "SkylakeX", "Nehalem")
NUMBA_TARGETS = ("generic", "haswell")
PYTHONS = ("3.11", "3.12", "3.13")


class Skipped(Exception):
    """The machine has not what a step needs."""


def call(*command: str | Path, cwd: Path = REPOSITORY, **variables: str) -> None:
    """Run a command with some variables set; raise if it fails."""
    print("$", *(f"{name}={value}" for name, value in variables.items()), *command, flush=True)
    ended = subprocess.run([str(part) for part in command], cwd=cwd, env=os.environ | variables)
    if ended.returncode == -signal.SIGILL:
        raise Skipped("this processor cannot run it (illegal instruction)")
    if ended.returncode:
        raise RuntimeError(f"exit code {ended.returncode}")


def suite(python: str | Path = sys.executable, *options: str, **variables: str) -> None:
    """Run the tests that need no Stan, in random order, with CI=true so that nothing is skipped for want."""
    order = ("--shuffle", str(int(time.time()) % 10_000))
    shared = ("-n", "2", "--dist", "loadfile")
    call(python, "-m", "pytest", "-q", "-m", "not stan", *shared, *order, *options, CI="true", **variables)


def other_python(version: str) -> Path:
    """Find a Python of this version: on the path, or among those of pyenv."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [*root.glob(f"{version}.*/bin/python"), *root.glob(f"{version}/bin/python")]
    on_path = shutil.which(f"python{version}")
    for candidate in ([Path(on_path)] if on_path else []) + sorted(found):
        runs = subprocess.run([candidate, "-c", "import venv, ssl"], capture_output=True)
        if runs.returncode == 0:
            return candidate
    raise Skipped(f"there is no Python {version} on this machine")


def environment(version: str) -> Path:
    """Make a virtual environment of this version with the package and its tests; return its Python."""
    python = ENVIRONMENTS / version / "bin" / "python"
    if not python.exists():
        call(other_python(version), "-m", "venv", ENVIRONMENTS / version)
    call(python, "-m", "pip", "install", "--quiet", "--editable", ".[test]")
    return python


def second_python() -> str:
    """Name a version other than this one that the machine has."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    for version in reversed([version for version in PYTHONS if version != running]):
        try:
            other_python(version)
        except Skipped:
            continue
        return version
    raise Skipped("there is no second Python on this machine")


def installed(kind: str) -> None:
    """Build a wheel or an sdist, install it in a clean environment and run the demo in an empty folder."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        call(sys.executable, "-m", "venv", folder / "venv")
        python, files = folder / "venv" / "bin" / "python", folder / "dist"
        if kind == "wheel":
            call(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", files, ".")
        else:
            call(python, "-m", "pip", "install", "--quiet", "hatchling")
            call(python, "-m", "hatchling", "build", "-t", "sdist", "-d", files)
        call(python, "-m", "pip", "install", "--quiet", next(files.iterdir()))
        empty = folder / "empty"
        empty.mkdir()
        call(python, "-m", "bayesde", "demo", "--out", "demo", cwd=empty)
        wanted = ["results.tsv", "posterior.zarr", "plots"]
        missing = [name for name in wanted if not (empty / "demo" / name).exists()]
        if missing:
            raise RuntimeError(f"the demo left no {', '.join(missing)}")


def steps() -> dict[str, Callable[[], None]]:
    """Name everything there is to do, in order."""
    found: dict[str, Callable[[], None]] = {
        "stan": lambda: call(sys.executable, "-m", "pytest", "-q", "-m", "stan"),
        "bytes": lambda: call(
            sys.executable, "-m", "benchmarks.same_bytes", "--part", "estimates", "--part", "posterior"
        ),
    }
    for kernel in BLAS_KERNELS:
        found[f"blas-{kernel}"] = lambda kernel=kernel: suite(OPENBLAS_CORETYPE=kernel)
    for target in NUMBA_TARGETS:
        variables = {"NUMBA_CPU_NAME": target, "NUMBA_CPU_FEATURES": ""}
        found[f"numba-{target}"] = lambda variables=variables: suite(**variables)
    found["indices"] = lambda: suite(NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(ENVIRONMENTS / "checked"))
    for version in PYTHONS:
        found[f"python-{version}"] = lambda version=version: suite(environment(version))
    found["second-python"] = lambda: suite(environment(second_python()))
    found["wheel"] = lambda: installed("wheel")
    found["sdist"] = lambda: installed("sdist")
    return found


def told(outcomes: Mapping[str, str]) -> str:
    """Tabulate what became of the steps."""
    width = max(map(len, outcomes), default=0)
    return "\n".join(f"{name:{width}}  {outcome}" for name, outcome in outcomes.items())


def main() -> int:
    """Run the steps that are asked for; return 1 if one failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", nargs="*", help="steps to run; by default all but second-python")
    parser.add_argument("--list", action="store_true", help="name the steps and end")
    given, known = parser.parse_args(), steps()
    if given.list:
        print(*known, sep="\n")
        return 0
    if unknown := [name for name in given.step if name not in known]:
        parser.error(f"unknown step(s) {', '.join(unknown)}; there are {', '.join(known)}")
    outcomes = {}
    for name in given.step or [name for name in known if name != "second-python"]:
        start = time.monotonic()
        try:
            known[name]()
            outcomes[name] = "passed"
        except Skipped as reason:
            outcomes[name] = f"skipped: {reason}"
        except (RuntimeError, OSError) as error:
            outcomes[name] = f"FAILED: {error}"
        outcomes[name] += f" ({time.monotonic() - start:.0f} s)"
        print(f"== {name}: {outcomes[name]}", flush=True)
    print(told(outcomes))
    return int(any(outcome.startswith("FAILED") for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
