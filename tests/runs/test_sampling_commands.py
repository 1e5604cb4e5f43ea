"""Sampling from the command line: what is refused before anything is written, exit codes, and the demo."""

import base64
import dataclasses
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bayesde import datasets, read_results
from bayesde.posterior.options import SamplingOptions
from bayesde.results import build_results
from bayesde.runs import demo as demonstration
from bayesde.runs.directory import RunDirectory
from bayesde.runs.execution import RunOutcome
from bayesde.runs.options import SamplePlan

COUNTS, SAMPLES = datasets.path("pasilla")
MODEL = ("--design", "~ type + condition", "--contrast", "condition,treated,untreated")
GENES = ("FBgn0000008", "FBgn0039155", "FBgn0000003")
QUICK = (
    "[sampling]\nmin_ess = 0.0\nmax_rhat = 10.0\n"
    '[sample]\nengine = "nuts"\ndraws = 50\nwarmup = 100\nchains = 2\n'
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "genes.txt").write_text("\n".join(GENES) + "\n")
    (tmp_path / "run.toml").write_text(QUICK)
    return tmp_path


def sample(folder, *options):
    return (
        *("sample", COUNTS, SAMPLES, *MODEL, "--genes", folder / "genes.txt"),
        *("--config", folder / "run.toml", "--out", folder / "out", *options),
    )


def hyperparameters(**changes):
    values = {
        "shrinkage_scale": {"condition[T.treated]": 0.2},
        "dispersion_sd": 0.7,
        "asymptotic_dispersion": 0.01,
        "extra_poisson": 2.5,
        "residuals": "normal",
        "nu": None,
    }
    return json.dumps(values | changes)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (hyperparameters(shrinkage_scale={"condition[T.trt]": 1.0}), "not in the design"),
        (hyperparameters(dispersion_sd=-1), "dispersion_sd must be a number"),
        (hyperparameters(sigma=1), "unknown key 'sigma'"),
        (hyperparameters(residuals="student_t", nu=0), "nu must be a number"),
        ("{}", "missing key"),
        ("{", "not valid JSON"),
    ],
)
def test_hyperparameters_that_cannot_be_used(bayesde, folder, content, words):
    (folder / "h.json").write_text(content)
    code, _, message = bayesde(*sample(folder, "--hyperparameters", folder / "h.json"))
    assert code == 2
    assert words in message
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--engine", "vb"), "engine must be one of 'psis', 'nuts', 'joint'"),
        (("--engine", "psis", "--draws", "50"), "draws must be a whole number from 100"),
        (("--residuals", "cauchy"), "residuals must be one of 'normal', 'student_t'"),
        (("--scales", "terms"), "Did you mean 'term'"),
        (("--shrink-coefficient", "conditions"), "Did you mean 'condition'"),
        (("--shrink-coefficient", "none", "--shrink-coefficient", "type"), "give it alone"),
        (("--prior", "shrinkage_scale"), "write it as NAME=VALUE,VALUE"),
        (("--prior", "shrinkage_scal=0.2,1.5"), "Did you mean 'shrinkage_scale'"),
        (("--prior", "shrinkage_scale=0.2"), "must be a table, {median = 0.2, log_sd = 1.5}, or two numbers"),
        (("--prior", "dispersion_sd=0.7,-1"), "priors: dispersion_sd: log_sd must be a number"),
        (("--prior", "unshrunken_sd=0"), "unshrunken_sd must be a number"),
        (("--hyperparameters", "eb", "--residuals", "student_t"), "leave out --residuals"),
        (("--hyperparameters", "eb", "--engine", "joint"), "engine 'joint' samples them"),
        (("--draws", "0"), "draws must be a whole number"),
        (("--chains", "0"), "chains must be a whole number"),
        (("--seed", "-3"), "seed must be a whole number"),
    ],
)
def test_options_that_are_not_allowed(bayesde, folder, options, words):
    code, _, message = bayesde(*sample(folder, *options))
    assert code == 2
    assert words in message
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("genes", "words"),
    [
        ("FBgn0000008\nnobody\n", "without counts: 'nobody'"),
        ("FBgn0000008\nFBgn0000008\n", "names genes twice: 'FBgn0000008'"),
        ("# nothing\n", "names no gene"),
        ("FBgn0000038\n", "none of the selected genes has a count"),
    ],
)
def test_lists_of_genes_that_cannot_be_used(bayesde, folder, genes, words):
    (folder / "genes.txt").write_text(genes)
    code, _, message = bayesde(*sample(folder))
    assert code == 2
    assert words in message
    assert not (folder / "out").exists()


