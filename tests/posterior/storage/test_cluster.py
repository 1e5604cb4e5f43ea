"""Blocks on the workers of a Dask cluster: the same numbers, also if workers are lost."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

import bayesde as bde
from bayesde.errors import ClusterError
from bayesde.posterior.hyper import learning
from bayesde.posterior.importance import blocks
from bayesde.posterior.storage import carrying_out
from bayesde.posterior.storage.block_folders import Block
from bayesde.workers.cluster import ClusterPool

N_GENES, DRAWS = 60, 100


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in {"DRAWS_TIMES_GENES": 1, "FEWEST_DRAWS": 100, "POINTS_TIMES_GENES": 1}.items():
        monkeypatch.setattr(learning, name, value)
    monkeypatch.setattr(blocks, "block_size", lambda *_: 5)


@pytest.fixture(scope="module")
def fit():
    return bde.fit_eb(bde.simulate(N_GENES, groups=(3, 3), seed=8).counts, "~ condition")


def posterior(fit, engine="psis", **machine):
    settings = bde.SamplingOptions(hand_over=False, min_ess=0.0, max_rhat=10.0, block_size=4)
    own = {"genes": list(fit.counts.genes[:16]), "chains": 2, "warmup": 100} if engine != "psis" else {}
    draws = DRAWS if engine == "psis" else 40
    return bde.fit_posterior(
        fit.counts, fit.design, eb=fit, engine=engine, draws=draws, options=settings, **own, **machine
    )


def assert_same(one, other):
    np.testing.assert_array_equal(one.gene_draws.theta, other.gene_draws.theta)
    assert one.diagnostics.equals(other.diagnostics)
    assert one.results().equals(other.results())


@pytest.mark.parametrize("shared", [True, False])
def test_the_same_numbers_as_here(fit, dask_client, tmp_path, shared):
    divided = posterior(fit, scheduler=dask_client, shared_folder=shared, directory=tmp_path)
    assert_same(posterior(fit), divided)
    assert len(list(tmp_path.glob("*/ok"))) == 12 + 1


def test_a_worker_that_is_killed_loses_nothing(fit, dask_client, tmp_path):
    undisturbed = posterior(fit)
    victim = next(iter(dask_client.run(os.getpid).values()))

    def kill():
        while not list(tmp_path.glob("*/ok")):
            time.sleep(0.01)
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    divided = posterior(fit, scheduler=dask_client, directory=tmp_path)
    killer.join()
    assert_same(undisturbed, divided)
    dask_client.wait_for_workers(2)
    assert victim not in dask_client.run(os.getpid).values()


@pytest.mark.parametrize("engine", ["nuts", "joint"])
def test_engines_of_stan(fit, dask_client, tmp_path, engine, cmdstan):
    divided = posterior(fit, engine, scheduler=dask_client.scheduler.address, shared_folder=False)
    assert_same(posterior(fit, engine), divided)


def test_folders_that_are_not_the_same(tmp_path, dask_client, monkeypatch):
    pool = ClusterPool(dask_client)
    monkeypatch.setattr(pool, "call", lambda *_: None)
    monkeypatch.setattr(carrying_out, "PAUSES", (0.0, 0.0))
    with pytest.raises(ClusterError, match="--no-shared-folder"):
        carrying_out.carry_out(pool, Block(np.arange(1), "k"), None, tmp_path)
