"""The results table: order, units, statuses, files, and s-values."""

import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayesde import InputError, ResultsTable, read_results, s_values
from bayesde.results import COLUMNS, build_results, tab_separated, write_results
from bayesde.statuses import STATUSES

ORDER = (
    "gene_name base_mean log2_fold_change lfc_se lfc_lower lfc_upper stat p_value padj lfsr s_value "
    "p_zero prob_gt_threshold dispersion ess rhat ess_bulk ess_tail pareto_k engine status"
).split()
GENES = ["g1", "g2", "g3"]
NAN = math.nan


def columns(**changes):
    made = {
        "status": ["ok", "all_zero", "low_mean"],
        "engine": "eb",
        "padj": [0.1, NAN, NAN],
        "p_value": [0.01, NAN, 0.5],
        "log2_fold_change": [math.log(2), NAN, -math.log(8)],
        "lfc_se": [math.log(4), NAN, 1 / 3],
        "base_mean": [1 / 3, 0.0, 5e-324],
        "dispersion": [0.1, NAN, 1e10],
    }
    return made | changes


def test_the_schema_is_the_contract():
    assert list(COLUMNS) == ORDER
    assert all(column.description for column in COLUMNS.values())
    for status in ("ok", "all_zero", "count_outlier", "low_mean", "not_converged", "high_pareto_k"):
        assert STATUSES[status]


def test_columns_come_in_order_and_on_the_log2_scale():
    table = build_results(GENES, columns())
    assert list(table.columns) == [name for name in ORDER if name in columns()]
    assert table.index.name == "gene"
    np.testing.assert_allclose(table["log2_fold_change"], [1.0, NAN, -3.0])
    np.testing.assert_allclose(table["lfc_se"], [2.0, NAN, 1 / 3 / math.log(2)])
    np.testing.assert_array_equal(table["p_value"], [0.01, NAN, 0.5])
    assert list(table["engine"]) == ["eb"] * 3


def test_parts_of_a_table_are_tables():
    table = build_results(GENES, columns())
    assert isinstance(table.loc[["g1"]], ResultsTable)
    assert isinstance(table.sort_values("p_value"), ResultsTable)
    assert set(table.descriptions) == set(table.columns)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"logFC": [1, 2, 3]}, "unknown results columns"),
        ({"padj": [0.1, 0.2]}, r"padj has shape \(2,\)"),
        ({"status": ["ok", "zero", "ok"]}, "unknown status"),
        ({"status": ["ok", "all_zero", "ok"]}, "padj is missing for 1 gene"),
    ],
)
def test_mistakes_of_a_caller(changes, words):
    with pytest.raises(ValueError, match=words):
        build_results(GENES, columns(**changes))


def test_a_table_needs_a_status():
    made = columns()
    del made["status"]
    with pytest.raises(ValueError, match="needs a status"):
        build_results(GENES, made)


def test_a_diagnostic_of_another_engine_may_be_missing():
    table = build_results(GENES, columns(rhat=[NAN, NAN, NAN], pareto_k=[0.1, NAN, 0.2]))
    assert table["rhat"].isna().all()


def test_deseq2_names():
    exported = build_results(GENES, columns(stat=[1, NAN, 2], s_value=[0.1, NAN, 0.2])).to_deseq2()
    names = ["baseMean", "log2FoldChange", "lfcSE", "stat", "pvalue", "padj", "svalue"]
    assert list(exported.columns) == names
    assert type(exported) is pd.DataFrame
    assert list(exported.index) == GENES


def test_files_give_back_every_digit(tmp_path):
    table = build_results(["NA", "001", "g 3"], columns(lfc_lower=[-1e-300, NAN, 1 / 7]))
    path = write_results(table, tmp_path)
    pd.testing.assert_frame_equal(read_results(path), table, check_exact=True)
    pd.testing.assert_frame_equal(read_results(tmp_path), table, check_exact=True)
    second = path.read_text().splitlines()[2].split("\t")
    assert second[0] == "001"
    assert second[2] == ""
    described = json.loads((tmp_path / "results.columns.json").read_text())
    assert list(described["columns"]) == ["gene", *table.columns]
    assert described["columns"]["lfc_se"]["unit"] == "log2"
    assert described["status"] == {name: status.meaning for name, status in STATUSES.items()}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["results.columns.json", "results.tsv"]


