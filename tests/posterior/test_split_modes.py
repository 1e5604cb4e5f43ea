"""Components for every combination of coefficients that may be next to nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bayesde.posterior.importance.proposal import laplace_mixture
from bayesde.posterior.importance.split_modes import CLASSES, MOST, _combinations, split_modes
from bayesde.posterior.model import ConditionalModel


@pytest.fixture(scope="module")
def model():
    """Two genes, three effects; of the second gene each is some prior scales from 0."""
    x = np.array([[1, *bits] for bits in itertools.product((0, 1), repeat=3)], dtype=float)
    beta = np.array([[5.0, 0.0, 0.0, 0.0], [5.0, 0.25, 0.25, 0.25]])
    y = np.round(np.exp(beta @ x.T)).astype(np.int64)
    return ConditionalModel(
        y=y,
        log_nf=np.zeros(y.shape),
        x=x,
        base_mean=y.mean(axis=1),
        log_trend=np.full(2, np.log(0.02)),
        shrunken=np.array([False, True, True, True]),
        shrinkage_scale=np.array([1.0, 0.02, 0.02, 0.02]),
        dispersion_sd=0.3,
        nu=np.inf,
    )


@pytest.fixture(scope="module")
def split(model):
    start = np.column_stack([np.full(2, 5.0), np.zeros((2, 3))])
    return split_modes(model, laplace_mixture(model, start, np.full(2, -4.0)))


def test_combinations():
    table = _combinations(np.array([1, 2]), 3)
    assert sorted(map(tuple, table)) == [(1, a, b) for a in CLASSES for b in CLASSES]
    many = _combinations(np.arange(1, 12), 12)
    assert many.shape == (MOST, 12)
    assert (many[:, 1:6] == CLASSES[1]).all()  # only the last six are split
    assert len(np.unique(many[:, 6:], axis=0)) == MOST


def test_every_mode_gets_a_component(split):
    used = split.location[1, :-1][split.share[1, :-1] > 0.0, 1:4]
    near_zero = np.abs(used) < 0.05
    for bits in itertools.product((False, True), repeat=3):
        assert (near_zero == np.array(bits)).all(axis=1).any()


def test_repeated_modes_are_used_once(split):
    used = split.share[0, :-1] > 0.0
    assert used.sum() < used.size
    np.testing.assert_allclose(split.share.sum(axis=1), 1.0)
    np.testing.assert_allclose(split.location[0, :-1][used][:, 1:4], 0.0, atol=1e-3)
