"""Counts: what is accepted, what is refused and in which words, and that nothing can be changed."""

import numpy as np
import pandas as pd
import pytest

from bayesde import Counts, InputError

GOOD = [[1, 2, 3], [0, 0, 5], [7, 8, 9]]
TABLE = pd.DataFrame({"condition": ["b", "a", "c"]}, index=["s2", "s1", "s3"])


def labelled(dtype=np.int64):
    return pd.DataFrame(GOOD, index=["g1", "g2", "g3"], columns=["s1", "s2", "s3"]).astype(dtype)


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint16, np.int64, np.float32, np.float64, object, "Int64", "Float64"]
)
def test_any_numeric_type_of_whole_numbers(dtype):
    counts = Counts(labelled(dtype))
    assert counts.matrix.dtype == np.int64
    assert counts.matrix.flags.c_contiguous
    np.testing.assert_array_equal(counts.matrix, GOOD)
    assert list(counts.genes) == ["g1", "g2", "g3"]
    assert (counts.n_genes, counts.n_samples) == (3, 3)


def test_unlabelled_matrices_get_names_and_fortran_order_is_undone():
    counts = Counts(np.asfortranarray(GOOD))
    assert counts.matrix.flags.c_contiguous
    assert list(counts.genes) == ["gene1", "gene2", "gene3"]
    assert list(counts.samples) == ["sample1", "sample2", "sample3"]
    assert list(Counts(GOOD, sample_table=TABLE).samples) == ["s2", "s1", "s3"]
    assert list(Counts(GOOD, genes=[10, 20, 30]).genes) == ["10", "20", "30"]


def test_the_sample_table_is_matched_by_name():
    counts = Counts(labelled(), sample_table=TABLE)
    assert list(counts.sample_table.index) == ["s1", "s2", "s3"]
    assert list(counts.sample_table["condition"]) == ["a", "b", "c"]


def test_nothing_of_the_caller_is_shared_or_changed():
    matrix, factors, table = np.array(GOOD), np.ones((3, 3)), TABLE.copy()
    counts = Counts(matrix, samples=["s1", "s2", "s3"], sample_table=table, normalization_factors=factors)
    matrix[:] = 0
    factors[:] = 7
    table["condition"] = "z"
    np.testing.assert_array_equal(counts.matrix, GOOD)
    assert counts.normalization_factors.max() == 1.0
    assert list(counts.sample_table["condition"]) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="read-only"):
        counts.matrix[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        counts.normalization_factors[0, 0] = 1
    with pytest.raises(AttributeError):
        counts.matrix = matrix


def with_cell(value, dtype=object):
    frame = labelled(dtype)
    frame.loc["g2", "s3"] = value
    return frame


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (with_cell(-1), "negative counts in 1 cell"),
        (with_cell(2.5), "fractional counts in 1 cell"),
        (with_cell(np.nan), "missing counts in 1 cell"),
        (with_cell(None), "missing counts in 1 cell"),
        (with_cell(pd.NA, "Int64"), "missing counts in 1 cell"),
        (with_cell(np.inf), "infinite counts in 1 cell"),
        (with_cell("many"), "text instead of counts in 1 cell"),
        (with_cell(True), "text instead of counts in 1 cell"),
        (with_cell(2**53 + 2), r"counts above 2\*\*53 in 1 cell"),
        (with_cell(2.0**80), r"counts above 2\*\*53 in 1 cell"),
    ],
)
def test_cells_that_are_not_counts_are_named(bad, words):
    with pytest.raises(InputError, match=words) as caught:
        Counts(bad)
    assert "gene 'g2', sample 's3'" in str(caught.value)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.zeros((3, 3)), "every count is zero"),
        (np.ones((3, 1)), "at least two are needed"),
        (np.ones((0, 3)), "no gene"),
        (np.ones(3), r"shape \(3,\)"),
        (np.ones((2, 2, 2)), "two dimensions"),
        ([[1, 2], [3]], "same number of samples"),
        (np.ones((2, 2), dtype=bool), "True/False"),
        (np.ones((2, 2), dtype=complex), "complex"),
        (np.array([["1", "2"], ["3", "4"]]), "text instead of counts in 4 cell"),
        (np.array([[2**63, 1], [1, 1]], dtype=np.uint64), r"2\*\*53"),
        (np.ma.masked_equal([[1, 2], [3, 4]], 4), "missing counts in 1 cell"),
    ],
)
def test_matrices_that_cannot_be_fitted(matrix, words):
    with pytest.raises(InputError, match=words):
        Counts(matrix)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"genes": ["a", "b", "a"]}, "duplicate gene names: 'a'"),
        ({"samples": ["a", "b", "b"]}, "duplicate sample names: 'b'"),
        ({"genes": ["a", " ", "b"]}, r"empty gene names at position\(s\) '2'"),
        ({"samples": ["a", None, "b"]}, r"empty sample names at position\(s\) '2'"),
        ({"genes": ["a", "b"]}, "2 gene names were given for a matrix with 3 genes"),
    ],
)
def test_names(names, words):
    with pytest.raises(InputError, match=words):
        Counts(GOOD, **names)


