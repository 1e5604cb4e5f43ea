"""Output of a comparison of methods: a table, as Markdown and as TSV, and a figure of the z-scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import norm

from benchmarks.speed.report import markdown_table

__all__ = ["score_picture", "write_page"]

BLUE = "#1f6fb4"


def write_page(place: Path, table: pd.DataFrame, hyper: pd.DataFrame | None = None) -> None:
    """Write PLACE.tsv and PLACE.md."""
    table.to_csv(place.with_suffix(".tsv"), sep="\t", index=False, float_format="%.6g")
    lines = [
        f"# {place.name}: agreement of the inference methods",
        "",
        "Differences divided by their Monte Carlo standard errors, z, for the genes that have status ok "
        "by both methods.",
        "",
        *markdown_table(list(table.columns), _as_text(table)),
    ]
    if hyper is not None:
        lines += ["", "Hyperparameters, natural log:", ""]
        lines += markdown_table(list(hyper.columns), _as_text(hyper))
    place.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _as_text(table: pd.DataFrame) -> list[list[str]]:
    return [[_cell(value) for value in row] for row in table.itertuples(index=False)]


def _cell(value: object) -> str:
    """Write a count with all its digits, another number with four."""
    if isinstance(value, float) and not (value > 1.0 and value.is_integer()):
        return f"{value:.4g}"
    return f"{value:,.0f}" if isinstance(value, int | float | np.integer) else str(value)


def score_picture(scores: dict[str, dict[str, np.ndarray]], place: Path) -> None:
    """Draw histograms of the z-scores over the standard normal density, one row a comparison."""
    columns = list(next(iter(scores.values())))
    figure = Figure(figsize=(3.4 * len(columns), 2.6 * len(scores)), layout="constrained")
    axes = figure.subplots(len(scores), len(columns), squeeze=False)
    grid = np.linspace(-5.0, 5.0, 201)
    for row, (title, by_quantity) in zip(axes, scores.items(), strict=True):
        for ax, (name, z) in zip(row, by_quantity.items(), strict=True):
            values = z[np.isfinite(z)]
            ax.hist(np.clip(values, -5.0, 5.0), bins=50, range=(-5, 5), density=True, color=BLUE, alpha=0.7)
            ax.plot(grid, norm.pdf(grid), color="black", linewidth=1.0)
            share = np.mean(np.abs(values) < 4.0)
            ax.set_title(f"{title}: {name}\n{share:.2%} of {values.size:,} within 4", fontsize=9)
            ax.set_xlabel("difference / Monte-Carlo error")
            ax.set_yticks([])
    figure.savefig(place, dpi=110)
