"""The report: whole, self-contained, in step with the table, and refused where there is no finished run."""

import base64
import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from bayesde import InputError, datasets, read_results
from bayesde.results import COLUMNS, build_results, write_results
from bayesde.runs import write_report
from bayesde.runs.directory import RunDirectory
from bayesde.statuses import STATUSES

COUNTS, SAMPLES = datasets.path("pasilla")
MODEL = ("-d", "~ type + condition", "-c", "condition,treated,untreated")
EMPTY = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Collects the links, pictures, cells and text of a page; demands that every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.pictures, self.rows, self.text, self.scripts = [], [], [], [], "", 0
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[name] for name in ("href", "src", "data", "action") if name in values]
        self.scripts += tag == "script"
        if tag == "img":
            self.pictures.append(values["src"])
        if tag == "tr":
            self.rows.append([])
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            return
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)

    def row(self, first):
        return next(row for row in self.rows if row and row[0] == first)


def page_of(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def run(bayesde, tmp_path):
    code, _, message = bayesde("eb", COUNTS, SAMPLES, *MODEL, "-o", tmp_path / "run")
    assert code == 0, message
    return tmp_path / "run"


def test_the_report_of_a_run(bayesde, run):
    code, out, _ = bayesde("report", run)
    assert code == 0
    assert str(run / "report.html") in out
    page, table = page_of(run), read_results(run)
    for status, number in table["status"].value_counts().items():
        assert page.row(status)[1] == f"{number:,}"
    chosen = table[table["padj"] < 0.1]
    assert f"{(chosen['log2_fold_change'] > 0).sum():,}up, adjusted p-value < 0.1" in page.text
    first = chosen["p_value"].idxmin()
    ranked = [row for row in page.rows if row and row[0].startswith("FBgn")]
    assert len(ranked) == 25
    assert ranked[0][0] == first
    assert float(ranked[0][2]) == pytest.approx(table.loc[first, "log2_fold_change"], rel=1e-2)
    assert page.row("model")[1:] == ["design", "~ type + condition"]
    record = json.loads((run / "run.json").read_text())
    assert page.row("counts")[2] == record["inputs"]["counts"]["sha256"]
    assert page.row("results.tsv")[1] == record["tables"]["results.tsv"]
    for line in record["fit"]:
        assert line in page.text
    for sample, factor in record["size_factors"].items():
        assert float(page.row(sample)[1]) == pytest.approx(factor, abs=5e-5)


def test_it_needs_no_other_file(run):
    page = page_of(write_report(run).parent)
    assert len(page.pictures) == 5
    links = [link for link in page.links if link not in page.pictures]
    assert "results.tsv" in links
    for link in links:  # to what lies beside it, which may be missing where the page is sent by mail
        assert (run / link).exists()
    for picture in page.pictures:
        kind, data = picture.split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data, validate=True).startswith(b"\x89PNG")


def test_the_same_run_gives_the_same_report_and_a_new_run_removes_it(bayesde, run):
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    assert bayesde("eb", COUNTS, SAMPLES, *MODEL, "-o", run, "--force")[0] == 0
    assert not (run / "report.html").exists()


def made_by_hand(folder, **changes):
    """A finished sampling run of three genes, one with a name that HTML would take for its own."""
    genes = ["<script>alert(1)</script>", "b&c", "gone"]
    columns = {
        "log2_fold_change": [np.log(2.0), -2.0, np.nan],
        "lfsr": [0.001, 0.2, np.nan],
        "s_value": [0.001, 0.1, np.nan],
        "rhat": [1.01, 1.2, np.nan],
        "status": ["ok", "not_converged", "not_selected"],
    }
    plan = {
        "command": "sample",
        "model": {"design": "~ a", "contrast": ["a", "<y>", "x"]},
        "sample": {"draws": 9},
    }
    RunDirectory(folder).update(**{"state": "finished", "plan": plan} | changes)
    write_results(build_results(genes, columns), folder)
    frame = pd.DataFrame({"rhat": [1.01, 1.2, np.nan], "sampled": [True, True, False]}, index=genes)
    frame.to_csv(folder / "diagnostics.tsv", sep="\t", index_label="gene")
    (folder / "log.txt").write_text("2026-01-01 INFO warning: a & b\n2026-01-01 INFO warning: a & b\n")
    (folder / "hyperparameters.json").write_text(
        json.dumps(
            {
                "shrinkage_scale": {"a[T.y]": 0.25},
                "dispersion_sd": 0.5,
                "asymptotic_dispersion": 0.05,
                "extra_poisson": 2.0,
                "residuals": "normal",
                "nu": None,
                "sd": {"shrinkage_scale[a[T.y]]": 0.125},
            }
        )
    )