def test_names_beside_a_data_frame_are_refused():
    with pytest.raises(InputError, match="omit genes= and samples="):
        Counts(labelled(), genes=["a", "b", "c"])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (TABLE.drop(index="s3"), "no row for the counted sample.s. 's3'"),
        (pd.concat([TABLE, TABLE.rename(index={"s1": "s9"}).loc[["s9"]]]), "'s9', which have no counts"),
        (TABLE.set_axis(["s1", "s1", "s3"]), "duplicate sample names: 's1'"),
        ([1, 2, 3], "sample table is a list"),
        (pd.DataFrame([[1, 2]] * 3, index=["s1", "s2", "s3"], columns=["x", "x"]), "duplicate columns: 'x'"),
    ],
)
def test_sample_tables_that_do_not_match(table, words):
    with pytest.raises(InputError, match=words):
        Counts(labelled(), sample_table=table)


def test_normalization_factors_are_matched_by_name():
    factors = pd.DataFrame(
        np.arange(1.0, 10.0).reshape(3, 3), index=["g3", "g1", "g2"], columns=["s3", "s2", "s1"]
    )
    counts = Counts(labelled(), normalization_factors=factors)
    np.testing.assert_array_equal(counts.normalization_factors, [[6, 5, 4], [9, 8, 7], [3, 2, 1]])


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        (np.ones((3, 2)), r"shape \(3, 2\)"),
        ([[1, 1, 1], [1, 0, 1], [1, 1, 1]], "gene 'g2', sample 's2'"),
        ([[1, 1, 1], [1, 1, np.nan], [1, 1, 1]], "gene 'g2', sample 's3'"),
        ([[1, 1, 1], [1, 1, np.inf], [1, 1, 1]], "not finite and above 0"),
        ([["a"] * 3] * 3, "not numbers"),
        (pd.DataFrame(np.ones((3, 3)), index=["g1", "g2", "g9"], columns=["s1", "s2", "s3"]), "'g3'"),
    ],
)
def test_normalization_factors_that_do_not_fit(factors, words):
    with pytest.raises(InputError, match=words):
        Counts(labelled(), normalization_factors=factors)


def test_subsets_keep_names_tables_and_factors_together():
    factors = np.arange(1.0, 10.0).reshape(3, 3)
    counts = Counts(labelled(), sample_table=TABLE, normalization_factors=factors)
    part = counts.subset(genes=["g3", "g1"], samples=[True, False, True])
    np.testing.assert_array_equal(part.matrix, [[7, 9], [1, 3]])
    np.testing.assert_array_equal(part.normalization_factors, [[7, 9], [1, 3]])
    assert list(part.sample_table["condition"]) == ["a", "c"]
    assert list(counts.subset(genes=[2]).genes) == ["g3"]


@pytest.mark.parametrize(
    ("genes", "words"),
    [
        (["g1", "gX"], "unknown genes: 'gX'"),
        ([5], "out of range"),
        ([True], r"mask of \(1,\)"),
        ([], "no gene"),
    ],
)
def test_subsets_that_do_not_exist(genes, words):
    with pytest.raises(InputError, match=words):
        Counts(labelled()).subset(genes=genes)


