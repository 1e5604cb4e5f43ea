"""Quantiles and intervals of draws of which some are exactly 0, against slow references of the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.monte_carlo_error import monte_carlo_errors
from bayesde.posterior.draws.weighted_statistics import MOMENTS
from bayesde.posterior.summaries.one_contrast import contrast_summary

ONE = np.ones(1)
LEVELS = {"median": 0.5, "lower": 0.05, "upper": 0.95}


def weighted(values, weights, atoms=True):
    """Draws of genes (gene, draw) as an engine hands them over."""
    theta = np.zeros((*np.shape(values), 2), dtype=np.float32)
    theta[:, :, 0] = values
    with np.errstate(divide="ignore"):
        log_weights = np.maximum(np.log(np.broadcast_to(weights, np.shape(values))), -1e4)
    return GeneDraws(theta, log_weights.astype(np.float32), has_atoms=atoms)


def points_of(draws):
    """The points of Q by the definition: one for each draw that is not 0, two for the atom."""
    values, weights = draws.theta[0, :, 0].astype(float), draws.weights()[0]
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    middles = np.cumsum(weights) - 0.5 * weights
    low, atom = weights[values < 0.0].sum(), weights[values == 0.0].sum()
    left, right = values < 0.0, values > 0.0
    return (
        np.concatenate([middles[left], [low, low + atom], middles[right]]),
        np.concatenate([values[left], [0.0, 0.0], values[right]]),
    )


def random_draws(seed, size, share, sides):
    rng = np.random.default_rng(seed)
    values = 2.0 * rng.standard_normal(size)
    values = {"both": values, "positive": np.abs(values), "negative": -np.abs(values)}[sides]
    values[rng.random(size) < share] = 0.0
    values[rng.integers(size)] = 0.0
    return weighted(values[None], rng.dirichlet(np.full(size, 0.7))[None])


RANDOM = given(
    st.integers(0, 10**6),
    st.integers(3, 60),
    st.sampled_from([0.0, 0.1, 0.5, 0.95, 1.0]),
    st.sampled_from(["both", "positive", "negative"]),
)


@settings(max_examples=80, deadline=None)
@RANDOM
def test_quantiles_are_those_of_the_definition(seed, size, share, sides):
    draws = random_draws(seed, size, share, sides)
    found, (levels, values) = contrast_summary(draws, ONE, ci_prob=0.9), points_of(draws)
    low, high = levels[values == 0.0][[0, -1]]
    for name, level in LEVELS.items():
        least, most = np.interp([level - 1e-11, level + 1e-11], levels, values)  # by how much sums may differ
        assert least - 1e-9 <= found[name][0] <= most + 1e-9
        if low < level < high:
            assert found[name][0] == 0.0


@settings(max_examples=80, deadline=None)
@RANDOM
def test_the_shortest_interval_is_that_of_the_definition(seed, size, share, sides):
    draws, p = random_draws(seed, size, share, sides), 0.7
    found, (levels, values) = contrast_summary(draws, ONE, ci_prob=p), points_of(draws)
    lower, upper = found["hdi_lower"][0], found["hdi_upper"][0]
    low, high = levels[values == 0.0][[0, -1]]
    if high - low >= p:
        assert (lower, upper) == (0.0, 0.0)
    elif levels[-1] - levels[0] <= p:
        assert (lower, upper) == pytest.approx((values[0], values[-1]))
    else:
        ends = np.concatenate([levels, levels - p])
        starts = ends[(ends >= levels[0]) & (ends + p <= levels[-1])]  # Q is linear between them
        width = np.interp(starts + p, levels, values) - np.interp(starts, levels, values)
        assert upper - lower == pytest.approx(width.min(), abs=1e-6)


@pytest.mark.parametrize("single", [True, False])
def test_ends_within_the_atom_are_exactly_zero(single):
    """P(< 0) = 0.2, P(0) = 0.7, P(> 0) = 0.1; the atom may be one heavy draw or many light ones."""
    at = 1 if single else 70
    values = np.concatenate([np.linspace(-3.0, -1.0, 20), np.zeros(at), np.linspace(1.0, 2.0, 10)])
    weights = np.concatenate([np.full(20, 0.01), np.full(at, 0.7 / at), np.full(10, 0.01)])
    draws = weighted(values[None], weights)
    wide, narrow, half = (contrast_summary(draws, ONE, ci_prob=p) for p in (0.95, 0.7, 0.5))
    assert wide["median"][0] == 0.0
    assert -3.0 <= wide["lower"][0] < -2.5
    assert 1.7 < wide["upper"][0] <= 2.0
    assert (narrow["lower"][0] < -1.0, narrow["upper"][0]) == (True, 0.0)
    assert (half["lower"][0], half["upper"][0]) == (0.0, 0.0)
    for found in (narrow, half):
        assert (found["hdi_lower"][0], found["hdi_upper"][0]) == (0.0, 0.0)
    assert wide["hdi_lower"][0] < 0.0 < wide["hdi_upper"][0]


def test_levels_at_the_very_ends_of_the_atom_belong_to_it():
    """25 of 1,000 draws below 0, 950 at 0: both ends of the 95 % interval are the atom's, up to rounding."""
    values = np.concatenate([np.full(25, -2.0), np.zeros(950), np.full(25, 3.0)])[None]
    found = contrast_summary(GeneDraws(weighted(values, 1.0).theta, has_atoms=True), ONE)
    for name in ("median", "lower", "upper", "hdi_lower", "hdi_upper"):
        assert found[name][0] == 0.0


