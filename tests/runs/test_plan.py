"""Plans: what is allowed, and that a plan survives the way through JSON."""

import dataclasses
import json
from pathlib import Path

import pytest

from bayesde import LogNormal, OptionError, Priors, ShiftedGamma
from bayesde.cli.planning import build_plan
from bayesde.eb.options import EbOptions
from bayesde.posterior.options import SamplingOptions
from bayesde.runs import ModelPlan, RunFiles, RunPlan, SamplePlan
from bayesde.runs.ignored_options import ignored_options

FILES = RunFiles(counts="counts.tsv", samples="samples.tsv")
MODEL = ModelPlan(design="~ a + b", contrast=("a", "y", "x"), references={"b": "p"}, lfc_threshold=0.5)


def test_a_plan_comes_back_from_json():
    plan = RunPlan(
        command="sample",
        files=FILES,
        model=MODEL,
        eb=EbOptions(fdr=0.05),
        sample=SamplePlan(engine="joint", seed=7),
        sampling=SamplingOptions(adapt_delta=0.95, shrink=["b"]),
        priors=OTHER_PRIORS,
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
        ({"hyperparameters": "fixed"}, "hyperparameters must be one of 'integrated', 'eb'"),
        ({"chains": 2.5}, "chains must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"ci_prob": 1.0}, "ci_prob must be a number"),
    ],
)
def test_sampling_options(options, words):
    with pytest.raises(OptionError, match=words):
        SamplePlan(**options)


EVERYTHING = SamplingOptions(block_size=7, residuals="student_t", min_ess=100.0, hand_over=False)
OTHER_PRIORS = Priors(nu=ShiftedGamma(2.0, 0.2), extra_poisson=LogNormal(1.0, 1.0), unshrunken_sd=9.0)
UNUSED = {
    "psis": ["[sample] warmup", "[sampling] block_size", "[sampling] min_ess"],
    "nuts": ["[sampling] hand_over"],
    "joint": ["[sampling] block_size", "[sampling] hand_over"],
}


@pytest.mark.parametrize("engine", UNUSED)
def test_options_that_a_run_does_not_use_are_named(engine):
    chosen = SamplePlan(engine=engine, warmup=123)
    plan = RunPlan(
        command="sample", files=FILES, model=MODEL, sample=chosen, sampling=EVERYTHING, priors=OTHER_PRIORS
    )
    assert ignored_options(plan) == UNUSED[engine]


def test_engine_psis_needs_some_draws():
    with pytest.raises(OptionError, match="draws must be a whole number from 100"):
        RunPlan(command="sample", files=FILES, model=MODEL, sample=SamplePlan(draws=99))


def test_engine_psis_refuses_more_draws_than_it_can_hold_before_anything_is_read():
    with pytest.raises(OptionError, match="draws must be a whole number from 100 to 1000000; got 1000001"):
        RunPlan(command="sample", files=FILES, model=MODEL, sample=SamplePlan(draws=1_000_001))
    RunPlan(command="sample", files=FILES, model=MODEL, sample=SamplePlan(draws=1_000_001, engine="nuts"))


def test_engine_psis_uses_the_options_of_chains_for_what_it_hands_over():
    sampling = dataclasses.replace(EVERYTHING, hand_over=True)
    plan = RunPlan(command="sample", files=FILES, model=MODEL, sampling=sampling)
    assert ignored_options(plan) == []


def test_priors_of_what_is_not_learnt_are_not_used():
    chosen = SamplePlan(hyperparameters="eb")
    plan = RunPlan(command="sample", files=FILES, model=MODEL, sample=chosen, priors=OTHER_PRIORS)
    assert ignored_options(plan) == ["[priors] extra_poisson", "[priors] nu"]
    normal = SamplingOptions(trend="constant", shrink=())
    plan = RunPlan(command="sample", files=FILES, model=MODEL, sampling=normal, priors=OTHER_PRIORS)
    assert ignored_options(plan) == ["[priors] extra_poisson", "[priors] nu"]


@pytest.mark.parametrize("engine", ["psis", "nuts", "joint"])
@pytest.mark.parametrize("trend", [None, "mean"])
def test_the_posterior_takes_the_trend_of_the_point_estimates(engine, trend):
    plan = plan_of(engine, trend)
    assert plan.sampling.trend is None
    assert plan.eb.trend == (trend or "parametric")
    other = dataclasses.replace(plan, priors=OTHER_PRIORS)
    assert ("[priors] extra_poisson" in ignored_options(other)) == (trend == "mean")


