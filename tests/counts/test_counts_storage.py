"""Sparse counts and counts in files: the same answers as from an array, the same refusals, little memory."""

import pickle
import tracemalloc

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bayesde import Counts, InputError
from bayesde.counts import CHUNK_CELLS, compressed_file

SAMPLES = [f"s{j}" for j in range(7)]
GENES = [f"g{i}" for i in range(40)]
OBS = pd.DataFrame(
    {"dose": pd.Categorical(list("hlhlhlh"), categories=["l", "h"]), "age": np.arange(7.0)}, index=SAMPLES
)


@pytest.fixture(scope="module")
def dense() -> np.ndarray:
    drawn = np.random.default_rng(5).poisson(0.8, (40, 7))
    drawn[3] = 0
    drawn[4, 2] = 10**9
    return drawn


def annotated(values: np.ndarray, make=np.asarray) -> anndata.AnnData:
    return anndata.AnnData(
        X=make(values.T.astype(np.float64)),
        obs=OBS,
        var=pd.DataFrame({"symbol": [name.upper() for name in GENES]}, index=GENES),
        layers={"twice": make(2.0 * values.T)},
    )


def written(folder, values: np.ndarray, make=np.asarray) -> str:
    annotated(values, make).write_h5ad(folder / "counts.h5ad")
    return str(folder / "counts.h5ad")


def sources(folder, values: np.ndarray):
    """The same counts kept in every way that is understood."""
    names = {"genes": GENES, "samples": SAMPLES}
    for form in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia"):
        yield form, Counts(sparse.csr_array(values).asformat(form), **names)
    yield "csr_matrix of floats", Counts(sparse.csr_matrix(values.astype(np.float64)), **names)
    with h5py.File(folder / "plain.h5", "w") as file:
        file.create_dataset("rows", data=values.astype(np.uint32), chunks=(7, 3), compression="gzip")
    yield "h5py", Counts(h5py.File(folder / "plain.h5")["rows"], **names)
    for name, make in (("array", np.asarray), ("csr", sparse.csr_matrix), ("csc", sparse.csc_matrix)):
        yield f"anndata {name}", Counts.from_anndata(annotated(values, make))
        path = written(folder, values, make)
        yield f"backed {name}", Counts.from_anndata(anndata.read_h5ad(path, backed="r"))


def test_every_way_of_keeping_counts_gives_the_same_answers(tmp_path, dense):
    plain = Counts(dense, genes=GENES, samples=SAMPLES)
    selections = [
        slice(3, 9),
        slice(None, None, -3),
        [5, 0, 5, 39],
        np.arange(40) % 3 == 0,
        np.array([], int),
    ]
    for kind, counts in sources(tmp_path, dense):
        assert list(counts.genes) == GENES, kind
        assert list(counts.samples) == SAMPLES, kind
        assert counts.is_dense == (kind == "anndata array"), kind
        np.testing.assert_array_equal(counts.matrix, dense, err_msg=kind)
        assert counts.matrix.dtype == np.int64
        np.testing.assert_array_equal(counts.all_zero, plain.all_zero, err_msg=kind)
        np.testing.assert_array_equal(counts.library_sizes, dense.sum(axis=0), err_msg=kind)
        pd.testing.assert_frame_equal(counts.to_frame(), plain.to_frame())
        for selection in selections:
            rows = counts.rows(selection)
            np.testing.assert_array_equal(rows, dense[selection], err_msg=kind)
            assert rows.dtype == np.float64
            assert rows.flags.c_contiguous
            assert rows.flags.writeable
        np.testing.assert_array_equal(
            np.concatenate([counts.rows(some) for some in counts.chunks(20)]), dense, err_msg=kind
        )


def test_subsets_of_every_kind(tmp_path, dense):
    genes, samples = ["g20", "g3", "g4"], [6, 2, 0]
    expected = Counts(dense, genes=GENES, samples=SAMPLES).subset(genes, samples)
    for kind, counts in sources(tmp_path, dense):
        part = counts.subset(genes, samples)
        assert part.is_dense == counts.is_dense
        np.testing.assert_array_equal(part.matrix, expected.matrix, err_msg=kind)
        np.testing.assert_array_equal(part.all_zero, expected.all_zero, err_msg=kind)
        np.testing.assert_array_equal(part.library_sizes, expected.library_sizes, err_msg=kind)
        again = part.subset(samples=["s0", "s6"], genes=[2, 0])
        np.testing.assert_array_equal(again.matrix, dense[np.ix_([4, 20], [0, 6])], err_msg=kind)
        with pytest.raises(InputError, match="every count is zero"):
            counts.subset(genes=["g3"])
        with pytest.raises(InputError, match="duplicate gene names"):
            counts.subset(genes=["g3", "g3"])
        with pytest.raises(InputError, match="no gene"):
            counts.subset(genes=[])


def test_sparse_counts_survive_pickling(dense):
    counts = pickle.loads(pickle.dumps(Counts(sparse.csr_array(dense))))
    np.testing.assert_array_equal(counts.matrix, dense)


