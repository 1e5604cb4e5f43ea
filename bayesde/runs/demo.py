"""The demonstration: runs on data that ship with the package, and the summary that is printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from rich.box import SIMPLE
from rich.table import Table

from bayesde import datasets
from bayesde.errors import FitError
from bayesde.runs.directory import RunDirectory
from bayesde.runs.execution import RunOutcome
from bayesde.runs.options import ModelPlan, RunFiles, SamplePlan
from bayesde.runs.plan import RunPlan

__all__ = ["agreement", "check_plan", "demo_plan", "demo_table", "holds_demo", "missing_for_stan"]

_TITLE = (
    "pasilla, treated vs untreated: the genes with the smallest lfsr\n"
    "(log2 fold changes: maximum likelihood, MAP, posterior mean and interval)"
)
CONTRAST = ("condition", "treated", "untreated")
CLOSE = 0.1
"""Difference of two posterior means, in posterior standard deviations, that counts as small."""


def demo_plan() -> RunPlan:
    """Return the plan: point estimates and posteriors of all genes of pasilla, by engine psis.

    Returns
    -------
    RunPlan
    """
    counts, samples = datasets.path("pasilla")
    return RunPlan(
        command="sample",
        files=RunFiles(counts=str(counts), samples=str(samples)),
        model=ModelPlan(design="~ type + condition", contrast=CONTRAST),
    )


def check_plan(directory: Path) -> RunPlan:
    """Return the plan of the comparison: 200 of the genes by engine nuts, under the same hyperparameters.

    Parameters
    ----------
    directory : pathlib.Path
        Where `demo_plan` was carried out.

    Returns
    -------
    RunPlan
    """
    counts, samples = datasets.path("pasilla")
    learnt = directory / "hyperparameters.json"
    return RunPlan(
        command="sample",
        files=RunFiles(
            counts=str(counts),
            samples=str(samples),
            genes=str(datasets.panel_path()),
            hyperparameters=str(learnt),
        ),
        model=ModelPlan(design="~ type + condition", contrast=CONTRAST),
        sample=SamplePlan(engine="nuts"),
    )


def missing_for_stan() -> str | None:
    """Return what has to be installed before Stan can run; None if nothing is missing."""
    from bayesde.stan_runtime.toolchain import find_toolchain

    return find_toolchain().advice


def holds_demo(path: Path, plan: RunPlan) -> bool:
    """Return whether a folder holds an earlier demonstration.

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


def agreement(outcome: RunOutcome, checked: RunOutcome) -> str:
    """Describe how well two runs agree on the genes that both have.

    Parameters
    ----------
    outcome, checked : RunOutcome

    Returns
    -------
    str
        The number of posterior means that differ by less than `CLOSE` posterior standard deviations, and the
        gene that differs most.
    """
    passed = [table.index[table["status"] == "ok"] for table in (outcome.table, checked.table)]
    genes = passed[0].intersection(passed[1])
    one, two = outcome.table.loc[genes], checked.table.loc[genes]
    gap = np.abs(one["log2_fold_change"] - two["log2_fold_change"]) / two["lfc_se"]
    engines = [str(table["engine"].iloc[0]) for table in (one, two)]
    return (
        f"{engines[0]} compared with {engines[1]} on {genes.size} genes: {(gap < CLOSE).sum()} posterior "
        f"means within {CLOSE:g} posterior sd of each other, the median within {gap.median():.2g}, the "
        f"farthest {gap.max():.2g} apart ({gap.idxmax()}); largest difference of lfsr "
        f"{np.abs(one['lfsr'] - two['lfsr']).max():.2g}."
    )


def demo_table(outcome: RunOutcome, rows: int = 10) -> Table:
    """Tabulate the genes with the smallest lfsr for a terminal: point estimates beside posteriors.

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
        raise FitError(
            "the point estimates of a demonstration that was run before are not at hand; run it again."
        )
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
