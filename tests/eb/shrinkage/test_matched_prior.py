import numpy as np
import pytest

from bayesde.eb.shrinkage.matched_prior import matched_sd, weighted_quantile


def test_equal_weights_give_the_usual_quantile():
    values = np.random.default_rng(0).normal(size=101)
    assert weighted_quantile(values, np.full(101, 7.0), 0.95) == pytest.approx(np.quantile(values, 0.95))


def test_a_value_counts_as_often_as_it_weighs():
    values, times = np.array([7.0, 2.0, 1.0, 4.0]), np.array([2.0, 3.0, 1.0, 2.0])
    # Scaled to sum to four, the weights say at which ranks the values 1, 2, 4, 7 end: 0.5, 2, 3, 4.
    assert weighted_quantile(values, times, 1.0 / 3.0) == pytest.approx(2.0)
    assert weighted_quantile(values, times, 0.5) == pytest.approx(3.0)
    assert weighted_quantile(values, times, 1.0) == 7.0


def test_a_value_in_parts_is_the_value():
    values, weights = np.array([3.0, 1.0, 4.0, 4.0]), np.array([1.0, 1.0, 0.5, 1.5])
    whole = weighted_quantile(np.array([3.0, 1.0, 4.0]), np.array([1.0, 1.0, 2.0]) * 0.75, 1.0)
    assert weighted_quantile(values, weights, 1.0) == whole == 4.0
    assert weighted_quantile(values, weights, 1.0 / 3.0) == weighted_quantile(
        values[::-1], weights[::-1], 1.0 / 3.0
    )


def test_the_matched_normal_distribution_is_the_one_that_was_drawn_from():
    sizes = np.abs(np.random.default_rng(1).normal(0.0, 0.3, 200_000))
    assert matched_sd(sizes, np.ones(sizes.size)) == pytest.approx(0.3, rel=0.01)


def test_a_single_value_is_its_own_quantile():
    assert weighted_quantile(np.array([5.0]), np.array([0.1]), 0.95) == 5.0
