"""Memory is bounded by chunks of genes, and neither chunks nor threads change a number."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numba.core import config
from scipy import sparse

from bayesde.counts import Counts, storage
from bayesde.eb.fit import fit_eb
from bayesde.eb.regression.separation import distinct_patterns
from bayesde.eb.size_factors.methods import size_factors
from bayesde.eb.transforms.vst import vst
from bayesde.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeWarning")
GENES, SAMPLES, CHUNK = 6000, 300, 60_000
WHOLE = 8 * GENES * SAMPLES
BY_GENE = 8 * GENES * (20 + 3 * 2)
"""Results are kept by gene: 20 numbers, and three by coefficient."""
CONTRAST = np.array([1.0, -0.5])
STEPS = {
    "ratio": lambda counts, fit: size_factors(counts),
    "poscounts": lambda counts, fit: size_factors(counts, "poscounts"),
    "fit": lambda counts, fit: fit_eb(counts, "~ group", size_factors="poscounts"),
    "results": lambda counts, fit: fit.results(),
    "contrast": lambda counts, fit: fit.results(contrast=CONTRAST),
    "lrt": lambda counts, fit: fit.test_lrt("~ 1"),
    "apeglm": lambda counts, fit: fit.shrink(),
    "normal": lambda counts, fit: fit.shrink(method="normal"),
    "ashr": lambda counts, fit: fit.shrink(method="ashr"),
    "vst": lambda counts, fit: vst(fit),
    "blind vst": lambda counts, fit: vst(counts, trend="mean", n_genes=None, size_factors="poscounts"),
}
SECOND_FIT = 8 * GENES * (7 + 2 * 2)
"""The likelihood-ratio test judges outliers anew, and so has the numbers of a second fit."""
DENSITIES = 8 * GENES * 30
"""The mixture is fitted to densities by gene and component."""
EXTRA = {"vst": WHOLE, "blind vst": WHOLE, "lrt": SECOND_FIT, "ashr": DENSITIES}


@pytest.fixture(scope="module")
def mostly_zero():
    """Counts of which one in twelve is above zero; one gene in thirty is counted in every sample."""
    rng = np.random.default_rng(11)
    mean = np.exp(rng.normal(-4.0, 1.5, (GENES, 1)))
    mean[::30] = np.exp(rng.normal(6.0, 0.3, (GENES // 30, 1)))
    matrix = rng.poisson(mean * rng.gamma(10.0, 0.1, (GENES, SAMPLES)))
    matrix[::300, 7] *= 1000  # outliers, to be replaced
    matrix[:, 0] += matrix.sum(axis=1) == 0
    return matrix


def of_two_groups(matrix) -> Counts:
    table = pd.DataFrame({"group": np.where(np.arange(matrix.shape[1]) % 2, "b", "a")})
    return Counts(matrix, sample_table=table.set_axis([f"s{j}" for j in table.index]))


@pytest.fixture(params=["sparse", "file"])
def kept(request, mostly_zero, tmp_path):
    """Counts in either of the two ways that keep them out of memory."""
    if request.param == "sparse":
        yield of_two_groups(sparse.csr_array(mostly_zero))
        return
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "counts.h5", "w") as file:
        yield of_two_groups(file.create_dataset("counts", data=mostly_zero, chunks=(100, SAMPLES)))


def highest_memory(call) -> tuple[int, object]:
    """Return by how many bytes memory rises at most during a call, and what the call returns."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        answer = call()
        return tracemalloc.get_traced_memory()[1] - before, answer
    finally:
        tracemalloc.stop()


def test_no_step_makes_the_whole_matrix(kept, monkeypatch):
    few = kept.subset(genes=range(0, GENES, 10))
    practice = fit_eb(few, "~ group", size_factors="poscounts")
    for step in STEPS.values():  # compiles and imports what the steps need
        step(few, practice)
    monkeypatch.setattr(storage, "CHUNK_CELLS", CHUNK)
    fit = fit_eb(kept, "~ group", size_factors="poscounts")
    assert fit.replaced.any()
    assert BY_GENE + 4 * 8 * CHUNK < WHOLE / 3
    for name, step in STEPS.items():
        peak, _ = highest_memory(lambda step=step: step(kept, fit))
        left = peak - BY_GENE - EXTRA.get(name, 0)
        assert left < 4 * 8 * CHUNK, f"{name}: {left / (8 * CHUNK):.1f} chunks"


def replicates(n_genes=600, n_samples=18) -> np.ndarray:
    """Counts of two groups of nine with some outliers, separated genes and genes of a single count."""
    rng = np.random.default_rng(3)
    mean = np.exp(rng.normal(4.0, 1.5, (n_genes, 1))) * np.exp(rng.normal(0.0, 0.3, n_samples))
    matrix = rng.negative_binomial(1.0 / (0.05 + 2.0 / mean), 1.0 / (1.0 + 0.05 * mean + 2.0))
    matrix[rng.random(matrix.shape) < 0.01] *= 50
    matrix[::40, ::2] = 0
    matrix[::55] = 0
    matrix[::55, 3] = 400
    return matrix


