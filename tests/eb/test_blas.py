"""One BLAS thread while SciPy searches: the setting is found, used, and put back, also after an error."""

import numpy as np
import pytest

from bayesde.eb import blas
from bayesde.eb.trend import _trimmed_mean


def test_the_number_of_threads_is_put_back(monkeypatch):
    told = []
    monkeypatch.setattr(blas, "_control", lambda: (lambda: 7, told.append))
    with blas.one_blas_thread():
        assert told == [1]
    assert told == [1, 7]
    with pytest.raises(ZeroDivisionError), blas.one_blas_thread():
        raise ZeroDivisionError
    assert told == [1, 7, 1, 7]


@pytest.mark.parametrize("control", [None, (lambda: 1, lambda number: pytest.fail("nothing to set"))])
def test_nothing_is_set_where_there_is_one_thread_or_another_library(monkeypatch, control):
    monkeypatch.setattr(blas, "_control", lambda: control)
    with blas.one_blas_thread():
        pass


def test_the_library_in_a_wheel_of_scipy_is_found():
    control = blas._control()
    if control is None:
        pytest.skip("SciPy brings no OpenBLAS of its own here")
    before = control[0]()
    with blas.one_blas_thread():
        assert control[0]() == 1
    assert control[0]() == before


@pytest.mark.parametrize("n", [5, 1000, 2500])
def test_the_trimmed_mean_is_scipys(n):
    from scipy.stats import trim_mean

    values = np.random.default_rng(n).lognormal(sigma=3.0, size=n)
    assert _trimmed_mean(values, 0.001) == pytest.approx(trim_mean(values, 0.001), rel=1e-14)
