"""Several random effects: their arrangement, and their likelihood against numerical integration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import simpson
from scipy.stats import nbinom, norm

from bayesde.model.density import GeneData
from bayesde.model.random_effects.groups import Groups
from bayesde.model.random_effects.laplace import make_room
from bayesde.model.random_effects.quadrature import (
    add_group_derivatives,
    estimated_log_likelihood,
    group_log_likelihood,
)
from bayesde.model.random_effects.terms import arranged
from bayesde.posterior.proposal.counts_likelihood import OrderedCells, log_likelihoods

DONOR, BATCH = np.repeat([0, 1, 2], 4), np.tile([0, 1, 2, 0], 3)
TIME = np.tile([-1.0, 0.0, 0.5, 1.5], 3)
N = DONOR.size
X = np.column_stack([np.ones(N), np.tile([0.0, 1.0], N // 2), np.zeros(N), np.zeros(N)])
Y = np.array([[40, 12, 18, 90, 22, 35, 61, 55, 33, 8, 19, 30], [0, 2, 0, 1, 0, 0, 3, 0, 1, 0, 0, 1]])
LOG_NF = np.random.default_rng(4).normal(0.0, 0.3, Y.shape)
POINTS = [
    (0, [3.4, 0.4, math.log(0.5), math.log(0.2), -1.0]),
    (0, [3.0, -0.4, math.log(0.3), math.log(0.6), -3.0]),
    (1, [-0.5, 0.4, math.log(0.7), math.log(0.4), -1.0]),
]
DESIGNS = {
    "crossed": (np.column_stack([DONOR, BATCH]), np.ones((N, 2))),
    "slope": (np.column_stack([DONOR, DONOR]), np.column_stack([np.ones(N), TIME])),
    "nested": (np.column_stack([DONOR, 2 * DONOR + (np.arange(N) % 4) // 2]), np.ones((N, 2))),
}


def groups_of(design, pairs=2):
    return Groups.of_terms(*DESIGNS[design], pairs=pairs)


def log_f(g, theta, design, members, u, v):
    """Log probabilities of counts given the effects of both terms, grids of any shape."""
    z, r, total = DESIGNS[design][1], math.exp(-theta[-1]), 0.0
    for j in members:
        mean = np.exp(LOG_NF[g, j] + X[j, :2] @ theta[:2] + z[j, 0] * u + z[j, 1] * v)
        total = total + nbinom.logpmf(Y[g, j], r, r / (r + mean))
    return total


def log_integral(log_values, at):
    highest = log_values.max()
    return highest + np.log(simpson(np.exp(log_values - highest), x=at))


def reference(g, theta, design):
    """By Simpson's rule: over the second effects given the first, and over those."""
    levels, (tau, sigma) = DESIGNS[design][0], np.exp(theta[2:4])
    v = np.linspace(-7.0, 7.0, 141) * sigma
    if design != "crossed":
        u, total = np.linspace(-7.0, 7.0, 141) * tau, 0.0
        for d in range(3):
            inner = norm.logpdf(u, scale=tau)
            for own in np.unique(levels[levels[:, 0] == d, 1]):
                members = np.flatnonzero((levels[:, 0] == d) & (levels[:, 1] == own))
                grid = log_f(g, theta, design, members, u[:, None], v) + norm.logpdf(v, scale=sigma)
                inner = inner + np.array([log_integral(row, v) for row in grid])
            total += log_integral(inner, u)
        return total
    u = np.linspace(-5.0, 5.0, 31) * tau
    cube = np.meshgrid(u, u, u, indexing="ij")
    log_p = sum(norm.logpdf(own, scale=tau) for own in cube)
    for b in range(3):
        of_donors = [
            log_f(g, theta, design, np.flatnonzero((DONOR == d) & (BATCH == b)), u[:, None], v)
            for d in range(3)
        ]
        together = (
            of_donors[0][:, None, None]
            + of_donors[1][None, :, None]
            + of_donors[2][None, None]
            + norm.logpdf(v, scale=sigma)
        )
        highest = together.max(axis=-1)
        log_p = log_p + highest + np.log(simpson(np.exp(together - highest[..., None]), x=v, axis=-1))
    highest = log_p.max()
    inside = np.exp(log_p - highest)
    for _ in range(3):
        inside = simpson(inside, x=u, axis=-1)
    return highest + math.log(inside)


