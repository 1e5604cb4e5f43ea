r"""Outlier counts: Cook's distances, and the genes that get no p-value because of them.

    D_j = (y_j - mu_j)^2 / V_j * h_j / (p (1 - h_j)^2),   V_j = mu_j + alpha_robust mu_j^2

with h_j the leverage and alpha_robust a dispersion from trimmed variances, so that the outlier itself does
not inflate it (Cook 1977, doi:10.1080/00401706.1977.10489493; Love, Huber and Anders 2014,
doi:10.1186/s13059-014-0550-8, "Handling of outliers"). In cells of the design with at least seven samples an
excessive count is replaced by a trimmed mean, and the gene is fitted again; in cells of three to six the gene
gets no p-value; in smaller ones outliers cannot be detected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import fdtri

from bayesde.eb.block import GeneBlock
from bayesde.eb.moments import trimmed_mean
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.glm import MIN_MU, RIDGE, GlmFit
from bayesde.eb.regression.information import leverages
from bayesde.eb.regression.irls import set_effects, set_means, working_weights
from bayesde.numerics.cholesky import row_of
from bayesde.numerics.compiled import inlined, kernel
from bayesde.numerics.threads import over_genes

__all__ = [
    "CooksSummary",
    "FittedBlock",
    "cooks_cutoff",
    "cooks_distances",
    "count_outliers",
    "fitted_block",
    "replaceable_samples",
    "replaced_counts",
    "summarize_cooks",
]

MIN_CELL = 3
MIN_CELL_REPLACED = 7
REPLACEMENT_TRIM = 0.2
MIN_ROBUST_DISPERSION = 0.04
CUTOFF_QUANTILE = 0.99
LARGER_COUNTS = 3
"""With a two-group design, a gene keeps its p-value if this many counts exceed the suspicious one."""


class FittedBlock(NamedTuple):
    """What the Cook's distances of a block of genes depend on, beside its counts.

    Attributes
    ----------
    coefficients : ndarray (gene, coefficient)
        Of the means from which distances are measured; cell means if it has no columns.
    at_least : float
        Lower limit of these means.
    working_beta : ndarray (gene, coefficient)
        Where the working weights were computed, from which the leverages follow.
    dispersion : ndarray (gene,)
    ridge : ndarray (coefficient,)
    min_mu : float
        Lower limit of the means of the working weights.
    """

    coefficients: np.ndarray
    at_least: float
    working_beta: np.ndarray
    dispersion: np.ndarray
    ridge: np.ndarray
    min_mu: float

    def take(self, rows: np.ndarray) -> FittedBlock:
        """Return what belongs to some of the genes.

        Parameters
        ----------
        rows : ndarray of int or of bool
            Which of the genes.

        Returns
        -------
        FittedBlock
        """
        return self._replace(
            coefficients=self.coefficients[rows],
            working_beta=self.working_beta[rows],
            dispersion=self.dispersion[rows],
        )


@dataclass(frozen=True, eq=False)
class CooksSummary:
    """Summary of the Cook's distances of each gene.

    Attributes
    ----------
    largest : ndarray (gene,)
        Over the samples that can be judged; NaN if none can.
    excessive : ndarray of bool (gene,)
        Whether any count is beyond the cutoff, judged or not.
    n_larger : ndarray of int (gene,)
        How many counts are larger than that of the largest distance of all.
    """

    largest: np.ndarray
    excessive: np.ndarray
    n_larger: np.ndarray


@kernel
def _sort(values):  # type: ignore[no-untyped-def]
    """Sort in place (Shell 1959): cells are small, and compiling a general sort takes seconds."""
    gap = 1
    while gap < values.size // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, values.size):
            value, k = values[i], i
            while k >= gap and values[k - gap] > value:
                values[k] = values[k - gap]
                k -= gap
            values[k] = value
        gap //= 3


@inlined
def _trimmed_mean(values, trim):  # type: ignore[no-untyped-def]
    """Sort ``values`` and return their mean without the ``floor(n * trim)`` lowest and highest."""
    _sort(values)
    cut = int(values.size * trim)
    total = 0.0
    for i in range(cut, values.size - cut):
        total += values[i]
    return total / (values.size - 2 * cut)


@kernel
def _trimmed_variance(values, trim, scale):  # type: ignore[no-untyped-def]
    center = _trimmed_mean(values, trim)
    for i in range(values.size):
        values[i] = (values[i] - center) ** 2
    return scale * _trimmed_mean(values, trim)


@inlined
def robust_dispersion(q, cells):  # type: ignore[no-untyped-def]
    """Dispersion of normalized counts (sample,) from trimmed variances, the largest over the cells; >= 0.04.

    The factors 2.04, 1.86 and 1.51 make the trimmed variance consistent for normal data. Without a cell of
    three samples, all samples are one.
    """
    variance = -1.0
    for c in range(cells.size.size):
        n = cells.size[c]
        if n < MIN_CELL:
            continue
        members = np.empty(n)
        k = 0
        for j in range(q.size):
            if cells.of_sample[j] == c:
                members[k] = q[j]
                k += 1
        if n <= 3:
            variance = max(variance, _trimmed_variance(members, 1.0 / 3.0, 2.04))
        elif n <= 23:
            variance = max(variance, _trimmed_variance(members, 0.25, 1.86))
        else:
            variance = max(variance, _trimmed_variance(members, 0.125, 1.51))
    if variance < 0.0:
        variance = _trimmed_variance(q.copy(), 0.125, 1.51)
    mean = np.mean(q)
    return max((variance - mean) / mean**2, MIN_ROBUST_DISPERSION)


@inlined
def _fill_cooks(g, block, cells, fitted, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (sample,) with one gene's Cook's distances."""
    y, factors, weights = block.counts[g], row_of(block.factors, g), row_of(block.weights, g)
    dispersion, min_mu = fitted.dispersion[g], fitted.min_mu
    cell, (n_cells, p) = cells.of_sample, cells.rows.shape
    effect, total, leverage = np.empty(n_cells), np.empty(n_cells), np.empty(n_cells)
    set_effects(cells, fitted.working_beta[g], np.empty(n_cells), effect)
    working_weights(factors, weights, effect, cell, dispersion, min_mu, total)
    if not leverages(cells, total, fitted.ridge, leverage):
        out[:] = np.nan
        return
    robust = robust_dispersion(y / factors, cells)
    for j in range(y.size):
        mu = max(factors[j] * effect[cell[j]], min_mu)
        weight = mu / (1.0 + dispersion * mu)
        h = leverage[cell[j]] * (weight * weights[j] if weights.size else weight)
        out[j] = h / (1.0 - h) ** 2 / p
    mu = np.empty(y.size)
    set_means(y, factors, cells, fitted.coefficients[g], fitted.at_least, mu)
    for j in range(y.size):
        out[j] *= (y[j] - mu[j]) ** 2 / (mu[j] + robust * mu[j] ** 2)


