"""Engine psis from counts to table."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from numba.core import config

from bayesde.counts import Counts
from bayesde.eb.fit import fit_eb
from bayesde.errors import InputError, OptionError
from bayesde.posterior import Hyperparameters, SamplingOptions, fit_posterior
from bayesde.posterior.draws.diagnostics import effective_sizes
from bayesde.posterior.hyper import learning
from bayesde.posterior.importance import engine
from bayesde.results import s_values

CONTRAST = ("condition", "treated", "untreated")


@pytest.fixture(scope="module")
def names(pasilla_fit):
    """500 genes at equal steps of the rank of their mean."""
    rows = np.flatnonzero(pasilla_fit.estimated)
    order = rows[np.argsort(pasilla_fit.base_mean[rows], kind="stable")]
    return list(pasilla_fit.counts.genes[np.sort(order[np.linspace(0, order.size - 1, 500).astype(int)])])


@pytest.fixture(scope="module")
def panel_fit(pasilla_fit, names):
    """A fit of these genes alone, so that the hyperparameters are learnt from them."""
    rows = pasilla_fit.counts.genes.get_indexer(names)
    counts = Counts(
        pasilla_fit.counts.matrix[rows], genes=names, sample_table=pasilla_fit.counts.sample_table
    )
    return fit_eb(counts, "~ type + condition", size_factors=pasilla_fit.size_factors)


def run(fit, **arguments):
    return fit_posterior(fit.counts, fit.design, engine="psis", eb=fit, **arguments)


@pytest.fixture(scope="module")
def posterior(panel_fit):
    return run(panel_fit)


def test_effective_sizes_are_not_those_of_chains(posterior):
    for table in (posterior.diagnostics, posterior.results(CONTRAST)):
        assert table["ess"].notna().equals(posterior.diagnostics["sampled"])
        assert not {"rhat", "ess_bulk", "ess_tail"} & set(table)


def test_nearly_all_genes_can_be_trusted(posterior):
    sampled = posterior.diagnostics[posterior.diagnostics["sampled"]]
    assert (sampled["pareto_k"] <= 0.7).mean() >= 0.98
    assert (sampled["status"] == "ok").mean() >= 0.98
    assert sampled["ess"].median() > 400
    assert (sampled["ess"] <= 1000.001).all()


def test_table(posterior):
    table = posterior.results(CONTRAST, lfc_threshold=0.5)
    assert list(table["engine"].unique()) == ["psis"]
    assert "rhat" not in table
    ok = table["status"] == "ok"
    assert table.loc[ok].drop(columns=["pareto_k"]).notna().all(axis=None)
    assert (table["pareto_k"][ok] <= 0.7).all()
    assert (table.loc[ok, "lfc_lower"] < table.loc[ok, "lfc_upper"]).all()
    np.testing.assert_allclose(
        posterior.results(CONTRAST)["s_value"], s_values(posterior.results(CONTRAST)["lfsr"])
    )
    backwards = posterior.results(("condition", "untreated", "treated"), lfc_threshold=0.5)
    np.testing.assert_allclose(backwards["log2_fold_change"], -table["log2_fold_change"], rtol=1e-9)
    np.testing.assert_allclose(backwards["lfsr"], table["lfsr"], rtol=1e-9)
    assert table["lfsr"].min() < 1e-4  # 1 / draws is no floor


def test_equal_weight_draws_agree_with_the_table(posterior):
    assert posterior.draws["beta"].dims == ("chain", "draw", "gene", "coefficient")
    assert posterior.draws["beta"].shape[:2] == (1, 1000)
    effect = -posterior.draws["beta"].sel(coefficient="condition[T.untreated]").values[0] / np.log(2.0)
    table = posterior.results(CONTRAST).loc[posterior.draws["gene"].values]
    error = table["lfc_se"].to_numpy() / np.sqrt(posterior.diagnostics["ess"].to_numpy())
    gap = np.clip(effect, -43.28, 43.28).mean(axis=0) - table["log2_fold_change"].to_numpy()
    # but for heavy-tailed genes, whose errors are estimated too small; the draws are the same everywhere
    assert (np.abs(gap) < 4.0 * error).mean() > 0.99
    in_order = posterior.draws["log_dispersion"].values.astype(float).transpose(2, 0, 1)
    assert np.median(effective_sizes(in_order)) > 700  # the order is random: no draw repeats in a row


def test_hyperparameters_have_a_posterior(posterior):
    hyper = posterior.hyperparameters
    assert hyper.source == "psis"
    names = {f"shrinkage_scale[{name}]" for name in hyper.shrinkage_scale}
    assert set(hyper.draws) == names | {"dispersion_sd", "asymptotic_dispersion", "extra_poisson"}
    for name, draws in hyper.draws.items():
        assert 0.0 < hyper.sd[name] < draws.mean()
        assert draws.std() == pytest.approx(hyper.sd[name], rel=0.2)


def test_numbers_do_not_depend_on_threads(panel_fit, posterior, monkeypatch):
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 1)
    alone = run(panel_fit)
    np.testing.assert_array_equal(alone.draws["beta"].values, posterior.draws["beta"].values)
    pd.testing.assert_frame_equal(alone.diagnostics, posterior.diagnostics)


def test_numbers_do_not_depend_on_the_order_of_genes(panel_fit, posterior):
    turned = Counts(
        panel_fit.counts.matrix[::-1],
        genes=panel_fit.counts.genes[::-1],
        sample_table=panel_fit.counts.sample_table,
    )
    fit = fit_eb(turned, "~ type + condition", size_factors=panel_fit.size_factors)
    other, table = run(fit).results(CONTRAST), posterior.results(CONTRAST)
    # but for the rounding of sums over genes, of which nothing is left in the draws' single precision
    np.testing.assert_allclose(
        other.loc[table.index, "log2_fold_change"], table["log2_fold_change"], rtol=1e-6, atol=1e-6
    )


def monte_carlo_error(posterior):
    """Standard error of the posterior means of the contrast, log2, by sum of (w (x - mean))^2."""
    effect = np.clip(posterior.gene_draws.theta[:, :, 2].astype(float), -30.0, 30.0) / np.log(2.0)
    weights = np.exp(posterior.gene_draws.log_weights.astype(float))
    mean = (weights * effect).sum(axis=1, keepdims=True)
    return np.sqrt(((weights * (effect - mean)) ** 2).sum(axis=1))


def test_another_seed_gives_the_same_within_the_error(panel_fit, posterior):
    other = run(panel_fit, seed=2)
    one, two = posterior.results(CONTRAST), other.results(CONTRAST)
    error = np.hypot(monte_carlo_error(posterior), monte_carlo_error(other))
    fine = (one["status"] == "ok") & (two["status"] == "ok")
    z = ((one["log2_fold_change"] - two["log2_fold_change"]) / error)[fine]
    assert (np.abs(z) > 0.0).mean() > 0.9
    assert (np.abs(z) < 4.0).mean() > 0.99  # heavy tails as above


def test_genes_that_are_asked_for_learn_from_all(panel_fit, posterior, names):
    few = run(panel_fit, genes=names[40:60])
    assert few.draws.sizes["gene"] == 20
    assert few.hyperparameters.shrinkage_scale == posterior.hyperparameters.shrinkage_scale
    assert set(few.diagnostics["status"]) <= {"ok", "not_selected", "high_pareto_k", "low_ess"}
    kept = posterior.draws.sel(gene=few.draws["gene"].values)
    np.testing.assert_array_equal(few.draws["beta"].values, kept["beta"].values)


def test_a_posterior_can_be_pickled_whatever_listened_to_its_sampling(panel_fit, names):
    heard = []
    made = run(panel_fit, genes=names[:20], draws=200, progress=lambda *told: heard.append(told))
    assert heard
    again = pickle.loads(pickle.dumps(made))
    pd.testing.assert_frame_equal(again.results(), made.results())
    np.testing.assert_array_equal(again.draws["beta"], made.draws["beta"])


def test_many_draws_of_a_few_genes_have_no_room_for_all(panel_fit, names, monkeypatch):
    rooms = []

    def learn(*arguments):
        rooms.append(arguments[6])
        return learning.learn(*arguments)

    monkeypatch.setattr(engine, "learn", learn)
    posterior = run(panel_fit, genes=names[:2], draws=5000)
    assert posterior.gene_draws.theta.shape[:2] == (2, 5000)
    assert [room.draws for room in rooms] == [0]


def test_given_hyperparameters_are_kept(panel_fit, names):
    hyper = Hyperparameters.from_eb(panel_fit)
    posterior = run(panel_fit, hyperparameters=hyper, genes=names[:30])
    assert posterior.hyperparameters is hyper
    assert (posterior.diagnostics["sampled"]).sum() == 30


def test_student_t_residuals_and_a_constant_trend(panel_fit):
    options = SamplingOptions(residuals="student_t", trend="constant")
    hyper = run(panel_fit, options=options, draws=300).hyperparameters
    assert hyper.residuals == "student_t"
    assert hyper.nu > 2.0
    assert hyper.extra_poisson == 0.0


def test_genes_without_counts_are_left_out(tiny_fit):
    posterior = run(tiny_fit, hyperparameters=Hyperparameters.from_eb(tiny_fit))
    assert posterior.diagnostics.loc["g3", "status"] == "all_zero"
    assert np.isnan(posterior.results().loc["g3", "log2_fold_change"])
    assert posterior.draws.sizes["gene"] == 11


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"draws": 50}, OptionError, "draws must be a whole number from 100"),
        ({"genes": ["nobody"]}, InputError, "no counts of 'nobody'"),
    ],
)
def test_what_is_refused(tiny_fit, arguments, error, message):
    with pytest.raises(error, match=message):
        run(tiny_fit, **arguments)
