import math

import mpmath
import numpy as np
import pytest
from scipy.special import digamma

from bayesde.numerics.cholesky import cholesky, invert, log_determinant, solve, weighted_gram
from bayesde.numerics.gamma_functions import gamma_excess, gamma_excess_with_slope, log_one_plus
from bayesde.numerics.negative_binomial import nb_constant, nb_log_pmf

mpmath.mp.dps = 50


def exact_excess(x: float) -> float:
    x = mpmath.mpf(x)
    return float(mpmath.loggamma(x) - (x * mpmath.log(x) - x + mpmath.log(2 * mpmath.pi) / 2))


def exact_log_pmf(y: float, mu: float, dispersion: float) -> float:
    y, mu, r = mpmath.mpf(y), mpmath.mpf(mu), 1 / mpmath.mpf(dispersion)
    value = mpmath.loggamma(y + r) - mpmath.loggamma(r) - mpmath.loggamma(y + 1)
    return float(value + y * mpmath.log(mu / (mu + r)) + r * mpmath.log(r / (mu + r)))


@pytest.mark.parametrize("x", [1e-8, 1e-3, 0.3, 1.0, 2.5, 9.999, 10.0, 10.001, 123.4, 1e5, 1e9])
def test_gamma_excess_equals_its_definition_in_50_digits(x):
    assert gamma_excess(x) == pytest.approx(exact_excess(x), rel=2e-14, abs=5e-15)


@pytest.mark.parametrize("x", [1e-8, 1e-3, 0.3, 1.0, 2.5, 4.7, 9.999, 10.0, 123.4, 1e5, 1e8])
def test_gamma_excess_with_its_slope(x):
    value, slope = gamma_excess_with_slope(x)
    assert value == pytest.approx(gamma_excess(x), rel=1e-14)
    with mpmath.workdps(40):
        exact = float(mpmath.digamma(mpmath.mpf(x)) - mpmath.log(mpmath.mpf(x)))
    assert slope == pytest.approx(exact, rel=1e-13)
    assert slope + math.log(x) == pytest.approx(digamma(x), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("dispersion", [1e-8, 1e-4, 0.1, 3.0, 1e3])
@pytest.mark.parametrize(
    ("y", "mu"), [(0, 0.5), (0, 1e4), (1, 0.5), (7, 7.0), (300, 1.0), (1e5, 1.1e5), (1e7, 9e6)]
)
def test_log_pmf_keeps_its_digits_from_poisson_to_extreme_noise(y, mu, dispersion):
    rounding = max(1e-13, 1e-15 * abs(y - mu))  # two terms of the size of y - mu cancel
    exact = exact_log_pmf(y, mu, dispersion)
    assert nb_log_pmf(float(y), mu, dispersion) == pytest.approx(exact, rel=1e-11, abs=rounding)


@pytest.mark.parametrize("x", [-0.5, -1e-3, -1e-17, 0.0, 1e-300, 1e-12, 0.1, 1.0, 7.3, 1e8, 1e300])
def test_log_one_plus_keeps_its_digits(x):
    assert log_one_plus(x) == pytest.approx(float(mpmath.log1p(mpmath.mpf(x))), rel=4e-16)


@pytest.mark.parametrize("dispersion", [1e-8, 1e-3, 0.4, 50.0])
@pytest.mark.parametrize("y", [0, 1, 2, 11, 12, 13, 40, 1e4])
def test_the_constant_is_what_the_log_pmf_has_beside_its_mean(y, dispersion):
    y, alpha = mpmath.mpf(y), mpmath.mpf(dispersion)
    r = 1 / alpha
    exact = mpmath.loggamma(y + r) - mpmath.loggamma(r) - mpmath.loggamma(y + 1) + y * mpmath.log(alpha)
    ours = nb_constant(float(y), dispersion, gamma_excess(1.0 / dispersion))
    assert ours == pytest.approx(float(exact), rel=1e-13, abs=1e-13)


def test_log_pmf_sums_to_one():
    total = sum(math.exp(nb_log_pmf(float(y), 4.0, 0.7)) for y in range(400))
    assert total == pytest.approx(1.0, abs=1e-12)


def test_small_matrices_agree_with_lapack():
    rng = np.random.default_rng(1)
    design, weights, vector = rng.normal(size=(9, 4)), rng.uniform(0.1, 2.0, size=9), rng.normal(size=4)
    gram, factor, inverse, solution = np.empty((4, 4)), np.zeros((4, 4)), np.empty((4, 4)), vector.copy()
    weighted_gram(design, weights, gram)
    assert np.allclose(gram, design.T @ np.diag(weights) @ design, rtol=1e-14)
    assert cholesky(gram, factor)
    invert(factor, inverse)
    solve(factor, solution)
    assert np.allclose(inverse @ gram, np.eye(4), atol=1e-12)
    assert np.allclose(gram @ solution, vector, atol=1e-12)
    assert log_determinant(factor) == pytest.approx(np.linalg.slogdet(gram)[1], rel=1e-13)


def test_an_indefinite_matrix_has_no_factor():
    assert not cholesky(np.array([[1.0, 2.0], [2.0, 1.0]]), np.zeros((2, 2)))
