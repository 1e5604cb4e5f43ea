"""Weights that integrate the hyperparameters out, against a posterior that can be computed by quadrature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import cauchy, norm, t

from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.hyper.integrate import hyper_points, integrated_draws, mixture_weights

COEFFICIENTS = ("Intercept", "group")
SEEDS = np.array([7], dtype=np.uint32)


def model_and_draws(rng, n_draws):
    """One gene whose log dispersion has a normal prior and a pretended normal likelihood; beta is 0."""
    model = ConditionalModel(
        y=np.zeros((1, 2), dtype=np.int64),
        log_nf=np.zeros((1, 2)),
        x=np.eye(2),
        base_mean=np.array([4.0]),
        log_trend=np.log([0.5]),
        shrunken=np.array([False, True]),
        shrinkage_scale=np.array([1.0, 0.3]),
        dispersion_sd=1.0,
        nu=np.inf,
    )
    like_mean, like_sd = 0.5, 0.8
    precision = 1.0 + 1.0 / like_sd**2
    centre = (np.log(0.5) + like_mean / like_sd**2) / precision
    draws = np.zeros((4, n_draws, 1, 3))
    draws[..., 2] = rng.normal(centre, precision**-0.5, (4, n_draws, 1))
    return model, draws, (like_mean, like_sd)


def test_integrated_mean_and_sd():
    rng = np.random.default_rng(1)
    model, draws, (like_mean, like_sd) = model_and_draws(rng, 20000)
    sd_draws, trend_draws = np.array([0.7, 1.0, 1.4]), np.array([0.3, 0.5, 0.9])
    hyper = Hyperparameters(
        {"group": 0.3}, 1.0, 0.5, 0.0, draws={"dispersion_sd": sd_draws, "asymptotic_dispersion": trend_draws}
    )
    points = hyper_points(hyper, COEFFICIENTS)
    grid = np.linspace(-6, 6, 4001)
    density = np.zeros_like(grid)
    for sd, trend in zip(sd_draws, trend_draws, strict=True):
        one = norm.pdf(grid, np.log(trend), sd) * norm.pdf(grid, like_mean, like_sd)
        density += one / one.sum() / 3
    mean = (grid * density).sum()
    weights = mixture_weights(draws, model, points)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights[0] * draws[..., 0, 2].ravel()).sum() == pytest.approx(mean, abs=0.01)
    resampled, _ = integrated_draws(draws, model, points, SEEDS)
    spread = np.sqrt((density * (grid - mean) ** 2).sum())
    assert resampled[..., 0, 2].mean() == pytest.approx(mean, abs=0.015)
    assert resampled[..., 0, 2].std() == pytest.approx(spread, rel=0.02)
    _, pareto_k = integrated_draws(draws[:, :1000], model, points, SEEDS)
    assert 0.0 < pareto_k[0] < 0.7


def test_weights_are_ratios_of_prior_densities():
    """Student-t residuals and a Cauchy coefficient, one draw of the hyperparameters, by SciPy."""
    rng = np.random.default_rng(8)
    model, draws, _ = model_and_draws(rng, 50)
    draws[..., 1] = rng.standard_cauchy((4, 50, 1))
    model = replace(model, nu=5.0)
    hyper = Hyperparameters(
        {"group": 0.3},
        1.0,
        0.5,
        0.0,
        "student_t",
        5.0,
        draws={
            "shrinkage_scale[group]": np.array([0.5]),
            "dispersion_sd": np.array([0.8]),
            "nu": np.array([3.0]),
        },
    )
    flat = draws.reshape(-1, 3).astype(np.float32).astype(float)
    log_ratio = cauchy.logpdf(flat[:, 1], 0, 0.5) - cauchy.logpdf(flat[:, 1], 0, 0.3)
    log_ratio += t.logpdf(flat[:, 2], 3.0, np.log(0.5), 0.8) - t.logpdf(flat[:, 2], 5.0, np.log(0.5), 1.0)
    expected = np.exp(log_ratio) / np.exp(log_ratio).sum()
    found = mixture_weights(draws, model, hyper_points(hyper, COEFFICIENTS))
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)  # log ratios are kept in single precision


def test_hyperparameters_far_away_are_told_by_pareto_k():
    """A prior much wider than the one that draws were made with gives weights to the outermost only."""
    rng = np.random.default_rng(9)
    model, draws, _ = model_and_draws(rng, 1000)
    draws[..., 2] = rng.normal(np.log(0.5), 1.0, (4, 1000, 1))
    hyper = Hyperparameters({"group": 0.3}, 1.0, 0.5, 0.0, draws={"dispersion_sd": np.array([4.0])})
    _, pareto_k = integrated_draws(draws, model, hyper_points(hyper, COEFFICIENTS), SEEDS)
    assert pareto_k[0] > 0.7


def test_certain_hyperparameters_change_nothing():
    model, draws, _ = model_and_draws(np.random.default_rng(2), 100)
    hyper = Hyperparameters({"group": 0.3}, 1.0, 0.5, 0.0, draws={"dispersion_sd": np.ones(5)})
    resampled, pareto_k = integrated_draws(draws, model, hyper_points(hyper, COEFFICIENTS), SEEDS)
    np.testing.assert_array_equal(resampled, draws)
    assert pareto_k[0] == 0.0
    assert hyper_points(Hyperparameters({"group": 0.3}, 1.0, 0.5, 0.0), COEFFICIENTS) is None


def test_a_gene_without_draws_stays_without():
    model, draws, _ = model_and_draws(np.random.default_rng(4), 50)
    draws[:] = np.nan
    hyper = Hyperparameters({"group": 0.3}, 1.0, 0.5, 0.0, draws={"dispersion_sd": np.array([0.5, 1.5])})
    resampled, pareto_k = integrated_draws(draws, model, hyper_points(hyper, COEFFICIENTS), SEEDS)
    assert np.isnan(resampled).all()
    assert np.isnan(pareto_k).all()


def test_chains_are_resampled_apart():
    """No draw moves to another chain, or R-hat would no longer compare them."""
    model, draws, _ = model_and_draws(np.random.default_rng(6), 200)
    draws = np.concatenate([draws[:1], draws[:1]])
    draws[1, ..., 0] = 100.0
    hyper = Hyperparameters({"group": 0.3}, 1.0, 0.5, 0.0, draws={"dispersion_sd": np.array([0.7, 1.4])})
    resampled, _ = integrated_draws(draws, model, hyper_points(hyper, COEFFICIENTS), SEEDS)
    assert not np.array_equal(resampled, draws)
    assert set(resampled[0, :, 0, 0]) == {0.0}
    assert set(resampled[1, :, 0, 0]) == {100.0}