def test_joint_is_for_panels_and_samples_its_hyperparameters(bayesde, folder):
    whole = ("sample", COUNTS, SAMPLES, *MODEL, "--engine", "joint", "--out", folder / "out")
    code, _, message = bayesde(*whole)
    assert code == 2
    assert "choose genes (`genes`, --genes FILE)" in message
    (folder / "h.json").write_text(hyperparameters())
    code, _, message = bayesde(*sample(folder, "--engine", "joint", "--hyperparameters", folder / "h.json"))
    assert code == 2
    assert "engine 'joint' samples them" in message


@pytest.mark.usefixtures("cmdstan")
def test_given_hyperparameters_are_used_and_written_down(bayesde, folder):
    (folder / "h.json").write_text(hyperparameters())
    code, _, _ = bayesde(*sample(folder, "--hyperparameters", folder / "h.json", "--lfc-threshold", "1"))
    assert code in (0, 3)
    table = read_results(folder / "out")
    assert len(table) == 14599
    assert table.loc[list(GENES), "log2_fold_change"].notna().all()
    assert (
        table["status"].value_counts()["not_selected"] + table["status"].value_counts()["all_zero"] == 14596
    )
    assert table.loc["FBgn0039155", "prob_gt_threshold"] > 0.99
    written = json.loads((folder / "out" / "hyperparameters.json").read_text())
    assert written["shrinkage_scale"] == {"condition[T.treated]": 0.2}
    assert written["dispersion_sd"] == 0.7


@pytest.mark.usefixtures("cmdstan")
def test_the_joint_engine_writes_what_it_learnt_of_the_hyperparameters(bayesde, folder):
    panel = [line for line in datasets.panel_path().read_text().splitlines() if not line.startswith("#")]
    (folder / "genes.txt").write_text("\n".join(panel[::20]) + "\n")
    code, _, _ = bayesde(*sample(folder, "--engine", "joint"))
    assert code in (0, 3)
    written = json.loads((folder / "out" / "hyperparameters.json").read_text())
    assert written["source"] == "joint"
    assert set(written["shrinkage_scale"]) == {"type[T.single.read]", "condition[T.treated]"}
    assert len(written["draws"]["dispersion_sd"]) == 100
    assert (read_results(folder / "out")["engine"] == "joint").all()
    code, out, _ = bayesde("status", folder / "out")
    assert out == "state    finished\n"
    picture = (folder / "out" / "plots" / "hyperparameters.png").read_bytes()
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (1500, 1365), "five hyperparameters and the energy, a row each"
    assert bayesde("report", folder / "out")[0] == 0
    assert base64.b64encode(picture).decode() in (folder / "out" / "report.html").read_text()


@pytest.mark.usefixtures("cmdstan")
def test_genes_that_fail_a_check_make_exit_code_3(bayesde, folder):
    (folder / "run.toml").write_text(QUICK.replace("min_ess = 0.0", "min_ess = 100000.0"))
    code, out, message = bayesde(*sample(folder))
    assert code == 3
    of_genes = message.replace("sampling the hyperparameters", "")
    assert of_genes.count("sampling") == 1, "without a terminal a long step is reported once"
    assert "14,599 genes in" in out
    assert "3 gene(s) failed a check; see the column 'status'" in message
    assert set(read_results(folder / "out").loc[list(GENES), "status"]) == {"low_ess"}
    code, _, _ = bayesde("resume", folder / "out")
    assert code == 3