def test_other_tables_are_refused(tmp_path):
    with pytest.raises(InputError, match="no results table"):
        read_results(tmp_path)
    (tmp_path / "results.tsv").write_text("gene\tlogFC\ng1\t1\n")
    with pytest.raises(InputError, match="not a results table"):
        read_results(tmp_path)


def test_s_values_by_hand():
    rates = [0.2, 0.0, NAN, 0.1, 0.2]
    np.testing.assert_allclose(s_values(rates), [0.1, 0.0, NAN, 0.05, 0.125])
    assert s_values([]).shape == (0,)
    assert np.isnan(s_values([NAN])).all()


@given(st.lists(st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.5]) | st.floats(0.0, 0.5), min_size=1, max_size=30))
def test_s_values_are_means_over_all_genes_not_worse(rates):
    rates = np.array(rates)
    earlier = np.tri(rates.size, dtype=bool)  # of equal rates, those that stand before count
    better = (rates < rates[:, None]) | ((rates == rates[:, None]) & earlier)
    expected = [rates[counted].mean() for counted in better]
    np.testing.assert_allclose(s_values(rates), expected, rtol=1e-12, atol=1e-300)


def test_a_table_is_written_as_pandas_writes_it():
    frame = pd.DataFrame(
        {
            "x": [0.1, np.nan, 1e-300],
            "y": [1e16, 123456.0, -0.0],
            "n": [1, 2, 3],
            "text": ["a\tb", None, 'say "no"'],
            "single": np.array([0.1, 1.5, np.nan], dtype=np.float32),
            "z": [2.5, 3.0, np.inf],
            "yes": [True, False, True],
            "two\nlines": ["p", "q", np.nan],
        },
        index=pd.Index(['"quoted"', "plain", "last"], name="gene"),
    )
    for table in (frame, frame.iloc[:, :2], frame.iloc[:0], frame[["text"]]):
        assert tab_separated(table) == table.to_csv(sep="\t", index_label="gene", lineterminator="\n")


@given(st.lists(st.floats(), max_size=20))
def test_numbers_come_back_as_they_were(values):
    text = tab_separated(pd.DataFrame({"x": np.array(values, dtype=np.float64)}))
    back = [float(line.split("\t")[1] or "nan") for line in text.splitlines()[1:]]
    assert np.array_equal(back, values, equal_nan=True)


def test_names_with_line_ends_come_back():
    frame = pd.DataFrame({"text": ["a\rb", "c\r\nd"], "x": [1.0, 2.0]}, index=pd.Index(["g\r1", "g\n2"]))
    back = pd.read_csv(io.StringIO(tab_separated(frame), newline=""), sep="\t", index_col="gene")
    assert back.index.tolist() == frame.index.tolist()
    assert back["text"].tolist() == frame["text"].tolist()


def test_a_parquet_file_keeps_numbers_and_meanings(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = build_results(GENES, columns(gene_name=["A", "", "C"]))
    table.write_parquet(tmp_path / "results.parquet")
    back = read_results(tmp_path / "results.parquet")
    assert isinstance(back, ResultsTable)
    pd.testing.assert_frame_equal(back, table)
    field = parquet.read_schema(tmp_path / "results.parquet").field("lfc_se")
    assert field.metadata == {b"unit": b"log2", b"description": COLUMNS["lfc_se"].description.encode()}
    assert list(pd.read_parquet(tmp_path / "results.parquet").index) == GENES


def test_other_parquet_files_are_refused(tmp_path):
    pytest.importorskip("pyarrow")
    pd.DataFrame({"a": [1.0]}, index=["g"]).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="is not a results table of bayesde"):
        read_results(tmp_path / "other.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="cannot be read as a Parquet file"):
        read_results(tmp_path / "cut.parquet")
