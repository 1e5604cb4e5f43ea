"""Random numbers within kernels: the published generator, and the distributions, by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from scipy import stats

from bayesde.numerics import random_numbers
from bayesde.numerics.random_numbers import fill_gamma, fill_normal, stream_of

one_uniform = random_numbers.uniform

PUBLISHED = np.array(
    [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ],
    dtype=np.uint64,
)
"""First numbers of SplitMix64 from 1234567, which implementations in other languages are tested with."""
SIZE = 1_000_000


@njit
def uniform(stream, start, size):
    out = np.empty(size)
    for i in range(size):
        out[i] = one_uniform(stream, start + i)
    return out


def normal(seed, start=0, size=SIZE):
    one, two = np.empty(size), np.empty(size)
    fill_normal(np.uint64(stream_of(np.uint32(seed))), start, one, two)
    return one, two


def test_numbers_are_those_of_the_published_generator():
    expected = (PUBLISHED >> np.uint64(12)).astype(float) + 0.5
    np.testing.assert_array_equal(uniform(1234567, 0, 5) * 2.0**52, expected)


def test_a_stream_can_be_entered_anywhere():
    whole = uniform(99, 0, 1000)
    np.testing.assert_array_equal(uniform(99, 137, 863), whole[137:])
    assert whole.min() > 0.0
    assert whole.max() < 1.0


def test_uniform_normal_and_gamma_numbers_have_their_distributions():
    stream = np.uint64(stream_of(np.uint32(7)))
    assert stats.kstest(uniform(stream, 0, SIZE), "uniform").pvalue > 0.01
    for numbers in normal(7):
        assert stats.kstest(numbers, "norm").pvalue > 0.01
        for far in (1.0, 2.0, 3.0, 3.5, 4.0):
            expected = 2.0 * SIZE * stats.norm.sf(far)
            assert np.sum(np.abs(numbers) > far) == pytest.approx(expected, abs=4.0 * np.sqrt(expected))
    for shape in (1, 3):
        out = np.empty(SIZE)
        fill_gamma(stream, 0, shape, out)
        assert stats.kstest(out, "gamma", args=(shape,)).pvalue > 0.01


def test_box_and_muller_are_followed_to_the_last_digits():
    one, two = normal(3, size=5000)
    stream = np.uint64(stream_of(np.uint32(3)))
    u, v = uniform(stream, 0, 5000), uniform(stream, 5000, 5000)
    radius, angle = np.sqrt(-2.0 * np.log(u)), 2.0 * np.pi * (v - 0.5)
    np.testing.assert_allclose(one, radius * np.cos(angle), atol=1e-14)
    np.testing.assert_allclose(two, radius * np.sin(angle), atol=1e-14)


def test_numbers_do_not_depend_on_one_another():
    """Neither within a pair nor from one to the next, nor between streams of neighbouring seeds."""
    one, two = normal(11)
    neighbour, _ = normal(12)
    pairs = [(one, two), (one[1:], one[:-1]), (one, neighbour), (one**2, two**2), (one**2, neighbour**2)]
    for a, b in pairs:
        assert abs(np.corrcoef(a, b)[0, 1]) < 4.0 / np.sqrt(SIZE)


def test_streams_of_many_seeds_differ_as_random_numbers_do():
    @njit
    def first_numbers(size):
        out = np.empty(size)
        for seed in range(size):
            out[seed] = one_uniform(stream_of(np.uint32(seed)), 0)
        return out

    numbers = first_numbers(SIZE)
    assert stats.kstest(numbers, "uniform").pvalue > 0.01
    assert np.unique(numbers).size == SIZE
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 4.0 / np.sqrt(SIZE)
