"""Plots of samples: library sizes, log-CPM densities, normalization, principal components and scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.counts import Counts
from bayesde.errors import InputError
from bayesde.explore.composition import NEAR
from bayesde.explore.sample_summary import gene_mask
from bayesde.normalize.scaled import log_cpm
from bayesde.options import nearest
from bayesde.plots.densities import kernel_density
from bayesde.plots.gene_labels import label_points
from bayesde.plots.groups import SampleGroups, draw_legend, sample_groups
from bayesde.plots.style import BLACK, BLUE, GREY, MARKERS, ORANGE, PALETTE, SMALL, new_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from bayesde.explore import GeneFilter, NormalizationCheck, SampleMds, SamplePca
    from bayesde.explore.composition import RatioComparison

__all__ = ["library_size_plot", "log_cpm_density_plot", "mds_plot", "normalization_plot", "pca_plot"]

_MOST_NAMES = 60
"""Samples up to which each bar has a name."""
_MOST_LABELS = 40
"""Samples up to which each point has a name by default."""
_GRID = 256


def library_size_plot(counts: Counts, *, by: Any = None, ax: Axes | None = None) -> Axes:
    """Plot the number of reads of each sample as bars, with a line at the median.

    Parameters
    ----------
    counts : Counts
    by : str or sequence (sample,), optional
        A column of the sample table, or labels, for the colours.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The first sample is on top.

    Raises
    ------
    InputError
        If there is no such column.
    """
    _demand_counts(counts)
    groups = sample_groups(counts.sample_table, counts.samples, by, levels=True)
    millions, n = counts.library_sizes / 1e6, counts.n_samples
    ax = ax or new_axes((7.0, min(1.0 + 0.26 * n, 8.0)))
    colours = [groups.colours[label] for label in groups.labels]
    ax.barh(np.arange(n), millions, color=colours, height=0.75)
    median = float(np.median(millions))
    ax.axvline(median, color=BLACK, linewidth=0.8, linestyle="--")
    where = ax.get_xaxis_transform()  # x in units of the data, y as a part of the height
    ax.text(median, 1.01, f"median {median:.3g}", transform=where, ha="center", fontsize=SMALL)
    _name_samples(ax, counts.samples)
    ax.set(ylim=(n - 0.4, -0.6), xlabel="reads in genes, millions")
    ax.spines[["top", "right"]].set_visible(False)
    draw_legend(ax, groups)
    return ax


def log_cpm_density_plot(
    counts: Counts,
    kept: GeneFilter | np.ndarray | None = None,
    *,
    by: Any = None,
    axes: np.ndarray | None = None,
) -> np.ndarray:
    """Plot the distribution of log2 counts per million over genes, one line a sample.

    Parameters
    ----------
    counts : Counts
    kept : GeneFilter or ndarray of bool (gene,), optional
        Genes that a filter keeps: they have a panel of their own, right of that of all genes. The number of
        counts per million that the filter requires is a vertical line.
    by : str or sequence (sample,), optional
        A column of the sample table, or labels, for the colours.
    axes : ndarray of matplotlib.axes.Axes (1,) or (2,), optional
        Where to draw; a new figure by default.

    Returns
    -------
    ndarray of matplotlib.axes.Axes
        One panel, or two with a filter.

    Raises
    ------
    InputError
        If there is no such column, or the filter is of other counts.
    """
    from matplotlib import pyplot as plt

    _demand_counts(counts)
    groups = sample_groups(counts.sample_table, counts.samples, by, levels=True)
    values, mask = log_cpm(counts).to_numpy(), gene_mask(counts, kept)
    panels = [("all genes", np.ones(counts.n_genes, dtype=bool))]
    panels += [("genes that are kept", mask)] if kept is not None else []
    if axes is None:
        size = (4.0 * len(panels) + 1.0, 3.4)
        axes = plt.subplots(1, len(panels), figsize=size, layout="constrained", sharex=True, squeeze=False)[1]
    axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if axes.size != len(panels):
        raise InputError(f"{axes.size} axes were given for {len(panels)} panel(s).")
    low, high = values.min() - 1.0, values.max() + 1.0
    for ax, (title, chosen) in zip(axes, panels, strict=True):
        _densities(ax, values[chosen], groups, np.linspace(low, high, _GRID))
        ax.set(xlim=(low, high), ylim=(0.0, None), xlabel="log2 counts per million")
        ax.set_title(f"{title} ({chosen.sum():,})")
        ax.spines[["top", "right"]].set_visible(False)
        cutoff = getattr(kept, "smallest_cpm", 0.0)
        if cutoff > 0.0:
            ax.axvline(np.log2(cutoff), color=BLACK, linewidth=0.8, linestyle="--")
    axes[0].set_ylabel("density")
    draw_legend(axes[-1], groups)
    return axes


def normalization_plot(check: NormalizationCheck, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Plot what a check of the normalization found.

    Parameters
    ----------
    check : NormalizationCheck
        From `bayesde.normalization_check`.
    axes : ndarray of matplotlib.axes.Axes, optional
        Where to draw, one for each panel; a new figure by default.

    Returns
    -------
    ndarray of matplotlib.axes.Axes (3,) or (4,)
        Size factors of other methods relative to those of median ratios; the genes that take a tenth or more
        of the reads of a sample; the distribution of log ratios between two groups of samples, with the
        median, the peak, and grey where genes are within 1.4-fold of the median; with normalization factors
        by gene and sample, their correlations with the counts within genes.

    Raises
    ------
    InputError
        If the number of axes is wrong.
    """
    from matplotlib import pyplot as plt

    n = 3 if check.factors is None else 4
    if axes is None:
        height = min(2.2 + 0.2 * len(check.size_factors), 8.0)
        axes = plt.subplots(1, n, figsize=(4.2 * n, height), layout="constrained", squeeze=False)[1]
    axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if axes.size != n:
        raise InputError(f"{axes.size} axes were given for {n} panels.")
    _methods(axes[0], check.size_factors)
    _abundant(axes[1], check.abundant_genes)
    _ratios(axes[2], check.comparison)
    if check.factors is not None:
        axes[3].hist(check.factors.correlations, bins=np.linspace(-1.0, 1.0, 41), color=BLUE)
        axes[3].set(xlabel="correlation within genes", ylabel="genes", xlim=(-1.0, 1.0))
        axes[3].set_title("normalization factors and counts")
    for ax in axes:
        ax.title.set_fontsize(10.0)
        ax.spines[["top", "right"]].set_visible(False)
    return axes


