"""The hyperparameters' surface and one gene's posterior, against differences, grids and known truth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import cauchy, gamma, nbinom, norm
from scipy.stats import t as student

import bayesde as bde
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood, gene_weights
from bayesde.posterior.hyper.maximum import maximize
from bayesde.posterior.hyper.sampling import _points, _weighted
from bayesde.posterior.proposal.components import gene_mixtures
from bayesde.posterior.proposal.drawing import draw, fitted_shares

SCALE, SD, TREND = 0.2, 0.6, 0.05
LAYOUT = HyperparameterSpace(("Intercept", "group"), (1,), False, False)


def one_gene():
    y = np.array([30, 42, 75, 61, 55])
    model = ConditionalModel(
        y=y[None],
        log_nf=np.zeros((1, 5)),
        x=np.column_stack([np.ones(5), [0.0, 0.0, 1.0, 1.0, 1.0]]),
        base_mean=np.array([y.mean()]),
        log_trend=np.log([TREND]),
        shrunken=np.array([False, True]),
        shrinkage_scale=np.array([1.0, SCALE]),
        dispersion_sd=SD,
        nu=np.inf,
    )
    seeds = np.array([5], dtype=np.uint32)
    mixture = gene_mixtures(model, np.array([[3.6, 0.4]]), np.log([TREND]))
    return model, draw(model, fitted_shares(model, mixture, seeds), seeds, 4000)


def on_a_grid(model, scale, sd, trend):
    """Points (intercept, effect, log dispersion), their weights, and ln p(y | phi), by adding up."""
    axes = np.linspace(2.6, 5.2, 105), np.arange(-1.3, 2.0, 0.02) + 0.01, np.linspace(-6.5, 1.0, 80)
    theta = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    size = np.exp(-theta[:, 2])
    log_density = norm.logpdf(theta[:, 0], 0.0, 15.0) + cauchy.logpdf(theta[:, 1], scale=scale)
    log_density += norm.logpdf(theta[:, 2], math.log(trend), sd)
    for count, row in zip(model.y[0], model.x, strict=True):
        mu = np.exp(theta[:, :2] @ row)
        log_density += nbinom.logpmf(count, size, size / (size + mu))
    volume = np.prod([axis[1] - axis[0] for axis in axes])
    density = np.exp(log_density)
    return theta, density / density.sum(), math.log(density.sum() * volume)


@pytest.mark.parametrize("phi", [(0.2, 0.6, 0.05), (0.35, 0.8, 0.08), (0.1, 0.45, 0.03)])
def test_one_gene_against_a_grid(phi):
    """Evidence, means, sds and the false sign rate, at the proposal's hyperparameters and away from them."""
    model, draws = one_gene()
    log_ratio, theta_drawn = draws.log_ratio[0].copy(), draws.theta[0].astype(float)
    likelihood = MarginalLikelihood.of(LAYOUT, model, draws)
    theta, density, log_evidence = on_a_grid(model, *phi)

    def estimate(scale, sd, trend):
        prior = cauchy.logpdf(theta_drawn[:, 1], scale=scale)
        prior += norm.logpdf(theta_drawn[:, 2], math.log(trend), sd)
        return logsumexp(log_ratio + prior) - math.log(4000)

    assert estimate(*phi) == pytest.approx(log_evidence, abs=0.06)  # twice the error of 1,000 effective draws
    start = (SCALE, SD, TREND)
    gap = likelihood.log_posterior(np.log(phi)) - likelihood.log_posterior(np.log(start))
    gap -= LAYOUT.log_prior(np.log(phi))[0] - LAYOUT.log_prior(np.log(start))[0]
    assert gap == pytest.approx(estimate(*phi) - estimate(*start), abs=1e-9)
    points = HyperparameterPosterior(LAYOUT, np.array([phi]), np.ones(1))
    weights = gene_weights(LAYOUT, model.base_mean, likelihood.theta, likelihood.log_ratio, points)[0]
    assert weights.sum() == pytest.approx(1.0)
    drawn, size = likelihood.theta[0].astype(float), 1.0 / np.sum(weights**2)
    mean = density @ theta
    sd = np.sqrt(density @ (theta - mean) ** 2)
    assert size > 1000
    assert (np.abs(weights @ drawn - mean) < 4.0 * sd / math.sqrt(size)).all()
    np.testing.assert_allclose(np.sqrt(weights @ (drawn - mean) ** 2), sd, rtol=0.08)
    negative = density[theta[:, 1] < 0.0].sum()
    found = weights[drawn[:, 1] < 0.0].sum()
    assert found == pytest.approx(negative, abs=4.0 * math.sqrt(negative / size))


