"""Posteriors of designs with a random intercept: what is learnt, tables, predictions, and what is refused."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayesde as bde
from bayesde import BayesdeWarning, Hyperparameters, InputError
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood
from bayesde.posterior.importance import blocks
from bayesde.posterior.left_out_counts import without_samples
from bayesde.posterior.proposal.counts_likelihood import OrderedCells, log_likelihoods
from bayesde.posterior.proposal.drawing import ProposalDraws
from bayesde.posterior.queries.group_pointwise import group_log_probabilities
from bayesde.posterior.queries.other_models.other_references import as_coefficient
from bayesde.posterior.queries.outlier_search import usual_treatment
from bayesde.posterior.queries.pointwise import Among, log_probabilities
from bayesde.posterior.queries.random_effects import without_levels
from benchmarks.donors.experiments import Experiment, simulated

FORMULA = "~ condition + (1 | donor)"
GENES, DONORS = 60, 8


@pytest.fixture(scope="module")
def experiment():
    return simulated(Experiment(DONORS, 2, between=True, genes=GENES), 5)


@pytest.fixture(scope="module")
def posterior(experiment):
    return fitted(experiment[0])


def fitted(counts, design=FORMULA, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        return bde.fit_posterior(counts, design, **({"draws": 300, "seed": 1} | arguments))


def test_hyperparameters_are_learnt(posterior):
    hyper = posterior.hyperparameters
    assert set(hyper.random_effect_sd) == set(hyper.random_effect_sd_spread) == {"donor"}
    name = "random_effect_sd[donor]"
    assert abs(math.log(hyper.random_effect_sd["donor"] / 0.3)) < 4.0 * hyper.sd[name] / 0.3
    assert hyper.draws[name].shape == hyper.draws["dispersion_sd"].shape
    assert name in posterior.hyperparameter_summary.index
    assert hyper.as_priors().random_effect_sd.median == pytest.approx(
        hyper.random_effect_sd["donor"], rel=0.1
    )


def test_weights_are_reliable_and_the_truth_is_covered(posterior, experiment):
    table, truth = posterior.results(("condition", "b", "a")), experiment[1]
    assert (table["pareto_k"] < 0.7).mean() > 0.95
    effect, sd = truth.effect / math.log(2.0), truth.sd / math.log(2.0)
    assert ((table["lfc_lower"] <= effect) & (effect <= table["lfc_upper"])).mean() > 0.85
    assert ((table["donor_sd_lower"] <= sd) & (sd <= table["donor_sd_upper"])).mean() > 0.85
    assert np.corrcoef(np.log(table["donor_sd"]), np.log(sd))[0, 1] > 0.4


def test_columns_of_the_table(posterior):
    table = posterior.results()
    names = list(table.columns)
    at = names.index("dispersion")
    shares = [f"{name}_variance_share" for name in ("donor", "overdispersion", "poisson")]
    assert names[at + 1 : at + 7] == ["donor_sd", "donor_sd_lower", "donor_sd_upper", *shares]
    np.testing.assert_allclose(table[shares].sum(axis=1), 1.0)
    assert "donor" in table.descriptions["donor_sd"]
    sd = posterior.draws["random_effect_sd"].sel(random_effect="donor")
    np.testing.assert_allclose(sd.mean(("chain", "draw")) / math.log(2.0), table["donor_sd"], rtol=0.1)


def test_tables_are_read_back(posterior, tmp_path):
    bde.results.write_results(posterior.results(), tmp_path)
    pd.testing.assert_frame_equal(bde.results.read_results(tmp_path), posterior.results())


def test_draws_have_the_design_s_coefficients(posterior):
    draws = posterior.draws
    assert draws["beta"].sizes["coefficient"] == 2
    assert draws["random_effect_sd"].dims == ("chain", "draw", "gene", "random_effect")
    np.testing.assert_array_equal(draws["log_dispersion"][0, 0], posterior.draws["log_dispersion"][0, 0])
    assert posterior.design.formula == FORMULA
    assert posterior.eb.design.formula == "~ condition"


def test_fixed_hyperparameters_and_a_few_genes(posterior, experiment, tmp_path):
    path = tmp_path / "hyperparameters.json"
    posterior.hyperparameters.to_json(path)
    hyper = Hyperparameters.from_json(path)
    assert hyper.random_effect_sd == posterior.hyperparameters.random_effect_sd
    some = fitted(experiment[0], genes=["g1", "g7"], hyperparameters=hyper, eb=posterior.eb)
    table = some.results()
    assert table["donor_sd"].notna().sum() == 2
    assert some.gene_draws.theta.shape == (2, 300, 4)
    known = posterior.results().loc[["g1", "g7"]]
    np.testing.assert_allclose(table.loc[["g1", "g7"], "donor_sd"], known["donor_sd"], rtol=0.3)


def test_hyperparameters_of_other_random_effects_are_refused(posterior, experiment):
    other = replace(
        posterior.hyperparameters, random_effect_sd={}, random_effect_sd_spread={}, draws={}, sd={}
    )
    with pytest.raises(InputError, match="needed of the random effects of the design, 'donor'"):
        fitted(experiment[0], hyperparameters=other)
    with pytest.raises(InputError, match="there of 'donor'"):
        fitted(experiment[0], "~ condition", hyperparameters=posterior.hyperparameters)
    with pytest.raises(InputError, match="must name the same random effects"):
        replace(posterior.hyperparameters, random_effect_sd={}, draws={}, sd={})


def test_marginal_likelihood_of_the_hyperparameters(posterior):
    """Its gradient by finite differences, those of the random effects included."""
    model, draws = posterior.model(), posterior.gene_draws
    space = HyperparameterSpace.of(posterior.coding.coefficients, posterior.hyperparameters)
    assert space.random_effects == ("donor",)
    ratio = np.asarray(draws.log_ratio, dtype=np.float64)
    likelihood = MarginalLikelihood.of(space, model, ProposalDraws(draws.theta, ratio))
    psi = space.psi_of(posterior.hyperparameters) + 0.05
    np.testing.assert_allclose(space.psi(space.phi(psi)), psi, rtol=1e-12)
    _, gradient, scores = likelihood.evaluate(psi)
    assert scores.shape == (GENES, psi.size)
    for i in range(psi.size):
        move = 1e-5 * np.eye(psi.size)[i]
        ends = likelihood.log_posterior(np.stack([psi + move, psi - move]))
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-3)


def test_effects_of_donors(posterior, experiment):
    effects = posterior.random_effects(["g3", "g11"])
    assert effects.dims == ("chain", "draw", "gene", "level")
    assert list(effects["level"].to_numpy()) == [f"d{d}" for d in range(1, DONORS + 1)]
    model, theta = posterior.model(), posterior.draws
    row = list(posterior.genes).index("g3")
    y, log_nf = model.y[row], model.log_nf[row]
    beta = theta["beta"].sel(gene="g3").to_numpy()[0].mean(axis=0)
    rest = np.log((y + 0.5) / np.exp(log_nf)) - model.x[:, :2] @ beta
    crude = rest.reshape(DONORS, 2).mean(axis=1) / math.log(2.0)
    assert np.corrcoef(crude, effects.sel(gene="g3").mean(("chain", "draw")))[0, 1] > 0.9
    with pytest.raises(InputError, match="no draws of 'absent'"):
        posterior.random_effects(["absent"])
    with pytest.raises(InputError, match="has no random effects"):
        fitted(experiment[0], "~ condition", genes=["g3"], hyperparameters="eb").random_effects()


def test_leaving_out_counts(posterior):
    """Log probabilities given the others of a group are differences of those of the group."""
    model, draws = posterior.model().genes(np.arange(3)), posterior.gene_draws.genes(np.arange(3))
    theta = np.asarray(draws.theta)[:, :20]
    whole = group_log_probabilities(model, theta)
    given = log_probabilities(model, theta)
    lost = np.arange(2 * DONORS) == 4
    rest = group_log_probabilities(without_samples(model, lost), theta)
    donor = model.random.groups.level[4]
    np.testing.assert_allclose(given[:, 4], whole[:, donor] - rest[:, donor], atol=1e-9)
    left_out = np.broadcast_to(lost, model.y.shape)
    other = log_probabilities(model, theta, Among(np.array([5]), left_out))[:, 0]
    np.testing.assert_allclose(other, rest[:, donor], atol=1e-9)


def test_leave_one_out(posterior, experiment):
    known = posterior.loo(refit=False)
    assert np.isfinite(known.pointwise["elpd"]).all()
    total = known.pointwise["below"] + known.pointwise["above"] + np.exp(known.pointwise["elpd"])
    assert float(np.abs(total - 1.0).quantile(0.95)) < 0.1
    pit = known.pit().to_numpy()
    assert 0.3 < pit.mean() < 0.7
    plain = fitted(experiment[0], "~ condition").loo(refit=False)
    assert float(known.pointwise["elpd"].sum()) > float(plain.pointwise["elpd"].sum())


def test_leaving_out_donors(posterior):
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        table = posterior.without_levels(genes=["g1", "g2"])
    assert len(table) == 2 * DONORS
    assert set(table["donor"]) == {f"d{d}" for d in range(1, DONORS + 1)}
    own = table[table["gene"] == "g1"]
    whole = posterior.results().loc["g1"]
    assert own["log2_fold_change"].between(whole["lfc_lower"], whole["lfc_upper"]).all()
    assert (own["lfc_se"] > 0.5 * whole["lfc_se"]).all()
    assert (table["elpd"] < 0.0).all()


def test_a_gene_that_one_donor_drives_is_named(experiment):
    counts = experiment[0]
    matrix = np.asarray(counts.matrix).copy()
    rng = np.random.default_rng(3)
    matrix[0] = rng.poisson(1000.0, matrix.shape[1])
    matrix[0, : matrix.shape[1] // 2] = rng.poisson(1250.0, matrix.shape[1] // 2)
    changed = bde.Counts(
        matrix, genes=list(counts.genes), samples=list(counts.samples), sample_table=counts.sample_table
    )
    found = fitted(changed)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        table = found.without_levels()
    driven = table.loc[table["drives"], "gene"].unique()
    assert bool(driven.size) == any("depends on one level of 'donor'" in str(one.message) for one in said)


def test_predictions(posterior):
    replicates = posterior.predict(["g1", "g4"], draws=50)
    assert replicates.sizes == {"draw": 50, "gene": 2, "sample": 2 * DONORS}
    checked = posterior.predictive_check(draws=50)
    assert checked.to_numpy().min() >= 0.0
    assert 0.2 < checked["p_largest"].mean() < 0.8
    new = pd.DataFrame({"condition": ["a", "a"], "donor": ["d1", "somebody"]}, index=["known", "new"])
    drawn = posterior.predict(draws=300, samples=new)
    spread = np.log(drawn + 1.0).std("draw").mean("gene")
    assert float(spread.sel(sample="new")) > float(spread.sel(sample="known"))
    alone = posterior.predict(draws=300, samples=new[["condition"]])
    assert float(np.log(alone + 1.0).std("draw").mean("gene").sel(sample="known")) > float(
        spread.sel(sample="known")
    )


def test_other_laws_priors_and_counts(posterior):
    spike = posterior.with_effects("spike_t")
    assert "p_zero" in spike.results()
    assert spike.results()["donor_sd"].notna().all()
    left = posterior.without_outliers(pd.DataFrame({"gene": ["g2"], "sample": ["s0"]}))
    assert left.diagnostics.loc["g2", "status"] == "outlier_left_out"
    assert left.loo(refit=False).pointwise["elpd"].notnull().all()
    assert posterior.model().genes(np.arange(2)).n_random == 1


def test_other_priors_from_the_same_draws(posterior):
    wide = bde.reweighted(posterior, priors=bde.Priors(random_effect_sd=bde.LogNormal(0.29, 2.0)))
    assert wide.hyperparameters.random_effect_sd["donor"] == pytest.approx(
        posterior.hyperparameters.random_effect_sd["donor"], rel=0.2
    )
    without = replace(
        posterior.hyperparameters, random_effect_sd={}, random_effect_sd_spread={}, draws={}, sd={}
    )
    with pytest.raises(InputError, match="the draws were made with 'donor'"):
        bde.reweighted(posterior, hyperparameters=without)


def test_plots(posterior):
    ax = bde.plots.random_effect_sd_plot(posterior)
    assert "donor" in ax.get_ylabel()
    points = ax.collections[1].get_offsets()
    assert len(points) == GENES
    with pytest.raises(InputError, match="there are none called 'litter'"):
        bde.plots.random_effect_sd_plot(posterior, "litter")
    titles = [panel.get_title() for panel in np.ravel(bde.plots.hyperparameter_plot(posterior))]
    assert any("median tau of donor" in title for title in titles)


def test_the_posterior_is_that_of_a_grid(experiment):
    """Of three parameters given the hyperparameters: the intercept, ln tau and ln alpha."""
    hyper = Hyperparameters(
        shrinkage_scale={},
        dispersion_sd=0.5,
        asymptotic_dispersion=0.05,
        extra_poisson=2.0,
        random_effect_sd={"donor": 0.3},
        random_effect_sd_spread={"donor": 0.7},
    )
    names = ["g0", "g5", "g9", "g20"]
    found = fitted(experiment[0], "~ 1 + (1 | donor)", hyperparameters=hyper, genes=names, draws=4000)
    model, weights = found.model(), found.gene_draws.weights()[:, :, None]
    theta = np.asarray(found.gene_draws.theta, dtype=np.float64)
    mean = (weights * theta).sum(axis=1)
    sd = np.sqrt((weights * (theta - mean[:, None]) ** 2).sum(axis=1))
    points = [np.linspace(-6.0, 6.0, 41)[:, None] * s for s in sd]
    cells = OrderedCells.of(model.x, model.data.groups)
    for g in range(len(names)):
        axes = [mean[g, k] + points[g][:, k] for k in range(3)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(1, -1, 3).astype(np.float32)
        one, log_p = model.genes(np.array([g])), np.empty((1, grid.shape[1]))
        log_likelihoods(0, 1, grid, one.data, cells, np.array([True, False]), 15.0, log_p)
        log_p -= 0.5 * ((grid[..., 1] - math.log(0.3)) / 0.7) ** 2
        log_p -= 0.5 * ((grid[..., 2] - one.log_trend[0]) / 0.5) ** 2
        share = np.exp(log_p[0] - log_p.max())
        share /= share.sum()
        expected = (share[:, None] * grid[0]).sum(axis=0)
        spread = np.sqrt((share[:, None] * (grid[0] - expected) ** 2).sum(axis=0))
        np.testing.assert_allclose((mean[g] - expected) / spread, 0.0, atol=0.08)
        np.testing.assert_allclose(sd[g], spread, rtol=0.06)


def test_a_gene_that_only_some_donors_express(experiment):
    """As those of one sex: the posterior has a mode where donors differ, and one of large dispersion."""
    counts = experiment[0]
    rng, matrix = np.random.default_rng(8), np.asarray(counts.matrix).copy()
    expressed = np.repeat([True, False, True, False, True, False, False, True], 2)
    matrix[0] = rng.poisson(np.where(expressed, rng.gamma(20.0, 30.0, 2 * DONORS), 3.0))
    changed = bde.Counts(
        matrix, genes=list(counts.genes), samples=list(counts.samples), sample_table=counts.sample_table
    )
    hyper = Hyperparameters(
        shrinkage_scale={"condition[T.b]": 0.05},
        dispersion_sd=0.5,
        asymptotic_dispersion=0.05,
        extra_poisson=2.0,
        random_effect_sd={"donor": 0.3},
        random_effect_sd_spread={"donor": 0.6},
    )
    found = fitted(changed, hyperparameters=hyper, genes=["g0"], draws=1000).results().loc["g0"]
    assert found["pareto_k"] < 0.7
    assert found["ess"] > 100.0
    assert found["donor_sd_lower"] > 1.0
    assert found["dispersion"] < 0.5


@pytest.mark.parametrize("coding", ["levels", "treatment"])
def test_factors_of_three_levels(experiment, coding):
    """Levels treated alike have more coefficients than the design; other references have other weights."""
    counts = experiment[0]
    table = counts.sample_table.assign(group=np.repeat(list("aabbbccc"), 2))
    three = bde.Counts(
        counts.matrix, genes=list(counts.genes), samples=list(counts.samples), sample_table=table
    )
    found = fitted(three, "~ group + (1 | donor)", options=bde.SamplingOptions(coding=coding))
    draws = found.draws
    assert draws["beta"].sizes["coefficient"] == 3
    sd = np.exp(np.asarray(found.gene_draws.theta)[..., -2].astype(np.float64))
    assert float(draws["random_effect_sd"].max()) <= sd.max() * (1.0 + 1e-6)
    own, other = found.results(("group", "c", "b")), found.results(("group", "b", "a"))
    assert own["donor_sd"].notna().all()
    np.testing.assert_allclose(own["donor_sd"], other["donor_sd"], rtol=0.5)
    assert found.predict(["g1"], draws=20).sizes["sample"] == 2 * DONORS
    assert found.random_effects(["g1"]).sizes["level"] == DONORS
    assert bde.plots.gene_counts_plot(found, "g1", by="group").has_data()
    contrast = ("group", "c", "b")
    left = [without_levels(one, contrast, ["g1"]) for one in (as_coefficient(found, contrast), found)]
    pd.testing.assert_frame_equal(found.without_levels(contrast, ["g1"]), left[0])
    assert left[0].equals(left[1]) == (coding == "levels")


def test_few_levels_are_said_once():
    counts, _ = simulated(Experiment(5, 2, between=True, genes=30), 5)
    fit = bde.fit_eb(counts, "~ condition")
    hyper = replace(
        Hyperparameters.from_eb(fit), random_effect_sd={"donor": 0.3}, random_effect_sd_spread={"donor": 0.5}
    )
    known = {"hyperparameters": hyper, "genes": ["g1"], "draws": 200}
    for eb in (None, fit):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            bde.fit_posterior(counts, FORMULA, eb=eb, **known)
        assert sum("'donor' has 5 levels" in str(one.message) for one in said) == 1


def test_outlying_counts(experiment):
    """Left out, as by default of the command line where every sample has two others of the same kind."""
    counts = experiment[0]
    matrix = np.asarray(counts.matrix).copy()
    matrix[7, 3] = 200 * (matrix[7].max() + 10)
    changed = bde.Counts(
        matrix, genes=list(counts.genes), samples=list(counts.samples), sample_table=counts.sample_table
    )
    found = fitted(changed, outliers="leave-out")
    assert ("g7", "s3") in set(zip(found.outliers["gene"], found.outliers["sample"], strict=True))
    assert usual_treatment(found) == "leave-out"
    table = found.results()
    assert table.loc["g7", "status"] == "outlier_left_out"
    assert np.isfinite(table.loc["g7", "donor_sd"])


def test_genes_in_blocks(posterior, experiment, monkeypatch, tmp_path):
    """They have the same draws; what was learnt is read back with the laws of random effects."""
    monkeypatch.setattr(blocks, "LONG", 0)
    for _ in range(2):  # the second time from the finished blocks
        found = fitted(experiment[0], directory=str(tmp_path))
        np.testing.assert_array_equal(found.gene_draws.theta, posterior.gene_draws.theta)
        assert found.hyperparameters.random_effect_sd == posterior.hyperparameters.random_effect_sd
        assert set(found.hyperparameters.random_effect_sd_spread) == {"donor"}
