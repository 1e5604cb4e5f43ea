"""The command line in this process: exit codes, messages, and that bad input leaves nothing behind."""

import dataclasses
import gc
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from bayesde import EbOptions, InputError, datasets, fit_eb, read_counts, read_results

N_GENES = 300


def _simulated() -> str:
    """Counts of the model: dispersion 0.05 + 2 / mean, effects in a tenth of the genes."""
    rng = np.random.default_rng(3)
    mean = np.exp(rng.uniform(2, 8, N_GENES))[:, None] * np.where(
        (np.arange(N_GENES) % 10 == 0)[:, None] & np.array([False, False, True, True]), 3.0, 1.0
    )
    shape = 1.0 / ((0.05 + 2.0 / mean) * rng.lognormal(0.0, 0.5, (N_GENES, 1)))
    counts = rng.poisson(rng.gamma(shape, mean / shape)) + 1
    rows = ("\t".join(map(str, (f"g{i}", *row))) for i, row in enumerate(counts))
    return "gene\ta\tb\tc\td\n" + "\n".join(rows) + "\n"


COUNTS = _simulated()
SAMPLES = "sample\tcondition\tbatch\na\tctl\tx\nb\tctl\ty\nc\ttrt\tx\nd\ttrt\ty\n"
ARGUMENTS = ("--design", "~ condition", "--contrast", "condition,trt,ctl")


@pytest.fixture
def files(tmp_path):
    (tmp_path / "counts.tsv").write_text(COUNTS)
    (tmp_path / "samples.tsv").write_text(SAMPLES)
    return tmp_path


def test_version_and_help(bayesde):
    code, out, _ = bayesde("--version")
    assert code == 0
    assert out.startswith("bayesde ")
    for command in ("eb", "sample", "resume", "status", "report", "demo", "doctor", "install-stan"):
        code, out, _ = bayesde(command, "--help")
        assert code == 0
        assert f"bayesde {command}" in out, "the help shows an example"


def test_eb_on_pasilla(bayesde, tmp_path):
    counts, samples = datasets.path("pasilla")
    out = tmp_path / "made" / "here"
    arguments = (
        "eb",
        counts,
        samples,
        "-d",
        "~ type + condition",
        "-c",
        "condition,treated,untreated",
        "-o",
        out,
    )
    code, text, _ = bayesde(*arguments)
    assert code == 0
    assert "14,599 genes in" in text
    table = read_results(out)
    assert (table["padj"] < 0.1).sum() == 1330
    assert table.loc["FBgn0039155", "log2_fold_change"] == pytest.approx(-4.62, abs=0.01)
    names = {entry.name for entry in out.iterdir()} - {".lock"}
    expected = {"run.json", "results.tsv", "results.columns.json", "hyperparameters.json", "log.txt", "plots"}
    expected |= {"eb", "shrunken"}
    assert names == expected
    assert {entry.name for entry in (out / "plots").iterdir()} == {"ma.png", "dispersion.png"}
    record = json.loads((out / "run.json").read_text())
    assert record["state"] == "finished"
    assert record["plan"]["model"]["design"] == "~ type + condition"
    hyperparameters = json.loads((out / "hyperparameters.json").read_text())
    assert set(hyperparameters["shrinkage_scale"]) == {"type[T.single.read]", "condition[T.treated]"}

    code, _, message = bayesde(*arguments)
    assert code == 2
    assert "already holds a run (finished); --force replaces it" in message
    assert bayesde(*arguments, "--shrink", "--force")[0] == 0
    assert read_results(out)["s_value"].notna().any()