def _methods(ax: Axes, factors: pd.DataFrame) -> None:
    """Draw the size factors of each method relative to median ratios, or if there are none to another."""
    reference = "ratio" if factors["ratio"].notna().all() else "poscounts"
    places, names = np.arange(len(factors)), {"ratio": "median ratios", "poscounts": "positive counts"}
    ax.axvline(0.0, color=BLACK, linewidth=0.8)
    for i, name in enumerate(factors.columns.drop(["ratio", reference], errors="ignore")):
        values = np.log2(factors[name] / factors[reference])
        label = {"total": "total counts", "controls": "control genes"}.get(name, names.get(name, name))
        ax.plot(values, places, linestyle="", marker=MARKERS[i], color=PALETTE[i], label=label)
    _name_samples(ax, factors.index)
    ax.set(ylim=(len(factors) - 0.4, -0.6), xlabel=f"log2 size factor relative to {names[reference]}")
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, -0.55), max(high, 0.55))
    ax.set_title("size factors")
    ax.legend(frameon=False, fontsize=SMALL)


def _abundant(ax: Axes, table: pd.DataFrame) -> None:
    """Draw which part of the reads of each sample abundant genes take."""
    ax.set_title("genes with a tenth or more of the reads")
    left, places = np.zeros(table.shape[1]), np.arange(table.shape[1])
    for i, (gene, row) in enumerate(table.head(len(PALETTE)).iterrows()):
        ax.barh(places, row, left=left, color=PALETTE[i], height=0.75, label=str(gene))
        left += row.to_numpy()
    _name_samples(ax, table.columns)
    limit = max(0.2, 1.1 * float(left.max()))
    ax.set(ylim=(table.shape[1] - 0.4, -0.6), xlim=(0.0, limit), xlabel="part of the reads")
    if table.empty:
        ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center")
    else:
        ax.legend(frameon=False, fontsize=SMALL)


