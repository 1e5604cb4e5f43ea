"""Forest plots: intervals of genes beside their point estimates; and what shrinkage did to estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.plots.gene_labels import first_rows, gene_rows, label_points, labelled_rows, shown_names
from bayesde.plots.style import BLACK, BLUE, ORANGE, demand, legend_outside, new_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["interval_plot", "shrinkage_plot"]


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
        Which genes, by identifier or symbol, from top to bottom; by default the `top` genes with the
        smallest lfsr.
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
    rows = posterior.iloc[_chosen(posterior, genes, top)]
    chosen = rows.index
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
    ax.set_yticks(height, shown_names(rows))
    ax.set_ylim(-0.8, len(chosen) - 0.2)
    ax.set_xlabel("log2 fold change")
    legend_outside(ax)
    return ax


def shrinkage_plot(
    shrunken: pd.DataFrame,
    mle: pd.DataFrame,
    *,
    label: int | Sequence[str] = 5,
    limit: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot shrunken effects against maximum-likelihood estimates, to see where shrinkage moved them.

    Genes on the diagonal were not moved. Colours show the standard error of the maximum-likelihood estimate:
    what is poorly known is moved most. Genes beyond the limits are drawn as triangles on the edge.

    Parameters
    ----------
    shrunken : ResultsTable
        Of a posterior (``post.results()``) or of shrunken estimates (``fit.shrink()``).
    mle : ResultsTable
        Maximum-likelihood estimates (``fit.results()``) of the same contrast, with ``lfc_se``.
    label : int or sequence of str
        Genes to name: how many, those that were moved most first, or which, by identifier or symbol.
    limit : float, optional
        Largest absolute log2 fold change on the axes; by default what holds 99.8 % of the
        estimates of each kind.
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
    demand(shrunken, ["log2_fold_change"])
    demand(mle, ["log2_fold_change", "lfc_se"])
    both = shrunken.assign(
        mle=mle["log2_fold_change"].reindex(shrunken.index), se=mle["lfc_se"].reindex(shrunken.index)
    )
    both = both[both[["log2_fold_change", "mle", "se"]].notna().all(axis=1)]
    both = both.assign(kept_back=-(both["mle"] - both["log2_fold_change"]).abs())
    x, y = both["mle"].to_numpy(), both["log2_fold_change"].to_numpy()
    edge = limit or _end(x, y)
    ax = ax or new_axes((6.4, 5.0))
    points = np.clip(np.column_stack([x, y]), -edge, edge)
    _coloured_by_error(ax, points, np.maximum(np.abs(x), np.abs(y)) > edge, both["se"].to_numpy())
    ax.plot([-edge, edge], [-edge, edge], color=BLACK, linewidth=0.8, label="not moved")
    ax.axhline(0.0, color=BLACK, linewidth=0.4, linestyle=":")
    ax.set(xlim=(-1.05 * edge, 1.05 * edge), ylim=(-1.05 * edge, 1.05 * edge), aspect="equal")
    ax.set(xlabel="maximum likelihood, log2 fold change", ylabel="shrunken log2 fold change")
    ax.spines[["top", "right"]].set_visible(False)
    rows = labelled_rows(label, both, "kept_back", np.ones(len(both), dtype=bool))
    label_points(ax, points[rows], shown_names(both.iloc[rows]), obstacles=points)
    return ax


def _coloured_by_error(ax: Axes, points: np.ndarray, beyond: np.ndarray, errors: np.ndarray) -> None:
    """Scatter points, those with large standard errors on top; the scale ends at the 98 % quantile."""
    if not len(points):
        return
    order = np.argsort(errors, kind="stable")
    style: dict[str, Any] = {
        "cmap": "viridis_r",
        "vmin": 0.0,
        "vmax": float(np.quantile(errors, 0.98)) or 1.0,
    }
    for mask, marker, size in ((~beyond, "o", 6.0), (beyond, "^", 16.0)):
        rows = order[mask[order]]
        drawn = ax.scatter(
            points[rows, 0], points[rows, 1], c=errors[rows], s=size, marker=marker, linewidths=0, **style
        )
    ax.figure.colorbar(
        drawn, ax=ax, shrink=0.6, extend="max", label="standard error of the maximum-likelihood estimate"
    )


def _end(mle: np.ndarray, shrunken: np.ndarray) -> float:
    """Choose the end of both axes."""
    if not mle.size:
        return 1.0
    return max(1.0, *(float(np.quantile(np.abs(values), 0.998)) for values in (mle, shrunken)))


def _chosen(table: pd.DataFrame, genes: Sequence[str] | None, top: int) -> list[int]:
    """Return the rows of the genes to draw."""
    if genes is not None:
        return gene_rows(genes, table.index, table.get("gene_name"), "the table")
    demand(table, ["lfsr"])
    return first_rows(table, "lfsr", top, table["lfc_lower"].notna().to_numpy())
