"""`bayesde sample --engine psis`: the whole road without Stan."""

import json

import numpy as np
import pytest
import xarray as xr

from bayesde.results import read_results
from bayesde.simulation import simulate


@pytest.fixture
def files(tmp_path):
    simulated = simulate(120, groups=(4, 4), seed=5)
    simulated.counts.to_frame().to_csv(tmp_path / "counts.tsv", sep="\t")
    simulated.counts.sample_table.to_csv(tmp_path / "samples.tsv", sep="\t", index_label="sample")
    return tmp_path


def sample(bayesde, files, *options):
    arguments = (
        "sample",
        files / "counts.tsv",
        files / "samples.tsv",
        "-d",
        "~ condition",
        "--engine",
        "psis",
    )
    return bayesde(*arguments, *options)


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeWarning")
def test_a_run_leaves_tables_draws_and_hyperparameters(bayesde, files, monkeypatch):
    monkeypatch.setattr("bayesde.stan_runtime.compiled_model", lambda *_, **__: pytest.fail("needs no Stan"))
    code, _, told = sample(bayesde, files, "--draws", "400", "-o", files / "out")
    assert code in (0, 3), told
    table = read_results(files / "out")
    assert set(table["engine"]) == {"psis"}
    estimated = table["status"] != "all_zero"
    assert table.loc[estimated, ["log2_fold_change", "lfsr", "s_value", "pareto_k"]].notna().all(axis=None)
    assert np.mean(table.loc[estimated, "pareto_k"] < 0.7) > 0.9
    learnt = json.loads((files / "out" / "hyperparameters.json").read_text())
    assert learnt["source"] == "psis"
    assert set(learnt["sd"]) >= {"dispersion_sd"}
    draws = xr.open_zarr(files / "out" / "posterior.zarr")
    assert draws["beta"].sizes["gene"] == estimated.sum()
    assert draws["beta"].sizes["draw"] == 400


def test_too_few_draws_are_refused(bayesde, files):
    code, _, told = sample(bayesde, files, "--draws", "20", "-o", files / "out")
    assert code == 2
    assert "draws" in told
    assert not (files / "out").exists()
