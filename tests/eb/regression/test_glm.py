import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import nbinom

from bayesde.eb.regression.glm import RIDGE, contrast_standard_errors, fit_glm, fitted_means

DESIGN = np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4), np.tile([0.0, 1.0], 4)])


def simulate(n_genes=25, seed=5):
    rng = np.random.default_rng(seed)
    factors = rng.uniform(0.5, 2.0, size=(n_genes, 8))
    beta = np.column_stack([rng.normal(5.0, 1.0, n_genes), rng.normal(size=(n_genes, 2))])
    dispersion = rng.uniform(0.01, 0.5, n_genes)
    mu = factors * np.exp(beta @ DESIGN.T)
    shape = 1.0 / dispersion[:, None]
    return rng.poisson(rng.gamma(shape, mu / shape)).astype(float), factors, dispersion


def test_coefficients_and_errors_equal_those_of_statsmodels():
    counts, factors, dispersion = simulate()
    fit = fit_glm(counts, factors, DESIGN, dispersion)
    assert fit.converged.all()
    mu = fitted_means(fit.beta, factors, DESIGN)
    for g in range(len(counts)):
        family = sm.families.NegativeBinomial(alpha=dispersion[g])
        other = sm.GLM(counts[g], DESIGN, family=family, offset=np.log(factors[g])).fit(
            tol=1e-12, maxiter=200
        )
        assert np.allclose(fit.beta[g], other.params, atol=2e-4)
        assert np.allclose(fit.beta_se[g], other.bse, rtol=2e-4)
        # The rule stops on the deviance: its distance from the optimum is what is small.
        ours = nbinom.logpmf(counts[g], 1 / dispersion[g], 1 / (1 + dispersion[g] * mu[g])).sum()
        assert ours == pytest.approx(other.llf, abs=1e-6 * (1 + abs(other.llf)))


def test_weights_are_those_of_statsmodels():
    counts, factors, dispersion = simulate()
    weights = np.random.default_rng(1).uniform(0.1, 1.0, size=counts.shape)
    fit = fit_glm(counts, factors, DESIGN, dispersion, weights=weights)
    for g in range(len(counts)):
        family = sm.families.NegativeBinomial(alpha=dispersion[g])
        other = sm.GLM(
            counts[g], DESIGN, family=family, offset=np.log(factors[g]), var_weights=weights[g]
        ).fit(tol=1e-12, maxiter=200)
        assert np.allclose(fit.beta[g], other.params, atol=2e-4)
        assert np.allclose(fit.beta_se[g], other.bse, rtol=2e-4)


def test_shared_factors_are_those_of_every_gene():
    counts, factors, dispersion = simulate()
    shared = np.broadcast_to(factors[0], factors.shape)
    one, all_rows = (fit_glm(counts, f, DESIGN, dispersion) for f in (shared, shared.copy()))
    assert np.array_equal(one.beta, all_rows.beta)
    assert np.array_equal(one.beta_se, all_rows.beta_se)


def test_a_ridge_is_a_normal_prior():
    counts, factors, dispersion = simulate()
    ridge = np.array([RIDGE, 4.0, 9.0])
    fit = fit_glm(counts, factors, DESIGN, dispersion, ridge=ridge)
    mu = fitted_means(fit.beta, factors, DESIGN)
    slope = ((counts - mu) / (1.0 + dispersion[:, None] * mu)) @ DESIGN - ridge * fit.beta
    assert np.abs(slope).max() < 1e-2
    free = fit_glm(counts, factors, DESIGN, dispersion).beta
    assert np.all(np.abs(fit.beta[:, 1:]).sum(axis=0) < np.abs(free[:, 1:]).sum(axis=0))


def test_intercept_only_is_solved_in_closed_form():
    counts, factors, dispersion = simulate()
    fit = fit_glm(counts, factors, np.ones((8, 1)), dispersion)
    assert np.allclose(np.exp(fit.beta[:, 0]), (counts / factors).mean(axis=1), rtol=1e-14)
    mu = fitted_means(fit.beta, factors, np.ones((8, 1)))
    information = (1.0 / (1.0 / mu + dispersion[:, None])).sum(axis=1)
    assert np.allclose(fit.beta_se[:, 0], 1.0 / np.sqrt(information), rtol=1e-14)


def test_separated_genes_get_a_finite_estimate_within_bounds():
    counts = np.array([[0, 0, 0, 0, 60, 45, 70, 52], [60, 45, 70, 52, 0, 0, 0, 0]], dtype=float)
    design = DESIGN[:, :2]
    fit = fit_glm(counts, np.ones_like(counts), design, np.array([0.1, 0.1]))
    assert np.all(np.isfinite(fit.beta))
    assert np.all(np.isfinite(fit.beta_se))
    assert fit.beta[0, 1] > 3.0
    assert fit.beta[1, 1] < -3.0
    assert np.all(np.abs(fit.beta) <= 30.0)


def test_standard_error_of_a_coefficient_equals_that_of_its_unit_contrast():
    counts, factors, dispersion = simulate()
    fit = fit_glm(counts, factors, DESIGN, dispersion)
    error = contrast_standard_errors(fit.beta, factors, DESIGN, dispersion, np.array([0.0, 1.0, 0.0]))
    assert np.allclose(error, fit.beta_se[:, 1], rtol=1e-12)


def test_standard_error_of_a_difference_equals_that_of_a_releveled_design():
    counts, factors, dispersion = simulate()
    fit = fit_glm(counts, factors, DESIGN, dispersion)
    contrast = np.array([0.0, 1.0, -1.0])
    rotation = np.eye(3)
    rotation[1] = contrast
    rotated = fit_glm(counts, factors, np.ascontiguousarray(DESIGN @ np.linalg.inv(rotation)), dispersion)
    error = contrast_standard_errors(fit.beta, factors, DESIGN, dispersion, contrast)
    assert np.allclose(error, rotated.beta_se[:, 1], rtol=1e-4)
    assert np.allclose(fit.beta @ contrast, rotated.beta[:, 1], atol=1e-4)
