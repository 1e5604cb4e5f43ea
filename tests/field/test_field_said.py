"""What fits, tables and objects say of themselves, and what is said to those who ask in other words."""

import re
import shlex
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesde as bde
from bayesde import BayesdeWarning, Design, InputError, fit_eb, read_counts, simulate
from bayesde.eb.summary import fit_lines

TABLE = pd.DataFrame(
    {
        "condition": list("aabbccaabbcc"),
        "age": [31, 47.5, 60, 25, 38, 41, 52, 44, 29, 63, 57, 35],
        "batch": list("xy" * 6),
    },
    index=[f"s{i}" for i in range(12)],
)


@pytest.fixture(scope="module")
def course(shared):
    folder = shared / "field" / "time_course_spline"
    return read_counts(folder / "counts.tsv", samples=folder / "samples.tsv")


def said(call, *arguments, **named):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        call(*arguments, **named)
    return [str(one.message) for one in heard]


@pytest.mark.parametrize(
    ("formula", "reduced"),
    [
        ("~ condition + bs(hour, df=3)", "~ condition"),
        ("~ bs(hour, df=3)", "~ 1"),
        ("~ poly(hour, 2)", "~ 1"),
        ("~ cs(hour, df=3, constraints='center')", "~ 1"),
    ],
)
def test_a_term_of_several_columns_is_not_tested_in_silence(course, formula, reduced):
    fit = fit_eb(course, formula)
    last = fit.design.coefficients[-1]
    (sentence,) = said(fit.results)
    assert f"the table shows the last one alone, '{last}'." in sentence
    assert f"--test lrt --reduced '{reduced}', in Python by fit.test_lrt(\"{reduced}\")" in sentence
    assert said(fit.shrink) == [sentence]
    assert said(fit.results, coef=last) == []
    assert said(fit.test_lrt, reduced) == []


def test_an_intercept_is_no_comparison(course):
    (sentence,) = said(fit_eb(course, "~ 1").results)
    assert "the design '~ 1' has an intercept only" in sentence
    assert "not a comparison" in sentence


@pytest.mark.parametrize(
    "formula", ["~ condition", "~ batch", "~ age", "~ 0 + condition", "~ batch + condition"]
)
def test_ordinary_designs_need_no_remark(formula):
    values = np.random.default_rng(5).negative_binomial(4, 0.04, (40, 12))
    counts = bde.Counts(values, samples=list(TABLE.index), sample_table=TABLE)
    assert said(fit_eb(counts, formula, options=bde.EbOptions(trend="mean")).results) == []


def course_run(folder, out, *more):
    return ("eb", folder / "counts.tsv", folder / "samples.tsv", "-o", out, *more)


def test_comparisons_of_what_is_no_level():
    design = Design.from_formula("~ condition", TABLE)
    with pytest.raises(InputError, match="such as condition,c,a"):
        design.contrast("u vs w")


@pytest.mark.filterwarnings("always::bayesde.BayesdeWarning")
def test_a_warning_is_printed_once(bayesde, shared, tmp_path):
    folder = shared / "field" / "time_course_spline"
    lrt = ("--test", "lrt", "--reduced", "~ hour", "-c", "condition,treated,control")
    code, _, message = bayesde(*course_run(folder, tmp_path / "a", "-d", "~ hour + condition", *lrt))
    assert code == 0
    assert message.count("warning: `hour` is used as a number") == 1


@pytest.mark.filterwarnings("always::bayesde.BayesdeWarning")
def test_what_a_table_is_of_on_the_command_line(bayesde, shared, tmp_path):
    folder = shared / "field" / "time_course_spline"
    splines = ("-d", "~ condition + bs(hour, df=3)")
    code, _, message = bayesde(*course_run(folder, tmp_path / "a", *splines))
    assert code == 0
    assert message.count("warning: no contrast was given, and the last term, bs(hour, df=3), has 3") == 1
    assert "hour: 0 to 24 (a number)" in message
    lrt = ("--test", "lrt", "--reduced", "~ condition")
    code, _, message = bayesde(*course_run(folder, tmp_path / "b", *splines, *lrt))
    assert code == 0
    assert "note: the effect shown beside the likelihood-ratio test is that of 'bs(hour, df=3)[3]'" in message
    code, _, message = bayesde(*course_run(folder, tmp_path / "c", "-d", "~ condition + C(hour)"))
    assert code == 0
    assert "note: no contrast was given: the table shows 'C(hour)[T.24]', hour 24 vs 0" in message
    assert "--contrast hour,6,0" in message
    assert "--test lrt --reduced '~ condition'" in message


