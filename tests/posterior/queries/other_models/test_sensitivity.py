"""Other priors without sampling again: against fresh fits, explicit weights and ArviZ."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from reference.monte_carlo import distribution_scores
from scipy.stats import cauchy, norm

from bayesde import LogNormal, Priors, power_scaling, reweighted, sensitivity
from bayesde.eb.fit import fit_eb
from bayesde.errors import FitError, InputError
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.posterior import Hyperparameters, SamplingOptions, fit_posterior
from bayesde.posterior.draws.arviz_adapter import import_arviz
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.queries.other_models import sensitivity as comparison
from bayesde.posterior.queries.other_models.reweight import chains_log_ratio
from bayesde.simulation import simulate

EFFECT = "condition[T.treated]"
OTHER = Priors(shrinkage_scale=LogNormal(1.5, 0.3), dispersion_sd=LogNormal(0.3, 0.3))
EXTREME = Priors(shrinkage_scale=LogNormal(20.0, 0.05))
DOUBLED = Hyperparameters({EFFECT: 1.0}, 0.5, 0.05, 2.0)


@pytest.fixture(scope="module")
def fit():
    return fit_eb(simulate(100, groups=(4, 4), seed=5).counts, "~ condition")


def run(fit, **arguments):
    options = SamplingOptions(hand_over=False)
    return fit_posterior(fit.counts, fit.design, eb=fit, options=options, **arguments)


@pytest.fixture(scope="module")
def posterior(fit):
    return run(fit, draws=2000)


def gaps(one, two, genes):
    """Differences of posterior means in posterior standard deviations, where there are moments."""
    one, two = one.loc[genes], two.loc[genes]
    settled = (one["lfc_se"] < 1.5) & (two["lfc_se"] < 1.5)
    return ((one["log2_fold_change"] - two["log2_fold_change"]) / two["lfc_se"])[settled]


def rms(values):
    return float(np.sqrt((values**2).mean()))


def test_the_same_priors_give_the_same_posterior(posterior):
    again = reweighted(posterior)
    assert rms(gaps(again.results(), posterior.results(), posterior.genes)) < 0.02
    np.testing.assert_allclose(np.exp(again.gene_draws.log_weights).sum(axis=1), 1.0, rtol=1e-4)
    for name, sd in posterior.hyperparameters.sd.items():
        gap = again.hyperparameters.draws[name].mean() - posterior.hyperparameters.draws[name].mean()
        assert abs(gap) < 0.2 * sd


@pytest.mark.parametrize("priors", [OTHER, EXTREME], ids=["weighted", "explored"])
def test_other_priors_give_what_a_fresh_fit_gives(fit, posterior, priors):
    """With the extreme ones no point of the hyperparameters is left, and others are found."""
    fresh, sampled = run(fit, draws=2000, priors=priors), reweighted(posterior, priors=priors)
    moved = []
    for name, draws in fresh.hyperparameters.draws.items():
        sd = fresh.hyperparameters.sd[name]
        assert abs(sampled.hyperparameters.draws[name].mean() - draws.mean()) < 0.35 * sd, name
        moved.append(abs(posterior.hyperparameters.draws[name].mean() - draws.mean()) / sd)
    assert max(moved) > 1.0, "the priors make a difference"
    trusted = posterior.genes[(sampled.diagnostics["status"] == "ok").to_numpy()]
    assert trusted.size > 80
    error = rms(gaps(sampled.results(), fresh.results(), trusted))
    assert error < 0.06
    assert error < 0.5 * rms(gaps(posterior.results(), fresh.results(), trusted))
    assert sampled.request.priors == priors


def test_weights_under_given_hyperparameters_are_what_the_densities_say(posterior):
    """Below the smoothed tail: the ratios of weights times new over old priors, from SciPy."""
    other = reweighted(posterior, hyperparameters=DOUBLED, priors=Priors(unshrunken_sd=3.0))
    draws = posterior.gene_draws
    theta, base_mean = draws.theta.astype(float), posterior.eb.base_mean[posterior.request.rows]
    expected = draws.log_ratio.astype(float) + cauchy(scale=1.0).logpdf(theta[:, :, 1])
    expected += norm(np.log(0.05 + 2.0 / base_mean)[:, None], 0.5).logpdf(theta[:, :, 2])
    expected += norm(0.0, 3.0).logpdf(theta[:, :, 0]) - norm(0.0, 15.0).logpdf(theta[:, :, 0])
    found = other.gene_draws.log_weights.astype(float)
    for g in range(0, 100, 7):
        order = np.argsort(expected[g])[-1500:-200]
        steps = np.diff(expected[g, order])
        np.testing.assert_allclose(np.diff(found[g, order]), steps, atol=2e-4)
    assert other.hyperparameters is DOUBLED
    assert not other.request.learning


def test_fixed_hyperparameters_give_what_a_fresh_fit_gives(fit, posterior):
    found = sensitivity(posterior, hyperparameters=DOUBLED)
    fresh = run(fit, draws=2000, hyperparameters=DOUBLED)
    ok = found.table.index[found.table["status"] == "ok"]
    assert ok.size > 90
    assert rms(gaps(found.posterior.results(), fresh.results(), ok)) < 0.06
    table = found.table
    np.testing.assert_allclose(table["change"], table["log2_fold_change_other"] - table["log2_fold_change"])
    np.testing.assert_array_equal(table["called_other"], table["s_value_other"] < 0.005)
    assert len(found.changed) == (table["called"] != table["called_other"]).sum()
    assert str(found).startswith(f"100 genes: {len(found.changed)} change their call at s-value < 0.005")


def test_draws_of_chains_are_weighed_by_the_mixture_that_they_came_from():
    """A normal likelihood of ln alpha: p(y | phi), and so the mixture's density, is known exactly."""
    space = HyperparameterSpace(("a",), (), False, False)
    phi, share = np.array([[0.3, 0.02], [0.9, 0.2], [0.5, 0.08]]), np.array([0.2, 0.5, 0.3])
    observed, error, rng = -2.0, 0.8, np.random.default_rng(4)
    trend, sigma = np.log(phi[:, 1]), phi[:, 0]
    evidence = norm(trend, np.hypot(sigma, error)).pdf(observed)
    precision = sigma**-2 + error**-2
    center = (trend / sigma**2 + observed / error**2) / precision
    which = rng.choice(3, 40_000, p=share)
    a = center[which] + rng.standard_normal(which.size) / np.sqrt(precision[which])
    theta = np.stack([np.zeros_like(a), a], axis=-1)[None].astype(np.float32)
    found = chains_log_ratio(theta, np.array([100.0]), HyperparameterPosterior(space, phi, share))[0]
    expected = -np.log((share / evidence * norm(trend, sigma).pdf(a[:, None])).sum(axis=1))
    gap = found - expected
    assert np.abs(gap - gap.mean()).max() < 0.05
    alone = chains_log_ratio(theta, np.array([100.0]), HyperparameterPosterior(space, phi[:1], np.ones(1)))[0]
    gap = alone + norm(trend[0], sigma[0]).logpdf(a)
    assert np.ptp(gap) < 1e-5


