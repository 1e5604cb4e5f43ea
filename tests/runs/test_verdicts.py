"""Verdicts of a report on runs that are fine, and on runs that are not."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from bayesde.results import build_results
from bayesde.runs.reports.gene_details import GeneDetails
from bayesde.runs.reports.verdicts import verdicts_section

FACTORS = {"s1": 0.5, "s2": 1.0, "s3": 2.0}


def table(p_values=None, failed=0):
    n = 1000
    columns = {
        "log2_fold_change": np.zeros(n),
        "status": ["not_converged"] * failed + ["ok"] * (n - failed),
    }
    if p_values is not None:
        columns |= {"p_value": p_values, "padj": np.ones(n)}
    return build_results([f"g{i}" for i in range(n)], columns)


def details(inside):
    nothing = np.zeros((0, 3))
    return GeneDetails(np.zeros(0, dtype=np.int32), nothing, nothing, nothing, inside, {})


def verdicts(folder, record=None, results=None, shown=None):
    page = verdicts_section(folder, record or {}, table() if results is None else results, shown)
    rows = re.findall(r"<tr><td>(.*?)</td><td class=\"(fine|look)\">.*?</td><td>(.*?)</td></tr>", page)
    return {name: (verdict, text) for name, verdict, text in rows}


def test_estimates(tmp_path):
    assert verdicts(tmp_path)["Estimates"][0] == "fine"
    few, many = (verdicts(tmp_path, results=table(failed=n))["Estimates"] for n in (5, 50))
    assert (few[0], many[0]) == ("fine", "look")
    assert many[1].startswith("50 gene(s) failed a check")


@pytest.mark.parametrize(
    ("inside", "verdict", "advice"),
    [(0.93, "fine", ""), (0.6, "look", "lack a variable"), (0.999, "look", "vary less")],
)
def test_predictions(tmp_path, inside, verdict, advice):
    found = verdicts(tmp_path, shown=details(inside))["Predicted counts"]
    assert found[0] == verdict
    assert advice in found[1]
    assert f"{100 * inside:.1f} %" in found[1]


def test_sequencing_depth(tmp_path):
    fine = verdicts(tmp_path, {"size_factors": FACTORS})["Sequencing depth"]
    assert fine[0] == "fine"
    assert "between 0.50 (s1) and 2.00 (s3), a ratio of 4.0" in fine[1]
    uneven = verdicts(tmp_path, {"size_factors": FACTORS | {"s4": 9.0}})["Sequencing depth"]
    assert uneven[0] == "look"


def test_p_values(tmp_path):
    even = np.linspace(0.0, 1.0, 1000)
    assert verdicts(tmp_path, results=table(even))["p-values"][0] == "fine"
    peak = np.where(even > 0.6, 0.95 + 0.05 * even, even)
    assert verdicts(tmp_path, results=table(peak))["p-values"][0] == "look"
    assert "p-values" not in verdicts(tmp_path)


@pytest.mark.parametrize(("number", "verdict"), [(0, "fine"), (2, "fine"), (60, "look")])
def test_outlying_counts(tmp_path, number, verdict):
    frame = pd.DataFrame({"gene": [f"g{i}" for i in range(number)], "sample": "s1"})
    frame.to_csv(tmp_path / "outlier_counts.tsv", sep="\t", index=False)
    record = {
        "size_factors": FACTORS,
        "fit": [f"{number} outlying counts in {number} gene(s), which were kept"],
    }
    found = verdicts(tmp_path, record)["Outlying counts"]
    assert found[0] == verdict
    assert found[1].startswith(f"{number} outlying counts")


def test_hyperparameters(tmp_path):
    for size, verdict in ((40.0, "fine"), (5.0, "look")):
        (tmp_path / "hyperparameters.json").write_text(json.dumps({"checks": {"effective_points": size}}))
        assert verdicts(tmp_path)["Hyperparameters"][0] == verdict
