import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import nbinom, norm

from bayesde.eb.regression.bounded import _log_pmf_at_fit, _objective, fit_bounded

RIDGE = 1e-6
DESIGN = np.column_stack([np.ones(8), [0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1]]).astype(float)
FACTORS = np.array([0.7, 1.3, 1.0, 0.9, 1.1, 0.8, 1.2, 1.05])
COUNTS = np.array([0.0, 8.0, 2.0, 0.0, 190.0, 7.0, 33.0, 1.0])


def objective(log2_beta, dispersion, weights):
    at_fit = _log_pmf_at_fit(COUNTS, dispersion)
    return _objective(log2_beta, at_fit, COUNTS, FACTORS, weights, DESIGN, dispersion, RIDGE)


def by_scipy(log2_beta, counts, dispersion, weights=1.0):
    mu, r = FACTORS * 2.0 ** (DESIGN @ log2_beta), 1.0 / dispersion
    likelihood = np.sum(weights * nbinom.logpmf(counts, r, r / (r + mu)))
    return -likelihood - np.sum(norm.logpdf(log2_beta, 0.0, math.sqrt(1.0 / RIDGE)))


@pytest.mark.parametrize("dispersion", [1e-3, 0.5, 8.0])
@pytest.mark.parametrize("log2_beta", [(0.0, 0.0, 0.0), (2.0, 1.5, -0.7), (-9.0, 12.0, 4.0)])
def test_the_objective_is_that_of_scipy(log2_beta, dispersion):
    log2_beta = np.array(log2_beta)
    assert objective(log2_beta, dispersion, np.ones(8)) == pytest.approx(
        by_scipy(log2_beta, COUNTS, dispersion), rel=1e-11
    )


def test_the_objective_weighs_observations():
    log2_beta, weights = np.array([2.0, 1.5, -0.7]), np.linspace(0.0, 1.0, 8)
    expected = by_scipy(log2_beta, COUNTS, 0.5, weights)
    assert objective(log2_beta, 0.5, weights) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("start", [(0.0, 0.0, 0.0), (3.0, -2.0, 1.0), (25.0, 0.0, 0.0)])
def test_the_search_ends_within_its_tolerance_of_the_optimum(start):
    beta, converged = fit_bounded(
        COUNTS[None], FACTORS[None], DESIGN, np.array([0.5]), np.array([start]), np.zeros((1, 3)), RIDGE
    )
    best = minimize(by_scipy, np.ones(3), args=(COUNTS, 0.5), method="Nelder-Mead", options={"fatol": 1e-12})
    assert converged.all()
    reached = by_scipy(beta[0] / math.log(2.0), COUNTS, 0.5)
    assert reached <= best.fun + 1e-7
    assert np.allclose(beta[0] / math.log(2.0), best.x, atol=2e-3)


def test_coefficients_that_want_to_run_away_end_at_the_bounds():
    counts = np.array([0.0, 0.0, 0.0, 0.0, 900.0, 800.0, 900.0, 800.0])
    separable = np.column_stack([DESIGN[:, 0], DESIGN[:, 1], 40.0 * DESIGN[:, 1]])
    beta, _ = fit_bounded(
        counts[None],
        FACTORS[None],
        separable,
        np.array([0.1]),
        np.full((1, 3), np.nan),
        np.zeros((1, 3)),
        RIDGE,
    )
    assert np.all(np.abs(beta) <= 30.0 * math.log(2.0) + 1e-12)
    assert np.isfinite(beta).all()


def test_a_start_out_of_bounds_gives_way_to_least_squares():
    least_squares = np.array([[0.5, 1.0, -0.5]])
    runaway = np.array([[50.0, -50.0, 0.0]])
    arguments = (COUNTS[None], FACTORS[None], DESIGN, np.array([0.5]))
    found = fit_bounded(*arguments, runaway, least_squares, RIDGE)[0]
    # taken for log2 units, whatever its own: the start that DESeq2 uses
    expected = fit_bounded(*arguments, least_squares * math.log(2.0), least_squares, RIDGE)[0]
    assert np.array_equal(found, expected)


def test_nothing_of_the_callers_is_modified():
    start, least_squares = np.array([[0.1, 0.2, 0.3]]), np.zeros((1, 3))
    kept = start.copy()
    fit_bounded(COUNTS[None], FACTORS[None], DESIGN, np.array([0.5]), start, least_squares, RIDGE)
    assert np.array_equal(start, kept)
