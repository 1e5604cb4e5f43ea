"""Rank histograms and differences of distribution functions, of every parameter."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import binom

from benchmarks.calibration.tables import Tables
from benchmarks.calibration.uniformity import GRID, Deviation, clustered, independent

BINS = 20
BLUE, GREY = "#0072B2", "#D9D9D9"
SHORT = {
    "shrinkage_scale": "S",
    "dispersion_sd": "sigma",
    "asymptotic_dispersion": "a0",
    "extra_poisson": "a1",
    "effect_nu": "nu",
    "random_effect_sd": "exp(m)",
    "random_effect_sd_spread": "s",
}
MIDDLES = (0.5, 0.8, 0.95)
"""Probabilities of the central intervals whose coverage is counted."""


def short(name: str) -> str:
    """Return the model's symbol for a hyperparameter."""
    word = re.match(r"\w+", name)[0]
    return name.replace(word, SHORT.get(word, word))


def columns_of(tables: Tables) -> dict[str, tuple[np.ndarray, Deviation]]:
    """Return posterior probabilities of the truth by parameter, with their deviation from uniformity."""
    sets, genes = tables.sets(), tables.genes()
    shared = {name: sets[name].dropna().to_numpy(float) for name in tables.shared}
    found = {short(name): (u, independent(u)) for name, u in shared.items() if u.size}
    given = not found  # hyperparameters that are given: genes are independent
    for name in tables.quantities:
        u = np.stack([group.to_numpy() for _, group in genes.groupby("set")[name]])
        found[name] = (u.ravel(), independent(u.ravel()) if given else clustered(u))
    return found


def draw_picture(found: dict[str, tuple[np.ndarray, Deviation]], title: str, path: Path) -> None:
    """Write one picture: a row of panels for histograms, one for differences, and so on."""
    across = (len(found) + 1) // 2 if len(found) > 6 else len(found)
    down = -(-len(found) // across)
    figure = Figure(figsize=(2.3 * across, 4.2 * down), layout="constrained")
    axes = figure.subplots(2 * down, across, squeeze=False)
    for i, (name, (u, deviation)) in enumerate(found.items()):
        row, column = divmod(i, across)
        _histogram(axes[2 * row, column], u, name)
        _difference(axes[2 * row + 1, column], deviation)
    for unused in range(len(found), down * across):
        axes[2 * (down - 1), unused % across].set_visible(False)
        axes[2 * down - 1, unused % across].set_visible(False)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=90)


def _histogram(axes: Axes, u: np.ndarray, name: str) -> None:
    n = u.size
    low, high = binom.ppf([0.005, 0.995], n, 1.0 / BINS)
    axes.axhspan(low, high, color=GREY)
    axes.hist(u, np.linspace(0.0, 1.0, BINS + 1), color=BLUE, rwidth=0.9)
    axes.set_title(f"{name}\nn = {n:,}", fontsize=8)
    axes.set_xticks([0.0, 0.5, 1.0])
    axes.tick_params(labelsize=7)


def _difference(axes: Axes, deviation: Deviation) -> None:
    axes.fill_between(GRID, deviation.lower, deviation.upper, color=GREY)
    axes.plot(GRID, deviation.gap, color=BLUE)
    axes.axhline(0.0, color="black", linewidth=0.5)
    axes.set_title(f"p = {deviation.p_value:.2g}", fontsize=8)
    axes.set_xticks([0.0, 0.5, 1.0])
    axes.tick_params(labelsize=7)


def summary(found: dict[str, tuple[np.ndarray, Deviation]]) -> pd.DataFrame:
    """Return a row for every parameter: how many numbers, their mean, the shares within the middle, p.

    The share of u within the middle 95 % is the coverage of central 95 % intervals. At an atom u is random,
    so that a truth of exactly 0 at the end of an interval counts by the part of the atom that belongs to it.
    """
    rows = [
        {
            "parameter": name,
            "ranks": u.size,
            "mean": f"{u.mean():.3f}",
            **{
                f"in the middle {100 * middle:.0f} %": f"{np.mean(np.abs(u - 0.5) < 0.5 * middle):.3f}"
                for middle in MIDDLES
            },
            "p": f"{deviation.p_value:.2g}",
        }
        for name, (u, deviation) in found.items()
    ]
    return pd.DataFrame(rows)
