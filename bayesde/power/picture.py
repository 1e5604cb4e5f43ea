"""A picture of power against the number of replicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesde.plots.style import GREY, MARKERS, PALETTE, legend_outside, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesde.power.study import PowerStudy

__all__ = ["power_plot"]


def power_plot(study: PowerStudy, *, ax: Axes | None = None) -> Axes:
    """Plot the power for each effect against the number of replicates, with two standard errors.

    Parameters
    ----------
    study : PowerStudy
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = ax or new_axes((7.0, 4.0))
    for number, effect in enumerate(study.options.effects):
        own = study.table[study.table["effect"] == effect]
        ax.errorbar(
            own["replicates"],
            own["power"],
            yerr=2.0 * own["power_se"],
            label=f"log2 fold change {effect:g}",
            color=PALETTE[number % len(PALETTE)],
            marker=MARKERS[number % len(MARKERS)],
        )
    ax.axhline(study.options.target, color=GREY, linewidth=0.8, linestyle="--")
    ax.set(ylim=(-0.02, 1.02), xlabel="replicates in each group")
    ax.set_ylabel(f"power: share found at s-value < {study.options.s_value:g}")
    ax.set_xticks(study.options.replicates, list(map(str, study.options.replicates)))
    legend_outside(ax)
    return ax
