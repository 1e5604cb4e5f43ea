"""Runs that are killed, damaged and gone on with give the very draws of a run that was left alone."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bayesde import datasets
from bayesde.posterior.options import SamplingOptions
from bayesde.runs import RunPlan, resume, run, status
from bayesde.runs.directory import RunDirectory
from bayesde.runs.options import ModelPlan, RunFiles, SamplePlan

N_GENES, BLOCK = 8, 2
CHECKS = {"block_size": BLOCK, "min_ess": 0.0, "max_rhat": 10.0}
"""No gene is sampled again for its few draws."""
HELD_UP = """
import dataclasses, os, pathlib, subprocess, sys, time
from bayesde.cli import main
from bayesde.posterior.stan import nuts

out, plain = pathlib.Path(sys.argv[sys.argv.index("--out") + 1]), nuts.run_chains
held, go_on = out.with_suffix(".held"), out.with_suffix(".go_on")

def run_chains(program, data, starts, settings, seed, variables):
    if any(out.glob("blocks/*/ok")) and not go_on.exists():
        if os.environ["STOPPED_BY"] != "SIGKILL":
            with subprocess.Popen(["sleep", "1000000"]) as sampler:
                held.touch()
                while not go_on.exists():
                    time.sleep(0.02)
                assert sampler.poll() is None, "the signal reached the samplers"
                sampler.kill()
        else:
            settings = dataclasses.replace(settings, warmup=10**8)
            held.touch()
    return plain(program, data, starts, settings, seed, variables)

nuts.run_chains = run_chains
main()
"""
"""The command line; but once a block is finished the next one is held up, however fast the machine.

By Stan, which does not come to an end; or, where the block under way is to be finished, by another process
that is started as Stan's are, until a file tells it to go on.
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a list of a few genes and a configuration of small blocks."""
    made = tmp_path_factory.mktemp("runs")
    panel = [line for line in datasets.panel_path().read_text().splitlines() if not line.startswith("#")]
    (made / "genes.txt").write_text("\n".join(panel[:: len(panel) // N_GENES][:N_GENES]) + "\n")
    lines = [f"{name} = {value}" for name, value in CHECKS.items()]
    (made / "run.toml").write_text("\n".join(["[sampling]", *lines]) + "\n")
    return made


def plan(folder):
    counts, samples = datasets.path("pasilla")
    return RunPlan(
        command="sample",
        files=RunFiles(counts=str(counts), samples=str(samples), genes=str(folder / "genes.txt")),
        model=ModelPlan(design="~ type + condition", contrast=("condition", "treated", "untreated")),
        sample=SamplePlan(engine="nuts", draws=60, warmup=150, chains=2, seed=11, hyperparameters="eb"),
        sampling=SamplingOptions(**CHECKS),
    )


@pytest.fixture(scope="module")
def undisturbed(folder, cmdstan):
    """A run that nobody interrupts."""
    outcome = run(plan(folder), folder / "undisturbed", workers=1)
    return outcome.directory


def draws(directory):
    return xr.open_zarr(directory / "posterior.zarr", chunks=None).load()


def assert_same(first: Path, second: Path):
    ours, theirs = draws(first), draws(second)
    assert list(ours.gene.values) == list(theirs.gene.values)
    for name in ours.data_vars:
        np.testing.assert_array_equal(ours[name].values, theirs[name].values)
    assert (first / "results.tsv").read_bytes() == (second / "results.tsv").read_bytes()
    assert (first / "diagnostics.tsv").read_bytes() == (second / "diagnostics.tsv").read_bytes()


def finished_blocks(directory):
    return sorted((directory / "blocks").glob("*/ok"))


def test_a_run_leaves_what_the_contract_says(undisturbed):
    names = {entry.name for entry in undisturbed.iterdir()} - {".lock"}
    assert names == {
        "run.json",
        "hyperparameters.json",
        "blocks",
        "draws",
        "posterior.zarr",
        "results.tsv",
        "results.columns.json",
        "diagnostics.tsv",
        "outlier_counts.tsv",
        "plots",
        "eb",
        "shrunken",
        "log.txt",
    }
    pictures = {entry.name for entry in (undisturbed / "plots").iterdir()}
    assert pictures == {"ma.png", "dispersion.png", "intervals.png"}
    record = json.loads((undisturbed / "run.json").read_text())
    assert record["state"] == "finished"
    assert record["plan"]["sample"]["seed"] == 11
    assert set(record["inputs"]) == {"counts", "samples", "genes"}
    made = draws(undisturbed)
    assert made["beta"].sizes == {"chain": 2, "draw": 60, "gene": N_GENES, "coefficient": 3}
    assert made["beta"].dtype == np.float32
    seen = status(undisturbed)
    assert (seen.state, seen.done, seen.total) == ("finished", N_GENES // BLOCK, N_GENES // BLOCK)


def settled(out):
    """The state once the samplers, which hold the folder's lock too, have ended."""
    while (seen := status(out)).state == "running":
        time.sleep(0.05)
    return seen


