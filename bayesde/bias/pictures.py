"""Pictures of the bias: bases around starts, divergence by position, starts along a gene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesde.bias.fitting import BiasFit
from bayesde.bias.lengths import bias_tracks
from bayesde.bias.library import EndBias
from bayesde.errors import InputError
from bayesde.options import nearest
from bayesde.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, PALETTE, legend_outside, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["base_frequency_plot", "divergence_plot", "gene_coverage_plot"]

SMOOTHED = 25
"""Bases over which starts along a gene are averaged."""


def _end(fit: BiasFit, sample: str | None, end: str) -> tuple[str, EndBias]:
    """Return one end of a library, by default of the first."""
    name = next(iter(fit.libraries)) if sample is None else sample
    if name not in fit.libraries:
        raise InputError(
            f"there is no library '{name}'; they are "
            f"{', '.join(fit.libraries)}.{nearest(name, fit.libraries)}"
        )
    ends = fit.libraries[name].ends
    if end not in ends:
        raise InputError(f"the library '{name}' has no {end} reads, only {', '.join(ends)}.")
    return name, ends[end]


def _label_positions(ax: Axes, what: str, title: str) -> None:
    """Label a plot by position: positions are whole numbers."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="position from the start of the read", ylabel=what, title=title)
    legend_outside(ax)


def base_frequency_plot(
    fit: BiasFit,
    sample: str | None = None,
    end: str = "first",
    *,
    corrected: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Plot the frequencies of bases around starts, and those of the background as dashed lines.

    Parameters
    ----------
    fit : BiasFit
    sample : str, optional
        By default the first library.
    end : {"first", "second"}
        Of fragments.
    corrected : bool
        Whether starts have the weight 1 / bias; their frequencies should then be those of the background.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If there is no such library or end.
    """
    name, one = _end(fit, sample, end)
    ax = new_axes((5.0, 3.2)) if ax is None else ax
    kind, table = "after" if corrected else "before", one.positions
    for base, colour in zip("ACGT", (GREEN, BLUE, PALETTE[4], ORANGE), strict=True):
        ax.plot(table["position"], table[f"{kind}_{base}"], "o-", ms=3.0, lw=1.2, color=colour, label=base)
        ax.plot(table["position"], table[f"background_{base}"], "--", lw=0.8, color=colour)
    ax.plot([], [], "--", lw=0.8, color=BLACK, label="background")
    ax.axvline(0.0, color=GREY, lw=0.6, zorder=0)
    _label_positions(ax, "frequency", f"{name}, {end} reads, {kind} correction")
    return ax


def divergence_plot(
    fit: BiasFit, sample: str | None = None, end: str = "first", *, ax: Axes | None = None
) -> Axes:
    """Plot the divergence of single bases from the background by position, before and after correction.

    Parameters
    ----------
    fit : BiasFit
    sample, end, ax
        As in `base_frequency_plot`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If there is no such library or end.
    """
    name, one = _end(fit, sample, end)
    ax = new_axes((5.0, 3.0)) if ax is None else ax
    for kind, colour in (("before", ORANGE), ("after", BLUE)):
        ax.plot(
            one.positions["position"], one.positions[f"kl_{kind}"], "o-", ms=3.0, color=colour, label=kind
        )
    _label_positions(ax, "divergence (bits)", f"{name}, {end} reads, {one.model.name}")
    ax.set_ylim(bottom=0.0)
    return ax


def gene_coverage_plot(
    fit: BiasFit, gene: str | None = None, sample: str | None = None, *, ax: Axes | None = None
) -> Axes:
    """Plot the starts along a gene, and what the bias predicts for even expression.

    Parameters
    ----------
    fit : BiasFit
    gene : str, optional
        By default the one with the most fragments.
    sample : str, optional
        By default the first library.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If there is no such gene or library.
    """
    name, _ = _end(fit, sample, "first")
    gene = str(fit.counts[name].idxmax()) if gene is None else gene
    if gene not in fit.counts.index:
        raise InputError(f"there is no gene '{gene}'.{nearest(gene, fit.places.names)}")
    observed, predicted = _starts_along(fit, fit.places.names.index(gene), name)
    ax = new_axes((7.0, 2.8)) if ax is None else ax
    bases = np.arange(observed.size)
    ax.fill_between(bases, _smoothed(observed), color=GREY, alpha=0.5, lw=0, label="observed")
    ax.plot(bases, _smoothed(predicted), color=BLUE, lw=1.2, label="predicted by bias")
    ax.axhline(float(observed.mean()), color=BLACK, lw=0.8, ls="--", label="without bias")
    ax.set(xlabel=f"base of {gene}", ylabel="starts per base", title=f"{name}, {SMOOTHED} bases averaged")
    legend_outside(ax)
    return ax


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Average over `SMOOTHED` bases; at the ends of the gene over those that there are."""
    reach = SMOOTHED // 2
    sums = np.concatenate([[0.0], np.cumsum(values)])
    base = np.arange(values.size)
    low, high = np.maximum(base - reach, 0), np.minimum(base + reach + 1, values.size)
    return np.asarray((sums[high] - sums[low]) / (high - low))


def _starts_along(fit: BiasFit, gene: int, sample: str) -> tuple[np.ndarray, np.ndarray]:
    """Count starts of first reads along a gene, and distribute their number according to the bias."""
    places, library = fit.places, fit.libraries[sample]
    low, high, flank = int(places.first[gene]), int(places.last[gene]), places.flank
    tracks = bias_tracks(library.ends["first"].model, places.codes[low - flank : high + flank])
    observed, predicted = np.zeros((2, high - low))
    for reverse, track in ((False, tracks.forward), (True, tracks.reverse)):
        ours = ~library.starts.second & (library.starts.reverse == reverse)
        position = library.starts.position[ours]
        here = position[(position >= low) & (position < high)] - low
        bias = track[flank : flank + high - low].astype(np.float64)
        observed += np.bincount(here, minlength=high - low)
        predicted += here.size * bias / bias.sum()
    return observed, predicted
