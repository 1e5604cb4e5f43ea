"""How time and memory of bayesde grow with genes and samples: point estimates, and posteriors by psis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from bayesde.io import write_atomically
from benchmarks.speed.measure import Limits, Session
from benchmarks.speed.report import heading, markdown_table, number

FEW_SAMPLES, FEW_GENES = 8, 2_000
LIMITS = Limits(repeats=3, budget=10.0)
MEASURES = {"seconds": "seconds, warm", "peak_mb": "peak memory, MB"}
BLUE, GREY = "#0072B2", "#9A9A9A"


@dataclass(frozen=True)
class Series:
    """Sets of increasing size.

    Attributes
    ----------
    tool : str
        Its name in `tools.TOOLS`.
    title, work : str
    file : str
        Name of the results' files.
    genes, samples : tuple of int
        The sizes.
    """

    tool: str
    title: str
    work: str
    file: str
    genes: tuple[int, ...]
    samples: tuple[int, ...]


SERIES = {
    "growth": Series(
        "bayesde",
        "bayesde eb",
        "Fit, results and shrinkage",
        "growth",
        (5_000, 20_000, 80_000, 300_000),
        (6, 20, 100, 500, 2_000),
    ),
    "growth-psis": Series(
        "psis",
        "bayesde psis",
        "Posteriors of 1,000 draws a gene, hyperparameters integrated over, and the table of a contrast",
        "growth_psis",
        (1_000, 4_000, 10_000, 20_000, 40_000),
        (8, 25, 80, 200),
    ),
}
QUICK_GENES, QUICK_SAMPLES = (500, 1_000, 2_000), (6, 12, 24)


@dataclass(frozen=True)
class Size:
    """A simulated set of a series: `axis` is what the series varies, "genes" or "samples"."""

    axis: str
    genes: int
    samples: int

    @property
    def value(self) -> int:
        """The number that varies."""
        return self.genes if self.axis == "genes" else self.samples


def sizes(series: Series, *, quick: bool = False) -> list[Size]:
    """Return the sizes of both axes."""
    genes, samples = (QUICK_GENES, QUICK_SAMPLES) if quick else (series.genes, series.samples)
    return [Size("genes", n, FEW_SAMPLES) for n in genes] + [Size("samples", FEW_GENES, m) for m in samples]


def measure(
    series: Sequence[Size], session_of: Callable[[Size], Session], finished: Callable[[pd.DataFrame], None]
) -> None:
    """Measure every size, calling `finished` with what there is after each."""
    rows = []
    for size in series:
        session = session_of(size)
        calls = session.representative
        rows.append(
            {
                "axis": size.axis,
                "genes": size.genes,
                "samples": size.samples,
                "value": size.value,
                "seconds": median(call.seconds for call in calls),
                "cpu_seconds": median(call.cpu for call in calls),
                "peak_mb": session.peak_mb,
                "process_mb": session.baseline_mb + session.peak_mb,
                "repeats": len(session.warm),
            }
        )
        finished(pd.DataFrame(rows))


def slope(value: np.ndarray, measure: np.ndarray) -> float:
    """Return the least-squares slope of ln measure on ln value over the upper half of the values.

    1 is linear growth; below it, costs that do not grow still count.
    """
    upper = slice(len(value) // 2, None)
    if len(value[upper]) < 2:
        return float("nan")
    return float(np.polyfit(np.log(value[upper]), np.log(measure[upper]), 1)[0])


def slopes(table: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Return the slope of each measure along each axis."""
    return {
        (str(axis), name): slope(part["value"].to_numpy(float), part[name].to_numpy(float))
        for axis, part in table.groupby("axis", sort=False)
        for name in MEASURES
    }


def write(folder: Path, series: Series, table: pd.DataFrame, about: Mapping[str, str]) -> None:
    """Write a table, a page and a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    text = table.drop(columns="value").round(4).to_csv(sep="\t", index=False, lineterminator="\n")
    write_atomically(folder / f"{series.file}.tsv", text)
    write_atomically(folder / f"{series.file}.md", page(series, table, about))
    figure = draw(series, table)
    figure.savefig(folder / f"{series.file}.png", dpi=150)


def page(series: Series, table: pd.DataFrame, about: Mapping[str, str]) -> str:
    """Return the page."""
    lines = heading(f"Growth of {series.title}", about)
    lines += [
        f"{series.work}, of simulated counts of two groups, warm. The slope is that of the logarithms over "
        "the upper half of the sizes: 1 is linear. Peak memory is in excess of what the process had before; "
        "the last column has that of the whole process.",
        "",
        f"![time and memory against genes and samples]({series.file}.png)",
        "",
    ]
    head = ("genes", "samples", "seconds", "CPU, s", "peak memory, MB", "warm calls", "process, MB")
    fitted = slopes(table)
    for axis, part in table.groupby("axis", sort=False):
        found = ", ".join(f"{MEASURES[name]} {fitted[str(axis), name]:.2f}" for name in MEASURES)
        rows = [
            [
                f"{row['genes']:,}", f"{row['samples']:,}", number(row["seconds"]),
                number(row["cpu_seconds"]), f"{row['peak_mb']:,.0f}", str(row["repeats"]),
                f"{row['process_mb']:,.0f}",
            ]
            for row in part.to_dict("records")
        ]  # fmt: skip
        lines += [f"## With {axis}", "", f"Slopes: {found}.", "", *markdown_table(head, rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def draw(series: Series, table: pd.DataFrame) -> Figure:
    """Draw time (above) and memory (below) against genes (left) and samples (right)."""
    axes_names = list(dict.fromkeys(table["axis"]))
    figure = Figure(figsize=(4.2 * len(axes_names), 6.4), layout="constrained")
    grid = figure.subplots(2, len(axes_names), squeeze=False)
    fitted = slopes(table)
    for column, axis in enumerate(axes_names):
        part = table[table["axis"] == axis]
        fixed = f"{FEW_SAMPLES} samples" if axis == "genes" else f"{FEW_GENES:,} genes"
        for row, (name, label) in enumerate(MEASURES.items()):
            panel = grid[row, column]
            values = part["value"].to_numpy(float), part[name].to_numpy(float)
            _panel(panel, *values, fitted[axis, name], series.title)
            panel.set_xlabel(f"{axis} ({fixed})")
            if column == 0:
                panel.set_ylabel(label)
    return figure


def _panel(ax: Axes, value: np.ndarray, measure: np.ndarray, fitted: float, title: str) -> None:
    """Draw one series, with a line of slope 1 through its last point."""
    ax.plot(value, measure[-1] * value / value[-1], color=GREY, linestyle="--", label="linear")
    label = title if np.isnan(fitted) else f"{title}, slope {fitted:.2f} in the upper half"
    ax.plot(value, measure, color=BLUE, marker="o", label=label)
    ax.set(xscale="log", yscale="log")
    ax.set_ylim(measure.min() / 2.0, measure.max() * (measure.max() / measure.min()) ** 0.2 * 2.0)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(value, [f"{v:,.0f}" for v in value])
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:,.4g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend(frameon=False, fontsize=8, loc="upper left")
