"""Pictures of fits and results: each function draws on an Axes and returns it; none prints or saves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.errors import InputError, first_few
from bayesde.options import check_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from bayesde.eb.fit import EbFit
    from bayesde.posterior.loo import LeaveOneOut
    from bayesde.posterior.result import Posterior

__all__ = [
    "dispersion_plot",
    "interval_plot",
    "ma_plot",
    "p_value_histogram",
    "pit_histogram",
    "predicted_counts_plot",
]

# Okabe and Ito's palette: told apart by people with any common colour vision, and in grey print.
BLUE, ORANGE, GREY, BLACK = "#0072B2", "#D55E00", "#9A9A9A", "#222222"

_FEW_GENES = 2000
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


def pit_histogram(loo: LeaveOneOut, *, bins: int = 20, seed: int = 1, ax: Axes | None = None) -> Axes:
    """Plot where each count lies within what the gene's other counts predict of it.

    Bars are level if the model is right; higher at both ends, if counts vary more than it has them vary; in
    the middle, if less. The band holds 99 % of bars of independent uniform values. Genes without a count have
    no posterior, so that in genes with hardly any (a mean below 1/2) those seen are larger than predicted,
    and raise the last bar.

    Parameters
    ----------
    loo : LeaveOneOut
    bins : int
        Number of bars from 0 to 1.
    seed : int
        Of the randomization that makes a discrete count's transform uniform.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from scipy.stats import binom

    ax = ax or _new_axes((8.0, 3.2))
    values = loo.pit(seed).to_numpy().ravel()
    counts, edges = np.histogram(values, bins=bins, range=(0.0, 1.0))
    low, high = binom.ppf([0.005, 0.995], values.size, 1.0 / bins)
    ax.axhspan(low, high, color=ORANGE, alpha=0.35, linewidth=0, label="99 % of uniform bars")
    ax.stairs(counts, edges, fill=True, color=BLUE, alpha=0.8, label=f"counts ({values.size:,})")
    ax.set(xlim=(0.0, 1.0), xlabel="leave-one-out predictive probability below the count", ylabel="counts")
    _legend_outside(ax)
    return ax


def predicted_counts_plot(
    posterior: Posterior, gene: str, *, ci_prob: float = 0.95, draws: int = 1000, ax: Axes | None = None
) -> Axes:
    """Plot a gene's normalized counts against those that its posterior predicts.

    Parameters
    ----------
    posterior : Posterior
    gene : str
    ci_prob : float
        Probability within the bars, which are equal-tailed intervals of predicted normalized counts.
    draws : int
        Data sets that are predicted.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Samples from left to right; counts that the posterior was made without are crosses. The axis is linear
        up to one count and logarithmic beyond.

    Raises
    ------
    InputError
        If the gene has no posterior.
    OptionError
        If a number is out of its range.
    """
    check_range("ci_prob", ci_prob, 0.0, 1.0, open_ends=True)
    predicted = posterior.predict([gene], draws=draws).to_numpy()[:, 0]
    row = np.flatnonzero(posterior.genes == gene)
    model = posterior.request.model(posterior.request.rows[row])
    factors = np.exp(model.log_nf[0])
    low, middle, high = np.quantile(
        predicted / factors, [(1.0 - ci_prob) / 2.0, 0.5, (1.0 + ci_prob) / 2.0], axis=0
    )
    samples, seen = posterior.design.samples, model.y[0] / factors
    ax = ax or _new_axes((8.0, 3.6))
    at, dropped = np.arange(len(samples)), posterior.left_out_mask[row[0]]
    ax.vlines(at, low, high, color=BLUE, linewidth=5.0, alpha=0.5, label=f"{100 * ci_prob:g} % predicted")
    ax.plot(at, middle, "_", color=BLUE, markersize=12, label="median predicted")
    ax.plot(at[~dropped], seen[~dropped], "o", color=BLACK, markersize=5, label="count")
    if dropped.any():
        ax.plot(at[dropped], seen[dropped], "X", color=ORANGE, markersize=8, label="count left out")
    ax.set_yscale("symlog", linthresh=1.0)
    ax.set(ylim=(-0.3, None), ylabel="normalized count", title=gene)
    ax.set_xticks(at, samples, rotation=30, ha="right")
    _legend_outside(ax)
    return ax


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
