r"""What the samples consist of: the genes that take most reads, and how ratios between groups are spread.

Of two groups with mean normalized counts a_i and b_i, the log ratios

    v_i = log2(a_i + 1/2) - log2(b_i + 1/2)

of the genes with a mean of at least 5 have their median near 0 if size factors are median ratios. That is
right if most genes do not change: the density of v then has its peak there, and most values are near it. If
more than half of the genes change (IP against input, organs), the median is beside the peak, or in a
distribution so wide that it depends on which genes happen to be in the middle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.explore.sample_groups import sample_column
from bayesde.normalize.blocks import row_blocks
from bayesde.numerics.libm import exp, log2

__all__ = ["RatioComparison", "abundant_genes", "compare_ratios"]

SMALLEST_MEAN = 5.0
"""Of normalized counts: below, log ratios are mostly noise."""
NEAR = 0.5
"""Log2 distance from the median within which a gene counts as near it: 1.4-fold."""
_FEWEST_GENES = 50
_MOST_LEVELS = 8
_MOST_SAMPLES = 40
"""Without groups, at most so many samples are compared with the mean of all."""
_GRID = 256


@dataclass(frozen=True, eq=False)
class RatioComparison:
    """Log ratios of mean normalized counts between two groups of samples.

    Attributes
    ----------
    first, second : str
        Numerator and denominator.
    log_ratios : ndarray (gene with a mean of 5 or more,)
        log2.
    median, mode : float
        Of the log ratios; the mode is where their density is highest.
    density_ratio : float
        Density at the median divided by that at the mode; 1 where the median is at the peak.
    share_near : float
        Part of the genes within 0.5, that is 1.4-fold, of the median.
    """

    first: str
    second: str
    log_ratios: np.ndarray
    median: float
    mode: float
    density_ratio: float
    share_near: float


def abundant_genes(counts: Counts, share: float) -> pd.DataFrame:
    """Find genes that take a large part of the reads of a sample.

    Parameters
    ----------
    counts : Counts
    share : float
        Genes are listed that take at least this part of the reads of some sample.

    Returns
    -------
    pandas.DataFrame (gene, sample)
        Parts of the reads, the genes in the order of their largest part.
    """
    sizes = np.maximum(counts.library_sizes, 1.0)
    found, parts = [], []
    for genes, rows in row_blocks(counts):
        rows /= sizes
        chosen = np.flatnonzero(rows.max(axis=1) >= share)
        found.append(chosen + genes.start)
        parts.append(rows[chosen])
    table = pd.DataFrame(
        np.concatenate(parts), index=counts.genes[np.concatenate(found)], columns=counts.samples
    )
    return table.loc[table.max(axis=1).sort_values(ascending=False, kind="stable").index]


def compare_ratios(counts: Counts, factors: np.ndarray, by: Any = None) -> RatioComparison | None:
    """Find the two groups between which genes differ most, and how their ratios are spread.

    Parameters
    ----------
    counts : Counts
    factors : ndarray (sample,)
        Size factors.
    by : str or sequence (sample,), optional
        A column of the sample table, or labels. By default, all columns with two to eight levels of at least
        two samples each; if there is none, each sample is compared with the mean of all.

    Returns
    -------
    RatioComparison or None
        That with the fewest genes near the median; None if there are not enough genes.

    Raises
    ------
    InputError
        If there is no such column.
    """
    compared = [_compared(*pair) for pair in _pairs(counts, factors, by)]
    known = [one for one in compared if one is not None]
    return min(known, key=lambda one: min(one.share_near, one.density_ratio), default=None)


def _pairs(counts: Counts, factors: np.ndarray, by: Any) -> Iterable[tuple[str, str, np.ndarray, np.ndarray]]:
    """Iterate over pairs of groups: names, and mean normalized counts (gene,)."""
    columns = _columns(counts) if by is None else [sample_column(counts.sample_table, counts.samples, by)]
    for column in columns:
        codes, levels = pd.factorize(column, sort=True)
        means = _group_means(counts, factors, [codes == i for i in range(len(levels))])
        for i, k in combinations(range(len(levels)), 2):
            yield str(levels[k]), str(levels[i]), means[:, k], means[:, i]
    if not columns:
        step = -(-counts.n_samples // _MOST_SAMPLES)
        chosen = np.arange(0, counts.n_samples, step)
        masks = [np.arange(counts.n_samples) == j for j in chosen]
        means = _group_means(counts, factors, [np.ones(counts.n_samples, dtype=bool), *masks])
        for i, name in enumerate(counts.samples[chosen], 1):
            yield str(name), "the mean of all samples", means[:, i], means[:, 0]


def _columns(counts: Counts) -> list[pd.Series]:
    """Return the columns of the sample table that divide the samples into few groups of several."""
    kept = []
    for _, column in counts.sample_table.items():
        sizes = column.value_counts()
        sizes = sizes[sizes > 0]
        if 2 <= len(sizes) <= _MOST_LEVELS and sizes.min() >= 2:
            kept.append(column)
    return kept


def _group_means(counts: Counts, factors: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """Mean normalized counts of groups of samples (gene, group)."""
    means = np.empty((counts.n_genes, len(groups)))
    for genes, rows in row_blocks(counts):
        rows /= factors
        for i, group in enumerate(groups):
            means[genes, i] = rows[:, group].mean(axis=1)
    return means


def _compared(first: str, second: str, a: np.ndarray, b: np.ndarray) -> RatioComparison | None:
    """Locate the log ratios of two groups; None for too few genes."""
    kept = (a + b) >= 2.0 * SMALLEST_MEAN
    values = log2(a[kept] + 0.5) - log2(b[kept] + 0.5)
    if values.size < _FEWEST_GENES or not np.ptp(values) > 0.0:
        return None
    median = float(np.median(values))
    mode, ratio = _mode(values, median)
    near = float((np.abs(values - median) <= NEAR).mean())
    return RatioComparison(first, second, values, median, mode, ratio, near)


def _mode(values: np.ndarray, median: float) -> tuple[float, float]:
    """Find the peak of the density; also the density at the median, relative to that at the peak."""
    low, high = np.quantile(values, [0.01, 0.99])
    quartiles = np.quantile(values, [0.25, 0.75])
    width = 0.9 * min(values.std(), (quartiles[1] - quartiles[0]) / 1.34) * values.size**-0.2
    if not width > 0.0:
        return median, 1.0
    grid = np.append(np.linspace(low, high, _GRID), median)
    density = np.array([exp(-0.5 * np.square((point - values) / width)).sum() for point in grid])
    peak = int(density.argmax())
    return float(grid[peak]), float(density[-1] / density[peak])