@inlined
def _summary_of(y, cooks, judged, cutoff):  # type: ignore[no-untyped-def]
    """Return the largest judged distance, whether any is excessive, how many counts exceed the worst's."""
    largest, top, n_larger = math.nan, 0, 0
    for j in range(y.size):
        if judged[j] and not cooks[j] <= largest:
            largest = cooks[j]
        if cooks[j] > cooks[top]:
            top = j
    for j in range(y.size):
        n_larger += y[j] > y[top]
    return largest, cooks[top] > cutoff, n_larger


@kernel
def _summarize(first, last, block, cells, fitted, judged, cutoff, found):  # type: ignore[no-untyped-def]
    largest, excessive, n_larger = found
    cooks = np.empty(cells.of_sample.size)
    for g in range(first, last):
        _fill_cooks(g, block, cells, fitted, cooks)
        largest[g], excessive[g], n_larger[g] = _summary_of(block.counts[g], cooks, judged, cutoff)


@kernel
def _fill_all(first, last, block, cells, fitted, out):  # type: ignore[no-untyped-def]
    for g in range(first, last):
        _fill_cooks(g, block, cells, fitted, out[g])


def fitted_block(
    layout: DesignLayout,
    glm: GlmFit,
    dispersion: np.ndarray,
    min_mu: float = MIN_MU,
    first_coefficients: np.ndarray | None = None,
) -> FittedBlock:
    """Gather what Cook's distances depend on.

    Parameters
    ----------
    layout : DesignLayout
    glm : GlmFit
    dispersion : ndarray (gene,)
    min_mu : float
        As in the fit.
    first_coefficients : ndarray (gene, coefficient), optional
        Distances are measured from the means at which gene-wise dispersions were estimated (see
        ``GeneWise``), not from the final ones: so does DESeq2 in likelihood-ratio tests.

    Returns
    -------
    FittedBlock
    """
    # The closed form of ``~ 1`` has neither ridge nor smallest mean.
    ridge = np.full(layout.n_coefficients, 0.0 if layout.is_intercept else RIDGE)
    lowest = 0.0 if layout.is_intercept else min_mu
    if first_coefficients is None:
        return FittedBlock(glm.beta, 0.0, glm.working_beta, dispersion, ridge, lowest)
    return FittedBlock(first_coefficients, MIN_MU, glm.working_beta, dispersion, ridge, lowest)


