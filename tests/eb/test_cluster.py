"""Point estimates by the workers of a Dask cluster: the same bytes, also if a worker is lost."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest

import bayesde as bde
from bayesde.counts import storage
from bayesde.eb import passes
from bayesde.eb.fit import fit_eb
from bayesde.posterior import fit as posterior_fit

pytestmark = pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeWarning")
N_GENES, N_SAMPLES = 300, 16


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(storage, "CHUNK_CELLS", 25 * N_SAMPLES)


@pytest.fixture(scope="module")
def counts():
    """Two groups of eight, with outliers that are replaced, separated genes and genes of one count."""
    rng = np.random.default_rng(3)
    matrix = rng.negative_binomial(4.0, 0.04, (N_GENES, N_SAMPLES))
    matrix[rng.random(matrix.shape) < 0.01] *= 50
    matrix[::40, ::2] = 0
    matrix[::55] = 0
    matrix[::55, 3] = 400
    matrix[7, 5] = 2**33  # which takes eight bytes
    table = pd.DataFrame({"group": np.where(np.arange(N_SAMPLES) % 2, "b", "a")})
    return bde.Counts(matrix, sample_table=table.set_axis([f"s{j}" for j in table.index]))


def assert_same(one, other):
    for name, values in vars(one).items():
        if isinstance(values, np.ndarray):
            np.testing.assert_array_equal(values, getattr(other, name), err_msg=name)
    for name, values in vars(one.replaced_counts).items():
        np.testing.assert_array_equal(values, getattr(other.replaced_counts, name), err_msg=name)
    assert one.results().equals(other.results())


def given(kind):
    rng = np.random.default_rng(8)
    return {
        "plain": {},
        "factors": {"size_factors": np.exp(rng.normal(0.0, 0.3, (N_GENES, N_SAMPLES)))},
        "weights": {"weights": np.where(rng.random((N_GENES, N_SAMPLES)) < 0.1, 0.2, 1.0)},
        "trend": {"trend": lambda mean: 0.1 + 1.0 / mean},
    }[kind]


@pytest.mark.parametrize("kind", ["plain", "factors", "weights", "trend"])
def test_the_same_numbers_as_here(counts, dask_client, kind):
    here = bde.fit_eb(counts, "~ group", **given(kind))
    assert here.replaced.sum() > 10
    assert here.separated.any()
    assert here.emptied.any()
    assert_same(here, bde.fit_eb(counts, "~ group", scheduler=dask_client, **given(kind)))


def test_a_worker_that_is_killed_loses_nothing(counts, dask_client, monkeypatch):
    here = bde.fit_eb(counts, "~ group")
    victim = next(iter(dask_client.run(os.getpid).values()))
    second = passes._second_of_block

    def killed(*arguments):
        if os.getpid() == victim:
            time.sleep(60.0)
        return second(*arguments)

    monkeypatch.setattr(passes, "_second_of_block", killed)
    killer = threading.Timer(1.0, os.kill, (victim, signal.SIGKILL))
    killer.start()
    there = bde.fit_eb(counts, "~ group", scheduler=dask_client.scheduler.address)
    killer.join()
    assert_same(here, there)
    dask_client.wait_for_workers(2)
    assert victim not in dask_client.run(os.getpid).values()


def test_a_single_block_is_fitted_here(counts, dask_client, monkeypatch):
    monkeypatch.setattr(storage, "CHUNK_CELLS", 10**6)
    monkeypatch.setattr(dask_client, "submit", None)
    assert_same(bde.fit_eb(counts, "~ group"), bde.fit_eb(counts, "~ group", scheduler=dask_client))


def test_a_posterior_sends_its_point_estimates_there(counts, dask_client, monkeypatch):
    asked = []
    monkeypatch.setattr(
        posterior_fit, "fit_eb", lambda *some, **named: asked.append(named) or fit_eb(*some, **named)
    )
    few = counts.subset(genes=range(20, 40))
    settings = {"draws": 100, "hyperparameters": "eb", "options": bde.SamplingOptions(hand_over=False)}
    there = bde.fit_posterior(few, "~ group", scheduler=dask_client, **settings)
    assert [named["scheduler"] for named in asked] == [dask_client]
    assert there.results().equals(bde.fit_posterior(few, "~ group", **settings).results())
