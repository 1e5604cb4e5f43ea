"""Small probabilities: beyond the draws by the model, against sums over a grid; by the draws alone."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import cauchy, nbinom, norm
from scipy.stats import t as student

import bayesde as bde
from bayesde.model.density import ConditionalModel
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.left_out_counts import without_counts, without_samples
from bayesde.posterior.summaries.laplace_tails import tail_ratios
from bayesde.posterior.summaries.one_contrast import contrast_summary
from bayesde.posterior.summaries.small_probabilities import ENOUGH, SortedDraws, probabilities_below

SCALE, SD, TREND = 0.1, 0.6, 0.05
EFFECT = np.array([0.0, 1.0])
COUNTS = (
    [22, 31, 25, 90, 71, 102],
    [9, 30, 14, 70, 150, 88],
    [40, 33, 52, 60, 88, 71],
    [900, 700, 820, 90, 60, 75],
)


def gene(counts):
    y = np.array(counts)
    return ConditionalModel(
        y=y[None],
        log_nf=np.zeros((1, 6)),
        x=np.column_stack([np.ones(6), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]]),
        base_mean=np.array([y.mean()]),
        log_trend=np.log([TREND]),
        shrunken=np.array([False, True]),
        shrinkage_scale=np.array([1.0, SCALE]),
        dispersion_sd=SD,
        nu=np.inf,
    )


class Grid:
    """Midpoints of cells (intercept, effect, log dispersion), and their share of one gene's posterior."""

    def __init__(self, model):
        middle = math.log(model.y[0, :3].mean())
        axes = (
            middle + np.linspace(-4.0, 4.0, 120),
            0.05 * np.sinh(np.arange(-4.98, 5.0, 0.06)),  # narrow cells around 0
            np.linspace(-7.0, 3.5, 60),
        )
        width = np.gradient(axes[1])
        self.width = np.tile(np.repeat(width, 60), 120)
        self.step = axes[0][1] - axes[0][0]
        self.theta = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
        log_density = norm.logpdf(self.theta[:, 0], 0.0, 15.0) + cauchy.logpdf(self.theta[:, 1], scale=SCALE)
        log_density += norm.logpdf(self.theta[:, 2], math.log(TREND), SD)
        size = np.exp(-self.theta[:, 2])
        for group, counts in enumerate((model.y[0, :3], model.y[0, 3:])):
            odds = size / (size + np.exp(self.theta[:, 0] + group * self.theta[:, 1]))
            log_density += nbinom.logpmf(counts[:, None], size, odds).sum(axis=0)
        share = np.exp(log_density - log_density.max()) * self.width
        self.share = share / share.sum()

    def below(self, vector, bound):
        """P(vector @ beta < bound), with every cell spread evenly over its length in one direction."""
        length = abs(vector[0]) * self.step if vector[0] else abs(vector[1]) * self.width
        inside = np.clip((bound - self.theta[:, :2] @ vector) / length + 0.5, 0.0, 1.0)
        return self.share @ inside

    def draws(self, size):
        rng = np.random.default_rng(1)
        taken = rng.choice(self.share.size, size, p=self.share)
        theta = self.theta[taken]
        theta[:, 0] += self.step * rng.uniform(-0.5, 0.5, size)
        theta[:, 1] += self.width[taken] * rng.uniform(-0.5, 0.5, size)
        return GeneDraws(theta[None].astype(np.float32))


@pytest.fixture(scope="module", params=range(len(COUNTS)), ids=str)
def known(request):
    model = gene(COUNTS[request.param])
    return model, Grid(model)


