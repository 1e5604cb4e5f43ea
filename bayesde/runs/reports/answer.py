"""The answer of a run, first on the page: how many genes, which, and how sure that is."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from bayesde.results import ResultsTable
from bayesde.runs.reports.explorer import ranking
from bayesde.runs.reports.gene_details import GeneDetails
from bayesde.runs.reports.page import html_table, number
from bayesde.statuses import FAILED

__all__ = ["answer_section", "called_genes", "key_figures", "shown_name"]

LEVELS = {"s_value": (0.001, 0.005, 0.01, 0.05, 0.1), "padj": (0.001, 0.01, 0.05, 0.1, 0.2)}
NAMES = {"s_value": "s-value", "padj": "adjusted p-value"}
SURE = (0.9, 0.99)
"""Posterior probabilities of an effect beyond a threshold, at which genes are counted."""
WITHOUT_P_VALUES = (
    "There are no p-values: with random effects of few levels they would call too many genes. 'bayesde "
    "sample' takes the same design, and gives the probability of the sign of every effect."
)
NAMED = 5
"""Genes that are named in each direction."""


def called_genes(table: ResultsTable, counted: tuple[str, float] | None) -> pd.DataFrame:
    """Return the genes that count as changed, the surest first.

    Parameters
    ----------
    table : ResultsTable
    counted : (str, float) or None
        The column by which genes are counted, and the level.

    Returns
    -------
    pandas.DataFrame
    """
    if counted is None:
        return pd.DataFrame(table.iloc[:0])
    called = pd.DataFrame(table[table[counted[0]] < counted[1]])
    return called.sort_values(ranking(table), kind="stable")


def shown_name(gene: object, row: pd.Series) -> str:
    """Write the name of a gene, with its symbol where the table has one.

    Parameters
    ----------
    gene : object
        As the table names it.
    row : pandas.Series

    Returns
    -------
    str
    """
    name = row.get("gene_name", "")
    return f"{name} ({gene})" if name else str(gene)


def key_figures(table: ResultsTable, counted: tuple[str, float] | None) -> str:
    """Show the numbers at the top of the page.

    Parameters
    ----------
    table : ResultsTable
    counted : (str, float) or None

    Returns
    -------
    str
        HTML.
    """
    if counted is None:
        first = [(int(table["log2_fold_change"].notna().sum()), "with an estimate")]
    else:
        column, level = counted
        called = called_genes(table, counted)["log2_fold_change"]
        first = [
            (int((called > 0).sum()), f"up, {NAMES[column]} < {level:g}"),
            (int((called < 0).sum()), f"down, {NAMES[column]} < {level:g}"),
            (int(table[column].notna().sum()), f"with {NAMES[column]}"),
        ]
    figures = [
        *first,
        (len(table), "genes"),
        (int(table["status"].isin(FAILED).sum()), "failed a check"),
    ]
    cells = "".join(f"<div><b>{count:,}</b>{escape(label)}</div>" for count, label in figures)
    return f'<div class="figures">{cells}</div>'


def answer_section(
    record: dict[str, Any],
    table: ResultsTable,
    counted: tuple[str, float] | None,
    details: GeneDetails | None,
) -> str:
    """Say what was found.

    Parameters
    ----------
    record : dict
        What ``run.json`` holds.
    table : ResultsTable
    counted : (str, float) or None
    details : GeneDetails or None

    Returns
    -------
    str
        HTML.
    """
    if counted is None:
        texts = [f'<p class="answer">{escape(sentence)}.</p>' for sentence in _headlines(record)]
        return "\n".join([*texts, f"<p>{escape(WITHOUT_P_VALUES)}</p>", key_figures(table, None)])
    called = called_genes(table, counted)
    texts = [f'<p class="answer">{escape(sentence)}.</p>' for sentence in _headlines(record)]
    texts += [f"<p>{escape(text)}</p>" for text in (_how_sure(called, counted), *_which(called)) if text]
    return "\n".join([*texts, key_figures(table, counted), *_tables(table, counted[0], details)])


def _headlines(record: dict[str, Any]) -> list[str]:
    main = record.get("tables", {}).get("results.tsv")
    return [main] if main else []


def _how_sure(called: pd.DataFrame, counted: tuple[str, float]) -> str:
    """Say how many of the genes are expected to be wrong."""
    if called.empty:
        return (
            "No gene is sure enough to be counted. That is no proof that nothing changes: with more "
            "replicates, smaller effects could be told from chance ('bayesde power')."
        )
    column, level = counted
    if column == "s_value" and "lfsr" in called:
        wrong = float(called["lfsr"].sum())
        share = f"{number(wrong)} of these {len(called):,}" if wrong >= 0.01 else "fewer than 0.01 of these"
        return (
            f"The direction of {share} genes is expected to be wrong: this is the sum of their local false "
            "sign rates, each the posterior probability of the wrong sign."
        )
    return (
        f"Among genes with an adjusted p-value below {level:g}, a share of at most {100 * level:g} % is "
        "expected to be unchanged."
    )


def _which(called: pd.DataFrame) -> list[str]:
    """Name the surest genes in each direction."""
    told = []
    for word, some in (("up", called["log2_fold_change"] > 0.0), ("down", called["log2_fold_change"] < 0.0)):
        named = [
            f"{shown_name(gene, row)} ({row['log2_fold_change']:+.2f})"
            for gene, row in called[some].head(NAMED).iterrows()
        ]
        if named:
            told.append(f"The surest that go {word} (log2 fold change): {', '.join(named)}.")
    return told


def _tables(table: ResultsTable, column: str, details: GeneDetails | None) -> list[str]:
    """Count genes by level, and by how large their effects are."""
    shown = ['<div class="pair"><div>' + _by_level(table, column) + "</div>"]
    if details is not None and details.exceeding:
        shown.append("<div>" + _by_threshold(details) + "</div>")
    return [*shown, "</div>"]


def _by_level(table: ResultsTable, column: str) -> str:
    effect, rows = table["log2_fold_change"], []
    for level in LEVELS[column]:
        called = table[column] < level
        row = [f"< {level:g}", f"{(called & (effect > 0)).sum():,}", f"{(called & (effect < 0)).sum():,}"]
        if column == "s_value" and "lfsr" in table:
            row.append(number(float(table["lfsr"][called].sum())))
        rows.append(row)
    header = [NAMES[column], "up", "down", *(["wrong signs expected"] if len(rows[0]) == 4 else [])]
    return html_table(header, rows, numbers=range(1, len(header)))


def _by_threshold(details: GeneDetails) -> str:
    rows = []
    for threshold, share in details.exceeding.items():
        known = share[np.isfinite(share)]
        fold = f"{threshold:g} ({2.0**threshold:.3g}-fold)"
        rows.append((fold, *(f"{(known > sure).sum():,}" for sure in SURE)))
    header = ("log2 fold change beyond", *(f"probability > {sure:g}" for sure in SURE))
    told = "<p>Genes whose absolute effect is beyond a threshold, by the probability of that.</p>"
    return told + html_table(header, rows, numbers=(1, 2))
