"""Rankings for gene set analysis: scores, names, order, and what is left out."""

import numpy as np
import pandas as pd
import pytest

from bayesde import BayesdeNote, InputError, OptionError, ranking, rankings
from bayesde.results import build_results


@pytest.fixture
def table():
    log2 = np.log(2.0)
    return build_results(
        ["g1", "g2", "g3", "g4", "g5"],
        {
            "gene_name": ["A", "B", "A", "", "E"],
            "base_mean": [10.0, 20.0, 30.0, 40.0, np.nan],
            "log2_fold_change": np.array([1.0, -2.0, 3.0, 0.5, np.nan]) * log2,
            "lfc_se": np.array([0.5, 0.5, 1.0, 1.0, np.nan]) * log2,
            "p_value": [0.05, 1e-5, 0.01, 0.6, np.nan],
            "lfsr": [0.02, 0.0, 0.005, 0.3, np.nan],
            "status": ["ok", "ok", "ok", "ok", "all_zero"],
        },
    )


@pytest.mark.filterwarnings("ignore:1 of 5 genes have no score:bayesde.errors.BayesdeNote")
@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (None, {"g3": 3.0, "g1": 2.0, "g4": 0.5, "g2": -4.0}),
        ("z", {"g3": 3.0, "g1": 2.0, "g4": 0.5, "g2": -4.0}),
        ("p_value", {"g3": 2.0, "g1": -np.log10(0.05), "g4": -np.log10(0.6), "g2": -5.0}),
        ("lfsr", {"g3": -np.log10(0.005), "g1": -np.log10(0.02), "g4": -np.log10(0.3), "g2": -300.0}),
        ("log2_fold_change", {"g3": 3.0, "g1": 1.0, "g4": 0.5, "g2": -2.0}),
    ],
)
def test_scores_in_descending_order(table, by, expected):
    found = ranking(table, by)
    assert list(found.index) == list(expected)
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:1 of 5 genes have no score:bayesde.errors.BayesdeNote")
def test_the_statistic_of_a_likelihood_ratio_test_gets_the_sign_of_the_effect(table):
    tested = table.assign(stat=[4.0, 9.0, 16.0, 1.0, np.nan])
    assert list(ranking(tested)) == [16.0, 4.0, 1.0, -9.0]


def test_of_genes_with_the_same_symbol_the_strongest_is_kept(table):
    with pytest.warns(BayesdeNote) as said:
        found = ranking(table, symbols=True)
    assert dict(found) == {"A": 3.0, "B": -4.0}
    assert [str(one.message) for one in said] == [
        "1 gene(s) share a name with another of larger absolute score.",
        "1 of 5 genes have no score, and are left out.",
    ]


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeNote")
def test_several_contrasts(table):
    other = table.drop("g2").iloc[::-1]
    found = rankings({"one": table, "two": other})
    pd.testing.assert_frame_equal(
        found,
        pd.DataFrame([[2.0, 3.0, 0.5]] * 2, ["one", "two"], ["g1", "g3", "g4"]).rename_axis(
            index="contrast", columns="gene"
        ),
        check_index_type=False,
        check_column_type=False,
    )


def test_what_is_refused(table):
    with pytest.raises(OptionError, match="unknown score 'pvalue'; allowed are 'stat', 'z'"):
        ranking(table, "pvalue")
    with pytest.raises(InputError, match="the score 'stat' needs the column"):
        ranking(table, "stat")
    with pytest.raises(InputError, match="no column 'gene_name'"):
        ranking(table.drop(columns="gene_name"), symbols=True)
    with pytest.raises(InputError, match="no gene of the table has a score"):
        ranking(table.iloc[4:])
    with pytest.raises(InputError, match="tables must be results tables by name"):
        rankings({})
    with pytest.raises(InputError, match="a results table is needed"):
        ranking([1.0])
