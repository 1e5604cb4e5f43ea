"""Eigenvectors of symmetric matrices against LAPACK's, and their signs."""

import numpy as np
import pytest

from bayesde.numerics.small_matrices import eigenvectors


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_eigenvectors_are_those_of_lapack(size):
    half = np.random.default_rng(size).normal(size=(size, size))
    matrix = half + half.T
    before = matrix.copy()
    values, vectors = eigenvectors(matrix)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix)[::-1], atol=1e-12)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(size), atol=1e-12)
    np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-11)
    np.testing.assert_array_equal(matrix, before)


def test_singular_and_repeated_eigenvalues():
    columns = np.random.default_rng(3).normal(size=(6, 2))
    values, vectors = eigenvectors(columns @ columns.T)
    np.testing.assert_allclose(values[2:], 0.0, atol=1e-13)
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, columns @ columns.T, atol=1e-12)
    values, vectors = eigenvectors(2.0 * np.eye(3))
    np.testing.assert_array_equal(values, 2.0)
    np.testing.assert_array_equal(vectors, np.eye(3))
    np.testing.assert_array_equal(eigenvectors(np.zeros((2, 2)))[0], 0.0)


def test_the_largest_entry_is_positive_and_rounding_does_not_choose_it():
    values, vectors = eigenvectors(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    np.testing.assert_allclose(values, [2.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(vectors, np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2.0))
