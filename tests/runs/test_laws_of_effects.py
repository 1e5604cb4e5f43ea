"""`bayesde sample --effects`: laws of effects from the command line and files to the tables, and resumed."""

import json

import pytest

from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.effect_option import read_effects
from bayesde.posterior.options import SamplingOptions
from bayesde.results import read_results
from bayesde.runs import ModelPlan, RunFiles, RunPlan, resume
from bayesde.simulation import SimulationOptions, simulate

NAME = "condition[T.treated]"
KNOWN = {"weight": [0.8, 0.2], "scale": [0.0, 0.7]}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Counts of 100 genes, of which fewer draws are taken to learn from than usual."""
    options = SimulationOptions(effects="student_t", zero_share=0.5)
    simulated = simulate(100, groups=(4, 4), seed=5, options=options)
    simulated.counts.to_frame().to_csv(tmp_path / "counts.tsv", sep="\t")
    simulated.counts.sample_table.to_csv(tmp_path / "samples.tsv", sep="\t", index_label="sample")
    monkeypatch.setattr("bayesde.posterior.hyper.learning.DRAWS_TIMES_GENES", 60_000)
    return tmp_path


def sample(bayesde, files, *options, out="out"):
    given = ("sample", files / "counts.tsv", files / "samples.tsv", "-d", "~ condition", "--no-hand-over")
    return bayesde(*given, "--draws", "200", *options, "-o", files / out)


def learnt(files, out="out"):
    return Hyperparameters.from_json(files / out / "hyperparameters.json")


@pytest.mark.parametrize(
    ("options", "family"),
    [
        (("--effects", "spike_t"), "spike_t"),
        (("--effects", "mixture"), "mixture"),
        (("--effects", "condition=student_t"), "student_t"),
        (("--effects", f"{NAME}=spike_t"), "spike_t"),
        (("--effects", "student_t", "--effects", "condition=cauchy"), "cauchy"),
    ],
)
def test_laws_on_the_command_line(bayesde, files, options, family):
    code, _, told = sample(bayesde, files, *options)
    assert code in (0, 3), told
    assert learnt(files).family(NAME) == family
    table = read_results(files / "out")
    assert ("p_zero" in table) == (family in ("spike_t", "mixture"))
    if "p_zero" in table:
        assert table["p_zero"].between(0.0, 1.0).all()


def test_a_law_with_an_equals_sign_in_the_name_of_its_coefficient():
    """Names end at the last one: I(x == 1) is a term, too."""
    assert read_effects(["I(x == 1)=spike_t"]) == {"I(x == 1)": "spike_t"}
    assert read_effects(["spike_t"]) == "spike_t"
    assert read_effects(["spike_t", "mixture"]) == "mixture"
    assert read_effects(["a=mixture", "spike_t"]) == {"a": "mixture", "": "spike_t"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--effects", "spike"), "effects must be one of 'cauchy', 'student_t', 'spike_t', 'mixture'"),
        (("--effects", "student-t"), "Did you mean 'student_t'"),
        (("--effects", "condition=spike"), "effects['condition'] must be one of"),
        (("--effects", "conditon=spike_t"), "Did you mean 'condition'"),
        (("--effects", "Intercept=spike_t"), "'Intercept' is not shrunken"),
        (("--effects", "spike_t", "--hyperparameters", "eb"), "the hyperparameters are fixed"),
        (
            ("--effects", "spike_t", "--engine", "nuts"),
            "engine 'nuts' cannot sample the law 'spike_t'",
        ),
    ],
)
def test_laws_that_are_refused(bayesde, files, options, words):
    code, out, message = sample(bayesde, files, *options)
    assert code == 2
    assert message.startswith("error: ")  # before Stan is compiled, which would be told
    assert words in message
    assert "Traceback" not in message + out
    assert not (files / "out" / "results.tsv").exists()


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ('effects = "spike_t"', "spike_t"),
        ('effects = {condition = "spike_t"}', "spike_t"),
        ('effects = {"condition[T.treated]" = "student_t"}', "student_t"),
        ("effects = {condition = {weight = [0.8, 0.2], scale = [0, 0.7]}}", "mixture"),
    ],
)
def test_laws_in_a_file(bayesde, files, text, family):
    (files / "run.toml").write_text(f"[sampling]\n{text}\n")
    code, _, told = sample(bayesde, files, "--config", files / "run.toml")
    assert code in (0, 3), told
    assert learnt(files).family(NAME) == family
    code, _, told = sample(bayesde, files, "--config", files / "run.toml", "--effects", "cauchy", out="other")
    assert code in (0, 3), told
    assert learnt(files, "other").family(NAME) == "cauchy"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('effects = "spiky_t"', "Did you mean 'spike_t'"),
        ("effects = 3", "[sampling]: effects must be one of"),
        ("effects = {condition = {weight = [0.8], scale = [0.7]}}", "their sum is 0.8"),
        (
            "effects = {condition = {weights = [1.0], scale = [0.7]}}",
            "[sampling]: effects['condition']: mixture",
        ),
    ],
)
def test_files_of_laws_that_are_refused(bayesde, files, text, words):
    (files / "run.toml").write_text(f"[sampling]\n{text}\n")
    code, _, message = sample(bayesde, files, "--config", files / "run.toml")
    assert code == 2
    assert words in message
    assert not (files / "out").exists()


@pytest.mark.parametrize(
    "effects", ["spike_t", {"": "student_t", "condition": "mixture"}, {"condition": KNOWN}]
)
def test_a_plan_with_laws_comes_back_from_json(effects):
    sampling = SamplingOptions(effects=effects)
    files = RunFiles(counts="counts.tsv", samples="samples.tsv")
    plan = RunPlan(command="sample", files=files, model=ModelPlan(design="~ condition"), sampling=sampling)
    text = json.dumps(plan.to_dict(), allow_nan=False)
    again = RunPlan.from_dict(json.loads(text), "run.json")
    assert json.dumps(again.to_dict(), allow_nan=False) == text
    law = again.sampling.effects
    if effects == {"condition": KNOWN}:
        assert isinstance(law["condition"], EffectMixture)
    else:
        assert law == effects


class Killed(BaseException):
    """Stands for the end of a process."""


@pytest.mark.parametrize("law", ['"spike_t"', "{condition = {weight = [0.8, 0.2], scale = [0, 0.7]}}"])
def test_a_run_under_another_law_is_gone_on_with(bayesde, files, monkeypatch, law):
    def stop(*_, **__):
        raise Killed

    (files / "run.toml").write_text(f"[sampling]\neffects = {law}\n")
    options = ("--config", files / "run.toml")
    assert sample(bayesde, files, *options, out="whole")[0] in (0, 3)
    with monkeypatch.context() as patch:
        patch.setattr("bayesde.posterior.importance.engine.draw_sample", stop)
        with pytest.raises(Killed):
            sample(bayesde, files, *options)
    assert json.loads((files / "out" / "run.json").read_text())["plan"]["sampling"]["effects"]
    resume(files / "out")
    assert (files / "out" / "results.tsv").read_bytes() == (files / "whole" / "results.tsv").read_bytes()


def test_learnt_laws_are_fixed_in_another_run(bayesde, files):
    """The file of hyperparameters of one run, mixtures and all, given to the next."""
    for law in ("spike_t", "mixture"):
        assert sample(bayesde, files, "--effects", law, out=law)[0] in (0, 3)
        given = files / law / "hyperparameters.json"
        code, _, told = sample(bayesde, files, "--hyperparameters", given, out=f"{law}-given")
        assert code in (0, 3), told
        one, other = (read_results(files / out)["p_zero"] for out in (law, f"{law}-given"))
        assert (one - other).abs().mean() < 0.05


def test_priors_of_laws_on_the_command_line(bayesde, files):
    options = ("--effects", "spike_t", "--prior", "pi0=900,100", "--prior", "effect_nu=4,0.1")
    code, _, told = sample(bayesde, files, *options)
    assert code in (0, 3), told
    assert 0.7 < learnt(files).pi0[NAME] < 0.95
    assert 2.5 < learnt(files).effect_nu[NAME] < 6.0
