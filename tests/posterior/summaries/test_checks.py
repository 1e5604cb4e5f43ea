"""The sentence at the end of a fit says what was checked, and what failed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayesde.eb.fit import fit_eb
from bayesde.posterior import Hyperparameters, SamplingOptions, fit_posterior
from bayesde.posterior.draws.arviz_adapter import import_arviz
from bayesde.posterior.draws.diagnostics import chain_diagnostics
from bayesde.simulation import simulate

CHAINS = "R-hat <= 1.01, effective sizes >= 400, no divergence"


@pytest.fixture(scope="module")
def posterior():
    fit = fit_eb(simulate(60, groups=(4, 4), seed=2).counts, "~ condition")
    options = SamplingOptions(hand_over=False)
    return fit_posterior(fit.counts, fit.design, eb=fit, draws=300, options=options)


def with_statuses(posterior, changes):
    """The same posterior, some genes of which had another end."""
    frame = posterior.diagnostics.copy()
    frame["status"], frame["pareto_k"], frame["engine"] = "ok", 0.3, "psis"
    for place, (status, pareto_k, engine) in enumerate(changes):
        frame.loc[frame.index[place], ["status", "engine"]] = status, engine
        frame.loc[frame.index[place], "pareto_k"] = pareto_k
    return dataclasses.replace(posterior, diagnostics=frame)


def test_nothing_failed(posterior):
    parts = with_statuses(posterior, []).checked.split("; ")
    assert parts[0] == "60 genes by psis: Pareto k <= 0.7 for 60"
    assert parts[1].startswith("hyperparameters: ")
    assert "effective points of 1,000 (Pareto k" in parts[1]
    assert parts[2] == "nothing failed"


def test_failures_are_counted_and_named(posterior):
    changes = [("high_pareto_k", 0.9, "psis"), ("low_ess", 0.5, "psis"), ("high_pareto_k", 1.2, "psis")]
    first, few, _, failed = with_statuses(posterior, changes).checked.split("; ")
    assert first.endswith("for 58")
    assert few == "too few effective draws for 1"
    names = ", ".join(f"'{gene}'" for gene in posterior.genes[:3])
    assert failed == f"failed: 2 high_pareto_k, 1 low_ess ({names}), which engine nuts may do"


def test_genes_that_were_handed_over(posterior):
    changes = [("ok", np.nan, "nuts"), ("divergences", np.nan, "nuts")]
    first, handed, _, failed = with_statuses(posterior, changes).checked.split("; ")
    assert first == "60 genes by psis: Pareto k <= 0.7 for 58"
    assert handed == f"2 handed over to nuts, of which 1 passed ({CHAINS})"
    assert failed == f"failed: 1 divergences ('{posterior.genes[1]}')"


def test_chains_and_fixed_hyperparameters(posterior):
    made = with_statuses(posterior, [("ok", np.nan, "nuts")] * 60)
    fixed = Hyperparameters({"condition[T.treated]": 0.2}, 0.7, 0.05, 2.0)
    told = dataclasses.replace(made, engine="nuts", hyperparameters=fixed).checked
    assert (
        told
        == f"60 genes by nuts, 4 chains of 300 draws: {CHAINS} for 60; hyperparameters: fixed; nothing failed"
    )
    given = dataclasses.replace(fixed, draws={"dispersion_sd": np.array([0.6, 0.8])})
    told = dataclasses.replace(made, engine="nuts", hyperparameters=given).checked
    assert "hyperparameters: averaged over given draws" in told


def test_hyperparameters_that_were_sampled(posterior):
    rng = np.random.default_rng(1)
    shared = {
        "dispersion_sd": rng.normal(1.0, 0.1, (4, 200)),
        "asymptotic_dispersion": rng.gamma(9.0, 1.0, (4, 200)),
    }
    made = dataclasses.replace(posterior, engine="joint", shared=shared)
    found = chain_diagnostics(np.stack(list(shared.values()), axis=-1)[:, :, :, None])
    table = made.hyperparameter_summary
    for name, values in found.items():
        np.testing.assert_allclose(table.loc[list(shared), name], values)
    size = min(found["ess_bulk"].min(), found["ess_tail"].min())
    assert made.checked.endswith("only roughly known")
    expected = f"largest R-hat {found['rhat'].max():.3f}, smallest effective size {size:,.0f} ("
    assert expected in made.checked


def test_arviz_reads_hyperparameters_and_the_statistics_of_the_sampler(posterior):
    rng = np.random.default_rng(7)
    energy = rng.normal(size=(1, 300)).cumsum(axis=1)
    shared = {"dispersion_sd": rng.gamma(9.0, size=(1, 300)), "nu": rng.gamma(3.0, size=(1, 300))}
    statistics = {"energy": energy, "diverging": np.zeros((1, 300), dtype=bool)}
    sampled = dataclasses.replace(posterior, engine="joint", shared=shared, statistics=statistics)
    made = sampled.to_arviz()
    bfmi = np.ravel(import_arviz().bfmi(made["sample_stats"]["energy"].values))
    assert f"smallest E-BFMI {bfmi.min():.2f}" in sampled.checked
    np.testing.assert_allclose(bfmi, np.square(np.diff(energy)).mean() / energy.var(), rtol=0.02)
    drawn = made["posterior"]["hyperparameters"].sel(hyperparameter="nu")
    np.testing.assert_array_equal(drawn.values, shared["nu"])
    assert not made["sample_stats"]["diverging"].values.any()


@pytest.mark.parametrize("found", [{"effective_points": 12.0}, {"pareto_k": 0.8}])
def test_hyperparameters_that_are_only_roughly_known(posterior, found):
    known = dataclasses.replace(posterior.hyperparameters, checks=posterior.hyperparameters.checks | found)
    made = dataclasses.replace(with_statuses(posterior, []), hyperparameters=known)
    assert made.checked.endswith("failed: the hyperparameters, which are only roughly known")


def test_a_summary_of_the_hyperparameters(posterior):
    table, hyper = posterior.hyperparameter_summary, posterior.hyperparameters
    assert list(table.columns) == ["mean", "sd", "lower", "upper", "points", "effective_points", "pareto_k"]
    for name, draws in hyper.draws.items():
        np.testing.assert_allclose(
            table.loc[name, ["lower", "upper"]].astype(float), np.quantile(draws, [0.05, 0.95])
        )
        assert table.loc[name, "sd"] == hyper.sd[name]
    assert table.loc["dispersion_sd", "mean"] == hyper.dispersion_sd
    assert 1.0 <= table["effective_points"].iloc[0] <= table["points"].iloc[0]


def test_engine_joint_hands_the_statistics_of_its_sampler_over(tiny_fit, cmdstan):
    options = SamplingOptions(trend="constant", min_ess=0.0, max_rhat=10.0)
    sizes = {"draws": 60, "warmup": 100, "chains": 2}
    made = fit_posterior(
        tiny_fit.counts, tiny_fit.design, engine="joint", eb=tiny_fit, options=options, **sizes
    )
    statistics = made.to_arviz()["sample_stats"]
    for name in ("lp", "energy", "diverging", "tree_depth", "n_steps", "acceptance_rate", "step_size"):
        assert statistics[name].shape == (2, 60)
    sampled = made.diagnostics[made.diagnostics["sampled"]]
    assert int(statistics["diverging"].sum()) == sampled["divergences"].iloc[0]
    assert float(statistics["n_steps"].mean()) == pytest.approx(sampled["gradients"].iloc[0])
    assert np.ptp(statistics["step_size"].values, axis=1).max() == 0.0  # one size a chain, after warm-up
    assert "smallest E-BFMI" in made.checked
