"""Tail probabilities of a count, against SciPy and mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy import stats

from bayesde.numerics.negative_binomial import nb_log_pmf
from bayesde.posterior.queries.count_tails import count_tails


def tails(y, mu, dispersion):
    return count_tails(float(y), mu, 1.0 / dispersion, np.exp(nb_log_pmf(float(y), mu, dispersion)))


@pytest.mark.parametrize("dispersion", [1e-3, 0.05, 0.7, 5.0, 80.0])
@pytest.mark.parametrize("mu", [0.02, 1.0, 37.0, 2e3, 4e5])
def test_both_tails_agree_with_scipy(mu, dispersion):
    r = 1.0 / dispersion
    law = stats.nbinom(r, r / (r + mu))
    for y in sorted({0, 1, 5, *law.ppf([1e-4, 0.05, 0.5, 0.9, 0.9999]).astype(int)}):
        below, above = tails(y, mu, dispersion)
        np.testing.assert_allclose(below, law.cdf(y - 1), rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(above, law.sf(y), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(
    ("y", "mu", "dispersion"), [(400, 20.0, 0.02), (3, 500.0, 0.01), (90, 2.0, 1e-8), (2000, 900.0, 1e-6)]
)
def test_small_tails_keep_their_digits(y, mu, dispersion):
    with mpmath.workdps(60):
        r = mpmath.mpf(1) / mpmath.mpf(dispersion)
        x = r / (r + mpmath.mpf(mu))
        if y > mu:
            exact = mpmath.betainc(y + 1, r, 0, 1 - x, regularized=True)
        else:
            exact = mpmath.betainc(r, y, 0, x, regularized=True)
    found = tails(y, mu, dispersion)[1 if y > mu else 0]
    assert 0.0 < exact < 1e-8
    assert found == pytest.approx(float(exact), rel=1e-7)


def test_a_poisson_count():
    below, above = tails(105, 100.0, 1e-10)
    assert below == pytest.approx(stats.poisson.cdf(104, 100.0), rel=1e-6)
    assert above == pytest.approx(stats.poisson.sf(105, 100.0), rel=1e-6)


def test_means_at_the_ends_of_double_precision():
    assert count_tails(5.0, np.exp(700.0), 2.0, 0.0) == pytest.approx((0.0, 1.0))
    assert count_tails(5.0, np.exp(-700.0), 2.0, 0.0) == pytest.approx((1.0, 0.0))
    assert count_tails(0.0, np.exp(-700.0), 2.0, 1.0) == pytest.approx((0.0, 0.0), abs=1e-300)
