import math

import numpy as np
import pytest

from bayesde.numerics import libm as elementwise

FUNCTIONS = ("exp", "log", "log2", "sinh", "asinh")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_the_c_library_s(name):
    x = np.array([[0.1, 1.0, 2.5], [1e-300, 3e5**0.5, 300.0]])
    ours, theirs = getattr(elementwise, name), getattr(math, name)
    expected = np.array([[theirs(value) for value in row] for row in x])
    assert np.array_equal(ours(x), expected)
    assert np.array_equal(ours(x.T), expected.T), "of another layout"


def test_limits_are_numpy_s():
    with np.errstate(all="ignore"):
        for name, x in (
            ("exp", [np.inf, -np.inf, np.nan, 1e4, -1e4]),
            ("log", [0.0, -1.0, np.inf, np.nan]),
            ("log2", [0.0, -1.0, np.inf, np.nan]),
        ):
            assert np.array_equal(getattr(elementwise, name)(x), getattr(np, name)(x), equal_nan=True)


def test_a_number_stays_a_number_and_the_argument_may_be_overwritten():
    assert float(elementwise.exp(1.0)) == math.e
    x = np.array([1.0, 4.0])
    kept = x.copy()
    assert np.array_equal(elementwise.log2(x), [0.0, 2.0])
    assert np.array_equal(x, kept)
    assert elementwise.log2(x, out=x) is x
    assert np.array_equal(x, [0.0, 2.0])
