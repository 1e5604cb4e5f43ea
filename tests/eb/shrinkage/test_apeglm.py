import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from bayesde.eb.regression.glm import fit_glm
from bayesde.eb.shrinkage.apeglm import false_sign_probability, prior_scale, shrink_coefficient

DESIGN = np.column_stack([np.ones(8), np.tile([0.0, 1.0], 4), np.repeat([0.0, 1.0], 4)])


def simulate(n_genes=30, seed=6):
    rng = np.random.default_rng(seed)
    factors = rng.uniform(0.5, 2.0, size=(n_genes, 8))
    beta = np.column_stack(
        [rng.normal(4.0, 1.5, n_genes), rng.normal(0, 0.3, n_genes), rng.normal(0, 1, n_genes)]
    )
    dispersion = rng.uniform(0.01, 0.8, n_genes)
    shape = 1.0 / dispersion[:, None]
    counts = rng.poisson(rng.gamma(shape, factors * np.exp(beta @ DESIGN.T) / shape)).astype(float)
    return counts, factors, dispersion, fit_glm(counts, factors, DESIGN, dispersion).beta


def reference_loss(b, y, factors, dispersion, k, scale):
    """The formula of the module's docstring, word by word."""
    r, eta = 1.0 / dispersion, DESIGN @ b
    likelihood = np.sum(y * eta - (y + r) * np.log(r + np.exp(eta + np.log(factors))))
    others = np.delete(b, k)
    return -likelihood + np.sum(others**2) / (2.0 * 15.0**2) + math.log(1.0 + (b[k] / scale) ** 2)


@pytest.mark.parametrize("scale", [0.01, 0.2, 1.0])
def test_modes_minimise_the_loss_at_least_as_well_as_scipy(scale):
    counts, factors, dispersion, start = simulate()
    shrunken = shrink_coefficient(counts, factors, DESIGN, dispersion, start, [2], scale)
    assert shrunken.converged.all()
    for g in range(len(counts)):
        arguments = (counts[g], factors[g], dispersion[g], 2, scale)
        starts = [start[g], np.where(np.arange(3) == 2, 0.0, start[g])]
        other = min(minimize(reference_loss, s, arguments, method="BFGS").fun for s in starts)
        assert reference_loss(shrunken.beta[g], *arguments) <= other + 1e-8


def test_posterior_sd_is_the_curvature_at_the_mode():
    counts, factors, dispersion, start = simulate()
    shrunken = shrink_coefficient(counts, factors, DESIGN, dispersion, start, [2], 0.5)
    h = 1e-4
    for g in range(8):
        hessian = np.empty((3, 3))
        for a in range(3):
            for c in range(3):
                corners = [
                    (sa * sc, shrunken.beta[g] + h * (sa * np.eye(3)[a] + sc * np.eye(3)[c]))
                    for sa in (1, -1)
                    for sc in (1, -1)
                ]
                arguments = (counts[g], factors[g], dispersion[g], 2, 0.5)
                hessian[a, c] = sum(sign * reference_loss(b, *arguments) for sign, b in corners) / (4 * h * h)
        assert shrunken.sd[g] == pytest.approx(math.sqrt(np.linalg.inv(hessian)[2, 2]), rel=1e-3)


def test_of_two_modes_the_better_one_is_taken_whatever_the_start():
    counts = np.array([[3, 2, 4, 3, 14, 11, 16, 13]], dtype=float)
    factors, dispersion = np.ones_like(counts), np.array([0.05])
    start = fit_glm(counts, factors, DESIGN, dispersion).beta
    for scale in (1e-3, 0.02, 0.3):
        found = shrink_coefficient(counts, factors, DESIGN, dispersion, start, [2], scale).beta[0]
        arguments = (counts[0], factors[0], 0.05, 2, scale)
        profile = [
            minimize(
                lambda rest, b=b, arguments=arguments: reference_loss(np.append(rest, b), *arguments),
                start[0, :2],
            ).fun
            for b in np.linspace(-0.5, 2.5, 61)
        ]
        assert reference_loss(found, *arguments) <= min(profile) + 1e-6


def test_prior_scale_solves_its_equation():
    rng = np.random.default_rng(1)
    error = rng.uniform(0.1, 0.6, 5000)
    beta = rng.normal(0.0, np.sqrt(0.3**2 + error**2))

    def excess(a):
        information = 1.0 / (2.0 * (a + error**2) ** 2)
        return np.sum((beta**2 - error**2) * information) / information.sum() - a

    # R stops at an interval of 1.2e-4 in the variance, and so do we.
    exact = math.sqrt(brentq(excess, 1e-6, 400.0, xtol=1e-14))
    assert prior_scale(beta, error) == pytest.approx(exact, rel=2e-3)
    assert prior_scale(np.append(beta, np.nan), np.append(error, np.nan)) == prior_scale(beta, error)


