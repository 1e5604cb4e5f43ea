"""The likelihood of usage: against statsmodels, full matrices, quadrature and root finding."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import integrate, optimize, stats

from bayesde.usage.estimates import fit_dispersions, regress
from bayesde.usage.likelihood import FeatureCounts, Limits, fill_dispersions, fill_integrated, sample_level
from bayesde.usage.options import UsageOptions

X = np.column_stack([np.ones(6), [0, 1, 0, 1, 0, 1], [0, 0, 0, 1, 1, 1]]).astype(float)


def simulated(n, seed=1, alpha=0.05, level=60.0):
    """Features with usage around a third of the others, and a strong effect of each sample."""
    rng = np.random.default_rng(seed)
    others = level * rng.lognormal(0.0, 1.0, 6) * rng.lognormal(0.0, 1.0, (n, 1))
    beta = np.column_stack([rng.normal(-1.0, 0.5, n), rng.normal(0.0, 0.3, n), rng.normal(0.0, 0.5, n)])
    this = others * np.exp(beta @ X.T)
    drawn = [rng.poisson(rng.gamma(1.0 / alpha, alpha * mean)).astype(float) for mean in (this, others)]
    return FeatureCounts(*drawn, X)


def expanded(counts, g):
    """Counts of `this` and `others` below each other, with a column for each sample."""
    n, p = counts.x.shape
    design = np.vstack([np.hstack([np.eye(n), counts.x]), np.hstack([np.eye(n), np.zeros((n, p))])])
    return np.concatenate([counts.this[g], counts.others[g]]), design


@pytest.mark.parametrize("alpha", [1e-8, 0.01, 0.5, 20.0])
def test_the_level_of_a_sample_solves_its_score_equation(alpha):
    rng = np.random.default_rng(2)
    for ratio, this, others in zip(
        np.exp(rng.normal(0.0, 4.0, 50)), rng.poisson(30, 50), rng.poisson(30, 50), strict=True
    ):

        def score(log_m, q=ratio, y=this, z=others):
            m = np.exp(log_m)
            return (y - q * m) / (1 + alpha * q * m) + (z - m) / (1 + alpha * m)

        expected = optimize.brentq(score, -40.0, 40.0, xtol=1e-13)
        assert np.log(sample_level(ratio, float(this), float(others), alpha)) == pytest.approx(
            expected, abs=1e-8
        )


def test_regressions_are_those_with_a_column_for_each_sample():
    counts, alpha = simulated(5), 0.1
    found = regress(counts, np.full(5, alpha))
    less = regress(counts._replace(x=np.ascontiguousarray(X[:, :2])), np.full(5, alpha))
    family = sm.families.NegativeBinomial(alpha=alpha)
    for g in range(5):
        y, design = expanded(counts, g)
        full = sm.GLM(y, design, family=family).fit(tol=1e-12, maxiter=200)
        reduced = sm.GLM(y, design[:, :-1], family=family).fit(tol=1e-12, maxiter=200)
        np.testing.assert_allclose(found.beta[g], full.params[6:], rtol=1e-4, atol=1e-5)
        weight = full.mu / (1.0 + alpha * full.mu)
        covariance = np.linalg.inv(design.T @ (weight[:, None] * design))
        np.testing.assert_allclose(np.linalg.inv(found.information[g]), covariance[6:, 6:], rtol=1e-3)
        expected = 2.0 * (full.llf - reduced.llf)
        assert 2.0 * (found.likelihood[g] - less.likelihood[g]) == pytest.approx(expected, abs=1e-4)


def adjusted(log_alpha, y, mean, design):
    """Cox-Reid adjusted likelihood with the whole design, means held fixed."""
    alpha = np.exp(log_alpha)
    weight = mean / (1.0 + alpha * mean)
    determinant = np.linalg.slogdet(design.T @ (weight[:, None] * design))[1]
    r = 1.0 / alpha
    return stats.nbinom.logpmf(y, r, r / (r + mean)).sum() - 0.5 * determinant


def test_dispersions_maximize_the_adjusted_likelihood_of_the_whole_design():
    counts, limits = simulated(8, alpha=0.2), Limits(np.full(3, 1e-9), 3.0)
    found = fit_dispersions(counts, np.full(8, 50.0), UsageOptions(trend="mean"))
    mean, beta = np.zeros((8, 2, 6)), np.zeros((8, 3))
    log_alpha = np.log(found.gene_wise)
    fill_dispersions(0, 8, counts, limits, np.zeros((8, 2)), beta, mean, log_alpha)
    for g in range(8):
        (y, design), means = expanded(counts, g), mean[g].ravel()
        best = optimize.minimize_scalar(
            lambda a, y=y, d=design, m=means: -adjusted(a, y, m, d),
            bounds=(-10, 3),
            method="bounded",
        )
        assert log_alpha[g] == pytest.approx(best.x, abs=2e-3)
    center, precision = np.log(0.05), 1.0 / 0.5
    prior = np.column_stack([np.full(8, center), np.full(8, precision)])
    shrunken = log_alpha.copy()
    fill_dispersions(0, 8, counts, limits, prior, beta, mean, shrunken)
    for g in range(8):
        (y, design), means = expanded(counts, g), mean[g].ravel()
        best = optimize.minimize_scalar(
            lambda a, y=y, d=design, m=means: 0.5 * precision * (a - center) ** 2 - adjusted(a, y, m, d),
            bounds=(-10, 3),
            method="bounded",
        )
        assert shrunken[g] == pytest.approx(best.x, abs=2e-3)


def test_sample_effects_are_integrated_over():
    counts = simulated(3, level=20.0)
    rng = np.random.default_rng(3)
    theta = np.concatenate([rng.normal(-1.0, 0.5, (3, 6, 1)), rng.normal(0.0, 0.5, (3, 6, 2))], axis=2)
    theta = np.concatenate([theta, np.log(rng.uniform(0.02, 0.6, (3, 6, 1)))], axis=2)
    found = np.empty((3, 6))
    fill_integrated(0, 3, counts, theta, found)
    exact = np.zeros((3, 6))
    for g, i, j in np.ndindex(3, 6, 6):
        eta, r = X[j] @ theta[g, i, :3], np.exp(-theta[g, i, 3])
        y, z = counts.this[g, j], counts.others[g, j]

        def density(b, y=y, z=z, eta=eta, r=r):
            return np.exp(
                stats.nbinom.logpmf(y, r, r / (r + np.exp(b + eta)))
                + stats.nbinom.logpmf(z, r, r / (r + np.exp(b)))
            )

        peak = np.log(sample_level(np.exp(eta), y, z, 1.0 / r))
        exact[g, i] += np.log(integrate.quad(density, peak - 12.0, peak + 12.0, points=[peak], limit=200)[0])
    shift = found - exact  # the constants of the counts
    np.testing.assert_allclose(shift - shift.mean(axis=1, keepdims=True), 0.0, atol=0.08)


def test_samples_without_counts_of_the_gene_say_nothing():
    counts = simulated(4)
    counts.this[:, 5], counts.others[:, 5] = 0.0, 0.0
    fewer = FeatureCounts(*(np.ascontiguousarray(part[:, :5]) for part in counts[:2]), X[:5])
    alpha = np.full(4, 0.1)
    with_all, without = regress(counts, alpha), regress(fewer, alpha)
    np.testing.assert_allclose(with_all.beta, without.beta, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(with_all.information, without.information, rtol=1e-4)
