"""The other methods through cmdstanpy with the embedded front end, against closed forms."""

from __future__ import annotations

import logging

import cmdstanpy
import numpy as np
import pytest
from scipy import stats

FULL = {"sig_figs": 17}


def log_density(known, mu, tau, jacobian):
    """What log_prob returns: without terms that have no parameter, but with the lognormal's constant."""
    y = np.asarray(known.data["y"])
    value = -(mu**2) / 200 - ((y - mu) ** 2).sum() / 8
    value += -((np.log(tau) - 0.5) ** 2) / (2 * 0.09) - np.log(tau) - np.log(2 * np.pi) / 2
    return value + (np.log(tau) if jacobian else 0.0)


@pytest.mark.parametrize("jacobian", [True, False])
def test_log_prob_and_gradient(normal, known, jacobian):
    found = normal.log_prob({"mu": 1.3, "tau": 0.8}, known.data, jacobian=jacobian, **FULL)
    assert list(found.columns) == ["lp__", "g_mu", "g_tau"]
    step = 1e-5
    by_mu = [log_density(known, 1.3 + h, 0.8, jacobian) for h in (step, -step)]
    by_log_tau = [log_density(known, 1.3, 0.8 * np.exp(h), jacobian) for h in (step, -step)]
    gradient = [(up - down) / (2 * step) for up, down in (by_mu, by_log_tau)]
    np.testing.assert_allclose(found["lp__"], log_density(known, 1.3, 0.8, jacobian), rtol=1e-14)
    np.testing.assert_allclose(found.iloc[0, 1:], gradient, rtol=1e-7)


@pytest.mark.parametrize("algorithm", ["lbfgs", "bfgs", "newton"])
@pytest.mark.parametrize("jacobian", [True, False])
def test_optimize_finds_the_mode(normal, known, algorithm, jacobian):
    mode = normal.optimize(known.data, seed=1, algorithm=algorithm, jacobian=jacobian, **FULL)
    assert mode.converged
    np.testing.assert_allclose(mode.stan_variable("mu"), known.mean, rtol=1e-4)
    log_tau = 0.5 if jacobian else 0.5 - 0.3**2  # mode of a normal, mode of a lognormal
    np.testing.assert_allclose(np.log(mode.stan_variable("tau")), log_tau, atol=1e-3)


def test_optimize_options(normal, known):
    fit = normal.optimize(
        known.data,
        seed=1,
        algorithm="lbfgs",
        inits={"mu": 0.0, "tau": 1.0},
        init_alpha=0.01,
        tol_obj=1e-13,
        tol_rel_obj=1,
        tol_grad=1e-10,
        tol_rel_grad=1,
        tol_param=1e-10,
        history_size=4,
        iter=200,
        save_iterations=True,
        jacobian=True,
        **FULL,
    )
    path = fit.stan_variable("mu", inc_iterations=True)
    assert path[0] == 0.0
    assert len(path) > 2
    np.testing.assert_allclose(path[-1], known.mean, rtol=1e-6)


def test_optimize_reports_a_start_that_cannot_be_used(normal, known):
    with pytest.raises(RuntimeError, match="Lower bounded variable is -1"):
        normal.optimize(known.data, inits={"mu": 0.0, "tau": -1.0}, seed=1)


def test_laplace_is_exact_for_a_normal(normal, known):
    mode = normal.optimize(known.data, seed=1, jacobian=True, **FULL)
    fit = normal.laplace_sample(known.data, mode=mode, draws=4000, seed=2, **FULL)
    mu, log_tau = fit.stan_variable("mu"), np.log(fit.stan_variable("tau"))
    assert stats.kstest(mu, stats.norm(known.mean, known.sd).cdf).pvalue > 1e-4
    assert stats.kstest(log_tau, stats.norm(0.5, 0.3).cdf).pvalue > 1e-4
    log_p, log_q = (fit.method_variables()[name] for name in ("log_p__", "log_q__"))
    np.testing.assert_allclose(np.ptp(log_p - log_q), 0, atol=0.05)  # the approximation is the posterior


def test_laplace_without_jacobian(normal, known):
    mode = normal.optimize(known.data, seed=1, jacobian=False, **FULL)
    fit = normal.laplace_sample(known.data, mode=mode, draws=500, seed=2, jacobian=False, **FULL)
    np.testing.assert_allclose(np.log(fit.stan_variable("tau")).mean(), 0.5 - 0.09, atol=0.07)