def test_values_between_the_atom_and_other_draws_take_half_a_draw():
    """Away from the ends of the atom by half a draw's weight, quantiles are those of the draws."""
    values = np.concatenate([np.full(300, -2.0), np.zeros(400), np.full(300, 3.0)])[None]
    draws = GeneDraws(weighted(values, 1.0).theta, has_atoms=True)
    for below_the_end, ends in {1e-3: (-2.0, 3.0), 0.25e-3: (-1.0, 1.5), -1e-6: (0.0, 0.0)}.items():
        found = contrast_summary(draws, ONE, ci_prob=1.0 - 2.0 * (0.3 - below_the_end))
        np.testing.assert_allclose([found["lower"][0], found["upper"][0]], ends, atol=1e-6)


def test_zeros_moved_by_very_little_have_the_same_quantiles():
    """Except where a level is within a draw's weight of an end of the atom."""
    rng = np.random.default_rng(2)
    values, weights = rng.normal(0.3, 1.0, (200, 300)), rng.dirichlet(np.full(300, 2.0), 200)
    values[rng.random(values.shape) < rng.uniform(0.0, 1.0, (200, 1))] = 0.0
    moved = np.where(values == 0.0, 1e-6 * rng.uniform(-1.0, 1.0, values.shape), values)
    one = contrast_summary(weighted(values, weights), ONE, ci_prob=0.9)
    other = contrast_summary(weighted(moved, weights, atoms=False), ONE, ci_prob=0.9)
    below = (weights * (values < 0.0)).sum(axis=1)
    above = below + (weights * (values == 0.0)).sum(axis=1)
    for name, level in LEVELS.items():
        clear = (np.abs(below - level) > weights.max(axis=1)) & (np.abs(above - level) > weights.max(axis=1))
        assert clear.sum() > 100
        np.testing.assert_allclose(one[name][clear], other[name][clear], atol=2e-6)
    for name in ("mean", "sd"):
        np.testing.assert_allclose(one[name], other[name], atol=2e-6)


