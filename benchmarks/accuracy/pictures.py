"""The figures of accuracy.md, with one color and one marker per method in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

__all__ = ["DPI", "draw"]

DPI = 110
STYLES = {
    "psis": ("#0072B2", "o"),
    "psis, student_t": ("#56B4E9", "P"),
    "psis, spike_t": ("#000000", "*"),
    "psis, mixture": ("#8C564B", "p"),
    "apeglm": ("#009E73", "s"),
    "ashr": ("#CC79A7", "^"),
    "DESeq2 (MLE)": ("#D55E00", "D"),
    "limma": ("#E69F00", "v"),
    "edgeR": ("#666666", "X"),
}
MOST_IN_A_ROW = 5
"""Methods in a row of a legend."""
LEVELS = (50, 80, 95)
ALIKE = ("seqc4", "seqc2")
"""Sets of such depth that all methods have nearly the same estimates, as the tables show."""
ENOUGH = 200
"""Genes that a set needs to be drawn by expression or by s-value."""
SPREAD = 0.34
"""Half the height of a row of dots that the methods share."""
FEWEST_CALLED = 20
"""A false sign rate of fewer called genes is not drawn."""


def draw(tables: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    """Draw all pictures.

    Parameters
    ----------
    tables : dict of str to pandas.DataFrame
        All that was measured.

    Returns
    -------
    dict of str to Figure
    """
    figures = {
        "coverage": _coverage(tables["scores"], tables["cases"]),
        "false_signs": _false_signs(tables["curves"], tables["cases"]),
        "power": _power(tables["scores"], tables["cases"]),
        "error_by_expression": _errors(tables["scores"], tables["cases"]),
    }
    calibration = tables.get("calibration", pd.DataFrame())
    if len(calibration) and (calibration["quantity"] == "dispersion").any():
        figures["calibration"] = _calibration(calibration, tables["cases"])
    return figures


def _cases(cases: pd.DataFrame, *, simulated: bool = False) -> list[tuple[str, str, str]]:
    """Return problem, truth and label of every case, or of those alone whose truth is exact."""
    if simulated:
        cases = cases[cases["truth"] == "simulated"]
    return [
        (problem, truth, problem if truth == "simulated" else f"{problem}\n{truth}")
        for problem, truth in zip(cases["problem"], cases["truth"], strict=True)
    ]


def _of(table: pd.DataFrame, case: Sequence[str]) -> pd.DataFrame:
    return table[(table["problem"] == case[0]) & (table["truth"] == case[1])]


def _legend(figure: Figure, methods: Sequence[str], line: Literal["none", "-"] = "none") -> None:
    """Put one legend of the methods below all panels."""
    handles = [
        Line2D([], [], color=STYLES[name][0], marker=STYLES[name][1], linestyle=line, label=name)
        for name in STYLES
        if name in methods
    ]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(len(handles), MOST_IN_A_ROW),
        frameon=False,
        fontsize=9,
    )


def _rows(
    ax: Axes,
    found: list[tuple[str, pd.Series]],
    methods: Sequence[str],
    errors: Sequence[pd.Series] | None = None,
) -> None:
    """Draw one row of dots a case, a method at a fixed height within it; values and errors by method."""
    heights = np.linspace(-SPREAD, SPREAD, len(methods))
    for at, (_, values) in enumerate(found):
        if at % 2:
            ax.axhspan(at - 0.5, at + 0.5, color="#F3F3F3", zorder=0)
        for method, height in zip(methods, heights, strict=True):
            if method in values and np.isfinite(values[method]):
                color, mark = STYLES[method]
                reach = None if errors is None else 2.0 * errors[at][method]
                ax.errorbar(values[method], at + height, xerr=reach, color=color, marker=mark, markersize=5,
                            linestyle="none", elinewidth=1.0)  # fmt: skip
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.set_yticks(range(len(found)), [label for label, _ in found])
    ax.tick_params(axis="y", length=0)


def _coverage(scores: pd.DataFrame, cases: pd.DataFrame) -> Figure:
    """Coverage at three levels, with the band of two binomial standard errors around the nominal level."""
    everyone = scores[(scores["stratum"] == "all") & scores["coverage_95"].notna()]
    methods = [name for name in STYLES if (everyone["method"] == name).any()]
    shown = _cases(cases, simulated=True)
    figure = Figure(figsize=(9.5, 0.62 * len(shown) + 1.5), layout="constrained")
    for panel, level in zip(figure.subplots(1, 3, sharey=True), LEVELS, strict=True):
        column = f"coverage_{level}"
        found = [(case[2], 100.0 * _of(everyone, case).set_index("method")[column]) for case in shown]
        _rows(panel, found, methods)
        panel.axvline(level, color="black", linewidth=0.8)
        for at, case in enumerate(shown):
            genes = _of(everyone, case)["genes"].max()
            reach = 200.0 * np.sqrt(level / 100.0 * (1.0 - level / 100.0) / genes)
            panel.barh(at, 2.0 * reach, left=level - reach, height=1.0, color="#D5D5D5", zorder=1)
        panel.set_title(f"{level} % intervals", fontsize=10)
        panel.set_xlabel("true effect inside, %")
    _legend(figure, methods)
    return figure


def _power(scores: pd.DataFrame, cases: pd.DataFrame) -> Figure:
    """Genes called at the same realized false sign rate, over those of psis, with two standard errors."""
    everyone = scores[(scores["stratum"] == "all") & scores["power_at_0.05"].notna()]
    methods = [name for name in STYLES if (everyone["method"] == name).any()]
    shown = _cases(cases, simulated=True)
    figure = Figure(figsize=(9.5, 0.62 * len(shown) + 1.5), layout="constrained")
    for panel, rate in zip(figure.subplots(1, 2, sharey=True), ("0.01", "0.05"), strict=True):
        found, errors = [], []
        for case in shown:
            part = _of(everyone, case).set_index("method")
            reference = max(part[f"power_at_{rate}"]["psis"], 1.0)
            found.append((case[2], part[f"power_at_{rate}"] / reference))
            errors.append(part[f"power_at_{rate}_se"] / reference)
        _rows(panel, found, methods, errors)
        panel.axvline(1.0, color="black", linewidth=0.8)
        panel.set_title(f"at a realized false sign rate of {100 * float(rate):.0f} %", fontsize=10)
        panel.set_xlabel("genes called, over those of psis")
    _legend(figure, methods)
    return figure


def _grid(count: int, height: float = 2.5) -> tuple[Figure, list[Axes]]:
    """Make a figure of small panels, four in a row."""
    columns = min(4, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(2.45 * columns + 0.4, height * rows + 0.6), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for panel in panels[count:]:
        panel.set_axis_off()
    return figure, panels[:count]


def _false_signs(curves: pd.DataFrame, cases: pd.DataFrame) -> Figure:
    """Realized false sign rate against the s-value, both in per cent; the diagonal is perfect calibration."""
    shown = _cases(cases[~cases["problem"].isin(ALIKE) & (cases["genes"] >= ENOUGH)])
    figure, panels = _grid(len(shown))
    methods = [name for name in STYLES if (curves["method"] == name).any()]
    for panel, case in zip(panels, shown, strict=True):
        panel.plot([0.1, 30.0], [0.1, 30.0], color="black", linewidth=0.8)
        for method, part in _of(curves, case).groupby("method"):
            if method not in methods:
                continue
            enough = part[(part["called"] >= FEWEST_CALLED) & (part["false"] > 0)]
            panel.plot(100.0 * enough["s_value"], 100.0 * enough["false"] / enough["called"],
                       color=STYLES[str(method)][0], linewidth=1.6)  # fmt: skip
        panel.set(xscale="log", yscale="log", xlim=(0.1, 30.0), ylim=(0.03, 100.0))
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:g}"))
            axis.set_minor_formatter(NullFormatter())
        panel.set_title(case[2].replace("\n", ", "), fontsize=10)
    figure.supxlabel("s-value, %", fontsize=10)
    figure.supylabel("genes with a false sign among those called, %", fontsize=10)
    _lines_legend(figure, methods)
    return figure


def _lines_legend(figure: Figure, methods: Sequence[str]) -> None:
    handles = [Line2D([], [], color=STYLES[name][0], linewidth=2, label=name) for name in methods]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(len(handles), MOST_IN_A_ROW),
        frameon=False,
        fontsize=9,
    )


def _errors(scores: pd.DataFrame, cases: pd.DataFrame) -> Figure:
    """Mean absolute error by expression, over that of maximum likelihood."""
    shown = _cases(cases[~cases["problem"].isin(ALIKE) & (cases["genes"] >= ENOUGH)])
    figure, panels = _grid(len(shown))
    methods = [name for name in STYLES if (scores["method"] == name).any()]
    for panel, case in zip(panels, shown, strict=True):
        part = _of(scores, case)
        table = part[part["stratum"].str.startswith("expression")].pivot(
            index="stratum", columns="method", values="mae"
        )
        for method in methods:
            if method in table:
                color, mark = STYLES[method]
                ratio = table[method] / table["DESeq2 (MLE)"]
                panel.plot(
                    range(1, len(ratio) + 1), ratio, color=color, marker=mark, markersize=4, linewidth=1.3
                )
        panel.set_xticks(range(1, 5))
        panel.set_ylim(0.0, 1.2)
        panel.set_title(case[2].replace("\n", ", "), fontsize=10)
    figure.supxlabel("quarter of the genes by base mean, lowest first", fontsize=10)
    figure.supylabel("mean absolute error over that of DESeq2 (MLE)", fontsize=10)
    _legend(figure, methods, "-")
    return figure


def _calibration(calibration: pd.DataFrame, cases: pd.DataFrame) -> Figure:
    """Genes by the posterior probability below the truth, for effects and dispersions of method psis."""
    table = calibration[(calibration["method"] == "psis") & (calibration["stratum"] == "all")]
    shown = [case for case in _cases(cases) if _of(table, case)["quantity"].nunique() == 2]
    figure = Figure(figsize=(1.75 * len(shown) + 0.6, 4.0), layout="constrained")
    grid = figure.subplots(2, len(shown), squeeze=False, sharex=True, sharey="row")
    for column, case in enumerate(shown):
        for row, quantity in enumerate(("effect", "dispersion")):
            part = _of(table, case)
            part = part[part["quantity"] == quantity]
            panel, genes = grid[row, column], part["genes"].to_numpy()
            expected = genes.sum() / genes.size
            reach = 2.0 * np.sqrt(expected * (1.0 - 1.0 / genes.size)) / expected
            panel.axhspan(1.0 - reach, 1.0 + reach, color="#DDDDDD", zorder=0)
            panel.bar(part["bin"], genes / expected, width=1.0 / genes.size, align="edge",
                      color=STYLES["psis"][0], edgecolor="white", alpha=0.85)  # fmt: skip
            panel.axhline(1.0, color="black", linewidth=0.8)
            panel.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            if row == 0:
                panel.set_title(case[2], fontsize=10)
    grid[0, 0].set_ylabel("effect", fontsize=10)
    grid[1, 0].set_ylabel("dispersion", fontsize=10)
    figure.supxlabel("posterior probability below the truth", fontsize=10)
    figure.supylabel("genes, over what is expected", fontsize=10)
    return figure
