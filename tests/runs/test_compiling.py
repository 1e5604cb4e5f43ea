"""First runs: known by an empty cache, told at once, and compiled by processes that leave with the run."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import bayesde
from bayesde.posterior.warm_up import PARTS, warm_up
from bayesde.runs import ModelPlan, RunFiles, RunPlan, compiling
from bayesde.runs.compiling import MESSAGES, POINT_ESTIMATES, SAMPLING, compiled_ahead, is_cold

ROOT = Path(bayesde.__file__).parents[1]
FILES, MODEL = RunFiles(counts="c.tsv", samples="s.tsv"), ModelPlan(design="~ a")


def plan(command):
    return RunPlan(command=command, files=FILES, model=MODEL)


@pytest.mark.parametrize("module", [POINT_ESTIMATES, SAMPLING])
def test_an_empty_cache_is_cold(module, tmp_path):
    program = f"from bayesde.runs.compiling import is_cold; print(is_cold({module!r}))"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert ran.stdout.strip() == "True"


def test_what_was_compiled_is_not_cold():
    warm_up("components")
    assert not is_cold(SAMPLING)


def test_nothing_is_said_where_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(compiling, "is_cold", lambda module: False)
    told = []
    with compiled_ahead(plan("sample"), lambda *what: told.append(what)) as ready:
        assert not ready.any
        ready.wait()
    assert told == []


def test_processes_end_with_the_run(monkeypatch):
    monkeypatch.setattr(compiling, "is_cold", lambda module: True)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(compiling, "_start", lambda *command: subprocess.Popen(sleeping))
    told, started = [], []

    def broken():
        with compiled_ahead(plan("sample"), lambda *what: told.append(what)) as ready:
            started.extend(ready.running)
            assert all(process.poll() is None for process in started)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert told == [(0, 0, MESSAGES["sample"])]
    assert len(started) == 1 + len(PARTS)
    assert all(process.poll() is not None for process in started)


@pytest.mark.parametrize(("cores", "processes"), [(1, 0), (2, 1)])
def test_point_estimates_start_one_process_where_there_is_a_core_for_it(monkeypatch, cores, processes):
    monkeypatch.setattr(compiling, "is_cold", lambda module: True)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    told = []
    with compiled_ahead(plan("eb"), lambda *what: told.append(what)) as ready:
        assert len(ready.running) == processes
    assert told == [(0, 0, MESSAGES["eb"])]


def test_random_effects_need_the_kernels_of_sampling(monkeypatch):
    monkeypatch.setattr(compiling, "is_cold", lambda module: True)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    told = []
    design = replace(MODEL, design="~ condition + (1 | donor)")
    with compiled_ahead(replace(plan("eb"), model=design), lambda *what: told.append(what)):
        assert told == [(0, 0, MESSAGES["sample"])]
