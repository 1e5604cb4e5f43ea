"""Exponentials and logarithms of arrays, against forty digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numba import njit

from bayesde.numerics.elementary import (
    exponential,
    exponential_less_one,
    logarithm,
    logarithm_of_one_plus,
    logarithm_of_ratio,
)
from bayesde.numerics.sums import combine, mean_and_sd, sum_of, sum_of_products

EPS = np.finfo(float).eps


@njit
def applied(function, values):
    """In a loop, as it is used: compiled to vector instructions."""
    out = np.empty(values.size)
    for i in range(values.size):
        out[i] = function(values[i])
    return out


@njit
def applied_to_pairs(function, one, other):
    out = np.empty(one.size)
    for i in range(one.size):
        out[i] = function(one[i], other[i])
    return out


def in_forty_digits(function, values):
    with mpmath.workdps(40):
        return [function(mpmath.mpf(float(value))) for value in values]


def test_exponentials_are_right_to_two_units_in_the_last_place():
    rng = np.random.default_rng(1)
    values = np.concatenate(
        [rng.normal(0.0, 3.0, 300), rng.uniform(-707.0, 708.0, 300), [0.0, -1e-300, 1e-17]]
    )
    exact = in_forty_digits(mpmath.exp, values)
    error = [
        abs(float((found - true) / true))
        for found, true in zip(applied(exponential, values), exact, strict=True)
    ]
    assert max(error) < 2.0 * EPS


@pytest.mark.parametrize(
    ("function", "exact", "lowest", "highest"),
    [(exponential_less_one, mpmath.expm1, -700.0, 700.0), (logarithm_of_one_plus, mpmath.log1p, -0.999, 1e9)],
)
def test_full_precision_near_zero(function, exact, lowest, highest):
    rng = np.random.default_rng(5)
    small = 10.0 ** rng.uniform(-18.0, -0.5, 300) * rng.choice([-1.0, 1.0], 300)
    values = np.concatenate([small, rng.uniform(-0.5, 0.5, 300), rng.uniform(lowest, highest, 300)])
    true = in_forty_digits(exact, values)
    error = [abs(float((f - t) / t)) for f, t in zip(applied(function, values), true, strict=True)]
    assert max(error) < 2.5 * EPS


def test_exponentials_out_of_range():
    values = np.array([-np.inf, -1e300, -708.5, np.nan, 5000.0, np.inf])
    found = applied(exponential, values)
    np.testing.assert_array_equal(found[:4], 0.0)
    assert found[4] == found[5] == pytest.approx(float(mpmath.exp(709)), rel=1e-12)


def test_logarithms_are_right_to_two_units_in_the_last_place_or_of_one():
    rng = np.random.default_rng(2)
    near_one = 1.0 + rng.uniform(-1e-3, 1e-3, 200)
    powers = 2.0 ** np.arange(-1022.0, 1024.0, 31.0)
    values = np.concatenate(
        [np.exp(rng.uniform(-700.0, 700.0, 400)), near_one, powers, np.sqrt(0.5) * powers[1:]]
    )
    exact = in_forty_digits(mpmath.log, values)
    found = applied(logarithm, values)
    error = [abs(float(a - b)) / max(1.0, abs(float(b))) for a, b in zip(found, exact, strict=True)]
    assert max(error) < 2.0 * EPS
    relative = [abs(float((a - b) / b)) for a, b in zip(found, exact, strict=True) if b]
    assert max(relative) < 2.0 * EPS


def test_logarithms_of_ratios_are_right_to_two_units_in_the_last_place_or_of_one():
    """Of numbers near one another, far apart, and where the ratio is rounded to another power of two."""
    rng = np.random.default_rng(4)
    one = np.exp(np.concatenate([rng.uniform(-300.0, 300.0, 300), rng.normal(0.0, 5.0, 300)]))
    other = np.exp(rng.uniform(-300.0, 300.0, 600))
    near = one * (1.0 + np.concatenate([rng.uniform(-1e-3, 1e-3, 300), rng.uniform(-0.5, 1.0, 300)]))
    one, other = np.concatenate([one, one, one]), np.concatenate([other, near, one])
    with mpmath.workdps(40):
        exact = [
            mpmath.log(mpmath.mpf(float(a)) / mpmath.mpf(float(b))) for a, b in zip(one, other, strict=True)
        ]
    found = applied_to_pairs(logarithm_of_ratio, one, other)
    error = [abs(float(a - b)) / max(1.0, abs(float(b))) for a, b in zip(found, exact, strict=True)]
    assert max(error) < 2.0 * EPS
    relative = [abs(float((a - b) / b)) for a, b in zip(found, exact, strict=True) if b]
    assert max(relative) < 2.0 * EPS
    np.testing.assert_array_equal(found[-600:], 0.0)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 1001])
def test_sums_take_every_number_once(size):
    values = np.random.default_rng(3).normal(size=size)
    assert sum_of(values) == pytest.approx(values.sum(), rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("size", [1, 3, 33, 1001])
def test_moments_and_products_of_rows(size):
    one, other = np.random.default_rng(5).normal(3.0, 2.0, (2, size))
    assert mean_and_sd(one) == pytest.approx((one.mean(), one.std()), rel=1e-13, abs=1e-13)
    assert sum_of_products(one, other) == pytest.approx(one @ other, rel=1e-13)


@pytest.mark.parametrize("factors", [[0.0, 0.0, 0.0], [0.0, 2.0, 0.0], [1.0, 0.0, -3.0], [1.0, 2.0, 3.0]])
def test_rows_are_combined(factors):
    rows, total = np.random.default_rng(6).normal(size=(3, 50)), np.empty(50)
    combine(0.5, np.array(factors), rows, total)
    np.testing.assert_allclose(total, 0.5 + np.array(factors) @ rows, rtol=1e-13, atol=1e-14)