@pytest.mark.parametrize("name", ["ess", "ess_bulk"])
def test_effective_sizes_of_engine_psis_are_read_from_older_runs_too(tmp_path, name):
    made_by_hand(tmp_path)
    columns = {"ess": [900.0, 700.0, np.nan], "ess_bulk": [np.nan, np.nan, 123.0]}
    if name == "ess_bulk":
        columns = {"ess_bulk": [900.0, 700.0, 123.0]}
    frame = pd.DataFrame(
        columns | {"sampled": True, "engine": ["psis", "psis", "nuts"]}, index=["a", "b", "c"]
    )
    frame.to_csv(tmp_path / "diagnostics.tsv", sep="\t", index_label="gene")
    page = page_of(write_report(tmp_path).parent)
    assert page.row("ess")[1:4] == ["700", "800", "900"]
    assert page.row("ess_bulk")[1:4] == ["123", "123", "123"]
    assert page.row("ess")[4] == COLUMNS["ess"].description


def test_a_sampling_run(tmp_path):
    made_by_hand(tmp_path)
    page = page_of(write_report(tmp_path).parent)
    assert page.scripts == 2, "those of the page's own"
    assert page.row("<script>alert(1)</script>")[1] == "1.00"
    assert page.row("rhat")[1:4] == ["1.01", "1.10", "1.20"]
    assert page.row("a[T.y]")[1:3] == ["0.25", "0.125"]
    assert page.text.count("a & b") == 1, "a warning is repeated once"
    assert "a, <y> vs x" in page.text
    assert "1failed a check" in page.text
    assert page.row("not_converged")[3].startswith("Do not rely on")


@pytest.mark.parametrize("contrast", [None, [0.0, -1.5], "a[T.y] - a[T.x]"])
def test_contrasts_of_every_kind(tmp_path, contrast):
    made_by_hand(tmp_path, plan={"command": "eb", "model": {"design": "~ a", "contrast": contrast}})
    title = page_of(write_report(tmp_path).parent).text
    expected = {"NoneType": "the last coefficient", "list": "weights 0, -1.5", "str": "a[T.y] - a[T.x]"}
    assert expected[type(contrast).__name__] in title


def test_what_has_no_report(bayesde, tmp_path):
    code, _, message = bayesde("report", tmp_path)
    assert code == 2
    assert "holds no run of bayesde" in message
    made_by_hand(tmp_path, state="interrupted")
    code, _, message = bayesde("report", tmp_path)
    assert code == 2
    assert "is not finished (interrupted); 'bayesde resume" in message
    made_by_hand(tmp_path)
    (tmp_path / "results.tsv").unlink()
    with pytest.raises(InputError, match="no results table"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_every_status_has_a_row_with_meaning_and_advice(bayesde, run):
    """Of genes with any status there may be, those without enough weight among them."""
    table = read_results(run)
    table.iloc[: len(STATUSES), table.columns.get_loc("status")] = list(STATUSES)
    table.loc[table["status"].iloc[: len(STATUSES)].index, ["p_value", "padj"]] = np.nan
    write_results(table, run)
    code, _, message = bayesde("report", run)
    assert code == 0, message
    page = page_of(run)
    for name, status in STATUSES.items():
        assert page.row(name)[2:] == [status.meaning, status.advice]
