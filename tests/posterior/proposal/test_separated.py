"""A gene without counts in one group: how far out its effect may be is said by the prior's tail alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import cauchy

from bayesde.model.density import ConditionalModel
from bayesde.posterior.draws.pareto_smoothing import effective_size, smoothed
from bayesde.posterior.proposal.components import gene_mixtures
from bayesde.posterior.proposal.drawing import draw, fitted_shares

SCALE = 0.47
COPIES = 40


@pytest.fixture(scope="module")
def weighted():
    """Draws of copies of one gene, each with random numbers of its own, and their weights."""
    model = ConditionalModel(
        y=np.tile([29, 0, 26, 0, 87, 0], (COPIES, 1)),
        log_nf=np.zeros((COPIES, 6)),
        x=np.column_stack([np.ones(6), [0, 1, 0, 1, 0, 1]]).astype(float),
        base_mean=np.full(COPIES, 23.7),
        log_trend=np.full(COPIES, -1.9),
        shrunken=np.array([False, True]),
        shrinkage_scale=np.array([1.0, SCALE]),
        dispersion_sd=0.5,
        nu=np.inf,
    )
    seeds = np.arange(COPIES, dtype=np.uint32)
    mixture = gene_mixtures(model, np.tile([3.8, -4.0], (COPIES, 1)), model.log_trend)
    drawn = draw(model, fitted_shares(model, mixture, seeds), seeds, 1000)
    theta = drawn.theta.astype(float)
    prior = cauchy.logpdf(theta[:, :, 1], scale=SCALE) - 0.5 * ((theta[:, :, 2] + 1.9) / 0.5) ** 2
    weight = np.exp(drawn.log_ratio + prior - (drawn.log_ratio + prior).max(axis=1, keepdims=True))
    return theta[:, :, 1], weight / weight.sum(axis=1, keepdims=True)


def test_far_tail_is_that_of_the_prior(weighted):
    """Below -10 the likelihood is flat: P(beta < -20 | beta < -10) is the Cauchy distribution's."""
    effect, weight = weighted
    share = np.sum(weight * (effect < -20), axis=1) / np.sum(weight * (effect < -10), axis=1)
    expected = cauchy.cdf(-20, scale=SCALE) / cauchy.cdf(-10, scale=SCALE)
    assert share.mean() == pytest.approx(expected, rel=0.1)
    assert share.std() < 0.15


def test_weights_can_be_trusted(weighted):
    log_weights, pareto_k = smoothed(weighted[1])
    assert np.median(pareto_k) < 0.5
    assert np.median(effective_size(log_weights)) > 200
