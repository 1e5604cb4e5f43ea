"""Heatmaps with their dendrograms: distances of samples, and the genes of a table by sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesde.eb.estimates import EbEstimates
from bayesde.errors import InputError
from bayesde.explore.sample_distances import LINKAGES, clustered
from bayesde.explore.transformed import SampleValues, stabilized
from bayesde.options import check_choice, check_whole
from bayesde.plots.gene_labels import first_rows, gene_rows
from bayesde.plots.groups import SampleGroups, draw_legend, sample_groups
from bayesde.plots.style import BLACK, SMALL, new_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from bayesde.counts import Counts
    from bayesde.explore import SampleDistances

__all__ = ["heatmap_plot", "sample_distance_plot"]

_MOST_NAMES = 60
"""Rows or columns up to which each has a name."""
_MOST_NUMBERS = 12
"""Samples up to which distances are written into the cells."""
_LARGEST_Z = 3.0
"""End of the scale of colours of z-scores."""
_MEASURES = ("s_value", "lfsr", "padj", "p_value")


def sample_distance_plot(distances: SampleDistances, *, by: Any = None, ax: Axes | None = None) -> Axes:
    """Plot distances between samples as a heatmap, in the order of their tree, which is drawn above it.

    Parameters
    ----------
    distances : SampleDistances
        From `bayesde.sample_distances`.
    by : str or sequence (sample,), optional
        A column of the sample table, or labels, for a row of colours above the heatmap.
    ax : matplotlib.axes.Axes, optional
        Where to draw the heatmap; the tree is above it and the scale right of it, for which a figure with
        ``layout="constrained"`` makes room. By default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The heatmap; its ``child_axes`` are the colours of groups (if asked for), the tree and the scale.

    Raises
    ------
    InputError
        If there is no such column.
    """
    names, order = distances.distances.index, distances.order
    n = len(names)
    groups = sample_groups(distances.sample_table, names, by, levels=True)
    side = min(2.6 + 0.32 * n, 8.0)
    ax = ax or new_axes((side + 1.6, side))
    values = distances.distances.to_numpy()[np.ix_(order, order)]
    image = ax.imshow(values, cmap="viridis_r", aspect="auto", interpolation="nearest", vmin=0.0)
    if n <= _MOST_NUMBERS:
        _write_numbers(ax, values)
    ordered = [str(name) for name in names[order]]
    _name(ax, "samples", ordered, ordered)
    _above(ax, groups, order, distances.linkage)
    _scale(ax, image, "distance")
    return ax


def heatmap_plot(
    values: Counts | EbEstimates | pd.DataFrame,
    table: pd.DataFrame | None = None,
    *,
    genes: Sequence[str] | None = None,
    top: int = 30,
    by: Any = None,
    linkage: str = "average",
    ax: Axes | None = None,
) -> Axes:
    """Plot genes by samples as a heatmap of z-scores, clustered both ways.

    The z-score of a value is its distance from the mean of the gene over the samples, in standard deviations;
    colours end at 3 at most. Clusters are joined by Euclidean distances of the z-scores.

    Parameters
    ----------
    values : Counts, EbFit or pandas.DataFrame (gene, sample)
        Counts are transformed by `bayesde.vst` without a design, those of a fit with its trend; a table has
        values that are transformed already.
    table : ResultsTable, optional
        The `top` genes with the smallest ``s_value`` (or ``lfsr``, ``padj``, ``p_value``) in it are drawn;
        without a table, those of largest variance.
    genes : sequence of str, optional
        Identifiers or symbols of the genes to draw instead.
    top : int
        How many genes, if they are not named.
    by : str or sequence (sample,), optional
        A column of the sample table, or labels, for a row of colours above the heatmap.
    linkage : {"average", "complete", "single", "ward"}
        Distance of two clusters.
    ax : matplotlib.axes.Axes, optional
        Where to draw the heatmap; trees are above and left of it and the scale right of it, for which a
        figure with ``layout="constrained"`` makes room. By default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The heatmap; its ``child_axes`` are the colours of groups (if asked for), the trees and the scale.

    Raises
    ------
    InputError
        If a gene or column is missing, or there is no gene to draw.
    OptionError
        If `top` is not a whole number above 0, or the linkage is unknown.
    """
    check_whole("top", top, 1, 10_000)
    check_choice("linkage", linkage, LINKAGES)
    given = stabilized(values)
    counts = values.counts if isinstance(values, EbEstimates) else values
    symbols = _symbols(given, counts, table)
    rows = _rows(given, table, genes, top, symbols)
    groups = sample_groups(given.sample_table, given.samples, by, levels=True)
    z = z_scores(given.values[rows])
    row_tree, row_order = clustered(_euclidean(z), linkage)
    tree, order = clustered(_euclidean(z.T), linkage)
    names = [str(symbols[row] or given.genes[row]) for row in rows]
    ax = ax or new_axes((min(3.4 + 0.32 * len(order), 8.5), min(2.2 + 0.19 * len(rows), 9.0)))
    end = min(float(np.abs(z).max()) or 1.0, _LARGEST_Z)
    image = ax.imshow(
        z[np.ix_(row_order, order)],
        cmap="RdBu_r",
        aspect="auto",
        interpolation="nearest",
        vmin=-end,
        vmax=end,
    )
    _name(ax, "genes", [names[row] for row in row_order], [str(name) for name in given.samples[order]])
    _above(ax, groups, order, tree)
    _tree(ax.inset_axes((-0.14, 0.0, 0.13, 1.0)), row_tree, "left")
    _scale(ax, image, "z-score")
    return ax


def z_scores(values: np.ndarray) -> np.ndarray:
    """Standardize each gene over the samples.

    Parameters
    ----------
    values : ndarray (gene, sample)

    Returns
    -------
    ndarray (gene, sample)
        0 for a gene that does not vary.
    """
    centered = values - values.mean(axis=1, keepdims=True)
    sd = values.std(axis=1, ddof=1, keepdims=True)
    return np.divide(centered, sd, out=np.zeros_like(centered), where=sd > 0.0)


def _euclidean(points: np.ndarray) -> np.ndarray:
    """Return distances of all pairs (point, point)."""
    from scipy.spatial.distance import pdist, squareform  # slow to load

    return np.asarray(squareform(pdist(points)))


def _symbols(given: SampleValues, counts: Any, table: pd.DataFrame | None) -> np.ndarray:
    """Return names for display (gene,), empty where there is none: of the counts, or of the table."""
    known = getattr(counts, "gene_names", None)
    if known is None and table is not None and "gene_name" in table:
        known = table["gene_name"].reindex(given.genes).fillna("").to_numpy()
    return np.full(len(given.genes), "", dtype=object) if known is None else np.asarray(known, dtype=object)


def _rows(
    given: SampleValues,
    table: pd.DataFrame | None,
    genes: Sequence[str] | None,
    top: int,
    symbols: np.ndarray,
) -> np.ndarray:
    """Return the positions of the genes to draw."""
    if genes is not None:
        rows = np.array(gene_rows(genes, given.genes, symbols, "the heatmap"), dtype=np.int64)
    elif table is not None:
        rows = given.genes.get_indexer(_first(table, top))
        if (rows < 0).any():
            raise InputError("the table has genes that the values lack; give the counts that were fitted.")
    else:
        variances = given.values.var(axis=1)
        rows = np.argsort(-variances, kind="stable")[:top]
        rows = rows[variances[rows] > 0.0]
    if not rows.size:
        raise InputError("there is no gene to draw: none was named, has a value in the table, or varies.")
    return rows


def _first(table: pd.DataFrame, top: int) -> pd.Index:
    """Return the genes with the smallest values of the first measure that the table has."""
    measure = next((name for name in _MEASURES if name in table), None)
    if measure is None:
        raise InputError(f"the table has none of the columns {', '.join(_MEASURES)}; name the genes instead.")
    return table.index[first_rows(table, measure, top)]


def _name(ax: Axes, kind: str, rows: list[str], columns: list[str]) -> None:
    """Name the rows on the right and the columns below, in letters that fit; of very many none."""
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelsize=SMALL)
    ax.yaxis.tick_right()
    ax.set_yticks(*_ticks(rows))
    ax.set_xticks(*_ticks(columns), rotation=90)
    if len(columns) > _MOST_NAMES:
        ax.set_xlabel(f"{len(columns)} samples")
    if len(rows) > _MOST_NAMES:
        ax.set_ylabel(f"{len(rows)} {kind}")
        ax.yaxis.set_label_position("right")


def _ticks(names: list[str]) -> tuple[np.ndarray, list[str]]:
    shown = names if len(names) <= _MOST_NAMES else []
    return np.arange(len(shown)), shown


def _write_numbers(ax: Axes, values: np.ndarray) -> None:
    """Write distances into the cells, white on dark ones."""
    largest = values.max() or 1.0
    for (row, column), value in np.ndenumerate(values):
        if row != column:
            colour = "white" if value > 0.6 * largest else BLACK
            ax.text(column, row, f"{value:.3g}", ha="center", va="center", color=colour, fontsize=SMALL - 1.0)


def _above(ax: Axes, groups: SampleGroups, order: np.ndarray, tree: np.ndarray) -> None:
    """Draw the colours of the groups above the columns, and their tree above that."""
    bottom = 1.01
    if groups.levels != ("",):
        from matplotlib.colors import to_rgb

        strip = ax.inset_axes((0.0, bottom, 1.0, 0.035))
        strip.imshow([[to_rgb(groups.colours[groups.labels[j]]) for j in order]], aspect="auto")
        strip.set(xticks=[], yticks=[])
        strip.spines[:].set_visible(False)
        bottom += 0.045
    crown = ax.inset_axes((0.0, bottom, 1.0, 0.14))
    _tree(crown, tree, "top")
    draw_legend(crown, groups, above=True)


def _tree(ax: Axes, tree: np.ndarray, where: str) -> None:
    """Draw a dendrogram whose leaves are at the middles of cells."""
    from scipy.cluster.hierarchy import dendrogram

    ax.set_axis_off()
    if not len(tree):
        return
    found = dendrogram(tree, no_plot=True)
    for places, heights in zip(found["icoord"], found["dcoord"], strict=True):
        across, up = (np.asarray(places) - 5.0) / 10.0, np.asarray(heights)
        ax.plot(*((up, across) if where == "left" else (across, up)), color=BLACK, linewidth=0.7)
    last, highest = len(tree) + 0.5, 1.03 * max(float(tree[:, 2].max()), 1e-300)
    if where == "left":
        ax.set(ylim=(last, -0.5), xlim=(highest, 0.0))
    else:
        ax.set(xlim=(-0.5, last), ylim=(0.0, highest))


def _scale(ax: Axes, image: Any, label: str) -> None:
    """Draw the scale of colours below the legend, right of the names."""
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.4, pad=0.02, aspect=14, anchor=(0.0, 0.0))
    bar.set_label(label, fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)
