"""The part of the report that can be explored: its numbers, its size, and what it does in a browser."""

import base64
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from bayesde import read_results
from bayesde.results import build_results
from bayesde.runs import ModelPlan, RunFiles, RunPlan, SamplePlan, run, write_report
from bayesde.runs.reports.experiment import RunExperiment, read_experiment
from bayesde.runs.reports.explorer import embedded_json, explorer_section, ranked
from bayesde.runs.reports.gene_details import GeneDetails, gene_details
from bayesde.simulation import simulate

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = os.environ.get("BAYESDE_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
"""A Chromium whose arguments this test knows; a wrapper script will do."""
GENES = 120
TRY_IT = """
<script>
const found = {ready: document.getElementById("explorer").dataset.ready};
const text = (name) => document.getElementById(name).textContent;
const rows = () => [...document.querySelectorAll("#gene-table tbody tr")];
found.first = text("gene-title");
found.rows = rows().length;
rows()[2].click();
found.clicked = [rows()[2].dataset.gene, text("gene-title")];
found.dots = document.querySelectorAll("#gene-counts circle").length;
found.bands = document.querySelectorAll("#gene-counts rect").length;
found.effect = document.querySelectorAll("#gene-effect path[opacity]").length;
const search = document.getElementById("search");
search.value = "GENE7";
search.dispatchEvent(new Event("input"));
found.searched = rows().map((row) => row.dataset.gene);
search.value = "";
search.dispatchEvent(new Event("input"));
document.querySelector("[data-column=base_mean] button").click();
found.smallest = rows()[0].dataset.gene;
document.querySelector("[data-column=base_mean] button").click();
found.largest = rows()[0].dataset.gene;
document.getElementById("next").click();
found.page = text("page");
const canvas = document.getElementById("volcano"), box = canvas.getBoundingClientRect();
const before = text("gene-title");
for (let x = 60; x < box.width - 20 && text("gene-title") === before; x += 12)
  for (let y = 20; y < box.height - 50 && text("gene-title") === before; y += 12)
    canvas.dispatchEvent(new MouseEvent("click", {clientX: box.left + x, clientY: box.top + y}));
found.fromPlot = text("gene-title") !== before;
found.wide = document.documentElement.scrollWidth - window.innerWidth;
const out = document.createElement("pre");
out.id = "found";
out.textContent = JSON.stringify(found);
document.body.appendChild(out);
</script>
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with one planted outlier."""
    files = tmp_path_factory.mktemp("explored")
    counts = simulate(GENES, groups=(3, 3), seed=5).counts.to_frame()
    expressed = counts.mean(axis=1) > 50
    counts.iloc[int(np.flatnonzero(expressed)[0]), 1] = 60 * int(counts.to_numpy().max())
    table = pd.DataFrame({"condition": ["control"] * 3 + ["treated"] * 3}, index=counts.columns)
    counts.to_csv(files / "counts.tsv", sep="\t")
    table.to_csv(files / "samples.tsv", sep="\t", index_label="sample")
    plan = RunPlan(
        command="sample",
        files=RunFiles(counts=str(files / "counts.tsv"), samples=str(files / "samples.tsv")),
        model=ModelPlan(design="~ condition"),
        sample=SamplePlan(draws=400, outliers="leave-out"),
    )
    run(plan, files / "out")
    return write_report(files / "out").parent


@pytest.fixture(scope="module")
def numbers(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="explorer-data">(.*?)</script>', page, re.DOTALL).group(1))


def unpacked(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def test_the_numbers_of_the_page_are_those_of_the_run(folder, numbers):
    table, record = read_results(folder), json.loads((folder / "run.json").read_text())
    order = ranked(table)
    assert numbers["genes"] == list(table.index[order])
    for name, text in numbers["columns"].items():
        np.testing.assert_allclose(unpacked(text, "<f4"), table[name].iloc[order], rtol=1e-6)
    assert set(numbers["logs"]) == {"lfsr", "s_value"}
    for name, text in numbers["logs"].items():
        values = 10.0 ** unpacked(text, "<f4").astype(float)
        np.testing.assert_allclose(values, table[name].iloc[order], rtol=1e-3)
    detail, experiment = numbers["detail"], read_experiment(record, folder)
    assert detail["groups"] == ["control", "treated"]
    assert detail["group"] == [0, 0, 0, 1, 1, 1]
    gene = unpacked(detail["gene"], "<i4")
    counts = 2.0 ** (unpacked(detail["counts"], "<u2").reshape(-1, 6) / 2000.0) - 1.0
    factors = np.array([record["size_factors"][name] for name in detail["samples"]])
    rows = [experiment.inputs.counts.genes.get_loc(numbers["genes"][one]) for one in gene]
    np.testing.assert_allclose(counts, experiment.inputs.counts.rows(rows) / factors, rtol=1e-3, atol=1e-3)


def test_bands_and_quantiles_are_those_of_the_posterior(folder, numbers):
    detail, table = numbers["detail"], read_results(folder)
    gene = np.array(numbers["genes"])[unpacked(detail["gene"], "<i4")]
    quantiles = unpacked(detail["quantiles"], "<i2").reshape(gene.size, -1) / 1000.0
    middle = quantiles[:, detail["probabilities"].index(0.5)]
    own = table.loc[gene]
    assert (np.abs(middle - own["log2_fold_change"]) < 0.5 * own["lfc_se"] + 0.01).mean() > 0.95
    assert (np.diff(quantiles, axis=1) >= 0.0).all()
    band = 2.0 ** (unpacked(detail["band"], "<u2").reshape(-1, 2, 3) / 2000.0) - 1.0
    counts = 2.0 ** (unpacked(detail["counts"], "<u2").reshape(-1, 6) / 2000.0) - 1.0
    each = band[:, detail["group"]]
    inside = (counts >= each[..., 0] - 1e-6) & (counts <= each[..., 2] + 1e-6)
    assert 0.85 < inside.mean() < 1.0


def test_sections_of_outliers_and_verdicts(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    outliers = pd.read_csv(folder / "outlier_counts.tsv", sep="\t")
    assert list(outliers) == ["gene", "sample", "count", "expected", "tail_probability", "left_out"]
    assert (outliers["left_out"] == "yes").all()
    table = read_results(folder)
    left_out = table.index[table["status"] == "outlier_left_out"]
    assert set(left_out) == set(outliers["gene"])
    assert outliers["tail_probability"].is_monotonic_increasing
    section = page[page.index("<h2>Outlying counts") :]
    assert f"<td>{outliers['gene'][0]}</td>" in section
    record = json.loads((folder / "run.json").read_text())
    assert any("outlying count" in line and "left out" in line for line in record["fit"])
    assert record["timings"]["outliers"] > 0.0
    assert page.index("Can this be relied on?") < page.index("<h2>Genes</h2>") < page.index("<h2>Options")
    assert "within the band that should hold 90 %" in page


def test_without_its_input_files_the_report_says_so(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "moved")
    record = json.loads((tmp_path / "moved" / "run.json").read_text())
    record["inputs"]["counts"]["sha256"] = "0" * 64
    (tmp_path / "moved" / "run.json").write_text(json.dumps(record))
    page = write_report(tmp_path / "moved").read_text(encoding="utf-8")
    assert "The input files could not be read again: changed since the run was started" in page
    assert "Counts of genes are not shown." in page
    assert '"detail"' not in page


def test_a_run_that_was_moved_with_its_input_files_has_all_of_its_report(folder, numbers, tmp_path):
    shutil.copytree(folder.parent, tmp_path / "moved")
    out = tmp_path / "moved" / folder.name
    record = json.loads((out / "run.json").read_text())
    for name in ("counts", "samples"):
        record["plan"]["files"][name] = str(tmp_path / "gone" / f"{name}.tsv")
    (out / "run.json").write_text(json.dumps(record))
    page = write_report(out).read_text(encoding="utf-8")
    assert "could not be read again" not in page
    assert numbers["detail"]["counts"] in page


def test_text_in_json_cannot_end_its_element():
    text = embedded_json({"genes": ["</script><script>alert(1)</script>", "a & b"]})
    assert not set("<>&") & set(text)
    assert json.loads(text)["genes"][0].startswith("</script>")


def test_the_smallest_p_values_are_told_apart():
    values = [1e-310, 0.0, 1e-60, 0.5, np.nan]
    columns = {
        "log2_fold_change": np.ones(5),
        "p_value": values,
        "padj": values,
        "status": [*["ok"] * 4, "count_outlier"],
    }
    page = explorer_section(build_results(list("abcde"), columns), None, None, ("padj", 0.1), "")
    found = json.loads(re.search(r'id="explorer-data">(.*?)</script>', page).group(1))
    assert found["genes"] == ["b", "a", "c", "d", "e"]
    logs = unpacked(found["logs"]["p_value"], "<f4")
    np.testing.assert_allclose(logs, [-400.0, -310.0, -60.0, np.log10(0.5), np.nan], rtol=1e-5)


def test_sixty_thousand_genes_stay_below_10_mb():
    n, samples, rng = 60_000, 8, np.random.default_rng(1)
    columns = {name: rng.random(n) for name in ("base_mean", "log2_fold_change", "lfc_se", "lfsr", "s_value")}
    columns |= {"lfc_lower": rng.random(n), "lfc_upper": rng.random(n), "status": ["ok"] * n}
    table = build_results([f"ENSG{i:011d}.12" for i in range(n)], columns)

    class Inputs:
        class counts:
            samples = [f"sample_{j}" for j in range(8)]

    experiment = RunExperiment(Inputs, "condition", ("a", "b"), np.repeat([0, 1], samples // 2))
    details = GeneDetails(
        np.arange(n, dtype=np.int32),
        rng.integers(0, 40_000, (n, samples)).astype(np.uint16),
        rng.integers(0, 40_000, (n, 2, 3)).astype(np.uint16),
        rng.integers(-3000, 3000, (n, 11)).astype(np.int16),
        0.9,
        {},
    )
    page = explorer_section(table, details, experiment, ("s_value", 0.005), "")
    assert len(page.encode()) < 9_500_000  # pictures take the rest


def test_genes_beyond_the_room_are_those_that_rank_last(folder, monkeypatch):
    monkeypatch.setattr("bayesde.runs.reports.gene_details.MOST_VALUES", 230)
    table, record = read_results(folder), json.loads((folder / "run.json").read_text())
    details = gene_details(read_experiment(record, folder), table, ranked(table), folder / "posterior.zarr")
    assert details.rows.size == 10
    assert set(details.rows) == set(ranked(table)[:10])


def in_browser(page, *arguments):
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"]
    profile = f"--user-data-dir={page.parent / 'profile'}"
    ran = subprocess.run(
        [*command, profile, *arguments, page.as_uri()], capture_output=True, text=True, check=True
    )
    return ran.stdout


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [1000, 500])
def test_plots_table_and_gene_are_linked_in_a_browser(folder, tmp_path, numbers, width):
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = tmp_path / "page.html"
    page.write_text(text.replace("</body>", TRY_IT + "</body>"), encoding="utf-8")
    dom = in_browser(page, f"--window-size={width},900", "--dump-dom")
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL).group(1))
    table = read_results(folder)
    assert found["ready"] == "yes"
    assert found["first"] == numbers["genes"][0]
    assert found["rows"] == 25
    assert found["clicked"] == [numbers["genes"][2]] * 2
    assert (found["dots"], found["bands"]) == (6, 2)
    assert found["effect"] == 1
    expected = [gene for gene in numbers["genes"] if "gene7" in gene]
    assert found["searched"] == expected[:25]
    assert found["smallest"] == table["base_mean"][numbers["genes"]].idxmin()
    assert found["largest"] == table["base_mean"][numbers["genes"]].idxmax()
    assert found["page"].startswith("page 2 of ")
    assert found["fromPlot"]
    assert found["wide"] <= 0, "the page is not wider than the window"
    picture = tmp_path / "page.png"
    in_browser(page, f"--window-size={width},900", f"--screenshot={picture}")
    assert picture.stat().st_size > 20_000
