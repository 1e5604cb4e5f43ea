"""Residuals of two normal components: densities, derivatives, and what is learnt of simulated genes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

import bayesde as bde
from bayesde.errors import InputError, OptionError
from bayesde.model.density import GeneData, GenePrior, log_density_derivatives
from bayesde.model.prior_at_draws import PriorParts, ResidualLaw, fill_log_residuals, log_height
from bayesde.model.priors import Beta, Priors, ShiftedLogNormal
from bayesde.posterior import Hyperparameters, SamplingOptions, fit_posterior
from bayesde.posterior.hyper.learning import learn

SHARE, RATIO, SD = 0.15, 4.0, 0.4
EFFECT = "condition[T.treated]"
NORMAL, WIDE = SamplingOptions(hand_over=False), SamplingOptions(hand_over=False, residuals="two_normals")


def log_two_normals(z):
    parts = [math.log(1.0 - SHARE) + norm.logpdf(z), math.log(SHARE) + norm.logpdf(z, scale=RATIO)]
    return logsumexp(parts, axis=0)


def test_density_of_residuals():
    a = np.linspace(-60.0, 60.0, 1001)
    out = np.empty(a.size)
    fill_log_residuals(a, 0.3, 1.0 / SD, ResidualLaw(math.inf, SHARE, RATIO), out)
    one = np.ones(0)
    height = log_height(PriorParts(one, one, one, np.zeros(1), SD, math.inf, SHARE, RATIO))
    np.testing.assert_allclose(out + height, log_two_normals((a - 0.3) / SD) - math.log(SD), rtol=1e-12)


@pytest.mark.parametrize("a", [-3.0, -1.2, 0.3, 0.9, 2.5])
def test_derivatives_of_the_conditional_density(a):
    data = GeneData(np.array([3, 9, 5]), np.zeros(3), np.ones((3, 1)))
    prior = GenePrior(np.array([math.inf]), np.array([15.0]), 0.3, SD, math.inf, SHARE, RATIO)
    gradient, hessian = np.empty(2), np.empty((2, 2))

    def value(at):
        return log_density_derivatives(np.array([1.5, at]), data, prior, gradient, hessian)

    step = 1e-4
    values = [value(a - step), value(a), value(a + step)]
    value(a)
    assert gradient[1] == pytest.approx((values[2] - values[0]) / (2.0 * step), rel=1e-5, abs=1e-6)
    assert hessian[1, 1] == pytest.approx(
        (values[2] - 2.0 * values[1] + values[0]) / step**2, rel=1e-4, abs=1e-4
    )
    plain = log_density_derivatives(
        np.array([1.5, a]), data, prior._replace(wide_share=0.0, wide_ratio=1.0), gradient, hessian
    )
    z = (a - 0.3) / SD
    assert values[1] - plain == pytest.approx(log_two_normals(z) - norm.logpdf(z), rel=1e-9, abs=1e-9)


@pytest.fixture(scope="module")
def fit():
    """600 genes, of which some are far from the trend."""
    rng = np.random.default_rng(4)
    mean = np.exp(rng.normal(5.0, 1.0, 600))
    z = np.where(rng.random(600) < SHARE, RATIO, 1.0) * rng.standard_normal(600)
    shape = 1.0 / ((0.05 + 1.0 / mean) * np.exp(SD * z))
    x = np.repeat([0.0, 1.0], 6)
    mu = mean[:, None] * np.exp(rng.normal(0.0, 0.3, 600)[:, None] * x)
    y = rng.poisson(rng.gamma(shape[:, None], mu / shape[:, None]))
    table = bde.Counts(
        y,
        genes=[f"g{i}" for i in range(600)],
        samples=[f"s{j}" for j in range(12)],
        sample_table=pd.DataFrame(
            {"condition": ["control"] * 6 + ["treated"] * 6}, index=[f"s{j}" for j in range(12)]
        ),
    )
    return bde.fit_eb(table, "~ condition")


def run(fit, options, **arguments):
    return fit_posterior(fit.counts, fit.design, eb=fit, options=options, draws=1000, **arguments)


@pytest.fixture(scope="module")
def posterior(fit):
    return run(fit, WIDE)


def test_the_law_is_learnt(posterior):
    hyper = posterior.hyperparameters
    assert hyper.residuals == "two_normals"
    for name, truth in (("wide_share", SHARE), ("wide_ratio", RATIO), ("dispersion_sd", SD)):
        assert abs(getattr(hyper, name) - truth) < 3.5 * hyper.sd[name], name
    assert hyper.sd["wide_share"] < 0.06
    assert (posterior.diagnostics["status"] == "ok").mean() > 0.98


def test_gradient_of_the_marginal_likelihood(posterior):
    request = posterior.request
    model, start = request.model(request.everyone), request.start(request.everyone)
    space = request.space
    learnt = learn(model, start, space, space.psi_of(request.hyperparameters), np.random.default_rng(1))
    psi = space.psi(np.average(learnt.points.phi, axis=0, weights=learnt.points.weight)) + 0.05
    _, gradient, _ = learnt.likelihood.evaluate(psi)
    for i, name in enumerate(space.names):
        move = 1e-4 * np.eye(psi.size)[i]
        up, down = (float(learnt.likelihood.log_posterior(psi + s * move)) for s in (1.0, -1.0))
        assert gradient[i] == pytest.approx((up - down) / 2e-4, rel=1e-3, abs=0.02), name
    np.testing.assert_allclose(space.psi(space.phi(psi)), psi, rtol=1e-9)


def test_the_laws_are_compared_from_the_same_draws(fit, posterior):
    table, other = posterior.compare_residuals(), run(fit, NORMAL).compare_residuals()
    assert list(table.index) == list(other.index) == ["two_normals", "student_t", "normal"]
    assert table.loc["normal", "difference"] < -10.0
    np.testing.assert_allclose(table["difference"], other["difference"], atol=3.0)
    assert table.loc["two_normals", "parameters"] == table.loc["normal", "parameters"] + 2
    assert table.loc["two_normals", "wide_share"] == pytest.approx(
        posterior.hyperparameters.wide_share, abs=0.04
    )
    assert np.isnan(table.loc["normal", "nu"])
    with pytest.raises(InputError, match="residuals"):
        posterior.compare_residuals(["cauchy"])


def test_genes_far_from_the_trend_keep_their_dispersion(fit, posterior):
    """Under two components the posterior of an outlier's dispersion is nearer to its own estimate."""
    plain = run(fit, NORMAL)
    own, trend = np.log(fit.dispersion_gene_wise), posterior.hyperparameters.log_trend(fit.base_mean)
    far = np.flatnonzero(own - trend > 1.5)
    assert far.size > 3
    wide, narrow = (np.log(one.results(EFFECT)["dispersion"].to_numpy()) for one in (posterior, plain))
    assert np.mean((own - wide)[far]) < np.mean((own - narrow)[far])


