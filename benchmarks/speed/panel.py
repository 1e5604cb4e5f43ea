"""Joint posterior of genes and hyperparameters: cost of an effective draw, on a panel of genes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesde.io import write_atomically
from benchmarks.speed.measure import Limits, MeasurementError, Session
from benchmarks.speed.report import heading, markdown_table, number
from benchmarks.speed.sets import SETS, DataSet
from benchmarks.speed.tools import Tool

GENES = 200
NUTS_GENES = 40
PSIS_DRAWS = (1_000, 4_000)
WHOLE = 20_000
"""Genes that the time of inference method nuts is extrapolated to."""
LARGEST_RHAT = 1.05
"""With a larger one an effective size means nothing."""
TIMEOUT = 420.0
NUTS = "bayesde nuts"

DATA: DataSet = replace(SETS["pasilla"], name="panel", formula="~ type + condition")


@dataclass(frozen=True)
class Job:
    """A tool on a panel: genes, and iterations of warm-up and after (of each of 4 chains)."""

    title: str
    script: str
    genes: int
    options: tuple[int, ...]
    repeats: int = 0

    @property
    def limits(self) -> Limits:
        """What takes a second or so is called twice, so that no loading of kernels is in its time."""
        return Limits(repeats=self.repeats, timeout=TIMEOUT)

    @property
    def tool(self) -> Tool:
        """What `tools.Environment.command` takes."""
        arguments = tuple(str(option) for option in (self.genes, *self.options))
        return Tool(self.script, self.title, self.script, "bayesde", "bayesde", True, "2", arguments)


def jobs(*, quick: bool = False) -> list[Job]:
    """Return what is measured."""
    if quick:
        return [
            Job("bayesde psis", "bayesde_panel", 100, (200,), 1),
            Job("bayesde joint", "bayesde_joint", 12, (50, 50)),
            Job("plain Stan program", "naive_joint", 12, (50, 50)),
            Job(NUTS, "bayesde_nuts", 100, (4, 50, 100)),
        ]
    return [
        *(Job(f"bayesde psis, {draws:,} draws", "bayesde_panel", GENES, (draws,), 1) for draws in PSIS_DRAWS),
        Job("bayesde joint", "bayesde_joint", GENES, (300, 1000)),
        Job("plain Stan program", "naive_joint", GENES, (300, 500)),
        Job(NUTS, "bayesde_nuts", GENES, (NUTS_GENES, 300, 1000)),
    ]


def measure(
    todo: Sequence[Job],
    session_of: Callable[[Job], tuple[Session, pd.DataFrame]],
    finished: Callable[[pd.DataFrame], None],
) -> None:
    """Measure every job, calling `finished` with what there is after each."""
    tables: list[pd.DataFrame] = []
    for job in todo:
        about: dict[str, Any] = {"tool": job.title, "genes": job.genes}
        try:
            session, answer = session_of(job)
        except MeasurementError as error:
            tables.append(pd.DataFrame([about | {"note": str(error)}]))
        else:
            call = session.representative[-1]
            about |= {
                "seconds": call.steps["sample"],
                "cpu_seconds": call.cpu,
                "process_mb": session.baseline_mb + session.peak_mb,
            }
            if job.title == NUTS:
                answer = _over_genes(answer)
            tables.append(answer.rename_axis("name").reset_index().assign(**about))
        finished(pd.concat(tables, ignore_index=True))


def _over_genes(answer: pd.DataFrame) -> pd.DataFrame:
    """Reduce the diagnostics of genes (rows) to the worst ones."""
    worst = {"rhat": "max", "ess_bulk": "min", "ess_tail": "min", "divergences": "max", "gradients": "mean"}
    row = {name: answer[name].agg(how) for name, how in worst.items()}
    row |= {name: answer[name].iloc[0] for name in ("chains", "warmup", "draws")}
    row |= {"sampled": len(answer), "again": int((answer["attempts"] > 1).sum())}
    return pd.DataFrame([row], index=["genes"])


def costs(table: pd.DataFrame) -> pd.DataFrame:
    """Return for each job that draws hyperparameters the smallest effective size, and the time for 100."""
    rows = []
    for (tool, genes), part in table[table["tool"] != NUTS].groupby(["tool", "genes"], sort=False):
        if "ess_bulk" not in part or part["ess_bulk"].isna().all():
            continue
        worst = part.loc[part["ess_bulk"].idxmin()]
        row = {name: part[name].iloc[0] for name in part if name not in ("mean", "sd")}
        row |= {"tool": tool, "genes": genes, "rhat": part["rhat"].max() if "rhat" in part else np.nan}
        row |= {"worst": worst["name"], "ess": worst["ess_bulk"]}
        row["per_100"] = 100.0 * worst["seconds"] / worst["ess_bulk"]
        rows.append(row)
    found = pd.DataFrame(rows)
    if found.empty:
        return found
    joint = found[found["tool"] == "bayesde joint"].set_index("genes")["per_100"]
    found["ratio"] = found["per_100"] / joint.reindex(found["genes"]).to_numpy()
    return found


def write(folder: Path, table: pd.DataFrame, about: Mapping[str, str]) -> None:
    """Write panel.tsv and panel.md."""
    folder.mkdir(parents=True, exist_ok=True)
    first = ["tool", "genes", "name"]
    table = table[[*(n for n in first if n in table), *(n for n in table if n not in first)]]
    text = table.round(6).to_csv(sep="\t", index=False, lineterminator="\n")
    write_atomically(folder / "panel.tsv", text)
    write_atomically(folder / "panel.md", page(table, about))


def page(table: pd.DataFrame, about: Mapping[str, str]) -> str:
    """Return panel.md."""
    lines = heading("Hyperparameters and genes together", about)
    lines += [
        f"Genes of pasilla at equal steps of the rank of their base mean, `{DATA.formula}`, with the size "
        "factors of all genes; the same priors everywhere. Programs were compiled before; 4 chains on 2 "
        "cores. Effective draws are those of the hyperparameter that has fewest; of psis, the posterior "
        "variance over the variance between 24 seeds of the posterior mean. README.md has the details.",
        "",
        *_cost_lines(costs(table)),
        *_value_lines(table),
        *_nuts_lines(table[table["tool"] == NUTS]),
    ]
    if "note" in table:
        failed = table.dropna(subset="note")
        lines += [f"* {row['tool']}, {row['genes']} genes: {row['note']}." for _, row in failed.iterrows()]
    return "\n".join(lines).rstrip() + "\n"


def _cost_lines(found: pd.DataFrame) -> list[str]:
    head = (
        "tool", "genes", "iterations", "seconds", "CPU, s", "process, MB", "gradients per draw",
        "divergences", "at the largest depth", "largest R-hat", "effective draws", "of", "s for 100",
        "x joint",
    )  # fmt: skip
    rows = []
    for row in found.to_dict("records"):
        chains = not np.isnan(row.get("chains", np.nan))
        rows.append([
            row["tool"], f"{row['genes']}",
            f"{row['warmup']:.0f} + {row['draws']:.0f}" if chains else "",
            number(row["seconds"]), number(row["cpu_seconds"]), f"{row['process_mb']:,.0f}",
            *((f"{row['gradients']:.0f}", f"{row['divergences']:.0f}",
               f"{row['treedepth_hits'] / (row['chains'] * row['draws']):.0%}", f"{row['rhat']:.3f}")
              if chains else ("", "", "", "")),
            f"{row['ess']:,.0f}" + (" (not converged)" if row["rhat"] > LARGEST_RHAT else ""),
            row["worst"], number(row["per_100"]), "" if np.isnan(row["ratio"]) else f"{row['ratio']:.3g}",
        ])  # fmt: skip
    return [*markdown_table(head, rows), ""]


def _value_lines(table: pd.DataFrame) -> list[str]:
    """Return posterior means and standard deviations of the hyperparameters, side by side."""
    known = table[(table["tool"] != NUTS) & table["seconds"].notna()] if "seconds" in table else table[:0]
    if known.empty:
        return []
    names = list(dict.fromkeys(known["name"]))
    rows = []
    for (tool, genes), part in known.groupby(["tool", "genes"], sort=False):
        cells = part.set_index("name")
        values = [f"{cells.loc[name, 'mean']:.4g} ({cells.loc[name, 'sd']:.2g})" for name in names]
        rows.append([str(tool), str(genes), *values])
    return [
        "Posterior means (standard deviations):",
        "",
        *markdown_table(["tool", "genes", *names], rows),
        "",
    ]


def _nuts_lines(part: pd.DataFrame) -> list[str]:
    """Return what inference method nuts took, by gene."""
    if part.empty or part["seconds"].isna().all():
        return []
    row = part.iloc[0]
    per_gene = row["seconds"] / row["sampled"]
    return [
        f"Inference method nuts, {row['sampled']:.0f} genes of the panel given the hyperparameters, "
        f"4 chains of {row['warmup']:.0f} + {row['draws']:.0f}: {number(row['seconds'])} s, "
        f"{1000 * per_gene:.0f} ms per gene (extrapolated to {WHOLE:,} genes: {per_gene * WHOLE / 60:.0f} "
        f"min); smallest effective size of a parameter {row['ess_bulk']:,.0f}, largest R-hat "
        f"{row['rhat']:.3f}, {row['gradients']:.1f} gradients per draw, {row['again']:.0f} genes sampled "
        "again.",
        "",
    ]
