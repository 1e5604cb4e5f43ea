"""What a gene's log probability has of gamma functions, against mpmath, at single points and by the table."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from bayesde.posterior.proposal.gamma_terms import POINTS, add_gamma_terms, fill_table, gamma_terms

COUNTS = [[0, 0, 1, 0], [1, 2, 3, 9], [10, 11, 0, 4], [250, 0, 7, 31], [12_345_678, 1, 88, 402], [0, 0, 0, 0]]


def reference(counts, a):
    """E(a) with 60 digits, of which towards Poisson some forty cancel."""
    with mpmath.workdps(60):
        r = mpmath.exp(-mpmath.mpf(float(a)))

        def rest(z):
            return mpmath.loggamma(z) - (z * mpmath.log(z) - z + mpmath.log(2 * mpmath.pi) / 2)

        return float(sum(rest(int(y) + r) - rest(r) for y in counts if y > 0))


def by_table(counts, a):
    room, table = np.empty((4, POINTS)), np.empty((POINTS, 5))
    start, size = fill_table(counts, a, room, table)
    out = np.zeros(a.size)
    add_gamma_terms(counts, a, start, size, table, out)
    return out, size


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize(("middle", "sd"), [(-4.0, 0.5), (0.5, 1.5), (-18.0, 0.3), (6.0, 0.2), (-1.0, 20.0)])
def test_excess_against_mpmath(counts, middle, sd):
    """Narrow and wide draws, towards Poisson and with hardly a count; the widest need more than the table."""
    counts = np.array(counts, dtype=float)
    a = middle + sd * np.random.default_rng(4).standard_t(6, 200)
    expected = np.array([reference(counts, value) for value in a])
    np.testing.assert_allclose([gamma_terms(counts, value) for value in a], expected, rtol=1e-9, atol=1e-9)
    found, size = by_table(counts, a)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-7)
    assert size <= POINTS


def test_the_table_goes_to_where_draws_are():
    """Some of Student-t draws are further out than it goes, and the middle of the draws is in it."""
    a = -2.0 + np.random.default_rng(4).standard_t(6, 1000)
    _, size = by_table(np.array([3.0, 40.0]), a)
    assert 30 < size < 100
