"""Proposals of engine psis: density and draws against SciPy, the counts' density, what they cover."""

from __future__ import annotations

import numpy as np
import pytest
from reference.log_density import nb_log_pmf
from scipy.stats import cauchy, multivariate_t, norm

from bayesde.model.density import ConditionalModel
from bayesde.model.modes import find_modes
from bayesde.posterior.draws.streams import gene_seeds
from bayesde.posterior.proposal.adaptation import adapted
from bayesde.posterior.proposal.components import gene_mixtures
from bayesde.posterior.proposal.counts_likelihood import OrderedCells, log_likelihoods
from bayesde.posterior.proposal.drawing import LARGEST_FLOOR, SMALLEST_SHARE, draw, fitted_shares
from bayesde.posterior.proposal.mixture import DF, stratified_counts, subtract_log_mixture


@pytest.fixture(scope="module")
def start(pasilla_fit, panel):
    return pasilla_fit.beta[panel], np.log(pasilla_fit.dispersion[panel])


@pytest.fixture(scope="module")
def seeds(pasilla_fit, panel):
    return gene_seeds(pasilla_fit.counts.genes[panel], 1)


@pytest.fixture(scope="module")
def proposal(panel_model, start, seeds):
    return fitted_shares(panel_model, gene_mixtures(panel_model, *start), seeds)


def reference_log_mixture(proposal, g, theta):
    """The mixture's density by SciPy's multivariate t and Cauchy."""
    total = np.zeros(len(theta))
    for c in np.flatnonzero(proposal.share[g]):
        shape, center, cauchy_scale = (
            proposal.shape[g, c],
            proposal.location[g, c],
            proposal.cauchy_scale[g, c],
        )
        far = cauchy_scale > 0.0
        scale = np.linalg.inv(shape[np.ix_(~far, ~far)] @ shape[np.ix_(~far, ~far)].T)
        gap = theta[:, far] - center[far]
        rest = theta[:, ~far] - center[~far] - gap @ shape[np.ix_(~far, far)].T
        half = proposal.half[g, c, far]
        effects = cauchy.pdf(theta[:, far], scale=cauchy_scale[far])
        effects *= np.where(half == 0, 1.0, np.where(half * theta[:, far] > 0.0, 2.0, 0.0))
        effects = effects.prod(axis=1)
        total += (
            proposal.share[g, c] * effects * multivariate_t(np.zeros((~far).sum()), scale, df=DF).pdf(rest)
        )
    return np.log(total)


def test_density_of_the_mixture(panel_model, proposal, seeds):
    drawn = draw(panel_model, proposal, seeds, 150)
    drawn.theta[0, 3] = np.nan
    value = np.full(drawn.log_ratio.shape, 2.0)
    value[0, 5] = np.nan
    subtract_log_mixture(0, 40, proposal, drawn.theta, value)
    assert np.flatnonzero(np.isneginf(value)).tolist() == [3, 5]
    drawn.theta[0, [3, 5]], value[0, [3, 5]] = drawn.theta[0, 0], value[0, 0]
    for g in range(40):
        expected = reference_log_mixture(proposal, g, drawn.theta[g].astype(float))
        np.testing.assert_allclose(2.0 - value[g], expected, rtol=1e-9, atol=1e-9)


def test_density_of_the_counts(panel_model, proposal, seeds):
    """To 1e-5, from deep in the Poisson limit to dispersions of 100, at draws far from the mode."""
    drawn = draw(panel_model, proposal, seeds, 100).theta
    drawn[:, ::10, -1] = np.linspace(-30.0, 5.0, 10)
    found, cells = np.empty(drawn.shape[:2]), OrderedCells.of(panel_model.x)
    log_likelihoods(0, 40, drawn, panel_model.data, cells, ~panel_model.shrunken, 15.0, found)
    for g in range(0, 40, 5):
        for m in range(0, 100, 5):
            theta = drawn[g, m].astype(np.float64)
            log_mu = panel_model.log_nf[g].astype(np.longdouble) + panel_model.x @ theta[:-1]
            if np.abs(log_mu).max() > 500.0:
                continue
            expected = norm.logpdf(theta[0], 0.0, 15.0)
            expected += sum(
                nb_log_pmf(y, eta, theta[-1]) for y, eta in zip(panel_model.y[g], log_mu, strict=True)
            )
            assert found[g, m] == pytest.approx(float(expected), rel=1e-8, abs=1e-5)


def test_draws_come_from_the_mixture(panel_model, proposal, seeds):
    """E_q[p / q] = 1 for any density p that the draws cover: here a normal one around each component."""
    drawn = draw(panel_model, proposal, seeds, 4000)
    scores = []
    for g in range(0, 40, 4):
        theta = drawn.theta[g].astype(float)
        log_q = reference_log_mixture(proposal, g, theta)
        for c in np.flatnonzero(proposal.share[g]):
            center, scale, root = (
                proposal.location[g, c],
                proposal.cauchy_scale[g, c],
                proposal.shape[g, c].copy(),
            )
            for k in np.flatnonzero(scale):
                root[k], root[:, k] = 0.0, 0.0
                root[k, k] = 1.0 / scale[k]
            z = (theta - center) @ root
            ratio = np.exp(norm.logpdf(z).sum(axis=1) + np.log(np.diag(root)).sum() - log_q)
            scores.append((ratio.mean() - 1.0) / (ratio.std() / np.sqrt(4000)))
    assert np.abs(scores).max() < 4.5
    assert 0.1 < np.std(scores) < 1.3  # stratified draws err less than independent ones


