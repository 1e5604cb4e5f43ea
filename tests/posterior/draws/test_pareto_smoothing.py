"""Pareto smoothing against its formula and ArviZ 0.23, and where these have nothing to say."""

from __future__ import annotations

import numpy as np
import pytest
from reference.pareto_smoothing import ARVIZ_IS_NEWER, smooth

from bayesde.posterior.draws.arviz_adapter import import_arviz
from bayesde.posterior.draws.pareto_smoothing import effective_size, smooth_log_weights, smoothed


def by_the_formula(log_weights):
    """Rows smoothed word by word; by ArviZ where its algorithm is the same, which must agree."""
    with np.errstate(all="ignore"):
        rows, pareto_k = zip(*map(smooth, log_weights), strict=True)
        if not ARVIZ_IS_NEWER:
            theirs, their_k = import_arviz().psislw(log_weights.copy())
            np.testing.assert_allclose(pareto_k, their_k, rtol=1e-10)
            np.testing.assert_allclose(np.sort(rows), np.sort(theirs), rtol=1e-10)
    return np.array(rows), np.array(pareto_k)


def check(log_weights, rtol=1e-12):
    expected, expected_k = by_the_formula(log_weights)
    found = log_weights.copy()
    pareto_k = smooth_log_weights(found)
    np.testing.assert_allclose(pareto_k, expected_k, rtol=rtol)
    np.testing.assert_allclose(found, expected, rtol=rtol)
    return found, pareto_k


@pytest.mark.parametrize("n_draws", [5, 20, 21, 26, 60, 225, 1000, 20_000])
def test_tails_of_every_length(n_draws):
    rng = np.random.default_rng(n_draws)
    spread = np.repeat([0.03, 0.3, 1.0, 4.0], 5)[:, None]
    log_weights = spread * (rng.normal(size=(20, n_draws)) + rng.exponential(0.5, (20, n_draws)))
    found, pareto_k = check(log_weights, rtol=1e-11)
    assert np.isfinite(pareto_k).all() == (n_draws > 20)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, rtol=1e-12)


def test_known_tail_index():
    """Weights whose density falls as w^-(a + 1) have k = 1 / a."""
    index = np.linspace(0.8, 6.0, 9)
    weights = np.random.default_rng(2).pareto(index[:, None], (9, 4000)) + 1.0
    _, pareto_k = check(np.log(weights))
    np.testing.assert_allclose(pareto_k, 1.0 / index, atol=0.25)
    assert pareto_k[0] > 0.7 > pareto_k[-1]


def test_light_tails():
    """k below zero: the weights have an upper limit."""
    weights = 1.0 - np.random.default_rng(3).uniform(size=(5, 2000)) ** 2
    _, pareto_k = check(np.log(weights), rtol=1e-11)
    assert (pareto_k < 0.0).all()


def test_a_constant_added_to_log_weights_changes_nothing():
    log_weights = np.random.default_rng(4).normal(size=(3, 400))
    found, moved = log_weights.copy(), log_weights + 1000.0
    pareto_k, again = smooth_log_weights(found), smooth_log_weights(moved)
    np.testing.assert_allclose(pareto_k, again, rtol=1e-9)
    np.testing.assert_allclose(found, moved, rtol=1e-9)


def test_draws_without_weight():
    log_weights = np.random.default_rng(5).normal(size=(4, 500))
    log_weights[0, ::2] = -np.inf
    log_weights[1, 10:] = -np.inf
    log_weights[2, 3:] = -np.inf  # too short a tail
    log_weights[3, :400] = -800.0  # below the smallest double, relative to the largest
    found, pareto_k = check(log_weights)
    assert np.isinf(pareto_k[2])
    assert np.isneginf(found[0, ::2]).all()
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, rtol=1e-12)


def test_equal_weights_have_no_tail():
    found, pareto_k = check(np.full((2, 300), 7.0))
    assert np.isinf(pareto_k).all()
    np.testing.assert_allclose(found, -np.log(300.0), rtol=1e-12)


def test_tied_weights():
    """Which of tied draws gets which of the smoothed weights is a matter of sorting: compared in order."""
    levels = np.random.default_rng(6).normal(size=(6, 40))
    log_weights = np.repeat(levels, 25, axis=1)
    expected, expected_k = by_the_formula(log_weights)
    found = log_weights.copy()
    np.testing.assert_allclose(smooth_log_weights(found), expected_k, rtol=1e-12)
    np.testing.assert_allclose(np.sort(found), np.sort(expected), rtol=1e-12)


def test_many_draws_at_the_cutoff():
    log_weights = np.zeros((1, 1000))
    log_weights[0, :60] = np.random.default_rng(7).exponential(1.0, 60)
    check(log_weights)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_leave_nothing(value):
    log_weights = np.random.default_rng(8).normal(size=(3, 100))
    log_weights[0, 4] = value
    log_weights[1] = -np.inf
    pareto_k = smooth_log_weights(log_weights)
    assert np.isinf(pareto_k[:2]).all()
    assert np.isnan(log_weights[:2]).all()
    assert np.isfinite(pareto_k[2])
    assert np.isfinite(log_weights[2]).all()


def test_excesses_that_no_number_holds_are_not_fitted():
    log_weights = np.full((1, 1000), -750.0)
    log_weights[0, :90] = np.linspace(-707.0, -706.0, 90)
    log_weights[0, 0] = 0.0
    pareto_k = smooth_log_weights(log_weights)
    assert np.isinf(pareto_k[0])
    assert np.exp(log_weights).sum() == pytest.approx(1.0)


def test_a_single_draw():
    log_weights = np.array([[3.0]])
    assert np.isinf(smooth_log_weights(log_weights)[0])
    assert log_weights[0, 0] == pytest.approx(0.0, abs=1e-15)


def test_small_weights_stay_as_they_are_and_in_their_order():
    weights = np.random.default_rng(9).pareto(2.0, (5, 4000)) + 1.0
    log_weights, _ = smoothed(weights)
    np.testing.assert_allclose(np.exp(log_weights.astype(float)).sum(axis=1), 1.0, rtol=1e-5)
    for g in range(5):
        order = np.argsort(weights[g])
        gaps = log_weights[g, order].astype(float) - np.log(weights[g, order])
        np.testing.assert_allclose(gaps[:3800], gaps[0], atol=1e-5)
        assert (np.diff(log_weights[g, order]) >= 0.0).all()


def test_gene_by_gene_is_that_of_all():
    weights = np.random.default_rng(3).pareto(3.0, (600, 120)) + 1.0
    log_weights, pareto_k = smoothed(weights)
    size = effective_size(log_weights)
    for g in (0, 299, 599):
        alone, k = smoothed(weights[g : g + 1])
        np.testing.assert_array_equal(log_weights[g], alone[0])
        assert pareto_k[g] == k[0]
        assert size[g] == pytest.approx(1.0 / np.sum(np.exp(alone[0].astype(float)) ** 2), rel=1e-5)


def test_weights_that_are_nothing_are_not_trusted():
    weights = np.ones((3, 200))
    weights[0] = np.nan
    weights[1], weights[1, 0] = 0.0, 1.0
    _, pareto_k = smoothed(weights)
    assert np.isinf(pareto_k[:2]).all()
    assert effective_size(np.log(np.full((1, 50), 0.02)))[0] == pytest.approx(50.0)
