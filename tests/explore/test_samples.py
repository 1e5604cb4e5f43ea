"""Samples compared: against R's DESeq2 and the rule of limma, and against SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import linalg
from scipy.cluster import hierarchy
from scipy.spatial import distance

from bayesde import (
    InputError,
    OptionError,
    datasets,
    fit_eb,
    log_cpm,
    sample_distances,
    sample_mds,
    sample_pca,
    sample_summary,
    vst,
)
from bayesde.explore.filters import filter_by_cpm

# DESeq2 1.38.3: vst(blind = TRUE), prcomp of the 500 genes of largest variance, as plotPCA; dist and hclust.
PASILLA = {
    "PC1": [-9.008423545, -8.848680780, -6.591174407, -6.426708295, 8.416050578, 11.207880090, 11.251056360],
    "PC2": [6.689407418, 4.157390065, -7.305045565, -6.722681785, 10.656173093, -2.695457973, -4.779785254],
    "explained": [0.56582088, 0.30350036, 0.085426212, 0.023533256, 0.013356990, 0.0083623034],
    "distances": [0.0, 27.99242220, 32.33676867, 28.09132966, 34.36360994, 36.33821425, 37.34216705],
    "average": [17.65112851, 22.60511861, 27.29470190, 29.47350685, 30.98889829, 34.68872261],
    "complete": [17.65112851, 22.60511861, 27.38648490, 31.75799924, 32.33676867, 39.67065166],
}
# The rule of limma's plotMDS on edgeR's cpm(log = TRUE), run in R.
SCALED = {
    "dim1": [0.929485432, 0.775866141, -0.189999228, 0.026085738, 0.197155666, -0.839681316, -0.898912433],
    "dim2": [0.091401299, -0.114691350, 0.876443407, 0.731311288, -1.144397226, -0.312030943, -0.128036475],
    "explained": [0.28751304, 0.25863711, 0.15577433, 0.11298897, 0.10131949, 0.083767058],
    "first_distance": 1.605453,
}


@pytest.fixture(scope="module")
def counts():
    return datasets.load_pasilla()


def same_up_to_sign(ours, reference, rtol):
    sign = np.sign(np.dot(ours, reference))
    np.testing.assert_allclose(sign * np.asarray(ours), reference, rtol=rtol, atol=1e-9)


def test_components_are_those_of_deseq2(counts):
    pca = sample_pca(counts)
    for name in ("PC1", "PC2"):
        same_up_to_sign(pca.coordinates[name], PASILLA[name], 1e-7)
    np.testing.assert_allclose(pca.explained, PASILLA["explained"], rtol=1e-7)
    assert list(pca.coordinates.index) == list(counts.samples)
    assert pca.sample_table.equals(counts.sample_table)


def test_components_are_a_singular_value_decomposition(counts):
    values = vst(counts)
    pca = sample_pca(values, top=50)
    x = values.loc[values.var(axis=1).sort_values(ascending=False).index[:50]]
    x = x.sub(x.mean(axis=1), axis=0)
    _, singular, right = linalg.svd(x.to_numpy(), full_matrices=False)
    np.testing.assert_allclose(pca.explained, (singular**2 / (singular**2).sum())[:6], rtol=1e-9)
    for k in range(6):
        same_up_to_sign(pca.coordinates.iloc[:, k], right[k] * singular[k], 1e-8)
    back = pca.loadings @ pca.coordinates.T
    np.testing.assert_allclose(back.loc[x.index], x, atol=1e-9)
    largest = pca.coordinates.abs().idxmax()
    assert all(pca.coordinates.loc[largest[name], name] > 0.0 for name in pca.coordinates)


def test_scaling_is_that_of_limma(counts):
    mds = sample_mds(counts)
    for name in ("dim1", "dim2"):
        same_up_to_sign(mds.coordinates[name], SCALED[name], 1e-7)
    np.testing.assert_allclose(mds.explained, SCALED["explained"], rtol=1e-7)
    assert mds.distances.iloc[0, 1] == pytest.approx(SCALED["first_distance"], rel=1e-6)


def test_leading_fold_changes_by_hand():
    values = pd.DataFrame({"a": [0.0, 0.0, 0.0, 0.0], "b": [3.0, -4.0, 1.0, 0.0], "c": [0.0, 0.0, 0.0, 2.0]})
    mds = sample_mds(values, top=2)
    expected = np.sqrt([(9 + 16) / 2, 4 / 2, (9 + 16) / 2])
    np.testing.assert_allclose(distance.squareform(mds.distances.to_numpy()), expected)
    placed = distance.pdist(mds.coordinates)
    np.testing.assert_allclose(placed, expected, rtol=1e-9)  # three points fit into a plane


def test_distances_and_their_tree_are_those_of_r(counts):
    found = sample_distances(counts)
    np.testing.assert_allclose(found.distances.iloc[0], PASILLA["distances"], rtol=1e-8)
    np.testing.assert_allclose(found.linkage[:, 2], PASILLA["average"], rtol=1e-8)
    complete = sample_distances(vst(counts), linkage="complete")
    np.testing.assert_allclose(complete.linkage[:, 2], PASILLA["complete"], rtol=1e-8)
    np.testing.assert_allclose(
        distance.squareform(found.distances), distance.pdist(vst(counts).T), rtol=1e-12
    )
    np.testing.assert_array_equal(found.order, hierarchy.leaves_list(found.linkage))
    with pytest.raises(OptionError, match="'ward'"):
        sample_distances(counts, linkage="wards")


def test_a_fit_is_transformed_with_its_trend(counts):
    fit = fit_eb(counts, "~ type + condition", references={"condition": "untreated"})
    assert sample_pca(fit).coordinates.equals(sample_pca(vst(fit)).coordinates)
    assert not sample_pca(fit).coordinates.equals(sample_pca(counts).coordinates)


def test_log_cpm_is_that_of_edger(counts):
    y, prior = counts.matrix, 2.0
    totals = y.sum(axis=0)
    added = totals / totals.mean() * prior
    expected = np.log2((y + added) / (totals + 2.0 * added) * 1e6)
    np.testing.assert_allclose(log_cpm(counts), expected, rtol=1e-12)
    # from R, of the same formula: FBgn0004959 in the first and second sample
    np.testing.assert_allclose(log_cpm(counts).loc["FBgn0004959"].iloc[:2], [-2.167194, -2.345840], atol=1e-6)
    zero = log_cpm(counts)[counts.all_zero]
    assert np.ptp(zero.to_numpy()) < 1e-12
    doubled = log_cpm(counts, library_sizes=pd.Series(2.0 * totals, counts.samples)[::-1], prior_count=1.0)
    added = totals / totals.mean()
    np.testing.assert_allclose(doubled, np.log2((y + added) / (2 * totals + 2 * added) * 1e6), rtol=1e-12)
    with pytest.raises(InputError, match="prior count is 0"):
        log_cpm(counts, prior_count=0.0)


def test_summary_counts_reads_and_genes(counts):
    kept = filter_by_cpm(counts, group="condition")
    table = sample_summary(counts, kept)
    y = counts.matrix
    np.testing.assert_array_equal(table["reads"], y.sum(axis=0))
    np.testing.assert_array_equal(table["genes"], (y > 0).sum(axis=0))
    np.testing.assert_allclose(table["top_share"], np.sort(y, axis=0)[-10:].sum(axis=0) / y.sum(axis=0))
    np.testing.assert_allclose(table["reads_kept"], y[kept.mask].sum(axis=0) / y.sum(axis=0))
    assert "reads_kept" not in sample_summary(counts)
    with pytest.raises(InputError, match="a mask of type"):
        sample_summary(counts, np.array([True, False]))


def test_results_describe_themselves(counts):
    assert "7 samples, 500 genes; PC1 56.6 %" in repr(sample_pca(counts))
    assert "500 genes for each pair; dim1 28.8 %" in repr(sample_mds(counts))
    assert repr(sample_distances(counts)) == "<SampleDistances: 7 samples, 17.7 to 39.7>"
    assert repr(filter_by_cpm(counts, group="condition")).startswith("<GeneFilter: 7,908 of 14,599 genes")


def test_a_panel_of_few_genes_can_be_explored(counts):
    panel = counts.subset(genes=np.flatnonzero(counts.matrix.mean(axis=1) > 50)[:60])
    assert sample_pca(panel).loadings.shape == (60, 6)
    assert sample_mds(panel).top == 60
    two = panel.subset(samples=[0, 1])
    assert sample_pca(two).coordinates.shape == (2, 1)
    assert sample_distances(two).linkage.shape == (1, 4)
    with pytest.raises(InputError, match="at least 3 are needed"):
        sample_mds(two)


def test_what_cannot_be_compared():
    same = pd.DataFrame(np.ones((3, 4)), columns=list("abcd"))
    with pytest.raises(InputError, match="same value in all samples"):
        sample_pca(same)
    with pytest.raises(InputError, match="all samples have the same values"):
        sample_mds(same)
    with pytest.raises(InputError, match="missing or infinite: 'g2'"):
        sample_pca(pd.DataFrame({"a": [1.0, -np.inf], "b": [2.0, 3.0]}, index=["g1", "g2"]))
    with pytest.raises(InputError, match="got list"):
        sample_mds([[1.0]])
    with pytest.raises(InputError, match="got str"):
        sample_distances("counts")
    with pytest.raises(InputError, match="not numbers"):
        sample_distances(pd.DataFrame({"a": ["x"], "b": ["y"]}))
    with pytest.raises(InputError, match=r"shape \(3, 1\)"):
        sample_distances(same[["a"]])
    with pytest.raises(OptionError, match="top must be a whole number"):
        sample_pca(same, top=0)
    assert (sample_distances(same).distances.to_numpy() == 0.0).all()


def test_groups_without_replicates_can_be_explored(counts):
    one_each = counts.subset(samples=["untreated1", "untreated3", "treated2"])
    assert sample_pca(one_each).coordinates.shape == (3, 2)
    assert sample_mds(one_each).coordinates.shape == (3, 2)
    assert sample_distances(one_each).order.size == 3
