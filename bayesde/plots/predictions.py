"""Counts beside posterior predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesde.options import check_range
from bayesde.plots.style import BLACK, BLUE, ORANGE, legend_outside, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesde.posterior.posterior import Posterior
    from bayesde.posterior.queries.loo import LeaveOneOut

__all__ = ["pit_histogram", "predicted_counts_plot"]


def pit_histogram(loo: LeaveOneOut, *, bins: int = 20, seed: int = 1, ax: Axes | None = None) -> Axes:
    """Plot the leave-one-out probability integral transforms of all counts as a histogram.

    The histogram is uniform if the model is right; higher at both ends if counts vary more than the model
    predicts, and in the middle if they vary less. The band holds 99 % of bars of independent uniform values.
    Genes without any count have no posterior, so that in genes with hardly any (a mean below 1/2) the counts
    are larger than predicted, and raise the last bar.

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

    ax = ax or new_axes((8.0, 3.2))
    values = loo.pit(seed).to_numpy().ravel()
    counts, edges = np.histogram(values, bins=bins, range=(0.0, 1.0))
    low, high = binom.ppf([0.005, 0.995], values.size, 1.0 / bins)
    ax.axhspan(low, high, color=ORANGE, alpha=0.35, linewidth=0, label="99 % of uniform bars")
    ax.stairs(counts, edges, fill=True, color=BLUE, alpha=0.8, label=f"counts ({values.size:,})")
    ax.set(xlim=(0.0, 1.0), xlabel="leave-one-out predictive probability below the count", ylabel="counts")
    legend_outside(ax)
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
        Replicated data sets.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Samples from left to right; counts that were left out of the posterior are crosses. The axis is linear
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
    model = posterior.observed(row)
    factors = np.exp(model.log_nf[0])
    low, middle, high = np.quantile(
        predicted / factors, [(1.0 - ci_prob) / 2.0, 0.5, (1.0 + ci_prob) / 2.0], axis=0
    )
    samples, seen = posterior.design.samples, model.y[0] / factors
    ax = ax or new_axes((8.0, 3.6))
    at, dropped = np.arange(len(samples)), posterior.left_out_mask[row[0]]
    ax.vlines(at, low, high, color=BLUE, linewidth=5.0, alpha=0.5, label=f"{100 * ci_prob:g} % predicted")
    ax.plot(at, middle, "_", color=BLUE, markersize=12, label="median predicted")
    ax.plot(at[~dropped], seen[~dropped], "o", color=BLACK, markersize=5, label="count")
    if dropped.any():
        ax.plot(at[dropped], seen[dropped], "X", color=ORANGE, markersize=8, label="count left out")
    ax.set_yscale("symlog", linthresh=1.0)
    ax.set(ylim=(-0.3, None), ylabel="normalized count", title=gene)
    ax.set_xticks(at, samples, rotation=30, ha="right")
    legend_outside(ax)
    return ax
