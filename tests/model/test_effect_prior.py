"""The prior of a coefficient against SciPy's densities and differences of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from bayesde.model.effect_prior import (
    EffectPriors,
    add_log_densities,
    effect_derivatives,
    fill_effect_moments,
    fill_inverse_densities,
    log_effect_densities,
    log_effect_density,
    log_effect_heights,
    log_odds_of_null,
    log_t_height,
    random_effects,
    tangent_curvature,
)

EFFECTS = [-40.0, -0.3, 0.0, 0.02, 1.7]
STEP = 1e-5
LAWS = [1.0, 0.4, 3.0, 46.0, math.inf]
"""Degrees of freedom."""


def law(df, scale=1.0):
    return norm(scale=scale) if math.isinf(df) else t(df, scale=scale)


@pytest.mark.parametrize("df", LAWS)
@pytest.mark.parametrize("scale", [0.05, 2.0])
def test_density_over_its_height(df, scale):
    for effect in EFFECTS:
        expected = law(df, scale).logpdf(effect) - law(df, scale).logpdf(0.0)
        found = log_effect_density(effect, df, scale)
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("df", LAWS)
@pytest.mark.parametrize("effect", EFFECTS)
def test_derivatives_are_the_limits_of_differences(effect, df):
    scale = 0.7
    ahead, behind = effect + STEP, effect - STEP
    slope, curvature = effect_derivatives(effect, df, scale)
    density = [log_effect_density(at, df, scale) for at in (ahead, behind)]
    slopes = [effect_derivatives(at, df, scale)[0] for at in (ahead, behind)]
    assert slope == pytest.approx((density[0] - density[1]) / (2.0 * STEP), rel=1e-6, abs=1e-6)
    assert curvature == pytest.approx((slopes[0] - slopes[1]) / (2.0 * STEP), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("df", LAWS[:-1])
@pytest.mark.parametrize("effect", EFFECTS)
def test_the_normal_density_that_touches_from_below(effect, df):
    """Precision (nu + 1) / (nu S^2 + b^2), centered at 0: the same slope at b, and nowhere higher."""
    scale = 0.7
    slope, curvature = effect_derivatives(effect, df, scale)
    precision = tangent_curvature(effect, df, scale) - curvature
    assert precision == pytest.approx((df + 1.0) / (df * scale**2 + effect**2))
    assert -precision * effect == pytest.approx(slope)
    at, prior = np.linspace(-60.0, 60.0, 1001), law(df, scale)
    height = prior.logpdf(effect) + 0.5 * precision * effect**2
    assert (height - 0.5 * precision * at**2 <= prior.logpdf(at) + 1e-9).all()


def priors_of(columns, scale, df, pi0):
    """As kernels take them, at one point."""
    log_null = log_odds_of_null(scale, df, pi0)
    return EffectPriors(np.array(columns, dtype=np.int64), 1.0 / scale, df, log_null)


@pytest.mark.parametrize("df", [[1.0, 1.0, 1.0], [3.0, 1.0, 0.4], [1.0, 7.0, 1.0], [2.0, 3.0, 1e4]])
@pytest.mark.parametrize("columns", [[], [1], [0, 2], [0, 1, 2]])
def test_densities_of_draws_and_their_height(columns, df):
    rng = np.random.default_rng(4)
    n = len(columns)
    points, scale, df = rng.standard_cauchy((4, 30)), np.array([0.1, 1.0, 3.0])[:n], np.array(df)[:n]
    inverse, found = np.empty(30), np.zeros(30)
    effects = priors_of(columns, scale, df, np.zeros(n))
    fill_inverse_densities(points, effects, inverse)
    add_log_densities(points, effects, found)
    expected = t.logpdf(points[columns].T, df, scale=scale).sum(axis=1)
    height = log_effect_heights(scale, df, np.zeros(n))
    np.testing.assert_allclose(height + found - np.log(inverse), expected, rtol=1e-9, atol=1e-9)
    densities = log_effect_densities(points[columns].T, scale, df)
    np.testing.assert_allclose(height + densities.sum(axis=1), expected, rtol=1e-9, atol=1e-9)


def test_densities_with_an_atom_at_zero():
    """ln pi0 where a draw is exactly 0, ln (1 - pi0) and the continuous density elsewhere."""
    points = np.array([[0.0, 0.3, 0.0, -1.0], [0.2, 0.0, 0.0, 5.0], [0.0, 0.0, 0.0, 0.0]])
    scale, df, pi0 = np.array([0.5, 2.0]), np.array([3.0, 1.0]), np.array([0.7, 0.2])
    effects, inverse, found = priors_of([0, 1], scale, df, pi0), np.empty(4), np.zeros(4)
    fill_inverse_densities(points, effects, inverse)
    add_log_densities(points, effects, found)
    expected = np.zeros(4)
    for row, s, nu, p in zip(points, scale, df, pi0, strict=False):
        expected += np.where(row == 0.0, np.log(p), np.log1p(-p) + t.logpdf(row, nu, scale=s))
    np.testing.assert_allclose(log_effect_heights(scale, df, pi0) + found - np.log(inverse), expected)


def test_a_draw_of_zero_has_no_weight_without_an_atom():
    effects = priors_of([0], np.array([0.5]), np.array([3.0]), np.array([0.0]))
    found = np.zeros(2)
    add_log_densities(np.array([[0.0, 0.1], [1.0, 1.0]]), effects, found)
    assert found[0] == -math.inf
    assert math.isfinite(found[1])


@pytest.mark.parametrize("df", [1.0, 0.4, 3.0, 46.0])
@pytest.mark.parametrize("pi0", [0.0, 0.6])
def test_derivatives_by_the_hyperparameters(df, pi0):
    """By ln S, ln nu and logit pi0, against differences of the log density, one draw at a time."""

    def log_density(effect, log_scale, log_df, logit):
        p = 1.0 / (1.0 + math.exp(-logit)) if pi0 else 0.0
        if effect == 0.0:
            return math.log(p)
        return math.log1p(-p) + t.logpdf(effect, math.exp(log_df), scale=math.exp(log_scale))

    scale, one = 0.7, np.ones(1)
    logit = math.log(pi0 / (1.0 - pi0)) if pi0 else 0.0
    effects = priors_of([0], scale * one, df * one, pi0 * one)
    slope = float(log_t_height(scale, df)[1])
    for effect in [-40.0, -0.3, 0.02, 1.7, *([0.0] if pi0 else [])]:
        moments, at = np.empty((3, 1)), np.array([math.log(scale), math.log(df), logit])
        fill_effect_moments(np.array([[effect]]), effects, one, np.empty(1), moments)
        null = moments[2, 0]
        assert null == float(effect == 0.0)
        cauchy = df == 1.0 and not pi0  # whose degrees of freedom are never asked for
        found = [moments[0, 0], moments[1, 0] + (1.0 - null) * slope, null - pi0]
        for i, value in enumerate(found):
            if (i == 1 and cauchy) or (i == 2 and not pi0):
                continue
            step = np.eye(3)[i] * STEP
            expected = (log_density(effect, *(at + step)) - log_density(effect, *(at - step))) / (2.0 * STEP)
            assert value == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_drawn_effects_have_the_quartiles_of_the_prior():
    """Of a Cauchy distribution they are at plus and minus its scale."""
    scale = np.array([0.1, 4.0])
    drawn = random_effects(np.random.default_rng(5), scale, 40_000)
    assert drawn.shape == (40_000, 2)
    np.testing.assert_allclose(
        np.quantile(drawn, [0.25, 0.5, 0.75], axis=0), [-scale, 0 * scale, scale], atol=0.15
    )


def test_drawn_effects_of_a_law_with_an_atom():
    scale, df, pi0 = np.array([0.5, 2.0]), np.array([4.0, 30.0]), np.array([0.8, 0.25])
    drawn = random_effects(np.random.default_rng(6), scale, 40_000, df, pi0)
    np.testing.assert_allclose((drawn == 0.0).mean(axis=0), pi0, atol=0.01)
    for k in range(2):
        other = drawn[:, k][drawn[:, k] != 0.0]
        expected = t.ppf([0.1, 0.25, 0.9], df[k], scale=scale[k])
        np.testing.assert_allclose(np.quantile(other, [0.1, 0.25, 0.9]), expected, rtol=0.1)
