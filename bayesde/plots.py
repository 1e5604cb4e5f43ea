"""Pictures of fits and results: each function draws on an Axes and returns it; none prints or saves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.errors import InputError, first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from bayesde.eb.fit import EbFit
    from bayesde.posterior.prior_check import PriorPredictive

__all__ = ["dispersion_plot", "interval_plot", "ma_plot", "p_value_histogram", "prior_predictive_plot"]

# Okabe and Ito's palette: told apart by people with any common colour vision, and in grey print.
BLUE, ORANGE, GREY, BLACK = "#0072B2", "#D55E00", "#9A9A9A", "#222222"

_FEW_GENES = 2000
_OBSERVED: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "linewidth": 2.0},
    {"color": ORANGE, "linewidth": 2.0, "linestyle": "--"},
    {"color": BLACK, "linewidth": 2.0, "linestyle": ":"},
    {"color": "#009E73", "linewidth": 2.0, "linestyle": "-."},
)
"""Styles of real data sets over drawn ones."""
_SYMBOLS = {
    "shrinkage_scale": "S: scale of effects",
    "dispersion_sd": "σ: spread of dispersions",
    "asymptotic_dispersion": "a0 of the trend",
    "extra_poisson": "a1 of the trend",
    "nu": "ν of the residuals",
}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def ma_plot(
    table: pd.DataFrame, *, level: float | None = None, limit: float | None = None, ax: Axes | None = None
) -> Axes:
    """Plot log2 fold changes against mean counts.

    Genes with ``s_value`` (shrunken and posterior tables) or else ``padj`` below `level` stand out. Genes
    beyond the limits of the axis are drawn as triangles on its edge.

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
    _demand(table, ["base_mean", "log2_fold_change", measure])
    ax = ax or _new_axes((8.0, 4.2))
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
        _mark_powers(ax.xaxis)
    ax.set_xlabel("mean of normalized counts")
    ax.set_ylabel("log2 fold change")
    _legend_outside(ax)
    return ax


def dispersion_plot(fit: EbFit, *, ax: Axes | None = None) -> Axes:
    """Plot dispersions against mean counts: gene-wise, trend, and those that are used.

    Parameters
    ----------
    fit : EbFit
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Gene-wise estimates at the smallest value allowed (1e-8) are drawn on the lower edge.
    """
    ax = ax or _new_axes((8.0, 4.2))
    rows = np.flatnonzero(fit.estimated)  # without those emptied by the replacement of outliers
    mean = fit.base_mean[rows]
    used, gene_wise = fit.dispersion[rows], fit.dispersion_gene_wise[rows]
    floor = 0.5 * float(np.quantile(used, 0.001))
    outlier = fit.dispersion_outlier[rows]
    kept = ~outlier
    ax.scatter(
        mean, np.maximum(gene_wise, floor), s=3, color=GREY, alpha=0.5, linewidths=0, label="gene-wise"
    )
    ax.scatter(mean[kept], used[kept], s=4, color=BLUE, alpha=0.6, linewidths=0, label="used: shrunken")
    ax.scatter(
        mean[outlier],
        np.maximum(used[outlier], floor),
        s=14,
        facecolors="none",
        edgecolors=ORANGE,
        linewidths=0.8,
        label="used: gene-wise (outlier)",
    )
    order = np.argsort(mean)
    ax.plot(mean[order], fit.dispersion_trend[rows][order], color=BLACK, linewidth=1.6, label="trend")
    ax.set(xscale="log", yscale="log", ylim=(0.8 * floor, None))
    _mark_powers(ax.xaxis)
    _mark_powers(ax.yaxis)
    ax.set_xlabel("mean of normalized counts")
    ax.set_ylabel("dispersion")
    _legend_outside(ax)
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
        Which genes, from top to bottom; by default the `top` genes of smallest local false sign rate.
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
    _demand(posterior, ["log2_fold_change", "lfc_lower", "lfc_upper"])
    chosen = _chosen(posterior, genes, top)
    rows = posterior.loc[chosen]
    ax = ax or _new_axes((8.0, 1.2 + 0.3 * len(chosen)))
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
    ax.set_yticks(height, chosen)
    ax.set_ylim(-0.8, len(chosen) - 0.2)
    ax.set_xlabel("log2 fold change")
    _legend_outside(ax)
    return ax


