"""Plain verdicts on the checks of a run: what was checked, whether it is fine, and what was found."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesde.results import ResultsTable
from bayesde.runs.reports.gene_details import GeneDetails
from bayesde.statuses import FAILED

__all__ = ["verdicts_section"]

FEW_FAILED = 0.01
"""Share of genes that may fail a check without a doubt on the whole."""
FAIREST_RANGE = 6.0
"""Of size factors, the largest over the smallest."""
EXPECTED_INSIDE = (0.85, 0.985)
"""Share of counts within bands of 90 %: posteriors have seen the counts, so a little more is usual."""
FEWEST_POINTS = 20.0
FLAT = 1.3
"""Share of p-values above 0.9, over a fifth of those above 0.5: more is a peak at 1."""
MOST_OUTLIERS = 0.002
"""Share of outlying counts."""

Verdict = tuple[str, bool, str]


def verdicts_section(
    folder: Path, record: dict[str, Any], table: ResultsTable, details: GeneDetails | None
) -> str:
    """Tabulate the verdicts.

    Parameters
    ----------
    folder : Path
        Of the run.
    record : dict
        What ``run.json`` holds.
    table : ResultsTable
    details : GeneDetails or None

    Returns
    -------
    str
        HTML.
    """
    found = [
        _estimates(table),
        _hyperparameters(folder / "hyperparameters.json"),
        _predictions(details),
        _outliers(folder / "outlier_counts.tsv", record, table),
        _sizes(record),
        _p_values(table),
    ]
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="{"fine" if fine else "look"}">'
        f"{'fine' if fine else 'look at it'}</td><td>{escape(text)}</td></tr>"
        for name, fine, text in filter(None, found)
    )
    head = "<tr><th>check</th><th>verdict</th><th>what was found</th></tr>"
    return f'<div class="wide"><table>{head}{rows}</table></div>'


def _estimates(table: ResultsTable) -> Verdict:
    failed, known = int(table["status"].isin(FAILED).sum()), int(table["log2_fold_change"].notna().sum())
    if not failed:
        return "Estimates", True, f"Every check was passed by all {known:,} genes with an estimate."
    return (
        "Estimates",
        failed <= FEW_FAILED * max(known, 1),
        f"{failed:,} gene(s) failed a check; do not rely on them (section 'Genes by status'). The others are "
        "not affected.",
    )


def _hyperparameters(file: Path) -> Verdict | None:
    if not file.is_file():
        return None
    checks = json.loads(file.read_text(encoding="utf-8")).get("checks") or {}
    size = checks.get("effective_points")
    if size is None:
        return None
    return (
        "Hyperparameters",
        size >= FEWEST_POINTS,
        f"Their posterior is known from {size:,.0f} effective points; {FEWEST_POINTS:g} are enough.",
    )


def _predictions(details: GeneDetails | None) -> Verdict | None:
    if details is None or not np.isfinite(details.inside):
        return None
    low, high = EXPECTED_INSIDE
    advice = ""
    if details.inside < low:
        advice = " The model may lack a variable, such as a batch, or samples differ in quality."
    elif details.inside > high:
        advice = " The counts vary less than the model allows for; are all samples replicates of their own?"
    text = (
        f"{100 * details.inside:.1f} % of the counts lie within the band that should hold 90 % of predicted "
        "counts (a little more is usual, as the posterior has seen them)."
    )
    return "Predicted counts", not advice, text + advice


def _outliers(file: Path, record: dict[str, Any], results: ResultsTable) -> Verdict | None:
    if not file.is_file():
        return None
    number = len(pd.read_csv(file, sep="\t"))
    counts = int(results["log2_fold_change"].notna().sum()) * max(len(record.get("size_factors") or ()), 1)
    told = next((line for line in record.get("fit", []) if "outlying count" in line), "no outlying counts")
    few = number <= max(3.0, MOST_OUTLIERS * counts)
    return "Outlying counts", few, told[0].upper() + told[1:] + "."


def _sizes(record: dict[str, Any]) -> Verdict | None:
    factors = record.get("size_factors")
    if not factors:
        return None
    low, high = min(factors, key=factors.get), max(factors, key=factors.get)
    ratio = factors[high] / factors[low]
    return (
        "Sequencing depth",
        ratio <= FAIREST_RANGE,
        f"Size factors are between {factors[low]:.2f} ({low}) and {factors[high]:.2f} ({high}), a ratio of "
        f"{ratio:.1f}.",
    )


def _p_values(table: ResultsTable) -> Verdict | None:
    if "p_value" not in table or not {"padj"} <= set(table):
        return None
    known = table.loc[table["padj"].notna(), "p_value"]
    large = int((known > 0.5).sum())
    if large < 100:
        return None
    fine = (known > 0.9).sum() <= FLAT * large / 5.0
    return (
        "p-values",
        bool(fine),
        "Their histogram is flat towards 1, as it should be."
        if fine
        else "Too many are near 1: the design may lack a variable, or dispersions are overestimated.",
    )
