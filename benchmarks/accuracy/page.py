"""The tables of accuracy.md, inserted between its marks; the text around them is written by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from bayesde.io import write_atomically
from benchmarks.accuracy.law_page import LAWS, law_table, target_table
from benchmarks.speed.report import markdown_table

__all__ = ["MAIN", "refresh", "tables_of"]

MAIN = (
    *LAWS, "psis, median", "psis, t residuals", "apeglm", "ashr", "DESeq2 (MLE)", "limma", "edgeR",
)  # fmt: skip
"""The methods of the summary tables, in their order; the paper's own results have a table of their own."""
RANKED = tuple(name for name in MAIN if name != "psis, median")
WITH_INTERVALS = tuple(name for name in RANKED if name != "edgeR")

Cell = Callable[[pd.Series], str]


def refresh(path: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Rewrite the tables, between ``<!-- NAME -->`` and ``<!-- /NAME -->``.

    Parameters
    ----------
    path : path
        The page.
    tables : dict of str to pandas.DataFrame
        All that was measured.

    Raises
    ------
    ValueError
        If the page lacks a mark.
    """
    text = path.read_text(encoding="utf-8")
    for name, lines in tables_of(tables).items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        content = "\n".join(["", *lines, "", ""])
        place = pattern.search(text)
        if place is None:
            raise ValueError(f"{path.name} has no place for the table '{name}'")
        text = text[: place.end(1)] + content + text[place.start(2) :]
    write_atomically(path, text)


def tables_of(tables: dict[str, pd.DataFrame]) -> dict[str, list[str]]:
    """Return the lines of every table by name."""
    scores, cases = tables["scores"], tables["cases"]
    both, everyone = _stratum(scores, "both"), _stratum(scores, "all")
    measured = everyone[everyone["coverage_95_with_error"].notna()]
    return {
        "sets": _sets(cases),
        "mae": _grid(both, cases, MAIN, _mae),
        "mae-all": _grid(everyone, cases, MAIN, _mae),
        "rmse": _grid(both, cases, MAIN, _rmse),
        "coverage": _grid(everyone, cases, WITH_INTERVALS, _coverage),
        "coverage-error": _grid(measured, cases, WITH_INTERVALS, _coverage_with_error),
        "width": _grid(both, cases, WITH_INTERVALS, _width),
        "signs": _grid(everyone, cases, RANKED, _signs),
        "power": _grid(_beside_psis(everyone), cases, RANKED, _power),
        "top": _grid(both, cases, MAIN, _tops),
        "paper": _paper(scores),
        "learnt": _learnt(tables["learnt"], cases),
        "laws": law_table(tables["laws"]),
        "targets": target_table(scores, cases, tables["laws"]),
    }


def _stratum(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    return scores[scores["stratum"] == name]


def _order(cases: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(cases["problem"], cases["truth"], strict=True))


def _label(problem: str, truth: str) -> str:
    return f"`{problem}`" if truth == "simulated" else f"`{problem}`, {truth}"


def _sets(cases: pd.DataFrame) -> list[str]:
    """List the sets."""
    rows = [
        [
            _label(row["problem"], row["truth"]), row["title"], f"{row['genes']:,}", f"{row['in_both']:,}",
            str(row["left_out"]), str(row["distrusted"]),
            "" if row["truth"] == "simulated" else f"{row['offset']:+.3f}",
        ]
        for row in cases.to_dict("records")
    ]  # fmt: skip
    head = (
        "set",
        "counts and truth",
        "genes judged",
        "seen in both groups",
        "left out",
        "distrusted",
        "offset, log2",
    )
    return markdown_table(head, rows)


def _grid(part: pd.DataFrame, cases: pd.DataFrame, methods: tuple[str, ...], cell: Cell) -> list[str]:
    """Return a table with one row per set and one column per method."""
    used = [name for name in methods if (part["method"] == name).any()]
    found = {(row["problem"], row["truth"], row["method"]): row for _, row in part.iterrows()}
    rows = []
    for problem, truth in _order(cases):
        values = [found.get((problem, truth, name)) for name in used]
        cells = ["" if value is None else cell(value) for value in values]
        if any(cells):
            rows.append([_label(problem, truth), *cells])
    return markdown_table(["set", *used], rows) if rows else []


def _mae(row: pd.Series) -> str:
    """Mean absolute error, and whether the difference to psis is beyond two standard errors."""
    above, error = row["mae_above_psis"], row["mae_above_psis_se"]
    sign = "" if not error > 0.0 or abs(above) <= 2.0 * error else " ▲" if above > 0.0 else " ▼"
    return f"{row['mae']:.4f}{sign}" if row["mae"] < 1.0 else f"{row['mae']:.3f}{sign}"


def _rmse(row: pd.Series) -> str:
    return f"{row['rmse']:.3f}"


def _width(row: pd.Series) -> str:
    """Width that covers 95 %, and in parentheses that of the method's own 95 % intervals."""
    return f"{row['width_covering_95']:.2f} ({row['width_95']:.2f})"


def _coverage(row: pd.Series, suffix: str = "") -> str:
    shares = [row[f"coverage_{level}{suffix}"] for level in (50, 80, 95)]
    return "" if np.isnan(shares).any() else " / ".join(f"{100.0 * share:.1f}" for share in shares)


def _coverage_with_error(row: pd.Series) -> str:
    return _coverage(row, "_with_error")


def _signs(row: pd.Series) -> str:
    """Return false signs in per cent at three s-values, and how many genes were called at the second."""
    if np.isnan(row["called_at_0.05"]):
        return ""
    parts = []
    for threshold in ("0.01", "0.05", "0.1"):
        rate = row[f"false_signs_at_{threshold}"]
        parts.append("–" if np.isnan(rate) else f"{100.0 * rate:.1f}")
    return " / ".join(parts) + f" ({row['called_at_0.05']:,.0f})"


def _beside_psis(everyone: pd.DataFrame) -> pd.DataFrame:
    """Add how many more genes each method calls than psis does."""
    table = everyone.copy()
    keys = pd.MultiIndex.from_frame(table[["problem", "truth"]])
    psis = table[table["method"] == "psis"].set_index(["problem", "truth"])
    for rate in ("0.01", "0.05"):
        name = f"power_at_{rate}"
        table[f"{name}_above"] = table[name] - psis[name].reindex(keys).to_numpy()
    return table


def _power(row: pd.Series) -> str:
    """Genes called at both rates, and whether more or fewer than by psis beyond two standard errors."""
    parts = []
    for name in ("power_at_0.01", "power_at_0.05"):
        if np.isnan(row[name]):
            return ""
        above, error = row.get(f"{name}_above", 0.0), row[f"{name}_se"]
        sign = "" if not error > 0.0 or abs(above) <= 2.0 * error else " ▲" if above > 0.0 else " ▼"
        parts.append(f"{row[name]:,.0f}{sign}")
    return " / ".join(parts)


def _tops(row: pd.Series) -> str:
    values = [row["top_100"], row["top_500"]]
    if np.isnan(values).all():
        return ""
    return " / ".join("–" if np.isnan(value) else f"{100.0 * value:.0f}" for value in values)


def _paper(scores: pd.DataFrame) -> list[str]:
    """Return the table of the apeglm paper's simulation, its published results and those of this run."""
    part = scores[(scores["problem"] == "paper") & (scores["stratum"] == "all")]
    rows = [
        [
            row["method"], f"{row['mae']:.4f}",
            f"{row['mae_above_psis']:+.4f} ± {row['mae_above_psis_se']:.4f}",
            f"{row['rmse']:.4f}", _signs(row), _power(row), _tops(row),
        ]
        for _, row in part.sort_values("mae").iterrows()
    ]  # fmt: skip
    head = (
        "method", "MAE", "MAE above psis", "RMSE", "false signs at s = 0.01 / 0.05 / 0.1, % (called at 0.05)",
        "genes at a false sign rate of 1 % / 5 %", "top 100 / 500, %",
    )  # fmt: skip
    return markdown_table(head, rows)


def _learnt(learnt: pd.DataFrame, cases: pd.DataFrame) -> list[str]:
    """Return the hyperparameters and their true values."""
    names = {"asymptotic_dispersion": "a0", "extra_poisson": "a1", "dispersion_sd": "sigma", "nu": "nu"}
    rows = []
    known = cases.loc[cases["truth"] == "simulated", "problem"].drop_duplicates()
    for (problem, method), part in learnt.groupby(["problem", "method"], sort=False):
        if problem not in set(known) or part["true"].isna().all():
            continue
        cells = {}
        for row in part.to_dict("records"):
            name = names.get(row["hyperparameter"], "S")
            true = "" if np.isnan(row["true"]) else f" ({row['true']:g})"
            cells[name] = f"{row['mean']:.3g} ± {row['sd']:.2g}{true}"
        label = f"`{problem}`" + ("" if method == "psis" else f", {method}")
        rows.append([label, *(cells.get(name, "") for name in ("S", "sigma", "a0", "a1", "nu"))])
    return markdown_table(("set", "S", "sigma", "a0", "a1", "nu"), rows)
