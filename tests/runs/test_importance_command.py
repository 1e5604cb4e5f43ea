"""`bayesde sample --engine psis`: the whole road without Stan."""

import base64
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesde.posterior.importance import blocks
from bayesde.posterior.storage.kept import ARRAYS
from bayesde.results import read_results
from bayesde.runs import resume, status
from bayesde.simulation import simulate


@pytest.fixture
def files(tmp_path):
    simulated = simulate(120, groups=(4, 4), seed=5)
    simulated.counts.to_frame().to_csv(tmp_path / "counts.tsv", sep="\t")
    simulated.counts.sample_table.to_csv(tmp_path / "samples.tsv", sep="\t", index_label="sample")
    return tmp_path


def sample(bayesde, files, *options):
    arguments = (
        "sample",
        files / "counts.tsv",
        files / "samples.tsv",
        "-d",
        "~ condition",
        "--no-hand-over",
    )
    return bayesde(*arguments, *options)


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeWarning")
def test_a_run_leaves_tables_draws_and_hyperparameters(bayesde, files, monkeypatch):
    for engine in ("nuts", "joint"):
        name = f"bayesde.posterior.stan.{engine}.compiled_model"
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("needs no Stan"))
    code, _, told = sample(bayesde, files, "--draws", "400", "-o", files / "out")
    assert code in (0, 3), told
    table = read_results(files / "out")
    assert set(table["engine"]) == {"psis"}
    estimated = table["status"] != "all_zero"
    assert table.loc[estimated, ["log2_fold_change", "lfsr", "s_value", "pareto_k"]].notna().all(axis=None)
    assert np.mean(table.loc[estimated, "pareto_k"] < 0.7) > 0.9
    learnt = json.loads((files / "out" / "hyperparameters.json").read_text())
    assert learnt["source"] == "psis"
    assert set(learnt["sd"]) >= {"dispersion_sd"}
    draws = xr.open_zarr(files / "out" / "posterior.zarr")
    assert draws["beta"].sizes["gene"] == estimated.sum()
    assert draws["beta"].sizes["draw"] == 400
    record = json.loads((files / "out" / "run.json").read_text())
    sentence = record["fit"][-1]
    assert sentence.startswith(f"{estimated.sum()} genes by psis: Pareto k <= 0.7 for ")
    assert told.count(sentence) == (files / "out" / "log.txt").read_text().count(sentence) == 1
    assert "block" not in told
    assert bayesde("status", files / "out")[1] == "state    finished\n"
    assert bayesde("report", files / "out")[0] == 0
    page = (files / "out" / "report.html").read_text()
    assert "median = 0.2, log_sd = 1.5" in page
    pictures = sorted((files / "out" / "plots").iterdir())
    assert [path.name for path in pictures] == [
        "dispersion.png",
        "hyperparameters.png",
        "intervals.png",
        "ma.png",
    ]
    for path in pictures:
        if path.name == "ma.png":  # the page has a plot of its own that can be explored
            continue
        assert base64.b64encode(path.read_bytes()).decode() in page


@pytest.mark.parametrize("law", ["student_t", "spike_t", "mixture"])
def test_a_run_under_another_law(bayesde, files, law):
    code, _, told = sample(bayesde, files, "--draws", "400", "--effects", law, "-o", files / "out")
    assert code in (0, 3), told
    assert bayesde("resume", files / "out")[0] in (0, 3)
    assert bayesde("status", files / "out")[1] == "state    finished\n"
    assert bayesde("report", files / "out")[0] == 0
    page = (files / "out" / "report.html").read_text()
    section = page[page.index("<h2>Hyperparameters") :].partition("<h2>Diagnostics")[0]
    learnt = json.loads((files / "out" / "hyperparameters.json").read_text())
    assert "Cauchy" not in section
    assert section.startswith("<h2>Hyperparameters</h2>\n<p>Law of the effects: ")
    for part in ("effect_nu", "pi0"):
        for name, value in learnt.get(part, {}).items():
            row = f"<td>{part}[{name}]</td>"
            assert f"{value:g}" in section[section.index(row) :].partition("</tr>")[0]
    shown = [weight for one in learnt.get("mixtures", {}).values() for weight in one["weight"]]
    assert section.count("<td>normal</td>") + section.count("<td>exactly 0</td>") == sum(
        weight > 0.001 for weight in shown
    )
    assert (law == "mixture") == bool(shown)
    picture = (files / "out" / "plots" / "effect_law.png").read_bytes()
    assert base64.b64encode(picture).decode() in page
    columns = json.loads((files / "out" / "results.columns.json").read_text())["columns"]
    assert ("p_zero" in columns) == (law != "student_t")
    assert "Cauchy" not in json.dumps(columns)


def test_too_few_draws_are_refused(bayesde, files):
    code, _, told = sample(bayesde, files, "--draws", "20", "-o", files / "out")
    assert code == 2
    assert "draws" in told
    assert not (files / "out").exists()