def test_draws_are_shared_out_exactly():
    share = np.array([[0.5, 0.3, 0.2], [0.335, 0.335, 0.33], [1.0, 0.0, 0.0]])
    counts = stratified_counts(share, 101)
    assert counts.sum(axis=1).tolist() == [101, 101, 101]
    assert (np.abs(counts - 101 * share) < 1.0).all()
    assert counts[2].tolist() == [101, 0, 0]


def test_shares_have_a_floor_and_add_up(proposal):
    used = proposal.share > 0.0
    least = np.minimum(SMALLEST_SHARE, LARGEST_FLOOR / used.sum(axis=1, keepdims=True))
    assert (proposal.share >= np.where(used, least - 1e-12, 0.0)).all()
    np.testing.assert_allclose(proposal.share.sum(axis=1), 1.0)


def test_both_modes_are_covered():
    """A gene with an effect of 1.2 that the prior (S = 0.02) does not expect has one mode at each."""
    y = np.array([18, 30, 22, 41, 80, 71, 60, 122])
    model = ConditionalModel(
        y=y[None],
        log_nf=np.zeros((1, 8)),
        x=np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)]),
        base_mean=np.array([y.mean()]),
        log_trend=np.log([0.1]),
        shrunken=np.array([False, True]),
        shrinkage_scale=np.array([1.0, 0.02]),
        dispersion_sd=0.5,
        nu=np.inf,
    )
    beta, log_dispersion = np.array([[3.3, 1.1]]), np.log([0.1])
    modes = find_modes(model, beta, log_dispersion)
    effects = np.sort([modes.location[0, 1], modes.other[0, 1]])
    assert effects[0] < 0.1 < 0.6 < effects[1]
    mixture = gene_mixtures(model, beta, log_dispersion)
    used = mixture.location[0, mixture.share[0] > 0.0]
    for mode in (modes.location[0], modes.other[0]):
        assert np.abs(used - mode).max(axis=1).min() < 0.2


def test_seeds_come_from_names():
    names = ["a", "b", "c"]
    seeds = gene_seeds(names, 7)
    np.testing.assert_array_equal(gene_seeds(names[::-1], 7), seeds[::-1])
    assert not (gene_seeds(names, 8) == seeds).any()
    assert len(set(seeds)) == 3


def test_genes_do_not_depend_on_their_neighbors(panel_model, proposal, seeds):
    together = draw(panel_model, proposal, seeds, 50)
    rows = np.array([30, 2, 17])
    alone = draw(panel_model.genes(rows), proposal.genes(rows), seeds[rows], 50)
    np.testing.assert_array_equal(alone.theta, together.theta[rows])
    np.testing.assert_array_equal(alone.log_ratio, together.log_ratio[rows])


def test_adapted_components_have_the_moments_of_their_draws(proposal):
    """With one component and the tails, those of all weighted draws; with too few draws it stays."""
    rng = np.random.default_rng(1)
    d = proposal.location.shape[2]
    share = np.zeros((2, proposal.share.shape[1]))
    share[:, 0], share[:, 1] = 1.0, 1e-300
    single = proposal.genes(np.array([0, 1]))._replace(share=share)
    single.cauchy_scale[:, 0] = 0.0
    covariance = np.diag([1.0, 4.0, 9.0, 0.25])[:d, :d]
    theta = rng.multivariate_normal(np.arange(d), covariance, (2, 20_000))
    weights = np.full((2, 20_000), 1.0 / 20_000)
    weights[1], weights[1, 0] = 0.0, 1.0
    moved = adapted(single, theta, weights)
    np.testing.assert_allclose(moved.location[0, 0], np.arange(d), atol=0.1)
    scale = np.linalg.inv(moved.shape[0, 0] @ moved.shape[0, 0].T)
    np.testing.assert_allclose(scale, covariance, atol=0.3)
    np.testing.assert_array_equal(moved.location[1], single.location[1])


def test_adapted_components_keep_their_cauchy_distributions(proposal):
    """Of a component with one, what is left after its shift is moved: here exactly C times the effect."""
    rng = np.random.default_rng(2)
    d = proposal.location.shape[2]
    share = np.zeros((1, proposal.share.shape[1]))
    share[:, 0], share[:, 1] = 1.0, 1e-300
    one = proposal.genes(np.array([0]))._replace(share=share)
    one.cauchy_scale[:, 0], one.cauchy_scale[:, 0, 1] = 0.0, 3.0
    one.shape[:, 0, :, 1] = 0.0
    one.shape[:, 0, 0, 1] = -0.5
    theta = rng.normal(size=(1, 20_000, d))
    theta[0, :, 1] = 3.0 * rng.standard_cauchy(20_000)
    theta[0, :, 0] += 2.0 - 0.5 * (theta[0, :, 1] - one.location[0, 0, 1])
    moved = adapted(one, theta, np.full((1, 20_000), 1.0 / 20_000))
    free = np.arange(d) != 1
    expected = np.where(np.arange(d) == 0, 2.0, 0.0)[free]
    np.testing.assert_allclose(moved.location[0, 0, free], expected, atol=0.1)
    root = moved.shape[0, 0][np.ix_(free, free)]
    np.testing.assert_allclose(root @ root.T, np.eye(d - 1), atol=0.1)
    np.testing.assert_array_equal(moved.shape[0, 0, :, 1], one.shape[0, 0, :, 1])
    np.testing.assert_array_equal(moved.cauchy_scale, one.cauchy_scale)