def test_nothing_of_a_sparse_matrix_is_shared_or_changed(dense):
    for form in ("csr", "csc"):
        matrix = sparse.coo_array(dense).asformat(form)
        matrix.data[0] = 0  # an explicit zero
        before = matrix.copy()
        counts = Counts(matrix)
        expected = matrix.toarray()
        for part, old in (("data", before.data), ("indices", before.indices), ("indptr", before.indptr)):
            np.testing.assert_array_equal(getattr(matrix, part), old)
            assert getattr(matrix, part).flags.writeable
        matrix.data[:] = 77
        matrix.indices[:] = 0
        np.testing.assert_array_equal(counts.matrix, expected)
        with pytest.raises(ValueError, match="read-only"):
            counts.matrix[0, 0] = 1


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.float32, np.int64])
def test_cells_listed_twice_are_summed_without_overflow(kind):
    data, rows, columns = np.array([100, 100, 0, 5], dtype=kind), [0, 0, 1, 1], [1, 1, 0, 1]
    coordinates = sparse.coo_array((data, (rows, columns)), shape=(2, 2))
    unsorted = sparse.csr_array((data, np.array([1, 1, 1, 0]), np.array([0, 2, 4])), shape=(2, 2))
    np.testing.assert_array_equal(Counts(coordinates).matrix, [[0, 200], [0, 5]])
    np.testing.assert_array_equal(Counts(unsorted).matrix, [[0, 200], [5, 0]])
    np.testing.assert_array_equal(unsorted.indices, [1, 1, 1, 0])
    np.testing.assert_array_equal(Counts(coordinates).all_zero, [False, False])


def test_counts_above_32_bits_are_kept():
    large = np.array([[2**53, 0], [2**31, 1]])
    for matrix in (sparse.csr_array(large), sparse.csc_array(large.astype(np.float64))):
        np.testing.assert_array_equal(Counts(matrix).matrix, large)


BAD = [
    (-1.0, "negative counts in (at least )?1 cell"),
    (2.5, "fractional counts in (at least )?1 cell"),
    (np.nan, "missing counts in (at least )?1 cell"),
    (np.inf, "infinite counts in (at least )?1 cell"),
    (2.0**54, r"counts above 2\*\*53 in (at least )?1 cell"),
]


@pytest.mark.parametrize(("value", "words"), BAD)
def test_cells_that_are_not_counts_are_named_wherever_they_are_kept(tmp_path, dense, value, words):
    bad = dense.astype(np.float64)
    bad[20, 5] = value
    names = {"genes": GENES, "samples": SAMPLES}
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["rows"] = bad
    ways = [
        lambda form=form: Counts(sparse.coo_array(bad).asformat(form), **names)
        for form in ("csr", "csc", "coo")
    ]
    ways.append(lambda: Counts(h5py.File(tmp_path / "plain.h5")["rows"], **names))
    for make in (np.asarray, sparse.csr_matrix, sparse.csc_matrix):
        folder = tmp_path / make.__name__
        folder.mkdir()
        path = written(folder, bad, make)
        ways.append(lambda make=make: Counts.from_anndata(annotated(bad, make)))
        ways.append(lambda path=path: Counts.from_anndata(anndata.read_h5ad(path, backed="r")))
    for way in ways:
        with pytest.raises(InputError, match=words) as caught:
            way()
        assert "gene 'g20', sample 's5'" in str(caught.value)


def test_sparse_matrices_that_cannot_be_fitted():
    for matrix, words in (
        (sparse.csr_array((3, 3)), "every count is zero"),
        (sparse.csr_array((0, 3)), "no gene"),
        (sparse.csr_array(np.ones((3, 1))), "at least two"),
        (sparse.csr_array(np.ones((2, 2), dtype=bool)), "True/False"),
        (sparse.csr_array(np.ones((2, 2), dtype=complex)), "complex"),
        (sparse.coo_array(np.ones(3)), r"shape \(3,\)"),
    ):
        with pytest.raises(InputError, match=words):
            Counts(matrix)


def test_a_file_that_was_closed_is_reported(tmp_path, dense):
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["rows"] = dense
        file["names"] = [b"a", b"b"]
        counts = Counts(file["rows"])
        with pytest.raises(InputError, match=r"shape \(2,\)"):
            Counts(file["names"])
    with pytest.raises(InputError, match="can no longer be read from their file"):
        counts.rows(slice(0, 3))


def test_anndata_brings_samples_and_names_along(tmp_path, dense):
    for adata in (annotated(dense), anndata.read_h5ad(written(tmp_path, dense), backed="r")):
        counts = Counts.from_anndata(adata)
        assert list(counts.sample_table.columns) == ["dose", "age"]
        assert list(counts.sample_table["dose"].cat.categories) == ["l", "h"]
        assert list(counts.sample_table["age"]) == list(np.arange(7.0))
        doubled = Counts.from_anndata(adata, layer="twice", gene_names="symbol", sample_columns=["age"])
        np.testing.assert_array_equal(doubled.matrix, 2 * dense)
        assert list(doubled.genes[:2]) == ["G0", "G1"]
        assert list(doubled.sample_table.columns) == ["age"]
        part = Counts.from_anndata(adata[["s3", "s1"], ["g20", "g4"]])
        np.testing.assert_array_equal(part.matrix, dense[np.ix_([20, 4], [3, 1])])