def wait_while(process, unmet):
    """Wait for a process to come so far, or to end."""
    while process.poll() is None and unmet():
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_stopped_at_any_time_and_gone_on_with(folder, undisturbed, how):
    counts, samples = datasets.path("pasilla")
    out = folder / how.name
    command = [sys.executable, "-c", HELD_UP, "sample", counts, samples, "--design", "~ type + condition"]
    command += ["--contrast", "condition,treated,untreated", "--genes", folder / "genes.txt", "--out", out]
    command += ["--draws", "60", "--warmup", "150", "--chains", "2", "--seed", "11", "--workers", "1"]
    command += ["--engine", "nuts", "--hyperparameters", "eb"]
    command += ["--config", folder / "run.toml"]
    process = subprocess.Popen(
        [str(word) for word in command],
        env=os.environ | {"STOPPED_BY": how.name},
        start_new_session=True,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    try:
        wait_while(process, lambda: not out.with_suffix(".held").exists())
        os.killpg(process.pid, how)  # to the samplers too, as a terminal does it
        wait_while(process, lambda: "stopping after the current blocks" not in (out / "log.txt").read_text())
        out.with_suffix(".go_on").touch()
        _, said = process.communicate()
    finally:  # nothing goes on without end if this test is stopped
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    done = finished_blocks(out)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 4}.get(how, -how)
    if how != signal.SIGKILL:
        assert f"bayesde resume {out}" in said.decode()
    # without SIGKILL: the block that was held up, and the next if that has begun before the run stops
    assert len(done) in ((1,) if how == signal.SIGKILL else (2, 3))
    assert not (out / "results.tsv").exists()
    seen = settled(out)
    assert (seen.state, seen.done) == ("interrupted", len(done))
    times = [mark.stat().st_mtime_ns for mark in done]
    resume(out, workers=2)
    assert [mark.stat().st_mtime_ns for mark in done] == times, "finished blocks are not done again"
    assert_same(out, undisturbed)


def test_a_half_written_and_a_lost_block_are_done_again(folder, undisturbed):
    out = run(plan(folder), folder / "damaged", workers=2).directory
    assert_same(out, undisturbed)
    half, lost, *kept = [mark.parent for mark in finished_blocks(out)]
    times = [(block / "ok").stat().st_mtime_ns for block in kept]
    (half / "ok").unlink()
    for file in half.iterdir():
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    for file in lost.iterdir():
        file.unlink()
    lost.rmdir()
    RunDirectory(out).update(state="running")
    (out / "results.tsv").unlink()
    resume(out)
    assert_same(out, undisturbed)
    assert [(block / "ok").stat().st_mtime_ns for block in kept] == times


def test_another_seed_gives_other_draws(folder, undisturbed):
    made = plan(folder)
    other = RunPlan(
        command="sample",
        files=made.files,
        model=made.model,
        sample=dataclasses.replace(made.sample, seed=12),
        sampling=made.sampling,
    )
    out = run(other, folder / "seed").directory
    assert not np.array_equal(draws(out)["beta"].values, draws(undisturbed)["beta"].values)
