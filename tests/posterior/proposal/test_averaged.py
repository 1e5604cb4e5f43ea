"""Components for coefficients that are neither clearly null nor clearly not."""

from __future__ import annotations

import numpy as np

from bayesde.model.density import GeneData, GenePrior, log_density
from bayesde.posterior.proposal.averaged import SPIKY, add_averaged_sets, climb_averaged

SCALE = 0.15


def test_only_spiky_coefficients_stay_null_and_no_combination_is_twice():
    chosen = np.zeros((8, 4), dtype=np.bool_)
    chosen[1, :3], chosen[2, 1], chosen[3, :3] = [True, False, True], True, True
    worth = np.array([np.nan, 10.0 * SPIKY, SPIKY / 10.0, 10.0 * SPIKY])
    found = add_averaged_sets(chosen, 4, np.array([1, 2, 3]), worth)
    assert found == 6
    assert chosen[4:6, :3].tolist() == [[False, False, False], [False, True, False]]


def test_mode_and_curvature_are_near_the_moments_of_the_posterior():
    """Two groups of three samples: a coefficient that is measured about as well as its prior is wide."""
    x = np.column_stack([np.ones(6), np.repeat([0.0, 1.0], 3)])
    data = GeneData(np.array([40, 52, 45, 62, 71, 58]), np.zeros(6), x)
    prior = GenePrior(np.array([np.inf, 1.0]), np.array([15.0, SCALE]), np.log(0.03), 0.2, np.inf)
    theta, gradient, hessian = np.array([3.8, 0.3, np.log(0.03)]), np.empty(3), np.empty((3, 3))
    averaged = np.array([False, True])
    normal = climb_averaged(theta, data, prior, averaged, gradient, hessian)
    sd = np.sqrt(np.linalg.inv(-hessian)[1, 1])
    assert np.isinf(normal.df[1])
    fixed_point = 0.5 * (SCALE**2 + theta[1] ** 2 + sd**2)
    np.testing.assert_allclose(normal.scale[1] ** 2, fixed_point, rtol=0.05)  # few rounds come near enough
    mean, spread = moments_on_a_grid(data, prior)
    assert abs(theta[1] - mean) < 0.3 * spread
    assert 0.7 < sd / spread < 1.3


def moments_on_a_grid(data, prior):
    """Posterior mean and sd of the effect, by sums over intercepts, effects and dispersions."""
    first, second = np.linspace(3.2, 4.5, 40), np.linspace(-0.6, 1.2, 121)
    third = np.log(0.03) + np.linspace(-0.8, 0.8, 9)
    values = np.array(
        [[[log_density(np.array([a, b, c]), data, prior) for a in first] for c in third] for b in second]
    )
    weight = np.exp(values - values.max()).sum(axis=(1, 2))
    weight /= weight.sum()
    mean = (weight * second).sum()
    return mean, np.sqrt((weight * (second - mean) ** 2).sum())
