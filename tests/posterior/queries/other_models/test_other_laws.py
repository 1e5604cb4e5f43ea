"""Other laws of effects from the same draws, against fits under these laws and against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayesde as bde
from bayesde.errors import InputError
from bayesde.model.effect_laws import EffectMixture
from bayesde.posterior.hyper.laws import TELLING

SEED, N_GENES, N_DRAWS = 3, 400, 1000
"""So many draws of so many genes are also those that the hyperparameters are learnt from."""
NAME = "condition[T.treated]"
KNOWN = EffectMixture([0.7, 0.2, 0.1], [0.0, 0.3, 1.5])


def fitted(zero_share, seed):
    options = bde.SimulationOptions(
        effects="student_t", effect_scale=0.6, zero_share=zero_share, trend=(0.03, 1.0), median_mean=300.0
    )
    return bde.fit_eb(bde.simulate(N_GENES, groups=(4, 4), seed=seed, options=options).counts, "~ condition")


def sampled(fit, effects="cauchy", **arguments):
    options = bde.SamplingOptions(effects=effects, hand_over=False)
    return bde.fit_posterior(
        fit.counts, fit.design, eb=fit, options=options, **{"draws": N_DRAWS} | arguments
    )


@pytest.fixture(scope="module")
def fit():
    return fitted(0.7, SEED)


@pytest.fixture(scope="module")
def cauchy(fit):
    return sampled(fit)


@pytest.fixture(scope="module")
def spike(fit):
    return sampled(fit, "spike_t", seed=2)


def means(posterior):
    """Posterior means of the effect and of it being zero (gene, 2), with their Monte-Carlo errors."""
    draws = posterior.gene_draws
    effect = draws.theta[:, :, 1].astype(float)
    values, weights = np.stack([effect, effect == 0.0], axis=2), draws.weights()[:, :, None]
    mean = (weights * values).sum(axis=1)
    return mean, np.sqrt((weights**2 * (values - mean[:, None]) ** 2).sum(axis=1))


def spread(posterior):
    """Posterior standard deviations of the effect (gene,)."""
    return posterior.results()["lfc_se"].to_numpy()[posterior.diagnostics["sampled"]] * np.log(2.0)


def assert_same(one, other):
    """Means agree within their errors, but for what the hyperparameters' own errors leave."""
    (first, error), (second, of_second) = means(one), means(other)
    fine = (one.diagnostics["status"] == "ok") & (other.diagnostics["status"] == "ok")
    fine = fine[one.diagnostics["sampled"]].to_numpy()
    assert fine.mean() > 0.95
    left = np.stack([0.03 * spread(other), np.full(len(first), 0.02)], axis=1)
    z = (np.abs(first - second) - left) / np.maximum(np.hypot(error, of_second), 1e-9)
    assert (z[fine] < 4.0).mean() > 0.99, np.sort(z[fine], axis=0)[-8:]
    for name, value in other.hyperparameters.named.items():
        gap = abs(one.hyperparameters.named[name] - value)
        assert gap < 0.5 * other.hyperparameters.sd.get(name, 0.3 * value), name


@pytest.mark.parametrize("law", ["student_t", "spike_t", "mixture"])
def test_the_same_as_to_sample_under_the_law(fit, cauchy, spike, law):
    direct = spike if law == "spike_t" else sampled(fit, law, seed=2)
    other = cauchy.with_effects(law)
    assert other.hyperparameters.family(NAME) == law
    assert other.gene_draws.has_atoms == (law != "student_t")
    assert ("p_zero" in other.results()) == (law != "student_t")
    assert_same(other, direct)


def test_under_its_own_law_a_posterior_stays(cauchy):
    """The draws are the same, and only the points of the hyperparameters others."""
    again = cauchy.with_effects("cauchy")
    assert again.hyperparameters.family(NAME) == "cauchy"
    assert_same(again, cauchy)
    same = (again.gene_draws.theta == cauchy.gene_draws.theta).all(axis=(1, 2))
    assert same.mean() > 0.97  # a weight may just have become unreliable
    np.testing.assert_array_equal(again.gene_draws.log_ratio[same], cauchy.gene_draws.log_ratio[same])