def test_given_values_file_and_leaving_out(fit, posterior, tmp_path):
    posterior.hyperparameters.to_json(tmp_path / "hyper.json")
    known = Hyperparameters.from_json(tmp_path / "hyper.json")
    assert (known.residuals, known.wide_share) == ("two_normals", posterior.hyperparameters.wide_share)
    assert "wide_share" in repr(known)
    again = run(fit, NORMAL, hyperparameters=known)
    one, two = again.results(EFFECT), posterior.results(EFFECT)
    assert np.median(np.abs(one["log2_fold_change"] - two["log2_fold_change"]) / two["lfc_se"]) < 0.05
    assert np.median(np.abs(np.log(one["dispersion"] / two["dispersion"]))) < 0.05
    table = bde.power_scaling(posterior)
    assert {"wide_share", "wide_ratio"} <= set(table.columns) & set(table.index)
    moved = bde.reweighted(posterior, priors=Priors(wide_ratio=ShiftedLogNormal(1.0, 0.1)))
    assert moved.hyperparameters.wide_ratio < posterior.hyperparameters.wide_ratio
    loo = posterior.loo()
    assert int(loo.summary()["unreliable"]) < 10


def test_other_engines_and_numbers_are_refused(fit, posterior):
    for engine in ("nuts", "joint"):
        with pytest.raises(OptionError, match=rf"{engine}.*two_normals.*psis"):
            fit_posterior(fit.counts, fit.design, eb=fit, engine=engine, options=WIDE)
    known = posterior.hyperparameters
    with pytest.raises(OptionError, match="nuts"):
        fit_posterior(fit.counts, fit.design, eb=fit, engine="nuts", hyperparameters=known)
    shared = (0.5, 0.05, 2.0, "two_normals")
    with pytest.raises(InputError, match="wide_ratio must be a number above 1"):
        Hyperparameters({}, *shared, wide_share=0.1, wide_ratio=0.9)
    with pytest.raises(InputError, match="wide_share must be below 1"):
        Hyperparameters({}, *shared, wide_share=1.5, wide_ratio=2.0)
    with pytest.raises(InputError, match="wide_share is for two_normals residuals"):
        Hyperparameters({}, 0.5, 0.05, 2.0, wide_share=0.1)


def test_prior_predictive_dispersions(fit):
    priors = Priors(wide_share=Beta(300.0, 700.0), wide_ratio=ShiftedLogNormal(4.0, 1e-3))
    drawn = bde.prior_predictive(
        fit, priors, options=bde.SamplingOptions(residuals="two_normals"), data_sets=60, genes=300
    )
    phi = drawn.hyperparameters
    assert (phi["wide_ratio"] > 4.9).all()
    trend = (
        phi["asymptotic_dispersion"].to_numpy()[:, None]
        + phi["extra_poisson"].to_numpy()[:, None] / drawn.base_mean
    )
    z = np.log(drawn.dispersion / trend) / phi["dispersion_sd"].to_numpy()[:, None]
    expected = 0.7 * 2.0 * norm.sf(3.0) + 0.3 * 2.0 * norm.sf(3.0 / 5.0)
    assert np.mean(np.abs(z) > 3.0) == pytest.approx(expected, abs=0.02)
