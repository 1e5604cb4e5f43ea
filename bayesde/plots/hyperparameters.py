r"""Pictures of the hyperparameters: their posterior over their priors, and how it was sampled.

Marginals are kernel density estimates of the logarithms psi = ln phi (of nu - 2 for nu), where posteriors are
close to normal, drawn as densities of ln phi over a logarithmic axis: p(ln nu) = p(psi) nu / (nu - 2). Priors
are drawn to the same scale: one that is flat and close to 0 is hardly informative.

Markov chains have rank plots, the ranks of each chain's draws among all (Vehtari, Gelman, Simpson, Carpenter
and Bürkner 2021, doi:10.1214/20-BA1221), uniform where chains agree, and the energy beside its steps
(Betancourt 2016, arXiv:1604.00695), whose distributions should be equally wide. R-hat and effective sizes are
ArviZ's. Its plots are not used, because the interfaces of its two major versions differ.

The law of the effects is drawn over their estimates b_g of standard error s_g. Cauchy's law is drawn beside
it at the scale of largest marginal likelihood under b_g ~ Normal(beta_g, s_g), beta_g ~ Cauchy(0, S): the
density of b_g is Voigt's profile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import voigt_profile

from bayesde.errors import InputError, first_few
from bayesde.model.effect_prior import log_effect_densities, log_t_height
from bayesde.model.hyperparameter_names import (
    EFFECT_NU,
    PI0,
    RANDOM_SD,
    RANDOM_SPREAD,
    SCALE,
    effect_part,
    random_part,
)
from bayesde.model.hyperparameter_space import LOWEST_NU, LOWEST_RATIO
from bayesde.plots.densities import kernel_density, prior_density
from bayesde.plots.priors import SYMBOLS
from bayesde.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, mark_numbers, new_axes
from bayesde.posterior.summaries.checks import hyperparameter_summary, smallest_bfmi
from bayesde.results import to_log2

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayesde.model.hyperparameters import Hyperparameters
    from bayesde.posterior import Posterior

__all__ = ["effect_law_plot", "hyperparameter_plot", "hyperparameter_trace_plot"]

_CHAINS = (BLUE, ORANGE, GREEN, BLACK)
_BINS = 20
_MIDDLE = (0.001, 0.999)
"""Quantiles of the draws between which the axis of a marginal lies, extended by half a standard deviation."""
LOWEST = {"nu": LOWEST_NU, "wide_ratio": LOWEST_RATIO}
"""What hyperparameters exceed, if not 0."""
_SMALL = 8.0
"""Font size in panels."""
MOST_TRACES = 16
"""Of more hyperparameters, the traces of those with the fewest effective draws are drawn."""
OF_EFFECTS = {SCALE: "S", EFFECT_NU: "nu", PI0: "P(0)"}
"""How the hyperparameters of an effect's law are called in titles."""
OF_RANDOM_EFFECTS = {RANDOM_SD: "median tau", RANDOM_SPREAD: "sd of ln tau"}
SMALL_ERROR, ENOUGH_EFFECTS = 0.25, 200
"""Standard error, log2, up to which estimates are drawn; of so many genes at least, if there are."""
EFFECT_BINS, SHOWN = 81, 0.995
"""Bins of the histogram, an odd number so that one is around 0, and the share of effects that it shows."""
LEAST_DENSITY = 1e-2
"""Of what is drawn, over one gene in a bin."""


