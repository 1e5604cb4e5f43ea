"""A finished run is opened again: the same numbers, and further contrasts, without sampling."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import bayesde as bde
from bayesde.posterior.fit import fit_posterior
from bayesde.posterior.hyper import learning
from bayesde.posterior.options import SamplingOptions
from bayesde.results import read_results
from bayesde.runs import RunPlan, resume, run, write_contrasts
from bayesde.runs.directory import RunDirectory
from bayesde.runs.options import ModelPlan, RunFiles, SamplePlan
from bayesde.simulation import simulate

N_GENES, DRAWS = 60, 200


@pytest.fixture(scope="module", autouse=True)
def quickly_learnt():
    """The hyperparameters are learnt from few draws: how well they are known does not matter here."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {"DRAWS_TIMES_GENES": 1, "FEWEST_DRAWS": 100, "POINTS_TIMES_GENES": 1}.items():
            patched.setattr(learning, name, value)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Counts of three groups."""
    made = tmp_path_factory.mktemp("opening")
    simulated = simulate(N_GENES, groups=(3, 3, 3), seed=5)
    simulated.counts.to_frame().to_csv(made / "counts.tsv", sep="\t")
    simulated.counts.sample_table.to_csv(made / "samples.tsv", sep="\t", index_label="sample")
    return made


def plan(folder, command="sample", **model):
    return RunPlan(
        command=command,
        files=RunFiles(counts=str(folder / "counts.tsv"), samples=str(folder / "samples.tsv")),
        model=ModelPlan(design="~ condition", contrast=("condition", "group2", "group1"), **model),
        sample=SamplePlan(draws=DRAWS, seed=3),
        sampling=SamplingOptions(hand_over=False),
    )


@pytest.fixture(scope="module")
def sampled(folder):
    return run(plan(folder), folder / "sampled").directory


@pytest.fixture
def copied(sampled, tmp_path):
    """A copy of the run, for tests that add tables to it."""
    return shutil.copytree(sampled, tmp_path / "copied")


def no_sampling(monkeypatch):
    for name in ("psis", "nuts", "joint"):
        monkeypatch.setitem(
            fit_posterior.__globals__["ENGINES"], name, lambda _: pytest.fail("nothing is sampled again")
        )


def test_all_of_a_run_is_there_again(folder, sampled, monkeypatch):
    opened = bde.open_run(sampled)
    with monkeypatch.context() as patched:
        no_sampling(patched)
        post = opened.posterior
    assert repr(opened) == f"<Run '{sampled}': engine psis, design ~ condition>"
    assert (opened.counts.n_genes, opened.design.formula) == (N_GENES, "~ condition")
    pd.testing.assert_frame_equal(opened.results(), opened.table)
    pd.testing.assert_frame_equal(opened.table, read_results(sampled))
    assert set(opened.tables) == {"results.tsv", "eb/results.tsv", "shrunken/results.tsv"}
    before = bde.fit_posterior(
        opened.counts,
        opened.design,
        draws=DRAWS,
        seed=3,
        options=plan(folder).sampling,
        eb=opened.fit,
        outliers="leave-out",
    )
    for name in ("theta", "log_weights", "log_ratio", "log_level"):
        np.testing.assert_array_equal(getattr(post.gene_draws, name), getattr(before.gene_draws, name))
    pd.testing.assert_frame_equal(post.diagnostics, before.diagnostics)
    assert repr(post.hyperparameters) == repr(before.hyperparameters)
    assert post.hyperparameters.checks == before.hyperparameters.checks
    for question in (
        lambda it: it.results(contrast=("condition", "group3", "group2"), lfc_threshold=0.5),
        lambda it: it.loo(refit=False).pointwise,
        lambda it: it.predict(draws=5).to_series(),
    ):
        ours, theirs = question(post), question(before)
        assert type(ours) is type(theirs)
        assert ours.equals(theirs)


def test_changes_of_opened_draws_do_not_reach_the_files(sampled):
    theta = bde.open_run(sampled).posterior.gene_draws.theta
    first = theta[0, 0, 0]
    theta[0, 0, 0] = first + 1.0
    assert bde.open_run(sampled).posterior.gene_draws.theta[0, 0, 0] == first


def test_tables_of_further_contrasts(copied):
    asked = [("condition", "group3", "group2"), "condition[T.group3]"]
    first = write_contrasts(copied, asked, lfc_threshold=0.25)
    again = write_contrasts(copied, asked[:1], lfc_threshold=0.25)
    assert list(again) == list(first)[:1], "it is replaced"
    other = write_contrasts(copied, asked[:1])
    assert not set(other) & set(first)
    assert all(place.startswith("contrasts/") for place in first)
    opened = bde.open_run(copied)
    assert set(first) | set(other) <= set(opened.record["tables"])
    table = read_results(copied / next(iter(first)))
    pd.testing.assert_frame_equal(table, opened.results(asked[0], 0.25))
    assert "prob_gt_threshold" in table
    with pytest.raises(bde.InputError, match="nonsense"):
        write_contrasts(copied, ["condition[T.group3]", "nonsense"])


def test_a_sampling_run_of_several_contrasts(folder, sampled, tmp_path):
    others = (("condition", "group3", "group1"), "condition[T.group3] - condition[T.group2]")
    run(plan(folder, other_contrasts=others), tmp_path / "several")
    tables, opened = bde.open_run(tmp_path / "several").tables, bde.open_run(sampled)
    places = [place for place in tables if place.startswith("contrasts/")]
    assert [place.split("_")[0] for place in places] == ["contrasts/2", "contrasts/3"]
    for place, contrast in zip(places, others, strict=True):
        pd.testing.assert_frame_equal(tables[place], opened.results(contrast))
    record = json.loads((tmp_path / "several" / "run.json").read_text())
    assert list(record["tables"]) == ["results.tsv", *places]


def test_by_the_command_line(copied, bayesde):
    code, out, said = bayesde("contrast", copied, "-c", "condition,group3,group1", "--lfc-threshold", "1")
    assert code == 0
    assert "beyond a log2 fold change of 1" in said
    assert "contrasts" in out
    assert (copied / "contrasts" / out.strip().split("/")[-2] / "results.columns.json").exists()
    code, _, said = bayesde("contrast", copied)
    assert (code, "--contrast is needed" in said) == (2, True)


def test_a_run_that_was_moved_with_its_inputs(folder, tmp_path):
    before = tmp_path / "before"
    before.mkdir()
    for name in ("counts.tsv", "samples.tsv"):
        shutil.copy(folder / name, before)
    table = run(plan(before, "eb"), before / "out").table
    after = tmp_path / "elsewhere" / "after"
    after.parent.mkdir()
    before.rename(after)
    opened = bde.open_run(after / "out")
    pd.testing.assert_frame_equal(opened.results(), table)
    RunDirectory(after / "out").update(state="interrupted")
    pd.testing.assert_frame_equal(resume(after / "out").table, table)


@pytest.mark.parametrize("model", [{}, {"shrink": True}, {"test": "lrt", "reduced": "~ 1"}])
def test_point_estimates(folder, model):
    out = run(plan(folder, "eb", **model), folder / f"eb{len(model)}").directory
    opened = bde.open_run(out)
    pd.testing.assert_frame_equal(opened.results(), opened.table)
    assert opened.results(("condition", "group3", "group1")).shape[0] == N_GENES
    with pytest.raises(bde.InputError, match="point estimates only"):
        _ = opened.posterior


def test_what_cannot_be_opened_is_told(folder, sampled, tmp_path):
    with pytest.raises(bde.InputError, match=r"there is no run\.json"):
        bde.open_run(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(sampled, copy)
    theta = copy / "draws" / "theta.npy"
    theta.write_bytes(theta.read_bytes()[:-100])
    with pytest.raises(bde.InputError, match=r"theta\.npy' has .* bytes instead of .*--force"):
        _ = bde.open_run(copy).posterior
    shutil.rmtree(copy / "draws")
    assert bde.open_run(copy).fit.counts.n_genes == N_GENES, "all but the posterior"
    with pytest.raises(bde.InputError, match="early bayesde"):
        _ = bde.open_run(copy).posterior
    record = json.loads((copy / "run.json").read_text())
    record["inputs"]["counts"]["sha256"] = "0"
    (copy / "run.json").write_text(json.dumps(record))
    with pytest.raises(bde.InputError, match="changed since the run was started"):
        _ = bde.open_run(copy).counts
    (copy / "run.json").write_text(json.dumps({**record, "state": "interrupted"}))
    with pytest.raises(bde.InputError, match="bayesde resume"):
        bde.open_run(copy)