def test_status_and_resume_of_a_finished_run(bayesde, files):
    assert bayesde("eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "out")[0] == 0
    before = (files / "out" / "results.tsv").read_bytes()
    code, text, _ = bayesde("status", files / "out")
    assert code == 0
    assert text == "state    finished\n"
    assert bayesde("resume", files / "out")[0] == 0
    assert (files / "out" / "results.tsv").read_bytes() == before


def changed(text, old, new):
    assert old in text
    return text.replace(old, new)


FIRST = next(line for line in COUNTS.splitlines() if line.startswith("g1\t")).split("\t")[1]

BAD_COUNTS = {
    "negative counts": changed(COUNTS, f"\ng1\t{FIRST}\t", f"\ng1\t-{FIRST}\t"),
    "fractional counts": changed(COUNTS, f"\ng1\t{FIRST}\t", "\ng1\t12.5\t"),
    "missing counts": changed(COUNTS, f"\ng1\t{FIRST}\t", "\ng1\t\t"),
    "infinite counts": changed(COUNTS, f"\ng1\t{FIRST}\t", "\ng1\tinf\t"),
    "text instead of counts": changed(COUNTS, f"\ng1\t{FIRST}\t", "\ng1\ttwelve\t"),
    "duplicate gene names": changed(COUNTS, "\ng2\t", "\ng1\t"),
    "several columns called 'a'": changed(COUNTS, "\ta\tb", "\ta\ta"),
    "no row for the counted sample": changed(COUNTS, "\td\n", "\te\n"),
    "every count is zero": "gene\ta\tb\tc\td\ng1\t0\t0\t0\t0\n",
    "at least two are needed": "gene\ta\ng1\t5\ng2\t3\n",
    "use the method 'poscounts'": "gene\ta\tb\tc\td\ng1\t0\t1\t2\t3\ng2\t4\t0\t5\t6\n",
    "is empty": "",
}


@pytest.mark.parametrize("words", BAD_COUNTS)
def test_bad_counts(bayesde, files, words):
    (files / "counts.tsv").write_text(BAD_COUNTS[words])
    code, out, message = bayesde(
        "eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "out"
    )
    assert code == 2
    assert message.startswith("error: ")
    assert words in message
    assert "Traceback" not in message + out
    assert not (files / "out").exists()


@pytest.mark.filterwarnings("always:the design .~ 1.:bayesde.BayesdeWarning")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-d", "~ nothing"), "uses 'nothing', which is not in the sample table"),
        (("-d", "~ conditoin"), "Did you mean 'condition'"),
        (("-d", "~ condition", "-c", "condition,treated,ctl"), "'treated' is not a level of 'condition'"),
        (("-d", "~ condition", "-c", "conditon,trt,ctl"), "'conditon' is not a factor of the design"),
        (("-d", "~ condition", "-c", "condition[T.treated]"), "unknown coefficient 'condition[T.treated]'"),
        (("-d", "~ condition + I(condition)"), "error: "),
        (("-d", "~ batch * condition"), "saturated"),
        (("-d", "~ condition +"), "cannot be read"),
        (("-d", "~ condition", "-r", "condition"), "write it as FACTOR=LEVEL"),
        (("-d", "~ condition", "-r", "condition=none"), "'none' is not a level"),
        (("-d", "~ condition", "--size-factors", "tmm"), "size_factors must be one of 'ratio', 'poscounts'"),
        (("-d", "~ condition", "--control-genes", "NOFILE"), "cannot be read"),
        (("-d", "~ condition", "--normalization-factors", "NOFILE"), "does not exist"),
        (("-d", "~ condition", "--config", "NOFILE"), "cannot read the options file"),
        (("-d", "~ condition", "--lfc-threshold", "-1"), "lfc_threshold must be a number"),
        (("-d", "~ condition", "-c", "[0,1,1]"), "2 weights are needed"),
        (
            ("-d", "~ condition", "-c", "trt"),
            "'trt' is a level of 'condition'; it is compared by condition,trt,ctl",
        ),
        (("-d", "~ condition", "-c", "condition,trt"), "has three parts: FACTOR,LEVEL,REFERENCE"),
        (("-d", "~ condition", "-c", "condition"), "'condition' is a factor; two levels"),
        (("-d", "~ condition", "--weights", "NOFILE"), "the weights file"),
        (("-d", "~ 1", "--shrink"), "shrink: 'Intercept' is a level of expression"),
        (("-d", "~ condition", "-c", "Intercept", "--shrink"), "leave --shrink out, or name an effect"),
        (
            ("-d", "~ condition", "--normalization-factors", "NOFILE", "--size-factors", "ratio"),
            "leave out --size-factors",
        ),
        (
            ("-d", "~ condition", "--normalization-factors", "NOFILE", "--control-genes", "NOFILE"),
            "leave one of them out",
        ),
    ],
)
def test_bad_designs_and_options(bayesde, files, options, words):
    code, _, message = bayesde(
        "eb", files / "counts.tsv", files / "samples.tsv", *options, "-o", files / "out"
    )
    assert code == 2
    assert words in message
    assert not (files / "out").exists()


