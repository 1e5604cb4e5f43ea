"""Normal equations with disjoint columns against dense ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesde.counts import Counts
from bayesde.eb.fit import fit_eb
from bayesde.eb.options import EbOptions
from bayesde.eb.regression import arrow, design_layout
from bayesde.eb.regression.arrow import Arrow
from bayesde.eb.regression.design_layout import Cells
from bayesde.eb.regression.information import (
    add_products,
    equations,
    leverages,
    log_determinant_and_trace,
    quadratic_forms,
    set_predictors,
    solve_equations,
    standard_errors,
)
from bayesde.numerics.compiled import kernel
from benchmarks.parity.reference import load

PATIENTS = 18
REFERENCE = Path(__file__).parents[2] / "reference"


def paired(intercept=True, covariate=False):
    """Patients twice each, and one sample of a further tissue for some."""
    rng = np.random.default_rng(3)
    patient = np.concatenate([np.repeat(np.arange(PATIENTS), 2), np.arange(7)])
    tissue = np.concatenate([np.tile([0, 1], PATIENTS), np.full(7, 2)])
    first = 1 if intercept else 0
    columns = [np.ones(patient.size)] if intercept else []
    columns += [(tissue == k) * 1.0 for k in (1, 2)]
    columns += [(patient == k) * (1.0 + 0.5 * k) for k in range(first, PATIENTS)]
    if covariate:
        columns.append(rng.normal(size=patient.size))
    return np.column_stack(columns)


DESIGNS = {
    "treatment coding": paired(),
    "without an intercept": paired(intercept=False),
    "with a covariate": paired(covariate=True),
    "levels alone": np.repeat(np.eye(PATIENTS), 2, axis=0),
}


@pytest.fixture(params=list(DESIGNS))
def both(request):
    """Cells of a design as an arrow, and as a dense matrix; weights, ridge and a vector."""
    design, rng = DESIGNS[request.param], np.random.default_rng(5)
    cells, dense = Cells.of(design), Cells.of(design, fewest=10**6)
    assert cells.arrow.disjoint.size >= PATIENTS - 1
    assert not dense.arrow.disjoint.size
    total = np.exp(rng.normal(2.0, 2.0, len(cells.rows)))
    return (
        cells,
        dense,
        total,
        np.exp(rng.normal(-2.0, 2.0, design.shape[1])),
        rng.normal(size=design.shape[1]),
    )


@kernel
def solution(cells, total, ridge, vector):
    found = vector.copy()
    solve_equations(cells, total, ridge, equations(cells), found)
    return found


@kernel
def determinant(cells, total, square):
    return log_determinant_and_trace(cells, total, square, np.zeros(cells.rows.shape[1]), equations(cells))


def test_structure_reproduces_the_rows(both):
    cells = both[0]
    own, rows = cells.arrow, np.zeros_like(cells.rows)
    has = own.level >= 0
    rows[has, own.disjoint[own.level[has]]] = own.value[has]
    rows[:, own.dense] = own.border
    assert np.array_equal(rows, cells.rows)
    assert ((cells.rows[:, own.disjoint] != 0.0).sum(axis=1) <= 1).all()


def test_solutions_errors_and_leverages_are_those_of_dense_matrices(both):
    cells, dense, total, ridge, vector = both
    m, p = cells.rows.shape
    information = cells.rows.T @ (total[:, None] * cells.rows)
    inverse = np.linalg.inv(information + np.diag(ridge))
    np.testing.assert_allclose(
        solution(cells, total, ridge, vector), inverse @ vector, rtol=1e-10, atol=1e-13
    )
    np.testing.assert_allclose(
        solution(dense, total, ridge, vector), inverse @ vector, rtol=1e-10, atol=1e-13
    )
    sandwich = inverse @ information @ inverse
    expected = {
        "errors": np.sqrt(np.diag(sandwich)),
        "leverage": np.einsum("ca,ab,cb->c", cells.rows, inverse, cells.rows),
        "forms": [vector @ inverse @ vector, vector @ sandwich @ vector],
    }
    for own in (cells, dense):
        errors, leverage = np.empty(p), np.empty(m)
        assert standard_errors(own, total, ridge, errors)
        assert leverages(own, total, ridge, leverage)
        found = {"errors": errors, "leverage": leverage, "forms": quadratic_forms(own, total, ridge, vector)}
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-9)


def test_determinants_leave_out_what_has_no_weight(both):
    cells, dense, total, _, _ = both
    total = np.where(cells.arrow.level == 2, 0.0, total)  # a level of which no observation is usable
    square = total**1.5
    for own in (cells, dense):
        log_det, trace = determinant(own, total, square)
        kept = (cells.rows[total > 0.0] != 0.0).any(axis=0)
        rows = cells.rows[:, kept]
        information = rows.T @ (total[:, None] * rows)
        assert np.isclose(log_det, np.linalg.slogdet(information)[1], rtol=1e-12)
        product = np.linalg.solve(information, rows.T @ (square[:, None] * rows))
        assert np.isclose(trace, np.trace(product), rtol=1e-10)


def test_products_with_the_design(both):
    cells, dense, total, _, vector = both
    for own in (cells, dense):
        eta, added = np.empty(len(own.rows)), vector.copy()
        set_predictors(own, vector, eta)
        np.testing.assert_allclose(eta, own.rows @ vector, rtol=1e-12, atol=1e-12)
        add_products(own, total, added)
        np.testing.assert_allclose(added, vector + own.rows.T @ total, rtol=1e-12)


def test_singular_matrices_are_recognized():
    cells = Cells.of(DESIGNS["treatment coding"])
    nothing, ridge = np.zeros(len(cells.rows)), np.full(cells.rows.shape[1], -1.0)
    assert not standard_errors(cells, nothing, ridge, np.empty(ridge.size))
    assert np.isnan(quadratic_forms(cells, nothing, ridge, ridge)).all()


def test_small_and_crossed_designs_are_dense():
    assert not Arrow.of(np.column_stack([np.ones(8), np.repeat(np.eye(4)[:, 1:], 2, axis=0)])).disjoint.size
    rng = np.random.default_rng(0)
    assert not Arrow.of(rng.normal(size=(60, 40))).disjoint.size
    few = np.column_stack([np.repeat(np.eye(16), 3, axis=0), rng.normal(size=(48, 17))])
    assert not Arrow.of(few).disjoint.size  # more others than levels


def fits(counts, formula, monkeypatch):
    """The same fit by arrows and by dense matrices, with outliers replaced and with weights."""
    found = []
    for fewest in (2, 10**6):
        with monkeypatch.context() as patch:
            patch.setattr(design_layout.Arrow, "of", arrow_of(fewest))
            fit = fit_eb(counts, formula, options=EbOptions(min_replicates=3))
            assert (fit.inputs.layout.cells.arrow.disjoint.size > 0) == (fewest == 2)
            found.append((fit, fit.test_lrt("~ 1"), fit.shrink(method="normal")))
    return found


def arrow_of(fewest):
    original = arrow.Arrow.of.__func__
    return classmethod(lambda cls, rows, _=0: original(cls, rows, fewest))


def assert_same_fits(one, other):
    for name in ("beta", "beta_se", "dispersion", "dispersion_gene_wise", "max_cooks"):
        np.testing.assert_allclose(getattr(one[0], name), getattr(other[0], name), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(one[0].cooks_distances(), other[0].cooks_distances(), rtol=1e-8, atol=1e-12)
    assert np.array_equal(one[0].separated, other[0].separated)
    for ours, theirs in zip(one[1:], other[1:], strict=True):
        pd.testing.assert_frame_equal(pd.DataFrame(ours), pd.DataFrame(theirs), rtol=1e-7, atol=1e-9)


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeWarning")
def test_fits_of_simulated_pairs(monkeypatch):
    rng, patients, genes = np.random.default_rng(8), 20, 60
    patient, tissue = np.repeat(np.arange(patients), 2), np.tile(["normal", "tumour"], patients)
    level = np.exp(rng.normal(4.0, 2.0, (genes, 1)) + rng.normal(0.0, 0.6, (genes, patients))[:, patient])
    matrix = rng.poisson(level * rng.gamma(8.0, 1.0 / 8.0, (genes, 2 * patients)))
    matrix[::7, :2] = 0  # a patient without counts
    matrix[3, 10] *= 300
    samples = pd.DataFrame({"patient": [f"p{k:02d}" for k in patient], "tissue": tissue})
    one, other = fits(Counts(matrix, sample_table=samples), "~ patient + tissue", monkeypatch)
    assert one[0].separated.any()
    assert_same_fits(one, other)


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeWarning")
def test_fits_of_patients_in_cardiogenic_shock(shared, monkeypatch):
    folder = shared / "data" / "cardiogenic_shock"
    matrix = pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col=0).iloc[::150]
    samples = pd.read_csv(folder / "coldata.tsv", sep="\t", index_col=0).loc[matrix.columns]
    one, other = fits(Counts(matrix, sample_table=samples), "~ patient + time", monkeypatch)
    assert_same_fits(one, other)


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeWarning")
def test_fits_of_cells_in_airway_agree_with_deseq2(shared, monkeypatch):
    monkeypatch.setattr(design_layout.Arrow, "of", arrow_of(2))
    found = load.__wrapped__(shared, "airway")
    assert found.fit.inputs.layout.cells.arrow.disjoint.size == 3
    theirs = found.table("deseq2_mcols")
    ours = found.ours(found.fit.dispersion, theirs)
    close = np.isclose(ours, theirs["dispersion"], rtol=1e-6)
    assert close[np.isfinite(ours)].mean() > 0.999


def test_fits_of_many_patients_agree_with_deseq2():
    """Counts and answers are those of `tests/reference/make_deseq2_answers.R`."""
    theirs = pd.read_csv(REFERENCE / "deseq2_pairs.tsv.gz", sep="\t", index_col="gene")
    matrix = theirs.filter(regex=r"^s\d+$")
    number = np.arange(matrix.shape[1])
    samples = pd.DataFrame(
        {"patient": [f"p{k:02d}" for k in number // 2], "tissue": [f"t{k}" for k in number % 2]},
        index=matrix.columns,
    )
    fit = fit_eb(Counts(matrix, sample_table=samples), "~ patient + tissue")
    assert fit.inputs.layout.cells.arrow.disjoint.size == 23
    table, lrt = fit.results(), fit.test_lrt("~ patient")
    ours = {
        "dispersion": fit.dispersion,
        "log2FoldChange": table["log2_fold_change"],
        "lfcSE": table["lfc_se"],
        "pvalue": table["p_value"],
        "padj": table["padj"],
        "lrt_stat": lrt["stat"],
        "lrt_p": lrt["p_value"],
    }
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], rtol=1e-6, atol=1e-8, err_msg=name)
