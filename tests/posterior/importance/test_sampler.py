"""Draws on their way through engine psis: those learnt from are kept, and the others fit to them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.draws.streams import Stream, seeds_for
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.learning import draw_all
from bayesde.posterior.importance.sampler import FEWEST_MORE, draw_sample
from bayesde.posterior.proposal import drawing as proposal
from bayesde.posterior.proposal import genes as proposed
from bayesde.posterior.proposal.components import gene_mixtures
from bayesde.posterior.proposal.drawing import NEGLIGIBLE, draw, fitted_shares
from bayesde.posterior.proposal.genes import propose
from bayesde.posterior.proposal.mixture import Mixture

LEARNT = 400


@pytest.fixture(scope="module")
def space(pasilla_fit, panel_model):
    shrunken = tuple(np.flatnonzero(panel_model.shrunken).tolist())
    return HyperparameterSpace(pasilla_fit.design.coefficients, shrunken, True, False)


@pytest.fixture(scope="module")
def points(space, panel_model, pasilla_fit):
    return HyperparameterPosterior.fixed(space, Hyperparameters.from_eb(pasilla_fit), 1)


@pytest.fixture(scope="module")
def pieces(panel_genes, panel_model):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proposed, "GENES_AT_A_TIME", 7)
        return propose(panel_genes.start, panel_model)


def learnt_with_room_for(n_draws, pieces, space):
    d = pieces[0].model.n_coefficients + 1
    room = np.full((40, max(n_draws, LEARNT), d), np.nan, dtype=np.float32)
    return draw_all(pieces, space, LEARNT, room)


def test_a_gene_is_proposed_for_alone_as_with_others(pieces, panel_genes, panel_model):
    assert [piece.rows.size for piece in pieces] == [7, 7, 7, 7, 7, 5]
    (whole,) = propose(panel_genes.start, panel_model)
    for piece in pieces:
        n = piece.proposal.share.shape[1]
        for part, of_whole in zip(piece.proposal, whole.proposal, strict=True):
            np.testing.assert_array_equal(part, of_whole[piece.rows, :n])
        assert not whole.proposal.share[piece.rows, n:].any()
        np.testing.assert_array_equal(piece.draws(300).theta, whole.draws(300).theta[piece.rows])


def test_draws_that_were_learnt_from_come_first(pieces, space, points):
    """In their room, which nothing else fills, and with ratios that are relative to the same number."""
    learnt = learnt_with_room_for(1000, pieces, space)
    assert np.isnan(learnt.theta[:, LEARNT:]).all()
    before, ratio = learnt.theta[:, :LEARNT].copy(), learnt.log_ratio.copy()
    sampled = draw_sample(pieces, points, 1000, learnt)
    once = sampled.report["attempts"] == 1.0
    assert once.sum() > 35
    assert sampled.draws.theta is learnt.theta
    assert np.isfinite(sampled.draws.theta).all()
    np.testing.assert_array_equal(sampled.draws.theta[once, :LEARNT], before[once])
    np.testing.assert_array_equal(sampled.draws.log_ratio[once, :LEARNT], ratio[once])
    for piece in pieces:
        again = draw(piece.model, piece.proposal, seeds_for(Stream.KEPT, piece.start.seeds), 1000 - LEARNT)
        rows, some = piece.rows[once[piece.rows]], once[piece.rows]
        np.testing.assert_array_equal(sampled.draws.theta[rows, LEARNT:], again.theta[some])
        relative = again.log_ratio[some] - learnt.highest[rows, None]
        np.testing.assert_allclose(
            sampled.draws.log_ratio[rows, LEARNT:], np.minimum(relative, 600.0), rtol=1e-6, atol=1e-5
        )


def test_both_halves_estimate_one_evidence(pieces, space, points, panel_model):
    """ln mean of the weights, of those learnt from and of the others, within the Monte-Carlo error."""
    learnt = learnt_with_room_for(2 * LEARNT, pieces, space)
    sampled = draw_sample(pieces, points, 2 * LEARNT, learnt)
    theta = sampled.draws.theta.astype(float)
    parts = space.parts(points.phi[0], panel_model.base_mean)
    log_weights = (
        sampled.draws.log_ratio - 0.5 * ((theta[:, :, -1] - parts.log_trend[:, None]) / parts.sd) ** 2
    )
    for k, width in zip(space.shrunken, parts.scale, strict=True):
        log_weights -= np.log1p((theta[:, :, k] / width) ** 2)
    weights = np.exp(log_weights - logsumexp(log_weights, axis=1, keepdims=True))
    first, second = weights[:, :LEARNT], weights[:, LEARNT:]
    error = np.sqrt(LEARNT * (first.var(axis=1) + second.var(axis=1)))
    score = (first.sum(axis=1) - second.sum(axis=1)) / error
    score = score[sampled.report["attempts"] == 1.0]
    assert np.abs(score).max() < 4.0
    assert 0.3 < score.std() < 1.3


@pytest.mark.parametrize("n_draws", [LEARNT - 100, LEARNT, LEARNT + FEWEST_MORE - 1, LEARNT + FEWEST_MORE])
def test_few_more_draws_are_not_added(pieces, space, points, n_draws):
    """A handful of draws cannot be shared out among all components; then all are drawn anew."""
    learnt = learnt_with_room_for(n_draws, pieces, space)
    before = learnt.theta[:, :LEARNT].copy()
    sampled = draw_sample(pieces, points, n_draws, learnt)
    assert sampled.draws.theta.shape[1] == n_draws
    length = min(LEARNT, n_draws)
    kept = (sampled.draws.theta[:, :length] == before[:, :length]).all(axis=(1, 2)).sum()
    if n_draws in (LEARNT, LEARNT + FEWEST_MORE):
        assert kept > 35
    else:
        assert kept == 0
        np.testing.assert_array_equal(learnt.theta[:, :LEARNT], before)


def test_some_of_the_genes_have_the_draws_they_have_among_all(pieces, space, points):
    whole = draw_sample(pieces, points, 1000, learnt_with_room_for(1000, pieces, space))
    keep = np.array([0, 6, 7, 20, 39])
    kept = [piece.genes(np.isin(piece.rows, keep)) for piece in pieces]
    kept = [piece for piece in kept if piece.rows.size]
    some = draw_sample(kept, points, 1000, learnt_with_room_for(1000, pieces, space))
    np.testing.assert_array_equal(some.draws.theta, whole.draws.theta[keep])
    np.testing.assert_array_equal(some.draws.log_weights, whole.draws.log_weights[keep])
    np.testing.assert_array_equal(some.report["pareto_k"], whole.report["pareto_k"][keep])


def test_components_without_a_share_are_left_out(pieces, panel_model):
    """All but the last, which bounds the weights; and what is left keeps its place among the others."""
    piece = pieces[-1]
    n = piece.proposal.share.shape[1]
    share = np.tile(np.arange(1.0, n + 1.0), (piece.rows.size, 1))
    share[:, 0] = 0.0
    share[1:, 1] = 0.0
    compact = piece.proposal._replace(share=share).without_unused()
    assert compact.share.shape[1] == n - 1
    np.testing.assert_array_equal(compact.share[0], share[0, 1:])
    np.testing.assert_array_equal(compact.share[1], [*share[1, 2:], 0.0])
    np.testing.assert_array_equal(compact.location[1, : n - 2], piece.proposal.location[1, 2:])


def test_what_the_posterior_does_not_need_is_left_out(pieces, monkeypatch):
    """Of two components more, one far from the posterior and the last as far, only the last stays.

    Unless the pilot draws tell too little to leave anything out.
    """
    piece = pieces[2].genes(np.array([3]))
    parts = [np.concatenate([part, part[:, :1], part[:, :1]], axis=1) for part in piece.proposal]
    location, _, scale, half, share = parts
    location[:, -2:], scale[:, -2:], half[:, -2:], share[:, :] = 40.0, 0.0, 0, 0.1
    before = Mixture(*parts)

    def far_shares():
        after = fitted_shares(piece.model, before, piece.start.seeds)
        assert NEGLIGIBLE < after.share[after.share > 0.0].min()
        return after.share[(after.location == 40.0).all(axis=2) & (after.share > 0.0)]

    (last,) = far_shares()
    assert 0.0 < last < 0.1
    monkeypatch.setattr(proposal, "TELLING", 1e9)
    assert far_shares().size == 2


def test_what_was_left_out_can_be_taken_back(pieces, panel_model, panel_genes):
    """As if nothing had been left out: the components that the searches found, with shares for all."""
    start = panel_genes.start
    mixture = gene_mixtures(panel_model, start.beta, start.log_dispersion, thorough=True)
    left_out = 0
    for piece in pieces:
        whole = piece.with_all_components().proposal
        built = (mixture.share[piece.rows] > 0.0).sum(axis=1)
        np.testing.assert_array_equal((whole.share > 0.0).sum(axis=1), built)
        left_out += (built - (piece.proposal.share > 0.0).sum(axis=1)).sum()
    assert left_out > 0