def p_value_histogram(table: pd.DataFrame, *, bins: int = 50, ax: Axes | None = None) -> Axes:
    """Plot how many genes have p-values of each size, those without an adjusted one on top in grey.

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
    _demand(table, ["p_value", "padj"])
    ax = ax or _new_axes((8.0, 3.2))
    known = table[table["p_value"].notna()]
    counted, below = known["padj"].notna().to_numpy(), np.zeros(bins)
    for mask, colour, label in ((counted, BLUE, "adjusted"), (~counted, GREY, "filtered out")):
        counts, edges = np.histogram(known["p_value"].to_numpy()[mask], bins=bins, range=(0.0, 1.0))
        name = f"{label} ({mask.sum():,})"
        ax.stairs(below + counts, edges, baseline=below, fill=True, color=colour, label=name)
        below = below + counts
    ax.set(xlim=(0.0, 1.0), xlabel="p-value", ylabel="genes")
    _legend_outside(ax)
    return ax


def prior_predictive_plot(
    drawn: PriorPredictive, observed: Sequence[PriorPredictive] = (), *, axes: np.ndarray | None = None
) -> np.ndarray:
    """Plot what priors say of a data set before it is seen, with real data sets over it.

    Bands hold 50 % and 90 % of the data sets drawn; lines are the real ones.

    Parameters
    ----------
    drawn : PriorPredictive
        From `prior_predictive`.
    observed : sequence of PriorPredictive
        From `as_observed`.
    axes : ndarray of matplotlib.axes.Axes (4,), optional
        Where to draw; a new figure by default.

    Returns
    -------
    ndarray of matplotlib.axes.Axes (4,)
        Absolute log2 fold changes by rank; dispersions by mean; ratios of two samples by mean; the
        hyperparameters.
    """
    from matplotlib import pyplot as plt

    if axes is None:
        axes = plt.subplots(2, 2, figsize=(10.0, 8.0), layout="constrained")[1].ravel()
    axes = np.asarray(axes)
    shares = np.linspace(0.01, 0.99, 60)
    _fan(axes[0], shares, _effect_quantiles(drawn, shares))
    lowest, highest = np.quantile(drawn.base_mean, [0.02, 0.98])
    bins = np.geomspace(max(1.0, lowest), highest, 13)
    middles = np.sqrt(bins[1:] * bins[:-1])
    for ax, name in ((axes[1], "dispersion"), (axes[2], "replicate_ratio")):
        _fan(ax, middles, _medians(drawn, name, bins))
    for one, style in zip(observed, _OBSERVED, strict=False):
        axes[0].plot(shares, _effect_quantiles(one, shares)[0], label=one.name, **style)
        axes[1].plot(middles, _medians(one, "dispersion", bins)[0], label=one.name, **style)
        axes[2].plot(middles, _medians(one, "replicate_ratio", bins)[0], label=one.name, **style)
    axes[0].set(yscale="log", ylim=(1e-3, 30.0), xlabel="share of genes with smaller effects")
    axes[0].set(ylabel="absolute log2 fold change", title="Effects")
    axes[1].set(xscale="log", yscale="log", xlabel="mean of normalized counts")
    axes[1].set(ylabel="dispersion, median of genes", title="Dispersions")
    axes[2].set(xscale="log", yscale="log", xlabel="mean of normalized counts")
    axes[2].set(ylabel="ratio of two counts, median of genes", title="Replicates")
    _hyperparameter_bars(axes[3], drawn, observed)
    handles, labels = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    axes[2].yaxis.set_minor_formatter("")
    ticks = [1, 2, 3, 5]
    axes[2].set_yticks(ticks, [str(tick) for tick in ticks])
    for axis in (axes[0].yaxis, axes[1].xaxis, axes[1].yaxis, axes[2].xaxis, axes[3].xaxis):
        _mark_powers(axis)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return axes


def _fan(ax: Axes, x: np.ndarray, values: np.ndarray) -> None:
    """Shade the middle 90 % and 50 % of the rows of values (data set, x), and draw their median."""
    low, lower, middle, upper, high = np.nanquantile(values, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    ax.fill_between(
        x, low, high, color=GREY, alpha=0.25, linewidth=0, label="90 % of data sets from the prior"
    )
    ax.fill_between(x, lower, upper, color=GREY, alpha=0.45, linewidth=0, label="50 %")
    ax.plot(x, middle, color="white", linewidth=1.5)


def _effect_quantiles(sets: PriorPredictive, shares: np.ndarray) -> np.ndarray:
    """Return quantiles of the absolute fold changes (data set, share)."""
    return np.asarray(np.nanquantile(np.abs(sets.log2_fold_change), shares, axis=1).T)


def _medians(sets: PriorPredictive, name: str, bins: np.ndarray) -> np.ndarray:
    """Return medians over the genes of each bin of the base mean (data set, bin)."""
    place = np.digitize(sets.base_mean, bins)
    values = getattr(sets, name)
    columns = [values[:, place == b + 1] for b in range(bins.size - 1)]
    return np.column_stack(
        [np.median(part, axis=1) if part.size else np.full(len(values), np.nan) for part in columns]
    )


def _hyperparameter_bars(ax: Axes, drawn: PriorPredictive, observed: Sequence[PriorPredictive]) -> None:
    """Draw 50 % and 90 % of each hyperparameter's prior as bars, and the values of real data sets."""
    names = list(drawn.hyperparameters)
    for i, name in enumerate(names):
        low, lower, middle, upper, high = np.quantile(
            drawn.hyperparameters[name], [0.05, 0.25, 0.5, 0.75, 0.95]
        )
        ax.hlines(-i, low, high, color=GREY, alpha=0.5, linewidth=9)
        ax.hlines(-i, lower, upper, color=GREY, linewidth=9)
        ax.plot(middle, -i, "|", color="white", markersize=9, markeredgewidth=1.5)
        for one, style in zip(observed, _OBSERVED, strict=False):
            if name in one.hyperparameters:
                ax.plot(one.hyperparameters[name].iloc[0], -i, "o", color=style["color"], markersize=6)
    ax.set_yticks([-i for i in range(len(names))], [_SYMBOLS[str(name)] for name in names])
    ax.set(
        xscale="log", xlabel="value, natural-log units", title="Hyperparameters", ylim=(0.6 - len(names), 0.6)
    )


