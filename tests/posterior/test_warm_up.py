"""What is compiled ahead is what a run calls, with arrays of the same types."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

import bayesde
from bayesde.posterior import SamplingOptions, fit_posterior
from bayesde.posterior.warm_up import PARTS, warm_up
from bayesde.results import tab_separated

ROOM = Path(bayesde.__file__).parent


def compiled():
    """Signatures of all compiled loops of the posterior, by name."""
    found = {}
    for path in sorted((ROOM / "posterior").rglob("*.py")):
        name = ".".join(["bayesde", *path.relative_to(ROOM).with_suffix("").parts])
        if name in sys.modules:
            for loop in vars(import_module(name)).values():
                if isinstance(loop, Dispatcher):
                    found[loop.py_func.__module__, loop.py_func.__name__] = set(loop.signatures)
    return found


PROGRAM = """
import sys
sys.path[:0] = {path!r}
from test_warm_up import missing
print(missing())
"""


def missing():
    """Warm up, then run, and return what the run had to compile or load itself."""
    for part in PARTS:
        warm_up(part)
    before = compiled()
    counts = bayesde.load_pasilla()
    few = counts.subset(genes=list(counts.genes[::12]))
    posterior = fit_posterior(few, "~ type + condition", options=SamplingOptions(hand_over=False))
    tab_separated(posterior.results(lfc_threshold=0.5))
    assert posterior.draws["beta"].size
    posterior.without_outliers()
    after = compiled()
    return sorted(name for name, signatures in after.items() if signatures - before.get(name, set()))


def test_a_run_compiles_nothing_but_what_was_compiled_ahead():
    program = PROGRAM.format(path=[str(Path(__file__).parent), *sys.path])
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("part", PARTS)
def test_parts_run_as_processes(part):
    command = [sys.executable, "-m", "bayesde.posterior.warm_up", part]
    ran = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOM.parent)}
    )
    assert (ran.returncode, ran.stderr) == (0, "")
