r"""Normalization factors by gene and sample, compared with the counts they are meant for.

With size factors s_j of the counts, the factors are divided by s_j and by their geometric mean in the row:

    f_ij = ln nf_ij - ln s_j - mean_j(ln nf_ij - ln s_j)
    z_ij = ln(y_ij + 1/2) - ln s_j - mean_j(ln(y_ij + 1/2) - ln s_j)

Factors made of the counts themselves (of counts over smoothed, imputed or batch-corrected counts) follow the
noise of every gene: f and z are correlated within genes, and the variance of y / nf falls to that of Poisson
counts and below, so that the counts enter the model twice and everything looks significant. Dispersions are
those of moments within the groups,

    alpha_i = (var_j(y_ij / nf_ij) - mean_j(y_ij / nf_ij) mean_j(1 / nf_ij)) / mean_j(y_ij / nf_ij)^2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.normalize.blocks import row_blocks
from bayesde.numerics.libm import exp, log

__all__ = ["FactorCheck", "check_factors"]

_SMALLEST_MEAN = 10.0
"""Of normalized counts; of smaller ones, correlations and dispersions are noise."""
_SMALLEST_SPREAD = 0.01
"""Standard deviation of ln factors in a row below which there is nothing to correlate."""


@dataclass(frozen=True, eq=False)
class FactorCheck:
    """What is known of normalization factors by gene and sample.

    Attributes
    ----------
    missing, not_positive : int
        Number of factors that are missing or infinite, and that are 0 or negative.
    first_genes : tuple of str
        The first genes with such factors.
    geometric_means : ndarray (gene with valid factors,)
        Of the rows.
    spread : float
        Median over genes of the standard deviation of f, natural log.
    correlations : ndarray (gene,)
        Of f and z, of genes with a mean of 10 or more whose factors vary.
    dispersion, dispersion_without : float
        Median of the dispersions by moments, with these factors and with size factors.
    poisson_share, poisson_share_without : float
        Part of the genes whose dispersion by moments is 0 or below, with the factors and with size factors.
    """

    missing: int
    not_positive: int
    first_genes: tuple[str, ...]
    geometric_means: np.ndarray
    spread: float
    correlations: np.ndarray
    dispersion: float
    dispersion_without: float
    poisson_share: float
    poisson_share_without: float

    @property
    def correlation(self) -> float:
        """Median of the correlations; NaN if the factors vary in no gene."""
        return _median(self.correlations)


def check_factors(
    counts: Counts, factors: np.ndarray, size_factors: np.ndarray, groups: Sequence[np.ndarray]
) -> FactorCheck:
    """Compare factors with the counts.

    Parameters
    ----------
    counts : Counts
    factors : ndarray (gene, sample)
        Any numbers.
    size_factors : ndarray (sample,)
    groups : sequence of ndarray of bool (sample,)
        Samples of which variances are taken; those of less than two samples are ignored.

    Returns
    -------
    FactorCheck
    """
    finite = np.isfinite(factors)
    positive = finite & (factors > 0.0)
    valid = positive.all(axis=1)
    blocks = [
        _block(rows[valid[genes]], factors[genes][valid[genes]], size_factors, groups)
        for genes, rows in row_blocks(counts)
    ]
    means, spread, correlation, with_factors, without = (
        np.concatenate(part) for part in zip(*blocks, strict=True)
    )
    wrong = counts.genes[~valid]
    return FactorCheck(
        missing=int((~finite).sum()),
        not_positive=int((finite & ~positive).sum()),
        first_genes=tuple(map(str, wrong[:5])),
        geometric_means=means,
        spread=_median(spread),
        correlations=correlation[~np.isnan(correlation)],
        dispersion=_median(with_factors),
        dispersion_without=_median(without),
        poisson_share=_share(with_factors),
        poisson_share_without=_share(without),
    )


def _block(
    rows: np.ndarray, factors: np.ndarray, sizes: np.ndarray, groups: Sequence[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Measure some genes; numbers that there are not are NaN, (gene,) each."""
    log_sizes = log(sizes)
    f = log(factors) - log_sizes
    means = exp(f.mean(axis=1) + log_sizes.mean())
    f -= f.mean(axis=1, keepdims=True)
    z = log(rows + 0.5) - log_sizes
    z -= z.mean(axis=1, keepdims=True)
    ff, zz, fz = (f * f).sum(axis=1), (z * z).sum(axis=1), (f * z).sum(axis=1)
    n = rows.shape[1]
    spread = np.sqrt(ff / max(n - 1, 1))
    enough = (rows / sizes).mean(axis=1) >= _SMALLEST_MEAN
    known = enough & (spread > _SMALLEST_SPREAD) & (zz > 0.0)
    correlation = np.full(len(rows), np.nan)
    correlation[known] = fz[known] / np.sqrt(ff[known] * zz[known])
    spread[~enough] = np.nan
    dispersions = [
        np.where(enough, _moments(rows, one, groups), np.nan)
        for one in (factors, np.broadcast_to(sizes, rows.shape))
    ]
    return means, spread, correlation, *dispersions


def _moments(rows: np.ndarray, factors: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
    """Dispersions by moments, the average of the groups by degrees of freedom (gene,)."""
    total, weight = np.zeros(len(rows)), np.zeros(len(rows))
    for group in groups:
        if group.sum() < 2:
            continue
        q, inverse = rows[:, group] / factors[:, group], (1.0 / factors[:, group]).mean(axis=1)
        mean, freedom = q.mean(axis=1), group.sum() - 1.0
        there = mean > 0.0
        alpha = (q.var(axis=1, ddof=1) - mean * inverse)[there] / np.square(mean[there])
        total[there] += freedom * alpha
        weight[there] += freedom
    return np.divide(total, weight, out=np.full(len(rows), np.nan), where=weight > 0.0)


def _median(values: np.ndarray) -> float:
    """Median of what there is, NaN of nothing."""
    values = values[~np.isnan(values)]
    return float(np.median(values)) if values.size else float("nan")


def _share(dispersions: np.ndarray) -> float:
    """Part of the genes that are not more variable than Poisson counts."""
    known = dispersions[~np.isnan(dispersions)]
    return float((known <= 0.0).mean()) if known.size else float("nan")


def groups_of(column: pd.Series | None, n_samples: int) -> list[np.ndarray]:
    """Return the groups of a column as masks; one of all samples without a column.

    Parameters
    ----------
    column : pandas.Series (sample,) or None
    n_samples : int

    Returns
    -------
    list of ndarray of bool (sample,)
    """
    if column is None:
        return [np.ones(n_samples, dtype=bool)]
    codes = pd.factorize(column)[0]
    return [codes == level for level in range(codes.max() + 1)]