def test_prior_scale_has_bounds():
    error = np.full(100, 0.5)
    assert prior_scale(np.zeros(100), error) == pytest.approx(1e-3)
    assert prior_scale(np.linspace(-9.0, 9.0, 100), error) == 1.0
    assert prior_scale(np.array([]), np.array([])) == pytest.approx(1e-3)


def test_stronger_priors_shrink_more():
    counts, factors, dispersion, start = simulate()
    sizes = [
        np.abs(shrink_coefficient(counts, factors, DESIGN, dispersion, start, [2], s).beta[:, 2]).sum()
        for s in (0.01, 0.1, 1.0)
    ]
    assert sizes[0] < sizes[1] < sizes[2] < np.abs(start[:, 2]).sum()


def test_false_sign_probability_is_one_half_at_zero_and_grows_with_the_threshold():
    effect, sd = np.array([0.0, 1.0, -1.0]), np.ones(3)
    assert false_sign_probability(effect, sd) == pytest.approx([0.5, 0.158655253931457, 0.158655253931457])
    assert np.all(false_sign_probability(effect, sd, 0.5) > false_sign_probability(effect, sd))


def test_a_weight_counts_an_observation_so_many_times():
    counts, factors, dispersion, start = simulate()
    twice = np.r_[np.arange(8), 2, 5]
    weights = np.ones_like(counts)
    weights[:, [2, 5]] = 2.0
    weighted = shrink_coefficient(counts, factors, DESIGN, dispersion, start, [2], 0.4, weights=weights)
    repeated = shrink_coefficient(
        counts[:, twice], factors[:, twice], DESIGN[twice], dispersion, start, [2], 0.4
    )
    assert np.allclose(weighted.beta, repeated.beta, rtol=0.0, atol=1e-12)
    assert np.allclose(weighted.sd, repeated.sd, rtol=1e-10)


def test_genes_without_a_dispersion_are_left_out():
    counts, factors, dispersion, start = simulate()
    dispersion = np.where(np.arange(len(counts)) == 3, np.nan, dispersion)
    found = shrink_coefficient(counts, factors, DESIGN, dispersion, start, [2], 0.4)
    assert np.flatnonzero(~found.converged).tolist() == [3]
    assert np.isnan(found.beta[3]).all()


@pytest.mark.parametrize("scale", [0.05, 1.0])
def test_several_shrunken_coefficients_end_no_higher_than_scipy_from_many_starts(scale):
    counts, factors, dispersion, start = simulate(n_genes=12)
    found = shrink_coefficient(counts, factors, DESIGN, dispersion, start, [2, 1], scale)

    def loss(b, g):
        r, eta = 1.0 / dispersion[g], DESIGN @ b
        likelihood = np.sum(counts[g] * eta - (counts[g] + r) * np.log(r + np.exp(eta + np.log(factors[g]))))
        return -likelihood + b[0] ** 2 / 450.0 + np.log1p((b[1:] / scale) ** 2).sum()

    for g in range(12):
        starts = [start[g] * np.array([1.0, first, second]) for first in (0, 1) for second in (0, 1)]
        other = min(minimize(loss, s, (g,), method="BFGS").fun for s in starts)
        assert loss(found.beta[g], g) <= other + 1e-8


@pytest.mark.parametrize("scale", [1e-3, 0.06, 0.3])
def test_no_point_of_the_profile_is_lower_than_the_mode(scale):
    """Few counts with a large effect have two modes, and the estimate may be that of other counts."""
    rng = np.random.default_rng(3)
    counts = rng.negative_binomial(1.0, 0.2, size=(150, 8)).astype(float)
    counts[:, 1::2] *= rng.integers(1, 6, size=(150, 1))
    design, factors, dispersion = DESIGN[:, :2], np.ones((1, 8)), rng.uniform(0.05, 3.0, 150)
    start = rng.normal([1.0, 0.0], 1.0, (150, 2))
    found = shrink_coefficient(counts, factors, design, dispersion, start, [1], scale)
    r = 1.0 / dispersion[:, None]

    def loss(a, b):
        eta = a[:, None] + design[:, 1] * b[:, None]
        likelihood = np.sum(counts * eta - (counts + r) * np.log(r + np.exp(eta)), axis=1)
        return -likelihood + a**2 / 450.0 + np.log1p((b / scale) ** 2)

    lowest = loss(*found.beta.T)
    for b in np.linspace(-4.0, 4.0, 161):
        for shift in np.linspace(-2.0, 2.0, 81):
            point = loss(found.beta[:, 0] + shift, np.full(150, b))
            assert np.all(lowest <= point + 1e-9)
