"""The likelihood with random intercepts integrated out: against SciPy, finite differences and glmmTMB."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import simpson
from scipy.stats import nbinom, norm, t

from bayesde.model.density import ConditionalModel, GeneData, log_density, log_density_derivatives, one_gene
from bayesde.model.modes import find_modes
from bayesde.model.random_effects.groups import NO_GROUPS, Groups, RandomEffects
from bayesde.model.random_effects.quadrature import conditional_mode, group_log_likelihood
from bayesde.posterior.proposal.counts_likelihood import OrderedCells, log_likelihoods

LEVEL = np.array([3, 0, 0, 1, 2, 2, 1, 3, 3, 4, 4, 5])
N = LEVEL.size
X = np.column_stack([np.ones(N), np.isin(LEVEL, [1, 3, 4]), np.zeros(N)])
Y = np.array([[40, 12, 18, 90, 22, 35, 61, 55, 33, 8, 19, 30], [0, 2, 0, 1, 0, 0, 3, 0, 1, 0, 0, 1]])
LOG_NF = np.random.default_rng(4).normal(0.0, 0.3, Y.shape)
POINTS = {
    0: ([3.4, 0.4, math.log(0.5), -1.0], [3.0, -0.4, math.log(0.3), -3.0], [3.0, 0.2, math.log(1.5), -2.0]),
    1: ([-0.5, 0.4, math.log(0.5), -1.0], [0.0, -0.4, math.log(0.2), -3.0], [0.0, 0.0, math.log(1.2), 0.0]),
}


def model(nodes=5, **changes):
    own = {
        "y": Y,
        "log_nf": LOG_NF,
        "x": X,
        "base_mean": np.array([35.0, 0.7]),
        "log_trend": np.array([-1.0, -0.5]),
        "shrunken": np.array([False, True, False]),
        "shrinkage_scale": np.array([1.0, 0.3, 1.0]),
        "dispersion_sd": 0.7,
        "nu": math.inf,
        "random": RandomEffects(Groups.of(LEVEL, nodes=nodes), np.array([-1.2]), np.array([0.6])),
    }
    return ConditionalModel(**(own | changes))


def reference(theta, g, law=norm):
    """By Simpson's rule on a fine grid of u."""
    r, tau, total = math.exp(-theta[-1]), math.exp(theta[-2]), 0.0
    for d in np.unique(LEVEL):
        members = np.flatnonzero(LEVEL == d)
        u = np.linspace(-25.0 * tau, 25.0 * tau, 20_001)
        log_f = law.logpdf(u / tau) - math.log(tau)
        for j in members:
            mean = np.exp(LOG_NF[g, j] + X[j] @ theta[:-1] + u)
            log_f = log_f + nbinom.logpmf(Y[g, j], r, r / (r + mean))
        highest = log_f.max()
        total += highest + math.log(simpson(np.exp(log_f - highest), x=u))
    return total


@pytest.mark.parametrize(("nodes", "tolerance"), [(5, 6e-3), (15, 1e-5)])
@pytest.mark.parametrize("g", [0, 1])
def test_likelihood_against_a_fine_grid(g, nodes, tolerance):
    groups = Groups.of(LEVEL, nodes=nodes)
    for point in POINTS[g]:
        theta = np.array(point)
        found = group_log_likelihood(theta, GeneData(Y[g], LOG_NF[g], X, groups))
        assert found == pytest.approx(reference(theta, g), abs=tolerance)


def test_a_law_with_a_scale_of_its_own():
    tau, df = 0.4, 4.0
    groups = Groups.of(LEVEL, scale=tau, df=df, nodes=31)
    theta = np.array([3.2, 0.3, 0.0, -1.5])  # whose third number has no effect then
    law = t(df)
    found = group_log_likelihood(theta, GeneData(Y[0], LOG_NF[0], X, groups))
    theta[2] = math.log(tau)
    assert found == pytest.approx(reference(theta, 0, law), abs=2e-3)


def test_without_variance_it_is_the_plain_likelihood():
    for g in (0, 1):
        theta = np.array([POINTS[g][0][0], 0.4, -18.0, -1.0])
        data, prior = one_gene(model().data, model().prior, g)
        plain = data._replace(groups=NO_GROUPS)
        assert log_density(theta, data, prior) == pytest.approx(log_density(theta, plain, prior), abs=1e-9)
        found = [np.empty(4), np.empty((4, 4)), np.empty(4), np.empty((4, 4))]
        log_density_derivatives(theta, data, prior, *found[:2])
        log_density_derivatives(theta, plain, prior, *found[2:])
        np.testing.assert_allclose(found[0], found[2], atol=1e-6)
        np.testing.assert_allclose(found[1], found[3], atol=1e-5)


@pytest.mark.parametrize("g", [0, 1])
def test_derivatives_against_finite_differences(g):
    data, prior = one_gene(model(nodes=15).data, model().prior, g)
    for point in POINTS[g]:
        theta, step = np.array(point), 1e-4
        slope, curve, by_difference = np.empty(4), np.empty((4, 4)), np.empty((4, 4))
        ends, unused = np.empty((2, 4)), np.empty((4, 4))
        log_density_derivatives(theta, data, prior, slope, curve)
        expected = np.empty(4)
        for k in range(4):
            move = step * np.eye(4)[k]
            expected[k] = (
                log_density(theta + move, data, prior) - log_density(theta - move, data, prior)
            ) / (2.0 * step)
            log_density_derivatives(theta + move, data, prior, ends[0], unused)
            log_density_derivatives(theta - move, data, prior, ends[1], unused)
            by_difference[k] = (ends[0] - ends[1]) / (2.0 * step)
        np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(curve, by_difference, rtol=1e-3, atol=1e-2)
        np.testing.assert_array_equal(curve, curve.T)