def test_splines_that_hold_a_constant_are_explained(course):
    with pytest.raises(InputError, match=r"write cs\(hour, df=3, constraints='center'\) in the formula"):
        Design.from_formula("~ cs(hour, df=3)", course.sample_table)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("b vs a", "condition,b,a"),
        ("B versus A", "condition,b,a"),
        ("condition_c_vs_b", "condition,c,b"),
        ("condition: c vs. a", "condition,c,a"),
        ("c-b", "condition,c,b"),
        ("c / a", "condition,c,a"),
        ("y vs x", "batch,y,x"),
        ("condition[T.b] vs condition[T.a]", "condition,b,a"),
    ],
)
def test_comparisons_in_other_words(text, wanted):
    design = Design.from_formula("~ batch + condition", TABLE)
    with pytest.raises(InputError, match=f"are compared by {wanted}\\."):
        design.contrast(text)


def test_one_gene_is_spoken_of_in_the_singular():
    counts = bde.load_pasilla()
    fit = fit_eb(counts, "~ condition")
    separated, outlying = np.flatnonzero(fit.separated), np.flatnonzero(fit.dispersion_outlier)
    for some, one, many in (
        (
            outlying,
            "1 gene far above the dispersion trend: its own",
            "genes far above the dispersion trend: their own",
        ),
        (
            separated,
            "1 gene separated (a group without counts): its effect has no",
            "genes separated (a group ",
        ),
    ):
        assert some.size > 1
        assert any(many in line for line in fit_lines(fit))
        single = np.zeros(counts.n_genes, dtype=bool)
        single[some[0]] = True
        lines = fit_lines(with_only(fit, single))
        assert any(one in line for line in lines)


def with_only(fit, genes):
    return replace(fit, separated=genes, dispersion_outlier=genes)


def test_objects_are_described_in_a_line():
    simulation = simulate(60, (4, 4), seed=3)
    fit = fit_eb(simulation.counts, "~ condition")
    post = bde.fit_posterior(simulation.counts, fit.design, eb=fit, draws=200, seed=1)
    levels = "condition: control 4 (reference), treated 4"
    shown = {
        "Counts": (simulation.counts, ["60 genes, 8 samples"]),
        "Design": (fit.design, ["~ condition; 8 samples, 2 coefficients", levels]),
        "EbFit": (fit, ["60 genes", levels, "trend"]),
        "Posterior": (post, ["60 of 60 genes, 8 samples; engine psis", levels, "status: ok "]),
        "Hyperparameters": (post.hyperparameters, ["condition[T.treated]", "dispersion_sd", "source psis"]),
        "LeaveOneOut": (post.loo(), ["genes 60; samples 8; elpd -"]),
    }
    for name, (thing, words) in shown.items():
        text, table = repr(thing), thing._repr_html_()
        assert text.startswith(f"<{name}: ")
        assert text.endswith(">")
        assert "\n" not in text
        assert len(text) < 500
        assert "array(" not in text
        for word in words:
            assert word in text
        assert table.startswith("<table>")
        assert f">{name}<" in table
        assert len(table) < 4000
    assert "(sd " in repr(post.hyperparameters)


def test_only_public_names_are_listed():
    assert set(dir(bde)) == {*bde.__all__, "__version__"}
    assert all(hasattr(bde, name) for name in dir(bde))


@pytest.mark.parametrize(("asked", "sizes"), [("8", [4, 4]), ("7", [4, 3]), ("3,4", [3, 4])])
def test_one_number_of_samples_makes_two_groups(bayesde, tmp_path, asked, sizes):
    assert bayesde("simulate", "--genes", "50", "--samples", asked, "-o", tmp_path / "out")[0] == 0
    table = pd.read_csv(tmp_path / "out" / "samples.tsv", sep="\t")
    assert table["condition"].value_counts(sort=False).tolist() == sizes


@pytest.mark.filterwarnings("always::bayesde.BayesdeWarning")
def test_the_simulation_of_the_readme_goes_through_to_the_end(bayesde, tmp_path, monkeypatch):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    bayesde (simulate .*|sample truth.*)$", readme, flags=re.MULTILINE)
    assert len(lines) == 2
    monkeypatch.chdir(tmp_path)
    for line in lines:
        words = shlex.split(line.partition("#")[0].replace("5000", "200"))
        code, _, message = bayesde(*words)
        assert code in (0, 3), message
    assert len(bde.read_results(tmp_path / "truth" / "posterior")) == 200


def test_the_note_is_a_warning_that_can_be_filtered():
    assert issubclass(bde.BayesdeNote, BayesdeWarning)
