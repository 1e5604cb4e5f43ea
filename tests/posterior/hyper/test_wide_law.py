"""Laws of random effects' standard deviations under which chains are run."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

import bayesde as bde
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.wide_law import mean_square_of_weights, wide_enough, with_wide_laws
from benchmarks.calibration.experiments import draw_experiment

CENTER, SPREAD = np.array([-1.6, -1.2, -0.9]), np.array([0.4, 0.7, 1.0])
WEIGHT = np.array([0.3, 0.5, 0.2])


@pytest.mark.parametrize("law", [(-1.2, 0.8), (-1.0, 1.3), (-2.0, 2.5)])
def test_mean_square_of_weights(law):
    """By the sum over a fine grid."""
    x = np.linspace(-30.0, 30.0, 200_001)
    p = WEIGHT @ norm.pdf(x, CENTER[:, None], SPREAD[:, None])
    log_ratio = 2.0 * np.log(np.maximum(p, 1e-300)) - norm.logpdf(x, *law)
    expected = np.exp(np.where(p > 1e-290, log_ratio, -math.inf)).sum() * (x[1] - x[0])
    assert mean_square_of_weights(CENTER, SPREAD, WEIGHT, law) == pytest.approx(expected, rel=1e-6)


def test_weights_without_variance():
    assert mean_square_of_weights(CENTER, SPREAD, WEIGHT, (-1.2, 0.7)) == math.inf


def test_no_other_spread_is_better():
    center, spread = wide_enough(CENTER, SPREAD, WEIGHT)
    assert center == pytest.approx(WEIGHT @ CENTER)
    best = mean_square_of_weights(CENTER, SPREAD, WEIGHT, (center, spread))
    for factor in (0.8, 0.9, 0.95, 1.05, 1.1, 1.3):
        assert mean_square_of_weights(CENTER, SPREAD, WEIGHT, (center, spread * factor)) > best


def test_one_point_keeps_its_law():
    found = wide_enough(np.array([-1.3]), np.array([0.6]), np.ones(1))
    np.testing.assert_allclose(found, (-1.3, 0.6))


@pytest.mark.parametrize("design", ["fixed", "donors", "nested"])
def test_laws_of_a_model(design):
    """Of each random effect by its own hyperparameters; nothing else changes."""
    experiment = draw_experiment(2, 5, 1, design=design)
    model, names = experiment.model, experiment.variant.samples.random_effects
    rng = np.random.default_rng(3)
    known = bde.Hyperparameters(
        {"batch": 0.3, "condition": 0.3},
        0.5,
        0.05,
        2.0,
        random_effect_sd=dict.fromkeys(names, 0.3),
        random_effect_sd_spread=dict.fromkeys(names, 0.5),
        draws={
            f"{part}[{name}]": value * np.exp(0.3 * (i + 1) * rng.standard_normal(50))
            for i, name in enumerate(names)
            for part, value in (("random_effect_sd", 0.3), ("random_effect_sd_spread", 0.5))
        },
    )
    space = HyperparameterSpace.of(("Intercept", "batch", "condition", *names), known)
    found = with_wide_laws(model, HyperparameterPosterior.fixed(space, known, 40))
    if not names:
        assert found is model
        return
    drawn = space.by_name(HyperparameterPosterior.fixed(space, known, 40).phi)
    for i, name in enumerate(names):
        points = (np.log(drawn[f"random_effect_sd[{name}]"]), drawn[f"random_effect_sd_spread[{name}]"])
        law = found.random.center[i], found.random.spread[i]
        assert law == pytest.approx(wide_enough(*points, np.full(40, 1.0 / 40)))
        assert law[1] > points[1].mean()
    assert found.random.groups is model.random.groups
    assert found.dispersion_sd == model.dispersion_sd


@pytest.mark.parametrize(("error", "wider"), [(0.05, False), (0.4, True)])
def test_residuals_have_a_wider_law_where_sigma_is_hardly_known(error, wider):
    model = draw_experiment(2, 5, 1, design="fixed").model
    rng = np.random.default_rng(3)
    sigma = model.dispersion_sd * np.exp(error * rng.standard_normal(50))
    known = bde.Hyperparameters(
        {"batch": 0.3, "condition": 0.3}, model.dispersion_sd, 0.05, 2.0, draws={"dispersion_sd": sigma}
    )
    space = HyperparameterSpace.of(("Intercept", "batch", "condition"), known)
    points = HyperparameterPosterior.fixed(space, known, 50)
    found = with_wide_laws(model, points)
    if not wider:
        assert found is model
        return
    expected = wide_enough(np.zeros(50), sigma, np.full(50, 0.02))[1]
    assert found.dispersion_sd == pytest.approx(expected)
    assert found.dispersion_sd > sigma.max() / math.sqrt(2.0)
    tails = replace(model, nu=5.0)
    assert with_wide_laws(tails, points) is tails
