"""Draws that the hyperparameters were learnt from are kept, and joined by new ones."""

from __future__ import annotations

import numpy as np
import pytest

from bayesde.posterior.importance.components import gene_mixtures
from bayesde.posterior.importance.layout import Layout
from bayesde.posterior.importance.proposal import Draws, draw, fitted_shares, gene_seeds
from bayesde.posterior.importance.proposed import Proposed
from bayesde.posterior.importance.surface import HyperPosterior, Surface
from bayesde.posterior.importance.weighing import Begun, weigh

LAYOUT = Layout(("Intercept", "condition"), (1,), True, False)


@pytest.fixture(scope="module")
def proposed(panel_model, pasilla_fit, panel):
    seeds = gene_seeds(pasilla_fit.counts.genes[panel], 1)
    mixture = gene_mixtures(panel_model, pasilla_fit.beta[panel], np.log(pasilla_fit.dispersion[panel]))
    return Proposed(panel_model, fitted_shares(panel_model, mixture, seeds), seeds)


@pytest.fixture(scope="module")
def points(panel_model):
    scale, sd = panel_model.shrinkage_scale[1], panel_model.dispersion_sd
    phi = np.array([[scale, sd, 0.03, 2.0], [1.2 * scale, 0.9 * sd, 0.03, 2.0]])
    return HyperPosterior(LAYOUT, phi, np.array([0.5, 0.5]))


def sets_of_draws(proposed, sizes):
    model, seeds = proposed.model, proposed.seeds
    return [draw(model, proposed.proposal, seeds ^ np.uint32(i), n) for i, n in enumerate(sizes)]


def test_joined_draws_keep_their_ratios(proposed):
    """Whatever was taken off either set's, to single precision."""
    sets = sets_of_draws(proposed, (100, 300))
    ratios = np.concatenate([part.log_ratio for part in sets], axis=1)
    theta = np.concatenate([part.theta for part in sets], axis=1)
    joined = Surface.of(LAYOUT, proposed.model, sets[0]).joined(Surface.of(LAYOUT, proposed.model, sets[1]))
    np.testing.assert_array_equal(joined.theta, theta)
    near = ratios > ratios.max(axis=1, keepdims=True) - 30.0
    gap = joined.log_ratio + joined.top[:, None] - ratios
    assert np.abs(gap[near]).max() < 1e-5


def test_a_set_without_weight_leaves_the_other(proposed):
    sets = sets_of_draws(proposed, (100, 100))
    missed = Draws(sets[0].theta, np.full(sets[0].log_ratio.shape, -np.inf))
    one, other = (Surface.of(LAYOUT, proposed.model, part) for part in (missed, sets[1]))
    assert (one.top == -np.inf).all()
    joined = one.joined(other)
    assert (joined.log_ratio[:, :100] == -np.inf).all()
    np.testing.assert_allclose(joined.log_ratio[:, 100:], other.log_ratio, rtol=1e-6)


def test_learnt_draws_are_kept_if_as_many_come_to_them(proposed, points):
    """Rows are those asked for; what says the posterior mean agrees with draws that are all new."""
    rows = np.array([5, 0, 17])
    learnt = proposed.surface(LAYOUT, 500)
    some = proposed.genes(rows)
    assert Begun.empty(some, 999).with_learnt(learnt, rows).there == 0
    begun = Begun.empty(some, 1000).with_learnt(learnt, rows)
    assert begun.there == 500
    found = weigh(some, points, begun)
    first = (found.report["attempts"] == 1.0).nonzero()[0]
    assert first.size
    np.testing.assert_array_equal(found.draws.theta[first, :500], learnt.theta[rows[first]])
    alone = weigh(some, points, Begun.empty(some, 1000))
    assert not (found.draws.theta == alone.draws.theta).all(axis=(1, 2)).any()
    means, errors = [], []
    for weighed in (found, alone):
        weights, effect = weighed.draws.weights(), weighed.draws.theta[:, :, 1].astype(float)
        mean = (weights * effect).sum(axis=1)
        means.append(mean)
        errors.append(np.sqrt((weights**2 * (effect - mean[:, None]) ** 2).sum(axis=1)))
    np.testing.assert_array_less(np.abs(means[0] - means[1]), 4.0 * np.hypot(*errors))
