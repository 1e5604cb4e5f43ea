"""Prior predictive check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, mark_powers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from bayesde.posterior.queries.prior_predictive import PriorPredictive

__all__ = ["SYMBOLS", "prior_predictive_plot"]

_OBSERVED: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "linewidth": 2.0},
    {"color": ORANGE, "linewidth": 2.0, "linestyle": "--"},
    {"color": BLACK, "linewidth": 2.0, "linestyle": ":"},
    {"color": GREEN, "linewidth": 2.0, "linestyle": "-."},
)
"""Styles of real data sets over drawn ones."""
SYMBOLS = {
    "shrinkage_scale": "S: scale of effects",
    "effect_nu": "ν of the effects",
    "pi0": "π0: share of effects of 0",
    "dispersion_sd": "σ: spread of dispersions",
    "asymptotic_dispersion": "a0 of the trend",
    "extra_poisson": "a1 of the trend",
    "nu": "ν of the residuals",
    "wide_share": "w: share of wide residuals",
    "wide_ratio": "τ: how wide they are",
}


def prior_predictive_plot(
    drawn: PriorPredictive, observed: Sequence[PriorPredictive] = (), *, axes: np.ndarray | None = None
) -> np.ndarray:
    """Plot quantities of data sets drawn from the priors, with those of real data sets over them.

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
        mark_powers(axis)
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
    ax.set_yticks([-i for i in range(len(names))], [SYMBOLS[str(name)] for name in names])
    ax.set(
        xscale="log", xlabel="value, natural-log units", title="Hyperparameters", ylim=(0.6 - len(names), 0.6)
    )