def test_tail_of_an_effect_against_a_grid(known):
    """From the outer draws to no effect and beyond: ln P to 0.4, down to e^-20."""
    model, grid = known
    effect = grid.theta[:, 1]
    sign = math.copysign(1.0, grid.share @ effect)
    vector = sign * EFFECT
    order = np.argsort(sign * effect)
    start = grid.theta[order[np.searchsorted(np.cumsum(grid.share[order]), 0.1)]]
    entry = vector @ start[:2]
    bounds = np.array([[0.5 * entry, 0.0, -0.3]])
    found = np.log(tail_ratios(model, vector, start[None], bounds)[0])
    inside = grid.below(vector, entry)
    expected = np.log([grid.below(vector, bound) / inside for bound in bounds[0]])
    assert expected[2] < -1.0
    assert (np.diff(found) < 0.0).all()
    np.testing.assert_allclose(found, expected, atol=0.4)


def test_tail_of_a_sum_of_coefficients_against_a_grid(known):
    """Where another mode of the other directions takes over on the way, half of the tail may be missed."""
    model, grid = known
    vector = np.array([1.0, 0.7])
    values = grid.theta[:, :2] @ vector
    order = np.argsort(values)
    level = np.cumsum(grid.share[order])
    start, outer, far = (order[np.searchsorted(level, share)] for share in (0.1, 1e-4, 1e-8))
    bounds = values[[outer, far]]
    found = tail_ratios(model, vector, grid.theta[[start]], bounds[None])[0]
    expected = [grid.below(vector, bound) / grid.below(vector, values[start]) for bound in bounds]
    np.testing.assert_allclose(np.log(found), np.log(expected), atol=0.75)


@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_false_sign_rate_beyond_all_draws(known, turn):
    model, grid = known
    found = contrast_summary(grid.draws(4000), turn * EFFECT, 0.2, models=[model])
    below, above = grid.below(EFFECT, 0.0), grid.below(-EFFECT, 0.0)
    assert math.log(found["lfsr"][0] / min(below, above)) == pytest.approx(0.0, abs=0.5)
    small = min(grid.below(EFFECT, 0.2), grid.below(-EFFECT, 0.2))
    assert math.log(found["fsos"][0] / small) == pytest.approx(0.0, abs=0.5)
    within = 1.0 - grid.below(EFFECT, -0.2) - grid.below(-EFFECT, -0.2)
    if within > 1e-12:
        assert math.log(found["lfdr"][0] / within) == pytest.approx(0.0, abs=0.5)
    assert found["lfsr"][0] < found["fsos"][0]
    assert found["lfdr"][0] < found["fsos"][0]


def test_tail_without_a_count_is_that_of_the_other_samples(known):
    """A count that is dropped from one gene, and its whole sample dropped, are the same."""
    model, grid = known
    left_out = np.array([False, False, True, False, False, False])
    hyper = bde.Hyperparameters({"group": SCALE}, SD, TREND, 0.0)
    single, whole = without_counts(model, left_out[None], hyper), without_samples(model, left_out)
    start, bounds = grid.theta[[grid.share.argmax()]], np.array([[-0.5, -1.0]])
    found = tail_ratios(single, EFFECT, start, start[:, 1:2] + bounds)
    assert single.base_mean[0] == pytest.approx(model.y[0, ~left_out].mean())
    np.testing.assert_allclose(found, tail_ratios(whole, EFFECT, start, start[:, 1:2] + bounds), rtol=1e-9)
    assert not np.allclose(found, tail_ratios(model, EFFECT, start, start[:, 1:2] + bounds), rtol=0.02)


def test_tails_are_averaged_over_hyperparameters(known):
    """A wider prior of dispersions makes heavier tails; of both there is the mean."""
    model, grid = known
    wider = dataclasses.replace(model, dispersion_sd=2.0 * SD)
    values = np.array([grid.draws(2000).theta[0, :, :2].astype(float) @ EFFECT])
    theta, weights = grid.draws(2000).theta.astype(float), np.full((1, 2000), 1 / 2000)
    bound = [values.min() - 1.0]

    def below(*models):
        return probabilities_below(SortedDraws.of(values, weights), bound, models, EFFECT, theta)[0, 0]

    assert below(wider) > 1.2 * below(model)
    assert below(model, wider) == pytest.approx(0.5 * (below(model) + below(wider)), rel=1e-6)


