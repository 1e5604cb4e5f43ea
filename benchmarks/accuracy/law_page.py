"""The tables of accuracy.md on the laws of the effects, and whether they reach their targets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from benchmarks.speed.report import markdown_table

__all__ = ["LAWS", "law_table", "target_table"]

LAWS = ("psis", "psis, student_t", "psis, spike_t", "psis, mixture")
"""psis under every law of the effects, Cauchy's first."""
WITH_ATOM = "psis, spike_t"
SHRUNKEN = ("apeglm", "ashr")
MOST_ERROR, MOST_ERROR_SPARSE = 1.005, 1.02
"""Of the error under the law of largest marginal likelihood, over the smaller one of apeglm and ashr."""
SPARSE = ("sparse", "pairs")
MOST_FALSE, MOST_UNRELIABLE = 0.06, 0.001
COVERED = {50: (0.48, 0.52), 95: (0.935, 0.965)}


def law_table(laws: pd.DataFrame) -> list[str]:
    """Return the table of what was learnt of the laws.

    Parameters
    ----------
    laws : pandas.DataFrame
        As `judge.laws` returns it.

    Returns
    -------
    list of str
        Lines.
    """
    rows = [
        [
            f"`{row['problem']}`", _name(row["method"]), f"{row['difference']:.1f}",
            f"{row['parameters']:.0f}", f"{row['scale']:.3f}", _shown(row["nu"], "{:.2g}"),
            _shown(row["pi0"], "{:.3f}"), f"{row['unreliable']:.0f}", f"{row['effective']:.0f}",
            f"{row['cpu_ratio']:.2f}",
        ]
        for row in laws.to_dict("records")
    ]  # fmt: skip
    head = (
        "set", "law", "log likelihood from the best", "parameters", "S", "nu", "pi0", "genes with k > 0.7",
        "effective draws", "CPU over Cauchy's",
    )  # fmt: skip
    return markdown_table(head, rows)


def target_table(scores: pd.DataFrame, cases: pd.DataFrame, laws: pd.DataFrame) -> list[str]:
    """Return the table of targets by set; what is not reached is in bold.

    Parameters
    ----------
    scores, cases, laws : pandas.DataFrame

    Returns
    -------
    list of str
        Lines.
    """
    rows = []
    for problem, truth in zip(cases["problem"], cases["truth"], strict=True):
        own = scores[(scores["problem"] == problem) & (scores["truth"] == truth)]
        by = {name: own[own["stratum"] == name].set_index("method") for name in ("both", "all")}
        learnt = laws[laws["problem"] == problem].set_index("method")
        label = f"`{problem}`" if truth == "simulated" else f"`{problem}`, {truth}"
        if WITH_ATOM in by["all"].index and len(learnt):
            best = str(learnt["difference"].idxmax())
            most = MOST_ERROR_SPARSE if problem in SPARSE else MOST_ERROR
            numbers = _judged(by["all"].loc[WITH_ATOM], learnt.loc[WITH_ATOM])
            errors = [_ratio(by["both"], best, most), _ratio(by["all"], best, 1.0)]
            errors += [_ratio(by["both"], f"{best}, median", most), _ratio(by["all"], f"{best}, median", 1.0)]
            rows.append([label, _name(best), *errors, *numbers])
    head = (
        "set", "best law", "error of its means, seen in both", "all", "error of its medians, seen in both",
        "all", "false signs at s < 0.05, %", "covered by 50 %", "by 95 %",
        "zeros split: 50 %", "95 %", "k > 0.7, per 1,000",
    )  # fmt: skip
    return markdown_table(head, rows) if rows else []


def _ratio(part: pd.DataFrame, best: str, most: float) -> str:
    """Return the error of the best law over the smaller one of apeglm and ashr."""
    ratio = part["mae"][best] / part["mae"].reindex(SHRUNKEN).min()
    return _marked(f"{ratio:.3f}", reached=bool(ratio <= most))


def _judged(row: pd.Series, learnt: Mapping[str, float]) -> list[str]:
    """Return false signs, coverage and unreliable genes under the law with a point mass."""
    false, many = row["false_signs_at_0.05"], learnt["unreliable"] / learnt["sampled"]
    cells = [_marked(_shown(100.0 * false, "{:.1f}"), reached=not false > MOST_FALSE)]
    for suffix in ("", "_split"):
        for level, (low, high) in COVERED.items():
            value = row[f"coverage_{level}{suffix}"]
            reached = bool(np.isnan(value) or low <= value <= high)
            cells.append(_marked(_shown(100.0 * value, "{:.1f}"), reached=reached))
    return [*cells, _marked(f"{1000.0 * many:.1f}", reached=many <= MOST_UNRELIABLE)]


def _marked(text: str, *, reached: bool) -> str:
    return text if reached else f"**{text}**"


def _shown(value: float, form: str) -> str:
    return "" if np.isnan(value) else form.format(value)


def _name(method: str) -> str:
    return method.partition(", ")[2] or "cauchy"
