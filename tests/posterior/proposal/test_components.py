"""Which components a gene's proposal has: combinations of null and non-null, separated, settled."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bayesde.model.density import ConditionalModel, one_gene
from bayesde.model.modes import climb
from bayesde.posterior.proposal.combinations import MOST_SPLIT
from bayesde.posterior.proposal.components import TAIL_SCALE, gene_mixtures, most_components


def model_of(y, x, scale, trend=0.02, sd=0.3):
    y, x = np.atleast_2d(y), np.asarray(x, dtype=float)
    return ConditionalModel(
        y=y.astype(np.int64),
        log_nf=np.zeros(y.shape),
        x=x,
        base_mean=y.mean(axis=1),
        log_trend=np.full(len(y), np.log(trend)),
        shrunken=np.arange(x.shape[1]) > 0,
        shrinkage_scale=np.where(np.arange(x.shape[1]) > 0, scale, 1.0),
        dispersion_sd=sd,
        nu=np.inf,
    )


def mixture_of(model):
    start = np.zeros((model.n_genes, model.n_coefficients))
    start[:, 0] = np.log(model.base_mean + 0.1)
    return gene_mixtures(model, start, model.log_trend)


FACTORIAL = np.array([[1, *bits] for bits in itertools.product((0, 1), repeat=3)], dtype=float)
TWO_GROUPS = np.column_stack([np.ones(6), np.repeat([0.0, 1.0], 3)])


@pytest.fixture(scope="module")
def three_effects():
    """Mixtures of two genes with three effects; the second gene's are some prior scales from 0."""
    beta = np.array([[5.0, 0.0, 0.0, 0.0], [5.0, 0.25, 0.25, 0.25]])
    model = model_of(np.round(np.exp(beta @ FACTORIAL.T)), FACTORIAL, 0.02)
    return model, mixture_of(model)


def test_every_mode_gets_a_component(three_effects):
    _, mixture = three_effects
    used = mixture.location[1][mixture.share[1] > 0.0][:-1, 1:4]
    near_zero = np.abs(used) < 0.05
    assert near_zero.shape == (8, 3)
    for bits in itertools.product((False, True), repeat=3):
        assert (near_zero == np.array(bits)).all(axis=1).any()


def test_null_coefficients_have_the_prior_s_shape(three_effects):
    _, mixture = three_effects
    null = np.abs(mixture.location[1, :8, 1:]) < 0.05
    np.testing.assert_array_equal(mixture.cauchy_scale[1, :8, 1:4], np.where(null[:, :3], 0.02, 0.0))
    assert (mixture.cauchy_scale[:, :, [0, 4]] == 0.0).all()


def test_a_mode_that_is_another_one_is_taken_once(three_effects):
    _, mixture = three_effects
    assert (mixture.share[0] > 0.0).sum() == 2  # all null, and the prior's tails
    np.testing.assert_allclose(mixture.share.sum(axis=1), 1.0)


def test_non_null_coefficients_are_at_the_mode_under_a_wider_prior(three_effects):
    """The first component: gradient 0 under 25 S, found by another search from the truth."""
    model, mixture = three_effects
    at = np.array([5.0, 0.25, 0.25, 0.25, -4.0])
    wide = replace(model, shrinkage_scale=25.0 * model.shrinkage_scale)
    slope, curve = np.empty(5), np.empty((5, 5))
    assert climb(at, *one_gene(wide.data, wide.prior, 1), 1e-9, slope, curve)
    np.testing.assert_allclose(mixture.location[1, 0], at, atol=1e-3)


@pytest.mark.parametrize(
    ("y", "slope", "side"),
    [([40, 25, 31, 0, 0, 0], 0.0, -1), ([0, 0, 0, 40, 25, 31], -1.0, 1)],
    ids=["treated", "control"],
)
def test_a_group_without_counts_has_the_prior_s_tail(y, slope, side):
    """The intercept stays where it has counts to keep; where only the others have, it makes way wholly."""
    mixture = mixture_of(model_of(y, TWO_GROUPS, 0.1))
    used = mixture.share[0] > 0.0
    assert used.sum() == 3
    effect = side * mixture.location[0, 2, 1]
    assert effect > 2.0
    assert mixture.half[0, :, 1].tolist() == [side, 0, 0]
    np.testing.assert_allclose(mixture.cauchy_scale[0, :, 1], [TAIL_SCALE * effect, 0.1, TAIL_SCALE * effect])
    np.testing.assert_allclose(mixture.shape[0, 0, 0, 1], slope, atol=2e-3)


def test_a_settled_coefficient_is_not_split():
    """With dispersion 1e-3 and 3,000 counts the likelihood is ten times narrower than the prior."""
    mixture = mixture_of(model_of([1010, 985, 1020, 1500, 1530, 1490], TWO_GROUPS, 0.3, trend=1e-3))
    assert (mixture.cauchy_scale == 0.0).all()
    np.testing.assert_allclose(mixture.share, [[0.5, 0.5]])
    np.testing.assert_allclose(mixture.location[0, :, 1], np.log(1.5), atol=0.02)


def test_without_shrunken_coefficients():
    """In a design without an intercept, or if the user wants no shrinkage."""
    model = model_of([[12, 30, 18, 44, 61, 39]], TWO_GROUPS, 1.0)
    free = ConditionalModel(**{**vars(model), "shrunken": np.zeros(2, dtype=bool)})
    mixture = mixture_of(free)
    assert mixture.share.shape == (1, 2)
    assert (mixture.cauchy_scale == 0.0).all()
    np.testing.assert_allclose(mixture.location[0, 0, 1], np.log(144 / 60), atol=0.02)


@pytest.mark.parametrize("n_effects", [5, 6])
def test_there_is_room_for_all_combinations_of_some_of_many_coefficients(n_effects):
    """All but 4 of 5 or 6 effects are settled: 16 combinations of these are more than are taken of all."""
    groups = np.repeat(np.arange(n_effects + 1), 2)
    x = (groups[:, None] == np.arange(n_effects + 1)).astype(float)
    x[:, 0] = 1.0
    means = np.array([300, 450, 210, 460, 200, 900, 100])[groups]
    scale = np.where(np.arange(n_effects + 1) > MOST_SPLIT, 1.0, 0.02)
    model = model_of(np.random.default_rng(1).poisson(means, (300, means.size)), x, scale=scale)
    assert most_components(model) == 2**MOST_SPLIT + 1
    proposal = mixture_of(model)
    assert 2 * n_effects + 3 < (proposal.share > 0.0).sum(axis=1).max() <= most_components(model)
    assert np.isfinite(proposal.location).all()
