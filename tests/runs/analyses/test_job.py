"""Several analyses of one file are the runs that they would be alone, and survive what runs survive."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import sys
import warnings
from types import SimpleNamespace

import pandas as pd
import pytest
import typer

from bayesde.cli import main
from bayesde.cli.running import finish_analyses
from bayesde.errors import BayesdeWarning, FitError, InputError
from bayesde.results import read_results
from bayesde.runs import (
    AnalysesOutcome,
    ModelPlan,
    RunFiles,
    RunPlan,
    analyses_status,
    execution,
    holds_analyses,
    open_run,
    resume,
    resume_analyses,
    run,
    run_analyses,
)
from bayesde.runs.analyses.job import NamedProgress
from bayesde.runs.execution import RunOutcome
from bayesde.simulation import simulate
from bayesde.workers.progress import BlockCount, report_blocks

CONFIG = """
[model]
contrast = "condition,group2,group1"
[[analysis]]
name = "plain"
design = "~ condition"
[[analysis]]
name = "with-lane"
design = "~ lane + condition"
other_contrasts = ["condition,group3,group1"]
eb = {fdr = 0.2}
[[analysis]]
name = "lrt"
design = "~ lane + condition"
test = "lrt"
reduced = "~ lane"
"""
NAMES = ["plain", "with-lane", "lrt"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Counts of three groups, with levels that give a warning, and three analyses of them."""
    made = tmp_path_factory.mktemp("several")
    simulated = simulate(60, groups=(3, 3, 3), seed=5)
    simulated.counts.to_frame().to_csv(made / "counts.tsv", sep="\t")
    table = simulated.counts.sample_table.assign(lane=["L1", "l1", "L1"] * 3)
    table.to_csv(made / "samples.tsv", sep="\t", index_label="sample")
    (made / "many.toml").write_text(CONFIG)
    return made


def command(files, out, *more):
    return (
        "eb",
        files / "counts.tsv",
        files / "samples.tsv",
        "--config",
        files / "many.toml",
        "-o",
        out,
        *more,
    )


def plan_of(files, design, **model):
    return RunPlan(
        command="eb",
        files=RunFiles(counts=str(files / "counts.tsv"), samples=str(files / "samples.tsv")),
        model=ModelPlan(design=design, contrast=("condition", "group2", "group1"), **model),
    )


@pytest.fixture(scope="module")
def two(files):
    return {"a": plan_of(files, "~ condition"), "b": plan_of(files, "~ condition", lfc_threshold=0.5)}


