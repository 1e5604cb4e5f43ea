import numpy as np
import pytest
from scipy.optimize import minimize

from bayesde import Counts, fit_eb
from bayesde.design import Design
from bayesde.eb.shrinkage.normal import _mode, prior_variances, shrink_normally


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(8)
    means = rng.lognormal(4.0, 1.0, 400)[:, None] * np.exp(
        rng.normal(0, 0.5, 400)[:, None] * np.tile([0, 1], 4)
    )
    return fit_eb(Counts(rng.negative_binomial(5.0, 5.0 / (5.0 + means)), sample_table=None), design())


def design():
    return Design.from_matrix(np.column_stack([np.ones(8), np.tile([0.0, 1.0], 4)]), ["Intercept", "treated"])


def test_mode_of_a_gene_that_does_not_settle_is_scipy_s():
    rng = np.random.default_rng(2)
    x = np.column_stack([np.ones(8), np.tile([0.0, 1.0], 4)])
    y, factors, ridge = (
        np.array([0.0, 3.0, 0.0, 0.0, 900.0, 0.0, 0.0, 2.0]),
        rng.uniform(0.5, 2, 8),
        [1e-6, 8.0],
    )

    def loss(b):
        mu = factors * np.exp(x @ b)
        return np.sum((y + 0.2) * np.log1p(5.0 * mu) - y * (x @ b)) + 0.5 * np.sum(ridge * b**2)

    found = _mode(y, factors, np.ones(8), x, 5.0, np.array(ridge))
    best = minimize(loss, found + 0.1, method="BFGS", options={"gtol": 1e-9})
    assert loss(found) <= best.fun + 1e-10
    assert found == pytest.approx(best.x, abs=1e-4)


def test_effects_are_modes_and_sds_their_curvature(fit):
    ridge, found = 1.0 / prior_variances(fit), shrink_normally(fit, 1)
    x = fit.design.matrix
    for g in range(0, 400, 40):
        y, alpha, factors = fit.counts.rows([g])[0], fit.dispersion[g], fit.normalization_factors[g]

        def loss(b, y=y, alpha=alpha, factors=factors):
            mu = factors * np.exp(x @ b)
            return np.sum((y + 1 / alpha) * np.log1p(alpha * mu) - y * (x @ b)) + 0.5 * np.sum(ridge * b**2)

        best = minimize(loss, fit.beta[g], method="BFGS", options={"gtol": 1e-8}).x
        assert found.effect[g] == pytest.approx(best[1], abs=1e-5)
        mu = factors * np.exp(x @ best)
        information = x.T @ np.diag(mu / (1 + alpha * mu)) @ x + np.diag(ridge)
        assert found.sd[g] == pytest.approx(np.sqrt(np.linalg.inv(information)[1, 1]), rel=1e-4)
        assert found.error[g] < found.sd[g]
