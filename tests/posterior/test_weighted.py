"""Summaries of weighted draws whose distribution is known, and the smoothing of weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from bayesde.posterior.arviz_adapter import import_arviz
from bayesde.posterior.gene_draws import GeneDraws
from bayesde.posterior.importance.engine import resampled
from bayesde.posterior.importance.pareto import effective_size, smoothed, smoothed_in_parts
from bayesde.posterior.summaries import contrast_summary
from bayesde.posterior.weighted import mean_dispersion, weighted_quantiles, weighted_summary

CENTERS = np.array([0.0, 0.5, 3.0, -8.0])


@pytest.fixture(scope="module")
def weighted():
    """Normal posteriors with sd 0.7 around `CENTERS`, drawn from a t distribution around them."""
    rng = np.random.default_rng(1)
    z = rng.standard_t(5, (4, 4000))
    log_weights = norm.logpdf(0.98 * z, scale=0.7) - t.logpdf(z, 5)
    theta = np.zeros((4, 4000, 3), dtype=np.float32)
    theta[:, :, 0] = np.arange(4000)
    theta[:, :, 1] = CENTERS[:, None] + 0.98 * z
    theta[:, :, 2] = rng.normal(-1.0, 0.2, (4, 4000))
    log_weights -= np.log(np.exp(log_weights).sum(axis=1, keepdims=True))
    return theta, log_weights.astype(np.float32)


def test_summary_of_weighted_normal_draws(weighted):
    found = weighted_summary(*weighted, np.array([0.0, 1.0]), threshold=0.4, ci_prob=0.9)
    np.testing.assert_allclose(found["log2_fold_change"], CENTERS, atol=0.05)
    np.testing.assert_allclose(found["lfc_se"], 0.7, rtol=0.05)
    np.testing.assert_allclose(found["lfc_lower"], CENTERS - 1.645 * 0.7, atol=0.08)
    np.testing.assert_allclose(found["lfc_upper"], CENTERS + 1.645 * 0.7, atol=0.08)
    np.testing.assert_allclose(found["lfsr"][:2], norm.cdf(-CENTERS[:2] / 0.7), rtol=0.08)
    expected = norm.sf((0.4 - CENTERS) / 0.7) + norm.cdf((-0.4 - CENTERS) / 0.7)
    np.testing.assert_allclose(found["prob_gt_threshold"], expected, rtol=0.05)
    smaller = np.minimum(norm.cdf((0.4 - CENTERS) / 0.7), norm.sf((-0.4 - CENTERS) / 0.7))
    np.testing.assert_allclose(found["local_rate"][:2], smaller[:2], rtol=0.08)


def test_small_probabilities_are_neither_floored_nor_lost(weighted):
    """4.3 and 11.4 standard deviations out: right in the logarithm to a quarter, and far below 1 / draws."""
    lfsr = weighted_summary(*weighted, np.array([0.0, 1.0]))["lfsr"]
    for g in (2, 3):
        assert math.log(lfsr[g]) == pytest.approx(norm.logcdf(-abs(CENTERS[g]) / 0.7), rel=0.25)


def test_turned_around_contrast_has_the_same_rates(weighted):
    one = weighted_summary(*weighted, np.array([0.0, 1.0]), threshold=0.3)
    other = weighted_summary(*weighted, np.array([0.0, -1.0]), threshold=0.3)
    for name in ("lfsr", "lfc_se", "prob_gt_threshold", "local_rate"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9)
    np.testing.assert_allclose(one["lfc_lower"], -other["lfc_upper"], rtol=1e-9, atol=1e-12)


def test_equal_weights_give_the_summary_of_plain_draws(weighted):
    theta = weighted[0]
    equal = np.full(theta.shape[:2], -math.log(theta.shape[1]), dtype=np.float32)
    vector = np.array([0.0, 1.0])
    found = weighted_summary(theta, equal, vector, 0.5)
    plain = contrast_summary(theta[:, :, :2].transpose(1, 0, 2)[None], vector, 0.5)
    for name in ("log2_fold_change", "lfc_se", "lfc_lower", "lfc_upper"):
        np.testing.assert_allclose(found[name], plain[name], rtol=2e-3, atol=0.02)
    np.testing.assert_allclose(found["lfsr"][:2], plain["lfsr"][:2], rtol=0.02)
    np.testing.assert_allclose(mean_dispersion(theta, equal), np.exp(theta[:, :, 2]).mean(axis=1), rtol=1e-5)


def test_quantiles_of_two_values():
    found = weighted_quantiles(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]), [0.1, 0.5, 0.9])
    np.testing.assert_allclose(found[:, 0], [0.0, 0.5, 1.0])


def test_smoothing_is_arvizs_gene_by_gene():
    rng = np.random.default_rng(2)
    weights = rng.pareto(np.linspace(0.8, 6.0, 9)[:, None], (9, 1000)) + 1.0
    log_weights, pareto_k = smoothed(weights)
    for g in range(9):
        expected, k = import_arviz().psislw(np.log(weights[g]))
        np.testing.assert_allclose(log_weights[g], expected, rtol=1e-5)
        assert pareto_k[g] == pytest.approx(float(k))
    assert pareto_k[0] > 0.7 > pareto_k[-1]
    np.testing.assert_allclose(np.exp(log_weights.astype(float)).sum(axis=1), 1.0, rtol=1e-5)


def test_weights_may_be_computed_and_smoothed_in_parts():
    weights = np.random.default_rng(3).pareto(3.0, (700, 120)) + 1.0
    log_weights, pareto_k, size = smoothed_in_parts(lambda rows: weights[rows], 700, 120)
    expected, k = smoothed(weights)
    np.testing.assert_array_equal(log_weights, expected)
    np.testing.assert_array_equal(pareto_k, k)
    np.testing.assert_allclose(
        size,
        np.exp(expected.astype(float)).sum(axis=1) ** 2 / (np.exp(expected.astype(float)) ** 2).sum(axis=1),
        rtol=1e-5,
    )


def test_weights_that_are_nothing_are_not_trusted():
    weights = np.ones((3, 200))
    weights[0] = np.nan
    weights[1], weights[1, 0] = 0.0, 1.0
    _, pareto_k = smoothed(weights)
    assert np.isinf(pareto_k[:2]).all()
    assert effective_size(np.log(np.full((1, 50), 0.02)))[0] == pytest.approx(50.0)


def test_resampled_draws_have_the_weighted_moments(weighted):
    theta, log_weights = weighted
    seeds = np.arange(4, dtype=np.uint32)
    drawn = resampled(GeneDraws(theta, log_weights), seeds)
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
