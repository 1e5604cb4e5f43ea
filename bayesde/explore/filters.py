r"""Filters of genes by expression.

`filter_by_expression` is the rule of edgeR's filterByExpr (Chen, Lun and Smyth 2016, F1000Research 5:1438,
doi:10.12688/f1000research.8987.2; its defaults are those of edgeR). With the library sizes L_j, a gene is
kept if

    #{j : y_ij / L_j >= min_count / median(L)} >= n   and   sum_j y_ij >= min_total_count

where n is the size of the smallest group, or for a design 1 / max_j h_j with the leverages h_j; an n above
`large_n` is reduced to large_n + (n - large_n) min_prop.

`filter_by_cpm` keeps a gene whose counts per million exceed 10 / (median(L) in millions) in at least as many
samples as the smallest group has.

Both compare y_ij median(L) with min_count L_j, whose products are exact for whole library sizes, so that a
count at the limit is not decided by rounding. A posterior does not need a filter; it saves time, and keeps
genes that carry no information out of plots and of the estimates of hyperparameters.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.design.as_design import as_design
from bayesde.errors import BayesdeNote, InputError, first_few
from bayesde.explore.sample_groups import sample_column
from bayesde.normalize.blocks import row_blocks
from bayesde.normalize.scaled import library_sizes_of
from bayesde.numerics.linear import orthonormal_columns
from bayesde.options import check_range

__all__ = ["GeneFilter", "filter_by_cpm", "filter_by_expression"]

_ROUNDING = 1e-9
"""The inverse of a leverage such as 1/3 may be above 3 by rounding; numbers of samples are whole."""
_LARGEST = 1e12


@dataclass(frozen=True, eq=False, repr=False)
class GeneFilter:
    """Which genes a filter keeps. ``print`` shows how many.

    Attributes
    ----------
    mask : numpy.ndarray of bool (gene,)
        Read-only; ``counts.subset(genes=kept.mask)`` are the counts of the genes that are kept.
    rule : str
        The rule in words.
    smallest_cpm : float
        Counts per million that were required.
    n_samples : float
        In how many samples, at least.
    """

    mask: np.ndarray
    rule: str
    smallest_cpm: float
    n_samples: float

    @property
    def n_kept(self) -> int:
        """Number of genes that are kept."""
        return int(self.mask.sum())

    def __str__(self) -> str:
        return f"{self.n_kept:,} of {self.mask.size:,} genes are kept: {self.rule}."

    def __repr__(self) -> str:
        return f"<GeneFilter: {self}>"


def filter_by_expression(
    counts: Counts,
    design: str | Design | None = None,
    *,
    group: Any = None,
    min_count: float = 10.0,
    min_total_count: float = 15.0,
    large_n: float = 10.0,
    min_prop: float = 0.7,
    library_sizes: Any = None,
) -> GeneFilter:
    """Choose genes with enough counts to be worth analysing, by the rule of edgeR's filterByExpr.

    ``counts.subset(genes=kept.mask)`` are the counts of the genes that are kept.

    Parameters
    ----------
    counts : Counts
    design : str or Design, optional
        Formula or design; the number of samples required is the inverse of the largest leverage.
    group : str or sequence (sample,), optional
        A column of the sample table, or labels; the number required is the size of the smallest group. It
        has precedence over a design. With neither, all samples are one group.
    min_count : float
        Count that a sample of median library size must have, above 0.
    min_total_count : float
        Count that all samples must have in total.
    large_n : float
        Of the samples beyond this number in the smallest group, only the part `min_prop` is required.
    min_prop : float
        Between 0 and 1.
    library_sizes : array-like or pandas.Series (sample,), optional
        By default the samples' totals.

    Returns
    -------
    GeneFilter

    Raises
    ------
    InputError
        If group, design or library sizes do not fit the counts.
    OptionError
        If a number is out of its range.

    Warns
    -----
    BayesdeNote
        If there is neither a group nor a design.

    References
    ----------
    Chen, Y., Lun, A. T. L. and Smyth, G. K. (2016) F1000Research 5:1438. doi:10.12688/f1000research.8987.2
    """
    check_range("min_count", min_count, 0.0, _LARGEST, open_ends=True)
    check_range("min_total_count", min_total_count, 0.0, _LARGEST)
    check_range("large_n", large_n, 0.0, _LARGEST)
    check_range("min_prop", min_prop, 0.0, 1.0)
    needed = _samples_needed(counts, design, group)
    if needed > large_n:
        needed = large_n + (needed - large_n) * min_prop
    sizes = library_sizes_of(counts, library_sizes)
    median = float(np.median(sizes))
    mask = _in_enough_samples(counts, sizes, median, min_count, needed)
    mask &= _totals(counts) >= min_total_count
    cutoff = min_count / median * 1e6
    rule = (
        f"at least {cutoff:.3g} counts per million ({min_count:g} counts in a sample of median size) in at "
        f"least {needed:.3g} of {counts.n_samples} samples, and {min_total_count:g} counts in total"
    )
    return _filter(mask, rule, cutoff, needed)


def filter_by_cpm(
    counts: Counts,
    design: str | Design | None = None,
    *,
    group: Any = None,
    min_count: float = 10.0,
    library_sizes: Any = None,
) -> GeneFilter:
    """Choose genes above a number of counts per million in as many samples as the smallest group has.

    The number is ``min_count`` / (median library size in millions).

    Parameters
    ----------
    counts : Counts
    design : str or Design, optional
        Formula or design; its smallest group are the fewest samples with the same row of the model matrix.
    group : str or sequence (sample,), optional
        A column of the sample table, or labels; has precedence over a design. With neither, all samples are
        one group.
    min_count : float
        Above 0.
    library_sizes : array-like or pandas.Series (sample,), optional
        By default the samples' totals.

    Returns
    -------
    GeneFilter

    Raises
    ------
    InputError
        If group, design or library sizes do not fit the counts.
    OptionError
        If `min_count` is not above 0.

    Warns
    -----
    BayesdeNote
        If there is neither a group nor a design.
    """
    check_range("min_count", min_count, 0.0, _LARGEST, open_ends=True)
    if group is None and design is not None:
        group = np.unique(as_design(design, counts).matrix, axis=0, return_inverse=True)[1].ravel()
    needed = _samples_needed(counts, None, group)
    sizes = library_sizes_of(counts, library_sizes)
    median = float(np.median(sizes))
    mask = _in_enough_samples(counts, sizes, median, min_count, needed, strictly=True)
    cutoff = min_count / median * 1e6
    rule = f"more than {cutoff:.3g} counts per million in at least {needed:g} of {counts.n_samples} samples"
    return _filter(mask, rule, cutoff, needed)


def _filter(mask: np.ndarray, rule: str, cutoff: float, needed: float) -> GeneFilter:
    mask.flags.writeable = False
    return GeneFilter(mask, rule, cutoff, needed)


def _in_enough_samples(
    counts: Counts, sizes: np.ndarray, median: float, min_count: float, needed: float, strictly: bool = False
) -> np.ndarray:
    """Mark genes that reach, or exceed, the limit in enough samples (gene,)."""
    mask = np.empty(counts.n_genes, dtype=bool)
    compare = np.greater if strictly else np.greater_equal
    for genes, rows in row_blocks(counts):
        mask[genes] = compare(rows * median, min_count * sizes).sum(axis=1) >= needed - _ROUNDING
    return mask


def _totals(counts: Counts) -> np.ndarray:
    """Total count of each gene (gene,)."""
    return np.concatenate([rows.sum(axis=1) for _, rows in row_blocks(counts)])


def _samples_needed(counts: Counts, design: str | Design | None, group: Any) -> float:
    """Return the size of the smallest group, or the inverse of the largest leverage."""
    if group is not None:
        return float(np.unique(_labels(counts, group), return_counts=True)[1].min())
    if design is not None:
        return 1.0 / _largest_leverage(as_design(design, counts).matrix)
    warnings.warn(
        "neither a group nor a design was given: all samples are taken as one group, so that genes which are "
        "expressed under one condition only are filtered out. Give group=, a column of the sample table.",
        BayesdeNote,
        stacklevel=3,
    )
    return float(counts.n_samples)


def _labels(counts: Counts, group: Any) -> np.ndarray:
    """Return the group of each sample as a number (sample,)."""
    labels = sample_column(counts.sample_table, counts.samples, group)
    codes = pd.factorize(labels)[0]
    if (codes < 0).any():
        raise InputError(f"there is no group for the sample(s) {first_few(counts.samples[codes < 0])}.")
    return codes


def _largest_leverage(matrix: np.ndarray) -> float:
    """Return the largest diagonal element of the projection on the columns and a constant (as R's hat)."""
    constant = np.ones(len(matrix))
    basis = orthonormal_columns(matrix)[0]
    leverages = np.square(basis).sum(axis=1)
    rest = constant - sum(np.sum(column * constant) * column for column in basis.T)
    square = float(np.sum(rest * rest))
    if square > _ROUNDING * len(matrix):
        leverages = leverages + rest * rest / square
    return float(leverages.max())