def test_from_law_to_law(fit, cauchy):
    """By way of zeros, for which all draws are made again, and so are those without zeros after them."""
    spike = cauchy.with_effects("spike_t")
    plain = spike.with_effects("student_t")
    assert_same(plain, sampled(fit, "student_t", seed=2))
    back = plain.with_effects("cauchy")
    assert_same(back, cauchy)
    for one in (spike, plain, back):
        assert one.gene_draws.n_draws == N_DRAWS
        assert one.gene_draws.has_atoms == (one is spike)
    assert [one.request.options.effects for one in (spike, plain, back)] == ["spike_t", "student_t", "cauchy"]


def test_draws_with_zeros_are_divided_by_their_probability_and_the_given_posterior_stays(cauchy, spike):
    before = {
        name: np.array(getattr(cauchy.gene_draws, name)) for name in ("theta", "log_weights", "log_ratio")
    }
    other = cauchy.with_effects("spike_t")
    for name, values in before.items():
        np.testing.assert_array_equal(getattr(cauchy.gene_draws, name), values)
    share, direct = ((one.gene_draws.theta[:, :, 1] == 0.0).mean(axis=1) for one in (other, spike))
    assert np.ptp(share) == 0.0
    assert share[0] > 0.4  # of the draws 1 in 4 without the probability, which is about 0.7
    np.testing.assert_allclose(share, direct, atol=0.03)
    for one in (other, spike):
        assert (one.diagnostics["pareto_k"] > 0.7).mean() < 0.01


def test_a_posterior_with_zeros_under_a_known_mixture(spike, cauchy):
    for law in (KNOWN, {"condition": KNOWN}, {NAME: KNOWN.to_dict()}):
        other = spike.with_effects(law)
        np.testing.assert_array_equal(other.hyperparameters.mixtures[NAME].weight, KNOWN.weight)
    assert_same(other, cauchy.with_effects(KNOWN))


def test_laws_are_compared(fit, cauchy):
    table = cauchy.compare_effects(["cauchy", "student_t", "spike_t"])
    assert table.index[0] == "spike_t"
    assert table["difference"].iloc[0] == 0.0
    np.testing.assert_allclose(table["difference"], table["log_likelihood"] - table["log_likelihood"].max())
    assert table["parameters"].to_dict() == {"spike_t": 6, "student_t": 5, "cauchy": 4}
    assert 0.5 < table.loc["spike_t", f"pi0[{NAME}]"] < 0.85
    assert np.isnan(table.loc["cauchy", f"effect_nu[{NAME}]"])
    assert "dispersion_sd" not in table
    everything = cauchy.compare_effects()
    assert set(everything.index) == {"cauchy", "student_t", "spike_t", "mixture"}
    pd.testing.assert_frame_equal(everything.loc[table.index, ["log_likelihood"]], table[["log_likelihood"]])


def test_differences_do_not_depend_on_the_law_of_the_posterior(cauchy, spike):
    """But for Monte-Carlo errors: the draws are others."""
    laws = ["cauchy", "student_t", "spike_t"]
    one, other = (posterior.compare_effects(laws).loc[laws] for posterior in (cauchy, spike))
    assert one["difference"].idxmax() == other["difference"].idxmax() == "spike_t"
    for table in (one, other):
        assert table.loc["spike_t", "error"] == 0.0
        assert table["error"].drop("spike_t").between(0.01, 3.0).all()
    gap = (one["difference"] - other["difference"]).abs()
    assert (gap <= 4.0 * np.hypot(one["error"], other["error"]) + 0.1).all()


def test_the_difference_of_student_t_is_the_gain_that_the_fit_told():
    posterior = sampled(fitted(0.0, SEED))
    table, checks = posterior.compare_effects(["cauchy", "student_t"]), posterior.hyperparameters.checks
    gain = checks["student_t_gain"]
    assert gain > TELLING
    assert list(table.index) == ["student_t", "cauchy"]
    # genes that were adapted have other draws
    adapted = int((posterior.diagnostics["attempts"] > 1.0).sum())
    assert -table["difference"]["cauchy"] == pytest.approx(gain, abs=0.2 + 0.3 * adapted)
    assert table.loc["student_t", f"effect_nu[{NAME}]"] == pytest.approx(
        checks[f"student_t[{NAME}]"], rel=0.1
    )


