"""The tables of README.md on the calibration of engine psis: laws of the effects, and random effects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bayesde.io import write_atomically
from benchmarks.calibration.designs import DESIGNS
from benchmarks.calibration.laws import LAWS
from benchmarks.calibration.tables import Tables
from benchmarks.speed.report import markdown_table

__all__ = ["write_design_table", "write_law_table"]

SHOWN = ("beta[condition]", "contrast", "log_dispersion")
"""Of the genes' quantities, those whose coverage is shown."""
CHECKS = ("smallest p of the hyperparameters", "of the genes", "genes with k > 0.7 or few draws, per 1,000")


def write_law_table(page: Path, folder: Path) -> None:
    """Rewrite the table between ``<!-- laws -->`` and ``<!-- /laws -->`` from what is in a folder.

    Parameters
    ----------
    page : Path
    folder : Path
        With the tables and summaries; laws that have none are left out.
    """
    rows = [
        [f"`{law}`", *_sizes(tables), *_covered(_summary(tables, folder), SHOWN), *_checks(tables, folder)]
        for law in LAWS
        if _is_there(tables := Tables(folder, "psis", law), folder)
    ]
    head = ["law", "data sets", "genes in each", *(f"{name}: 50, 80, 95 %" for name in SHOWN), *CHECKS]
    _write(page, "laws", head, rows)


def write_design_table(page: Path, folder: Path) -> None:
    """Rewrite the table between ``<!-- designs -->`` and ``<!-- /designs -->``.

    Parameters
    ----------
    page : Path
    folder : Path
        With the tables and summaries; designs that have none are left out.
    """
    rows = []
    for design, own in DESIGNS.items():
        tables = Tables(folder, "psis", "cauchy", design)
        if not own.groupings or not _is_there(tables, folder):
            continue
        formula = " + ".join(one.term for one in own.groupings)
        summary = _summary(tables, folder)
        sds = [name for name in tables.quantities if name.startswith("log_sd")]
        covered = [*_covered(summary, SHOWN), "; ".join(_covered(summary, sds))]
        rows.append([f"`{formula}`", *_sizes(tables), *covered, *_checks(tables, folder)])
    shown = [f"{name}: 50, 80, 95 %" for name in (*SHOWN, "log_sd")]
    _write(page, "designs", ["random effects", "data sets", "genes in each", *shown, *CHECKS], rows)


def _write(page: Path, mark: str, head: list[str], rows: list[list[str]]) -> None:
    """Replace what is between two marks of a page by a table."""
    lines = "\n".join(["", *markdown_table(head, rows), "", ""])
    text = page.read_text(encoding="utf-8")
    between = rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)"
    write_atomically(page, re.sub(between, lambda found: found[1] + lines + found[2], text, flags=re.S))


def _is_there(tables: Tables, folder: Path) -> bool:
    return (folder / f"{tables.name}_summary.tsv").exists()


def _summary(tables: Tables, folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / f"{tables.name}_summary.tsv", sep="\t", index_col="parameter")


def _sizes(tables: Tables) -> list[str]:
    """Return the numbers of data sets, and of genes in each."""
    sets = tables.sets()
    return [f"{len(sets)}", f"{sets['genes'].iloc[0]}"]


def _covered(summary: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the coverages of quantities, in percent."""
    middles = [name for name in summary.columns if name.startswith("in the middle")]
    return [", ".join(f"{100.0 * share:.1f}" for share in summary.loc[name, middles]) for name in names]


def _checks(tables: Tables, folder: Path) -> list[str]:
    """Return the smallest p-values, and how many genes failed."""
    sets, summary = tables.sets(), _summary(tables, folder)
    of_genes = summary.index.isin(tables.quantities)
    smallest = [_smallest(summary.loc[which, "p"]) for which in (~of_genes, of_genes)]
    return [*smallest, f"{1000.0 * sets['trouble'].sum() / sets['genes'].sum():.1f}"]


def _smallest(p: pd.Series) -> str:
    """Return the smallest p-value, and of how many."""
    return f"{p.min():.2g} of {p.size}"
