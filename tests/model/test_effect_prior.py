"""The prior of a coefficient against SciPy's densities and differences of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import cauchy, norm

from bayesde.model.effect_prior import (
    effect_derivatives,
    fill_inverse_densities,
    log_effect_densities,
    log_effect_density,
    log_effect_heights,
    random_effects,
    slope_by_log_scale,
    tangent_curvature,
)

EFFECTS = [-40.0, -0.3, 0.0, 0.02, 1.7]
STEP = 1e-5


@pytest.mark.parametrize("law", [cauchy, norm])
@pytest.mark.parametrize("scale", [0.05, 2.0])
def test_density_over_its_height(law, scale):
    for effect in EFFECTS:
        expected = law.logpdf(effect, scale=scale) - law.logpdf(0.0, scale=scale)
        found = log_effect_density(effect, law is cauchy, scale)
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("shrunken", [True, False])
@pytest.mark.parametrize("effect", EFFECTS)
def test_derivatives_are_the_limits_of_differences(effect, shrunken):
    scale = 0.7
    ahead, behind = effect + STEP, effect - STEP
    slope, curvature = effect_derivatives(effect, shrunken, scale)
    density = [log_effect_density(at, shrunken, scale) for at in (ahead, behind)]
    slopes = [effect_derivatives(at, shrunken, scale)[0] for at in (ahead, behind)]
    assert slope == pytest.approx((density[0] - density[1]) / (2.0 * STEP), rel=1e-6, abs=1e-6)
    assert curvature == pytest.approx((slopes[0] - slopes[1]) / (2.0 * STEP), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("effect", EFFECTS)
def test_the_normal_density_that_touches_from_below(effect):
    """Precision 2 / (S^2 + b^2), centered at 0: it has the same slope at b, and is nowhere higher."""
    scale = 0.7
    slope, curvature = effect_derivatives(effect, True, scale)
    precision = tangent_curvature(effect, scale) - curvature
    assert precision == pytest.approx(2.0 / (scale**2 + effect**2))
    assert -precision * effect == pytest.approx(slope)
    at = np.linspace(-60.0, 60.0, 1001)
    height = cauchy.logpdf(effect, scale=scale) + 0.5 * precision * effect**2
    assert (height - 0.5 * precision * at**2 <= cauchy.logpdf(at, scale=scale) + 1e-9).all()


@pytest.mark.parametrize("columns", [[], [1], [0, 2], [0, 1, 2]])
def test_densities_of_draws_and_their_height(columns):
    rng = np.random.default_rng(4)
    points, scale = rng.standard_cauchy((4, 30)), np.array([0.1, 1.0, 3.0])[: len(columns)]
    found = np.empty(30)
    fill_inverse_densities(points, np.array(columns, dtype=np.int64), 1.0 / scale, found)
    expected = cauchy.logpdf(points[columns].T, scale=scale).sum(axis=1)
    height = log_effect_heights(scale)
    np.testing.assert_allclose(height - np.log(found), expected, rtol=1e-12, atol=1e-12)
    densities = log_effect_densities(points[columns].T, scale)
    np.testing.assert_allclose(height + densities.sum(axis=1), expected, rtol=1e-12, atol=1e-12)


def test_drawn_effects_have_the_quartiles_of_the_prior():
    """Of a Cauchy distribution they are at plus and minus its scale."""
    scale = np.array([0.1, 4.0])
    drawn = random_effects(np.random.default_rng(5), scale, 40_000)
    assert drawn.shape == (40_000, 2)
    np.testing.assert_allclose(
        np.quantile(drawn, [0.25, 0.5, 0.75], axis=0), [-scale, 0 * scale, scale], atol=0.15
    )


@pytest.mark.parametrize("effect", EFFECTS)
def test_slope_by_the_logarithm_of_the_scale(effect):
    ahead, behind = np.exp(STEP), np.exp(-STEP)
    expected = (cauchy.logpdf(effect, scale=ahead) - cauchy.logpdf(effect, scale=behind)) / (2.0 * STEP)
    assert slope_by_log_scale(effect) == pytest.approx(expected, rel=1e-6, abs=1e-6)