def test_genes_of_other_engines_are_sampled_again(cauchy, spike):
    """They have no log ratios that mean anything: their log level is not a number."""
    rows = np.array([0, 17, 250])
    draws = cauchy.gene_draws
    level, theta, ratio = np.array(draws.log_level), np.array(draws.theta), np.array(draws.log_ratio)
    level[rows], theta[rows], ratio[rows] = np.nan, 0.5, np.nan
    mixed = replace(cauchy, gene_draws=replace(draws, log_level=level, theta=theta, log_ratio=ratio))
    other = mixed.with_effects("spike_t")
    assert np.isfinite(other.gene_draws.log_level).all()
    assert np.isfinite(other.gene_draws.log_ratio).all()
    assert (other.diagnostics["engine"] == "psis").all()
    (found, error), (expected, of_expected) = means(other), means(spike)
    gap = np.abs(found - expected)[rows]
    assert (gap < 5.0 * np.hypot(error, of_expected)[rows] + 0.03).all()
    assert other.gene_draws.n_draws == cauchy.with_effects("spike_t").gene_draws.n_draws
    assert len(mixed.compare_effects(["cauchy"])) == 1


def test_genes_with_unreliable_weights_are_sampled_again(cauchy):
    """A gene whose draws are far from its posterior."""
    draws = cauchy.gene_draws
    theta = np.array(draws.theta)
    theta[40, :, 1] *= np.linspace(0.1, 9.0, N_DRAWS)
    ratio = np.array(draws.log_ratio)
    ratio[40] -= np.linspace(0.0, 60.0, N_DRAWS)
    other = replace(cauchy, gene_draws=replace(draws, theta=theta, log_ratio=ratio)).with_effects("student_t")
    assert not (other.gene_draws.theta[40] == theta[40]).any()
    assert other.diagnostics["ess"].iloc[40] > 0.1 * N_DRAWS


@pytest.fixture(scope="module")
def others(fit, cauchy):
    given = sampled(fit, hyperparameters=bde.Hyperparameters.from_eb(fit))
    some = sampled(fit, genes=list(fit.counts.genes[:20]))
    counts = pd.DataFrame({"gene": [fit.counts.genes[0]], "sample": [fit.counts.samples[0]]})
    return {
        "fixed": given,
        "some": some,
        "nuts": replace(cauchy, engine="nuts"),
        "joint": replace(cauchy, engine="joint"),
        "left out": cauchy.without_outliers(counts),
    }


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("fixed", "the hyperparameters of this posterior are fixed"),
        ("some", "are learnt from all genes, and this posterior is of some"),
        ("nuts", "this posterior is of engine 'nuts'. Fit again with engine='psis'"),
        ("joint", "this posterior is of engine 'joint'"),
        ("left out", "counts were left out of this posterior"),
    ],
)
def test_posteriors_that_say_nothing_of_other_laws(others, which, message):
    for ask in (lambda one: one.with_effects("spike_t"), lambda one: one.compare_effects()):
        with pytest.raises(InputError) as refused:
            ask(others[which])
        assert message in str(refused.value)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ("student", "Did you mean 'student_t'"),
        (3.0, "effects must be"),
        ({"condition": "spike"}, "Did you mean 'spike_t'"),
        ({"conditon": "spike_t"}, "Did you mean 'condition'"),
        ({"Intercept": "spike_t"}, "'Intercept' is not shrunken"),
        ({"condition": {"weight": [1.0], "scale": [0.0]}}, "all the weight is on zero"),
    ],
)
def test_laws_that_there_are_not(cauchy, law, message):
    for ask in (lambda: cauchy.with_effects(law), lambda: cauchy.compare_effects(["cauchy", law])):
        with pytest.raises(InputError) as refused:
            ask()
        assert message in str(refused.value)


def test_an_empty_list_of_laws(cauchy):
    with pytest.raises(InputError, match="the list of laws is empty"):
        cauchy.compare_effects([])


def test_progress_is_reported_to_the_end(cauchy):
    told = []
    cauchy.compare_effects(["cauchy", "student_t"], progress=lambda *step: told.append(step))
    assert [step[:2] for step in told] == [(0, 2), (1, 2), (2, 2)]
    assert told[1][2] == "learning the law student_t"
    told.clear()
    cauchy.with_effects("student_t", progress=lambda *step: told.append(step))
    assert [step[0] for step in told] == [0, 1, 2, 3, 4]
    assert {step[1] for step in told} == {4}
