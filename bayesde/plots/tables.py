"""Plots of results tables: effects by expression and by evidence, numbers of calls, p-values."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.options import check_choice, check_range
from bayesde.plots.gene_labels import label_points, labelled_rows, shown_names
from bayesde.plots.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PALETTE,
    demand,
    legend_outside,
    mark_powers,
    new_axes,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["ma_plot", "p_value_histogram", "s_value_plot", "volcano_plot"]

_FEW_GENES = 2000
_WORDS = {
    "s_value": "s-value",
    "lfsr": "local false sign rate",
    "padj": "adjusted p-value",
    "p_value": "p-value",
}
"""What measures of evidence are called."""
_MARKS = (0.01, 0.05)
"""Levels at which calls are counted."""


def ma_plot(
    table: pd.DataFrame,
    *,
    level: float | None = None,
    limit: float | None = None,
    intervals: bool = False,
    label: int | Sequence[str] = 0,
    ax: Axes | None = None,
) -> Axes:
    """Plot log2 fold changes against mean counts.

    Genes with ``s_value`` (shrunken and posterior tables) or else ``padj`` below `level` are highlighted;
    none of a table that has neither, as of point estimates with random effects. Genes beyond the limits of
    the axis are drawn as triangles on its edge.

    Parameters
    ----------
    table : ResultsTable
        With ``base_mean`` and ``log2_fold_change``.
    level : float, optional
        Level of the s-value (default 0.005, apeglm's) or adjusted p-value (default 0.1, DESeq2's).
    limit : float, optional
        Largest absolute log2 fold change on the axis; by default what holds all of a few thousand genes,
        and 99.9 % of more.
    intervals : bool
        Whether highlighted and labelled genes have their intervals, ``lfc_lower`` to ``lfc_upper``.
    label : int or sequence of str
        Genes to name: how many of those that are highlighted, the smallest s-values or p-values first, or
        which, by identifier or symbol.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If a column or gene is missing.
    """
    measure = next((name for name in ("s_value", "padj") if name in table), "")
    level = level or (0.005 if measure == "s_value" else 0.1)
    evidence = [] if measure or not isinstance(label, int) or label == 0 else ["padj"]
    demand(table, ["base_mean", "log2_fold_change", *evidence])
    ax = ax or new_axes((8.0, 4.2))
    known = table[(table["base_mean"] > 0) & table["log2_fold_change"].notna()]
    mean, effect = known["base_mean"].to_numpy(), known["log2_fold_change"].to_numpy()
    edge = limit or _edge(np.abs(effect))
    enlarged = 1.0 if effect.size > _FEW_GENES else 3.0
    chosen = known[measure].to_numpy() < level if measure else np.zeros(mean.size, dtype=bool)
    rows = labelled_rows(label, known, measure, chosen) if measure or not isinstance(label, int) else []
    others = [(~chosen, GREY, 3.0, f"{'other ' if measure else ''}genes ({(~chosen).sum():,})")]
    highlighted = (
        [(chosen, BLUE, 7.0, f"{_WORDS[measure]} < {level:g} ({chosen.sum():,})")] if measure else []
    )
    for mask, colour, size, text in others + highlighted:
        _clipped(ax, mean[mask], effect[mask], edge, colour, size * enlarged, text)
    if intervals:
        marked = chosen.copy()
        marked[rows] = True
        _intervals(ax, known[marked], edge)
    ax.axhline(0.0, color=BLACK, linewidth=0.8)
    ax.set(ylim=(-1.05 * edge, 1.05 * edge))
    if effect.size:
        ax.set_xscale("log")
        mark_powers(ax.xaxis)
    ax.set_xlabel("mean of normalized counts")
    ax.set_ylabel("log2 fold change")
    legend_outside(ax)
    points = np.column_stack([mean, np.clip(effect, -edge, edge)])
    label_points(ax, points[rows], shown_names(known.iloc[rows]), obstacles=points)
    return ax


def volcano_plot(
    table: pd.DataFrame,
    *,
    measure: str | None = None,
    level: float | None = None,
    lfc_threshold: float = 0.0,
    limit: float | None = None,
    label: int | Sequence[str] = 10,
    ax: Axes | None = None,
) -> Axes:
    """Plot the evidence for an effect against its size.

    Genes with a measure below `level` are highlighted, those with positive and negative effects in two
    colours. Genes beyond the limits of the axes are drawn as triangles on the edge.

    Parameters
    ----------
    table : ResultsTable
        With ``log2_fold_change``.
    measure : {"s_value", "lfsr", "padj", "p_value"}, optional
        Column of the vertical axis, as -log10; by default the s-value if there is one, else ``padj``.
    level : float, optional
        Level of the measure; by default 0.005 of the s-value and the local false sign rate, else 0.1.
    lfc_threshold : float
        Smallest absolute log2 fold change of highlighted genes. (For a threshold that the posterior or test
        takes into account, give it to the method that makes the table.)
    limit : float, optional
        Largest absolute log2 fold change on the axis; by default what holds 99 % of the genes and, up to
        four times that, those that are highlighted.
    label : int or sequence of str
        Genes to name: how many of those that are highlighted, those with the most evidence first, or which,
        by identifier or symbol.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If a column or gene is missing.
    OptionError
        If the measure is unknown, or a number is out of its range.
    """
    measure = measure or ("s_value" if "s_value" in table else "padj")
    check_choice("measure", measure, _WORDS)
    check_range("lfc_threshold", lfc_threshold, 0.0, 100.0)
    level = level or (0.005 if measure in ("s_value", "lfsr") else 0.1)
    demand(table, ["log2_fold_change", measure])
    known = table[table["log2_fold_change"].notna() & table[measure].notna()]
    effect, evidence = known["log2_fold_change"].to_numpy(), _evidence(known[measure].to_numpy())
    ax = ax or new_axes((8.0, 4.6))
    chosen = (known[measure].to_numpy() < level) & (np.abs(effect) >= lfc_threshold)
    edge, top = limit or _volcano_edge(np.abs(effect), chosen), _top(evidence)
    up, down = chosen & (effect > 0.0), chosen & (effect < 0.0)
    points = np.column_stack([np.clip(effect, -edge, edge), np.minimum(evidence, top)])
    x, y = points.T
    for mask, colour, text in (
        (~(up | down), GREY, "other genes"),
        (up, ORANGE, f"{_WORDS[measure]} < {level:g}, up"),
        (down, BLUE, f"{_WORDS[measure]} < {level:g}, down"),
    ):
        size = (4.0 if colour == GREY else 9.0) * (1.0 if effect.size > _FEW_GENES else 2.5)
        style: dict[str, Any] = {"color": colour, "alpha": 0.7, "linewidths": 0}
        inside = mask & (np.abs(effect) <= edge) & (evidence <= top)
        ax.scatter(x[inside], y[inside], s=size, label=f"{text} ({mask.sum():,})", **style)
        for beyond, shape in ((effect > edge, ">"), (effect < -edge, "<"), (evidence > top, "^")):
            beyond = mask & beyond & ((shape != "^") | (np.abs(effect) <= edge))
            ax.scatter(x[beyond], y[beyond], s=14, marker=shape, **style)
    for place in (-lfc_threshold, lfc_threshold) if lfc_threshold else ():
        ax.axvline(place, color=BLACK, linewidth=0.8, linestyle="--")
    ax.axhline(-np.log10(level), color=BLACK, linewidth=0.8, linestyle="--")
    ax.set(xlim=(-1.05 * edge, 1.05 * edge), ylim=(-0.02 * top, 1.05 * top), xlabel="log2 fold change")
    ax.set_ylabel(f"-log10 {_WORDS[measure]}")
    legend_outside(ax)
    rows = labelled_rows(label, known, measure, up | down)
    label_points(ax, points[rows], shown_names(known.iloc[rows]), obstacles=points)
    return ax


def s_value_plot(
    tables: pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    measure: str = "s_value",
    limit: float = 0.2,
    ax: Axes | None = None,
) -> Axes:
    """Plot how many genes are called at each level of the s-value.

    A gene is called if its s-value is not above the level: of these calls, at most that part is expected to
    have the wrong sign.

    Parameters
    ----------
    tables : ResultsTable, or mapping of str to ResultsTable
        One table, or several by the names that the legend is to have.
    measure : {"s_value", "lfsr", "padj", "p_value"}
        Column to count by.
    limit : float
        Largest level, above 0 and at most 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The legend has the numbers of calls at 0.01 and 0.05.

    Raises
    ------
    InputError
        If a column is missing.
    OptionError
        If the measure is unknown, or the limit out of its range.
    """
    check_choice("measure", measure, _WORDS)
    check_range("limit", limit, 1e-12, 1.0)
    given = tables if isinstance(tables, Mapping) else {"genes": tables}
    ax = ax or new_axes((8.0, 3.8))
    for (name, table), colour in zip(given.items(), cycle(PALETTE)):
        demand(table, [measure])
        values = np.sort(table[measure].dropna().to_numpy())
        inside = values[values <= limit]
        x = np.concatenate([[0.0], inside, [limit]])
        y = np.concatenate([np.arange(inside.size + 1), [inside.size]])
        told = ", ".join(f"{(values <= mark).sum():,} at {mark:g}" for mark in _MARKS if mark <= limit)
        text = f"{name}: {told}" if told else name
        ax.plot(x, y, color=colour, linewidth=1.6, drawstyle="steps-post", label=text)
    for mark in _MARKS:
        if mark <= limit:
            ax.axvline(mark, color=BLACK, linewidth=0.6, linestyle=":")
    ax.set(xlim=(0.0, limit), ylim=(0.0, None), xlabel=_WORDS[measure], ylabel="genes called")
    legend_outside(ax)
    return ax


def p_value_histogram(table: pd.DataFrame, *, bins: int = 50, ax: Axes | None = None) -> Axes:
    """Plot a histogram of p-values; those of genes that were filtered out are stacked on top, in grey.

    Parameters
    ----------
    table : ResultsTable
        With ``p_value`` and ``padj``.
    bins : int
        Number of bars from 0 to 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If a column is missing.
    """
    demand(table, ["p_value", "padj"])
    ax = ax or new_axes((8.0, 3.2))
    known = table[table["p_value"].notna()]
    counted, below = known["padj"].notna().to_numpy(), np.zeros(bins)
    for mask, colour, label in ((counted, BLUE, "adjusted"), (~counted, GREY, "filtered out")):
        counts, edges = np.histogram(known["p_value"].to_numpy()[mask], bins=bins, range=(0.0, 1.0))
        name = f"{label} ({mask.sum():,})"
        ax.stairs(below + counts, edges, baseline=below, fill=True, color=colour, label=name)
        below = below + counts
    ax.set(xlim=(0.0, 1.0), xlabel="p-value", ylabel="genes")
    legend_outside(ax)
    return ax


def _volcano_edge(sizes: np.ndarray, chosen: np.ndarray) -> float:
    """Choose the end of an axis that holds 99 % of the genes, and those highlighted that are not far off."""
    edge = max(1.0, float(np.quantile(sizes, 0.99))) if sizes.size else 1.0
    return max(edge, min(4.0 * edge, 1.05 * float(sizes[chosen].max(initial=0.0))))


def _evidence(values: np.ndarray) -> np.ndarray:
    """Return -log10 of probabilities; a zero, which is too small for a number, gives infinity."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log10(values) + 0.0)