def test_a_bound_within_the_draws_is_left_to_them(known):
    model, grid = known
    start = grid.theta[[grid.share.argmax()]]
    assert np.isnan(tail_ratios(model, EFFECT, start, start[:, 1:2] + 0.1)).all()


def test_where_there_are_draws_enough_they_are_counted():
    values = np.random.default_rng(2).normal(0.0, 1.0, (5, 4000))
    found = probabilities_below(SortedDraws.of(values, np.full(values.shape, 1 / 4000)), [0.3, -1.0, -2.0])
    expected = np.stack([(values < bound).mean(axis=1) for bound in (0.3, -1.0, -2.0)], axis=1)
    assert expected.min() * 4000 >= ENOUGH
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("law", "distance", "error"), [(norm, 3.5, 0.8), (student(10), 3.5, 0.5), (student(5), 4.0, 0.4)]
)
def test_draws_alone_tell_somewhat_smaller_probabilities(law, distance, error):
    values = law.rvs(size=(200, 4000), random_state=3) + distance
    found = np.log(probabilities_below(SortedDraws.of(values, np.full(values.shape, 1 / 4000)), [0.0])[:, 0])
    assert math.sqrt(np.mean((found - law.logcdf(-distance)) ** 2)) < error


def test_order_of_sure_genes_is_kept():
    values = np.random.default_rng(3).normal(0, 1, (1, 4000)) + np.array([[4.0], [6.0], [8.0], [12.0]])
    found = probabilities_below(SortedDraws.of(values, np.full(values.shape, 1 / 4000)), [0.0])[:, 0]
    assert (np.diff(found) < 0).all()


def test_tail_and_counting_join():
    """Let draws pass the bound one by one: the estimate rises with them."""
    values = np.sort(np.random.default_rng(4).standard_t(5, (1, 4000)))
    bounds = list(0.5 * (values[0, :300] + values[0, 1:301])[::-1])
    draws = SortedDraws.of(values, np.full(values.shape, 1 / 4000))
    found = np.log([probabilities_below(draws, [bound])[0, 0] for bound in bounds])
    assert (np.diff(found) < 0.02).all()
    assert (np.abs(found - student.logcdf(bounds, 5))[:-5] < 0.4).all()


def test_probabilities_of_a_constant_and_of_missing_draws():
    values = np.stack([np.full(100, 2.0), np.full(100, -2.0), np.full(100, np.nan)])
    found = probabilities_below(SortedDraws.of(values, np.full(values.shape, 0.01)), [0.0])[:, 0]
    assert 0.0 < found[0] < 0.01
    assert found[1] == pytest.approx(1.0)
    assert np.isnan(found[2])


def test_draws_that_have_missed_the_tail_are_not_believed(known):
    """Three draws beyond 0 that weigh e^-150, as of too narrow a proposal: the model leads back.

    How near depends on how much of the tail before 0 is left when the draws beyond are taken away.
    """
    model, grid = known
    draws = grid.draws(4000).theta[0]
    below, above = grid.below(EFFECT, 0.0), grid.below(-EFFECT, 0.0)
    sign = 1.0 if below < above else -1.0
    kept = draws[sign * draws[:, 1] > 0.0]
    beyond = kept[:3] * [1.0, -1.0, 1.0]
    theta = np.concatenate([kept, beyond])[None].astype(np.float32)
    log_weights = np.append(np.full(len(kept), -math.log(len(kept))), np.full(3, -150.0))[None]
    weighted = GeneDraws(theta, log_weights.astype(np.float32))
    found = contrast_summary(weighted, EFFECT, 0.0, models=[model])["lfsr"][0]
    assert math.log(found / min(below, above)) == pytest.approx(0.0, abs=2.5)
    alone = contrast_summary(weighted, EFFECT, 0.0)["lfsr"][0]
    assert alone < 1e-10
