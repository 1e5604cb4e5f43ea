"""The report on several analyses: what each found, how far they agree, and where their own reports are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from bayesde.io import write_atomically
from bayesde.results import ResultsTable, read_results
from bayesde.runs.analyses.directory import JobDirectory
from bayesde.runs.directory import RunDirectory
from bayesde.runs.reports.answer import NAMES, called_genes, shown_name
from bayesde.runs.reports.explorer import ranked, ranking
from bayesde.runs.reports.headline import counted_by
from bayesde.runs.reports.page import html_table, number, whole_page
from bayesde.statuses import FAILED

__all__ = ["write_analyses_report"]

TOP = 100
"""Genes of each analysis that are compared by rank."""
SHOWN = 10
"""Genes of each analysis that are shown beside what the others find."""


@dataclass(frozen=True, eq=False)
class _Analysis:
    """A finished analysis.

    Attributes
    ----------
    name : str
    folder : Path
    record : dict
        What its ``run.json`` holds.
    table : ResultsTable
    """

    name: str
    folder: Path
    record: dict[str, Any]
    table: ResultsTable

    @cached_property
    def counted(self) -> tuple[str, float] | None:
        """The column by which genes are counted, and the level, if there are p-values or s-values."""
        return counted_by(self.table, float(self.record["plan"].get("eb", {}).get("fdr", 0.1)))

    @cached_property
    def called(self) -> pd.Series:
        """The effects of the genes that count as changed."""
        return called_genes(self.table, self.counted)["log2_fold_change"]

    @cached_property
    def ranked(self) -> pd.Index:
        """The genes that can be ranked, the surest first."""
        table = self.table.iloc[ranked(self.table)]
        return table.index[table[ranking(self.table)[:1]].notna().all(axis=1)]


def write_analyses_report(path: str | Path) -> Path:
    """Write ``report.html`` on all analyses that are finished.

    Parameters
    ----------
    path : path
        The folder of the job.

    Returns
    -------
    pathlib.Path
        The file; it links to the reports of the analyses.

    Raises
    ------
    InputError
        If the folder holds no such job.
    """
    directory = JobDirectory(path)
    record = directory.read()
    found = list(_finished(directory, list(record["analyses"])))
    sections = [
        ("", _missing(record, found) + _summary(found)),
        ("What each analysis found", _headlines(found)),
        ("Agreement", _agreement(found)),
        (f"The first {SHOWN} genes of each analysis", _genes(found)),
        ("Warnings", _warnings(found)),
    ]
    body = "\n".join((f"<h2>{title}</h2>\n" if title else "") + text for title, text in sections if text)
    title = f"bayesde: {len(record['analyses'])} analyses"
    target = directory.path / "report.html"
    write_atomically(target, whole_page(title, f"started {record.get('started')}", body))
    return target


def _finished(directory: JobDirectory, names: Sequence[str]) -> Iterator[_Analysis]:
    """Read the analyses that are finished."""
    for name in names:
        folder = directory.analysis(name)
        if not (folder / "run.json").exists():
            continue
        record = RunDirectory(folder).read()
        if record.get("state") == "finished":
            yield _Analysis(name, folder, record, read_results(folder))


def _missing(record: dict[str, Any], found: Sequence[_Analysis]) -> str:
    """Name the analyses that are not there, and say why."""
    done, errors = {one.name for one in found}, record.get("errors", {})
    told = [
        (name, errors.get(name, "It is not finished.")) for name in record["analyses"] if name not in done
    ]
    return "".join(f'<p class="warning"><b>{name}</b>: {escape(text)}</p>' for name, text in told)


def _summary(found: Sequence[_Analysis]) -> str:
    """Tabulate the analyses, with links to their reports."""
    texts, numbers = ("analysis", "design", "contrast", "counted by"), ("up", "down", "failed a check")
    head = "".join(f"<th>{name}</th>" for name in texts)
    head += "".join(f'<th class="number">{name}</th>' for name in numbers)
    rows = "\n".join(f"<tr>{_summary_row(one)}</tr>" for one in found)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>'


def _summary_row(one: _Analysis) -> str:
    """Write the cells of an analysis."""
    column, level = one.counted or ("", 0.0)
    texts = (
        f'<a href="{quote(one.name)}/report.html">{escape(one.name)}</a>',
        f"<code>{escape(_design(one))}</code>",
        escape(one.record.get("contrast", "")),
        escape(f"{NAMES[column]} < {level:g}" if column else "no p-values"),
    )
    numbers = ((one.called > 0).sum(), (one.called < 0).sum(), one.table["status"].isin(FAILED).sum())
    cells = [f"<td>{text}</td>" for text in texts]
    return "".join([*cells, *(f'<td class="number">{count:,}</td>' for count in numbers)])


def _design(one: _Analysis) -> str:
    """Return the design, and what it is tested against."""
    model = one.record["plan"]["model"]
    return f"{model['design']} against {model['reduced']}" if model.get("reduced") else str(model["design"])


def _headlines(found: Sequence[_Analysis]) -> str:
    """Repeat what the tables of each analysis say, with links to them."""
    parts = []
    for one in found:
        told = "".join(
            f'<li>{escape(text)} (<a href="{quote(f"{one.name}/{place}")}">{escape(place)}</a>)</li>'
            for place, text in one.record.get("tables", {}).items()
        )
        parts.append(f"<h3>{escape(one.name)}</h3><ul>{told}</ul>")
    return "".join(parts)


def _agreement(found: Sequence[_Analysis]) -> str:
    """Compare the genes that two analyses call, and those at the top of both."""
    if len(found) < 2:
        return ""
    rows = [(one.name, other.name, *_compared(one, other)) for one, other in combinations(found, 2)]
    header = (
        *("analysis", "and", "called by both", "by the first only", "by the second only"),
        *("opposite directions", f"common among the top {TOP}", "correlation of effects"),
    )
    told = (
        "<p>Genes that count as changed, the surest genes whether they count or not, and Spearman's "
        "correlation of the log2 fold changes of all genes. Directions and effects are compared where both "
        "analyses have the same contrast.</p>"
    )
    return told + html_table(header, rows, numbers=range(2, len(header)))


def _compared(one: _Analysis, other: _Analysis) -> list[str]:
    """Return the cells of a pair of analyses."""
    both = one.called.index.intersection(other.called.index)
    top = min(TOP, len(one.ranked), len(other.ranked))
    common = one.ranked[:top].intersection(other.ranked[:top]).size
    cells = [len(both), len(one.called) - len(both), len(other.called) - len(both)]
    opposite = correlation = ""
    if one.record.get("contrast") == other.record.get("contrast"):
        opposite = f"{(np.sign(one.called[both]) != np.sign(other.called[both])).sum():,}"
        effects = pd.DataFrame({each.name: each.table["log2_fold_change"] for each in (one, other)})
        correlation = number(effects.dropna().rank().corr().to_numpy()[0, 1])
    return [*(f"{value:,}" for value in cells), opposite, f"{common} of {top}", correlation]


def _genes(found: Sequence[_Analysis]) -> str:
    """Show the surest genes of each analysis with what all of them find."""
    genes = list(dict.fromkeys(gene for one in found for gene in one.ranked[:SHOWN]))
    if not genes:
        return ""
    rows = [(_name(gene, found), *(_effect(one, gene) for one in found)) for gene in genes]
    told = "<p>log2 fold changes, and s-values or adjusted p-values in brackets.</p>"
    return told + html_table(("gene", *(one.name for one in found)), rows, numbers=range(1, 1 + len(found)))


def _name(gene: Any, found: Sequence[_Analysis]) -> str:
    """Write the name of a gene, with its symbol where there is one."""
    return next(shown_name(gene, row) for one in found if (row := _row(one, gene)) is not None)


def _effect(one: _Analysis, gene: Any) -> str:
    """Write the effect of a gene, and how sure it is."""
    row = _row(one, gene)
    if row is None or pd.isna(row["log2_fold_change"]):
        return ""
    sure = "" if one.counted is None else f" ({row[one.counted[0]]:.2g})"
    return f"{row['log2_fold_change']:+.2f}{sure}"


def _row(one: _Analysis, gene: Any) -> pd.Series | None:
    """Return what an analysis has of a gene."""
    return pd.DataFrame(one.table).loc[gene] if gene in one.table.index else None


def _warnings(found: Sequence[_Analysis]) -> str:
    """Repeat the warnings of the logs; those of several analyses once, with their names."""
    told: dict[str, list[str]] = {}
    for one in found:
        for text in RunDirectory(one.folder).warnings():
            told.setdefault(text, []).append(one.name)
    return "".join(
        f'<p class="warning"><b>{escape(", ".join(names))}</b>: {escape(text)}</p>'
        for text, names in told.items()
    )
