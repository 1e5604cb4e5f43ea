"""Factors of many levels, whose effects engine psis integrates out, and the same model with all sampled."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import bayesde as bde
from bayesde.errors import BayesdeNote
from bayesde.posterior.importance.integrated_levels import factor_to_integrate, say_what_is_integrated

pytestmark = pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeNote")
PATIENTS, GENES = 10, 24
FIXED = bde.Hyperparameters(
    {"patient": 0.2, "time[T.b]": 0.2}, dispersion_sd=0.5, asymptotic_dispersion=0.05, extra_poisson=2.0
)


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(5)
    patient, late = np.repeat(np.arange(PATIENTS), 2), np.tile([0, 1], PATIENTS)
    mean = np.exp(rng.uniform(1.5, 7.0, GENES))
    u = 0.2 * np.clip(rng.standard_t(1, (GENES, PATIENTS)), -8.0, 8.0)
    effect = np.where(rng.random(GENES) < 0.5, 0.0, rng.normal(0.0, 0.6, GENES))
    mu = mean[:, None] * np.exp(u[:, patient] + effect[:, None] * late)
    dispersion = (0.05 + 2.0 / mean)[:, None]
    counts = rng.poisson(mu * rng.gamma(1.0 / dispersion, dispersion, mu.shape))
    names = [f"s{j}" for j in range(patient.size)]
    table = pd.DataFrame(
        {"patient": [f"p{k:02d}" for k in patient], "time": np.where(late, "b", "a")}, index=names
    )
    genes = [f"g{g}" for g in range(GENES)]
    return bde.fit_eb(bde.Counts(counts, genes=genes, samples=names, sample_table=table), "~ patient + time")


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
    assert factor_to_integrate(design, "psis", cauchy, None) == "patient"
    assert factor_to_integrate(design, "psis", cauchy, FIXED) == "patient"
    assert factor_to_integrate(design, "psis", bde.SamplingOptions(shrink=("time",)), None) == "patient"
    assert factor_to_integrate(design, "nuts", cauchy, None) is None
    for options in (
        bde.SamplingOptions(coding="treatment"),
        bde.SamplingOptions(coding="sampled"),
        bde.SamplingOptions(effects={"patient": "spike_t"}),
        bde.SamplingOptions(shrink=("patient[T.p01]",)),
    ):
        assert factor_to_integrate(design, "psis", options, None) is None
    spikes = bde.SamplingOptions(effects="spike_t")
    assert factor_to_integrate(design, "psis", spikes, None) == "patient"
    table = fit.counts.sample_table
    last, only = (bde.Design.from_formula(formula, table) for formula in ("~ time + patient", "~ patient"))
    assert factor_to_integrate(last, "psis", cauchy, None) == "patient"
    assert factor_to_integrate(last, "psis", spikes, None) is None
    assert factor_to_integrate(only, "psis", cauchy, None) is None
    crossed = bde.Design.from_formula("~ C(group) * time", table.assign(group=np.arange(20) % 9 // 3))
    assert factor_to_integrate(crossed, "psis", cauchy, None) is None


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


def test_hyperparameters_survive_a_file(integrated, tmp_path):
    integrated.hyperparameters.to_json(tmp_path / "h.json")
    assert bde.Hyperparameters.from_json(tmp_path / "h.json").shrinkage_scale == FIXED.shrinkage_scale
