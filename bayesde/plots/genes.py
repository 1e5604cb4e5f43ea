"""Plots of one gene: its counts by group, and the posterior of its expression in each group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesde.design import Design
from bayesde.design.new_samples import rows_of_new_samples
from bayesde.eb.estimates import EbEstimates
from bayesde.errors import InputError
from bayesde.options import check_range, check_whole
from bayesde.plots.densities import kernel_density
from bayesde.plots.gene_labels import gene_rows
from bayesde.plots.groups import SampleGroups, sample_groups
from bayesde.plots.style import BLACK, GREY, mark_numbers, new_axes
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.labelled import equal_draws
from bayesde.posterior.factor_levels.level_draws import full_draws
from bayesde.posterior.point_estimates.fit import RandomEffectsFit
from bayesde.posterior.queries.predict import predict_counts
from bayesde.results import to_log2

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesde.eb.fit import EbFit
    from bayesde.posterior import Posterior

__all__ = ["gene_counts_plot", "ridge_plot"]

_SPREAD = 0.16
"""Half of the width over which the points of a group are spread."""
_OVERLAP = 1.6
"""Height of the highest ridge, in distances between ridges."""
_SHOWN = (0.005, 0.995)
"""Quantiles of the draws between which a density is drawn."""
_FAINTEST = -10.0
"""log2 of an expected count below which counts hardly differ: where the axis of ridges ends."""


def gene_counts_plot(
    fit: EbFit | RandomEffectsFit | Posterior,
    gene: str,
    *,
    by: Any = None,
    ci_prob: float = 0.95,
    draws: int = 1000,
    ax: Axes | None = None,
) -> Axes:
    """Plot the normalized counts of a gene by group; of a posterior, with what it predicts.

    Parameters
    ----------
    fit : EbFit, RandomEffectsFit or Posterior
        Of a posterior, bars hold `ci_prob` of the normalized counts predicted for the samples of a group, and
        lines are their medians.
    gene : str
        Identifier or symbol.
    by : str or sequence (sample,), optional
        A column of the sample table, or labels; by default the last factor of the design.
    ci_prob : float
        Probability within the bars, which are equal-tailed.
    draws : int
        Data sets to predict.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Counts that were left out of the posterior are crosses. The axis is logarithmic; where there are
        counts below 1, it is linear up to 1.

    Raises
    ------
    InputError
        If there is no such gene or column, or the gene has no posterior.
    OptionError
        If a number is out of its range.
    """
    check_range("ci_prob", ci_prob, 0.0, 1.0, open_ends=True)
    check_whole("draws", draws, 1, 10**6)
    posterior = fit if isinstance(fit, PosteriorData) else None
    estimates = _estimates(fit)
    row, name = _gene(estimates, gene)
    groups = _groups(estimates, by)
    factors = estimates.normalization_factors[row]
    seen = estimates.counts.rows([row])[0] / factors
    dropped = np.zeros(seen.size, dtype=bool)
    ax = ax or new_axes((min(2.6 + 1.0 * len(groups.levels), 9.0), 3.8))
    if posterior is not None:
        place = _sampled(posterior, estimates, row, gene)
        dropped = posterior.left_out_mask[place]
        predicted = predict_counts(posterior, [estimates.counts.genes[row]], draws=draws).to_numpy()[:, 0]
        _bands(ax, groups, predicted / factors, ci_prob)
    for x, level in enumerate(groups.levels):
        rows = np.flatnonzero(groups.labels == level)
        at = x + (np.linspace(-_SPREAD, _SPREAD, rows.size) if rows.size > 1 else np.zeros(1))
        used = ~dropped[rows]
        ax.plot(at[used], seen[rows][used], "o", color=groups.colours[level], markersize=6)
        if not used.all():
            ax.plot(at[~used], seen[rows][~used], "X", color=BLACK, markersize=8)
    _count_axis(ax)
    ax.set_xticks(range(len(groups.levels)), list(groups.levels))
    ax.set(xlim=(-0.6, len(groups.levels) - 0.4), ylabel="normalized count")
    ax.set(title=name, xlabel=groups.title)
    ax.spines[["top", "right"]].set_visible(False)
    if posterior is not None:
        _explain(ax, ci_prob, bool(dropped.any()))
    return ax


def ridge_plot(
    posterior: Posterior, gene: str, *, by: Any = None, ci_prob: float = 0.95, ax: Axes | None = None
) -> Axes:
    """Plot the posterior of a gene's expression in each group, one density above the other.

    The expression in a group is the log2 of the expected normalized count, averaged over the samples of the
    experiment: each is taken as if it were of that group, with its own values of the other variables. Groups
    by a variable that is not a factor of the design are averages over their own samples.

    Parameters
    ----------
    posterior : Posterior
    gene : str
        Identifier or symbol.
    by : str or sequence (sample,), optional
        A factor of the design, a column of the sample table, or labels; by default the last factor.
    ci_prob : float
        Probability within the lines below the densities, which are equal-tailed.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Points are medians; small ticks are the samples' normalized counts, without zeros. Each density has
        the same area, and is drawn between the 0.5 % and 99.5 % quantiles of the draws. The axis ends at
        2^-10 counts; triangles mark what is below, as where a group has no counts.

    Raises
    ------
    InputError
        If there is no such gene or column, or the gene has no posterior.
    OptionError
        If `ci_prob` is out of its range.
    """
    check_range("ci_prob", ci_prob, 0.0, 1.0, open_ends=True)
    if not isinstance(posterior, PosteriorData):
        raise InputError(f"a posterior is needed, from fit_posterior; got {type(posterior).__name__}.")
    estimates = posterior.eb
    row, name = _gene(estimates, gene)
    groups = _groups(estimates, by)
    levels = expression_draws(posterior, groups, by, _sampled(posterior, estimates, row, gene))
    ax = ax or new_axes((6.5, 1.4 + 0.7 * len(groups.levels)))
    seen = estimates.counts.rows([row])[0] / estimates.normalization_factors[row]
    _ridges(ax, levels, groups, ci_prob)
    for height, level in zip(_heights(groups), groups.levels, strict=True):
        counted = seen[(groups.labels == level) & (seen > 0.0)]
        ax.plot(np.log2(counted), np.full(counted.size, height - 0.12), "|", color=BLACK, markersize=7)
    ax.set_yticks(_heights(groups), list(groups.levels))
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set(ylim=(-0.3, len(groups.levels) - 1 + 1.08 * _OVERLAP), title=name, ylabel=groups.title)
    ax.set_xlabel("log2 expected normalized count")
    return ax


def expression_draws(posterior: PosteriorData, groups: SampleGroups, by: Any, place: int) -> np.ndarray:
    """Return draws of the log2 expected normalized count of a gene in each group.

    Parameters
    ----------
    posterior : PosteriorData
    groups : SampleGroups
    by : object
        What the groups are by.
    place : int
        The gene, among those that were sampled.

    Returns
    -------
    ndarray (draw, level)
        Draws of equal weight.
    """
    rows = np.array([place])
    theta = equal_draws(posterior.gene_draws.genes(rows), posterior.seeds(rows))
    own = full_draws(posterior, rows, theta)[:, :, 0]
    design = posterior.design
    beta = own.reshape(-1, own.shape[-1])[:, : design.n_coefficients].astype(np.float64)
    factor = _factor(design, by)
    averaged = [
        _rows_of_level(design, posterior.eb.counts.sample_table, factor, level)
        if factor is not None
        else design.matrix[groups.labels == level].mean(axis=0)
        for level in groups.levels
    ]
    return np.asarray(to_log2(beta @ np.array(averaged).T))


def _rows_of_level(design: Design, table: pd.DataFrame, factor: str, level: str) -> np.ndarray:
    """Return the mean model row of all samples, taken as if they were of one level (coefficient,)."""
    pretended = table.assign(**{factor: level})
    return np.asarray(rows_of_new_samples(design, pretended).to_numpy().mean(axis=0))


def _factor(design: Design, by: Any) -> str | None:
    """Return the factor of the design that groups are by, if it is one."""
    if by is None:
        return list(design.factors)[-1] if design.factors else None
    return by if isinstance(by, str) and by in design.factors else None


def _groups(estimates: EbEstimates, by: Any) -> SampleGroups:
    """Read groups; those by a factor of the design have its order, the reference level first."""
    design = estimates.design
    factor = _factor(design, by)
    if factor is None:
        counts = estimates.counts
        return sample_groups(counts.sample_table, counts.samples, by, levels=True)
    return SampleGroups(factor, np.array(design.groups[factor], dtype=object), design.factors[factor])


def _estimates(fit: Any) -> EbEstimates:
    """Return the fit, or that of a posterior."""
    found = fit.eb if isinstance(fit, PosteriorData) else fit
    found = found.fixed if isinstance(found, RandomEffectsFit) else found
    if not isinstance(found, EbEstimates):
        raise InputError(f"a fit or a posterior is needed; got {type(fit).__name__}.")
    return found


def _gene(estimates: EbEstimates, gene: str) -> tuple[int, str]:
    """Return the position of a gene, and its name for display."""
    if not isinstance(gene, str):
        raise InputError(f"one gene is needed, by identifier or symbol; got {type(gene).__name__}.")
    counts = estimates.counts
    symbols = counts.gene_names
    row = gene_rows([gene], counts.genes, symbols, "the fit")[0]
    own = str(counts.genes[row])
    symbol = "" if symbols is None else str(symbols[row])
    return row, f"{symbol} ({own})" if symbol and symbol != own else own


def _sampled(posterior: PosteriorData, estimates: EbEstimates, row: int, gene: str) -> int:
    """Return the position of a gene among those that were sampled."""
    place = int(posterior.genes.get_indexer(estimates.counts.genes[[row]])[0])
    if place < 0:
        status = posterior.diagnostics["status"].iloc[row]
        raise InputError(f"there is no posterior of '{gene}' (status {status}).")
    return place


def _bands(ax: Axes, groups: SampleGroups, predicted: np.ndarray, ci_prob: float) -> None:
    """Draw intervals and medians of predicted normalized counts (draw, sample), pooled by group."""
    for x, level in enumerate(groups.levels):
        pooled = predicted[:, groups.labels == level]
        low, middle, high = np.quantile(pooled, [(1.0 - ci_prob) / 2.0, 0.5, (1.0 + ci_prob) / 2.0])
        ax.bar(x, high - low, 0.6, low, color=groups.colours[level], alpha=0.22, linewidth=0)
        ax.hlines(middle, x - 0.3, x + 0.3, color=groups.colours[level], linewidth=1.6)


def _count_axis(ax: Axes) -> None:
    """Make the vertical axis logarithmic, below 1 linear if there is anything."""
    low, high = ax.dataLim.intervaly
    if low >= 1.0:
        ends = (low / 1.3, high * 1.3)
        ax.set(yscale="log", ylim=ends)
        mark_numbers(ax.yaxis, *ends)
    else:
        ax.set_yscale("symlog", linthresh=1.0)
        ax.set_ylim(-0.15, max(1.5 * high, 1.5))


def _explain(ax: Axes, ci_prob: float, left_out: bool) -> None:
    """Explain what is drawn of a posterior, right of the axes."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=GREY, alpha=0.4, linewidth=0, label=f"{100.0 * ci_prob:g} % predicted"),
        Line2D([], [], color=GREY, linewidth=1.6, label="median predicted"),
        Line2D([], [], color=GREY, linestyle="", marker="o", label="count"),
    ]
    if left_out:
        handles.append(Line2D([], [], color=BLACK, linestyle="", marker="X", label="count left out"))
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, borderaxespad=0.0)


