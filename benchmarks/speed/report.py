"""Measurements as a tidy table, and as a page with ratios to bayesde."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import psutil  # type: ignore[import-untyped]

from bayesde.io import write_atomically
from benchmarks.speed.measure import CommandRun, Session
from benchmarks.speed.sets import SetFolder
from benchmarks.speed.tools import Tool

COLUMNS = (
    "set title tool version cores task seconds fastest slowest repeats ratio first_seconds start_up_seconds "
    "cpu_seconds baseline_mb peak_mb genes lfc_correlation shrunken_correlation agrees note"
).split()
"""Columns of speed.tsv; README.md explains them."""

LEAST_MEAN = 10.0
LARGEST_EFFECT = 10.0
LEAST_CORRELATION = {True: 0.999, False: 0.8}
"""Of log2 fold changes with bayesde's, for tools with the same model and for others."""

LEAST_SHRUNKEN = 0.99
"""The same of shrunken ones; apeglm's implementations stop at slightly different modes."""

LEAST_MEAN_AND_MODE = 0.95
"""Of posterior means with apeglm's modes: where a posterior has two modes, they are not the same."""

COUNTED = {"untrusted": "{} genes with a status that says no", "by_nuts": "{} genes by nuts"}
"""Columns of an answer that are told as a number of genes."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Agreement:
    """How a tool's answer compares with bayesde's: genes with an estimate, and correlations."""

    genes: int
    effect: float
    shrunken: float
    note: str = ""

    def holds(self, tool: Tool) -> bool:
        """Return whether the tool's results agree."""
        if tool.shrinks:
            return self.shrunken >= LEAST_MEAN_AND_MODE
        return self.effect >= LEAST_CORRELATION[tool.same_model] and not self.shrunken < LEAST_SHRUNKEN


def agreement(answer: pd.DataFrame, ours: pd.DataFrame) -> Agreement:
    """Compare log2 fold changes of genes with base means of 10 or more, bounded by 10 either way.

    A fold change of a gene without counts in one group is infinite; where each tool stops on the way there
    means nothing, hence the bounds.
    """
    known = ours["base_mean"] >= LEAST_MEAN

    def correlation(column: str) -> float:
        if column not in answer:
            return float("nan")
        pair = pd.DataFrame({"theirs": answer[column], "ours": ours[column]})[known].dropna()
        theirs, mine = pair.clip(-LARGEST_EFFECT, LARGEST_EFFECT).to_numpy().T
        return float(np.corrcoef(theirs, mine)[0, 1])

    return Agreement(
        int(answer["log2_fold_change"].notna().sum()),
        correlation("log2_fold_change"),
        correlation("shrunken"),
        "; ".join(text.format(answer[column].sum()) for column, text in COUNTED.items() if column in answer),
    )


def session_rows(folder: SetFolder, tool: Tool, session: Session, agreed: Agreement) -> list[Row]:
    """Return a row for each step of a tool, for fit + results ("test"), and with shrinkage ("whole")."""
    common = _identity(folder, tool.title) | {
        "version": session.ready["version"],
        "cores": tool.cores,
        "repeats": len(session.warm),
        "start_up_seconds": session.start_up,
        "cpu_seconds": median(call.cpu for call in session.representative),
        "baseline_mb": session.baseline_mb,
        "peak_mb": session.peak_mb,
        "genes": agreed.genes,
        "lfc_correlation": agreed.effect,
        "shrunken_correlation": agreed.shrunken,
        "agrees": "yes" if agreed.holds(tool) else "NO",
        "note": _notes(session, agreed.note),
    }
    steps = list(session.first.steps)
    tasks = {step: [step] for step in steps}
    if not tool.shrinks:
        tasks["test"] = ["fit", "results"]
    if "shrink" in steps or tool.shrinks:
        tasks["whole"] = steps
    return [common | {"task": task} | _seconds(session, parts) for task, parts in tasks.items()]


def _notes(session: Session, counted: str) -> str:
    alone = "" if session.warm else "first call only"
    return "; ".join(note for note in (session.ready.get("note", ""), counted, alone) if note)


def _seconds(session: Session, steps: Sequence[str]) -> Row:
    """Return the seconds of some steps together."""
    seconds = [sum(call.steps[step] for step in steps) for call in session.representative]
    return {
        "seconds": median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "first_seconds": sum(session.first.steps[step] for step in steps),
    }


def command_row(folder: SetFolder, title: str, task: str, runs: Sequence[CommandRun]) -> Row:
    """Return the row of a command."""
    seconds = [run.seconds for run in runs]
    return _identity(folder, title) | {
        "version": version("bayesde"),
        "cores": "all",
        "task": task,
        "repeats": len(runs),
        "seconds": median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "cpu_seconds": median(run.cpu for run in runs),
        "peak_mb": max(run.peak_mb for run in runs),
        "baseline_mb": 0.0,
    }


COMMANDS = {
    "bayesde eb (command)": ("eb",),
    "bayesde sample (command)": ("sample", "--engine", "psis"),
}
"""Titles of the commands that are timed, and what they are called with."""


def failure_row(folder: SetFolder, title: str, reason: str) -> Row:
    """Return the row of a tool that could not be measured."""
    return _identity(folder, title) | {"note": reason}


def _identity(folder: SetFolder, title: str) -> Row:
    return {"set": folder.data.name, "title": folder.data.title, "tool": title}