def test_the_trend_of_the_command_line_comes_before_that_of_the_file(tmp_path):
    config = tmp_path / "options.toml"
    config.write_text('[sampling]\ntrend = "constant"\n')
    files = {"counts": Path("c.tsv"), "samples": Path("s.tsv")}
    chosen = {"model": {"design": "~ a"}, "files": files, "run": {"config": config}}
    assert build_plan("sample", chosen).sampling.trend == "constant"
    asked = chosen | {"eb": {"trend": "parametric"}}
    assert build_plan("sample", asked).sampling.trend is None


def test_analyses_come_last_then_the_command_line_then_the_file(tmp_path):
    config = tmp_path / "options.toml"
    config.write_text(
        "[model]\ndesign = '~ a'\ncontrast = 'a,y,x'\nother_contrasts = ['0,1']\n"
        "[sample]\ndraws = 500\nseed = 7\n"
        "[[analysis]]\nname = 'one'\n"
        "[[analysis]]\nname = 'two'\ndesign = '~ a + b'\ncontrast = ['a', 'z', 'x']\n"
        "[analysis.sample]\ndraws = 800\n[analysis.sampling]\neffects = 'spike_t'\n"
    )
    files = {"counts": Path("c.tsv"), "samples": Path("s.tsv")}
    chosen = {"model": {}, "files": files, "run": {"config": config}, "sample": {"draws": 300}}
    one, two = (build_plan("sample", chosen)[name] for name in ("one", "two"))
    assert (one.model.design, two.model.design) == ("~ a", "~ a + b")
    assert (one.model.contrast, one.model.other_contrasts) == (("a", "y", "x"), ((0.0, 1.0),))
    assert (two.model.contrast, two.model.other_contrasts) == (("a", "z", "x"), ())
    assert [(plan.sample.draws, plan.sample.seed) for plan in (one, two)] == [(300, 7), (800, 7)]
    assert [plan.sampling.effects for plan in (one, two)] == ["cauchy", "spike_t"]


def test_engine_joint_has_no_local_trend():
    with pytest.raises(OptionError, match="choose 'parametric' or 'mean'"):
        plan_of("joint", "local")


def plan_of(engine, trend):
    files = {"counts": Path("c.tsv"), "samples": Path("s.tsv")}
    eb = {} if trend is None else {"trend": trend}
    chosen = {"model": {"design": "~ a"}, "files": files, "eb": eb, "sample": {"engine": engine}}
    return build_plan("sample", chosen)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"test": "f"}, "test must be one of 'wald', 'lrt'"),
        ({"test": "lrt"}, "add --reduced FORMULA"),
        ({"reduced": "~ 1"}, "add --test lrt"),
        ({"test": "lrt", "reduced": "~ 1", "lfc_threshold": 1.0}, "neither a threshold nor an alternative"),
        ({"test": "lrt", "reduced": "~ 1", "alternative": "less"}, "neither a threshold nor an alternative"),
        ({"test": "lrt", "reduced": "~ 1", "shrink": True}, "are the Wald test's"),
        ({"alternative": "lesser"}, "Did you mean 'less'"),
        ({"alternative": "lessAbs"}, "needs a threshold above 0"),
        ({"shrinkage": "apeglmm"}, "Did you mean 'apeglm'"),
        ({"shrinkage": "none", "shrink": True}, "leave --shrink out"),
        ({"shrink": "yes"}, "shrink must be true or false"),
        ({"test": "lrt", "reduced": 1}, "reduced must be a formula"),
        ({"references": "a"}, "references must be levels by factor"),
    ],
)
def test_options_of_tests_and_shrinkage(options, words):
    with pytest.raises(OptionError, match=words):
        ModelPlan(design="~ a", **options)


def test_a_sampling_run_names_the_options_of_the_model_that_it_does_not_use():
    model = ModelPlan(design="~ a", test="lrt", reduced="~ 1")
    plan = RunPlan(command="sample", files=FILES, model=model)
    assert ignored_options(plan) == ["[model] test", "[model] reduced"]


def test_further_contrasts_come_back_from_json():
    model = ModelPlan(design="~ a", contrast="b", other_contrasts=(("a", "y", "x"), (0.0, 1.0), "c - d"))
    plan = RunPlan(command="eb", files=FILES, model=model)
    assert RunPlan.from_dict(json.loads(json.dumps(plan.to_dict())), "run.json") == plan


def test_a_plan_from_before_there_was_a_coding_keeps_its_priors():
    """A run that was started with priors on the design's coefficients is resumed with them."""
    plan = RunPlan(command="sample", files=FILES, model=MODEL)
    values = plan.to_dict()
    assert values["sampling"].pop("coding") == "levels"
    assert RunPlan.from_dict(values, "run.json").sampling.coding == "treatment"
    values["sampling"]["coding"] = "levels"
    assert RunPlan.from_dict(values, "run.json") == plan