def quick_demo(folder, monkeypatch, stan):
    """Make the demonstration small: three genes by Stan, or a machine without a compiler."""
    plan, check = demonstration.demo_plan(), demonstration.check_plan
    quick = dataclasses.replace(plan, sample=SamplePlan(draws=100), sampling=SamplingOptions(hand_over=False))

    def quick_check(directory):
        full = check(directory)
        return dataclasses.replace(
            full,
            files=dataclasses.replace(full.files, genes=str(folder / "genes.txt")),
            sample=dataclasses.replace(full.sample, draws=50, warmup=100),
            sampling=SamplingOptions(min_ess=0.0, max_rhat=10.0),
        )

    monkeypatch.setattr(demonstration, "demo_plan", lambda: quick)
    monkeypatch.setattr(demonstration, "check_plan", quick_check)
    if not stan:
        monkeypatch.setattr(demonstration, "missing_for_stan", lambda: "no compiler")


def test_the_demo_without_a_compiler(bayesde, folder, monkeypatch):
    quick_demo(folder, monkeypatch, stan=False)
    code, out, told = bayesde("demo", "--out", folder / "demo")
    assert code == 0
    assert "95 % interval" in out
    assert "the comparison with Stan is left out: no compiler" in told
    assert (folder / "demo" / "plots" / "intervals.png").stat().st_size > 10_000
    table = read_results(folder / "demo")
    assert table["log2_fold_change"].notna().sum() > 12_000
    assert set(table["engine"]) == {"psis"}


@pytest.mark.usefixtures("cmdstan")
def test_the_demo_compares_its_engines(bayesde, folder, monkeypatch):
    quick_demo(folder, monkeypatch, stan=True)
    for _ in range(2):  # a second time in the same folder is a new run
        code, out, _ = bayesde("demo", "--out", folder / "demo")
        assert code == 0
        assert "psis compared with nuts on 3 genes" in out
    assert set(read_results(folder / "demo" / "stan")["engine"]) == {"nuts"}


def outcome(folder, means):
    columns = {"log2_fold_change": means, "lfc_se": np.ones(4), "lfsr": np.full(4, 0.1)}
    columns |= {"engine": [folder] * 4, "status": ["ok", "ok", "ok", "low_ess"]}
    return RunOutcome(Path(folder), build_results(list("abcd"), columns))


def test_agreement_is_counted_in_posterior_standard_deviations():
    one, two = outcome("x", np.array([0.0, 1.0, 2.0, 3.0])), outcome("y", np.array([0.05, 1.0, 1.0, 99.0]))
    told = demonstration.agreement(one, two)
    assert "x compared with y on 3 genes: 2 posterior means within 0.1 posterior sd" in told
    assert f"the farthest {1.0:.2g} apart (c)" in told


def test_the_demo_replaces_no_other_run(bayesde, tmp_path):
    made = RunDirectory(tmp_path)
    made.update(state="finished", plan={"command": "eb"})
    code, _, message = bayesde("demo", "--out", tmp_path)
    assert code == 2
    assert "already holds a run (finished); --force replaces it" in message
    assert made.read()["plan"] == {"command": "eb"}


def test_the_panel_of_the_demo_is_what_it_says():
    counts = datasets.load_pasilla()
    panel = [line for line in datasets.panel_path().read_text().splitlines() if not line.startswith("#")]
    assert len(set(panel)) == 200
    assert counts.genes.isin(panel).sum() == 200


@pytest.mark.usefixtures("cmdstan")
def test_a_terminal_gets_a_progress_bar(folder):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bayesde", *map(str, sample(folder, "--workers", "1"))]
    with subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.DEVNULL, env=os.environ | {"TERM": "xterm"}
    ) as ran:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    assert ran.returncode in (0, 3)
    assert b"sampling" in shown
    assert re.search(rb"\d+/\d+", shown)  # how much is done; the last state may be gone before it is drawn
