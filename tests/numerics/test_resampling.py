"""Systematic resampling against a direct calculation."""

from __future__ import annotations

import numpy as np
import pytest

from bayesde.numerics.compiled import kernel
from bayesde.numerics.resampling import fill_systematic, shuffle, systematic

OFFSETS = [0.0, 0.3, 0.999]


def direct(weights, size, offset):
    """For each level the first draw at which the sum of the weights so far has come to it."""
    sums = [sum(weights[: m + 1]) for m in range(len(weights))]
    levels = [sums[-1] * (i + offset) / size for i in range(size)]
    return [next(m for m, so_far in enumerate(sums) if so_far >= level) for level in levels]


def taken_by_kernel(weights, size, offset):
    taken = np.empty(size, dtype=np.int64)
    fill_systematic(weights, weights.sum(), offset, taken)
    return taken


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("size", [1, 7, 40])
def test_systematic_resampling(size, offset):
    weights = np.random.default_rng(size).integers(0, 50, 20) / 64.0  # sums without rounding
    expected = direct(weights.tolist(), size, offset)
    np.testing.assert_array_equal(taken_by_kernel(weights, size, offset), expected)
    cumulative = np.cumsum(weights)
    np.testing.assert_array_equal(systematic(cumulative / cumulative[-1], size, offset), expected)


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_draw_is_taken_as_often_as_its_weight_says_but_for_rounding(offset):
    weights = np.random.default_rng(3).gamma(0.3, size=200)
    weights /= weights.sum()
    for taken in (systematic(np.cumsum(weights), 90, offset), taken_by_kernel(weights, 90, offset)):
        times = np.bincount(taken, minlength=200)
        assert (np.abs(times - 90 * weights) < 1.0 + 1e-9).all()
        assert (np.diff(taken) >= 0).all()


def test_weights_that_rounding_leaves_short_of_one_end_with_the_last_draw():
    weights = np.array([0.5, 0.25, 0.0])
    assert systematic(np.cumsum(weights), 4, 0.9).tolist() == [0, 0, 1, 2]
    taken = np.empty(4, dtype=np.int64)
    fill_systematic(weights, 1.0, 0.9, taken)
    assert taken.tolist() == [0, 0, 1, 2]


@kernel
def shuffled(seed, numbers):
    np.random.seed(seed)  # noqa: NPY002 - numba's own generator
    shuffle(numbers)


def test_every_order_is_as_probable_as_any_other():
    orders = []
    for seed in range(3000):
        numbers = np.arange(3)
        shuffled(seed, numbers)
        orders.append(tuple(numbers.tolist()))
    times = np.unique(np.array(orders), axis=0, return_counts=True)[1]
    assert times.size == 6
    assert (np.abs(times - 500) < 100).all()  # five standard deviations
