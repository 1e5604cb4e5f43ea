"""Filters of genes: against a plain reimplementation, cases by hand, and what edgeR's rule keeps in R."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayesde import (
    BayesdeNote,
    Counts,
    Design,
    InputError,
    OptionError,
    datasets,
    filter_by_cpm,
    filter_by_expression,
)


def plain(matrix, sizes, needed, min_count=10.0, min_total_count=15.0, large_n=10.0, min_prop=0.7):
    """The rule, gene by gene and sample by sample, with ties up to rounding."""
    if needed > large_n:
        needed = large_n + (needed - large_n) * min_prop
    cutoff = min_count / np.median(sizes) * 1e6
    kept = []
    for row in matrix:
        enough = sum(
            count / size * 1e6 >= cutoff * (1.0 - 1e-12) for count, size in zip(row, sizes, strict=True)
        )
        kept.append(enough >= needed - 1e-9 and sum(row) >= min_total_count)
    return np.array(kept)


def leverages(matrix):
    """Diagonal of the projection on a matrix and a constant, by the pseudo-inverse."""
    full = np.column_stack([np.ones(len(matrix)), matrix])
    return np.diag(full @ np.linalg.pinv(full))


# Numbers of genes that the rule of edgeR keeps, run in R on the same counts: by group, by design, strictly.
@pytest.mark.parametrize(
    ("name", "group", "formula", "expected"),
    [
        ("pasilla", "condition", "~ type + condition", (7919, 8066, 7191)),
        ("airway", "dex", "~ cell + dex", (15926, 16860, 13859)),
    ],
)
def test_numbers_of_genes_are_those_of_edger(name, group, formula, expected):
    counts = getattr(datasets, f"load_{name}")()
    by_group = filter_by_expression(counts, group=group)
    by_design = filter_by_expression(counts, formula)
    strict = filter_by_expression(
        counts, group=group, min_count=30, min_total_count=100, large_n=2, min_prop=0.5
    )
    assert (by_group.n_kept, by_design.n_kept, strict.n_kept) == expected
    sizes = counts.library_sizes
    smallest = counts.sample_table[group].value_counts().min()
    np.testing.assert_array_equal(by_group.mask, plain(counts.matrix, sizes, smallest))
    needed = 1.0 / leverages(Design.from_formula(formula, counts.sample_table).matrix).max()
    assert by_design.n_samples == pytest.approx(needed)
    np.testing.assert_array_equal(by_design.mask, plain(counts.matrix, sizes, needed))
    assert f"{expected[0]:,} of {counts.n_genes:,} genes are kept" in str(by_group)
    assert counts.subset(genes=by_group.mask).n_genes == expected[0]


def test_the_rule_by_hand():
    """Sizes 1000, 2000, 4000: the limit is 10 counts of 2000, that is 5, 10 and 20."""
    matrix = np.array([[5, 10, 0], [4, 10, 0], [5, 9, 20], [5, 0, 19], [0, 10, 20]])
    rest = np.array([1000, 2000, 4000]) - matrix.sum(axis=0)
    counts = Counts(np.vstack([matrix, rest]))
    kept = filter_by_expression(counts, group=["a", "a", "b"], min_total_count=0)
    np.testing.assert_array_equal(kept.mask[:5], [True, True, True, True, True])
    kept = filter_by_expression(counts, group=["a", "a", "a"], min_total_count=0)
    np.testing.assert_array_equal(kept.mask[:5], [False] * 5)
    two = filter_by_expression(counts, group=["a"] * 3, min_total_count=0, large_n=1, min_prop=0.5)
    assert two.n_samples == 2.0
    np.testing.assert_array_equal(two.mask[:5], [True, False, True, False, True])
    total = filter_by_expression(counts, group=["a"] * 3, min_total_count=30, large_n=1, min_prop=0.5)
    np.testing.assert_array_equal(total.mask[:5], [False, False, True, False, True])
    other = filter_by_expression(counts, group=["a", "a", "b"], library_sizes=[1e3, 1e3, 1e3])
    assert other.smallest_cpm == pytest.approx(10.0 / 1e3 * 1e6)


def test_the_rule_of_counts_per_million_by_hand():
    """More than 10 counts in a sample of median size, in as many samples as the smaller group has."""
    matrix = np.array([[11, 11, 0, 0], [11, 10, 0, 0], [0, 0, 500, 0], [5000, 5000, 5000, 5000]])
    counts = Counts(matrix, sample_table=pd.DataFrame({"g": list("aabb")}, index=list("wxyz")))
    kept = filter_by_cpm(counts, group="g", library_sizes=[1e6] * 4)
    np.testing.assert_array_equal(kept.mask, [True, False, False, True])
    assert kept.smallest_cpm == 10.0
    by_design = filter_by_cpm(counts, "~ g", library_sizes=[1e6] * 4)
    np.testing.assert_array_equal(by_design.mask, kept.mask)


@given(
    st.lists(st.lists(st.integers(0, 40), min_size=6, max_size=6), min_size=1, max_size=8),
    st.sampled_from([(3, 3), (2, 4), (1, 5), (6,)]),
)
def test_any_counts_agree_with_the_plain_rule(rows, groups):
    matrix = np.array([*rows, [1000, 1100, 900, 1000, 1500, 700]])
    labels = np.repeat(np.arange(len(groups)), groups)
    kept = filter_by_expression(Counts(matrix), group=labels)
    np.testing.assert_array_equal(kept.mask, plain(matrix, matrix.sum(axis=0), min(groups)))


def test_leverages_of_designs_with_and_without_a_constant():
    rng = np.random.default_rng(4)
    counts = Counts(rng.poisson(50, (20, 8)))
    for matrix in (np.eye(2)[[0] * 4 + [1] * 4], rng.normal(size=(8, 2)), np.ones((8, 1))):
        kept = filter_by_expression(counts, Design.from_matrix(matrix))
        assert kept.n_samples == pytest.approx(1.0 / leverages(matrix).max())


def test_without_groups_all_samples_are_one():
    counts = datasets.load_pasilla()
    with pytest.warns(BayesdeNote, match="all samples are taken as one group"):
        kept = filter_by_expression(counts)
    assert kept.n_samples == 7
    assert kept.n_kept == 7416


def test_what_cannot_be_filtered():
    counts = Counts(np.array([[5, 10], [3, 2]]), sample_table=pd.DataFrame({"dose": ["a", "b"]}, ["x", "y"]))
    with pytest.raises(InputError, match=r"no column 'dosis'.* Did you mean 'dose'"):
        filter_by_expression(counts, group="dosis")
    with pytest.raises(InputError, match="3 groups were given for 2 samples"):
        filter_by_cpm(counts, group=["a", "b", "c"])
    with pytest.raises(InputError, match="no group for the sample"):
        filter_by_cpm(counts, group=["a", None])
    with pytest.raises(OptionError, match="min_count"):
        filter_by_expression(counts, group="dose", min_count=0.0)
    with pytest.raises(InputError, match="library sizes"):
        filter_by_expression(counts, group="dose", library_sizes=[1.0, -1.0])
    with pytest.raises(InputError, match="library sizes lack the sample"):
        filter_by_expression(counts, group="dose", library_sizes=pd.Series([1.0, 2.0], ["x", "q"]))


def test_sizes_given_by_name_and_counts_in_blocks(monkeypatch):
    counts = datasets.load_pasilla()
    kept = filter_by_expression(counts, group="condition")
    sizes = pd.Series(counts.library_sizes, counts.samples)[::-1]
    np.testing.assert_array_equal(
        filter_by_expression(counts, group="condition", library_sizes=sizes).mask, kept.mask
    )
    monkeypatch.setattr("bayesde.counts.storage.CHUNK_CELLS", 700)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(filter_by_expression(counts, group="condition").mask, kept.mask)
    with pytest.raises(ValueError, match="read-only"):
        kept.mask[0] = True
