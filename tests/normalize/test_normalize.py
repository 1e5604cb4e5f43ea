"""Size factors against R's, what is refused, and scaled counts."""

import json

import numpy as np
import pandas as pd
import pytest
from reference.transforms import (
    EVERY_THIRD,
    answer,
    answer_by_sample,
    lengths,
    pasilla,
    pasilla_with_lengths,
)

from bayesde import (
    Counts,
    InputError,
    OptionError,
    cpm,
    datasets,
    fpkm,
    fpm,
    norm_transform,
    normalization_factors,
    read_counts,
    size_factors,
)
from bayesde.counts import storage
from bayesde.normalize import base_mean, base_var, normalization_matrix

DATA = ["pasilla", "airway", "gse60450", "sim20k_pairs"]
MATRIX = np.array([[10, 20, 30], [0, 40, 20], [5, 5, 5], [100, 210, 290], [0, 0, 0]])


@pytest.fixture
def counts():
    return Counts(MATRIX, genes=list("abcde"), samples=["x", "y", "z"])


@pytest.mark.parametrize("name", DATA)
def test_size_factors_equal_those_of_r(shared, name):
    counts = read_counts(shared / "data" / name / "counts.tsv.gz")
    summary = json.loads((shared / "ref" / name / "summary.json").read_text())
    ratio = pd.read_csv(shared / "ref" / name / "size_factors.tsv", sep="\t", index_col=0).iloc[:, 0]
    for method, reference in (("ratio", ratio), ("poscounts", pd.Series(summary["size_factors_poscounts"]))):
        ours = size_factors(counts, method)
        assert list(ours.index) == list(counts.samples)
        np.testing.assert_allclose(ours, reference[ours.index], rtol=1e-10)


def test_base_means_equal_those_of_r(shared):
    counts = datasets.load_pasilla()
    reference = pd.read_parquet(shared / "ref" / "pasilla" / "deseq2_mcols.parquet")
    factors = normalization_matrix(counts)
    rows = counts.genes.get_indexer(pd.Index(reference["gene"] if "gene" in reference else reference.index))
    assert (rows >= 0).all()
    np.testing.assert_allclose(base_mean(counts.matrix, factors)[rows], reference["baseMean"], rtol=1e-10)
    np.testing.assert_allclose(base_var(counts.matrix, factors)[rows], reference["baseVar"], rtol=1e-10)


def test_ratio_by_hand(counts):
    used = MATRIX[[0, 2, 3]]
    ratios = used / np.exp(np.log(used).mean(axis=1, keepdims=True))
    np.testing.assert_allclose(size_factors(counts), np.median(ratios, axis=0), rtol=1e-14)


def test_poscounts_have_geometric_mean_one(counts):
    factors = size_factors(counts, "poscounts")
    assert np.log(factors).mean() == pytest.approx(0.0, abs=1e-15)


def test_control_genes_by_name_position_and_mask(counts):
    by_name = size_factors(counts, control_genes=["c", "a"])
    np.testing.assert_array_equal(by_name, size_factors(counts, control_genes=[0, 2]))
    np.testing.assert_array_equal(
        by_name, size_factors(counts, control_genes=[True, False, True, False, False])
    )
    # the geometric mean is that of the middle of two genes, as all genes' is in log space
    np.testing.assert_allclose(size_factors(counts, control_genes=["c"]), 1.0)


def test_given_geometric_means(counts):
    means = pd.Series({"e": 0.0, "d": 180.0, "c": 5.0, "b": 0.0, "a": 18.0})
    factors = size_factors(counts, geometric_means=means)
    raw = np.median(MATRIX[[0, 2, 3]] / np.array([[18.0], [5.0], [180.0]]), axis=0)
    np.testing.assert_allclose(factors, raw / np.exp(np.log(raw).mean()), rtol=1e-14)
    np.testing.assert_array_equal(
        factors, size_factors(counts, geometric_means=means[counts.genes].to_numpy())
    )