def test_the_modes_of_the_groups_are_where_the_slope_is_zero():
    eta, r, tau = LOG_NF[0] + 3.2, 5.0, 0.7
    members = np.flatnonzero(LEVEL == 3)
    mode, curve = conditional_mode(Y[0], eta, r, members, math.inf, tau)

    def slope(u):
        mu = np.exp(eta[members] + u)
        return (r / (mu + r) * (Y[0, members] - mu)).sum() - u / tau**2

    assert abs(slope(mode)) < 1e-6
    assert (slope(mode - 1e-5) - slope(mode + 1e-5)) / 2e-5 == pytest.approx(curve, rel=1e-6)


def test_many_draws_at_once_are_as_one_by_one():
    rng = np.random.default_rng(2)
    centers = np.array([[3.3, 0.2, -1.0, -1.5], [-0.5, 0.2, -1.0, -1.0]])
    theta = (centers[:, None] + rng.normal(0.0, [0.7, 1.0, 1.2, 1.2], (2, 300, 4))).astype(np.float32)
    theta[:, 0, 2], theta[:, 1, 2], theta[:, 2, 0] = 7.0, -70.0, 200.0  # too far for the vector loops
    own, found = model(), np.empty((2, 300))
    cells = OrderedCells.of(X, own.data.groups)
    log_likelihoods(0, 2, theta, own.data, cells, np.array([True, False, False]), 15.0, found)
    for g in (0, 1):
        one = one_gene(own.data, own.prior, g)[0]
        expected = [group_log_likelihood(at, one) for at in theta[g].astype(np.float64)]
        expected += norm.logpdf(theta[g, :, 0].astype(np.float64), 0.0, 15.0)
        # nodes around a mode that is known to 0.05 standard deviations: within the quadrature's own error
        np.testing.assert_allclose(found[g], expected, rtol=1e-9, atol=0.02)
        assert np.median(np.abs(found[g] - expected)) < 1e-6


def test_cells_of_groups():
    groups = Groups.of(LEVEL)
    cells = OrderedCells.of(X, groups)
    np.testing.assert_array_equal(groups.level, LEVEL)
    for d in range(6):
        first, last = cells.bounds[cells.groups[d]], cells.bounds[cells.groups[d + 1]]
        assert set(cells.order[first:last]) == set(np.flatnonzero(LEVEL == d))
    rows = np.repeat(cells.rows, np.diff(cells.bounds), axis=0)
    np.testing.assert_array_equal(rows, X[cells.order])


def test_samples_that_are_left_out():
    kept = LEVEL != 1
    kept[0] = False
    own = Groups.of(LEVEL).samples(kept)
    np.testing.assert_array_equal(own.level, np.unique(LEVEL[kept], return_inverse=True)[1])


def glmmtmb(shared):
    counts = pd.read_csv(shared / "data" / "cardiogenic_shock" / "counts.tsv.gz", sep="\t", index_col=0)
    table = pd.read_csv(shared / "data" / "cardiogenic_shock" / "coldata.tsv", sep="\t", index_col=0)
    folder = shared / "ref" / "cardiogenic_shock"
    sizes = pd.read_csv(folder / "size_factors.tsv", sep="\t", index_col=0)["size_factor"]
    theirs = pd.read_csv(folder / "glmmtmb.tsv.gz", sep="\t", index_col=0)
    return counts, table.loc[counts.columns], sizes.loc[counts.columns], theirs


def test_the_maximum_is_that_of_glmmtmb(shared):
    counts, table, sizes, theirs = glmmtmb(shared)
    theirs = theirs[(theirs["patient_sd"] > 0.1) & (theirs["dispersion"] > 1e-3)].iloc[:60]
    y = counts.loc[theirs.index].to_numpy(dtype=np.int64)
    times = [table["time"] == time for time in ("T2", "T3")]
    x = np.column_stack([np.ones(len(table)), *times, np.zeros(len(table))])
    groups = Groups.of(pd.factorize(table["patient"])[0])
    flat = ConditionalModel(
        y=y,
        log_nf=np.broadcast_to(np.log(sizes.to_numpy()), y.shape).copy(),
        x=x.astype(np.float64),
        base_mean=y.mean(axis=1),
        log_trend=np.full(len(y), -2.0),
        shrunken=np.zeros(4, dtype=bool),
        shrinkage_scale=np.ones(4),
        dispersion_sd=1e4,
        nu=math.inf,
        unshrunken_sd=1e4,
        random=RandomEffects(groups, np.array([-1.0]), np.array([1e4])),
    )
    start = np.zeros((len(y), 4))
    start[:, 0], start[:, 3] = np.log(y.mean(axis=1)), -1.0
    found = find_modes(flat, start, np.full(len(y), -2.0)).location
    expected = theirs[["intercept", "timeT2", "timeT3"]].to_numpy()
    assert np.median(np.abs(found[:, :3] - expected)) < 3e-4
    assert np.median(np.abs(np.exp(found[:, 3]) - theirs["patient_sd"])) < 1e-3
    assert np.median(np.abs(np.exp(found[:, 4]) - theirs["dispersion"])) < 1e-3