def test_chains_can_be_weighed_anew(fit, cmdstan):
    genes = list(fit.counts.genes[:12])
    given = Hyperparameters({EFFECT: 0.5}, 0.5, 0.05, 2.0)
    chains = run(fit, engine="nuts", genes=genes, hyperparameters=given, draws=1000, chains=2)
    sampled = reweighted(chains, hyperparameters=DOUBLED)
    fresh = run(fit, genes=genes, hyperparameters=DOUBLED, draws=4000)
    trusted = (sampled.diagnostics.loc[genes, "pareto_k"] < 0.7).to_numpy()
    assert trusted.sum() >= 6
    before, after = (
        distribution_scores(made.gene_draws.genes(trusted), fresh.gene_draws.genes(trusted))
        for made in (chains, sampled)
    )
    assert np.abs(after).max() < 5.0  # at most 180 numbers: by chance once in 10,000
    assert np.abs(before).max() > 10.0
    assert (sampled.diagnostics.loc[genes, "ess_bulk"] < chains.diagnostics.loc[genes, "ess_bulk"]).all()


def test_a_panel_cannot_look_for_other_hyperparameters(fit):
    panel = run(fit, genes=list(fit.counts.genes[:20]), draws=500)
    with pytest.raises(FitError, match="without the draws of all genes; fit again"):
        reweighted(panel, priors=EXTREME)


