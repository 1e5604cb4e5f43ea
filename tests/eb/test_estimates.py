"""Estimates of all genes: room for them, filled and cleared; counts that were replaced."""

import numpy as np

from bayesde.eb.estimates import ReplacedCounts
from bayesde.eb.genes import GeneEstimates, clear_estimates, no_estimates, put_estimates


def test_estimates_are_put_where_they_belong_and_cleared_again():
    empty, found = no_estimates(5, 2), no_estimates(5, 2)
    one, several, no = np.array([1.5, 2.5]), np.arange(4.0).reshape(2, 2), np.array([True, True])
    part = GeneEstimates(one, one + 1.0, one + 2.0, one + 3.0, one + 4.0, no, several, several + 1.0, no)
    put_estimates(found, np.array([3, 1]), part)
    assert found.base_mean.tolist() == [0.0, 2.5, 0.0, 1.5, 0.0]
    assert found.converged.tolist() == [False, True, False, True, False]
    np.testing.assert_array_equal(found.dispersion, [np.nan, 6.5, np.nan, 5.5, np.nan])
    np.testing.assert_array_equal(found.beta[[3, 1]], several)
    clear_estimates(found, np.array([False, True, False, True, False]))
    for name, values in vars(found).items():
        np.testing.assert_array_equal(values, getattr(empty, name))


def test_replaced_counts_are_put_into_genes_of_any_order():
    replaced = ReplacedCounts(np.array([2, 2, 7]), np.array([0, 2, 1]), np.array([5.0, 6.0, 9.0]))
    counts = np.zeros((3, 3))
    assert replaced.put_into(counts, np.array([7, 4, 2])) is counts
    assert counts.tolist() == [[0.0, 9.0, 0.0], [0.0, 0.0, 0.0], [5.0, 0.0, 6.0]]
    assert replaced.put_into(np.zeros((0, 3)), np.array([], dtype=int)).shape == (0, 3)
