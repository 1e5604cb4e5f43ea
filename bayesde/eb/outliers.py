r"""Counts that no mean explains: Cook's distances, and the genes that they disqualify.

    D_j = (y_j - mu_j)^2 / V_j * h_j / (p (1 - h_j)^2),   V_j = mu_j + alpha_robust mu_j^2

with h_j the leverage and alpha_robust a dispersion from trimmed variances, so that the outlier itself does
not inflate it (Cook 1977, doi:10.1080/00401706.1977.10489493; Love, Huber and Anders 2014,
doi:10.1186/s13059-014-0550-8, "Handling of outliers"). In cells of the design with at least seven samples an
excessive count is replaced by what the others say, and the gene is fitted again; in cells of three to six it
costs the gene its p-value; in smaller ones nothing can be said.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import f as f_distribution

__all__ = [
    "cells_of",
    "cooks_cutoff",
    "cooks_distances",
    "max_cooks",
    "outlier_genes",
    "replaceable_samples",
    "replaced_counts",
    "robust_dispersions",
]

MIN_CELL = 3
MIN_CELL_REPLACED = 7
REPLACEMENT_TRIM = 0.2
MIN_ROBUST_DISPERSION = 0.04
CUTOFF_QUANTILE = 0.99
LARGER_COUNTS = 3
"""With a two-group design, a gene keeps its p-value if this many counts exceed the suspicious one."""


def cells_of(design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group samples with the same row of the design.

    Parameters
    ----------
    design : ndarray (sample, coefficient)

    Returns
    -------
    cell, cell_size : ndarray of int (sample,)
        The cell that a sample belongs to, and how many samples that cell has.
    """
    _, cell, sizes = np.unique(design, axis=0, return_inverse=True, return_counts=True)
    cell = cell.ravel()
    return cell, sizes[cell]


def _trimmed_mean(values: np.ndarray, trim: float) -> np.ndarray:
    """Mean over samples of (gene, sample) without the ``floor(n * trim)`` lowest and highest."""
    n = values.shape[1]
    cut = int(np.floor(n * trim))
    return np.sort(values, axis=1)[:, cut : n - cut].mean(axis=1)


def _trimmed_variance(values: np.ndarray, trim: float, scale: float) -> np.ndarray:
    centre = _trimmed_mean(values, trim)
    return scale * _trimmed_mean((values - centre[:, None]) ** 2, trim)


def _trim_for(cell_size: int) -> tuple[float, float]:
    """Trimmed share and the factor that makes the trimmed variance consistent for normal data."""
    if cell_size <= 3:
        return 1.0 / 3.0, 2.04
    return (0.25, 1.86) if cell_size <= 23 else (0.125, 1.51)


def robust_dispersions(normalized: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Estimate dispersions from trimmed variances, the largest over the cells of the design.

    Parameters
    ----------
    normalized : ndarray (gene, sample)
    design : ndarray (sample, coefficient)

    Returns
    -------
    ndarray (gene,)
        At least 0.04.
    """
    cell, cell_size = cells_of(design)
    if (cell_size >= MIN_CELL).any():
        variance = np.zeros(len(normalized))
        for label in np.unique(cell[cell_size >= MIN_CELL]):
            members = normalized[:, cell == label]
            variance = np.maximum(variance, _trimmed_variance(members, *_trim_for(members.shape[1])))
    else:
        variance = _trimmed_variance(normalized, 0.125, 1.51)
    mean = normalized.mean(axis=1)
    return np.maximum((variance - mean) / mean**2, MIN_ROBUST_DISPERSION)


def cooks_distances(
    counts: np.ndarray, factors: np.ndarray, design: np.ndarray, mu: np.ndarray, leverage: np.ndarray
) -> np.ndarray:
    """Cook's distance of every count.

    Parameters
    ----------
    counts, factors, mu, leverage : ndarray (gene, sample)
        Without all-zero genes.
    design : ndarray (sample, coefficient)

    Returns
    -------
    ndarray (gene, sample)
    """
    dispersion = robust_dispersions(counts / factors, design)[:, None]
    pearson = (counts - mu) ** 2 / (mu + dispersion * mu**2)
    return pearson / design.shape[1] * leverage / (1.0 - leverage) ** 2


def cooks_cutoff(design: np.ndarray) -> float:
    """Distance beyond which a count is excessive: the 99 % quantile of F(p, m - p)."""
    m, p = design.shape
    return float(f_distribution.ppf(CUTOFF_QUANTILE, p, m - p))


def replaceable_samples(design: np.ndarray) -> np.ndarray:
    """Tell which samples (sample,) have enough replicates for their counts to be replaced."""
    return cells_of(design)[1] >= MIN_CELL_REPLACED


def replaced_counts(
    counts: np.ndarray, factors: np.ndarray, cooks: np.ndarray, design: np.ndarray
) -> np.ndarray:
    """Replace excessive counts by the trimmed mean of the gene's normalized counts, scaled to the sample.

    Parameters
    ----------
    counts, factors, cooks : ndarray (gene, sample)
    design : ndarray (sample, coefficient)

    Returns
    -------
    ndarray (gene, sample)
        A copy; counts of samples with fewer than seven replicates are kept.
    """
    typical = _trimmed_mean(counts / factors, REPLACEMENT_TRIM)[:, None]
    excessive = (cooks > cooks_cutoff(design)) & replaceable_samples(design)
    return np.where(excessive, np.trunc(typical * factors), counts)


def max_cooks(cooks: np.ndarray, design: np.ndarray, *, replaced: bool) -> np.ndarray:
    """Largest Cook's distance of each gene over the samples that can be judged; NaN if none can.

    Parameters
    ----------
    cooks : ndarray (gene, sample)
    design : ndarray (sample, coefficient)
    replaced : bool
        Whether excessive counts of replaceable samples were replaced, so that they are not held against
        the gene.

    Returns
    -------
    ndarray (gene,)
    """
    _, cell_size = cells_of(design)
    judged = cell_size >= MIN_CELL
    replaceable = replaceable_samples(design) & replaced
    if not judged.any() or replaceable.all() or design.shape[0] <= design.shape[1]:
        return np.full(len(cooks), np.nan)
    return np.where(replaceable, 0.0, cooks)[:, judged].max(axis=1)


def outlier_genes(
    counts: np.ndarray, cooks: np.ndarray, largest: np.ndarray, design: np.ndarray, *, two_groups: bool
) -> np.ndarray:
    """Tell which genes have a count that disqualifies their test.

    Parameters
    ----------
    counts, cooks : ndarray (gene, sample)
    largest : ndarray (gene,)
        What ``max_cooks`` returned.
    design : ndarray (sample, coefficient)
    two_groups : bool
        Whether the design is one factor of two levels, where a gene is kept if three counts are larger
        than the suspicious one.

    Returns
    -------
    ndarray of bool (gene,)
    """
    flagged = np.nan_to_num(largest, nan=0.0) > cooks_cutoff(design)
    if two_groups:
        suspicious = np.take_along_axis(counts, cooks.argmax(axis=1)[:, None], axis=1)
        flagged &= (counts > suspicious).sum(axis=1) < LARGER_COUNTS
    return flagged
