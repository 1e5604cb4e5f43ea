"""The dispersions of a fit against the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesde.plots.style import BLACK, BLUE, GREY, ORANGE, legend_outside, mark_powers, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesde.eb.fit import EbFit

__all__ = ["dispersion_plot"]

_FEW_GENES = 2000


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
    ax = ax or new_axes((8.0, 4.2))
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
    mark_powers(ax.xaxis)
    mark_powers(ax.yaxis)
    ax.set_xlabel("mean of normalized counts")
    ax.set_ylabel("dispersion")
    legend_outside(ax)
    return ax
