"""The kernels of the regression against the same in NumPy."""

import numpy as np
import pytest

from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.information import covariance
from bayesde.eb.regression.irls import set_effects, set_means, working_weights

DESIGN = np.column_stack([np.ones(7), np.repeat([0.0, 1.0], [3, 4]), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]])
LAYOUT = DesignLayout.of(DESIGN)
BETA = np.array([2.0, -0.7, 0.4])
RNG = np.random.default_rng(9)
FACTORS, Y = RNG.uniform(0.5, 2.0, 7), RNG.poisson(20.0, 7).astype(float)


def effects():
    eta, effect = np.empty((2, len(LAYOUT.cells.rows)))
    set_effects(LAYOUT.cells, BETA, eta, effect)
    return eta, effect


def test_effects_are_those_of_the_samples():
    eta, effect = effects()
    np.testing.assert_allclose(eta[LAYOUT.cells.of_sample], DESIGN @ BETA, rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(effect, np.exp(eta), rtol=1e-15)


def test_means_are_of_the_coefficients_or_of_the_cells():
    mu = np.empty(7)
    set_means(Y, FACTORS, LAYOUT.cells, BETA, 6.0, mu)
    np.testing.assert_allclose(mu, np.maximum(FACTORS * np.exp(DESIGN @ BETA), 6.0), rtol=1e-14)
    assert (mu == 6.0).any()
    set_means(Y, FACTORS, LAYOUT.cells, np.empty(0), 0.0, mu)
    cell = LAYOUT.cells.of_sample
    expected = [FACTORS[j] * (Y / FACTORS)[cell == cell[j]].mean() for j in range(7)]
    np.testing.assert_allclose(mu, expected, rtol=1e-14)


@pytest.mark.parametrize("weights", [np.empty(0), RNG.uniform(0.1, 1.0, 7)])
def test_weights_and_covariances(weights):
    _, effect = effects()
    total, ridge = np.empty(len(LAYOUT.cells.rows)), np.array([0.1, 2.0, 0.5])
    working_weights(FACTORS, weights, effect, LAYOUT.cells.of_sample, 0.3, 6.0, total)
    mu = np.maximum(FACTORS * np.exp(DESIGN @ BETA), 6.0)
    w = mu / (1.0 + 0.3 * mu) * (weights if weights.size else 1.0)
    np.testing.assert_allclose(total, np.bincount(LAYOUT.cells.of_sample, weights=w), rtol=1e-14)
    gram, inverse, factor, sandwich = np.zeros((4, 3, 3))
    assert covariance(LAYOUT.cells.rows, total, ridge, gram, inverse, factor, sandwich)
    information = DESIGN.T @ np.diag(w) @ DESIGN
    expected = np.linalg.inv(information + np.diag(ridge))
    np.testing.assert_allclose(inverse, expected, rtol=1e-12)
    np.testing.assert_allclose(sandwich, expected @ information @ expected, rtol=1e-12)


def test_no_information_has_no_covariance():
    nothing, matrices = np.zeros(len(LAYOUT.cells.rows)), np.zeros((4, 3, 3))
    assert not covariance(LAYOUT.cells.rows, nothing, np.zeros(3), *matrices)
