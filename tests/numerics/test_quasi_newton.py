"""Our L-BFGS-B against SciPy's, whose third version treats a step beyond a bound otherwise."""

import numpy as np
import pytest
import scipy.optimize

from bayesde.numerics.quasi_newton import EPSILON, minimize

GAIN = 1e7 * EPSILON


class PoissonLoss:
    """Negative log-likelihood of a Poisson regression, which is convex; counts its calls."""

    def __init__(self, seed, n):
        rng = np.random.default_rng(seed)
        self.x, self.calls = rng.normal(size=(12, n)), 0
        self.y = rng.poisson(np.exp(self.x @ rng.normal(size=n) * 0.5))

    def value(self, b):
        self.calls += 1
        eta = np.minimum(self.x @ b, 300.0)
        return float(np.sum(np.exp(eta) - self.y * eta))

    def gradient(self, b):
        return self.x.T @ (np.exp(np.minimum(self.x @ b, 300.0)) - self.y)

    def scipy_s(self, start, bounds=None, gain=GAIN):
        options = {"maxcor": 5, "ftol": gain, "gtol": 0.0, "maxiter": 1000}
        box = None if bounds is None else [bounds] * start.size
        return scipy.optimize.minimize(
            self.value, start, jac=self.gradient, method="L-BFGS-B", bounds=box, options=options
        )


@pytest.mark.parametrize("seed", range(20))
def test_without_bounds_it_takes_the_steps_of_scipy(seed):
    ours, theirs = PoissonLoss(seed, 2 + seed % 4), PoissonLoss(seed, 2 + seed % 4)
    start = np.zeros(2 + seed % 4)
    found, expected = minimize(ours.value, ours.gradient, start), theirs.scipy_s(start)
    assert found.converged
    assert expected.success
    # The last steps are of the size of rounding errors of the value, and either may stop one earlier.
    assert abs(ours.calls - theirs.calls) <= 2
    assert ours.value(found.x) == pytest.approx(expected.fun, rel=2.0 * GAIN)


@pytest.mark.parametrize("seed", range(40))
def test_within_bounds_it_ends_at_the_minimum(seed):
    rng = np.random.default_rng(100 + seed)
    bounds = (-rng.uniform(0.1, 0.8), rng.uniform(0.1, 0.8))
    loss = PoissonLoss(seed, 2 + seed % 5)
    start = np.clip(rng.normal(size=2 + seed % 5), *bounds)
    found = minimize(loss.value, loss.gradient, start, bounds=bounds, relative_gain=0.0, max_iterations=1000)
    best = loss.scipy_s(start, bounds, gain=0.0)
    assert np.all((found.x >= bounds[0]) & (found.x <= bounds[1]))
    assert loss.value(found.x) == pytest.approx(best.fun, rel=1e-12)
    slope = loss.gradient(found.x)
    stationary = np.clip(found.x - slope, *bounds) - found.x
    assert np.abs(stationary).max() < 1e-4 * max(1.0, np.abs(loss.gradient(start)).max())


def test_a_corner_is_a_minimum():
    found = minimize(
        lambda x: float(x.sum()), lambda x: np.ones(3), np.array([0.2, 0.0, 0.9]), bounds=(0.0, 1.0)
    )
    assert found.converged
    assert np.array_equal(found.x, np.zeros(3))


def test_it_says_when_it_did_not_get_there():
    loss = PoissonLoss(3, 5)
    assert not minimize(loss.value, loss.gradient, np.zeros(5), max_iterations=2).converged
    uphill = minimize(lambda x: float(x @ x), lambda x: -2.0 * x, np.ones(2))
    assert not uphill.converged, "the gradient points the wrong way: no step goes down"
    assert np.array_equal(uphill.x, np.ones(2))


def test_the_start_is_left_as_it_is():
    start = np.array([0.5, -0.5])
    minimize(lambda x: float(x @ x), lambda x: 2.0 * x, start)
    assert np.array_equal(start, [0.5, -0.5])


def test_slopes_that_overflow_end_the_search():
    def value(x):
        return float(np.sum(np.exp(np.minimum(500.0 * x, 700.0))))

    def slope(x):
        return 1e300 * np.exp(np.minimum(500.0 * x, 700.0))

    found = minimize(value, slope, np.ones(2), bounds=(-30.0, 30.0))
    assert np.isfinite(found.x).all()
    assert np.all(np.abs(found.x) <= 30.0)
