"""The commands with random effects in the design: what a run leaves, and what is refused before it starts."""

import json
import re

import pandas as pd
import pytest
import xarray as xr

import bayesde as bde
from bayesde.results import read_results
from benchmarks.donors.experiments import Experiment, simulated

FORMULA = "~ condition + (1 | donor)"
SLOPES = "~ condition + (1 + condition | donor)"


@pytest.fixture
def files(tmp_path):
    counts, _ = simulated(Experiment(6, 2, between=True, genes=80), 3)
    counts.to_frame().to_csv(tmp_path / "counts.tsv", sep="\t")
    counts.sample_table.to_csv(tmp_path / "samples.tsv", sep="\t", index_label="sample")
    return tmp_path


def run(bayesde, files, command, *options, formula=FORMULA):
    return bayesde(command, files / "counts.tsv", files / "samples.tsv", "-d", formula, *options)


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeWarning")
def test_a_run(bayesde, files):
    out = files / "out"
    code, _, told = run(bayesde, files, "sample", "--draws", "300", "--no-hand-over", "-o", out)
    assert code in (0, 3), told
    table = read_results(out)
    assert table.loc[table["status"] == "ok", ["donor_sd", "donor_variance_share"]].notna().all(axis=None)
    assert (
        "'donor'"
        in json.loads((out / "results.columns.json").read_text())["columns"]["donor_sd"]["description"]
    )
    learnt = json.loads((out / "hyperparameters.json").read_text())
    assert set(learnt["random_effect_sd"]) == set(learnt["random_effect_sd_spread"]) == {"donor"}
    assert xr.open_zarr(out / "posterior.zarr")["random_effect_sd"].sizes["random_effect"] == 1
    assert (out / "plots" / "random_effect_sd.png").is_file()
    assert not (out / "tables" / "eb").exists()
    assert bayesde("report", out)[0] == 0
    page = (out / "report.html").read_text()
    assert "random_effect_sd[donor]" in page
    assert "Standard deviations of the random effects" in page
    predictions = page[page.index("Predicted counts</td>") :]
    share = float(re.search(r"([0-9.]+) % of the counts lie within the band", predictions).group(1))
    assert 91.0 < share < 99.5  # 96 %; without the random effects it would be 85 %
    assert bayesde("resume", out)[0] in (0, 3)
    opened = bde.open_run(out)
    assert opened.design.groupings[0].name == "donor"
    pd.testing.assert_frame_equal(opened.results(), table)
    assert opened.posterior.random_effects(["g5"]).sizes["level"] == 6


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeWarning")
def test_point_estimates(bayesde, files):
    out = files / "out"
    code, _, told = run(bayesde, files, "eb", "-c", "condition,b,a", "-o", out)
    assert code == 0, told
    table = read_results(out)
    known = table["log2_fold_change"].notna().sum()
    assert f"condition b vs a: effects of {known} genes, without p-values" in " ".join(told.split())
    assert {"log2_fold_change", "lfc_se", "donor_sd"} < set(table)
    assert not {"stat", "p_value", "padj", "lfsr", "s_value"} & set(table)
    meant = json.loads((out / "results.columns.json").read_text())["columns"]
    assert "mode of the gene's marginal posterior" in meant["donor_sd"]["description"]
    assert (
        "Cauchy prior"
        in json.loads((out / "shrunken" / "results.columns.json").read_text())["columns"]["log2_fold_change"][
            "description"
        ]
    )
    assert {file.name for file in (out / "plots").iterdir()} == {"ma.png", "random_effect_sd.png"}
    learnt = bde.Hyperparameters.from_json(out / "hyperparameters.json")
    assert set(learnt.random_effect_sd) == {"donor"}
    assert "without p-values" in (out / "log.txt").read_text()
    assert bayesde("report", out)[0] == 0
    page = (out / "report.html").read_text()
    assert "There are no p-values" in page
    assert "explorer-data" not in page
    assert bayesde("contrast", out, "-c", "condition,a,b")[0] == 0
    opened = bde.open_run(out)
    pd.testing.assert_frame_equal(opened.results(), table)
    pd.testing.assert_frame_equal(
        opened.results(("condition", "a", "b"))[["log2_fold_change"]], -table[["log2_fold_change"]]
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--test", "lrt", "--reduced", "~ 1"), "a likelihood-ratio test (--test lrt) has no meaning"),
        (("--lfc-threshold", "1"), "a threshold or an alternative (--lfc-threshold, --alternative)"),
        (("--shrinkage", "ashr"), "Cauchy priors whose scales are learnt"),
        (("--weights", "counts.tsv"), "cannot have observation weights"),
    ],
)
@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeWarning")
def test_what_is_refused(bayesde, files, options, words):
    options = [files / option if option.endswith(".tsv") else option for option in options]
    code, _, told = run(bayesde, files, "eb", *options, "-o", files / "out")
    assert code == 2
    assert words in " ".join(told.split())
    assert not (files / "out").exists()
