"""Plans: what is allowed, and that a plan survives the way through JSON."""

import json

import pytest

from bayesde import OptionError
from bayesde.batch import ModelPlan, RunFiles, RunPlan, SamplePlan
from bayesde.options import EbOptions
from bayesde.posterior.options import SamplingOptions

FILES = RunFiles(counts="counts.tsv", samples="samples.tsv")
MODEL = ModelPlan(design="~ a + b", contrast=("a", "y", "x"), references={"b": "p"}, lfc_threshold=0.5)


def test_a_plan_comes_back_from_json():
    plan = RunPlan(
        command="sample",
        files=FILES,
        model=MODEL,
        eb=EbOptions(fdr=0.05),
        sample=SamplePlan(engine="joint", seed=7),
        sampling=SamplingOptions(adapt_delta=0.95),
    )
    assert RunPlan.from_dict(json.loads(json.dumps(plan.to_dict())), "run.json") == plan


def test_an_eb_plan_does_not_speak_of_sampling():
    plan = RunPlan(command="eb", files=FILES, model=ModelPlan(design="~ a"))
    assert set(plan.to_dict()) == {"command", "files", "model", "eb"}
    assert RunPlan.from_dict(plan.to_dict(), "run.json") == plan


def test_paths_do_not_depend_on_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert dict(RunFiles(counts="c.tsv", samples="s.tsv").named())["counts"] == str(tmp_path / "c.tsv")


@pytest.mark.parametrize(
    "values", [{}, {"command": "eb"}, {"command": "eb", "files": {"count": "x"}}, {"files": 1}]
)
def test_what_is_not_a_plan(values):
    with pytest.raises(OptionError, match=r"run\.json"):
        RunPlan.from_dict(values, "run.json")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "nutz"}, "Did you mean 'nuts'"),
        ({"draws": 0}, "draws must be a whole number"),
        ({"chains": 2.5}, "chains must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"ci_prob": 1.0}, "ci_prob must be a number"),
    ],
)
def test_sampling_options(options, words):
    with pytest.raises(OptionError, match=words):
        SamplePlan(**options)