def test_collinear_columns_are_spelt_out(bayesde, files):
    (files / "samples.tsv").write_text(
        SAMPLES.replace("a\tctl\tx", "a\tctl\ty").replace("d\ttrt\ty", "d\ttrt\tx")
    )
    code, _, message = bayesde(
        "eb", files / "counts.tsv", files / "samples.tsv", "-d", "~ condition + batch", "-o", files / "out"
    )
    assert code == 2
    assert "batch[T.y] = Intercept - condition[T.trt]" in message
    assert not (files / "out").exists()


@pytest.mark.parametrize("name", ["counts.tsv", "counts.tsv/below", "/proc/nowhere"])
def test_output_folders_that_cannot_be(bayesde, files, name):
    code, _, message = bayesde(
        "eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / name
    )
    assert code == 2
    assert message.startswith("error: ")
    assert (files / "counts.tsv").read_text() == COUNTS


def test_an_output_folder_without_permission(bayesde, files, monkeypatch):
    allowed = os.access  # root may write everywhere, so the answer is made up
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and allowed(path, mode))
    code, _, message = bayesde(
        "eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "out"
    )
    assert code == 2
    assert "cannot write to the output folder" in message
    assert "no permission" in message
    assert not (files / "out").exists()


def test_folders_with_other_things_are_left_alone(bayesde, files):
    out = files / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    for force in ((), ("--force",)):
        arguments = ("eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", out, *force)
        code, _, message = bayesde(*arguments)
        assert code == 2
        assert "is not empty and holds no run of bayesde ('thesis.txt')" in message
    assert [entry.name for entry in out.iterdir()] == ["thesis.txt"]


def test_the_contrast_names_the_reference(bayesde, files):
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", "-d", "~ condition", "-o", files / "out")
    assert bayesde(*arguments, "-c", "condition,ctl,trt")[0] == 0
    scales = json.loads((files / "out" / "hyperparameters.json").read_text())["shrinkage_scale"]
    assert set(scales) == {"condition[T.ctl]"}
    swapped = read_results(files / "out")["log2_fold_change"]
    assert bayesde(*arguments, "-c", "condition,trt,ctl", "--force")[0] == 0
    assert read_results(files / "out")["log2_fold_change"].to_numpy() == pytest.approx(
        -swapped.to_numpy(), abs=1e-4
    )


def test_factors_and_controls_from_files(bayesde, files):
    rows = "".join(f"g{i}\t1\t1\t2\t2\n" for i in range(N_GENES))
    (files / "factors.tsv").write_text("gene\td\tc\tb\ta\n" + rows)
    (files / "controls.txt").write_text("# spikes\ng3\ng4\n\n")
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS)
    assert bayesde(*arguments, "-o", files / "plain")[0] == 0
    assert bayesde(*arguments, "-o", files / "f", "--normalization-factors", files / "factors.tsv")[0] == 0
    assert bayesde(*arguments, "-o", files / "c", "--control-genes", files / "controls.txt")[0] == 0
    tables = [read_results(files / name)["base_mean"] for name in ("plain", "f", "c")]
    first = [int(text) for text in COUNTS.splitlines()[1].split("\t")[1:]]
    assert tables[1]["g0"] == pytest.approx((first[0] / 2 + first[1] / 2 + first[2] + first[3]) / 4)
    assert (tables[2] != tables[0]).all()
    (files / "controls.txt").write_text("g3\nspike9\n")
    code, _, message = bayesde(*arguments, "-o", files / "x", "--control-genes", files / "controls.txt")
    assert code == 2
    assert "'spike9'" in message


