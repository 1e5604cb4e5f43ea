"""An overview of the diagnostics of a posterior: Pareto k, R-hat and effective sample sizes of all genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.errors import InputError
from bayesde.plots.style import BLACK, BLUE, GREY, ORANGE, SMALL, mark_powers
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.pareto_smoothing import MAX_K
from bayesde.posterior.importance.sampler import SMALLEST_SIZE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesde.posterior import Posterior

__all__ = ["diagnostics_plot"]

_NAMES = {
    "pareto_k": "Pareto k",
    "ess": "effective draws",
    "rhat": "R-hat",
    "ess_bulk": "effective draws, bulk",
    "ess_tail": "effective draws, tail",
}


def diagnostics_plot(posterior: Posterior, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Plot the diagnostics of all sampled genes against their mean counts, with the limits of the checks.

    Parameters
    ----------
    posterior : Posterior
        Of any engine: ``pareto_k`` and ``ess`` of importance sampling, ``rhat``, ``ess_bulk`` and
        ``ess_tail`` of chains; what no gene has is left out.
    axes : ndarray of matplotlib.axes.Axes (diagnostic,), optional
        Where to draw; a new figure by default.

    Returns
    -------
    ndarray of matplotlib.axes.Axes (diagnostic,)
        Genes beyond the limit are orange, and their number is in the title.

    Raises
    ------
    InputError
        If it is not a posterior, no gene was sampled, or the number of axes is another.
    """
    from matplotlib import pyplot as plt

    if not isinstance(posterior, PosteriorData):
        raise InputError(f"a posterior is needed, from fit_posterior; got {type(posterior).__name__}.")
    table = posterior.diagnostics
    sampled = table["sampled"].to_numpy(dtype=bool)
    names = [name for name in _NAMES if name in table and table.loc[sampled, name].notna().any()]
    if not names:
        raise InputError("no gene of this posterior was sampled: there are no diagnostics to plot.")
    if axes is None:
        size = (3.4 * len(names) + 0.2, 3.2)
        axes = plt.subplots(1, len(names), figsize=size, layout="constrained", squeeze=False)[1]
    axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if axes.size != len(names):
        raise InputError(f"{axes.size} axes were given for {len(names)} diagnostics ({', '.join(names)}).")
    for ax, name in zip(axes, names, strict=True):
        known = sampled & np.isfinite(table[name].to_numpy(dtype=float))
        values = table[name].to_numpy(dtype=float)[known]
        unknown = int(sampled.sum() - known.sum())
        _panel(ax, posterior.eb.base_mean[known], values, name, _limit(posterior, name), unknown)
    return axes


def _limit(posterior: PosteriorData, name: str) -> float:
    """Return the limit of a check."""
    options = posterior.request.options
    limits = {
        "pareto_k": MAX_K,
        "ess": SMALLEST_SIZE * posterior.request.draws,
        "rhat": options.max_rhat,
        "ess_bulk": options.min_ess,
        "ess_tail": options.min_ess,
    }
    return float(limits[name])


def _panel(ax: Axes, mean: np.ndarray, values: np.ndarray, name: str, limit: float, unknown: int) -> None:
    """Draw one diagnostic against the mean counts."""
    size = name.startswith("ess")
    bad = values < limit if size else values > limit
    style: dict[str, Any] = {"linewidths": 0, "rasterized": values.size > 5000}
    few = 1.0 if values.size > 2000 else 3.0
    ax.scatter(mean[~bad], values[~bad], s=3.0 * few, color=BLUE if few > 1.0 else GREY, alpha=0.6, **style)
    ax.scatter(mean[bad], values[bad], s=12.0, color=ORANGE, **style)
    ax.axhline(limit, color=BLACK, linewidth=0.8, linestyle="--")
    ax.set_xscale("log")
    mark_powers(ax.xaxis)
    if size:
        ax.set_ylim(0.0, None)
    verdict = f"{bad.sum():,} of {values.size:,} {'below' if size else 'above'} {limit:g}"
    ax.set_title(verdict + (f", {unknown:,} unknown" if unknown else ""), fontsize=SMALL + 1.0)
    ax.set(xlabel="mean of normalized counts", ylabel=_NAMES[name])
    ax.spines[["top", "right"]].set_visible(False)
