"""What is asked of a posterior under other laws of the effects: against fresh fits and explicit weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayesde import LogNormal, Priors, power_scaling, reweighted, sensitivity
from bayesde.eb.fit import fit_eb
from bayesde.errors import InputError
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.priors import Beta
from bayesde.posterior import SamplingOptions, fit_posterior
from bayesde.posterior.queries.other_models.compare import compare_posteriors
from bayesde.simulation import SimulationOptions, simulate

EFFECT = "condition[T.treated]"
KNOWN = EffectMixture([0.4, 0.4, 0.2], [0.0, 0.3, 1.5])
LAWS = {"student_t": "student_t", "spike_t": "spike_t", "mixture": "mixture", "known": KNOWN}
OTHER = {
    "student_t": Priors(effect_nu=LogNormal(40.0, 0.1), dispersion_sd=LogNormal(0.35, 0.1)),
    "spike_t": Priors(pi0=Beta(60.0, 40.0), effect_nu=LogNormal(40.0, 0.1)),
    "mixture": Priors(dispersion_sd=LogNormal(0.3, 0.05)),
    "known": Priors(dispersion_sd=LogNormal(0.3, 0.05)),
}


@pytest.fixture(scope="module")
def fit():
    options = SimulationOptions(effects="normal", effect_scale=1.0, zero_share=0.5)
    return fit_eb(simulate(150, groups=(4, 4), options=options, seed=3).counts, "~ condition")


def run(fit, law, **arguments):
    options = SamplingOptions(hand_over=False, effects=law)
    return fit_posterior(fit.counts, fit.design, eb=fit, options=options, **({"draws": 2000} | arguments))


@pytest.fixture(scope="module", params=list(LAWS))
def law(request):
    return request.param


@pytest.fixture(scope="module")
def posterior(fit, law):
    return run(fit, LAWS[law])


def gaps(one, two):
    """Differences of posterior means, in posterior standard deviations."""
    one, two = one.results(EFFECT), two.results(EFFECT)
    return ((one["log2_fold_change"] - two["log2_fold_change"]) / two["lfc_se"])[two["lfc_se"] < 1.5]


def rms(values):
    return float(np.sqrt((values**2).mean()))


def trusted(posterior):
    return posterior.genes[(posterior.diagnostics.loc[posterior.genes, "status"] == "ok").to_numpy()]


def test_other_priors_give_what_a_fresh_fit_gives(fit, law, posterior):
    fresh, sampled = run(fit, LAWS[law], priors=OTHER[law]), reweighted(posterior, priors=OTHER[law])
    moved = []
    for name, draws in fresh.hyperparameters.draws.items():
        sd = fresh.hyperparameters.sd[name]
        assert abs(sampled.hyperparameters.draws[name].mean() - draws.mean()) < 0.5 * sd, name
        moved.append(abs(posterior.hyperparameters.draws[name].mean() - draws.mean()) / sd)
    assert max(moved) > 1.0, "the priors make a difference"
    assert trusted(sampled).size > 120
    if law != "mixture":  # a fresh fit estimates its weights anew
        assert rms(gaps(sampled, fresh).reindex(trusted(sampled))) < 0.08
        assert abs((sampled.results()["lfsr"] - fresh.results()["lfsr"]).mean()) < 0.01


def test_given_values_of_the_same_law_give_what_sampling_with_them_gives(fit, law, posterior):
    known = posterior.hyperparameters
    moved = replace(
        known,
        draws={},
        sd={},
        checks={},
        dispersion_sd=1.3 * known.dispersion_sd,
        effect_nu={name: 2.0 * nu for name, nu in known.effect_nu.items()},
        pi0={name: 0.5 * pi0 for name, pi0 in known.pi0.items()},
    )
    sampled = reweighted(posterior, hyperparameters=moved)
    fresh = fit_posterior(
        fit.counts,
        fit.design,
        eb=fit,
        hyperparameters=moved,
        draws=2000,
        seed=7,
        options=SamplingOptions(hand_over=False),
    )
    assert rms(gaps(sampled, fresh).reindex(trusted(sampled))) < 0.1
    if posterior.gene_draws.has_atoms:
        gap = sampled.results()["p_zero"] - fresh.results()["p_zero"]
        assert rms(gap.loc[trusted(sampled)]) < 0.03
        assert abs(gap.mean()) < 0.01


def test_draws_cannot_be_reweighted_to_a_law_with_other_zeros(law, posterior):
    known = replace(posterior.hyperparameters, draws={}, sd={}, checks={}, mixtures={}, pi0={}, effect_nu={})
    other = known if posterior.gene_draws.has_atoms else replace(known, mixtures={EFFECT: KNOWN})
    with pytest.raises(InputError, match=r"exactly zero.*with_effects"):
        reweighted(posterior, hyperparameters=other)


def test_power_scaling_has_every_prior_of_the_law(law, posterior):
    table = power_scaling(posterior)
    of_law = {
        "student_t": ["shrinkage_scale", "effect_nu"],
        "spike_t": ["shrinkage_scale", "effect_nu", "pi0"],
    }
    shared = ["dispersion_sd", "asymptotic_dispersion", "extra_poisson"]
    assert list(table.columns) == of_law.get(law, []) + shared
    assert list(table.index) == list(posterior.hyperparameters.draws)
    for name in of_law.get(law, []):  # the prior of a number moves that number, and most of all that one
        assert table[name].idxmax() == f"{name}[{EFFECT}]" or table[name].max() < 0.05
    assert (table >= 0.0).all(axis=None)


def test_sensitivity_names_the_calls_that_change(law, posterior):
    found = sensitivity(posterior, priors=OTHER[law])
    assert len(found.table) == posterior.genes.size
    assert found.table["change_in_sd"].abs().max() > 0.01
    assert (found.table["called"] != found.table["called_other"]).sum() == len(found.changed)


def test_a_count_that_is_left_out_by_weights_is_as_in_a_fresh_fit(fit, law, posterior):
    """elpd of the counts of a sample: by weights, and from genes sampled without it."""
    loo = posterior.loo(refit=False).pointwise
    known = replace(posterior.hyperparameters, draws={}, sd={}, checks={})
    fixed = fit_posterior(
        fit.counts,
        fit.design,
        eb=fit,
        hyperparameters=known,
        draws=2000,
        options=SamplingOptions(hand_over=False),
    )
    sample = fit.design.samples[2]
    pairs = pd.DataFrame({"gene": posterior.genes, "sample": sample})
    left = fixed.without_outliers(pairs)
    seen = left.loo(refit=False).pointwise  # the count is not part of these draws
    exact = seen["elpd"].sel(sample=sample).to_numpy()
    fine = (loo["pareto_k"].sel(sample=sample).to_numpy() < 0.5) & (
        left.diagnostics["status"] == "outlier_left_out"
    )
    gap = (loo["elpd"].sel(sample=sample).to_numpy() - exact)[fine.to_numpy()]
    assert fine.mean() > 0.8
    assert abs(gap.mean()) < 0.05
    assert np.quantile(np.abs(gap), 0.9) < 0.2
    assert left.gene_draws.has_atoms == posterior.gene_draws.has_atoms


def test_genes_sampled_without_a_count_keep_their_zeros(law, posterior):
    gene = posterior.genes[5]
    left = posterior.without_outliers(pd.DataFrame({"gene": [gene], "sample": [posterior.design.samples[0]]}))
    zero = [(np.asarray(one.gene_draws.theta)[:, :, 1] == 0.0).sum(axis=1) for one in (posterior, left)]
    np.testing.assert_array_equal(*(np.delete(counts, 5) for counts in zero))
    assert abs(zero[1][5] - zero[0][5]) <= 0.02 * left.gene_draws.n_draws
    assert (zero[0] > 0).all() == posterior.gene_draws.has_atoms
    assert np.isfinite(left.gene_draws.log_level).all()
    if posterior.gene_draws.has_atoms:  # a count out of eight changes little
        assert abs(left.results().loc[gene, "p_zero"] - posterior.results().loc[gene, "p_zero"]) < 0.4


def test_predicted_counts_have_the_weights_of_the_draws(law, posterior):
    genes = posterior.genes[(posterior.eb.base_mean > 30.0)[posterior.request.rows]][:20]
    replicates = posterior.predict(genes, draws=4000, seed=2)
    rows = posterior.genes.get_indexer(genes)
    theta, weights = np.asarray(posterior.gene_draws.theta)[rows], posterior.gene_draws.weights()[rows]
    factors = posterior.eb.normalization_factors[posterior.request.rows[rows]]
    mean = np.exp(np.minimum(theta[:, :, :-1] @ posterior.design.matrix.T, 30.0)) * factors[:, None, :]
    expected = np.einsum("gm,gms->gs", weights, mean)
    np.testing.assert_allclose(replicates.mean("draw"), expected, rtol=0.15)
    check = posterior.predictive_check(draws=100)
    assert ((check >= 0.0) & (check <= 1.0)).all(axis=None)
    assert 0.3 < check["p_spread"].mean() < 0.7


def test_two_laws_are_compared_by_their_predictions(fit, law, posterior):
    wrong = run(fit, EffectMixture([1.0], [8.0]))
    table = compare_posteriors({law: posterior, "wide": wrong})
    assert table.index[0] == law
    assert table.loc["wide", "elpd_diff"] < -2.0 * table.loc["wide", "se_diff"]


def test_explored_hyperparameters_have_the_mixture_in_their_likelihood(fit):
    """With priors under which no point is left, the search finds what a fresh fit finds, not Cauchy's."""
    law = EffectMixture([0.5, 0.5], [0.05, 3.0])
    extreme = Priors(dispersion_sd=LogNormal(0.1, 0.01))
    found = reweighted(run(fit, law), priors=extreme).hyperparameters
    fresh = run(fit, law, priors=extreme).hyperparameters
    for name in ("asymptotic_dispersion", "extra_poisson"):
        assert abs(found.draws[name].mean() - fresh.draws[name].mean()) < 0.5 * fresh.sd[name]
    assert found.mixtures[EFFECT] is not None


def test_intervals_under_a_normal_law_are_those_of_conjugate_shrinkage(fit):
    """With high counts the likelihood of an effect is close to normal, and so is its posterior."""
    law = EffectMixture([1.0], [0.3])
    table = run(fit, law).results(EFFECT)
    b, se = fit.beta[:, 1] / np.log(2.0), fit.beta_se[:, 1] / np.log(2.0)
    prior = 0.3 / np.log(2.0)
    expected = b / (1.0 + (se / prior) ** 2)
    fine = (fit.base_mean > 100.0) & (se < 0.4)
    assert fine.sum() > 20
    assert np.median(np.abs(table["log2_fold_change"] - expected)[fine] / se[fine]) < 0.25
