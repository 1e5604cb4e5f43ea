"""Moments and intervals of weighted draws, against brute force and ArviZ."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from bayesde.posterior.draws.arviz_adapter import import_arviz
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.monte_carlo_error import monte_carlo_errors
from bayesde.posterior.draws.resampling import resampled
from bayesde.posterior.draws.weighted_statistics import LARGEST_EFFECT, highest_density, quantile
from bayesde.posterior.summaries.one_contrast import contrast_summary, mean_dispersion

CENTERS = np.array([0.0, 0.5, 3.0, -8.0])
EFFECT = np.array([0.0, 1.0])


def weighted_normal(seed, n_genes=4, n_draws=4000, centers=CENTERS):
    """Normal posteriors with sd 0.7 around `centers`, drawn from a t distribution around them."""
    rng = np.random.default_rng(seed)
    z = rng.standard_t(5, (n_genes, n_draws))
    log_weights = norm.logpdf(0.98 * z, scale=0.7) - t.logpdf(z, 5)
    theta = np.zeros((n_genes, n_draws, 3), dtype=np.float32)
    theta[:, :, 0] = np.arange(n_draws)
    theta[:, :, 1] = centers[:, None] + 0.98 * z
    theta[:, :, 2] = rng.normal(-1.0, 0.2, (n_genes, n_draws))
    log_weights -= np.log(np.exp(log_weights).sum(axis=1, keepdims=True))
    return GeneDraws(theta, log_weights.astype(np.float32))


@pytest.fixture(scope="module")
def weighted():
    return weighted_normal(1)


def test_summary_of_weighted_normal_draws(weighted):
    """To four or more standard errors of 4,000 draws; the ends of the shortest interval settle slowly."""
    found = contrast_summary(weighted, EFFECT, threshold=0.4, ci_prob=0.9)
    np.testing.assert_allclose(found["mean"], CENTERS, atol=0.05)
    np.testing.assert_allclose(found["median"], CENTERS, atol=0.06)
    np.testing.assert_allclose(found["sd"], 0.7, rtol=0.05)
    np.testing.assert_allclose(found["lower"], CENTERS - 1.645 * 0.7, atol=0.08)
    np.testing.assert_allclose(found["upper"], CENTERS + 1.645 * 0.7, atol=0.08)
    assert (found["hdi_upper"] - found["hdi_lower"] <= found["upper"] - found["lower"]).all()
    np.testing.assert_allclose(found["hdi_lower"], CENTERS - 1.645 * 0.7, atol=0.3)
    np.testing.assert_allclose(found["lfsr"][:2], norm.cdf(-CENTERS[:2] / 0.7), rtol=0.08)
    expected = norm.sf((0.4 - CENTERS) / 0.7) + norm.cdf((-0.4 - CENTERS) / 0.7)
    np.testing.assert_allclose(found["prob_gt_threshold"], expected, rtol=0.05)
    np.testing.assert_allclose(found["lfdr"] + found["prob_gt_threshold"], 1.0, rtol=1e-12)
    smaller = np.minimum(norm.cdf((0.4 - CENTERS) / 0.7), norm.sf((-0.4 - CENTERS) / 0.7))
    np.testing.assert_allclose(found["fsos"][:2], smaller[:2], rtol=0.08)


def test_turned_around_contrast_has_the_same_rates(weighted):
    one = contrast_summary(weighted, EFFECT, threshold=0.3)
    other = contrast_summary(weighted, -EFFECT, threshold=0.3)
    for name in ("lfsr", "sd", "prob_gt_threshold", "lfdr", "fsos"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9)
    for low, high in (("lower", "upper"), ("hdi_lower", "hdi_upper")):
        np.testing.assert_allclose(one[low], -other[high], rtol=1e-9, atol=1e-12)


def test_equal_weights_are_the_plain_draws(weighted):
    """NumPy's and ArviZ's numbers of the same draws, up to their ways to interpolate."""
    theta = weighted.theta
    found = contrast_summary(GeneDraws(theta), EFFECT)
    values = theta[:, :, 1].astype(float)
    np.testing.assert_allclose(found["mean"], values.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(found["sd"], values.std(axis=1, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(found["median"], np.median(values, axis=1), atol=1e-12)
    np.testing.assert_allclose(found["lower"], np.quantile(values, 0.025, axis=1), atol=0.02)
    for g in range(4):
        shortest = import_arviz().hdi(values[g], 0.95)
        assert found["hdi_upper"][g] - found["hdi_lower"][g] == pytest.approx(np.ptp(shortest), rel=0.01)
    equal = np.full(theta.shape[:2], -math.log(theta.shape[1]), dtype=np.float32)
    again = contrast_summary(GeneDraws(theta, equal), EFFECT)
    for name, numbers in found.items():
        np.testing.assert_allclose(again[name], numbers, rtol=1e-6)
    np.testing.assert_allclose(
        mean_dispersion(GeneDraws(theta)), np.exp(theta[:, :, 2]).mean(axis=1), rtol=1e-5
    )


def test_many_genes_are_the_same_as_few(weighted):
    many = GeneDraws(np.tile(weighted.theta[:, :200], (300, 1, 1)))  # more than a piece
    few = contrast_summary(GeneDraws(weighted.theta[:, :200]), EFFECT, 0.2)
    for name, numbers in contrast_summary(many, EFFECT, 0.2).items():
        np.testing.assert_array_equal(numbers, np.tile(few[name], 300))


def test_quantiles_of_two_values():
    values, middles = np.array([0.0, 1.0]), np.array([0.25, 0.75])
    assert [quantile(values, middles, level) for level in (0.1, 0.5, 0.9)] == [0.0, 0.5, 1.0]


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(3, 40), st.floats(0.1, 0.95))
def test_shortest_interval_by_brute_force(seed, size, ci_prob):
    rng = np.random.default_rng(seed)
    values, weights = np.sort(rng.standard_cauchy(size)), rng.dirichlet(np.full(size, 0.5))
    middles = np.cumsum(weights) - 0.5 * weights
    lower, upper = highest_density(values, middles, ci_prob)
    starts = np.linspace(middles[0], middles[-1] - ci_prob, 20_001)
    if middles[-1] - middles[0] < ci_prob:
        assert (lower, upper) == (values[0], values[-1])
        return
    widths = np.interp(starts + ci_prob, middles, values) - np.interp(starts, middles, values)
    assert upper - lower <= widths.min() + 1e-9
    share = np.interp(upper, values, middles) - np.interp(lower, values, middles)
    assert share == pytest.approx(ci_prob, abs=1e-9)


def test_effects_without_end_are_bounded():
    theta = np.full((1, 100, 2), -5000.0, dtype=np.float32)
    assert contrast_summary(GeneDraws(theta), np.ones(1))["mean"][0] == pytest.approx(-LARGEST_EFFECT)


def test_a_gene_whose_draws_are_missing_has_no_summary():
    theta = np.random.default_rng(2).normal(0.0, 1.0, (3, 400, 2)).astype(np.float32)
    theta[1] = np.nan
    found = contrast_summary(GeneDraws(theta), np.ones(1), 0.5)
    for numbers in found.values():
        assert np.isnan(numbers[1])
        assert np.isfinite(numbers[[0, 2]]).all()


def test_monte_carlo_errors_are_the_spread_over_repetitions():
    """400 genes with the same posterior are 400 repetitions, whose sd has an error of 3.5 %."""
    draws = weighted_normal(3, 400, 500, np.zeros(400))
    found, errors = contrast_summary(draws, EFFECT), monte_carlo_errors(draws, EFFECT)
    assert np.median(errors["mcse_mean"]) == pytest.approx(found["mean"].std(), rel=0.12)
    assert np.median(errors["mcse_sd"]) == pytest.approx(found["sd"].std(), rel=0.12)


def test_monte_carlo_errors_of_chains():
    """Again over repetitions, 300, of chains that remember; the mean's as ArviZ has it."""
    rng = np.random.default_rng(4)
    theta = np.zeros((300, 800, 2), dtype=np.float32)
    noise = rng.normal(size=(300, 800))
    for m in range(1, 800):
        theta[:, m, 0] = 0.8 * theta[:, m - 1, 0] + noise[:, m]
    draws = GeneDraws(theta, chains=4)
    found, errors = contrast_summary(draws, np.ones(1)), monte_carlo_errors(draws, np.ones(1))
    assert np.median(errors["mcse_mean"]) == pytest.approx(found["mean"].std(), rel=0.15)
    assert np.median(errors["mcse_sd"]) == pytest.approx(found["sd"].std(), rel=0.15)
    for g in range(3):
        values = theta[g, :, 0].astype(float).reshape(4, 200)
        assert errors["mcse_mean"][g] == pytest.approx(import_arviz().mcse(values, method="mean"), rel=0.01)


def test_resampled_draws_have_the_weighted_moments(weighted):
    log_weights = weighted.log_weights
    seeds = np.arange(4, dtype=np.uint32)
    drawn = resampled(weighted, seeds)
    assert drawn.shape == (1, 4000, 4, 3)
    np.testing.assert_allclose(drawn[0, :, :, 1].mean(axis=0), CENTERS, atol=0.05)
    np.testing.assert_allclose(drawn[0, :, :, 1].std(axis=0), 0.7, rtol=0.05)
    weights = np.exp(log_weights.astype(float))
    for g in range(4):
        times = np.bincount(drawn[0, :, g, 0].astype(int), minlength=4000)
        expected = 4000 * weights[g] / weights[g].sum()
        assert (np.abs(times - expected) < 1.0 + 1e-6).all()  # systematic: never off by one or more
    halves = drawn[0, :2000, :, 1].mean(axis=0) - drawn[0, 2000:, :, 1].mean(axis=0)
    assert np.abs(halves).max() < 4.0 * 0.7 * math.sqrt(2.0 / 2000.0)
