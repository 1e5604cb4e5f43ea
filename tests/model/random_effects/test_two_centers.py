"""Quadrature under a law of given scale: against fine grids, one draw at a time and many at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import cauchy, nbinom, norm, t

from bayesde.model.density import ConditionalModel, GeneData, log_density, log_density_derivatives, one_gene
from bayesde.model.random_effects.groups import Groups, RandomEffects
from bayesde.model.random_effects.quadrature import group_log_likelihood
from bayesde.model.random_effects.two_centers import fill_pair, log_node_density, node_tangents
from bayesde.posterior.proposal.counts_likelihood import OrderedCells, log_likelihoods

LEVEL = np.repeat(np.arange(6), 2)
X = np.column_stack([np.ones(12), np.tile([0.0, 1.0], 6)])
Y = np.array(
    [
        [900, 1300, 700, 1500, 12, 30, 1100, 1900, 8000, 9900, 1000, 1400],  # two levels far from the others
        [4, 9, 0, 0, 3, 2, 11, 6, 0, 1, 5, 7],
        [0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 9, 14],
    ]
)
LOG_NF = np.random.default_rng(1).normal(0.0, 0.3, Y.shape)
THETA = {
    0: ([6.9, 0.4, math.log(0.1)], [6.7, 0.5, math.log(0.01)]),
    1: ([1.3, 0.1, math.log(0.3)], [0.9, -0.3, math.log(1.0)]),
    2: ([-0.7, 0.3, math.log(0.5)], [-1.5, 0.0, math.log(2.0)]),
}
LAWS = {"cauchy": (1.0, cauchy), "t": (4.0, t(4.0)), "normal": (math.inf, norm)}


def reference(theta, g, law, scale):
    """By the trapezoidal rule on the union of two fine grids of u."""
    r, total = math.exp(-theta[-1]), 0.0
    for d in np.unique(LEVEL):
        members = np.flatnonzero(LEVEL == d)
        eta = LOG_NF[g, members] + X[members] @ theta[:-1]
        middle = math.log((Y[g, members].sum() + 0.5) / (np.exp(eta).sum() + 0.5))
        steps = np.sinh(np.linspace(-15.0, 15.0, 3001))
        u = np.unique(np.concatenate([scale * steps, middle + 0.2 * steps]))
        u = u[u < 250.0]
        log_f = law.logpdf(u / scale) - math.log(scale)
        for j, log_mean in zip(members, eta, strict=True):
            log_f = log_f + nbinom.logpmf(Y[g, j], r, r / (r + np.exp(log_mean + u)))
        highest = log_f.max()
        total += highest + math.log(np.trapezoid(np.exp(log_f - highest), u))
    return total


@pytest.mark.parametrize("scale", [0.03, 0.3, 1.0])
@pytest.mark.parametrize("name", LAWS)
def test_likelihood_against_a_fine_grid(name, scale):
    df, law = LAWS[name]
    if name == "normal" and scale < 0.1:
        scale = 15.0  # the prior of a factor that is not shrunken
    for nodes, tolerance in ((None, 0.02), (40, 0.004)):
        groups = Groups.of(LEVEL, scale, df, nodes)
        for g, points in THETA.items():
            for point in points:
                theta = np.array(point)
                found = group_log_likelihood(theta, GeneData(Y[g], LOG_NF[g], X, groups))
                assert found == pytest.approx(reference(theta, g, law, scale), abs=tolerance)


@pytest.mark.parametrize("name", LAWS)
def test_levels_are_found_however_far_they_are(name):
    """Of draws far out in the tails, whose weights count where one count of a level is left out."""
    df, law = LAWS[name]
    scale = 15.0 if name == "normal" else 0.1
    level, x = np.arange(2), np.ones((2, 1))
    groups = Groups.of(level, scale, df)
    for level_mean in (-110.0, -40.0, -8.0, 8.0, 40.0, 120.0):
        theta, total = np.array([level_mean, math.log(0.08)]), 0.0
        for y in (3, 200):
            steps = np.sinh(np.linspace(-15.0, 15.0, 6001))
            center = math.log(y) - level_mean
            u = np.unique(np.concatenate([scale * steps, center + 0.2 * steps]))
            u = u[np.abs(u + level_mean) < 250.0]
            r, mu = 12.5, np.exp(level_mean + u)
            log_f = law.logpdf(u / scale) - math.log(scale) - r * np.log1p(mu / r)
            log_f += gammaln(y + r) - gammaln(r) - gammaln(y + 1.0) + y * (level_mean + u - np.log(mu + r))
            highest = log_f.max()
            total += highest + math.log(np.trapezoid(np.exp(log_f - highest), u))
        data = GeneData(np.array([3, 200]), np.zeros(2), x, groups)
        assert group_log_likelihood(theta, data) == pytest.approx(total, abs=0.05)


def test_nodes_integrate_their_own_density():
    at, values = np.empty(2), []
    for tangent in node_tangents(20):
        fill_pair(tangent, 3.0, 0.5, 0.2, at)
        assert at[0] < at[1]
        values += [np.exp(-log_node_density(u, 3.0, 0.5, 0.2)) * norm.pdf(u, 2.8, 0.3) for u in at]
    assert sum(values) / 20 == pytest.approx(1.0, abs=1e-3)


def model(scale, df):
    return ConditionalModel(
        y=Y,
        log_nf=LOG_NF,
        x=X,
        base_mean=np.array([1000.0, 4.0, 1.0]),
        log_trend=np.full(3, -1.0),
        shrunken=np.array([False, True]),
        shrinkage_scale=np.array([1.0, 0.3]),
        dispersion_sd=0.7,
        nu=math.inf,
        random=RandomEffects(Groups.of(LEVEL, scale, df), np.empty(0), np.empty(0)),
    )


@pytest.mark.parametrize("name", LAWS)
def test_derivatives_against_finite_differences(name):
    own, step = model(0.3, LAWS[name][0]), 1e-4
    for g, points in THETA.items():
        data, prior = one_gene(own.data, own.prior, g)
        for point in points:
            theta, slope, curve = np.array(point), np.empty(3), np.empty((3, 3))
            log_density_derivatives(theta, data, prior, slope, curve)
            ends = [[log_density(theta + s * step * e, data, prior) for s in (-1, 1)] for e in np.eye(3)]
            expected = [(above - below) / (2.0 * step) for below, above in ends]
            np.testing.assert_allclose(slope, expected, rtol=0.02, atol=0.05)
            np.testing.assert_array_equal(curve, curve.T)


@pytest.mark.parametrize("name", LAWS)
def test_many_draws_at_once_are_as_one_by_one(name):
    rng = np.random.default_rng(2)
    centers = np.array([points[0] for points in THETA.values()])
    theta = (centers[:, None] + rng.normal(0.0, [0.7, 1.0, 1.2], (3, 200, 3))).astype(np.float32)
    theta[:, 0, 0] = 400.0  # too far for the vector loops
    own, found = model(0.3, LAWS[name][0]), np.empty((3, 200))
    cells, normal = OrderedCells.of(X, own.data.groups), np.array([True, False])
    log_likelihoods(0, 3, theta, own.data, cells, normal, 15.0, found)
    for g in range(3):
        one = one_gene(own.data, own.prior, g)[0]
        expected = [group_log_likelihood(at, one) for at in theta[g].astype(np.float64)]
        expected += norm.logpdf(theta[g, :, 0].astype(np.float64), 0.0, 15.0)
        np.testing.assert_allclose(found[g], expected, rtol=1e-9, atol=0.05)
        assert np.median(np.abs(found[g] - expected)) < 0.005
