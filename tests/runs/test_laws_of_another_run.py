"""What a run has learnt of effects, for the next: fixed (`--effects FILE`) or as priors (`--prior FILE`)."""

import json

import numpy as np
import pytest

from bayesde.errors import OptionError
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import LogNormal, Priors
from bayesde.posterior.options import SamplingOptions
from bayesde.simulation import SimulationOptions, simulate

NAME = "condition[T.treated]"
DRAWS = {
    f"shrinkage_scale[{NAME}]": np.geomspace(0.3, 0.5, 20),
    f"effect_nu[{NAME}]": np.geomspace(3.0, 5.0, 20),
    f"pi0[{NAME}]": np.linspace(0.6, 0.7, 20),
    "dispersion_sd": np.geomspace(0.4, 0.6, 20),
}
LEARNT = Hyperparameters(
    {NAME: 0.4}, 0.5, 0.05, 1.0, effect_nu={NAME: 4.0}, pi0={NAME: 0.65}, draws=DRAWS, source="psis"
)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Counts of 60 genes, and what an earlier run has learnt."""
    simulated = simulate(60, groups=(4, 4), seed=5, options=SimulationOptions(zero_share=0.5))
    simulated.counts.to_frame().to_csv(tmp_path / "counts.tsv", sep="\t")
    simulated.counts.sample_table.to_csv(tmp_path / "samples.tsv", sep="\t", index_label="sample")
    monkeypatch.setattr("bayesde.posterior.hyper.learning.DRAWS_TIMES_GENES", 30_000)
    LEARNT.to_json(tmp_path / "earlier.json")
    return tmp_path


def sample(bayesde, files, *options, out="out"):
    given = ("sample", files / "counts.tsv", files / "samples.tsv", "-d", "~ condition", "--no-hand-over")
    return bayesde(*given, "--draws", "200", *options, "-o", files / out)


def plan(files, out="out"):
    return json.loads((files / out / "run.json").read_text())["plan"]


def assert_is_law(law):
    np.testing.assert_allclose(law.weight, [0.65, 0.35])
    np.testing.assert_array_equal(law.scale, [0.0, 0.4])
    np.testing.assert_array_equal(law.nu, [np.inf, 4.0])


@pytest.mark.parametrize("where", ["command line", "file"])
def test_laws_of_another_run_are_fixed(bayesde, files, where):
    options = ("--effects", files / "earlier.json")
    if where == "file":
        path = (files / "earlier.json").as_posix()
        (files / "run.toml").write_text(f'[sampling]\neffects = "{path}"\n')
        options = ("--config", files / "run.toml")
    code, _, told = sample(bayesde, files, *options)
    assert code in (0, 3), told
    found = Hyperparameters.from_json(files / "out" / "hyperparameters.json")
    assert_is_law(found.mixtures[NAME])
    assert f"pi0[{NAME}]" not in found.draws
    assert len(found.draws["dispersion_sd"]) > 1  # the rest is learnt
    # the plan does not need the file any more
    assert plan(files)["sampling"]["effects"][NAME]["scale"] == [0.0, 0.4]


def test_every_law_as_a_known_one():
    laws = Hyperparameters(
        {"a": 0.2, "b": 0.3, "c": 0.4}, 0.5, 0.05, 1.0, effect_nu={"b": 6.0, "c": 4.0}, pi0={"c": 0.65}
    ).effect_laws
    effects = np.array([-0.7, 0.01, 0.0, 2.0])
    from scipy.stats import cauchy, t

    np.testing.assert_allclose(
        laws["a"].log_density(effects[[0, 1, 3]]), cauchy(0, 0.2).logpdf(effects[[0, 1, 3]])
    )
    np.testing.assert_allclose(
        laws["b"].log_density(effects[[0, 1, 3]]), t(6.0, 0, 0.3).logpdf(effects[[0, 1, 3]])
    )
    expected = np.log(0.35) + t(4.0, 0, 0.4).logpdf(effects)
    expected[2] = np.log(0.65)
    np.testing.assert_allclose(laws["c"].log_density(effects), expected)
    again = Hyperparameters({"c": 0.4}, 0.5, 0.05, 1.0, mixtures={"c": laws["c"]}).effect_laws
    assert again["c"] is laws["c"]


def test_in_python(files):
    assert_is_law(SamplingOptions(effects=str(files / "earlier.json")).effects[NAME])


@pytest.mark.parametrize("where", ["command line", "file"])
def test_priors_of_another_run(bayesde, files, where):
    options = ("--prior", "dispersion_sd=0.9,0.2", "--prior", files / "earlier.json")
    if where == "file":
        path = (files / "earlier.json").as_posix()
        (files / "run.toml").write_text(f'[priors]\nfile = "{path}"\ndispersion_sd = [0.9, 0.2]\n')
        options = ("--config", files / "run.toml")
    code, _, told = sample(bayesde, files, *options, "--effects", "spike_t")
    assert code in (0, 3), told
    found, expected = Priors.from_dict(plan(files)["priors"]), LEARNT.as_priors()
    assert found.pi0 == expected.pi0
    assert found.effect_nu == expected.effect_nu
    assert found.shrinkage_scale == expected.shrinkage_scale
    assert found.dispersion_sd == LogNormal(0.9, 0.2)  # which comes over the file's
    assert found.extra_poisson == Priors().extra_poisson  # of which the file knows nothing


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--effects", "missing.json"), "effects: cannot read the hyperparameters 'missing.json'"),
        (("--effects", "{}/run.json"), "effects: '"),
        (("--effects", "{}/unshrunken.json"), "is shrunken, so that it has no law of effects"),
        (("--effects", "{}/other.json"), "condition[T.other]"),
        (
            ("--effects", "{}/earlier.json", "--effects", "spike_t"),
            "has the laws of all effects; give it alone",
        ),
        (("--effects", "{}/earlier.json", "--hyperparameters", "eb"), "the hyperparameters are fixed"),
        (("--effects", "{}/earlier.json", "--engine", "nuts"), "engine 'nuts' cannot sample"),
        (("--prior", "missing.json"), "priors: 'missing.json' gives none: cannot read"),
        (("--prior", "{}/unshrunken.json"), "these hyperparameters have no draws"),
        (("--prior", "earlier"), "or give the hyperparameters.json of another run"),
    ],
)
def test_files_that_are_refused(bayesde, files, options, words):
    (files / "run.json").write_text("{")
    Hyperparameters({}, 0.5, 0.05, 1.0).to_json(files / "unshrunken.json")
    Hyperparameters({"condition[T.other]": 0.3}, 0.5, 0.05, 1.0).to_json(files / "other.json")
    code, out, message = sample(bayesde, files, *(option.format(files) for option in options))
    assert code == 2
    assert message.startswith("error: ")
    assert words in message
    assert "Traceback" not in message + out
    assert not (files / "out" / "results.tsv").exists()


def test_a_file_of_priors_must_be_a_path(bayesde, files):
    (files / "run.toml").write_text("[priors]\nfile = 3\n")
    code, _, message = sample(bayesde, files, "--config", files / "run.toml")
    assert code == 2
    assert "[priors]: priors: file must be the path" in message


def test_laws_that_python_refuses(files):
    (files / "broken.json").write_text("[]")
    with pytest.raises(OptionError, match="must hold one JSON object"):
        SamplingOptions(effects=str(files / "broken.json"))
