"""Dispersions, and standard deviations of random effects, against the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesde.errors import InputError, first_few
from bayesde.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    legend_outside,
    mark_numbers,
    mark_powers,
    new_axes,
)
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.point_estimates.fit import RandomEffectsFit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesde.eb.fit import EbFit
    from bayesde.model.hyperparameters import Hyperparameters
    from bayesde.posterior import Posterior

__all__ = ["dispersion_plot", "posterior_dispersions", "random_effect_sd_plot"]

LN2 = np.log(2.0)
_FEW_GENES = 2000
_BARS = 300
"""Genes of a posterior up to which each has an interval."""


def dispersion_plot(fit: EbFit | Posterior, *, ax: Axes | None = None) -> Axes:
    """Plot dispersions against mean counts: gene-wise, trend, and those that are used.

    Parameters
    ----------
    fit : EbFit or Posterior
        Of a posterior, posterior medians are drawn in place of the values that the point estimates use, up
        to 300 of them with 90 % intervals, and the trend of the posterior mean of the hyperparameters beside
        that of the point estimates.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Gene-wise estimates at the smallest value allowed (1e-8) are drawn on the lower edge.

    Raises
    ------
    InputError
        If the fit has random effects.
    """
    if isinstance(fit, RandomEffectsFit):
        raise InputError(
            "a fit with random effects has no gene-wise dispersions; random_effect_sd_plot draws its "
            "standard deviations, and fit.fixed is the fit that ignores them."
        )
    posterior = fit if isinstance(fit, PosteriorData) else None
    estimates: EbFit = fit.eb if isinstance(fit, PosteriorData) else fit
    ax = ax or new_axes((8.0, 4.2))
    rows = np.flatnonzero(estimates.estimated)  # without those emptied by the replacement of outliers
    mean = estimates.base_mean[rows]
    used, gene_wise = estimates.dispersion[rows], estimates.dispersion_gene_wise[rows]
    floor = 0.5 * float(np.quantile(used, 0.001))
    ax.scatter(
        mean, np.maximum(gene_wise, floor), s=3, color=GREY, alpha=0.5, linewidths=0, label="gene-wise"
    )
    if posterior is None:
        _used(ax, mean, used, estimates.dispersion_outlier[rows], floor)
    else:
        _sampled(ax, posterior, floor)
    order = np.argsort(mean)
    ax.plot(mean[order], estimates.dispersion_trend[rows][order], color=BLACK, linewidth=1.6, label="trend")
    if posterior is not None:
        _posterior_trend(ax, posterior, mean[order])
    ax.set(xscale="log", yscale="log", ylim=(0.8 * floor, None))
    mark_powers(ax.xaxis)
    mark_powers(ax.yaxis)
    ax.set_xlabel("mean of normalized counts")
    ax.set_ylabel("dispersion")
    legend_outside(ax)
    return ax


def _used(ax: Axes, mean: np.ndarray, used: np.ndarray, outlier: np.ndarray, floor: float) -> None:
    """Draw the dispersions that the point estimates use."""
    kept = ~outlier
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


def _sampled(ax: Axes, posterior: PosteriorData, floor: float) -> None:
    """Draw posterior medians of the dispersions, of few genes with intervals."""
    mean = posterior.eb.base_mean[posterior.request.rows]
    low, middle, high = np.maximum(posterior_dispersions(posterior, (0.05, 0.5, 0.95)).T, floor)
    few = mean.size <= _BARS
    if few:
        ax.vlines(mean, low, high, color=BLUE, linewidth=0.8, alpha=0.4, label="posterior, 90 %")
    ax.scatter(
        mean, middle, s=12 if few else 4, color=BLUE, alpha=0.6, linewidths=0, label="posterior median"
    )


def _posterior_trend(ax: Axes, posterior: PosteriorData, mean: np.ndarray) -> None:
    """Draw the trend a0 + a1 / mean with the posterior means of the hyperparameters."""
    hyper = posterior.hyperparameters
    trend = hyper.asymptotic_dispersion + hyper.extra_poisson / mean
    if np.isfinite(trend).all():
        ax.plot(mean, trend, color=GREEN, linewidth=1.6, linestyle="--", label="trend, posterior")


def random_effect_sd_plot(
    fit: Posterior | RandomEffectsFit, name: str | None = None, *, ax: Axes | None = None
) -> Axes:
    """Plot standard deviations of random effects against mean counts.

    Parameters
    ----------
    fit : Posterior or RandomEffectsFit
        Of a design with random effects.
    name : str, optional
        Of the random effects, ``"donor"`` of ``(1 | donor)``; the first by default.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Posterior medians, log2, of up to 300 genes with 90 % intervals, or point estimates; the median of all
        genes and the range that 90 % of them are in, by the law that was learnt.

    Raises
    ------
    InputError
        If there are no random effects of this name.
    """
    names = list(fit.hyperparameters.random_effect_sd)
    if not names or (name is not None and name not in names):
        raise InputError(
            f"random effects: there are none{'' if name is None else f' called {name!r}'}; the design "
            f"'{fit.design.formula}' has {first_few(names) or 'none'}."
        )
    name = name or names[0]
    ax = ax or new_axes((8.0, 4.2))
    if isinstance(fit, PosteriorData):
        _sampled_sds(ax, fit, fit.coding.n_coefficients + names.index(name))
    else:
        sd = fit.random_effect_sd[name] / LN2
        ax.scatter(fit.base_mean, sd, s=4, color=BLUE, alpha=0.6, linewidths=0, label="point estimate")
    _law_of_sds(ax, fit.hyperparameters, name)
    ax.set(xscale="log", yscale="log")
    mark_powers(ax.xaxis)
    mark_numbers(ax.yaxis, *ax.get_ylim())
    ax.set_xlabel("mean of normalized counts")
    ax.set_ylabel(f"sd between levels of {name}, log2")
    legend_outside(ax)
    return ax


def _sampled_sds(ax: Axes, posterior: PosteriorData, column: int) -> None:
    """Draw posterior medians of standard deviations, of few genes with intervals."""
    mean = posterior.eb.base_mean[posterior.request.rows]
    low, middle, high = _quantiles(posterior, column, (0.05, 0.5, 0.95)).T / LN2
    few = mean.size <= _BARS
    if few:
        ax.vlines(mean, low, high, color=BLUE, linewidth=0.8, alpha=0.4, label="posterior, 90 %")
    ax.scatter(
        mean, middle, s=12 if few else 4, color=BLUE, alpha=0.6, linewidths=0, label="posterior median"
    )


def _law_of_sds(ax: Axes, hyper: Hyperparameters, name: str) -> None:
    """Draw the law of the standard deviations that was learnt."""
    median, spread = hyper.random_effect_sd[name] / LN2, hyper.random_effect_sd_spread[name]
    ends = median * np.exp(np.array([-1.645, 1.645]) * spread)
    ax.axhspan(*ends, color=GREY, alpha=0.25, linewidth=0, label="90 % of genes, as learnt")
    ax.axhline(median, color=BLACK, linewidth=1.2, label="median of genes")


def posterior_dispersions(posterior: PosteriorData, levels: tuple[float, ...]) -> np.ndarray:
    """Return quantiles of the dispersion of each gene that was sampled.

    Parameters
    ----------
    posterior : PosteriorData
    levels : tuple of float
        Probabilities.

    Returns
    -------
    ndarray (sampled gene, level)
    """
    return _quantiles(posterior, -1, levels)


def _quantiles(posterior: PosteriorData, column: int, levels: tuple[float, ...]) -> np.ndarray:
    """Return quantiles (sampled gene, level) of what the draws have the logarithm of in a column."""
    found = np.empty((posterior.gene_draws.n_genes, len(levels)))
    for rows, theta, weights in posterior.gene_draws.batches():
        order = np.argsort(theta[..., column], axis=1)
        values = np.take_along_axis(np.asarray(theta[..., column], dtype=np.float64), order, axis=1)
        # the middle of a draw's weight: with equal weights the quantile of Hazen
        place = np.take_along_axis(weights, order, axis=1)
        place = np.cumsum(place, axis=1) - 0.5 * place
        found[rows] = [np.interp(levels, at, ln) for at, ln in zip(place, values, strict=True)]
    return np.exp(found)