def numbers_of(fit) -> dict[str, np.ndarray]:
    """Every number that a fit gives, by name."""
    tables = {
        "results": fit.results(),
        "contrast": fit.results(contrast=CONTRAST),
        "lrt": fit.test_lrt("~ 1"),
        **{method: fit.shrink(method=method) for method in ("apeglm", "normal", "ashr")},
    }
    numbers = {name: value for name, value in vars(fit).items() if isinstance(value, np.ndarray)}
    for name, table in tables.items():
        numbers |= {f"{name} {column}": table[column].to_numpy() for column in table}
    changed = fit.replaced_counts
    return numbers | {"gene": changed.gene, "sample": changed.sample, "count": changed.count}


def factors_and_weights(kind: str, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    if kind == "factors":
        return {"size_factors": np.exp(rng.normal(0.0, 0.3, shape))}
    if kind == "weights":
        return {"weights": np.where(rng.random(shape) < 0.1, 0.2, 1.0)}
    return {}


@pytest.mark.parametrize("kind", ["plain", "factors", "weights"])
def test_chunks_and_threads_change_no_number(kind, monkeypatch):
    matrix = replicates()
    counts, given = of_two_groups(matrix), factors_and_weights(kind, matrix.shape)
    fit = fit_eb(counts, "~ group", **given)
    assert fit.replaced.sum() > 50
    assert fit.separated.any()
    whole = numbers_of(fit)
    for cells, threads in ((2000, 1), (7 * 18, 3)):
        monkeypatch.setattr(storage, "CHUNK_CELLS", cells)
        monkeypatch.setattr(config, "NUMBA_NUM_THREADS", threads)
        for again in (counts, of_two_groups(sparse.csr_array(matrix))):
            for name, values in numbers_of(fit_eb(again, "~ group", **given)).items():
                np.testing.assert_array_equal(values, whole[name], err_msg=f"{name}, {cells} cells")


def test_genes_with_replaced_counts_are_one_data_set_for_their_factors(monkeypatch):
    # The Poisson part of their first dispersion is 1/factor, averaged over all of them, in whatever chunk.
    counts = of_two_groups(replicates())
    factors = np.exp(np.linspace(-1.0, 1.0, counts.n_genes))[:, None] * np.ones(counts.n_samples)
    whole = fit_eb(counts, "~ group", size_factors=factors)
    monkeypatch.setattr(storage, "CHUNK_CELLS", 50 * counts.n_samples)
    pieces = fit_eb(counts, "~ group", size_factors=factors)
    assert whole.replaced.sum() > 50
    np.testing.assert_array_equal(pieces.dispersion_gene_wise, whole.dispersion_gene_wise)


@pytest.mark.parametrize("n_columns", [1, 8, 9, 64, 65, 130])
@pytest.mark.parametrize("n_rows", [0, 1, 400])
def test_distinct_patterns(n_columns, n_rows):
    rng = np.random.default_rng(n_columns)
    few = rng.random((50, n_columns)) < 0.5
    patterns = few[rng.integers(0, 50, n_rows)]
    packed, which = distinct_patterns(patterns)
    distinct = np.unpackbits(packed, axis=1, count=n_columns).astype(bool)
    np.testing.assert_array_equal(distinct[which], patterns)
    assert {tuple(row) for row in distinct} == {tuple(row) for row in patterns}
    assert len(distinct) == len({tuple(row) for row in patterns})


@pytest.mark.parametrize("keep", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("kind", ["plain", "factors"])
def test_a_fit_survives_copying_and_pickling(keep, kind):
    matrix = replicates()
    fit = fit_eb(of_two_groups(keep(matrix)), "~ group", **factors_and_weights(kind, matrix.shape))
    table = fit.results()
    text = pickle.dumps(fit)
    if kind == "plain":  # size factors are written once, not for every gene
        repeated = replace(fit, inputs=replace(fit.inputs, factors=np.array(fit.normalization_factors)))
        assert len(text) < len(pickle.dumps(repeated)) - 0.9 * 8 * matrix.size
    for again in (pickle.loads(text), copy.deepcopy(fit), copy.copy(fit)):
        assert again.normalization_factors.strides == fit.normalization_factors.strides
        assert not again.normalization_factors.flags.writeable
        assert (again.size_factors is None) == (kind == "factors")
        np.testing.assert_array_equal(again.normalization_factors, fit.normalization_factors)
        pd.testing.assert_frame_equal(again.results(), table)
        pd.testing.assert_frame_equal(again.shrink(), fit.shrink())
        assert not again.counts.matrix.flags.writeable


def test_counts_in_a_file_are_copied_but_not_pickled(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "counts.h5", "w") as file:
        counts = of_two_groups(file.create_dataset("counts", data=replicates()))
        assert copy.deepcopy(counts) is counts
        with pytest.raises(InputError, match="open file cannot be pickled"):
            pickle.dumps(counts)


def test_a_fit_describes_itself_in_a_line():
    matrix = replicates()
    fit = fit_eb(of_two_groups(matrix), "~ group")
    estimated = int(fit.estimated.sum())
    assert repr(fit) == (
        f"<EbFit: 600 genes ({estimated} estimated), 18 samples; design: ~ group; "
        f"group: a 9 (reference), b 9; trend: {fit.trend.kind}>"
    )
    weighted = fit_eb(fit.counts, fit.design, weights=np.ones(matrix.shape))
    assert "18 samples, weighted;" in repr(weighted)
