"""The compiled log density, its derivatives and the modes, against slow independent ones."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest
from reference.log_density import cauchy, nb_log_pmf, normal, student_t
from reference.stan_points import gradient
from scipy.optimize import minimize
from scipy.special import gammaln, xlogy

from bayesde.model.density import log_density, log_density_derivatives, one_gene
from bayesde.model.modes import climb, find_modes
from bayesde.numerics.gamma_functions import gamma_excess_derivatives


def reference_density(model, g, theta):
    total = np.longdouble(0)
    for k, shrunken in enumerate(model.shrunken):
        total += cauchy(theta[k], model.shrinkage_scale[k]) if shrunken else normal(theta[k], 0, 15)
    sd, trend = model.dispersion_sd, model.log_trend[g]
    heavy = np.isfinite(model.nu)
    total += student_t(theta[-1], model.nu, trend, sd) if heavy else normal(theta[-1], trend, sd)
    log_mu = model.log_nf[g].astype(np.longdouble) + model.x.astype(np.longdouble) @ theta[:-1]
    return total + sum(nb_log_pmf(y, eta, theta[-1]) for y, eta in zip(model.y[g], log_mu, strict=True))


def arguments(model, g):
    return one_gene(model.data, model.prior, g)


def derivatives(model, g, theta):
    slope, curve = np.empty(theta.size), np.empty((theta.size, theta.size))
    log_density_derivatives(theta, *arguments(model, g), slope, curve)
    return slope, curve


@pytest.mark.parametrize("nu", [np.inf, 4.0])
@pytest.mark.parametrize("log_dispersion", [-18.0, -3.0, 5.0])
def test_density_and_derivatives(panel_model, nu, log_dispersion):
    model = replace(panel_model, nu=nu)
    rng = np.random.default_rng(3)
    for g in (0, 13, 26):
        theta = np.array([np.log(model.base_mean[g]), *rng.normal(0, 0.3, 2), log_dispersion])
        other = theta + rng.normal(0, 0.1, 4)
        gap = log_density(theta, *arguments(model, g)) - log_density(other, *arguments(model, g))
        expected = reference_density(model, g, theta) - reference_density(model, g, other)
        assert gap == pytest.approx(float(expected), rel=1e-9, abs=1e-9)
        slope, curve = derivatives(model, g, theta)
        numeric = gradient(lambda t, g=g: reference_density(model, g, t), theta)
        np.testing.assert_allclose(slope, numeric, rtol=1e-7, atol=1e-7)
        columns = [
            gradient(lambda t, g=g, k=k: derivatives(model, g, t.astype(float))[0][k], theta)
            for k in range(4)
        ]
        np.testing.assert_allclose(curve, columns, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("x", [1e-8, 0.003, 0.7, 4.0, 9.999, 10.0, 37.5, 1e4, 1e8])
def test_gamma_functions_less_their_large_parts(x):
    with mpmath.workdps(40):
        z = mpmath.mpf(x)
        value = mpmath.loggamma(z) - (z * mpmath.log(z) - z + mpmath.log(2 * mpmath.pi) / 2)
        slope, curve = mpmath.digamma(z) - mpmath.log(z), mpmath.polygamma(1, z) - 1 / z
    expected = [float(value), float(slope), float(curve)]
    np.testing.assert_allclose(gamma_excess_derivatives(x), expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("log_dispersion", [-18.0, -3.0, 5.0])
def test_density_with_derivatives_leaves_out_what_is_of_the_counts_alone(panel_model, log_dispersion):
    """Of every count y ln y - y - ln y!, whatever the parameters."""
    model = replace(panel_model, y=panel_model.y.copy())
    model.y[0, :4] = [0, 1, 12, 13]
    for g in range(20):
        theta = np.array([np.log(model.base_mean[g]), 0.2, -0.4, log_dispersion])
        found = log_density_derivatives(theta, *arguments(model, g), np.empty(4), np.empty((4, 4)))
        y = model.y[g].astype(float)
        left_out = np.sum(xlogy(y, y) - y - gammaln(y + 1.0))
        assert found + left_out == pytest.approx(log_density(theta, *arguments(model, g)), rel=1e-10)


def test_a_search_ends_at_once_where_there_is_nothing_to_climb(panel_model):
    """From no number it does not come back with a mode, nor does it go on for ever."""
    slope, curve, at = np.empty(4), np.empty((4, 4)), np.full(4, np.nan)
    assert not climb(at, *arguments(panel_model, 0), 1e-9, slope, curve)


def test_modes_are_the_best_that_a_general_optimizer_finds(panel_model, pasilla_fit, panel):
    modes = find_modes(panel_model, pasilla_fit.beta[panel], np.log(pasilla_fit.dispersion[panel]))
    assert modes.converged.all()
    for g in range(panel_model.n_genes):

        def loss(theta, g=g):
            return -log_density(theta, *arguments(panel_model, g))

        starts = [modes.location[g] + shift for shift in (0.0, 0.3, -0.3)]
        best = min(minimize(loss, start, method="Nelder-Mead").fun for start in starts)
        assert -modes.log_density[g] <= best + 1e-8
        slope, curve = derivatives(panel_model, g, modes.location[g])
        assert np.abs(np.linalg.solve(curve, slope)).max() < 1e-3


def test_scale_is_a_root_of_the_inverse_curvature(panel_model, pasilla_fit, panel):
    modes = find_modes(panel_model, pasilla_fit.beta[panel], np.log(pasilla_fit.dispersion[panel]))
    for g in range(panel_model.n_genes):
        _, curve = derivatives(panel_model, g, modes.location[g])
        root = modes.scale[g]
        assert np.array_equal(root, np.triu(root))
        np.testing.assert_allclose(root.T @ -curve @ root, np.eye(4), atol=1e-8)


def test_both_modes_of_a_bimodal_gene_are_found(panel_model):
    """A narrow Cauchy prior and a clear, but not overwhelming, effect: modes at zero and at the MLE."""
    model = replace(
        panel_model.genes(np.array([0])),
        y=np.array([[20, 22, 19, 37, 21, 40, 38]]),
        log_nf=np.zeros((1, 7)),
        x=np.column_stack([np.ones(7), np.zeros(7), [0, 0, 0, 1, 0, 1, 1]]),
        base_mean=np.array([28.0]),
        log_trend=np.array([-4.0]),
        shrinkage_scale=np.array([1.0, 1e-3, 1e-3]),
        shrunken=np.array([False, True, True]),
    )
    modes = find_modes(model, np.array([[3.0, 0.0, 0.6]]), np.array([-4.0]))
    effects = sorted([abs(modes.location[0, 2]), abs(modes.other[0, 2])])
    assert effects[0] < 0.01
    assert effects[1] > 0.4