def before_there_were_atoms(values, weights, ci_prob):
    """Mean, sd, median and interval of one gene by the formulas of draws without atoms, in the same order."""
    order = np.argsort(values, kind="stable")
    below = mean = squares = spread = 0.0
    middles = np.empty(values.size)
    for i, m in enumerate(order):
        middles[i] = below + 0.5 * weights[m]
        below += weights[m]
        mean += weights[m] * values[m]
        squares += weights[m] ** 2
    for m in order:
        spread += weights[m] * (values[m] - mean) ** 2
    ladder = values[order]

    def quantile(level):
        at = int(np.searchsorted(middles, level))
        if at in (0, values.size):
            return ladder[min(at, values.size - 1)]
        share = (level - middles[at - 1]) / (middles[at] - middles[at - 1])
        return ladder[at - 1] + share * (ladder[at] - ladder[at - 1])

    levels = (0.5, 0.5 * (1.0 - ci_prob), 0.5 * (1.0 + ci_prob))
    return [mean, np.sqrt(spread / (1.0 - squares)), *map(quantile, levels)]


def test_draws_without_zeros_keep_every_bit():
    rng = np.random.default_rng(3)
    values, weights = rng.normal(0.5, 1.0, (20, 200)), rng.dirichlet(np.full(200, 2.0), 20)
    draws = weighted(values, weights)
    found = contrast_summary(draws, ONE, 0.5, 0.9)
    plain = contrast_summary(weighted(values, weights, atoms=False), ONE, 0.5, 0.9)
    assert set(found) - set(plain) == {"p_zero"}
    assert not found["p_zero"].any()
    for name, numbers in plain.items():
        np.testing.assert_array_equal(found[name], numbers)
    for g in range(20):
        expected = before_there_were_atoms(draws.theta[g, :, 0].astype(float), draws.weights()[g], 0.9)
        np.testing.assert_array_equal([plain[name][g] for name in MOMENTS[:5]], expected)


def test_posteriors_that_are_all_atom_or_none():
    """All draws 0; all weight on draws of 0; zeros without weight; a gene without draws."""
    rng = np.random.default_rng(4)
    values = np.repeat(rng.normal(0.0, 1.0, (1, 200)), 4, axis=0)
    values[0], values[1:3, ::2], values[3] = 0.0, 0.0, np.nan
    weights = np.full((4, 200), 1.0 / 200.0)
    weights[1] = np.where(values[1] == 0.0, 0.01, 0.0)
    weights[2] = np.where(values[2] == 0.0, 0.0, 0.01)
    draws = weighted(values, weights)
    found = contrast_summary(draws, ONE, 0.5)
    np.testing.assert_allclose(found["p_zero"], [1.0, 1.0, 0.0, np.nan], rtol=1e-12)
    for name in MOMENTS:
        np.testing.assert_array_equal(found[name][:2], 0.0)
    for name, expected in {"lfsr": 1.0, "fsos": 1.0, "lfdr": 1.0, "prob_gt_threshold": 0.0}.items():
        np.testing.assert_allclose(found[name][:2], expected, atol=1e-12)
    kept = contrast_summary(weighted(values[2:3, 1::2], weights[2:3, 1::2], atoms=False), ONE, 0.5)
    for name, numbers in kept.items():
        assert found[name][2] == pytest.approx(numbers[0], rel=1e-9)
    assert all(np.isnan(numbers[3]) for numbers in found.values())
    errors = monte_carlo_errors(draws, ONE)
    for name in ("mcse_mean", "mcse_sd"):
        np.testing.assert_array_equal(errors[name][:2], 0.0)
        assert errors[name][2] > 0.0


def test_monte_carlo_errors_are_the_spread_over_repetitions():
    """Of 600 repetitions, whose sd has an error of 3 %; half of the posterior is at 0."""
    rng = np.random.default_rng(5)
    values = np.where(rng.random((600, 500)) < 0.5, 0.0, rng.normal(1.0, 0.5, (600, 500)))
    draws = GeneDraws(weighted(values, 1.0).theta, has_atoms=True)
    found, errors = contrast_summary(draws, ONE), monte_carlo_errors(draws, ONE)
    assert np.median(errors["mcse_mean"]) == pytest.approx(found["mean"].std(), rel=0.15)
    assert np.median(errors["mcse_sd"]) == pytest.approx(found["sd"].std(), rel=0.15)