def test_options_from_a_file(bayesde, files):
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "out")
    (files / "run.toml").write_text("[eb]\nfdr = 0.05\n")
    assert bayesde(*arguments, "--config", files / "run.toml")[0] == 0
    assert json.loads((files / "out" / "run.json").read_text())["plan"]["eb"]["fdr"] == 0.05
    for text, words in (
        ("[eb]\nfdrr = 0.05\n", "Did you mean 'fdr'"),
        ("[ebb]\nfdr = 0.05\n", "Did you mean 'eb'"),
        ("eb = 1\n", "must be a table"),
        ("[eb]\nfdr = 5\n", "fdr must be a number"),
        ("[sample]\ndraws = 0.5\n", "draws must be a whole number"),
        ("[eb]\nfdr = 5\n", "run.toml' [eb]: fdr must be"),
        ("[eb]\nmin_replicates = 7.5\n", "min_replicates must be a whole number from 3 to 1000000; got 7.5"),
        ("[", "not valid TOML"),
    ):
        (files / "run.toml").write_text(text)
        code, _, message = bayesde(*arguments, "--force", "--config", files / "run.toml")
        assert code == 2
        assert words in message


def test_tables_of_a_shared_config_that_eb_does_not_use_are_logged(bayesde, files):
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "out")
    (files / "run.toml").write_text("[sample]\ndraws = 7\n[sampling]\nmin_ess = 9.0\n")
    assert bayesde(*arguments, "--config", files / "run.toml")[0] == 0
    assert "not used by this run: [sample], [sampling]" in (files / "out" / "log.txt").read_text()


@pytest.mark.parametrize("weights", ["0,-1", "[0, -1]"])
def test_a_contrast_of_numbers(bayesde, files, weights):
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", "-d", "~ condition")
    assert bayesde(*arguments, "-o", files / "level", "-c", "condition,trt,ctl")[0] == 0
    assert bayesde(*arguments, "-o", files / "weights", "-c", weights)[0] == 0
    effects = [read_results(files / name)["log2_fold_change"].to_numpy() for name in ("level", "weights")]
    np.testing.assert_allclose(effects[1], -effects[0])


@pytest.mark.filterwarnings("always:`grp` is used as a number:bayesde.BayesdeWarning")
def test_levels_that_are_numbers(bayesde, files):
    (files / "samples.tsv").write_text("sample\tgrp\na\t1\nb\t1\nc\t2\nd\t2\n")
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", "-c", "grp,2,1", "-o", files / "out")
    code, _, message = bayesde(*arguments, "-d", "~ grp")
    assert code == 2
    assert "write C(grp) in the formula" in message
    assert bayesde(*arguments, "-d", "~ C(grp)")[0] == 0


def test_input_that_only_the_fit_can_refuse_leaves_the_earlier_run(bayesde, files, monkeypatch):
    def refuse(*_, **__):
        raise InputError("no gene varies")

    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "out")
    assert bayesde(*arguments)[0] == 0
    before = (files / "out" / "results.tsv").read_bytes()
    monkeypatch.setattr("bayesde.runs.inputs.point_estimates", refuse)
    assert bayesde(*arguments, "--force")[0] == 2
    assert (files / "out" / "results.tsv").read_bytes() == before
    assert bayesde("resume", files / "out")[0] == 0


def test_wrong_usage(bayesde, files):
    assert bayesde("eb", files / "counts.tsv")[0] == 2
    assert bayesde("nonsense")[0] == 2
    for command in ("resume", "status"):
        code, _, message = bayesde(command, files)
        assert code == 2
        assert "holds no run of bayesde" in message


