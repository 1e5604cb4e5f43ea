import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

from bayesde.eb import dispersion as module
from bayesde.eb.dispersion import gene_wise_dispersions, map_dispersions

DESIGN = np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)])


def reference_log_posterior(a, y, mu, design, prior_mean=0.0, prior_var=math.inf):
    """The formula of the module's docstring, word by word."""
    alpha, r = math.exp(a), math.exp(-a)
    likelihood = np.sum(gammaln(y + r) - gammaln(r) - y * np.log(mu + r) - r * np.log(1.0 + mu * alpha))
    information = design.T @ np.diag(1.0 / (1.0 / mu + alpha)) @ design
    prior = 0.0 if math.isinf(prior_var) else -((a - prior_mean) ** 2) / (2.0 * prior_var)
    return likelihood - 0.5 * np.linalg.slogdet(information)[1] + prior


def simulate(n_genes, dispersion, seed=3):
    rng = np.random.default_rng(seed)
    mean = rng.lognormal(5.0, 1.0, size=(n_genes, 1)) * np.exp(
        0.5 * DESIGN[:, 1] * rng.normal(size=(n_genes, 1))
    )
    shape = 1.0 / dispersion
    return rng.poisson(rng.gamma(shape, mean / shape)).astype(float), mean


def scratch(p):
    return np.empty(8), np.empty((p, p)), np.zeros((p, p))


@pytest.mark.parametrize("a", [-17.0, -5.0, -1.0, 2.0, 6.0])
@pytest.mark.parametrize("prior_var", [0.5, math.inf])
def test_log_posterior_equals_the_plain_formula_up_to_the_total_count(a, prior_var):
    y, mu = (values[0] for values in simulate(1, 0.2))
    mu = np.ascontiguousarray(mu)
    ours = module._log_posterior(a, y, mu, DESIGN, -2.0, prior_var, *scratch(2))
    plain = reference_log_posterior(a, y, mu, DESIGN, -2.0, prior_var) + y.sum()
    # At large 1/alpha the plain formula itself loses digits to cancellation.
    assert ours == pytest.approx(plain, rel=1e-10, abs=1e-6 if a < -10 else 1e-9)


@pytest.mark.parametrize("a", [-12.0, -5.0, -1.0, 2.0, 6.0])
@pytest.mark.parametrize("prior_var", [0.5, math.inf])
def test_slope_is_the_derivative_of_the_log_posterior(a, prior_var):
    y, mu = (values[0] for values in simulate(1, 0.2))
    mu = np.ascontiguousarray(mu)

    def value(at):
        return module._log_posterior(at, y, mu, DESIGN, -2.0, prior_var, *scratch(2))

    h = 1e-4
    numeric = (8.0 * (value(a + h) - value(a - h)) - value(a + 2 * h) + value(a - 2 * h)) / (12.0 * h)
    ours = module._slope(a, y, mu, DESIGN, -2.0, prior_var, *scratch(2), np.empty((2, 2)))
    assert ours == pytest.approx(numeric, rel=1e-6, abs=1e-7)


def test_gene_wise_estimates_maximise_the_adjusted_likelihood():
    y, _ = simulate(40, 0.3)
    estimate, mu = gene_wise_dispersions(y, np.ones_like(y), DESIGN, y.mean(axis=1), y.var(axis=1, ddof=1))
    for g in range(len(y)):

        def loss(a, g=g):
            return -reference_log_posterior(a, y[g], mu[g], DESIGN)

        best = minimize_scalar(loss, bounds=(-18.0, 3.0), method="bounded", options={"xatol": 1e-10})
        # DESeq2 keeps a start that is within a millionth of the log-likelihood of the maximum.
        assert loss(math.log(estimate[g])) <= best.fun + 1e-5 + 1e-6 * abs(best.fun)


def test_map_estimates_maximise_the_posterior():
    y, _ = simulate(40, 0.3)
    gene_wise, mu = gene_wise_dispersions(y, np.ones_like(y), DESIGN, y.mean(axis=1), y.var(axis=1, ddof=1))
    trend = np.full(len(y), 0.25)
    estimate = map_dispersions(y, mu, DESIGN, gene_wise, trend, 0.4)
    for g in range(len(y)):

        def loss(a, g=g):
            return -reference_log_posterior(a, y[g], mu[g], DESIGN, math.log(0.25), 0.4)

        best = minimize_scalar(loss, bounds=(-18.0, 3.0), method="bounded", options={"xatol": 1e-10})
        assert loss(math.log(estimate[g])) <= best.fun + 1e-5
    assert np.all(
        np.abs(np.log(estimate / 0.25)) <= np.abs(np.log(np.maximum(gene_wise, 1e-9) / 0.25)) + 1e-3
    )


def test_estimates_stay_within_their_range():
    y = np.array(
        [[0, 0, 0, 5000, 0, 0, 0, 0], [5, 5, 5, 5, 5, 5, 5, 5], [0, 0, 0, 0, 0, 0, 0, 1]], dtype=float
    )
    estimate, mu = gene_wise_dispersions(y, np.ones_like(y), DESIGN, y.mean(axis=1), y.var(axis=1, ddof=1))
    assert np.all((estimate >= 1e-8) & (estimate <= 10.0))
    assert estimate[1] == pytest.approx(1e-8, rel=10.0)
    assert mu.min() >= 0.5


def test_a_design_with_a_covariate_takes_its_means_from_the_regression():
    y, _ = simulate(5, 0.1)
    design = np.column_stack([DESIGN, np.linspace(-1.0, 1.0, 8)])
    _, mu = gene_wise_dispersions(y, np.ones_like(y), design, y.mean(axis=1), y.var(axis=1, ddof=1))
    residual = np.log(mu) - np.log(mu) @ design @ np.linalg.inv(design.T @ design) @ design.T
    assert np.abs(residual).max() < 1e-8
