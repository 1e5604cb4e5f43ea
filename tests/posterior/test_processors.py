"""Numbers that are the same whatever instructions and libraries a processor has."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import bayesde
from bayesde.eb.fit import fit_eb
from bayesde.numerics.compiled import kernel
from bayesde.numerics.elementary import exponentials, logarithms
from bayesde.numerics.small_matrices import (
    cholesky,
    inverse,
    products,
    solve,
    weighted_mean,
    weighted_products,
)
from bayesde.numerics.sorting import sorting_order
from bayesde.posterior.summaries.laplace_tails import _orthogonal

ROOM = Path(bayesde.__file__).parent

PROGRAM = """
import hashlib, pickle, sys
import numpy as np
import bayesde
from bayesde.posterior import SamplingOptions, fit_posterior
fit = pickle.load(open(sys.argv[1], "rb"))
made = fit_posterior(fit.counts, fit.design, eb=fit, draws=500, options=SamplingOptions(hand_over=False))
table, joint = made.results(lfc_threshold=0.5), made.contrasts()
parts = [made.gene_draws.theta, made.gene_draws.log_weights, made.draws["beta"], joint["covariance"]]
parts += [table.select_dtypes("number").to_numpy(float), made.hyperparameters.draws["dispersion_sd"]]
print([hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest()[:12] for part in parts])
print([name for name in ("arviz", "cmdstanpy", "matplotlib", "scipy.stats") if name in sys.modules])
"""


def hashes(path, **environment):
    """Hashes of a posterior's numbers, found by a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOM.parent)} | environment,
    )
    return ran.stdout.strip()


def test_libraries_and_threads_change_no_byte(pasilla_fit, tmp_path):
    counts = pasilla_fit.counts.subset(genes=list(pasilla_fit.counts.genes[::20]))
    path = tmp_path / "fit.pickle"
    path.write_bytes(pickle.dumps(fit_eb(counts, "~ type + condition")))
    expected = hashes(path)
    assert len(expected) > 60
    assert expected.endswith("\n[]")  # nothing is loaded that is slow to load and not needed
    assert hashes(path, OPENBLAS_CORETYPE="Prescott", NUMBA_NUM_THREADS="1") == expected
    plain = {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX"}
    assert hashes(path, OPENBLAS_CORETYPE="Haswell", **plain) == expected


def test_no_flag_allows_other_rounding():
    assert "fastmath" not in kernel(lambda: None).targetoptions
    for path in (ROOM / "posterior").rglob("*.py"):
        assert "fastmath" not in path.read_text(encoding="utf-8"), path


numbers = arrays.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 60)), elements=st.floats())


@settings(max_examples=80, deadline=None)
@given(numbers)
def test_sorting_is_stable(values):
    values = np.where(np.isnan(values), np.nan, values)  # of positive sign
    np.testing.assert_array_equal(sorting_order(values), np.argsort(values, axis=1, kind="stable"))


def test_sorting_of_many_draws_of_either_precision():
    values = np.random.default_rng(1).standard_cauchy((300, 1000))
    values[:, ::7] = values[:, 1::7][:, : values[:, ::7].shape[1]]
    for draws in (values, values.astype(np.float32).astype(float), np.full((2, 50), 3.0), np.empty((2, 0))):
        np.testing.assert_array_equal(sorting_order(draws), np.argsort(draws, axis=1, kind="stable"))


def test_exponentials_and_logarithms_of_arrays():
    values = np.random.default_rng(2).normal(0.0, 20.0, (30, 40))
    np.testing.assert_allclose(exponentials(values), np.exp(values), rtol=1e-15)
    np.testing.assert_allclose(logarithms(np.exp(values[:, ::2])), values[:, ::2], rtol=1e-14, atol=1e-15)
    assert exponentials(0.0).shape == ()
    np.testing.assert_array_equal(exponentials([-np.inf, np.nan, -800.0]), [0.0, np.nan, 0.0])
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(
            logarithms([0.0, -1.0, np.inf, np.nan]), [-np.inf, np.nan, np.inf, np.nan]
        )
    np.testing.assert_allclose(logarithms([5e-324]), np.log(5e-324))


def test_small_matrices_against_lapack():
    rng = np.random.default_rng(3)
    rows, weight, vector = rng.normal(size=(40, 5)), rng.dirichlet(np.ones(40)), rng.normal(size=5)
    matrix = rows.T @ rows
    np.testing.assert_allclose(products(rows), matrix, rtol=1e-12)
    np.testing.assert_allclose(cholesky(matrix), np.linalg.cholesky(matrix), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(solve(matrix, vector), np.linalg.solve(matrix, vector), rtol=1e-10)
    np.testing.assert_allclose(inverse(matrix), np.linalg.inv(matrix), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(weighted_mean(weight, rows), weight @ rows, rtol=1e-12, atol=1e-15)
    expected = (weight[:, None] * rows).T @ rows
    np.testing.assert_allclose(weighted_products(weight, rows), expected, rtol=1e-11, atol=1e-14)
    for of in (cholesky, inverse):
        assert of(-matrix) is None
    assert solve(-matrix, vector) is None


@pytest.mark.parametrize("vector", [[1.0], [0.0, -2.0, 0.0], [0.5, -0.5, 0.0, 0.0], [1.0, 2.0, 3.0, -4.0]])
def test_basis_of_what_is_orthogonal_to_a_contrast(vector):
    vector = np.array(vector)
    basis = _orthogonal(vector)
    assert basis.shape == (vector.size, vector.size - 1)
    np.testing.assert_allclose(basis.T @ basis, np.eye(vector.size - 1), atol=1e-14)
    np.testing.assert_allclose(basis.T @ vector, 0.0, atol=1e-14)
