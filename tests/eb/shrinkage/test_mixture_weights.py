import numpy as np
import pytest
from scipy.optimize import nnls

from bayesde.eb.shrinkage.mixture_weights import _nonnegative_minimum, maximum_likelihood_weights


@pytest.mark.parametrize("seed", range(30))
def test_quadratic_programs_are_those_of_nnls(seed):
    rng = np.random.default_rng(seed)
    n = 2 + seed % 9
    a, b = rng.normal(size=(n + 3, n)), rng.normal(size=n + 3)
    expected, _ = nnls(a, b)
    for start in (np.zeros(n), np.full(n, 1.0 / n)):
        assert _nonnegative_minimum(a.T @ a, a.T @ b, start)
        np.testing.assert_allclose(start, expected, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("n_components", [1, 3, 30])
def test_the_optimality_conditions_hold(n_components):
    """At the maximum, mean_g L_gk / (L x)_g is 1 for components in use, and at most 1 for the others."""
    rng = np.random.default_rng(n_components)
    sd = np.geomspace(0.01, 10.0, n_components)
    value = rng.normal(0.0, np.where(rng.random(500) < 0.5, 0.05, 2.0))
    likelihood = np.exp(-0.5 * (value[:, None] / sd) ** 2) / sd + 1e-300
    x = maximum_likelihood_weights(likelihood)
    assert x.sum() == pytest.approx(1.0, abs=1e-14)
    assert x.min() >= 0.0
    ratio = np.mean(likelihood / (likelihood @ x)[:, None], axis=0)
    assert ratio.max() < 1.0 + 1e-9
    np.testing.assert_allclose(ratio[x > 1e-9], 1.0, atol=1e-6)


def test_components_that_are_alike_do_no_harm():
    likelihood = np.array([[1.0, 1.0, 0.2], [0.3, 0.3, 0.9]])
    x = maximum_likelihood_weights(likelihood)
    joined = maximum_likelihood_weights(likelihood[:, 1:])
    assert x[0] + x[1] == pytest.approx(joined[0], abs=1e-8)


def test_components_without_any_density_have_no_weight():
    likelihood = np.random.default_rng(11).random((200, 5))
    rest = maximum_likelihood_weights(likelihood[:, [0, 2, 4]])
    likelihood[:, [1, 3]] = 0.0
    found = maximum_likelihood_weights(likelihood)
    np.testing.assert_array_equal(found[[0, 2, 4]], rest)
    assert not found[[1, 3]].any()
