"""Which coefficients are taken for null together."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bayesde.model.density import GeneData, GenePrior
from bayesde.posterior.proposal.combinations import (
    EXTRA,
    MOST_SPLIT,
    THOROUGH,
    choose_combinations,
    most_combinations,
)

SCALE = 0.05


def chosen_of(n, means=None, factor=-1, thorough=False):
    """Combinations of n levels around a center, with two samples of each."""
    p = n + 1
    x = np.column_stack([np.ones(2 * n), np.repeat(np.eye(n), 2, axis=0)])
    y = np.repeat(np.full(n, 100) if means is None else means, 2)
    prior = GenePrior(
        np.array([np.inf, *[1.0] * n]), np.array([15.0, *[SCALE] * n]), np.log(0.01), 0.3, np.inf
    )
    at = np.array([np.log(100.0), *(np.log(y[::2] / 100.0)), np.log(0.01)])
    data = GeneData(y.astype(np.int64), np.zeros(2 * n), x)
    room = np.empty((most_combinations(n, levels=factor >= 0, thorough=thorough), p), dtype=np.bool_)
    levels = np.array([-1, *[factor] * n])
    split, wide = np.arange(1, p), np.where(np.isinf(prior.df), 15.0, 25.0 * SCALE)
    number = choose_combinations(split, at, np.log(0.01), data, prior, wide, (levels, thorough), room)
    return room[:number, :n]


@pytest.mark.parametrize("n", range(1, 8))
def test_without_levels(n):
    null = chosen_of(n)
    assert len({tuple(row) for row in null}) == len(null)
    assert not null[0].any()
    assert null[-1].all()
    if n <= MOST_SPLIT:
        assert len(null) == 2**n
    else:
        assert len(null) == 2 * n + 2
        assert set(null.sum(axis=1)) == {0, 1, n - 1, n}


def test_two_levels_of_six_that_differ_are_found():
    null = chosen_of(6, np.array([100, 250, 100, 100, 30, 100]), factor=0)
    rows = {tuple(row) for row in null}
    assert len(rows) == len(null) <= 14 + EXTRA
    assert (True, False, True, True, False, True) in rows
    assert len(null) > 14
    assert null[-1].all()


def test_two_interactions_of_six_are_found_by_a_thorough_search():
    means = np.array([100, 250, 100, 100, 30, 100])
    wanted = (True, False, True, True, False, True)
    assert wanted not in {tuple(row) for row in chosen_of(6, means)}
    null = chosen_of(6, means, thorough=True)
    assert wanted in {tuple(row) for row in null}
    assert not null[0].any()
    assert null[-1].all()
    assert len({tuple(row) for row in null}) == len(null) <= 2 + THOROUGH


def test_a_thorough_search_keeps_all_but_one_level():
    null = chosen_of(6, factor=0, thorough=True)
    sizes = null.sum(axis=1).tolist()
    assert sizes.count(1) == sizes.count(5) == 6


def test_the_search_does_not_depend_on_the_order_of_levels():
    means = np.array([100, 250, 100, 180, 30, 100, 60])
    order = np.array([3, 0, 6, 1, 5, 4, 2])
    one, other = chosen_of(7, means, factor=0), chosen_of(7, means[order], factor=0)
    assert {tuple(row) for row in one[:, order]} == {tuple(row) for row in other}


def test_all_combinations_fit_into_the_room_for_them():
    for n, levels, thorough in itertools.product(range(12), (False, True), (False, True)):
        room = most_combinations(n, levels=levels, thorough=thorough)
        assert room >= (2**n if n <= MOST_SPLIT else 2 * n + 2)