def cooks_distances(block: GeneBlock, layout: DesignLayout, fitted: FittedBlock) -> np.ndarray:
    """Cook's distance of every count.

    Parameters
    ----------
    block : GeneBlock
        Without all-zero genes.
    layout : DesignLayout
    fitted : FittedBlock

    Returns
    -------
    ndarray (gene, sample)
    """
    out = np.empty(block.counts.shape)
    over_genes(_fill_all, block.n_genes, block, layout.cells, fitted, out)
    return out


def cooks_cutoff(layout: DesignLayout) -> float:
    """Distance beyond which a count is excessive: the 99 % quantile of F(p, m - p).

    Parameters
    ----------
    layout : DesignLayout

    Returns
    -------
    float
    """
    p = layout.n_coefficients
    return float(fdtri(p, layout.n_samples - p, CUTOFF_QUANTILE))


def replaceable_samples(layout: DesignLayout, fewest: int | None = MIN_CELL_REPLACED) -> np.ndarray:
    """Tell which samples (sample,) have enough replicates for their counts to be replaced; None: none has.

    Parameters
    ----------
    layout : DesignLayout
    fewest : int or None
        Smallest number of replicates; with None, no count is replaced.

    Returns
    -------
    ndarray of bool (sample,)
    """
    if fewest is None:
        return np.zeros(layout.n_samples, dtype=bool)
    return np.asarray(layout.cells.size[layout.cells.of_sample] >= fewest)


def replaced_counts(
    block: GeneBlock, cooks: np.ndarray, layout: DesignLayout, replaceable: np.ndarray
) -> np.ndarray:
    """Replace excessive counts by the trimmed mean of the gene's normalized counts, scaled to the sample.

    Parameters
    ----------
    block : GeneBlock
    cooks : ndarray (gene, sample)
    layout : DesignLayout
    replaceable : ndarray of bool (sample,)

    Returns
    -------
    ndarray (gene, sample)
        New; counts of samples that are not replaceable are kept.
    """
    typical = trimmed_mean(block.counts / block.factors, REPLACEMENT_TRIM)[:, None]
    excessive = (cooks > cooks_cutoff(layout)) & replaceable
    return np.where(excessive, np.trunc(typical * block.factors), block.counts)


def summarize_cooks(
    block: GeneBlock, layout: DesignLayout, fitted: FittedBlock, replaceable: np.ndarray
) -> CooksSummary:
    """Summarize the Cook's distances of every gene, without keeping them.

    Parameters
    ----------
    block, layout, fitted
        As for ``cooks_distances``.
    replaceable : ndarray of bool (sample,)
        Samples whose excessive counts are replaced, and do not cost the gene its p-value.

    Returns
    -------
    CooksSummary
    """
    judged = (layout.cells.size[layout.cells.of_sample] >= MIN_CELL) & ~replaceable
    n = block.n_genes
    found = CooksSummary(np.empty(n), np.empty(n, dtype=bool), np.empty(n, dtype=np.int64))
    out = (found.largest, found.excessive, found.n_larger)
    over_genes(_summarize, n, block, layout.cells, fitted, judged, cooks_cutoff(layout), out)
    if replaceable.any() and not replaceable.all():
        np.fmax(found.largest, 0.0, out=found.largest)  # a replaced count leaves a distance of 0
    return found


def count_outliers(summary: CooksSummary, layout: DesignLayout, *, two_groups: bool) -> np.ndarray:
    """Find the genes that get no p-value because of an outlier count.

    Parameters
    ----------
    summary : CooksSummary
    layout : DesignLayout
    two_groups : bool
        Whether the design is one factor of two levels, where a gene is kept if three counts are larger
        than the suspicious one.

    Returns
    -------
    ndarray of bool (gene,)
    """
    flagged = np.nan_to_num(summary.largest, nan=0.0) > cooks_cutoff(layout)
    if two_groups:
        flagged &= summary.n_larger < LARGER_COUNTS
    return flagged
