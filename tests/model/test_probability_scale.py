"""The scale of probabilities against its definition and differences of it."""

from __future__ import annotations

import numpy as np
import pytest

from bayesde.model.probability_scale import direction, logit_slope, of_probability, probability, roots

P = np.array([1e-9, 1e-4, 0.03, 0.5, 0.9, 1.0 - 1e-7])


def test_the_scale_is_a_difference_of_cube_roots_and_is_inverted():
    np.testing.assert_allclose(of_probability(P), np.cbrt(P) - np.cbrt(1.0 - P), rtol=1e-15)
    np.testing.assert_allclose(probability(of_probability(P)), P, rtol=1e-7)
    for p in P[1:-1]:
        a, b = roots(float(of_probability(p)))
        np.testing.assert_allclose([a**3, b**3], [p, 1.0 - p], rtol=1e-9)


@pytest.mark.parametrize("psi", [-1.4, -0.9, -0.2, 0.0, 0.6, 0.95, 1.3, 3.2])
def test_slope_of_the_logit(psi):
    step = 1e-6
    ahead, behind = (np.log(p) - np.log1p(-p) for p in map(probability, (psi + step, psi - step)))
    assert logit_slope(psi) == pytest.approx((ahead - behind) / (2.0 * step), rel=1e-5)
    assert direction(psi) == np.sign(ahead - behind)


@pytest.mark.parametrize("psi", [0.3, -0.8])
def test_beyond_its_ends_the_scale_is_reflected(psi):
    for same in (2.0 - psi, -2.0 - psi, 4.0 + psi):
        assert probability(same) == pytest.approx(float(probability(psi)), rel=1e-9)