def tidy(rows: Sequence[Row]) -> pd.DataFrame:
    """Return all rows with the ratio to bayesde's seconds on the same set and task."""
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    ours = table[table["tool"] == "bayesde eb"].set_index(["set", "task"])["seconds"]
    keys = pd.MultiIndex.from_frame(table[["set", "task"]])
    comparable = table["agrees"].eq("yes")
    table["ratio"] = (table["seconds"] / ours.reindex(keys).to_numpy()).where(comparable)
    return table


def machine(started: float) -> dict[str, str]:
    """Describe machine and software, without the machine's name; `started` is the load at the start."""
    return {
        "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Processor": f"{processor()}, {os.cpu_count()} cores",
        "Memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "Load of the machine at the start": f"{started:.1f}",
        "Software": f"{platform.system()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("bayesde", "numpy", "scipy", "numba", "pandas")),
    }


def processor() -> str:
    """Return the model of the processor."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def write_speed(folder: Path, rows: Sequence[Row], about: Mapping[str, str], left_out: Sequence[str]) -> None:
    """Write speed.tsv and speed.md."""
    folder.mkdir(parents=True, exist_ok=True)
    table = tidy(rows)
    text = table.round(4).to_csv(sep="\t", index=False, lineterminator="\n")
    write_atomically(folder / "speed.tsv", text)
    write_atomically(folder / "speed.md", page(table, about, left_out))


def heading(title: str, about: Mapping[str, str]) -> list[str]:
    """Return title and circumstances as Markdown lines."""
    return [f"# {title}", "", *(f"* {name}: {value}" for name, value in about.items()), ""]


def page(table: pd.DataFrame, about: Mapping[str, str], left_out: Sequence[str]) -> str:
    """Return speed.md."""
    lines = heading("Speed", about)
    lines += [
        "Test: fit and results table. Whole: also the shrunken effects. Warm calls, medians; x is the time "
        "as a multiple of bayesde's. Start: imports and reading. CPU: processor time of one warm call. "
        "Memory: peak in excess of what the process had before the first call. r: correlation of log2 fold "
        "changes with bayesde's (psis: of posterior means with estimates that are not shrunken), and of "
        "shrunken ones (psis: of posterior means with apeglm's modes). README.md has the details.",
        "",
    ]
    for title, part in table.groupby("title", sort=False):
        lines += [f"## {title}", "", *_tools(part[~part["tool"].isin(COMMANDS)]), "", *_notes_of(part)]
    lines += _commands(table[table["tool"].isin(COMMANDS) & table["task"].notna()])
    lines += [f"Left out: {text}." for text in left_out]
    return "\n".join(lines).rstrip() + "\n"


def _tools(part: pd.DataFrame) -> list[str]:
    """Return the table of one set."""
    head = (
        "tool", "version", "test, s", "x", "whole, s", "x", "first call, s", "start, s", "CPU, s",
        "memory, MB", "genes", "r", "r, shrunken",
    )  # fmt: skip
    rows = [_tool_row(str(tool), of_tool, len(head)) for tool, of_tool in part.groupby("tool", sort=False)]
    return markdown_table(head, rows)


def _tool_row(title: str, part: pd.DataFrame, width: int) -> list[str]:
    """Return the cells of one tool, empty ones where it was not measured."""
    tasks = {row["task"]: {str(k): v for k, v in row.items()} for row in part.to_dict("records")}
    test, whole = tasks.get("test"), tasks.get("whole")
    row = whole or test
    if row is None:
        return [title, *[""] * (width - 1)]
    return [
        title,
        row["version"],
        *_timed(test),
        *_timed(whole),
        number(row["first_seconds"]),
        number(row["start_up_seconds"]),
        number(row["cpu_seconds"]),
        f"{row['peak_mb']:,.0f}",
        f"{row['genes']:,.0f}",
        f"{row['lfc_correlation']:.4f}" + ("" if row["agrees"] == "yes" else " (does not agree)"),
        "" if np.isnan(row["shrunken_correlation"]) else f"{row['shrunken_correlation']:.4f}",
    ]


def _timed(row: Row | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    ratio = row["ratio"]
    return number(row["seconds"]), "" if np.isnan(ratio) else f"{ratio:.3g}"


def _notes_of(part: pd.DataFrame) -> list[str]:
    """Return the notes on some tools."""
    told = part.dropna(subset="note").drop_duplicates(["tool", "note"])
    told = told[told["note"] != ""]
    lines = [f"* {row['tool']}: {row['note']}." for _, row in told.iterrows()]
    return [*lines, ""] if lines else []


def _commands(part: pd.DataFrame) -> list[str]:
    """Return the table of the command line's times."""
    if part.empty:
        return []
    head = ("command", "data", "task", "seconds", "fastest", "runs", "CPU, s", "peak memory, MB")
    rows = [
        [
            f"`bayesde {' '.join(COMMANDS[row['tool']])}`", row["title"], row["task"],
            number(row["seconds"]), number(row["fastest"]),
            f"{row['repeats']:.0f}", number(row["cpu_seconds"]), f"{row['peak_mb']:,.0f}",
        ]
        for _, row in part.iterrows()
    ]  # fmt: skip
    text = (
        "From a fresh process to its end. `bayesde eb`: reading, fit, tests, shrinkage, tables, pictures; "
        "`bayesde sample`: reading, fit, posteriors of 1,000 draws a gene, tables, draws on disk, report."
    )
    return ["## As a command", "", text, "", *markdown_table(head, rows), ""]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; a bar within a cell is no border."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


def number(seconds: float) -> str:
    """Write seconds with three figures."""
    return "" if np.isnan(seconds) else f"{seconds:.3g}" if seconds < 100 else f"{seconds:.0f}"