def _ratios(ax: Axes, found: RatioComparison | None) -> None:
    """Draw the density of log ratios between two groups."""
    ax.set(xlabel="log2 ratio of normalized counts", ylabel="density of genes")
    if found is None:
        ax.set_title("too few genes to compare")
        return
    low, high = np.quantile(found.log_ratios, [0.005, 0.995])
    grid = np.linspace(min(low, found.median - 1.0), max(high, found.median + 1.0), _GRID)
    ax.axvspan(found.median - NEAR, found.median + NEAR, color=GREY, alpha=0.3, linewidth=0)
    ax.plot(grid, kernel_density(found.log_ratios, grid), color=BLUE)
    ax.axvline(found.median, color=BLACK, linewidth=1.0, label="median")
    ax.axvline(found.mode, color=ORANGE, linewidth=1.0, linestyle="--", label="peak")
    ax.set(ylim=(0.0, None), xlim=(grid[0], grid[-1]))
    ax.set_title(f"{found.first} / {found.second}: {found.share_near:.0%} within 1.4-fold")
    ax.legend(frameon=False, fontsize=SMALL)


def pca_plot(
    pca: SamplePca,
    *,
    by: Any = None,
    marker: Any = None,
    components: tuple[int, int] = (1, 2),
    label: bool | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot two principal components of the samples.

    Parameters
    ----------
    pca : SamplePca
        From `bayesde.sample_pca`.
    by, marker : str or sequence (sample,), optional
        Columns of the sample table, or labels, for the colours and the markers. A numeric variable with many
        values has a scale of colours.
    components : (int, int)
        Which components; the first is 1.
    label : bool, optional
        Whether points have the names of samples; by default if there are at most 40.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Axes are to the same scale, and named with the part of the variance of the chosen genes.

    Raises
    ------
    InputError
        If there is no such component or column.
    """
    return _scatter(pca.coordinates, pca, by, marker, ("PC", components), label, ax)


def mds_plot(
    mds: SampleMds,
    *,
    by: Any = None,
    marker: Any = None,
    dimensions: tuple[int, int] = (1, 2),
    label: bool | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot two dimensions of the scaling of samples on leading log2 fold changes.

    Parameters
    ----------
    mds : SampleMds
        From `bayesde.sample_mds`.
    by, marker : str or sequence (sample,), optional
        Columns of the sample table, or labels, for the colours and the markers. A numeric variable with many
        values has a scale of colours.
    dimensions : (int, int)
        Which dimensions; the first is 1.
    label : bool, optional
        Whether points have the names of samples; by default if there are at most 40.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Distances are to the same scale in both directions: leading log2 fold changes, as far as they are in
        this plane.

    Raises
    ------
    InputError
        If there is no such dimension or column.
    """
    return _scatter(mds.coordinates, mds, by, marker, ("dim", dimensions), label, ax)


def _scatter(
    coordinates: pd.DataFrame,
    found: SamplePca | SampleMds,
    by: Any,
    marker: Any,
    chosen: tuple[str, tuple[int, int]],
    label: bool | None,
    ax: Axes | None,
) -> Axes:
    """Plot samples in two of their coordinates."""
    stem, numbers = chosen
    x, y = (_column(coordinates, f"{stem}{number}") for number in numbers)
    colours = sample_groups(found.sample_table, coordinates.index, by)
    shapes = sample_groups(found.sample_table, coordinates.index, marker, levels=True)
    ax = ax or new_axes((6.5, 4.6))
    _points(ax, x, y, colours, shapes)
    ax.axhline(0.0, color=BLACK, linewidth=0.4, zorder=0)
    ax.axvline(0.0, color=BLACK, linewidth=0.4, zorder=0)
    ax.margins(0.15)
    ax.set_aspect("equal", adjustable="datalim")
    names = ("PC{}", "PC{}") if stem == "PC" else ("leading log2 fold change, dimension {}",) * 2
    parts = [found.explained.get(f"{stem}{number}", 0.0) for number in numbers]
    texts = [
        f"{name.format(number)} ({100.0 * part:.0f} %)"
        for name, number, part in zip(names, numbers, parts, strict=True)
    ]
    ax.set(xlabel=texts[0], ylabel=texts[1])
    ax.spines[["top", "right"]].set_visible(False)
    draw_legend(ax, colours, shapes)
    if len(coordinates) <= _MOST_LABELS if label is None else label:
        label_points(ax, np.column_stack([x, y]), list(map(str, coordinates.index)), radius=4.0)
    return ax


def _points(ax: Axes, x: np.ndarray, y: np.ndarray, colours: SampleGroups, shapes: SampleGroups) -> None:
    """Draw the samples, those of each colour and marker together."""
    if colours.values is not None:
        limits = {"vmin": np.nanmin(colours.values), "vmax": np.nanmax(colours.values), "cmap": "viridis"}
    drawn = None
    for shape in shapes.levels:
        for level in colours.levels or ("",):
            rows = (shapes.labels == shape) & (colours.labels == level)
            if not rows.any():
                continue
            style: dict[str, Any] = {"s": 45, "marker": shapes.markers[shape], "linewidths": 0}
            if colours.values is not None:
                drawn = ax.scatter(x[rows], y[rows], c=colours.values[rows], **limits, **style)
            else:
                ax.scatter(x[rows], y[rows], color=colours.colours[level], **style)
    if drawn is not None:
        ax.figure.colorbar(drawn, ax=ax, label=colours.title, shrink=0.5, pad=0.02)


def _column(coordinates: pd.DataFrame, name: str) -> np.ndarray:
    """Return a coordinate; 0 for the second where samples lie on a line."""
    if name in coordinates:
        return coordinates[name].to_numpy()
    if name in ("PC2", "dim2"):
        return np.zeros(len(coordinates))
    names = list(map(str, coordinates))
    raise InputError(f"there is no '{name}'; there are {', '.join(names)}.{nearest(name, names)}")


def _densities(ax: Axes, values: np.ndarray, groups: SampleGroups, grid: np.ndarray) -> None:
    """Draw the density of each sample's values (gene, sample); none where all are equal."""
    for j, label in enumerate(groups.labels):
        if len(values) > 1 and np.ptp(values[:, j]) > 0.0:
            density = kernel_density(values[:, j], grid)
            ax.plot(grid, density, color=groups.colours[label], linewidth=1.0, alpha=0.8)


def _name_samples(ax: Axes, samples: pd.Index) -> None:
    """Name the bars, in letters that fit; of very many none."""
    if len(samples) > _MOST_NAMES:
        ax.set_yticks([])
        ax.set_ylabel(f"{len(samples)} samples")
        return
    ax.set_yticks(np.arange(len(samples)), list(map(str, samples)))
    ax.tick_params(axis="y", length=0, labelsize=SMALL + 1.0 if len(samples) <= 25 else SMALL - 1.0)


def _demand_counts(counts: Any) -> None:
    if not isinstance(counts, Counts):
        raise InputError(f"Counts are needed, from read_counts or Counts(...); got {type(counts).__name__}.")
