import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

from bayesde.eb.block import GeneBlock
from bayesde.eb.dispersion.estimates import gene_wise_dispersions, map_dispersions
from bayesde.eb.dispersion.search import GeneCounts, Scratch, best_on_grid, evaluate
from bayesde.eb.moments import moments
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.information import equations

GROUPS = DesignLayout.of(np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)]))
SLOPE = DesignLayout.of(np.column_stack([np.ones(8), np.arange(8.0), np.tile([0.0, 1.0], 4)]))
NO_WEIGHTS = np.empty(0)


def reference_log_posterior(a, y, mu, design, prior_mean=0.0, prior_var=math.inf, weights=None):
    """The formula of ``dispersion/search.py``, word by word."""
    alpha, r = math.exp(a), math.exp(-a)
    weights = np.ones(y.size) if weights is None else weights
    terms = gammaln(y + r) - gammaln(r) - y * np.log(mu + r) - r * np.log1p(mu * alpha)
    used = weights > 1e-2
    information = design[used].T @ np.diag(1.0 / (1.0 / mu[used] + alpha)) @ design[used]
    informed = np.diag(information) > 0.0
    information = information[np.ix_(informed, informed)]
    prior = 0.0 if math.isinf(prior_var) else -((a - prior_mean) ** 2) / (2.0 * prior_var)
    return np.sum(weights * terms) - 0.5 * np.linalg.slogdet(information)[1] + prior


def ours(a, y, mu, layout, prior_mean=0.0, prior_var=math.inf, weights=NO_WEIGHTS):
    """Value without its shift by the larger counts, and slope."""
    c, p = layout.cells.rows.shape
    scratch = Scratch(np.empty(c), np.empty(c), np.zeros(p), equations(layout.cells))
    value, slope = evaluate(a, GeneCounts(y, mu, weights), layout.cells, prior_mean, prior_var, scratch)
    shift = np.sum(np.where(y > 12.0, y, 0.0) * (weights if weights.size else 1.0))
    return value - shift, slope


def simulate(n_genes, dispersion, seed=3, mean=5.0):
    rng = np.random.default_rng(seed)
    means = rng.lognormal(mean, 1.0, size=(n_genes, 1)) * np.exp(
        0.5 * GROUPS.matrix[:, 1] * rng.normal(size=(n_genes, 1))
    )
    shape = 1.0 / dispersion
    return rng.poisson(rng.gamma(shape, means / shape)).astype(float), means


def block_of(y):
    return GeneBlock.of(y, np.broadcast_to(np.ones(8), y.shape))


def cell_means(y, layout=GROUPS):
    means = np.stack([y[:, layout.cells.of_sample == c].mean(axis=1) for c in range(2)], axis=1)
    return np.maximum(means[:, layout.cells.of_sample], 0.5)


def estimate(y):
    block = block_of(y)
    return gene_wise_dispersions(block, GROUPS, moments(block, GROUPS.basis), 1.0)


@pytest.mark.parametrize("layout", [GROUPS, SLOPE])
@pytest.mark.parametrize("mean", [1.0, 5.0, 12.0])
@pytest.mark.parametrize("a", [-17.0, -5.0, -1.0, 2.0, 6.0])
@pytest.mark.parametrize("prior_var", [0.5, math.inf])
def test_log_posterior_equals_the_plain_formula(a, prior_var, mean, layout):
    y, mu = (np.ascontiguousarray(values[0]) for values in simulate(1, 0.2, mean=mean))
    plain = reference_log_posterior(a, y, mu, layout.matrix, -2.0, prior_var)
    # At large 1/alpha the plain formula itself loses digits to cancellation.
    lost = 1e-15 * math.exp(-a) * y.size * 40.0 + 1e-13 * y.sum()
    assert ours(a, y, mu, layout, -2.0, prior_var)[0] == pytest.approx(plain, rel=1e-11, abs=1e-9 + lost)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("mean", [1.0, 5.0])
@pytest.mark.parametrize("a", [-12.0, -5.0, -1.0, 2.0, 6.0])
def test_slope_is_the_derivative_of_the_log_posterior(a, mean, weighted):
    y, mu = (np.ascontiguousarray(values[0]) for values in simulate(1, 0.2, mean=mean))
    weights = np.linspace(0.2, 1.0, 8) if weighted else NO_WEIGHTS

    def value(at):
        return ours(at, y, mu, SLOPE, -2.0, 0.5, weights)[0]

    h = 1e-4
    numeric = (8.0 * (value(a + h) - value(a - h)) - value(a + 2 * h) + value(a - 2 * h)) / (12.0 * h)
    assert ours(a, y, mu, SLOPE, -2.0, 0.5, weights)[1] == pytest.approx(numeric, rel=1e-6, abs=1e-6)