def test_the_shown_form_says_what_is_there():
    shown = repr(Counts(labelled(), sample_table=TABLE))
    assert shown == "<Counts: 3 genes, 3 samples; sample columns: condition>"


@pytest.mark.parametrize(
    "selection", [slice(None), slice(1, 3), [2, 0, 2], np.array([True, False, True]), np.array([], dtype=int)]
)
def test_rows_are_new_doubles_in_the_order_asked_for(selection):
    counts = Counts(np.asfortranarray(GOOD))
    rows = counts.rows(selection)
    np.testing.assert_array_equal(rows, np.array(GOOD, dtype=float)[selection])
    assert rows.dtype == np.float64
    assert rows.flags.c_contiguous
    rows[:] = -1.0
    np.testing.assert_array_equal(counts.matrix, GOOD)


@pytest.mark.parametrize(("cells", "sizes"), [(1, [1, 1, 1]), (6, [2, 1]), (8, [2, 1]), (10**9, [3])])
def test_chunks_cover_all_genes_once(cells, sizes):
    pieces = list(Counts(GOOD).chunks(cells))
    assert [piece.stop - piece.start for piece in pieces] == sizes
    np.testing.assert_array_equal(np.concatenate([np.arange(3)[piece] for piece in pieces]), np.arange(3))


def test_totals_of_genes_and_samples():
    counts = Counts([[1, 2, 3], [0, 0, 0], [7, 8, 2**53]])
    np.testing.assert_array_equal(counts.all_zero, [False, True, False])
    np.testing.assert_array_equal(counts.library_sizes, [8.0, 10.0, 2.0**53 + 3.0])
    assert counts.library_sizes.dtype == np.float64
    assert counts.is_dense


def test_normalization_factors_may_be_exchanged():
    counts = Counts(labelled(), sample_table=TABLE, average_lengths=np.full((3, 3), 2.0))
    frame = pd.DataFrame(np.arange(1.0, 10.0).reshape(3, 3), index=counts.genes, columns=counts.samples)
    changed = counts.with_normalization_factors(frame.iloc[::-1])
    np.testing.assert_array_equal(changed.normalization_factors, frame)
    assert not changed.normalization_factors.flags.writeable
    assert changed.matrix is counts.matrix
    assert changed.average_lengths is counts.average_lengths
    assert counts.normalization_factors is None
    assert changed.with_normalization_factors(None).normalization_factors is None
    with pytest.raises(InputError, match=r"shape \(2, 3\)"):
        counts.with_normalization_factors(np.ones((2, 3)))


def test_average_lengths_are_checked_frozen_and_carried_along():
    lengths = pd.DataFrame(
        np.arange(1.0, 10.0).reshape(3, 3), index=["g3", "g1", "g2"], columns=["s3", "s2", "s1"]
    )
    counts = Counts(labelled(), average_lengths=lengths)
    np.testing.assert_array_equal(counts.average_lengths, [[6, 5, 4], [9, 8, 7], [3, 2, 1]])
    np.testing.assert_array_equal(counts.subset(["g3", "g1"], ["s1", "s3"]).average_lengths, [[3, 1], [6, 4]])
    assert not counts.average_lengths.flags.writeable
    assert repr(counts) == "<Counts: 3 genes, 3 samples, with average lengths; sample columns: none>"
    assert Counts(labelled()).average_lengths is None
    lengths.loc["g1", "s2"] = 0.0
    with pytest.raises(InputError, match=r"average lengths that are not finite.*gene 'g1', sample 's2': 0.0"):
        Counts(labelled(), average_lengths=lengths)


def test_a_sample_without_reads_and_very_large_counts_are_counts():
    counts = Counts([[0, 10**9], [0, 2]])
    np.testing.assert_array_equal(counts.library_sizes, [0, 10**9 + 2])
    np.testing.assert_array_equal(counts.rows([1, 0]), [[0.0, 2.0], [0.0, 1e9]])