def _heights(groups: SampleGroups) -> np.ndarray:
    """Return the baselines of the ridges, the first on top."""
    return np.arange(len(groups.levels))[::-1].astype(float)


def _ridges(ax: Axes, levels: np.ndarray, groups: SampleGroups, ci_prob: float) -> None:
    """Draw the densities of draws (draw, level), each above its interval and median."""
    curves = [_density(levels[:, i]) for i in range(levels.shape[1])]
    highest = max(density.max() for _, density in curves)
    tails = [(1.0 - ci_prob) / 2.0, 0.5, (1.0 + ci_prob) / 2.0]
    for i, (height, level) in enumerate(zip(_heights(groups), groups.levels, strict=True)):
        colour, (x, density), order = groups.colours[level], curves[i], 2 + i
        top = height + _OVERLAP * density / highest
        ax.fill_between(x, height, top, color=colour, alpha=0.5, linewidth=0, zorder=order)
        ax.plot(x, top, color=colour, linewidth=1.2, zorder=order)
        low, middle, high = np.quantile(levels[:, i], tails)
        ends = np.maximum([low, high], _FAINTEST)
        ax.hlines(height, *ends, color=colour, linewidth=2.5, zorder=order)
        if low < _FAINTEST:
            ax.plot(_FAINTEST, height, "<", color=colour, markersize=7, zorder=order)
        if middle >= _FAINTEST:
            style: dict[str, Any] = {"markersize": 5, "markeredgecolor": "white", "zorder": order + 0.5}
            ax.plot(middle, height, "o", color=colour, **style)


def _density(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points and the density of draws there, without tails and what is below the axis."""
    low, high = np.maximum(np.quantile(draws, _SHOWN), _FAINTEST)
    inside = draws[(draws >= low) & (draws <= high)]
    if inside.size < 2 or np.ptp(inside) == 0.0:
        return np.array([low, high]), np.full(2, 1e-9)
    margin = 2.0 * inside.size**-0.2 * inside.std(ddof=1)
    grid = np.linspace(max(low - margin, _FAINTEST), high + margin, 200)
    return grid, kernel_density(inside, grid) * (inside.size / draws.size)