def test_a_location_of_ones_own(counts):
    logs = np.log(MATRIX[[0, 2, 3]])
    mean = (logs - logs.mean(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(size_factors(counts, location=np.mean), np.exp(mean), rtol=1e-14)
    for wrong in (lambda ratios: ratios, lambda ratios: np.nan):
        with pytest.raises(InputError, match="returns one finite number"):
            size_factors(counts, location=wrong)


@pytest.mark.parametrize("method", ["ratio", "poscounts"])
@pytest.mark.parametrize("lengths", [False, True])
def test_blocks_of_genes_and_of_samples_change_nothing(monkeypatch, method, lengths):
    counts = pasilla_with_lengths() if lengths else pasilla()
    control = np.arange(0, counts.n_genes, 2)
    whole = normalization_matrix(counts, method, control)
    monkeypatch.setattr(storage, "CHUNK_CELLS", 2 * counts.n_genes)
    np.testing.assert_array_equal(normalization_matrix(counts, method, control), whole)


@pytest.mark.parametrize("mean", [0.3, 20.0])  # with few counts, many log ratios are equal
@pytest.mark.parametrize("cells", [50, 2_000, 10**6])
def test_medians_of_many_samples_equal_those_of_whole_columns(monkeypatch, mean, cells):
    rng = np.random.default_rng(3)
    matrix = rng.negative_binomial(2, 2 / (2 + mean * rng.uniform(0.5, 2.0, 41)), (301, 41))
    matrix[:, 5] = [3] * 300 + [0]
    logs = np.log(np.where(matrix > 0, matrix, np.nan))
    reference = np.nansum(logs, axis=1, keepdims=True) / 41
    expected = np.nanmedian(np.where(matrix.any(axis=1)[:, None], logs - reference, np.nan), axis=0)
    monkeypatch.setattr(storage, "CHUNK_CELLS", cells)
    found = size_factors(Counts(matrix), "poscounts")
    np.testing.assert_allclose(found, np.exp(expected - expected.mean()), rtol=1e-13)
    means = size_factors(Counts(matrix), "poscounts", location=np.mean)
    expected = np.nanmean(np.where(matrix.any(axis=1)[:, None], logs - reference, np.nan), axis=0)
    np.testing.assert_allclose(means, np.exp(expected - expected.mean()), rtol=1e-13)


def test_more_size_factors_equal_those_of_r():
    control = np.arange(pasilla().n_genes)[EVERY_THIRD]
    for ours, theirs in (
        (size_factors(pasilla(), control_genes=control), "size factors control"),
        (size_factors(pasilla(), location=np.mean), "size factors mean"),
    ):
        np.testing.assert_allclose(ours, answer_by_sample(theirs)[ours.index], rtol=1e-14)


def test_factors_with_lengths_or_a_matrix_equal_those_of_r():
    control = np.arange(pasilla().n_genes)[EVERY_THIRD]
    measured = pasilla_with_lengths()
    named = pd.DataFrame(lengths() / 1000, index=pasilla().genes, columns=pasilla().samples)
    for ours, theirs in (
        (normalization_factors(measured), "factors lengths ratio"),
        (normalization_factors(measured, method="poscounts"), "factors lengths poscounts"),
        (
            normalization_factors(pasilla(), named.iloc[::-1, ::-1], control_genes=control),
            "factors matrix control",
        ),
    ):
        shown = answer(theirs)
        np.testing.assert_allclose(ours.loc[shown.index, shown.columns], shown, rtol=1e-14)
        np.testing.assert_allclose(np.log(ours).mean(axis=1), 0.0, atol=1e-14)
    np.testing.assert_array_equal(
        normalization_matrix(measured, "poscounts"), normalization_factors(measured, method="poscounts")
    )
    assert normalization_matrix(measured).flags.c_contiguous
    assert not normalization_matrix(measured).flags.writeable


def test_what_goes_before_lengths():
    measured = pasilla_with_lengths()
    np.testing.assert_array_equal(normalization_matrix(measured, np.arange(1.0, 8.0))[5], np.arange(1.0, 8.0))
    both = Counts(measured.matrix, normalization_factors=np.full(measured.matrix.shape, 2.0))
    object.__setattr__(both, "average_lengths", lengths())
    np.testing.assert_array_equal(normalization_matrix(both), 2.0)


def test_factors_that_cannot_be_combined(counts):
    with pytest.raises(InputError, match="no average transcript lengths; give a matrix"):
        normalization_factors(counts)
    with pytest.raises(InputError, match="normalization matrix that are not finite"):
        normalization_factors(counts, np.zeros((5, 3)))
    with pytest.raises(OptionError, match="tmm"):
        normalization_factors(counts, np.ones((5, 3)), method="tmm")


def test_when_every_gene_has_a_zero_the_way_out_is_named():
    counts = Counts([[0, 1, 2], [3, 0, 4], [5, 6, 0]])
    with pytest.raises(InputError, match="use the method 'poscounts'"):
        size_factors(counts)
    assert (size_factors(counts, "poscounts") > 0).all()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"method": "tmm"},
            OptionError,
            "unknown size factor method 'tmm'; allowed are 'ratio', 'poscounts', 'iterate'",
        ),
        ({"control_genes": ["a", "Z"]}, InputError, "unknown genes: 'Z'"),
        ({"control_genes": ["b"]}, InputError, "no size factor for the sample.s. 'x', 'y', 'z'"),
        ({"geometric_means": [1.0]}, InputError, r"shape \(1,\)"),
        ({"geometric_means": [1.0, -1, 1, 1, 1]}, InputError, "see 'b'"),
        ({"geometric_means": pd.Series({"a": 1.0})}, InputError, "lack the gene.s. 'b'"),
    ],
)
def test_size_factors_that_cannot_be_had(counts, options, error, words):
    with pytest.raises(error, match=words):
        size_factors(counts, **options)


def test_a_sample_without_counts_is_named():
    counts = Counts([[0, 1, 2], [0, 3, 4]], samples=["empty", "y", "z"])
    with pytest.raises(InputError, match="'empty'"):
        size_factors(counts, "poscounts")
    with pytest.raises(InputError, match=r"no counts in the sample.s. 'empty'"):
        cpm(counts)