def test_what_is_refused(fit, posterior):
    fixed = run(fit, draws=200, hyperparameters=DOUBLED)
    for call in (lambda: reweighted(fixed, priors=OTHER), lambda: power_scaling(fixed)):
        with pytest.raises(InputError, match="are fixed, and have no prior"):
            call()
    with pytest.raises(InputError, match="would be shrunken, but the draws"):
        reweighted(posterior, hyperparameters=Hyperparameters({}, 0.5, 0.05, 2.0))
    for arguments in ({}, {"priors": OTHER, "hyperparameters": DOUBLED}):
        with pytest.raises(InputError, match="give either other priors or other hyperparameters"):
            sensitivity(posterior, **arguments)


def test_priors_of_fixed_hyperparameters_may_still_be_those_of_the_intercept(fit):
    fixed = run(fit, draws=200, hyperparameters=DOUBLED)
    assert reweighted(fixed, priors=Priors(unshrunken_sd=5.0)).request.priors.unshrunken_sd == 5.0


def test_power_scaling_is_as_arviz_has_it():
    arviz = import_arviz()
    rng = np.random.default_rng(3)
    values = rng.gamma(2.0, size=2000)
    log_prior = norm(0.0, 2.0).logpdf(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if hasattr(arviz, "psens"):
            data = arviz.from_dict(posterior={"x": values[None]})
            data.add_groups({"log_prior": xr.Dataset({"x": (("chain", "draw"), log_prior[None])})})
            expected = float(arviz.psens(data, component="prior")["x"])
        else:  # ArviZ 1 has it under another name
            data = arviz.from_dict({"posterior": {"x": values[None]}, "log_prior": {"x": log_prior[None]}})
            expected = float(arviz.psense(data, alphas=(1.0 / 1.01, 1.01))["x"])
    even = np.full(values.size, 1.0 / values.size)
    found = comparison._power_sensitivity(values, even, log_prior)
    assert found == pytest.approx(expected, rel=0.05)
    once, times = values[:1000], np.repeat(2.0 / 2000.0, 1000)
    doubled = comparison._power_sensitivity(np.repeat(once, 2), even, np.repeat(log_prior[:1000], 2))
    assert comparison._power_sensitivity(once, times, log_prior[:1000]) == pytest.approx(doubled, rel=1e-6)


def test_a_prior_that_says_much_is_found_to_be_informative(fit, posterior):
    weak = power_scaling(posterior)
    assert list(weak.columns) == list(dict.fromkeys(["shrinkage_scale", *weak.index[1:]]))
    assert weak.loc[f"shrinkage_scale[{EFFECT}]", "shrinkage_scale"] < 0.05
    strong = run(fit, draws=500, priors=Priors(shrinkage_scale=LogNormal(0.02, 0.2)))
    assert power_scaling(strong).loc[f"shrinkage_scale[{EFFECT}]", "shrinkage_scale"] > 0.05


def test_scales_that_are_shared_by_a_term():
    three = fit_eb(simulate(60, groups=(3, 3, 3), seed=8).counts, "~ condition")
    options = [
        SamplingOptions(hand_over=False, coding="treatment", scales=one) for one in ("term", "coefficient")
    ]
    shared, single = (
        fit_posterior(three.counts, three.design, eb=three, draws=500, options=one) for one in options
    )
    sampled = reweighted(shared, priors=OTHER)
    for posterior in (shared, sampled):
        one, two = posterior.hyperparameters.shrinkage_scale.values()
        assert one == two
    assert list(sampled.hyperparameters.shrinkage_scale) == list(three.design.coefficients[1:])
    own = single.hyperparameters.shrinkage_scale.values()
    assert min(own) < next(iter(shared.hyperparameters.shrinkage_scale.values())) < max(own)