class Killed(BaseException):
    """Stands for the end of a process."""


def test_a_run_that_was_interrupted_is_gone_on_with(bayesde, files, monkeypatch):
    options = ("--draws", "200", "--prior", "shrinkage_scale=0.5,0.5", "--shrink-coefficient", "condition")
    assert sample(bayesde, files, *options, "-o", files / "whole")[0] in (0, 3)
    seen = []

    def stop(*_, **__):
        seen.append(status(files / "out"))
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("bayesde.posterior.importance.engine.draw_sample", stop)
        with pytest.raises(Killed):
            sample(bayesde, files, *options, "-o", files / "out")
    assert seen[0].lines()[0] == "state    running"
    assert seen[0].lines()[1].startswith("steps    3 of 4 done: sampling 120 genes")
    record = json.loads((files / "out" / "run.json").read_text())
    assert record["plan"]["priors"]["shrinkage_scale"] == {"median": 0.5, "log_sd": 0.5}
    assert record["plan"]["sampling"]["shrink"] == ["condition"]
    resume(files / "out")
    for name in ("results.tsv", "plots/hyperparameters.png"):
        assert (files / "out" / name).read_bytes() == (files / "whole" / name).read_bytes()


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeWarning")
def test_outlying_counts_are_left_out_of_a_run_in_blocks_as_of_any_other(bayesde, files, monkeypatch):
    table = pd.read_csv(files / "counts.tsv", sep="\t", index_col=0)
    gene = table.mean(axis=1).sort_values().index[-20]
    table.loc[gene, table.columns[2]] *= 50
    table.to_csv(files / "counts.tsv", sep="\t")
    options = ("--draws", "200", "--hyperparameters", "eb", "--outliers", "leave-out")
    assert sample(bayesde, files, *options, "-o", files / "whole")[0] in (0, 3)
    monkeypatch.setattr(blocks, "LARGE", 0)
    monkeypatch.setattr(blocks, "block_size", lambda *_: 50)
    assert sample(bayesde, files, *options, "-o", files / "out")[0] in (0, 3)
    assert read_results(files / "out").loc[gene, "status"] == "outlier_left_out"
    names = ("results.tsv", "outlier_counts.tsv", *(f"draws/{name}.npy" for name in ARRAYS))
    for name in names:
        assert (files / "out" / name).read_bytes() == (files / "whole" / name).read_bytes()


CHOICES = {
    ("--hyperparameters", "eb"): lambda h: h["source"] == "eb" and not h["sd"],
    ("--residuals", "student_t"): lambda h: h["residuals"] == "student_t" and h["nu"] > 2.0,
    ("--trend", "mean"): lambda h: h["extra_poisson"] == 0.0,
    ("--shrink-coefficient", "none"): lambda h: h["shrinkage_scale"] == {},
    ("--scales", "term"): lambda h: len(h["shrinkage_scale"]) == 1,
    ("--prior", "shrinkage_scale=7,0.01"): lambda h: 6.0 < h["shrinkage_scale"]["condition[T.treated]"] < 8.0,
}


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeWarning")
@pytest.mark.parametrize("options", CHOICES)
def test_choices_of_the_model_reach_the_engine(bayesde, files, options):
    code, _, told = sample(bayesde, files, "--draws", "200", *options, "-o", files / "out")
    assert code in (0, 3), told
    assert CHOICES[options](json.loads((files / "out" / "hyperparameters.json").read_text()))
    learnt = options[0] != "--hyperparameters"
    assert (files / "out" / "plots" / "hyperparameters.png").is_file() == learnt


def test_a_configuration_file_chooses_too_and_the_command_line_comes_first(bayesde, files):
    (files / "run.toml").write_text(
        '[sample]\ndraws = 200\nhyperparameters = "eb"\n[sampling]\nshrink = []\nhand_over = false\n'
        "[priors]\nunshrunken_sd = 9\nnu = {rate = 0.2}\n"
    )
    options = ("--config", files / "run.toml", "--prior", "unshrunken_sd=8")
    code, _, told = sample(bayesde, files, *options, "-o", files / "out")
    assert code in (0, 3), told
    plan = json.loads((files / "out" / "run.json").read_text())["plan"]
    assert plan["priors"]["unshrunken_sd"] == 8.0
    assert plan["priors"]["nu"] == {"shape": 2.0, "rate": 0.2, "above": 2.0}
    assert json.loads((files / "out" / "hyperparameters.json").read_text())["source"] == "eb"
    assert "not used by this run: [priors] nu" in (files / "out" / "log.txt").read_text()
    (files / "run.toml").write_text("[priors]\nshrinkage_scale = {medium = 0.2}\n")
    code, _, told = sample(bayesde, files, "--config", files / "run.toml", "--force", "-o", files / "out")
    assert code == 2
    assert "run.toml' [priors]: shrinkage_scale: unknown key 'medium'. Did you mean 'median'?" in told