def _top(evidence: np.ndarray) -> float:
    """Choose the end of the axis of evidence: that of all genes, or of nearly all where a few are far off."""
    finite = evidence[np.isfinite(evidence)]
    if not finite.size:
        return 1.0
    highest = float(finite.max())
    return max(1.0, min(highest, 3.0 * float(np.quantile(finite, 0.999))))


def _intervals(ax: Axes, rows: pd.DataFrame, edge: float) -> None:
    """Draw the intervals of some genes, as far as they are on the axis."""
    demand(rows, ["lfc_lower", "lfc_upper"])
    ends = np.clip(rows[["lfc_lower", "lfc_upper"]].to_numpy(), -edge, edge)
    ax.vlines(rows["base_mean"], *ends.T, color=BLUE, linewidth=0.7, alpha=0.35, zorder=1.5, label="interval")


def _edge(sizes: np.ndarray) -> float:
    """Choose the end of an axis for absolute effects."""
    if not sizes.size:
        return 1.0
    shown = 1.0 if sizes.size <= _FEW_GENES else 0.999
    return max(1.0, float(np.quantile(sizes, shown)))


def _clipped(
    ax: Axes, mean: np.ndarray, effect: np.ndarray, edge: float, colour: str, size: float, label: str
) -> None:
    """Scatter points, those beyond the edge as triangles that point outwards."""
    inside = np.abs(effect) <= edge
    style: dict[str, Any] = {"color": colour, "alpha": 0.7, "linewidths": 0}
    ax.scatter(mean[inside], effect[inside], s=size, label=label, **style)
    for sign, marker in ((1.0, "^"), (-1.0, "v")):
        beyond = sign * effect > edge
        ax.scatter(mean[beyond], np.full(beyond.sum(), sign * edge), s=14, marker=marker, **style)
