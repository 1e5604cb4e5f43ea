"""Sample tables as people have them: blanks, levels that look alike, numbers that are names."""

import warnings

import numpy as np
import pandas as pd
import pytest

from bayesde import BayesdeNote, BayesdeWarning, Counts, Design, fit_eb, read_counts
from bayesde.eb.summary import summary_lines
from bayesde.io import read_sample_table

SAMPLES = [f"S{i}" for i in range(1, 9)]
GROUPS = ["control"] * 4 + ["treated"] * 4


def table(**columns):
    return pd.DataFrame(columns, index=SAMPLES)


def heard(formula, **columns):
    """Make a design and return what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        Design.from_formula(formula, table(**columns))
    return [str(one.message) for one in said]


def field(shared, case, counts="counts.tsv", samples="samples.tsv"):
    folder = shared / "field" / case
    return read_counts(folder / counts, samples=folder / samples)


def test_a_blank_makes_no_level(shared):
    with pytest.warns(BayesdeNote, match="whitespace around text .*'control ' in column 'condition'"):
        counts = field(shared, "near_duplicate_levels")
    fit = fit_eb(counts, "~ condition")
    assert fit.design.factors == {"condition": ("control", "treated")}
    assert "condition: control 4 (reference), treated 4" in repr(fit.design)
    assert summary_lines(fit)[0] == "condition: control 4 (reference), treated 4"
    clean = Counts(counts.to_frame(), sample_table=table(condition=GROUPS))
    pd.testing.assert_frame_equal(fit.results(), fit_eb(clean, "~ condition").results())


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u200b", "\t", "\u3000"])
@pytest.mark.parametrize("mark", ["\t", ",", ";"])
def test_all_kinds_of_blanks_in_files(tmp_path, blank, mark):
    if blank == mark:
        return
    path = tmp_path / "samples"
    path.write_text(f"sample{mark}g{mark}n\nS1{blank}{mark}{blank}a{mark}1\nS2{mark}a{mark}{blank}2{blank}\n")
    with pytest.warns(BayesdeNote, match="whitespace around text"):
        read = read_sample_table(path)
    assert list(read.index) == ["S1", "S2"]
    assert list(read["g"]) == ["a", "a"]
    assert read["n"].dtype == np.int64


def test_blanks_in_the_callers_table_are_stripped_from_a_copy():
    given = table(g=pd.Categorical(["b ", "b", "a", "a", "b", "b", "a", "a"], categories=["b ", "b", "a"]))
    given.index = [f"{name} " for name in SAMPLES]
    before = given.copy()
    with pytest.warns(BayesdeNote, match="'b ' in column 'g'"):
        counts = Counts(np.ones((3, 8), int), samples=SAMPLES, sample_table=given)
    assert list(counts.sample_table["g"].cat.categories) == ["b", "a"]
    assert list(counts.sample_table.index) == SAMPLES
    pd.testing.assert_frame_equal(given, before)


def test_a_blank_that_cannot_be_seen_is_shown():
    given = table(g=["a\u00a0"] + ["a"] * 3 + ["b"] * 4)
    with pytest.warns(BayesdeNote, match="'a<no-break space>' in column 'g'"):
        Counts(np.ones((3, 8), int), samples=SAMPLES, sample_table=given)


def test_blanks_after_commas(shared):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counts = field(shared, "space_after_comma", "counts.csv", "samples.csv")
    assert list(counts.samples) == SAMPLES
    assert list(counts.sample_table["condition"]) == GROUPS
    assert counts.matrix[0].tolist() == [92, 146, 73, 98, 26, 24, 21, 21]


@pytest.mark.parametrize("space", [" ", "\u00a0"])
def test_blanks_around_counts_and_names(tmp_path, space):
    path = tmp_path / "counts.csv"
    path.write_text(f'gene,{space}a{space},"b{space}"\ng1{space},{space}1,2\n{space}g2,3{space},4\n')
    counts = read_counts(path)
    assert (list(counts.genes), list(counts.samples)) == (["g1", "g2"], ["a", "b"])
    np.testing.assert_array_equal(counts.matrix, [[1, 2], [3, 4]])


def test_a_file_of_names_only_and_a_column_without_values(tmp_path):
    path = tmp_path / "samples.csv"
    path.write_text("sample\na\nb\n")
    assert read_sample_table(path).shape == (2, 0)
    path.write_text("sample,x,y,z\na,,TRUE,0.1\nb,NA,FALSE,NA\n")
    read = read_sample_table(path)
    assert read["x"].isna().all()
    assert read["y"].tolist() == [True, False]
    assert read["z"].dtype == np.float64


@pytest.mark.parametrize(
    "pair",
    [
        ("Control", "control"),
        ("wild type", "wild_type"),
        ("wild-type", "wildtype"),
        ("d.1", "d_1"),
        ("A", "a"),
    ],
)
def test_levels_that_look_alike_are_named(pair):
    (said,) = heard("~ g", g=list(pair) * 4)
    assert (
        f"levels of 'g' differ only in case, whitespace or punctuation: '{pair[0]}' and '{pair[1]}'" in said
    )


@pytest.mark.parametrize("pair", [("CD4+", "CD4-"), ("1.1", "11"), ("-1", "1"), ("t1", "t2"), ("KO", "KO-")])
def test_levels_that_differ_are_not(pair):
    assert heard("~ g", g=list(pair) * 4) == []


def test_ids_with_leading_zeros_are_a_factor(shared):
    counts = field(shared, "numeric_batch")
    made = Design.from_formula("~ patient + condition", counts.sample_table)
    assert made.factors["patient"] == ("001", "002", "003", "004")
    assert "patient: 001 2 (reference), 002 2, 003 2, 004 2" in repr(made)


@pytest.mark.parametrize(
    ("name", "values", "span"),
    [
        ("patient", [1, 2, 3, 4] * 2, "1 to 4"),
        ("Patient_ID", [11.0, 12, 13, 14] * 2, "11 to 14"),
        ("sampleBatch", [1, 1, 1, 2, 2, 2, 2, 2], "1 to 2"),
        ("plate", range(8), "0 to 7"),
        ("time", [0, 2, 4, 8] * 2, "0 to 8"),
    ],
)
def test_numbers_that_name_groups_get_a_sentence(name, values, span):
    (said,) = heard(f"~ {name} + condition", **{name: list(values)}, condition=list("ababbaba"))
    assert f"`{name}` is used as a number: one slope" in said
    assert f"from {span} " in said
    assert f"Write C({name}) in the design" in said


@pytest.mark.parametrize(
    ("formula", "values"),
    [
        ("~ x", [34.5, 51.2, 33.1, 40, 50, 60, 70, 80.5]),
        ("~ age", [30, 40, 50, 60] * 2),
        ("~ x", [0, 1] * 4),
        ("~ C(x)", [1, 2] * 4),
        ("~ bs(x, df=3)", [0, 2, 4, 8] * 2),
    ],
)
def test_measured_covariates_and_expressions_get_none(formula, values):
    assert heard(formula, x=list(values), age=list(values)) == []


def test_the_range_of_a_covariate_is_shown():
    made = Design.from_formula("~ age + g", table(age=[34.5, 51, 33, 40, 50, 60, 70, 80], g=GROUPS))
    assert repr(made) == (
        "<Design: ~ age + g; 8 samples, 3 coefficients; g: control 4 (reference), treated 4; "
        "age: 33 to 80 (a number)>"
    )
    assert "<th" in made._repr_html_()


def test_many_levels_are_cut_short():
    sixteen = pd.DataFrame({"g": [f"l{i:02}" for i in range(16)] * 2}, index=range(32))
    assert "l11 2 and 4 more levels" in repr(Design.from_formula("~ g", sixteen))


@pytest.mark.filterwarnings("always")
def test_the_command_line_prints_the_design(bayesde, shared, tmp_path):
    folder = shared / "field" / "near_duplicate_levels"
    code, _, message = bayesde(
        "eb", folder / "counts.tsv", folder / "samples.tsv", "-d", "~ condition", "-o", tmp_path / "out"
    )
    assert code == 0
    assert "note: whitespace around text in the sample table was stripped: 'control '" in message
    assert "condition: control 4 (reference), treated 4" in message
    assert issubclass(BayesdeNote, BayesdeWarning)