def test_without_a_compiler_sampling_is_refused_and_eb_runs(bayesde, files, monkeypatch):
    monkeypatch.setenv("PATH", str(files / "empty"))
    monkeypatch.setenv("BAYESDE_CACHE", str(files / "cache"))
    for name in ("CMDSTAN", "CXX", "MAKE", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(files))
    arguments = (files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "out")
    code, _, message = bayesde("sample", *arguments, "--engine", "nuts")
    assert code == 2
    assert "compiler" in message
    assert "bayesde eb" in message
    assert not (files / "out").exists()
    code, out, _ = bayesde("doctor")
    assert code == 2
    assert "not found" in out
    assert bayesde("eb", *arguments)[0] == 0


def test_an_unforeseen_error_is_one_message(bayesde, files, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("boom")

    monkeypatch.setattr("bayesde.runs.inputs.point_estimates", broken)
    code, out, message = bayesde(
        "eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "out"
    )
    assert code == 1
    assert message.startswith("error: RuntimeError: boom")
    assert "Traceback" not in message + out
    assert json.loads((files / "out" / "run.json").read_text())["state"] == "failed"
    monkeypatch.undo()
    shutil.rmtree(files / "out" / "plots", ignore_errors=True)


def test_input_that_only_the_fit_can_refuse_leaves_nothing(bayesde, files, monkeypatch):
    def refuse(*_, **__):
        raise InputError("no gene varies")

    monkeypatch.setattr("bayesde.runs.inputs.point_estimates", refuse)
    code, _, message = bayesde(
        "eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "out"
    )
    assert code == 2
    assert "no gene varies" in message
    assert not (files / "out").exists()


def test_a_failed_run_can_be_gone_on_with(bayesde, files, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("bayesde.runs.inputs.point_estimates", lambda *_, **__: 1 / 0)
        arguments = ("eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "out")
        assert bayesde(*arguments)[0] == 1
    code, _, message = bayesde(*arguments)
    assert code == 2
    assert f"'bayesde resume {files / 'out'}' resumes it" in message
    assert bayesde("resume", files / "out")[0] == 0
    assert len(read_results(files / "out")) == N_GENES


def test_resume_notices_changed_inputs(bayesde, files, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("bayesde.runs.inputs.point_estimates", lambda *_, **__: 1 / 0)
        bayesde("eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "out")
    (files / "counts.tsv").write_text(COUNTS.replace("\ng1\t", "\ng1\t1"))
    code, _, message = bayesde("resume", files / "out")
    assert code == 2
    assert "changed since the run was started" in message


def test_shrunken_effects_lie_beside_the_tests(bayesde, files):
    """Both tables are written; --shrink says which of them is the main one, --trend which trend is fitted."""
    plain, shrunken = files / "plain", files / "shrunken_run"
    for out, more in ((plain, ["--trend", "mean"]), (shrunken, ["--shrink", "--trend", "mean"])):
        tables = (files / "counts.tsv", files / "samples.tsv")
        assert bayesde("eb", *tables, *ARGUMENTS, "-o", out, *more)[0] == 0
        assert json.loads((out / "run.json").read_text())["plan"]["eb"]["trend"] == "mean"
    beside, main = read_results(plain / "shrunken"), read_results(shrunken)
    pd.testing.assert_frame_equal(beside, main)
    pd.testing.assert_frame_equal(read_results(plain / "eb"), read_results(plain))
    assert "s_value" in main
    assert "s_value" not in read_results(plain)


@pytest.mark.filterwarnings("always::bayesde.BayesdeWarning")
def test_warnings_are_printed_and_logged(bayesde, files):
    """Dispersions that rise with the mean have no parametric trend."""
    rng = np.random.default_rng(2)
    mean = np.exp(np.linspace(1.0, 9.0, N_GENES))[:, None] * np.ones(4)
    shape = 1.0 / (1e-3 * mean**0.8)
    counts = rng.poisson(rng.gamma(shape, mean / shape)) + 1
    rows = ("\t".join(map(str, (f"g{i}", *row))) for i, row in enumerate(counts))
    (files / "rising.tsv").write_text("gene\ta\tb\tc\td\n" + "\n".join(rows) + "\n")
    code, _, message = bayesde(
        "eb", files / "rising.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "o"
    )
    assert code == 0
    assert "warning: the parametric dispersion trend does not fit" in message
    assert "warning: the parametric dispersion trend does not fit" in (files / "o" / "log.txt").read_text()


def run_eb(bayesde, files, out, *options):
    """Run `bayesde eb` on the simulated counts; return the plan that it recorded and its table."""
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", "-o", files / out, *options)
    code, _, message = bayesde(*arguments)
    assert code == 0, message
    return json.loads((files / out / "run.json").read_text())["plan"], read_results(files / out)


def simulated_fit(files, **options):
    counts = read_counts(files / "counts.tsv", files / "samples.tsv")
    return fit_eb(counts, "~ condition", options=EbOptions(**options))


def test_the_likelihood_ratio_test(bayesde, files):
    plan, table = run_eb(bayesde, files, "lrt", *ARGUMENTS, "--test", "lrt", "--reduced", "~ 1")
    assert (plan["model"]["test"], plan["model"]["reduced"]) == ("lrt", "~ 1")
    pd.testing.assert_frame_equal(table, simulated_fit(files).test_lrt("~ 1"))
    pd.testing.assert_frame_equal(table, read_results(files / "lrt" / "eb"))


@pytest.mark.parametrize(
    ("reduced", "words"),
    [
        ("~ batch", "which the full design '~ condition' cannot express"),
        ("~ condition", "leave at least one term out"),
        ("~ nothing", "uses 'nothing'"),
    ],
)
def test_reduced_designs_are_checked_before_the_fit(bayesde, files, monkeypatch, reduced, words):
    monkeypatch.setattr("bayesde.runs.inputs.point_estimates", lambda *_, **__: pytest.fail("it was fitted"))
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, "-o", files / "out")
    code, _, message = bayesde(*arguments, "--test", "lrt", "--reduced", reduced)
    assert code == 2
    assert words in message
    assert not (files / "out").exists()


def test_alternatives(bayesde, files):
    for kind in ("less", "lessAbs"):
        options = ("--alternative", kind, "--lfc-threshold", "1")
        plan, table = run_eb(bayesde, files, kind, *ARGUMENTS, *options)
        assert (plan["model"]["alternative"], plan["model"]["lfc_threshold"]) == (kind, 1.0)
        expected = simulated_fit(files).results(lfc_threshold=1.0, alternative=kind)
        pd.testing.assert_frame_equal(table, expected)


def test_options_of_the_fit(bayesde, files):
    switches = ("--fdr", "0.3", "--no-filtering", "--no-cooks", "--no-replace")
    plan, table = run_eb(bayesde, files, "out", *ARGUMENTS, *switches)
    chosen = {"fdr": 0.3, "independent_filtering": False, "cooks_cutoff": False, "replace_outliers": False}
    assert plan["eb"] == dataclasses.asdict(EbOptions()) | chosen
    pd.testing.assert_frame_equal(table, simulated_fit(files, **chosen).results())
    assert table["padj"].notna().sum() == table["p_value"].notna().sum()


def test_without_shrinkage_there_is_no_shrunken_table(bayesde, files):
    plan, _ = run_eb(bayesde, files, "out", *ARGUMENTS, "--shrinkage", "none")
    assert plan["model"]["shrinkage"] == "none"
    assert not (files / "out" / "shrunken").exists()


def test_a_model_from_a_file(bayesde, files):
    (files / "run.toml").write_text(
        "[model]\ndesign = '~ condition'\ncontrast = 'condition,ctl,trt'\nlfc_threshold = 0.5\n"
        "other_contrasts = ['condition,trt,ctl', [0, 1]]\n"
        "alternative = 'greater'\nreferences = {condition = 'trt'}\n[eb]\nfdr = 0.05\n"
    )
    plan, _ = run_eb(bayesde, files, "file", "--config", files / "run.toml")
    assert plan["model"]["contrast"] == ["condition", "ctl", "trt"]
    assert plan["model"]["other_contrasts"] == [["condition", "trt", "ctl"], [0, 1]]
    assert (plan["model"]["alternative"], plan["model"]["references"]) == ("greater", {"condition": "trt"})
    over = ("--config", files / "run.toml", "--fdr", "0.2", "--lfc-threshold", "0.25", *ARGUMENTS)
    plan, _ = run_eb(bayesde, files, "over", *over)
    assert (plan["eb"]["fdr"], plan["model"]["lfc_threshold"]) == (0.2, 0.25)
    assert plan["model"]["contrast"] == ["condition", "trt", "ctl"]
    assert plan["model"]["other_contrasts"] == [], "contrasts of the command line replace those of the file"
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", "-o", files / "out")
    code, _, message = bayesde(*arguments)
    assert code == 2
    assert "--design FORMULA" in message
    (files / "run.toml").write_text("[model]\ndesing = '~ condition'\n")
    code, _, message = bayesde(*arguments, "--config", files / "run.toml")
    assert code == 2
    assert "Did you mean 'design'" in message


def test_further_contrasts_have_tables_of_their_own(bayesde, files):
    arguments = ("-d", "~ condition", *("-c", "condition,trt,ctl", "-c", "0,-1", "-c", "condition[T.trt]"))
    plan, table = run_eb(bayesde, files, "out", *arguments, "--no-filtering")
    assert plan["model"]["contrast"] == ["condition", "trt", "ctl"]
    assert plan["model"]["other_contrasts"] == [[0.0, -1.0], "condition[T.trt]"]
    second, third = sorted((files / "out" / "contrasts").iterdir())
    assert third.name == "3_condition_T.trt"
    pd.testing.assert_frame_equal(read_results(third), table)
    np.testing.assert_allclose(read_results(second)["log2_fold_change"], -table["log2_fold_change"])
    run_eb(bayesde, files, "out", *arguments[:4], "--force")
    assert not (files / "out" / "contrasts").exists()
    code, _, message = bayesde(
        "eb", files / "counts.tsv", files / "samples.tsv", *arguments, "-c", "1,2,3", "-o", files / "bad"
    )
    assert code == 2
    assert "2 weights are needed" in message
    assert not (files / "bad").exists()


def test_the_garbage_collector_is_left_as_it_was(bayesde, files):
    before = gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()
    assert bayesde("status", files)[0] == 2
    assert (gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()) == before


def swapped_files(files):
    return files / "samples.tsv", files / "counts.tsv"


def transposed(files):
    rows = [line.split("\t") for line in COUNTS.splitlines()]
    (files / "t.tsv").write_text("\n".join("\t".join(column) for column in zip(*rows, strict=True)) + "\n")
    return files / "t.tsv", files / "samples.tsv"


@pytest.mark.parametrize(
    ("made", "words"),
    [(swapped_files, "and the sample table swapped?"), (transposed, "genes must be its rows and samples")],
)
def test_tables_the_wrong_way_round(bayesde, files, made, words):
    code, _, message = bayesde("eb", *made(files), *ARGUMENTS, "-o", files / "out")
    assert code == 2
    assert words in message
    assert not (files / "out").exists()


def test_a_run_says_what_it_found_on_the_screen_in_the_log_and_in_its_record(bayesde, files):
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", "-d", "~ batch + condition")
    code, _, told = bayesde(*arguments, "-c", "condition,trt,ctl", "-c", "batch,y,x", "-o", files / "out")
    assert code == 0
    record = json.loads((files / "out" / "run.json").read_text())
    log = (files / "out" / "log.txt").read_text()
    assert record["contrast"] == "condition trt vs ctl"
    assert record["fit"][0].startswith(f"{N_GENES} of {N_GENES} genes fitted")
    assert list(record["tables"]) == ["results.tsv", "contrasts/2_batch_y_vs_x/results.tsv"]
    chosen = (table := read_results(files / "out"))["padj"] < 0.1
    up, down = (int((chosen & (sign * table["log2_fold_change"] > 0)).sum()) for sign in (1, -1))
    assert chosen.any()
    sentence = f"condition trt vs ctl: {up} genes up, {down} down at adjusted p-value < 0.1"
    assert record["tables"]["results.tsv"] == sentence
    for sentence in (*record["fit"], *record["tables"].values()):
        assert told.count(sentence) == 1
        assert log.count(sentence) == 1


@pytest.mark.filterwarnings("always::bayesde.BayesdeWarning")
def test_what_is_said_before_there_is_a_folder_reaches_the_log(bayesde, files):
    ages = dict(zip("abcd", (20001, 20002, 20003, 20007), strict=True))
    lines = SAMPLES.splitlines()
    rows = [f"{line}\t{ages[line[0]]}" for line in lines[1:]]
    (files / "samples.tsv").write_text("\n".join([lines[0] + "\tage", *rows]) + "\n")
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", "-d", "~ age", "-o", files / "out")
    for force in ((), ("--force",)):
        code, _, told = bayesde(*arguments, *force)
        assert code in (0, 3)
        log = (files / "out" / "log.txt").read_text()
        assert "warning: the covariate(s) 'age'" in told
        assert log.count("warning: the covariate(s) 'age'") == 1
        assert log.count("genes fitted; dispersion trend") == 1
        timings = json.loads((files / "out" / "run.json").read_text())["timings"]
        assert set(timings) == {"reading", "eb", "results"}


MEANINGS = {
    (): {
        "log2_fold_change": "maximum-likelihood",
        "p_value": "Wald test; small values are evidence that the effect is not 0",
    },
    ("--lfc-threshold", "1", "--alternative", "lessAbs"): {"p_value": "absolute effect is smaller than 1"},
    ("--use-t", "--no-filtering"): {"p_value": "(t distribution)", "padj": "among all genes"},
    ("--test", "lrt", "--reduced", "~ 1"): {
        "stat": "'~ condition' against '~ 1'",
        "p_value": "not about the contrast",
    },
    ("--shrink",): {"log2_fold_change": "Cauchy prior", "p_value": "unshrunken effect against 0"},
    ("--shrink", "--shrinkage", "normal"): {"log2_fold_change": "normal priors", "lfc_se": "standard error"},
    ("--shrink", "--shrinkage", "ashr", "--lfc-threshold", "0.5"): {
        "log2_fold_change": "mixture of normal distributions",
        "s_value": "absolute effect below 0.5",
        "prob_gt_threshold": "exceeds 0.5",
    },
}


@pytest.mark.parametrize("options", MEANINGS)
def test_the_columns_are_described_as_they_were_made(bayesde, files, options):
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", *ARGUMENTS, *options, "-o", files / "out")
    assert bayesde(*arguments)[0] == 0
    columns = json.loads((files / "out" / "results.columns.json").read_text())["columns"]
    assert list(columns) == ["gene", *read_results(files / "out").columns]
    for name, words in MEANINGS[options].items():
        assert words in columns[name]["description"]
    if "--shrink" not in options:
        shrunken = json.loads((files / "out" / "shrunken" / "results.columns.json").read_text())["columns"]
        assert "Cauchy prior" in shrunken["log2_fold_change"]["description"]


@pytest.mark.filterwarnings("always:the design '~ 1':bayesde.BayesdeWarning")
def test_a_design_without_effects_has_no_shrunken_table(bayesde, files):
    arguments = ("eb", files / "counts.tsv", files / "samples.tsv", "-d", "~ 1", "-o", files / "out")
    assert bayesde(*arguments)[0] == 0
    assert not (files / "out" / "shrunken").exists()