def hyperparameter_plot(posterior: Posterior, *, figure: Figure | None = None) -> np.ndarray:
    """Plot the marginal posterior of every hyperparameter over its prior.

    Parameters
    ----------
    posterior : Posterior
        Of any engine. A scale that coefficients share is drawn once.
    figure : matplotlib.figure.Figure, optional
        An empty one, which is given the size that the panels need; a new figure by default.

    Returns
    -------
    ndarray of matplotlib.axes.Axes (hyperparameter,)
        Below each panel are the mean and the 90 % intervals of posterior and prior. Hyperparameters whose
        draws were given have no prior.

    Raises
    ------
    InputError
        If the hyperparameters were fixed, so that they have no posterior.
    """
    draws = _distinct(posterior)
    if not draws:
        raise InputError(
            "the hyperparameters of this posterior were fixed, and have no posterior to plot; fit with "
            "hyperparameters=None, so that they are learnt."
        )
    columns = min(3, len(draws))
    rows = -(-len(draws) // columns)
    figure = _sized(figure, 3.0 * columns, 2.5 * rows + 0.4)
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(len(draws))]
    for ax, (name, values) in zip(axes, draws.items(), strict=True):
        ax.set_xlabel(_marginal(ax, posterior, name, values), fontsize=_SMALL)
        ax.set_title(_label(posterior, name), fontsize=_SMALL + 2.0)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return np.array(axes)


def hyperparameter_trace_plot(posterior: Posterior, *, figure: Figure | None = None) -> np.ndarray:
    """Plot how engine joint sampled the hyperparameters: traces, ranks, marginals, and the energy.

    Parameters
    ----------
    posterior : Posterior
        Of engine joint. A scale that coefficients share is drawn once. Of more than `MOST_TRACES`
        hyperparameters those are drawn that have the fewest effective draws, bulk or tail.
    figure : matplotlib.figure.Figure, optional
        An empty one, which is given the size that the panels need; a new figure by default.

    Returns
    -------
    ndarray of matplotlib.axes.Axes (hyperparameter + 1, 3)
        Traces; ranks of each chain's draws among those of all; posterior over prior. The last row is the
        energy: its trace, its ranks, and its distribution beside that of its steps.

    Raises
    ------
    InputError
        If there are no chains of hyperparameters.
    """
    if not posterior.shared or "energy" not in posterior.statistics:
        raise InputError(
            "this posterior has no chains of hyperparameters, which only engine 'joint' samples; plot their "
            "marginals with hyperparameter_plot."
        )
    known = _slowest(_distinct(posterior), posterior)
    rows = [(_label(posterior, name), posterior.shared[name]) for name in known]
    rows.append(("energy", posterior.statistics["energy"]))
    figure = _sized(figure, 10.0, 1.4 * len(rows) + 0.7)
    axes = figure.subplots(len(rows), 3, width_ratios=[2.2, 1.0, 1.2])
    for line, (label, chains) in zip(axes, rows, strict=True):
        _trace(line[0], chains, label)
        _ranks(line[1], chains)
    for ax, (name, values) in zip(axes[:, 2], known.items(), strict=False):
        ax.set_title(_marginal(ax, posterior, name, values), fontsize=_SMALL)
    _quality(axes[:-1, 0], posterior, list(known))
    _energy(axes[-1, 2], posterior)
    axes[0, 1].set_title("ranks", fontsize=_SMALL)
    axes[-1, 0].set_xlabel("draw", fontsize=_SMALL)
    axes[-1, 1].set_xlabel("rank among all draws", fontsize=_SMALL)
    for ax in axes[:-1, :2].flat:
        ax.tick_params(labelbottom=False)
    handles = [*axes[0, 0].get_lines(), *axes[0, 2].get_legend_handles_labels()[0]]
    labels = [str(handle.get_label()) for handle in handles]
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
    for line in legend.get_lines():
        line.set_linewidth(1.5)
    return np.asarray(axes)