@pytest.fixture(scope="module")
def simulated():
    options = bde.SimulationOptions(
        effect_scale=0.3, dispersion_sd=0.6, trend=(0.05, 2.0), size_factor_sd=0.1
    )
    return bde.simulate(1500, groups=(4, 4), seed=3, options=options)


@pytest.fixture(scope="module")
def simulated_fit(simulated):
    return bde.fit_eb(simulated.counts, "~ condition")


def surface_of(fit, space, residuals="normal"):
    rows = np.flatnonzero(fit.estimated)[:200]
    hyper = Hyperparameters(
        {"condition[T.treated]": 0.3}, 0.6, 0.05, 2.0, residuals, 6.0 if space.student_t else None
    )
    model = ConditionalModel(
        fit.counts.matrix[rows],
        np.log(fit.normalization_factors[rows]),
        fit.design.matrix,
        fit.base_mean[rows],
        hyper.log_trend(fit.base_mean[rows]),
        np.array([False, True]),
        np.array([1.0, 0.3]),
        0.6,
        hyper.degrees_of_freedom,
    )
    seeds = rows.astype(np.uint32)
    mixture = gene_mixtures(model, fit.beta[rows], np.log(fit.dispersion[rows]))
    return MarginalLikelihood.of(space, model, draw(model, mixture, seeds, 200)), space.psi_of(hyper)


@pytest.mark.parametrize(("trend", "student_t"), [(True, False), (False, False), (True, True)])
def test_score_is_the_slope_of_the_surface(simulated_fit, trend, student_t):
    space = HyperparameterSpace(simulated_fit.design.coefficients, (1,), trend, student_t)
    likelihood, psi = surface_of(simulated_fit, space, "student_t" if student_t else "normal")
    psi = psi + 0.1 * np.arange(psi.size)
    value, gradient, scores = likelihood.evaluate(psi)
    assert value == pytest.approx(likelihood.log_posterior(psi), rel=1e-12)
    assert scores.shape == (200, psi.size)
    for i in range(psi.size):
        step = np.zeros(psi.size)
        step[i] = 1e-5
        slope = (likelihood.log_posterior(psi + step) - likelihood.log_posterior(psi - step)) / 2e-5
        assert gradient[i] == pytest.approx(slope, rel=1e-4, abs=1e-4)


def test_hyperparameters_that_no_draw_of_a_gene_agrees_with_are_improbable():
    """All weights are 0 there, which must not count as evidence for them."""
    model, draws = one_gene()
    likelihood = MarginalLikelihood.of(LAYOUT, model, draws)
    near, far = np.log([SCALE, SD, TREND]), np.log([SCALE, 1e-3, 1e-12])
    gap = likelihood.log_posterior(far) - likelihood.log_posterior(near)
    gap -= LAYOUT.log_prior(far)[0] - LAYOUT.log_prior(near)[0]
    assert gap < -600.0
    assert likelihood.evaluate(far)[0] == pytest.approx(likelihood.log_posterior(far))


def test_gene_without_likelihood_says_nothing_of_the_hyperparameters():
    model, draws = one_gene()
    likelihood = MarginalLikelihood.of(LAYOUT, model, draws)
    silent = replace(likelihood, log_ratio=np.full_like(likelihood.log_ratio, -np.inf))
    near, wide = np.log([SCALE, SD, TREND]), np.log([SCALE, 2.0 * SD, TREND])
    gap = silent.log_posterior(wide) - silent.log_posterior(near)
    gap -= LAYOUT.log_prior(wide)[0] - LAYOUT.log_prior(near)[0]
    assert abs(gap) < 1.0


def test_maximum_has_no_slope(simulated_fit):
    space = HyperparameterSpace(simulated_fit.design.coefficients, (1,), True, False)
    likelihood, psi = surface_of(simulated_fit, space)
    top = maximize(likelihood, psi)
    for i in range(psi.size):
        step = np.zeros(psi.size)
        step[i] = 0.05
        assert likelihood.log_posterior(top) > max(
            likelihood.log_posterior(top + step), likelihood.log_posterior(top - step)
        )