def assert_draws(fit, count):
    """Pathfinder writes the path of every draw from some version of Stan on."""
    columns = [name for name in fit.column_names if name != "path__"]
    assert columns == ["lp_approx__", "lp__", "mu", "tau", "mu_twice", "y_new"]
    assert fit.draws().shape == (count, len(fit.column_names))


@pytest.mark.parametrize("which", ["normal", "threaded"])
def test_pathfinder_of_several_paths(which, known, request):
    model = request.getfixturevalue(which)
    options = {"num_threads": 2} if which == "threaded" else {}
    fit = model.pathfinder(
        known.data, seed=1, num_paths=4, draws=500, num_single_draws=400, **options, **FULL
    )
    assert fit.is_resampled
    assert_draws(fit, 500)
    np.testing.assert_allclose(fit.stan_variable("mu").mean(), known.mean, atol=0.3 * known.sd)
    np.testing.assert_allclose(fit.stan_variable("mu").std(), known.sd, rtol=0.25)


def test_pathfinder_without_resampling_and_of_one_path(normal, known):
    several = normal.pathfinder(
        known.data, seed=1, num_paths=2, num_single_draws=50, psis_resample=False, calculate_lp=False
    )
    assert_draws(several, 100)
    assert not several.is_resampled
    single = normal.pathfinder(
        known.data,
        seed=1,
        num_paths=1,
        draws=70,
        max_lbfgs_iters=50,
        num_elbo_draws=20,
        history_size=4,
        inits={"mu": 1.0, "tau": 1.0},
    )
    assert_draws(single, 70)


def test_pathfinder_gives_inits_for_sampling(normal, known):
    pathfinder = normal.pathfinder(known.data, seed=1)
    inits = pathfinder.create_inits(chains=2, seed=1)
    fit = normal.sample(known.data, chains=2, inits=inits, seed=1, show_progress=False)
    np.testing.assert_allclose(fit.stan_variable("mu").mean(), known.mean, atol=known.sd)


def test_generate_quantities_from_draws(normal, known):
    fit = normal.sample(known.data, chains=2, seed=1, show_progress=False, **FULL)
    made = normal.generate_quantities(known.data, previous_fit=fit, seed=3, **FULL)
    assert made.column_names == ("mu_twice", "y_new")
    np.testing.assert_allclose(made.stan_variable("mu_twice"), 2 * fit.stan_variable("mu"), rtol=1e-14)
    assert not np.array_equal(made.stan_variable("y_new"), fit.stan_variable("y_new"))
    again = normal.generate_quantities(known.data, previous_fit=fit, seed=3, **FULL)
    np.testing.assert_array_equal(again.stan_variable("y_new"), made.stan_variable("y_new"))


def test_generate_quantities_from_a_mode(normal, known):
    mode = normal.optimize(known.data, seed=1, jacobian=True, **FULL)
    made = normal.generate_quantities(known.data, previous_fit=mode, seed=3, **FULL)
    np.testing.assert_allclose(made.stan_variable("mu_twice"), 2 * mode.stan_variable("mu"), rtol=1e-12)


@pytest.mark.parametrize("algorithm", ["meanfield", "fullrank"])
def test_variational(normal, known, algorithm):
    fit = normal.variational(known.data, seed=1, algorithm=algorithm, draws=500, require_converged=False)
    np.testing.assert_allclose(fit.stan_variable("mu", mean=False).mean(), known.mean, atol=2 * known.sd)


def test_diagnose_compares_gradients(normal, known):
    table = normal.diagnose(data=known.data, inits={"mu": 1.0, "tau": 1.0})
    np.testing.assert_allclose(table["model"], table["finite_diff"], atol=1e-4)


def test_a_program_describes_itself(normal, threaded, embedded_home):
    info = normal.src_info()
    assert set(info["parameters"]) == {"mu", "tau"}
    assert set(info["inputs"]) == {"N", "y", "sigma", "grainsize"}
    assert normal.exe_info()["STAN_THREADS"] == "false"
    assert threaded.exe_info()["STAN_THREADS"] == "true"
    stated = [normal.exe_info()[f"stan_version_{part}"] for part in ("major", "minor", "patch")]
    assert ".".join(stated) == embedded_home.version
    assert cmdstanpy.cmdstan_version() == tuple(map(int, stated[:2]))


def test_cmdstanpy_says_nothing_but_to_the_debug_log(normal, known, caplog, capfd):
    caplog.set_level(logging.DEBUG, logger="bayesde")
    normal.sample(known.data, chains=1, iter_sampling=10, seed=1, show_progress=False)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""
    chatter = [record for record in caplog.records if record.name == "bayesde.cmdstanpy"]
    assert chatter
    assert {record.levelno for record in chatter} == {logging.DEBUG}