@pytest.mark.parametrize("design", list(DESIGNS))
@pytest.mark.parametrize(("g", "point"), POINTS)
def test_the_estimate_has_the_integral_as_its_mean(design, g, point):
    theta, expected = np.array(point), reference(g, np.array(point), design)
    groups = groups_of(design, pairs=2000)
    data = GeneData(Y[g], LOG_NF[g], X, groups)
    room = make_room(groups.terms)
    assert estimated_log_likelihood(theta, data, room) == pytest.approx(expected, abs=0.01)
    few = groups_of(design)
    data, room = data._replace(groups=few), make_room(few.terms)
    move = 1e-6 * np.random.default_rng(1).normal(size=(2000, theta.size))
    found = [estimated_log_likelihood(theta + one, data, room) - expected for one in move]
    assert np.std(found) < 0.4
    assert np.mean(np.exp(found)) == pytest.approx(1.0, abs=0.03)
    assert group_log_likelihood(theta, data) == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("design", list(DESIGNS))
def test_many_draws_at_once_have_the_estimates_of_single_ones(design):
    """Those too far out for it, and one with a coefficient of exactly zero, included."""
    groups = groups_of(design)
    rng = np.random.default_rng(6)
    theta = rng.normal([2.0, 0.0, -1.0, -1.0, -1.5], [1.0, 0.5, 0.7, 0.7, 1.0], (2, 150, 5))
    theta[:, 7, 1], theta[:, 8, 2], theta[:, 9, 0] = 0.0, -70.0, 400.0
    theta = theta.astype(np.float32)
    value = np.empty(theta.shape[:2])
    cells = OrderedCells.of(X, groups)
    log_likelihoods(0, 2, theta, GeneData(Y, LOG_NF, X, groups), cells, np.zeros(4, dtype=bool), 15.0, value)
    room = make_room(groups.terms)
    expected = [
        [
            estimated_log_likelihood(point, GeneData(Y[g], LOG_NF[g], X, groups), room)
            for point in theta[g].astype(np.float64)
        ]
        for g in range(2)
    ]
    difference = np.abs(value - expected)
    assert np.quantile(difference, 0.9) < 0.01
    assert difference.max() < 0.2


def test_arrangement():
    """Components, envelopes, and the terms of some of the samples."""
    clinic, patient = np.repeat([0, 1, 2], 6), np.repeat(np.arange(9), 2)
    terms, component = arranged(np.column_stack([clinic, patient]), np.ones((18, 2)))
    np.testing.assert_array_equal(component, clinic)
    np.testing.assert_array_equal(terms.bounds, [0, 4, 8, 12])
    np.testing.assert_array_equal(terms.term[:4], [1, 1, 1, 0])  # patients before their clinic
    np.testing.assert_array_equal(terms.first[:4], [0, 1, 2, 0])
    crossed = groups_of("crossed")
    assert crossed.bounds.size == 2
    kept = crossed.samples(DONOR != 1)
    assert kept.terms.bounds[-1] == 5
    levels = kept.terms.level[kept.terms.effect]
    np.testing.assert_array_equal(levels, np.column_stack([DONOR, BATCH])[DONOR != 1])
    assert not Groups.of(DONOR).has_terms


@pytest.mark.parametrize("design", list(DESIGNS))
@pytest.mark.parametrize(("g", "point"), POINTS)
def test_derivatives_of_laplace_s_approximation(design, g, point):
    theta, data = np.array(point), GeneData(Y[g], LOG_NF[g], X, groups_of(design))

    def derivatives(at):
        gradient, hessian = np.zeros(at.size), np.zeros((at.size, at.size))
        return add_group_derivatives(at, data, gradient, hessian), gradient, hessian

    _, gradient, hessian = derivatives(theta)
    differences = np.empty_like(hessian)
    for k, move in enumerate(1e-5 * np.eye(theta.size)):
        ends = [group_log_likelihood(theta + side * move, data) for side in (1.0, -1.0)]
        assert gradient[k] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-4)
        values = [derivatives(theta + side * move) for side in (1.0, -1.0)]
        assert values[0][0] - values[1][0] == pytest.approx(ends[0] - ends[1], abs=1e-8)
        differences[k] = (values[0][1] - values[1][1]) / 2e-5
    np.testing.assert_array_equal(hessian, hessian.T)
    scale = np.sqrt(np.abs(np.diag(differences)) + 0.3)
    np.testing.assert_allclose(
        hessian / np.outer(scale, scale), differences / np.outer(scale, scale), atol=0.3 if g == 0 else 0.5
    )
