"""Factors of many levels, whose effects engine psis integrates out, and the same model with all sampled."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from reference.patients import FIXED, counts_of_patients

import bayesde as bde
from bayesde.errors import BayesdeNote
from bayesde.posterior.codings.integrated_levels import factor_to_integrate, say_what_is_integrated

pytestmark = pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeNote")
PATIENTS, GENES = 10, 24


@pytest.fixture(scope="module")
def fit():
    return bde.fit_eb(counts_of_patients(PATIENTS, GENES), "~ patient + time")


@pytest.fixture(scope="module")
def integrated(fit):
    with pytest.warns(BayesdeNote, match="10 levels of patient are integrated out"):
        return bde.fit_posterior(fit.counts, fit.design, eb=fit, hyperparameters=FIXED, draws=2000)


@pytest.fixture(scope="module")
def sampled(fit):
    options = bde.SamplingOptions(coding="sampled", hand_over=False)
    return bde.fit_posterior(
        fit.counts, fit.design, eb=fit, hyperparameters=FIXED, draws=8000, options=options
    )


def test_what_is_integrated(fit):
    design, cauchy = fit.design, bde.SamplingOptions()
    assert factor_to_integrate(design, cauchy, None) == "patient"
    assert factor_to_integrate(design, cauchy, FIXED) == "patient"
    assert factor_to_integrate(design, bde.SamplingOptions(shrink=("time",)), None) == "patient"
    for options in (
        bde.SamplingOptions(coding="treatment"),
        bde.SamplingOptions(coding="sampled"),
        bde.SamplingOptions(effects={"patient": "spike_t"}),
        bde.SamplingOptions(shrink=("patient[T.p01]",)),
    ):
        assert factor_to_integrate(design, options, None) is None
    spikes = bde.SamplingOptions(effects="spike_t")
    assert factor_to_integrate(design, spikes, None) == "patient"
    table = fit.counts.sample_table
    last, only = (bde.Design.from_formula(formula, table) for formula in ("~ time + patient", "~ patient"))
    assert factor_to_integrate(last, cauchy, None) == "patient"
    assert factor_to_integrate(last, spikes, None) is None
    assert factor_to_integrate(only, cauchy, None) is None


def test_cells_of_large_interactions_and_levels_of_an_only_factor():
    cauchy, table = bde.SamplingOptions(), two_strains(10, 2)
    crossed, cells, few = (
        bde.Design.from_formula(formula, some)
        for formula, some in (
            ("~ strain * time", table),
            ("~ cell", table.assign(cell=table["strain"] + table["time"])),
            ("~ strain * time", table[table["time"] != "t09"]),
        )
    )
    assert factor_to_integrate(crossed, cauchy, None) == "strain:time"
    assert factor_to_integrate(cells, cauchy, None) == "cell"
    assert factor_to_integrate(few, cauchy, None) is None
    slopes = bde.Design.from_formula("~ time * dose", table.assign(dose=np.arange(40.0) % 7))
    assert factor_to_integrate(slopes, cauchy, None) is None


def two_strains(times: int, replicates: int) -> pd.DataFrame:
    """Samples of two strains at several times."""
    cells = [(strain, f"t{time:02d}") for strain in ("wild", "mutant") for time in range(times)]
    rows = [cell for cell in cells for _ in range(replicates)]
    names = [f"s{j}" for j in range(len(rows))]
    return pd.DataFrame(rows, index=names, columns=["strain", "time"])


@pytest.mark.parametrize(("number", "told"), [(99, False), (100, True)])
def test_random_effects_are_suggested_for_very_many_levels(number, told):
    factor = SimpleNamespace(name="patient", levels=tuple(range(number)))
    hyper = SimpleNamespace(effect_nu={}, shrinkage_scale={"patient": 0.2})
    with pytest.warns(BayesdeNote) as said:
        say_what_is_integrated(SimpleNamespace(integrated=factor), hyper)
    assert ("(1 | patient)" in str(said[0].message)) == told


def test_few_numbers_are_sampled(integrated):
    assert integrated.coding.coefficients == ("Intercept", "time[T.b]")
    assert integrated.gene_draws.theta.shape == (GENES, 2000, 3)
    assert (integrated.diagnostics["pareto_k"] < 0.7).all()
    assert (integrated.diagnostics["status"] == "ok").all()


@pytest.mark.parametrize("contrast", ["time[T.b]", ("patient", "p03", "p07"), "patient[T.p05]", "Intercept"])
def test_contrasts_agree_with_those_of_all_coefficients_sampled(integrated, sampled, contrast):
    one, other = integrated.summary(contrast), sampled.summary(contrast)
    reliable = (sampled.diagnostics["pareto_k"] < 0.5) & (sampled.diagnostics["ess"] > 400.0)
    assert reliable.sum() >= 8
    apart = ((one["mean"] - other["mean"]) / other["sd"])[reliable]
    assert np.abs(apart).max() < 0.35
    assert np.sqrt(np.mean(apart**2)) < 0.15
    ratio = (one["sd"] / other["sd"])[reliable]
    assert abs(np.log(ratio)).max() < 0.35
    assert abs(np.log(ratio)).mean() < 0.12


def test_several_contrasts_and_draws(integrated):
    contrasts = {"late": "time[T.b]", "patients": ("patient", "p03", "p07")}
    joint = integrated.contrasts(contrasts)
    for name, contrast in contrasts.items():
        own = integrated.summary(contrast)["mean"]
        np.testing.assert_allclose(joint["mean"].sel(contrast=name), own, atol=1e-6)
        drawn = integrated.contrast_draws(contrast, genes=["g0", "g1"]).mean(("chain", "draw"))
        assert np.abs(drawn - own[["g0", "g1"]].to_numpy()).max() < 0.2
    labelled = integrated.draws
    assert labelled["beta"].sizes["coefficient"] == PATIENTS + 1


def test_effects_of_levels_and_leaving_them_out(integrated):
    effects = integrated.random_effects(genes=["g2", "g3"])
    assert effects.sizes["level"] == PATIENTS
    difference = effects.sel(level="p03") - effects.sel(level="p07")
    expected = integrated.summary(("patient", "p03", "p07")).loc[["g2", "g3"]]
    apart = difference.mean(("chain", "draw")) - expected["mean"].to_numpy()
    assert (np.abs(apart) < 0.3 * expected["sd"].to_numpy()).all()
    table = integrated.without_levels("time[T.b]", genes=["g2"])
    assert len(table) == PATIENTS
    assert np.isfinite(table["elpd"]).all()


def test_predictions_know_the_levels(integrated, fit):
    drawn = integrated.predict(genes=["g0", "g5"], draws=200, seed=3)
    seen = fit.counts.rows([0, 5])
    inside = np.mean(
        [
            (drawn.quantile(0.01, "draw").to_numpy()[g] <= seen[g])
            & (seen[g] <= drawn.quantile(0.99, "draw").to_numpy()[g])
            for g in range(2)
        ]
    )
    assert inside > 0.8
    checks = integrated.predictive_check(genes=["g0", "g5"], draws=100)
    assert checks.notna().all(axis=None)


def test_counts_are_left_out_as_with_all_coefficients_sampled(integrated, sampled):
    """Draws far out in the tails do not disturb the weights."""
    one, other = integrated.loo(refit=False), sampled.loo(refit=False)
    assert (one.pointwise["elpd"] < 0.0).all()
    both = (one.reliable & other.reliable).to_numpy()
    assert both.mean() > 0.6
    gap = (one.pointwise["elpd"] - other.pointwise["elpd"]).to_numpy()[both]
    assert np.abs(gap).mean() < 0.1
    assert abs(gap.mean()) < 0.03


def test_scale_is_learnt(fit):
    found = bde.fit_posterior(fit.counts, fit.design, eb=fit, draws=500)
    scale = found.hyperparameters.shrinkage_scale["patient"]
    assert 0.1 < scale < 0.4  # 0.2 in truth
    assert 0.0 < found.hyperparameters.sd["shrinkage_scale[patient]"] < 0.1
    assert (found.diagnostics["pareto_k"] < 0.7).all()


def test_a_factor_that_is_not_shrunken(fit):
    flat = bde.Hyperparameters({"time[T.b]": 0.2}, 0.5, 0.05, 2.0)
    found = bde.fit_posterior(fit.counts, fit.design, eb=fit, hyperparameters=flat, draws=1000)
    assert found.model().random.groups.scale == 15.0
    estimated = found.summary(("patient", "p03", "p07"))["mean"]
    maximum = fit.results(("patient", "p03", "p07"))["log2_fold_change"]
    well = fit.base_mean > 50.0
    assert np.abs(estimated - maximum)[well].median() < 0.1


def test_an_interaction_agrees_with_maximum_likelihood_where_counts_are_large():
    table, rng = two_strains(10, 3), np.random.default_rng(2)
    cells = table["strain"] + table["time"]
    log_mean = {cell: rng.normal(7.0, 0.4, 8) for cell in cells.unique()}
    mean = np.exp(np.column_stack([log_mean[cell] for cell in cells]))
    counts = rng.poisson(mean * rng.gamma(50.0, 1.0 / 50.0, mean.shape))
    counts = bde.Counts(counts, [f"g{g}" for g in range(8)], list(table.index), sample_table=table)
    hyper = bde.Hyperparameters({"strain": 1.0, "time": 1.0, "strain:time": 1.0}, 0.5, 0.02, 0.5)
    design = bde.Design.from_formula("~ strain * time", table)
    fit = bde.fit_eb(counts, design, options=bde.EbOptions(trend="mean"))
    found = bde.fit_posterior(counts, design, eb=fit, hyperparameters=hyper, draws=1000)
    assert found.coding.coefficients == ("Intercept", "strain", *["time"] * 10)
    assert (found.diagnostics["status"] == "ok").all()
    later = np.zeros(20)
    later[[design.coefficients.index(f"time[T.t0{k}]") for k in (3,)]] = 1.0
    later[design.coefficients.index("strain[T.wild]:time[T.t03]")] = 1.0
    one, other = found.results(later), fit.results(later)
    gap = (one["log2_fold_change"] - other["log2_fold_change"]) / other["lfc_se"]
    assert gap.abs().max() < 0.5
    np.testing.assert_allclose(one["lfc_se"], other["lfc_se"], rtol=0.35)
    new = found.predict(samples=pd.DataFrame({"strain": ["wild"], "time": ["t03"]}, index=["new"]), draws=200)
    expected = mean[:, np.flatnonzero(cells == "wildt03")[0]]
    assert np.abs(np.log(new.mean("draw").to_numpy()[:, 0] / expected)).max() < 0.4


def test_hyperparameters_survive_a_file(integrated, tmp_path):
    integrated.hyperparameters.to_json(tmp_path / "h.json")
    assert bde.Hyperparameters.from_json(tmp_path / "h.json").shrinkage_scale == FIXED.shrinkage_scale