def test_prior_of_the_hyperparameters_is_the_documented_one():
    space = HyperparameterSpace(("Intercept", "group"), (1,), True, True)
    psi = np.log([0.4, 0.9, 0.02, 3.0, 5.0])

    def expected(psi):
        logs = norm.logpdf(psi[:4], np.log([0.2, 0.7, 0.05, 2.0]), [1.5, 0.7, 2.0, 2.0]).sum()
        return logs + gamma.logpdf(2.0 + np.exp(psi[4]), 2.0, scale=10.0) + psi[4]

    other = psi + np.array([0.3, -0.2, 0.5, 0.1, -0.4])
    found = space.log_prior(psi)[0] - space.log_prior(other)[0]
    assert found == pytest.approx(expected(psi) - expected(other))
    for i in range(5):
        step = np.zeros(5)
        step[i] = 1e-5
        slope = (expected(psi + step) - expected(psi - step)) / 2e-5
        assert space.log_prior(psi)[1][i] == pytest.approx(slope, rel=1e-6)


def test_given_draws_of_hyperparameters_become_points():
    hyper = Hyperparameters(
        {"group": 0.3}, 0.7, 0.05, 1.0, "student_t", 5.0, draws={"dispersion_sd": np.linspace(0.5, 0.9, 401)}
    )
    points = HyperparameterPosterior.fixed(
        HyperparameterSpace(("Intercept", "group"), (1,), True, True), hyper, 200
    )
    assert points.phi.shape == (200, 5)
    np.testing.assert_allclose(points.phi[[0, -1], 1], [0.5, 0.9])
    np.testing.assert_allclose(points.phi[:, [0, 2, 3, 4]], [[0.3, 0.05, 1.0, 5.0]] * 200)
    assert points.effective_size == pytest.approx(200.0)


def test_student_t_residuals_change_the_weights():
    """Two draws whose weights can be written down."""
    theta = np.array([[[0.0, 0.4, 0.0], [0.0, 0.1, 2.0]]], dtype=np.float32)
    space = HyperparameterSpace(("Intercept", "group"), (1,), True, True)
    points = HyperparameterPosterior(space, np.array([[0.3, 0.5, 1.0, 1.0, 4.0]]), np.ones(1))
    found = gene_weights(space, np.array([2.0]), theta, np.zeros((1, 2)), points)[0]
    expected = cauchy.pdf([0.4, 0.1], scale=0.3) * student.pdf(([0.0, 2.0] - np.log(1.5)) / 0.5, 4.0)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)


class Parabola:
    """A surface whose posterior is normal, in the logarithms."""

    space = LAYOUT
    sd = np.array([0.1, 0.02, 0.3])

    def log_posterior(self, psi):
        return -0.5 * ((psi / self.sd) ** 2).sum(axis=1)


def test_few_points_lie_evenly():
    """48 points: means are exact, sds off by 6 %, quarters of marginals by 2.4 points.

    Independent points, also in pairs: 13 % and 4.2 points.
    """
    likelihood, errors, gaps = Parabola(), [], []
    for seed in range(40):
        covariance, rng = np.diag(likelihood.sd**2), np.random.default_rng(seed)
        psi, log_weight = _points(likelihood, np.zeros(3), covariance, 48, rng)
        points = _weighted(likelihood, psi, log_weight)
        assert len(psi) == 48
        np.testing.assert_allclose(points.weight @ psi, 0.0, atol=1e-12)
        errors.append(np.sqrt(points.weight @ psi**2) / likelihood.sd - 1.0)
        for values, sd in zip(psi.T, likelihood.sd, strict=True):
            quarter = np.searchsorted(norm.ppf([0.25, 0.5, 0.75]), values / sd)
            gaps.append(np.abs(np.bincount(quarter, points.weight, minlength=4) - 0.25).max())
    assert np.sqrt(np.mean(np.square(errors))) < 0.08
    assert np.mean(gaps) < 0.03


def test_hyperparameters_are_recovered(simulated, simulated_fit):
    posterior = bde.fit_posterior(
        simulated.counts, simulated_fit.design, engine="psis", eb=simulated_fit, draws=400
    )
    hyper = posterior.hyperparameters
    assert hyper.source == "psis"
    truth = {
        "shrinkage_scale[condition[T.treated]]": 0.3,
        "dispersion_sd": 0.6,
        "asymptotic_dispersion": 0.05,
        "extra_poisson": 2.0,
    }
    for name, value in truth.items():
        logs = np.log(hyper.draws[name])
        assert abs(logs.mean() - math.log(value)) < 4.0 * logs.std(), name
        assert logs.std() < 0.2