@pytest.fixture(autouse=True, scope="module")
def quick_reports():
    """Pictures of each analysis take their time; the reports of runs have tests of their own."""

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bayesde.runs.reports.report.drawn", lambda *_: b"")
        patched.setattr("bayesde.runs.reports.report.sample_pictures", lambda experiment: "")
        patched.setattr("bayesde.runs.outputs._write_picture", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def undisturbed(two, tmp_path_factory):
    return run_analyses(two, tmp_path_factory.mktemp("two") / "job").directory


def tables(folder):
    return {name: (folder / name / "results.tsv").read_bytes() for name in ("a", "b")}


def interrupting(monkeypatch, at, error):
    """Make the fit of one of the runs fail."""
    plain, calls = execution.fitted, []

    def fitted(*arguments):
        calls.append(1)
        if len(calls) == at:
            error()
        return plain(*arguments)

    monkeypatch.setattr(execution, "fitted", fitted)


def raising(error):
    def fail():
        raise error

    return fail


def interrupted(plans, out, monkeypatch):
    """Start a job that is interrupted in its second analysis."""
    with monkeypatch.context() as patched:
        interrupting(patched, 2, raising(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_analyses(plans, out)


def on_the_command_line(*arguments):
    """Run the command line as it is for users, to whom warnings are told."""
    streams = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        patched = stack.enter_context(pytest.MonkeyPatch.context())
        patched.setattr(sys, "argv", ["bayesde", *map(str, arguments)])
        patched.setattr("bayesde.runs.compiling.is_cold", lambda module: False)
        stack.enter_context(warnings.catch_warnings(action="default", category=BayesdeWarning))
        stack.enter_context(contextlib.redirect_stdout(streams[0]))
        stack.enter_context(contextlib.redirect_stderr(streams[1]))
        ended = stack.enter_context(pytest.raises(SystemExit))
        main()
    return ended.value.code or 0, *(stream.getvalue() for stream in streams)


@pytest.fixture(scope="module")
def terminated(files, tmp_path_factory):
    """A job that gets SIGTERM in its third analysis, and is resumed."""
    out = tmp_path_factory.mktemp("terminated") / "job"
    with pytest.MonkeyPatch.context() as patched:
        interrupting(patched, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
        begun = on_the_command_line(*command(files, out))
    seen = on_the_command_line("status", out, "--json")
    return SimpleNamespace(path=out, begun=begun, seen=seen, ended=on_the_command_line("resume", out))


def test_sigterm_leaves_a_job_that_can_be_resumed(terminated):
    code, _, said = terminated.begun
    assert code == 4, said
    assert f"To resume: bayesde resume {terminated.path}" in said
    code, told, _ = terminated.seen
    seen = json.loads(told)
    assert (code, seen["state"], seen["done"], seen["total"]) == (0, "interrupted", 2, 3)
    assert seen["analyses"]["lrt"]["state"] == "interrupted"
    code, told, said = terminated.ended
    assert code == 0, said
    assert f"the report on all analyses is {terminated.path / 'report.html'}" in told
    assert "'~ lane + condition' against '~ lane': " in said
    code, told, _ = on_the_command_line("status", terminated.path, "--watch")
    assert told.splitlines()[:3] == ["state    finished", "analyses 3 of 3 done", "plain:"]


def test_each_analysis_is_the_run_that_it_would_be_alone(files, terminated, tmp_path):
    other = {"other_contrasts": (("condition", "group3", "group1"),)}
    with warnings.catch_warnings(action="ignore", category=BayesdeWarning):
        run(plan_of(files, "~ lane + condition", **other), tmp_path / "alone")
    for place in ("results.tsv", "shrunken/results.tsv"):
        ours = read_results(terminated.path / "with-lane" / place)
        theirs = read_results(tmp_path / "alone" / place)
        names = [name for name in ours if name != "padj"]  # the analysis has another level of it
        pd.testing.assert_frame_equal(ours[names], theirs[names])
    record = json.loads((terminated.path / "run.json").read_text())
    assert record["state"] == "finished"
    assert list(record["analyses"]) == NAMES
    plans = {name: entry["plan"] for name, entry in record["analyses"].items()}
    assert [plans[name]["eb"]["fdr"] for name in NAMES] == [0.1, 0.2, 0.1]
    assert [len(plans[name]["model"]["other_contrasts"]) for name in NAMES] == [0, 1, 0]
    assert plans["lrt"]["model"]["contrast"] == ["condition", "group2", "group1"]
    assert len(list((terminated.path / "with-lane" / "contrasts").iterdir())) == 1
    assert open_run(terminated.path / "plain").table.shape[0] == 60


def test_warnings_are_told_once_and_are_in_every_log(terminated):
    assert terminated.begun[2].count("differ only in case") == 1
    for name, times in {"plain": 0, "with-lane": 1, "lrt": 2}.items():  # lrt was begun twice
        log = (terminated.path / name / "log.txt").read_text()
        assert log.count("differ only in case") == times


def test_the_report_compares_the_analyses(terminated):
    page = (terminated.path / "report.html").read_text()
    assert "<title>bayesde: 3 analyses</title>" in page
    for name in NAMES:
        assert f'<a href="{name}/report.html">{name}</a>' in page
        assert (terminated.path / name / "report.html").is_file()
    assert "~ lane + condition against ~ lane" in page
    one, other = (read_results(terminated.path / name) for name in NAMES[:2])
    called = [set(table.index[table["padj"] < level]) for table, level in ((one, 0.1), (other, 0.2))]
    both = called[0] & called[1]
    effects = pd.DataFrame({"a": one["log2_fold_change"], "b": other["log2_fold_change"]}).dropna()
    opposite = sum(effects["a"][gene] * effects["b"][gene] < 0.0 for gene in both)
    row = re.search(r"<tr><td>plain</td><td>with-lane</td>(.*?)</tr>", page).group(1)
    cells = re.findall(r">([^<]*)</td>", row)
    assert cells[:4] == [str(n) for n in (len(both), *(len(each - both) for each in called), opposite)]
    common, top = map(int, cells[4].split(" of "))
    assert 0 < common <= top <= min(len(one), len(other))
    assert float(cells[5]) == pytest.approx(effects.corr(method="spearman").iloc[0, 1], abs=0.01)
    assert re.search(r"<b>with-lane, lrt</b>: .*differ only in case", page)
    first = page.index("The first 10 genes of each analysis")
    gene = one["p_value"].idxmin()
    row = re.search(rf"<tr><td>{gene}</td>(.*?)</tr>", page[first:]).group(1)
    shown = [f"{t.loc[gene, 'log2_fold_change']:+.2f} ({t.loc[gene, 'padj']:.2g})" for t in (one, other)]
    assert re.findall(r">([^<]*)</td>", row)[:2] == shown
    (terminated.path / "report.html").unlink()
    code, told, _ = on_the_command_line("report", terminated.path)
    assert code == 0
    assert f"the report is {terminated.path / 'report.html'}" in told
    assert (terminated.path / "report.html").read_text() == page


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('"~ lane + condition"\ntest', '"~ lanes + condition"\ntest'), "analysis 'lrt': "),
        (
            ('reduced = "~ lane"', ""),
            "analysis 'lrt': test: the likelihood-ratio test needs a reduced design",
        ),
        (("condition,group3,group1", "condition,group4,group1"), "analysis 'with-lane': "),
        (('name = "lrt"', 'name = "Plain"'), "two analyses are called 'Plain'"),
        (('name = "lrt"', 'name = "../lrt"'), "such as name = \"paired\"; got '../lrt'"),
        (('name = "lrt"', ""), "got None"),
        (('name = "lrt"', 'name = "run.json"'), "got 'run.json'"),
        (("reduced =", "reduce ="), "[[analysis]] 3: unknown key 'reduce'. Did you mean 'reduced'?"),
        (("{fdr = 0.2}", "{fdr = 2}"), "[[analysis]] 2 [eb]: fdr must be"),
        (("{fdr = 0.2}", "3"), "[[analysis]] 2: eb must be a table"),
        ((CONFIG, "[analysis]\nname = 'a'\ndesign = '~ 1'\n"), "written as [[analysis]], with two brackets"),
        ((CONFIG, "[[analysis]]\nname = 'a'\n"), "analysis 'a': a design is needed"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_done(bayesde, files, tmp_path, change, words):
    assert change[0] in CONFIG
    (tmp_path / "many.toml").write_text(CONFIG.replace(*change))
    arguments = ("--config", tmp_path / "many.toml", "-o", tmp_path / "job")
    code, _, message = bayesde("eb", files / "counts.tsv", files / "samples.tsv", *arguments)
    assert code == 2
    assert words in message
    assert not (tmp_path / "job").exists()


def test_what_is_finished_is_not_done_again(two, undisturbed, tmp_path, monkeypatch):
    job = tmp_path / "moving" / "job"
    interrupted(two, job, monkeypatch)
    seen = analyses_status(job)
    assert (seen.state, seen.done, seen.total) == ("interrupted", 1, 2)
    assert [one.state for one in seen.analyses.values()] == ["finished", "interrupted"]
    shutil.rmtree(job / "b")  # as if it had not begun
    assert [one.state for one in analyses_status(job).analyses.values()] == ["finished", "waiting"]
    shutil.move(job.parent, tmp_path / "moved")
    job, reports = tmp_path / "moved" / "job", []
    before = (job / "a" / "results.tsv").stat().st_mtime_ns
    done = resume_analyses(job, progress=lambda *told: reports.append(told))
    assert list(done.outcomes) == ["a", "b"]
    assert not done.errors
    assert (job / "a" / "results.tsv").stat().st_mtime_ns == before
    assert "b (2 of 2): writing the report" in [text for _, _, text in reports]
    assert tables(job) == tables(undisturbed)
    assert analyses_status(job).state == "finished"
    assert list(resume_analyses(job).outcomes) == ["a", "b"]


def test_an_analysis_that_cannot_be_done_does_not_keep_the_others(two, undisturbed, tmp_path, monkeypatch):
    job = tmp_path / "job"
    with monkeypatch.context() as patched:
        interrupting(patched, 1, raising(FitError("every gene is odd")))
        done = run_analyses(two, job)
    assert (list(done.outcomes), done.errors) == (["b"], {"a": "every gene is odd"})
    seen = analyses_status(job)
    assert (seen.state, seen.done) == ("failed", 1)
    assert "  error    every gene is odd" in seen.lines()
    assert "<b>a</b>: every gene is odd" in (job / "report.html").read_text()
    with pytest.raises(typer.Exit) as ended:
        finish_analyses(done)
    assert ended.value.exit_code == 1
    assert not resume_analyses(job).errors
    assert tables(job) == tables(undisturbed)


def test_genes_that_failed_give_the_exit_code_of_a_run(tmp_path, undisturbed, capsys):
    table = read_results(undisturbed / "a").copy()
    table.loc[table.index[:2], "status"] = "not_converged"
    fine = RunOutcome(undisturbed / "b", read_results(undisturbed / "b"))
    job = AnalysesOutcome(undisturbed, {"a": RunOutcome(undisturbed / "a", table), "b": fine})
    assert job.n_failed == 2 + fine.n_failed
    with pytest.raises(typer.Exit) as ended:
        finish_analyses(job)
    assert ended.value.exit_code == 3
    assert "2 gene(s) failed a check" in capsys.readouterr().err


def test_folders_of_jobs_and_of_runs_are_told_apart(two, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "job")
    job = tmp_path / "job"
    assert holds_analyses(job)
    assert not holds_analyses(job / "a")
    assert not holds_analyses(tmp_path)
    for asked in (resume, open_run):
        with pytest.raises(InputError, match=r"several analyses, each in a folder of its own \('a', 'b'\)"):
            asked(job)
    with pytest.raises(InputError, match="several analyses"):
        run(two["a"], job, force=True)
    with pytest.raises(InputError, match="single run"):
        run_analyses(two, job / "a", force=True)
    with pytest.raises(InputError, match="already holds a run"):
        run_analyses(two, job)
    (job / "a" / "notes.txt").write_text("mine")
    done = run_analyses({"c": two["a"]}, job, force=True)
    assert list(done.outcomes) == ["c"]
    assert sorted(entry.name for entry in job.iterdir() if entry.name[0] != ".") == [
        *("a", "c", "report.html", "run.json"),
    ]
    assert [entry.name for entry in (job / "a").iterdir()] == ["notes.txt"]


def test_input_that_changed_is_refused(two, files, tmp_path, monkeypatch):
    shutil.copytree(files, tmp_path / "files")
    plans = {name: plan_of(tmp_path / "files", "~ condition") for name in two}
    interrupted(plans, tmp_path / "job", monkeypatch)
    with open(tmp_path / "files" / "samples.tsv", "a") as handle:
        handle.write("\n")
    with pytest.raises(InputError, match="analysis 'b': changed since the run was started"):
        resume_analyses(tmp_path / "job")


def test_no_analysis_is_none(tmp_path):
    with pytest.raises(InputError, match="give at least one"):
        run_analyses({}, tmp_path / "job")
    assert not (tmp_path / "job").exists()


@pytest.mark.parametrize("in_blocks", [True, False])
def test_progress_has_the_name_of_the_analysis(in_blocks):
    seen = []

    class Shown:
        def __call__(self, done, total, text):
            seen.append((done, total, text))

        if in_blocks:

            def blocks(self, count, text):
                seen.append((count.done, count.total, text))

    named = NamedProgress("a (1 of 2)", Shown())
    named(0, 3, "learning")
    report_blocks(named, BlockCount(1, 4, 10, 40))
    assert seen == [(0, 3, "a (1 of 2): learning"), (1, 4, "a (1 of 2): sampling 40 genes")]
