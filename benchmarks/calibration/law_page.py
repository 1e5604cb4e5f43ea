"""The table of README.md on the calibration of engine psis under every law of the effects."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from bayesde.io import write_atomically
from benchmarks.calibration.engines import QUANTITIES
from benchmarks.calibration.laws import LAWS
from benchmarks.calibration.tables import Tables
from benchmarks.speed.report import markdown_table

__all__ = ["write_law_table"]

SHOWN = ("beta[condition]", "contrast", "log_dispersion")
"""Of the genes' quantities, those whose coverage is shown."""


def write_law_table(page: Path, folder: Path) -> None:
    """Rewrite the table between ``<!-- laws -->`` and ``<!-- /laws -->`` from what is in a folder.

    Parameters
    ----------
    page : Path
    folder : Path
        With the tables and summaries; laws that have none are left out.
    """
    rows = [
        _row(law, folder)
        for law in LAWS
        if (folder / f"{Tables(folder, 'psis', law).name}_summary.tsv").exists()
    ]
    head = ["law", "data sets", "genes in each"]
    head += [f"{name}: 50, 80, 95 %" for name in SHOWN]
    head += [
        "smallest p of the hyperparameters",
        "of the genes",
        "genes with k > 0.7 or few draws, per 1,000",
    ]
    lines = "\n".join(["", *markdown_table(head, rows), "", ""])
    text = page.read_text(encoding="utf-8")
    new = re.sub(
        r"(<!-- laws -->\n).*?(<!-- /laws -->)", lambda found: found[1] + lines + found[2], text, flags=re.S
    )
    write_atomically(page, new)


def _row(law: str, folder: Path) -> list[str]:
    tables = Tables(folder, "psis", law)
    sets = tables.sets()
    summary = pd.read_csv(folder / f"{tables.name}_summary.tsv", sep="\t", index_col="parameter")
    middles = [name for name in summary.columns if name.startswith("in the middle")]
    covered = [", ".join(f"{100.0 * share:.1f}" for share in summary.loc[name, middles]) for name in SHOWN]
    of_genes = summary.index.isin(QUANTITIES)
    smallest = [_smallest(summary.loc[which, "p"]) for which in (~of_genes, of_genes)]
    failed = 1000.0 * sets["trouble"].sum() / sets["genes"].sum()
    return [f"`{law}`", f"{len(sets)}", f"{sets['genes'].iloc[0]}", *covered, *smallest, f"{failed:.1f}"]


def _smallest(p: pd.Series) -> str:
    """Return the smallest p-value, and of how many."""
    return f"{p.min():.2g} of {p.size}"
