"""The prior predictive check: what is drawn has the priors' distributions, and can be drawn as a picture."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from reference.patients import counts_of_patients
from scipy.stats import beta, cauchy, kstest, norm
from scipy.stats import t as student

from bayesde import LogNormal, Priors, SamplingOptions, ShiftedGamma, load_airway, prior_predictive
from bayesde.eb.fit import fit_eb
from bayesde.errors import InputError, OptionError
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.priors import Beta
from bayesde.plots import prior_predictive_plot
from bayesde.posterior.queries.prior_predictive import _replicate_ratio, as_observed
from benchmarks.calibration import priors as picture_of_priors

SHARP = Priors(
    shrinkage_scale=LogNormal(0.3, 1e-6),
    dispersion_sd=LogNormal(0.5, 1e-6),
    asymptotic_dispersion=LogNormal(0.02, 1e-6),
    extra_poisson=LogNormal(1.5, 1e-6),
    nu=ShiftedGamma(400.0, 100.0),
)


def test_hyperparameters_are_drawn_from_their_priors(pasilla_fit):
    drawn = prior_predictive(pasilla_fit, data_sets=2000, genes=2).hyperparameters
    for name, law in (("shrinkage_scale", LogNormal(0.2, 1.5)), ("dispersion_sd", LogNormal(0.7, 0.7))):
        z = (np.log(drawn[name]) - law.log_median) / law.log_sd
        assert kstest(z, norm.cdf).pvalue > 1e-3
    assert (drawn["nu"] > 2.0).all()


def test_levels_that_are_integrated_out_have_one_cauchy_law():
    """Two patients differ by Cauchy(0, 2 S), whichever is the reference."""
    fit = fit_eb(counts_of_patients(10, 30), "~ time + patient")
    drawn = prior_predictive(fit, SHARP, data_sets=300, genes=20)
    effect = drawn.log2_fold_change.ravel() * math.log(2.0)
    assert kstest(effect, cauchy(scale=0.6).cdf).pvalue > 1e-3
    zeros = prior_predictive(
        fit, SHARP, data_sets=2, genes=5, options=SamplingOptions(effects={"time": "spike_t"})
    )
    assert (zeros.log2_fold_change != 0.0).all()


def test_genes_and_counts_follow_the_model(pasilla_fit):
    drawn = prior_predictive(pasilla_fit, SHARP, data_sets=40, genes=200, seed=3)
    effect = drawn.log2_fold_change.ravel() * math.log(2.0) / 0.3
    assert kstest(effect, cauchy.cdf).pvalue > 1e-3
    residual = (np.log(drawn.dispersion) - np.log(0.02 + 1.5 / drawn.base_mean)) / 0.5
    assert kstest(residual.ravel(), norm.cdf).pvalue > 1e-3
    # of two counts with mean m and dispersion a the log ratio has a variance of about 2 (a + 1 / m),
    # of which the spread of the dispersions around their trend makes more
    many = drawn.base_mean > 2000.0
    spread = np.median(np.log(drawn.replicate_ratio[:, many]))
    assert spread == pytest.approx(norm.ppf(0.75) * math.sqrt(2.0 * 0.021), rel=0.35)


def test_residuals_and_trend_can_be_chosen(pasilla_fit):
    drawn = prior_predictive(
        pasilla_fit,
        SHARP,
        data_sets=40,
        genes=200,
        options=SamplingOptions(residuals="student_t", trend="constant"),
    )
    residual = (np.log(drawn.dispersion) - math.log(0.02)) / 0.5
    tails = np.mean(np.abs(residual) > 4.0)
    assert 0.005 < tails < 0.05  # Student's t of about 4 degrees of freedom: 0.016; normal: 6e-5


def test_effects_follow_the_law_that_is_asked_for(pasilla_fit):
    sharp = replace(SHARP, effect_nu=LogNormal(6.0, 1e-6), pi0=Beta(3000.0, 7000.0))
    sets = {"data_sets": 40, "genes": 200, "seed": 3}
    drawn = prior_predictive(pasilla_fit, sharp, options=SamplingOptions(effects="student_t"), **sets)
    assert kstest(drawn.log2_fold_change.ravel() * math.log(2.0) / 0.3, student(6.0).cdf).pvalue > 1e-3
    assert list(drawn.hyperparameters)[-1] == "effect_nu"
    drawn = prior_predictive(
        pasilla_fit,
        sharp,
        options=SamplingOptions(effects={"condition": "spike_t", "type": "student_t"}),
        **sets,
    )
    effect = drawn.log2_fold_change.ravel() * math.log(2.0) / 0.3
    assert abs(np.mean(effect == 0.0) - 0.3) < 0.02
    assert kstest(effect[effect != 0.0], student(6.0).cdf).pvalue > 1e-3
    assert drawn.hyperparameters["pi0"].mean() == pytest.approx(0.3, abs=0.01)
    known = EffectMixture([0.6, 0.4], [0.0, 0.7])
    drawn = prior_predictive(
        pasilla_fit, sharp, options=SamplingOptions(effects={"condition": known, "": "spike_t"}), **sets
    )
    effect = drawn.log2_fold_change.ravel() * math.log(2.0) / 0.7
    assert abs(np.mean(effect == 0.0) - 0.6) < 0.02
    assert kstest(effect[effect != 0.0], norm.cdf).pvalue > 1e-3
    assert not {"shrinkage_scale", "effect_nu", "pi0"} & set(drawn.hyperparameters)


def test_nu_and_pi0_are_drawn_from_their_priors(pasilla_fit):
    priors = Priors(pi0=Beta(2.0, 5.0))
    drawn = prior_predictive(
        pasilla_fit, priors, data_sets=2000, genes=2, options=SamplingOptions(effects="spike_t")
    ).hyperparameters
    assert kstest(np.log(drawn["effect_nu"] / 5.0) / 1.2, norm.cdf).pvalue > 1e-3
    assert kstest(drawn["pi0"], beta(2.0, 5.0).cdf).pvalue > 1e-3


def test_a_mixture_without_weights_cannot_be_drawn(pasilla_fit):
    with pytest.raises(InputError, match=r"estimated from the counts.*EffectMixture"):
        prior_predictive(pasilla_fit, options=SamplingOptions(effects={"condition": "mixture"}))
    with pytest.raises(OptionError, match="spike_t"):
        prior_predictive(pasilla_fit, options=SamplingOptions(effects="spike"))
    with pytest.raises(InputError, match="nonsense"):
        prior_predictive(pasilla_fit, options=SamplingOptions(effects={"nonsense": "spike_t"}))


def test_replicates_are_samples_of_one_condition(pasilla_fit):
    design = pasilla_fit.design
    ratio = _replicate_ratio(np.array([[1.0, 1.0, 1.0, 3.0, 7.0, 5.0, 5.0]]), design)
    group = np.unique(design.matrix, axis=0, return_inverse=True)[1]
    assert np.bincount(group).max() == 2
    pair = np.flatnonzero(group == np.bincount(group).argmax())
    values = np.array([1.0, 1.0, 1.0, 3.0, 7.0, 5.0, 5.0])[pair] + 0.5
    assert ratio[0] == pytest.approx(values.max() / values.min())


def test_real_data_lie_within_what_the_default_priors_expect(pasilla_fit):
    """Hyperparameters, the median effect and the median dispersion: within 2 % and 98 % of the data sets."""
    drawn, seen = prior_predictive(pasilla_fit), as_observed(pasilla_fit, "pasilla")
    for name in seen.hyperparameters:
        assert 0.02 < np.mean(drawn.hyperparameters[name] < seen.hyperparameters[name].iloc[0]) < 0.98
    for name in ("log2_fold_change", "dispersion"):
        sets = np.nanmedian(np.abs(getattr(drawn, name)), axis=1)
        assert 0.02 < np.mean(sets < np.nanmedian(np.abs(getattr(seen, name)))) < 0.98


@pytest.mark.parametrize("law", ["cauchy", "spike_t", EffectMixture([0.9, 0.1], [0.0, 1.0])])
def test_the_picture(pasilla_fit, law):
    figure = Figure(figsize=(10.0, 8.0), layout="constrained")
    drawn = prior_predictive(pasilla_fit, data_sets=20, genes=100, options=SamplingOptions(effects=law))
    axes = figure.subplots(2, 2).ravel()
    made = prior_predictive_plot(drawn, [as_observed(pasilla_fit, "pasilla")], axes=axes)
    assert list(made) == list(axes)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "90 % of data sets from the prior",
        "50 %",
        "pasilla",
    ]
    figure.canvas.draw()


def test_the_picture_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_of_priors, "MORE", {})  # those that do not ship with the package
    picture_of_priors.main(tmp_path / "priors.png")
    assert (tmp_path / "priors.png").stat().st_size > 50_000


def test_a_design_without_effects_has_nothing_to_draw(pasilla_fit):
    with pytest.raises(InputError, match="no intercept with effects"):
        prior_predictive(fit_eb(pasilla_fit.counts, "~ 1"))


def test_cell_means_have_the_effects_of_their_factor(pasilla_fit):
    """Around the center of the levels; the last coefficient is the treated or untreated level."""
    drawn = prior_predictive(fit_eb(pasilla_fit.counts, "~ 0 + condition"), SHARP, data_sets=40, genes=200)
    effect = drawn.log2_fold_change[drawn.log2_fold_change != 0.0]
    assert np.median(np.abs(effect)) * math.log(2.0) == pytest.approx(0.3, rel=0.06)


def test_under_treatment_coding_a_difference_from_the_reference_has_the_law():
    fit = fit_eb(load_airway(), "~ cell")  # of four levels
    values = []
    for coding in ("treatment", "levels"):
        options = SamplingOptions(coding=coding)
        drawn = prior_predictive(fit, SHARP, data_sets=20, genes=200, options=options)
        values.append(kstest(drawn.log2_fold_change.ravel() * math.log(2.0) / 0.3, cauchy.cdf).pvalue)
    assert values[0] > 1e-3 > values[1]


def test_options_are_checked(pasilla_fit):
    for wrong in ({"data_sets": 0}, {"genes": 0}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            prior_predictive(pasilla_fit, **wrong)


def test_random_effects_are_drawn_from_their_priors(pasilla_fit):
    """A standard deviation that all genes share makes the log ratios of donors as wide as it says."""
    sharp = replace(
        SHARP,
        shrinkage_scale=LogNormal(1e-6, 1e-6),
        random_effect_sd=LogNormal(0.8, 0.3),
        random_effect_sd_spread=LogNormal(1e-6, 1e-6),
    )
    fit = donors_fit()
    arguments = {"data_sets": 40, "genes": 60, "seed": 3}
    drawn = prior_predictive(fit, sharp, design="~ condition + (1 | donor)", **arguments)
    z = (np.log(drawn.hyperparameters["random_effect_sd[donor]"]) - math.log(0.8)) / 0.3
    assert kstest(z, norm.cdf).pvalue > 1e-3
    assert drawn.hyperparameters["random_effect_sd_spread[donor]"].median() == pytest.approx(1e-6)
    # of five pairs of neighbors among six replicates two are of different donors, whose u differ by
    # 2 tau / sqrt(pi) on average
    plain = prior_predictive(fit, sharp, **arguments)
    np.testing.assert_array_equal(plain.dispersion.shape, drawn.dispersion.shape)
    added = np.log(drawn.replicate_ratio).mean() - np.log(plain.replicate_ratio).mean()
    assert 0.5 * 0.8 < added * 5 / 2 * math.sqrt(math.pi) / 2 < 1.5 * 0.8
    assert "random_effect_sd[donor]" not in plain.hyperparameters


def donors_fit():
    """Six donors of two samples, condition between them."""
    from benchmarks.donors.experiments import Experiment, simulated

    counts, _ = simulated(Experiment(6, 2, between=True, genes=80), 2)
    return fit_eb(counts, "~ condition")


def test_slopes_are_drawn_and_other_fixed_effects_refused():
    fit = donors_fit()
    drawn = prior_predictive(fit, data_sets=3, genes=5, design="~ condition + (1 + condition | donor)")
    names = [name for name in drawn.hyperparameters if name.startswith("random_effect_sd[")]
    assert len(names) == 2
    assert np.isfinite(drawn.replicate_ratio).all()
    with pytest.raises(InputError, match=r"fixed effects of '~ 1 .* are not those of the fit, '~ condition'"):
        prior_predictive(fit, design="~ 1 + (1 | donor)")
