"""Plots of results tables: effects by expression, intervals, p-values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.errors import InputError, first_few
from bayesde.plots.style import BLACK, BLUE, GREY, ORANGE, demand, legend_outside, mark_powers, new_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["interval_plot", "ma_plot", "p_value_histogram"]

_FEW_GENES = 2000


def ma_plot(
    table: pd.DataFrame, *, level: float | None = None, limit: float | None = None, ax: Axes | None = None
) -> Axes:
    """Plot log2 fold changes against mean counts.

    Genes with ``s_value`` (shrunken and posterior tables) or else ``padj`` below `level` are highlighted.
    Genes beyond the limits of the axis are drawn as triangles on its edge.

    Parameters
    ----------
    table : ResultsTable
        With ``base_mean`` and ``log2_fold_change``.
    level : float, optional
        Level of the s-value (default 0.005, apeglm's) or adjusted p-value (default 0.1, DESeq2's).
    limit : float, optional
        Largest absolute log2 fold change on the axis; by default what holds all of a few thousand genes,
        and 99.9 % of more.
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
    measure = "s_value" if "s_value" in table else "padj"
    level = level or (0.005 if measure == "s_value" else 0.1)
    demand(table, ["base_mean", "log2_fold_change", measure])
    ax = ax or new_axes((8.0, 4.2))
    known = table[(table["base_mean"] > 0) & table["log2_fold_change"].notna()]
    effect = known["log2_fold_change"].to_numpy()
    edge = limit or _edge(np.abs(effect))
    enlarged = 1.0 if effect.size > _FEW_GENES else 3.0
    chosen = known[measure].to_numpy() < level
    name = "s-value" if measure == "s_value" else "adjusted p-value"
    for mask, colour, size, label in (
        (~chosen, GREY, 3.0, f"other genes ({(~chosen).sum():,})"),
        (chosen, BLUE, 7.0, f"{name} < {level:g} ({chosen.sum():,})"),
    ):
        _clipped(ax, known["base_mean"].to_numpy()[mask], effect[mask], edge, colour, size * enlarged, label)
    ax.axhline(0.0, color=BLACK, linewidth=0.8)
    ax.set(ylim=(-1.05 * edge, 1.05 * edge))
    if effect.size:
        ax.set_xscale("log")
        mark_powers(ax.xaxis)
    ax.set_xlabel("mean of normalized counts")
    ax.set_ylabel("log2 fold change")
    legend_outside(ax)
    return ax


def interval_plot(
    posterior: pd.DataFrame,
    mle: pd.DataFrame | None = None,
    map: pd.DataFrame | None = None,
    *,
    genes: Sequence[str] | None = None,
    top: int = 25,
    ax: Axes | None = None,
) -> Axes:
    """Plot posterior means and intervals of genes next to their point estimates.

    Parameters
    ----------
    posterior : ResultsTable
        With ``log2_fold_change``, ``lfc_lower``, ``lfc_upper`` (and ``lfsr``, if genes are to be chosen).
    mle, map : ResultsTable, optional
        Maximum-likelihood estimates (``fit.results()``) and shrunken modes (``fit.shrink()``).
    genes : sequence of str, optional
        Which genes, from top to bottom; by default the `top` genes with the smallest lfsr.
    top : int
        How many genes, if they are not named.
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
    demand(posterior, ["log2_fold_change", "lfc_lower", "lfc_upper"])
    chosen = _chosen(posterior, genes, top)
    rows = posterior.loc[chosen]
    ax = ax or new_axes((8.0, 1.2 + 0.3 * len(chosen)))
    height = np.arange(len(chosen))[::-1]
    ax.hlines(
        height, rows["lfc_lower"], rows["lfc_upper"], color=BLUE, linewidth=2.0, label="posterior interval"
    )
    ax.plot(rows["log2_fold_change"], height, "o", color=BLUE, markersize=5, label="posterior mean")
    for table, marker, colour, shift, label in (
        (map, "D", ORANGE, 0.25, "posterior mode (MAP)"),
        (mle, "s", BLACK, -0.25, "maximum likelihood"),
    ):
        if table is not None:
            effect = table["log2_fold_change"].reindex(chosen)
            ax.plot(
                effect,
                height + shift,
                marker,
                color=colour,
                markersize=4,
                markerfacecolor="none",
                label=label,
            )
    ax.axvline(0.0, color=BLACK, linewidth=0.8)
    ax.set_yticks(height, _shown_names(rows))
    ax.set_ylim(-0.8, len(chosen) - 0.2)
    ax.set_xlabel("log2 fold change")
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


def _chosen(table: pd.DataFrame, genes: Sequence[str] | None, top: int) -> list[str]:
    """Return the genes to draw."""
    if genes is None:
        demand(table, ["lfsr"])
        known = table[table["lfc_lower"].notna() & table["lfsr"].notna()]
        order = np.lexsort((-known["log2_fold_change"].abs().to_numpy(), known["lfsr"].to_numpy()))
        return list(known.index[order[:top]])
    unknown = [gene for gene in genes if gene not in table.index]
    if unknown:
        raise InputError(
            f"the table has no gene {first_few(unknown)}; its genes are {first_few(table.index, 3)}."
        )
    return list(genes)


def _shown_names(rows: pd.DataFrame) -> list[str]:
    """Return the genes' symbols where the table has them."""
    genes = list(map(str, rows.index))
    return [name or gene for name, gene in zip(rows.get("gene_name", genes), genes, strict=True)]


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