def _chosen(table: pd.DataFrame, genes: Sequence[str] | None, top: int) -> list[str]:
    """Name the genes to draw."""
    if genes is None:
        _demand(table, ["lfsr"])
        known = table[table["lfc_lower"].notna() & table["lfsr"].notna()]
        order = np.lexsort((-known["log2_fold_change"].abs().to_numpy(), known["lfsr"].to_numpy()))
        return list(known.index[order[:top]])
    unknown = [gene for gene in genes if gene not in table.index]
    if unknown:
        raise InputError(
            f"the table has no gene {first_few(unknown)}; its genes are {first_few(table.index, 3)}"
        )
    return list(genes)


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


def _demand(table: pd.DataFrame, columns: list[str]) -> None:
    """Refuse tables without the columns to draw."""
    absent = [name for name in columns if name not in table]
    if absent:
        raise InputError(
            f"the table has no column {first_few(absent)}; its columns are {first_few(table, 20)}"
        )


def _mark_powers(axis: Axis) -> None:
    """Mark the powers of ten only, in plain letters: many small marks and formulas are slow to draw."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    low, high = axis.get_view_interval()
    if high < 100.0 * low:  # too few of them
        return
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _power_of_ten(value)))


def _power_of_ten(value: float) -> str:
    """Write a power of ten as such, another number as it is."""
    power = round(math.log10(value))
    if not math.isclose(value, 10.0**power):
        return f"{value:g}"
    return "10" + str(power).translate(_SUPERSCRIPT)


def _new_axes(size: tuple[float, float]) -> Axes:
    """Make a figure with one Axes."""
    from matplotlib import pyplot as plt

    axes: Axes = plt.subplots(figsize=size, layout="constrained")[1]
    return axes


def _legend_outside(ax: Axes) -> None:
    """Put the legend beside the data, without a frame, with marks large enough to tell apart."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, markerscale=1.5, borderaxespad=0.0)