def test_weights_multiply_the_likelihood_and_small_ones_leave_the_adjustment():
    y, mu = (np.ascontiguousarray(values[0]) for values in simulate(1, 0.2))
    weights = np.array([1.0, 0.3, 0.005, 1.0, 0.0, 0.7, 1.0, 0.02])
    plain = reference_log_posterior(-1.0, y, mu, GROUPS.matrix, weights=weights)
    assert ours(-1.0, y, mu, GROUPS, weights=weights)[0] == pytest.approx(plain, rel=1e-12)
    only_first = np.array([1.0, 0.3, 1.0, 1.0, 0.0, 0.0, 0.0, 0.001])  # nothing tells of the second group
    plain = reference_log_posterior(-1.0, y, mu, GROUPS.matrix, weights=only_first)
    assert ours(-1.0, y, mu, GROUPS, weights=only_first)[0] == pytest.approx(plain, rel=1e-12)


def test_the_grid_finds_the_best_of_its_points():
    y, _ = simulate(1, 0.3)
    mu = cell_means(y)[0]
    gene = GeneCounts(y[0], mu, NO_WEIGHTS)
    found = best_on_grid(gene, GROUPS.cells, 0.0, math.inf, math.log(10.0))
    coarse = np.linspace(math.log(1e-8), math.log(10.0), 20)
    best = max(coarse, key=lambda a: reference_log_posterior(a, y[0], mu, GROUPS.matrix))
    width = coarse[1] - coarse[0]
    fine = np.linspace(best - width, best + width, 20)
    assert found == max(fine, key=lambda a: reference_log_posterior(a, y[0], mu, GROUPS.matrix))


def test_gene_wise_estimates_maximise_the_adjusted_likelihood():
    y, _ = simulate(40, 0.3)
    dispersion, coefficients = estimate(y)
    assert coefficients.shape == (40, 0)  # cell means are the fit
    mu = cell_means(y)
    for g in range(len(y)):

        def loss(a, g=g):
            return -reference_log_posterior(a, y[g], mu[g], GROUPS.matrix)

        best = minimize_scalar(loss, bounds=(-18.0, 3.0), method="bounded", options={"xatol": 1e-10})
        # DESeq2 keeps a start that is within a millionth of the log-likelihood of the maximum, and its search
        # ends when a step gains less than 1e-6.
        assert loss(math.log(dispersion[g])) <= best.fun + 1e-5 + 1e-6 * abs(best.fun)


def test_map_estimates_maximise_the_posterior():
    y, _ = simulate(40, 0.3)
    gene_wise, coefficients = estimate(y)
    mu, trend = cell_means(y), np.full(len(y), 0.25)
    shrunken = map_dispersions(block_of(y), GROUPS, coefficients, gene_wise, trend, 0.4)
    for g in range(len(y)):

        def loss(a, g=g):
            return -reference_log_posterior(a, y[g], mu[g], GROUPS.matrix, math.log(0.25), 0.4)

        best = minimize_scalar(loss, bounds=(-18.0, 3.0), method="bounded", options={"xatol": 1e-10})
        assert loss(math.log(shrunken[g])) <= best.fun + 1e-5
    assert np.all(
        np.abs(np.log(shrunken / 0.25)) <= np.abs(np.log(np.maximum(gene_wise, 1e-9) / 0.25)) + 1e-3
    )


def test_estimates_stay_within_their_range():
    y = np.array(
        [[0, 0, 0, 5000, 0, 0, 0, 0], [5, 5, 5, 5, 5, 5, 5, 5], [0, 0, 0, 0, 0, 0, 0, 1]], dtype=float
    )
    dispersion, _ = estimate(y)
    assert np.all((dispersion >= 1e-8) & (dispersion <= 10.0))
    lowest = reference_log_posterior(math.log(1e-8), y[1], cell_means(y)[1], GROUPS.matrix)
    found = reference_log_posterior(math.log(dispersion[1]), y[1], cell_means(y)[1], GROUPS.matrix)
    assert found >= lowest - 1e-5  # equal counts: the smaller the better, but it hardly matters any more
    assert dispersion[1] < 1e-5


def test_a_design_with_a_covariate_takes_its_means_from_the_regression():
    y, _ = simulate(5, 0.5)
    layout = DesignLayout.of(np.column_stack([GROUPS.matrix, np.linspace(-1.0, 1.0, 8)]))
    block = block_of(y)
    dispersion, coefficients = gene_wise_dispersions(block, layout, moments(block, layout.basis), 1.0)
    mu = np.exp(coefficients @ layout.matrix.T)
    assert np.all(dispersion > 1e-3)  # below, DESeq2's search would stay where it starts
    for g in range(5):

        def loss(a, g=g):
            return -reference_log_posterior(a, y[g], mu[g], layout.matrix)

        best = minimize_scalar(loss, bounds=(-18.0, 3.0), method="bounded", options={"xatol": 1e-10})
        assert loss(math.log(dispersion[g])) <= best.fun + 1e-5 + 1e-6 * abs(best.fun)
