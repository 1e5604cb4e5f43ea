"""Sampling through cmdstanpy with the embedded front end: every argument that the engines pass."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import cmdstanpy
import numpy as np
import pytest

QUIET = {"show_progress": False, "sig_figs": 17}


def run(model, known, **options):
    return model.sample(known.data, **{"seed": 1, "chains": 1, **QUIET, **options})


def test_four_chains_recover_the_posterior(normal, known):
    fit = run(normal, known, chains=4, iter_sampling=2000)
    mu, tau = fit.stan_variable("mu"), fit.stan_variable("tau")
    assert mu.shape == (8000,)
    np.testing.assert_allclose(mu.mean(), known.mean, atol=5 * known.sd / np.sqrt(2000))
    np.testing.assert_allclose(mu.std(), known.sd, rtol=0.06)
    np.testing.assert_allclose(np.log(tau).mean(), 0.5, atol=5 * 0.3 / np.sqrt(2000))
    np.testing.assert_allclose(np.log(tau).std(), 0.3, rtol=0.06)
    assert fit.column_names[:7] == (
        "lp__",
        "accept_stat__",
        "stepsize__",
        "treedepth__",
        "n_leapfrog__",
        "divergent__",
        "energy__",
    )
    assert fit.column_names[7:] == ("mu", "tau", "mu_twice", "y_new")
    np.testing.assert_array_equal(fit.stan_variable("mu_twice"), 2 * mu)
    np.testing.assert_allclose(fit.stan_variable("y_new").std(), np.hypot(2.0, known.sd), rtol=0.06)
    assert fit.divergences.sum() == 0
    assert fit.metric_type == "diag_e"
    assert fit.inv_metric.shape == (4, 2)
    assert (fit.step_size > 0.1).all()
    assert set(fit.time[0]) == {"warmup", "sampling", "total"}


def test_a_seed_fixes_the_draws(normal, known):
    first, again, other = (run(normal, known, seed=seed).draws() for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_chain_is_the_same_alone_and_among_others(normal, known):
    together = run(normal, known, chains=3).draws()
    alone = run(normal, known, chain_ids=2).draws()
    np.testing.assert_array_equal(together[:, 1], alone[:, 0])


def test_threads_and_one_process_for_all_chains_change_nothing(normal, threaded, known):
    apart = run(normal, known, chains=2).draws()
    one_process = run(threaded, known, chains=2, threads_per_chain=1, parallel_chains=2)
    assert one_process.runset.one_process_per_chain is False
    np.testing.assert_array_equal(one_process.draws(), apart)


def test_reduce_sum_over_threads_gives_the_posterior(threaded, known):
    data = {**known.data, "grainsize": 5}
    fit = threaded.sample(data, chains=1, threads_per_chain=2, seed=2, **QUIET)
    np.testing.assert_allclose(fit.stan_variable("mu").mean(), known.mean, atol=5 * known.sd / np.sqrt(250))


def test_inits_per_chain_metric_and_step_size_are_taken_as_given(normal, threaded, known):
    inits = [{"mu": 2.5, "tau": 1.0}, {"mu": 3.5, "tau": 2.0}]
    metric = np.array([known.sd**2, 0.09])
    for model in (normal, threaded):
        fit = run(
            model,
            known,
            chains=2,
            inits=inits,
            inv_metric={"inv_metric": metric},
            step_size=0.7,
            adapt_engaged=False,
            iter_warmup=5,
            iter_sampling=4,
            save_warmup=True,
        )
        np.testing.assert_allclose(fit.inv_metric, [metric, metric], rtol=1e-5)  # printed with 6 digits
        np.testing.assert_array_equal(fit.step_size, [0.7, 0.7])
        assert fit.draws(inc_warmup=True).shape[0] == 9


def test_initial_values_are_where_a_chain_starts(normal, known):
    options = {"adapt_engaged": False, "step_size": 1e-9, "iter_warmup": 0, "iter_sampling": 1}
    fit = run(normal, known, inits={"mu": 1.25, "tau": 0.75}, max_treedepth=1, **options)
    np.testing.assert_allclose(fit.stan_variable("mu"), 1.25, atol=1e-6)
    np.testing.assert_allclose(fit.stan_variable("tau"), 0.75, atol=1e-6)
    at_zero = run(normal, known, inits=0, max_treedepth=1, **options)
    np.testing.assert_allclose(at_zero.stan_variable("tau"), 1.0, atol=1e-6)


def test_metric_per_chain(normal, known):
    metrics = [{"inv_metric": np.array([0.1, 0.2])}, {"inv_metric": np.array([0.3, 0.4])}]
    options = {"adapt_engaged": False, "step_size": 0.5, "iter_warmup": 1, "iter_sampling": 2}
    fit = run(normal, known, chains=2, inv_metric=metrics, **options)
    np.testing.assert_allclose(fit.inv_metric, [[0.1, 0.2], [0.3, 0.4]], rtol=1e-15)


@pytest.mark.parametrize(("metric", "shape"), [("dense_e", (1, 2, 2)), ("diag_e", (1, 2))])
@pytest.mark.parametrize("engaged", [True, False])
def test_metric_shapes(normal, known, metric, shape, engaged):
    fit = run(normal, known, metric=metric, adapt_engaged=engaged, step_size=0.3, iter_sampling=300)
    assert fit.metric_type == metric
    assert fit.inv_metric.shape == shape
    if not engaged:
        np.testing.assert_array_equal(fit.inv_metric[0], np.eye(2) if metric == "dense_e" else [1, 1])
    np.testing.assert_allclose(fit.stan_variable("mu").mean(), known.mean, atol=known.sd)


@pytest.mark.parametrize("engaged", [True, False])
def test_unit_metric(normal, known, engaged):
    fit = run(normal, known, metric="unit_e", adapt_engaged=engaged, step_size=0.3, iter_sampling=300)
    assert fit.metric_type == "unit_e"
    np.testing.assert_allclose(fit.stan_variable("mu").mean(), known.mean, atol=known.sd)


def test_warmup_is_saved_and_draws_are_thinned(normal, known):
    fit = run(normal, known, iter_warmup=100, iter_sampling=60, thin=3, save_warmup=True)
    assert fit.draws().shape == (20, 1, 11)
    assert fit.draws(inc_warmup=True).shape == (54, 1, 11)


def test_adaptation_arguments_reach_the_sampler(normal, known):
    fit = run(
        normal,
        known,
        adapt_delta=0.95,
        adapt_init_phase=10,
        adapt_metric_window=20,
        adapt_step_size=15,
        max_treedepth=2,
        iter_warmup=100,
    )
    config = fit.metadata.cmdstan_config
    assert config["delta"] == 0.95
    assert (config["init_buffer"], config["window"], config["term_buffer"]) == (10, 20, 15)
    assert fit.method_variables()["treedepth__"].max() <= 2
    lazy = run(normal, known, adapt_delta=0.5)
    assert lazy.step_size[0] > fit.step_size[0]


def test_fixed_param(normal, known):
    fit = run(normal, known, fixed_param=True, inits={"mu": 2.0, "tau": 1.0}, iter_sampling=50)
    np.testing.assert_array_equal(fit.stan_variable("mu"), np.full(50, 2.0))
    assert len(np.unique(fit.stan_variable("y_new"))) == 50


def test_profile_and_diagnostic_files(normal, known):
    fit = run(normal, known, save_profile=True, save_diagnostics=True, iter_sampling=20)
    profile = Path(fit.runset.profile_files[0]).read_text().splitlines()
    assert profile[0].startswith("name,thread_id,total_time")
    assert profile[1].startswith("likelihood,")
    diagnostics = Path(fit.runset.diagnostic_files[0]).read_text()
    assert "p_mu" in diagnostics
    assert "g_tau" in diagnostics


def test_files_can_be_read_back(normal, known, tmp_path):
    fit = run(normal, known, chains=2, output_dir=tmp_path, save_warmup=True)
    again = cmdstanpy.from_csv(fit.runset.csv_files)
    np.testing.assert_array_equal(again.draws(inc_warmup=True), fit.draws(inc_warmup=True))
    assert again.metadata.cmdstan_config["seed"] == 1
    assert again.metadata.cmdstan_config["model"] == "normal_model"


def test_metric_and_configuration_are_saved_as_json(normal, known, tmp_path):
    data = tmp_path / "data.json"
    data.write_text(json.dumps(known.data))
    arguments = ["sample", "adapt", "save_metric=1", "delta=0.9", "num_chains=2", "id=3", "random", "seed=4"]
    output = ["output", f"file={tmp_path}/out.csv", "save_cmdstan_config=1"]
    command = [normal.exe_file, *arguments, "data", f"file={data}", *output]
    subprocess.run(command, check=True, capture_output=True)
    metric = json.loads((tmp_path / "out_metric_4.json").read_text())
    assert metric["metric_type"] == "diag_e"
    assert len(metric["inv_metric"]) == 2
    assert metric["stepsize"] > 0
    config = json.loads((tmp_path / "out_config.json").read_text())
    assert config["method"]["value"] == "sample"
    assert config["method"]["sample"]["adapt"]["delta"] == 0.9
    assert config["random"]["seed"] == 4
    assert (tmp_path / "out_3.csv").exists()
    assert (tmp_path / "out_4.csv").exists()


def test_wrong_data_are_reported(normal, known):
    with pytest.raises(RuntimeError, match="sigma"):
        normal.sample({**known.data, "sigma": -1}, chains=1, **QUIET)
