"""Exponentials and logarithms of arrays, against forty digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from bayesde.posterior.importance.elementary import exponentials, logarithms, sum_of

EPS = np.finfo(float).eps


def applied(function, values):
    out = np.empty(values.size)
    function(values, np.empty(values.size, dtype=np.int64), out)
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
        for found, true in zip(applied(exponentials, values), exact, strict=True)
    ]
    assert max(error) < 2.0 * EPS


def test_exponentials_out_of_range():
    values = np.array([-np.inf, -1e300, -708.5, np.nan, 5000.0, np.inf])
    found = applied(exponentials, values)
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
    found = applied(logarithms, values)
    error = [abs(float(a - b)) / max(1.0, abs(float(b))) for a, b in zip(found, exact, strict=True)]
    assert max(error) < 2.0 * EPS
    relative = [abs(float((a - b) / b)) for a, b in zip(found, exact, strict=True) if b]
    assert max(relative) < 2.0 * EPS


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 1001])
def test_sums_take_every_number_once(size):
    values = np.random.default_rng(3).normal(size=size)
    assert sum_of(values) == pytest.approx(values.sum(), rel=1e-13, abs=1e-13)