def test_anndata_without_what_was_asked_for(dense):
    adata = annotated(dense)
    for options, words in (
        ({"layer": "raw"}, "no layer 'raw'; the only layer is 'twice'"),
        ({"gene_names": "id"}, "var has no column 'id'; its columns are 'symbol'"),
        ({"sample_columns": ["sex"]}, "obs has no column.*'sex'; its columns are 'dose', 'age'"),
    ):
        with pytest.raises(InputError, match=words):
            Counts.from_anndata(adata, **options)
    with pytest.raises(InputError, match="got a ndarray"):
        Counts.from_anndata(dense)
    with pytest.raises(InputError, match="there is no X"):
        Counts.from_anndata(anndata.AnnData(obs=OBS, var=pd.DataFrame(index=GENES)))


# 1 % of 20,000 genes in 1,000 samples: 160 MB as doubles, while a chunk of counts has 16 MB.
@pytest.fixture(scope="module")
def large() -> sparse.csr_array:
    drawn = sparse.random_array((20_000, 1_000), density=0.01, rng=np.random.default_rng(8), format="csr")
    drawn.data = np.ceil(100.0 * drawn.data)
    return drawn


@pytest.fixture(scope="module")
def large_files(tmp_path_factory, large) -> dict[str, str]:
    """The same counts, (sample, gene), compressed and as an array, in .h5ad files."""
    folder, paths = tmp_path_factory.mktemp("large"), {}
    for form in ("csr_matrix", "csc_matrix"):
        paths[form] = str(folder / f"{form}.h5ad")
        anndata.AnnData(X=getattr(sparse, form)(large.T)).write_h5ad(paths[form])
    paths["array"] = str(folder / "array.h5ad")
    anndata.AnnData(X=large.T.toarray()).write_h5ad(paths["array"], compression="lzf")
    return paths


def peak_of(make) -> tuple[int, np.ndarray]:
    """Return the highest memory, in bytes, while counts are made and read by chunks, and what was read."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        counts = make()
        sums = sum(counts.rows(some).sum(axis=0) for some in counts.chunks())
        return tracemalloc.get_traced_memory()[1] - before, sums
    finally:
        tracemalloc.stop()


def test_the_whole_matrix_is_never_built(large, large_files):
    chunk, structure = 8 * CHUNK_CELLS, large.data.nbytes + large.indices.nbytes + large.indptr.nbytes
    assert 4 * chunk + structure < 8 * large.shape[0] * large.shape[1] / 2
    columns = large.tocsc()
    ways = {
        "csr": (lambda: Counts(large), structure),
        "csc": (lambda: Counts(columns), structure),
        "coo": (lambda: Counts(columns.tocoo()), 3 * structure),  # the conversion to COO happens inside, too
    }
    for form, path in large_files.items():
        adata = anndata.read_h5ad(path, backed="r")
        ways[f"backed {form}"] = (lambda adata=adata: Counts.from_anndata(adata), structure)
    ways["backed array"] = (ways["backed array"][0], 0)
    for kind, (make, kept) in ways.items():
        peak, sums = peak_of(make)
        np.testing.assert_array_equal(sums, large.sum(axis=0), err_msg=kind)
        assert peak < 4 * chunk + kept, f"{kind}: {peak / 2**20:.0f} MB"


@pytest.mark.parametrize("cells", [1, 7, 50])
def test_sparse_files_may_be_read_in_blocks_of_any_size(tmp_path, dense, monkeypatch, cells):
    monkeypatch.setattr(compressed_file, "BLOCK_CELLS", cells)
    for make in (sparse.csr_matrix, sparse.csc_matrix):
        adata = anndata.read_h5ad(written(tmp_path, dense, make), backed="r")
        np.testing.assert_array_equal(Counts.from_anndata(adata).matrix, dense)
        adata.file.close()
    wide = dense.copy()
    wide[30, 6] = 2**40
    for make in (sparse.csr_matrix, sparse.csc_matrix):
        adata = anndata.read_h5ad(written(tmp_path, wide, make), backed="r")
        np.testing.assert_array_equal(Counts.from_anndata(adata).matrix, wide)
        adata.file.close()


def test_positions_of_sparse_counts_take_four_bytes(tmp_path, dense):
    wide = sparse.csr_array(dense)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    kept = [Counts(wide), Counts(wide.tocsc())]
    for make in (sparse.csr_matrix, sparse.csc_matrix):
        adata = anndata.read_h5ad(written(tmp_path, dense, make), backed="r")
        kept.append(Counts.from_anndata(adata))
        adata.file.close()
    for counts in kept:
        matrix = counts._storage.matrix
        assert [part.dtype.itemsize for part in (matrix.data, matrix.indices, matrix.indptr)] == [4, 4, 4]
        np.testing.assert_array_equal(counts.matrix, dense)