def test_factors_are_resolved_and_matched_by_name(counts):
    expected = np.tile(size_factors(counts).to_numpy(), (5, 1))
    for given in (
        None,
        "ratio",
        size_factors(counts),
        size_factors(counts)[::-1],
        size_factors(counts).tolist(),
    ):
        resolved = normalization_matrix(counts, given)
        np.testing.assert_array_equal(resolved, expected)
        assert not resolved.flags.writeable
        assert resolved.strides[0] == 0  # one row in memory, not one for each gene
    frame = pd.DataFrame(expected, index=counts.genes, columns=counts.samples)
    matched = normalization_matrix(counts, frame.iloc[::-1, ::-1])
    np.testing.assert_array_equal(matched, expected)
    assert matched.flags.c_contiguous
    assert not matched.flags.writeable


def test_later_changes_of_what_was_given_change_nothing(counts):
    given = np.array([1.0, 2.0, 3.0])
    resolved = normalization_matrix(counts, given)
    given[0] = 9.0
    np.testing.assert_array_equal(resolved[:, 0], 1.0)


def test_factors_of_the_counts_go_first_unless_others_are_given():
    own = np.full((5, 3), 2.0)
    counts = Counts(MATRIX, normalization_factors=own)
    np.testing.assert_array_equal(normalization_matrix(counts), own)
    np.testing.assert_array_equal(normalization_matrix(counts, "poscounts"), own)
    np.testing.assert_array_equal(normalization_matrix(counts, [1.0, 2.0, 3.0])[4], [1, 2, 3])
    with pytest.raises(OptionError, match="tmm"):
        normalization_matrix(counts, "tmm")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([1.0, 2.0], r"shape \(2,\)"),
        ([1.0, 0.0, 2.0], "found '0.0' for 'y'"),
        ([1.0, np.nan, 2.0], "found 'nan' for 'y'"),
        (["a", "b", "c"], "not numbers"),
        (pd.Series({"x": 1.0, "y": 2.0}), "lack 'z'"),
        (pd.Series([1.0, 2.0, 3.0, 4.0], index=["x", "y", "z", "z"]), "name 'z' twice"),
        (np.ones((3, 5)), r"shape \(3, 5\)"),
        (-np.ones((5, 3)), "not finite and above 0"),
    ],
)
def test_factors_that_do_not_fit(counts, given, words):
    with pytest.raises(InputError, match=words):
        normalization_matrix(counts, given)


def test_counts_per_million(counts):
    np.testing.assert_allclose(cpm(counts).sum(axis=0), 1e6)
    pd.testing.assert_frame_equal(fpm(counts, robust=False), cpm(counts))
    sizes = size_factors(counts) * np.exp(np.log(MATRIX.sum(axis=0)).mean())
    np.testing.assert_allclose(fpm(counts), MATRIX / sizes.to_numpy() * 1e6, rtol=1e-14)


@pytest.mark.parametrize(
    ("quantity", "ours"),
    [
        ("fpkm", lambda: fpkm(pasilla(), lengths()[:, 0])),
        (
            "fpkm plain",
            lambda: fpkm(pasilla(), pd.Series(lengths()[:, 0], pasilla().genes)[::-1], robust=False),
        ),
        ("fpkm lengths", lambda: fpkm(pasilla_with_lengths())),
        ("fpkm lengths plain", lambda: fpkm(pasilla_with_lengths(), robust=False)),
        ("norm_transform", lambda: norm_transform(pasilla())),
    ],
)
def test_scaled_counts_equal_those_of_r(quantity, ours):
    theirs = answer(quantity)
    np.testing.assert_allclose(ours().loc[theirs.index, theirs.columns], theirs, rtol=2e-14)


def test_lengths_that_do_not_fit(counts):
    with pytest.raises(InputError, match="give gene_lengths="):
        fpkm(counts)
    with pytest.raises(InputError, match=r"gene lengths lack the gene.s. 'b'"):
        fpkm(counts, pd.Series({"a": 1.0, "c": 2.0, "d": 1.0, "e": 1.0}))
    with pytest.raises(InputError, match="gene lengths that are not finite and above 0"):
        fpkm(counts, [0, 1, 1, 1, 1])
    with pytest.raises(InputError, match="pseudocount"):
        norm_transform(counts, pseudocount=0.0)


def test_robust_scaling_is_not_moved_by_one_abundant_gene():
    rng = np.random.default_rng(1)
    matrix = np.tile(rng.poisson(100, size=(50, 1)) + 1, (1, 4))
    matrix[0] = [1000, 1000, 100_000, 100_000]
    counts = Counts(matrix)
    naive, robust = cpm(counts).iloc[1:], fpm(counts).iloc[1:]
    assert (
        np.log2(naive[["sample3", "sample4"]].mean(axis=1) / naive[["sample1", "sample2"]].mean(axis=1)).max()
        < -3
    )
    np.testing.assert_allclose(robust["sample1"], robust["sample4"], rtol=1e-12)