def effect_law_plot(posterior: Posterior, coefficient: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Plot the law of the effects over their estimates.

    Parameters
    ----------
    posterior : Posterior
        Of any engine; the law is drawn at the posterior means of its hyperparameters.
    coefficient : str, optional
        By default the last one that is shrunken.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        A histogram of the maximum-likelihood estimates of genes whose standard errors are up to 0.25 (log2),
        or of the 200 genes with the smallest ones; the density of the law, with the probability of exactly 0
        as the area of a bar of one bin; and, for comparison, Cauchy's law at its most likely scale. Effects
        are in log2; densities on a logarithmic axis.

    Raises
    ------
    InputError
        If the coefficient is not shrunken, or no gene has an estimate of it.
    """
    hyper, names = posterior.hyperparameters, posterior.coding.coefficients
    shrunken = [name for name in dict.fromkeys(names) if name in hyper.shrinkage_scale]
    if coefficient is None and shrunken:
        coefficient = shrunken[-1]
    if coefficient not in shrunken:
        raise InputError(
            f"{coefficient or 'no coefficient'} is not shrunken, and has no law of effects to plot; shrunken "
            f"are {first_few(shrunken, 20) or 'none'}."
        )
    if coefficient not in posterior.design.coefficients:
        raise InputError(
            f"{coefficient} is a term whose levels are treated alike (coding 'levels'); the design has no "
            "estimates of their effects to plot."
        )
    effect, error = _well_measured(posterior, posterior.design.coefficients.index(coefficient))
    ax = ax or new_axes((8.0, 4.2))
    edge = max(float(np.quantile(np.abs(effect), SHOWN)), 0.5)
    edges = np.linspace(-edge, edge, EFFECT_BINS + 1)
    width = edges[1] - edges[0]
    height = np.histogram(effect, edges)[0] / (effect.size * width)
    label = f"estimates, error <= {error.max():.2g} ({effect.size:,})"
    ax.stairs(height, edges, fill=True, color=GREY, alpha=0.5, label=label)
    x = np.linspace(-edge, edge, 20 * EFFECT_BINS)  # an even number, so that 0 is none of the points
    scale = _cauchy_scale(effect, error)
    cauchy = scale / (np.pi * (scale**2 + x**2))
    ax.plot(x, cauchy, color=BLACK, linewidth=1.2, linestyle="--", label="Cauchy's law, for comparison")
    null, log_density = _effect_law(hyper, coefficient, x / float(to_log2(1.0)))
    law = hyper.family(coefficient)
    ax.plot(x, np.exp(log_density) / float(to_log2(1.0)), color=BLUE, linewidth=1.8, label=f"law: {law}")
    if null > 0.0:
        label = f"exactly 0: probability {null:.3g}"
        ax.bar(0.0, null / width, width, label=label, color=ORANGE, alpha=0.6, zorder=0.5)
    least = LEAST_DENSITY / (effect.size * width) ** 0.5
    ax.set(yscale="log", ylim=(least, None), xlim=(-edge, edge))
    ax.set(xlabel=f"effect {coefficient}, log2", ylabel="density")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=_SMALL)
    return ax


def _well_measured(posterior: Posterior, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the estimates of an effect with small standard errors, and these; log2."""
    fit = posterior.eb
    effect, error = (np.asarray(to_log2(values[:, k])) for values in (fit.beta, fit.beta_se))
    known = np.flatnonzero(fit.estimated & np.isfinite(effect) & (error > 0.0))
    if not known.size:
        raise InputError(f"no gene has an estimate of {posterior.design.coefficients[k]} to plot.")
    few = np.sort(error[known])[min(ENOUGH_EFFECTS, known.size) - 1]
    used = known[error[known] <= max(SMALL_ERROR, few)]
    return effect[used], error[used]


def _cauchy_scale(effect: np.ndarray, error: np.ndarray) -> float:
    """Return the scale of largest marginal likelihood of Cauchy's law, on a fine grid."""
    grid = np.geomspace(1e-3, 10.0, 200) * np.median(np.abs(effect)).clip(1e-3)
    with np.errstate(divide="ignore"):
        fits = [np.log(voigt_profile(effect, error, scale)).sum() for scale in grid]
    return float(grid[int(np.argmax(fits))])


def _effect_law(hyper: Hyperparameters, coefficient: str, effects: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the probability of exactly 0, and the log density of effects that are not; natural log."""
    if coefficient in hyper.mixtures:
        law = hyper.mixtures[coefficient]
        return law.null, law.log_density(effects)
    scale, df = hyper.shrinkage_scale[coefficient], hyper.effect_nu.get(coefficient, 1.0)
    null = hyper.pi0.get(coefficient, 0.0)
    parts = np.array([scale]), np.array([df])
    shape = log_effect_densities(effects[:, None], *parts)[:, 0]
    return null, shape + float(log_t_height(*parts)[0][0]) + np.log1p(-null)


def _sized(figure: Figure | None, width: float, height: float) -> Figure:
    """Return the figure, or a new one, in a size in inches."""
    if figure is None:
        from matplotlib import pyplot as plt  # slow to load

        figure = plt.figure()
    figure.set_size_inches(width, height)
    figure.set_layout_engine("constrained")
    return figure


def _distinct(posterior: Posterior) -> dict[str, np.ndarray]:
    """Return draws (draw,) of every hyperparameter that has some, a shared scale once."""
    draws = {name: values.ravel() for name, values in posterior.shared.items()}
    draws = draws or posterior.hyperparameters.draws
    names = [name for name in posterior.request.space_of(posterior.hyperparameters).names if name in draws]
    return {name: draws[name].astype(np.float64) for name in names if (draws[name] > 0.0).all()}


def _slowest(draws: dict[str, np.ndarray], posterior: Posterior) -> dict[str, np.ndarray]:
    """Keep at most `MOST_TRACES` hyperparameters, in their order."""
    if len(draws) <= MOST_TRACES:
        return draws
    effective = hyperparameter_summary(posterior).loc[list(draws), ["ess_bulk", "ess_tail"]].min(axis=1)
    kept = effective.sort_values(na_position="first").index[:MOST_TRACES]
    return {name: values for name, values in draws.items() if name in kept}


def _kind(name: str) -> str:
    """Return the name of a hyperparameter's prior."""
    found = effect_part(name) or random_part(name)
    return name if found is None else found[0]


def _label(posterior: Posterior, name: str) -> str:
    """Return the title of a hyperparameter; a scale that is shared is named by its term."""
    if (random := random_part(name)) is not None:
        return f"{OF_RANDOM_EFFECTS[random[0]]} of {random[1]}"
    found = effect_part(name)
    if found is None:
        return SYMBOLS[name]
    part, coefficient = found
    space = posterior.request.space_of(posterior.hyperparameters)
    scale_of = dict(zip(space.shrunken, space.scale_of, strict=True))
    place = space.coefficients.index(coefficient)
    if list(scale_of.values()).count(scale_of[place]) > 1:
        terms = posterior.coding.terms
        coefficient = next((term for term, columns in terms.items() if place in columns), coefficient)
    return f"{OF_EFFECTS[part]} of {coefficient}"


def _marginal(ax: Axes, posterior: Posterior, name: str, values: np.ndarray) -> str:
    """Draw a hyperparameter's posterior over its prior; return both summaries as text."""
    low, high = np.quantile(values, [0.05, 0.95])
    text = f"mean {values.mean():.3g}, 90 % {low:.3g} to {high:.3g}"
    x, density = _density(values, LOWEST.get(name, 0.0))
    if density is None:
        ax.axvline(x[0], color=BLUE, label="posterior")
    else:
        ax.fill_between(x, density, color=BLUE, alpha=0.35, linewidth=0, label="posterior")
        ax.plot(x, density, color=BLUE, linewidth=1.2)
        ax.set(xscale="log", xlim=(x[0], x[-1]))
        mark_numbers(ax.xaxis, x[0], x[-1])
    if posterior.request.learning:
        height, low, high = prior_density(getattr(posterior.request.priors, _kind(name)), x)
        ax.plot(x, height, color=BLACK, linewidth=1.2, linestyle="--", label="prior")
        text += f"\nprior: 90 % {low:.2g} to {high:.2g}"
    ax.set(ylim=(0.0, None), yticks=[])
    _tidy(ax, "left")
    return text


def _density(values: np.ndarray, above: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Return points and the density of the logarithm there; without one where all draws are the same."""
    psi = np.log(values - above)
    if np.ptp(psi) == 0.0:
        return values[:1], None
    (low, high), margin = np.quantile(psi, _MIDDLE), 0.5 * psi.std()
    grid = np.linspace(low - margin, high + margin, 200)
    beyond = np.exp(grid)
    return np.asarray(above + beyond), np.asarray(kernel_density(psi, grid) * (above + beyond) / beyond)


def _trace(ax: Axes, chains: np.ndarray, label: str) -> None:
    """Draw the trace of each chain (chain, draw)."""
    for i, draws in enumerate(chains):
        ax.plot(draws, color=_CHAINS[i % 4], linewidth=0.5, alpha=0.8, label=f"chain {i + 1}")
    ax.set_ylabel(label.replace(": ", "\n").replace(" of ", " of\n", 1), fontsize=_SMALL)
    ax.set(xlim=(0, chains.shape[1] - 1) if chains.shape[1] > 1 else None)
    _tidy(ax)


def _ranks(ax: Axes, chains: np.ndarray) -> None:
    """Draw histograms of the ranks of each chain's draws among all; lines are the expected heights."""
    edges = np.linspace(0.0, chains.size, _BINS + 1)
    expected = chains.shape[1] / _BINS
    ranks_of_all = pd.Series(chains.ravel()).rank().to_numpy().reshape(chains.shape)
    for i, ranks in enumerate(ranks_of_all - 0.5):
        height = np.histogram(ranks, edges)[0] / expected
        floor = -2.0 * i
        ax.stairs(floor + height, edges, baseline=floor, fill=True, color=_CHAINS[i % 4], alpha=0.5)
        ax.axhline(floor + 1.0, color=BLACK, linewidth=0.6, linestyle=":")
    ax.set(xlim=(0.0, chains.size), yticks=[])
    _tidy(ax, "left")


def _quality(axes: np.ndarray, posterior: Posterior, names: list[str]) -> None:
    """Write R-hat and effective sizes above the traces."""
    table = hyperparameter_summary(posterior)
    for ax, name in zip(axes, names, strict=True):
        row = table.loc[name]
        title = f"R-hat {row['rhat']:.3f}, ESS {row['ess_bulk']:,.0f} (bulk), {row['ess_tail']:,.0f} (tail)"
        ax.set_title(title, fontsize=_SMALL)


def _energy(ax: Axes, posterior: Posterior) -> None:
    """Draw the distributions of the energy around its mean, and of its steps."""
    energy = posterior.statistics["energy"]
    kinds = {
        "energy - mean": ((energy - energy.mean(axis=1, keepdims=True)).ravel(), GREY),
        "its steps": (np.diff(energy, axis=1).ravel(), BLACK),
    }
    for label, (values, colour) in kinds.items():
        if values.size > 1 and np.ptp(values) > 0.0:
            grid = np.linspace(values.min(), values.max(), 200)
            ax.plot(grid, kernel_density(values, grid), color=colour, label=label)
    ax.set(ylim=(0.0, None), yticks=[])
    ax.set_title(f"smallest E-BFMI {smallest_bfmi(posterior):.2f}", fontsize=_SMALL)
    ax.legend(frameon=False, fontsize=_SMALL - 1.0, loc="upper left", bbox_to_anchor=(0.7, 1.1))
    _tidy(ax, "left")


def _tidy(ax: Axes, *sides: str) -> None:
    """Remove spines, and make tick labels small and few."""
    from matplotlib.ticker import MaxNLocator

    ax.spines[["top", "right", *sides]].set_visible(False)
    ax.tick_params(labelsize=_SMALL - 1.0)
    if ax.get_xscale() == "linear":
        ax.xaxis.set_major_locator(MaxNLocator(4))
    if not sides:
        ax.yaxis.set_major_locator(MaxNLocator(3))
