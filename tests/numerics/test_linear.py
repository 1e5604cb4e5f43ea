import numpy as np
import pytest

from bayesde.numerics.linear import (
    combine,
    least_squares,
    orthonormal_columns,
    products,
    projections,
    solve_tridiagonal,
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("shape", [(5, 1), (7, 3), (4, 4), (69, 12)])
def test_decomposition(rng, shape):
    x = rng.normal(size=shape)
    basis, triangular = orthonormal_columns(x)
    np.testing.assert_allclose(basis @ triangular, x, atol=1e-13)
    np.testing.assert_allclose(basis.T @ basis, np.eye(shape[1]), atol=1e-13)
    assert np.array_equal(triangular, np.triu(triangular))


def test_least_squares_are_those_of_lapack(rng):
    x, y = rng.normal(size=(30, 4)) * [1.0, 1e3, 1e-3, 1.0], rng.normal(size=30)
    np.testing.assert_allclose(least_squares(x, y), np.linalg.lstsq(x, y)[0], rtol=1e-10)
    basis, to_coefficients = projections(x)
    np.testing.assert_allclose(to_coefficients @ y, least_squares(x, y), rtol=1e-10)
    np.testing.assert_allclose(basis @ (basis.T @ y), x @ least_squares(x, y), rtol=1e-10)


def test_a_column_that_depends_on_others_gets_no_weight(rng):
    x, y = rng.normal(size=(10, 2)), rng.normal(size=10)
    dependent = np.column_stack([x, x[:, 0] - 2.0 * x[:, 1], np.zeros(10)])
    found = least_squares(dependent, y)
    np.testing.assert_allclose(found[:2], np.linalg.lstsq(x, y)[0], rtol=1e-10)
    assert found[2:].tolist() == [0.0, 0.0]


def test_fewer_rows_than_columns(rng):
    x, y = rng.normal(size=(2, 4)), rng.normal(size=2)
    found = least_squares(x, y)
    np.testing.assert_allclose(x @ found, y, rtol=1e-12)
    assert found[2:].tolist() == [0.0, 0.0]


def test_products_and_combinations(rng):
    x, y, weights = rng.normal(size=(6, 3)), rng.normal(size=(5, 3)), np.array([1.0, 0.0, -2.0])
    np.testing.assert_allclose(products(x, y), x @ y.T, rtol=1e-13)
    np.testing.assert_allclose(combine(x, weights), x @ weights, rtol=1e-13)
    assert np.array_equal(combine(np.full((4, 1), np.inf), np.zeros(1)), np.zeros(4)), "0 leaves a column out"


def test_tridiagonal_systems(rng):
    below, above, y = rng.normal(size=9), rng.normal(size=9), rng.normal(size=10)
    diagonal = rng.uniform(3.0, 4.0, 10)
    matrix = np.diag(diagonal) + np.diag(below, -1) + np.diag(above, 1)
    np.testing.assert_allclose(
        solve_tridiagonal(below, diagonal, above, y), np.linalg.solve(matrix, y), rtol=1e-12
    )
