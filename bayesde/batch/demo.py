"""The demonstration: a run on data that ship with the package, and the few lines that are shown of it."""

from __future__ import annotations

import json
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table

from bayesde import datasets
from bayesde.batch.directory import RunDirectory
from bayesde.batch.execution import RunOutcome
from bayesde.batch.plan import ModelPlan, RunFiles, RunPlan
from bayesde.errors import FitError

__all__ = ["demo_plan", "demo_table", "holds_demo"]

_TITLE = (
    "pasilla, treated vs untreated: the genes of surest sign among the 200\n"
    "(log2 fold changes: maximum likelihood, MAP, posterior mean and interval)"
)
CONTRAST = ("condition", "treated", "untreated")


def demo_plan() -> RunPlan:
    """Return the plan: point estimates of all genes of pasilla, the posterior of 200 of them.

    Returns
    -------
    RunPlan
    """
    counts, samples = datasets.path("pasilla")
    return RunPlan(
        command="sample",
        files=RunFiles(counts=str(counts), samples=str(samples), genes=str(datasets.panel_path())),
        model=ModelPlan(design="~ type + condition", contrast=CONTRAST),
    )


def holds_demo(path: Path, plan: RunPlan) -> bool:
    """Tell whether a folder holds an earlier demonstration.

    Parameters
    ----------
    path : pathlib.Path
    plan : RunPlan
        Of the demonstration.

    Returns
    -------
    bool
    """
    recorded = json.loads(json.dumps(plan.to_dict()))
    return (path / "run.json").exists() and RunDirectory(path).read().get("plan") == recorded


def demo_table(outcome: RunOutcome, rows: int = 10) -> Table:
    """Put the genes of surest sign into a table for a terminal: point estimates beside posteriors.

    Parameters
    ----------
    outcome : RunOutcome
    rows : int
        How many genes.

    Returns
    -------
    rich.table.Table
    """
    if outcome.eb is None:
        raise FitError("the demonstration was not run now, so its point estimates are not at hand")
    mle = outcome.eb.results(contrast=CONTRAST)["log2_fold_change"]
    mode = outcome.eb.shrink(contrast=CONTRAST)["log2_fold_change"]
    known = outcome.table.dropna(subset=["lfsr"])
    top = known.loc[known["lfsr"].sort_values(kind="stable").index[:rows]]
    shown = Table(title=_TITLE, title_justify="left", box=SIMPLE)
    for name in ("gene", "count", "MLE", "MAP", "posterior", "95 % interval", "lfsr"):
        shown.add_column(name, justify="left" if name == "gene" else "right", no_wrap=True)
    for gene in map(str, top.index):
        row = top.loc[gene]
        shown.add_row(
            gene,
            f"{row['base_mean']:,.0f}",
            f"{mle[gene]:.2f}",
            f"{mode[gene]:.2f}",
            f"{row['log2_fold_change']:.2f}",
            f"{row['lfc_lower']:.2f} to {row['lfc_upper']:.2f}",
            f"{row['lfsr']:.1e}",
        )
    return shown
