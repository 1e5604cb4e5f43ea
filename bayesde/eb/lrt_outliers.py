r"""Which counts a likelihood-ratio test holds against a gene.

DESeq2 1.38.3 judges counts by Cook's distance (``outliers``) in both of its tests, but when it makes a
likelihood-ratio test it takes the means mu_j in

    D_j = (y_j - mu_j)^2 / (mu_j + alpha_robust mu_j^2) * h_j / (p (1 - h_j)^2)

from where the gene-wise dispersions were estimated: at the starting dispersions, and held above half a read.
The leverages h_j are those of the final fit. A few genes near the cutoff are then judged otherwise than in
the Wald test, and to have p-values for the same genes as DESeq2 we do the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.eb.dispersion import first_means
from bayesde.eb.genes import GeneEstimates, Hierarchy, fit_genes
from bayesde.eb.glm import fit_glm
from bayesde.eb.outliers import (
    cooks_cutoff,
    cooks_distances,
    max_cooks,
    outlier_genes,
    replaceable_samples,
    replaced_counts,
)
from bayesde.normalize import base_mean, base_var

if TYPE_CHECKING:
    from bayesde.eb.fit import EbFit

__all__ = ["judged_for_lrt"]

REFITTED = (
    "base_mean",
    "dispersion_gene_wise",
    "dispersion_trend",
    "dispersion_map",
    "dispersion",
    "dispersion_outlier",
    "beta",
    "beta_se",
    "converged",
)


def judged_for_lrt(fit: EbFit, *, two_groups: bool) -> EbFit:
    """Return the fit with outlying counts found, replaced and refitted as the likelihood-ratio test does.

    Parameters
    ----------
    fit : EbFit
    two_groups : bool
        Whether the design is one factor of two levels.

    Returns
    -------
    EbFit
        The same but for genes that the two tests judge differently.
    """
    if not (fit.options.cooks_cutoff or fit.options.replace_outliers):
        return fit
    genes = np.flatnonzero(~fit.all_zero)
    x, y = fit.design.matrix, fit.counts.matrix[genes].astype(np.float64)
    factors = fit.normalization_factors[genes]
    before = _before_replacement(fit)
    cooks = _cooks_at_first_means(y, factors, x, before.dispersion[genes])
    if fit.options.replace_outliers and replaceable_samples(x).any():
        flagged = (cooks > cooks_cutoff(x)).any(axis=1)
        new = replaced_counts(y[flagged], factors[flagged], cooks[flagged], x)
        before = _with_replacement(before, genes[flagged], new)
    largest = max_cooks(cooks, x, replaced=fit.options.replace_outliers)
    outlying = outlier_genes(y, cooks, largest, x, two_groups=two_groups) & fit.options.cooks_cutoff
    count_outlier, of_all = np.zeros_like(fit.all_zero), np.full(fit.all_zero.size, np.nan)
    count_outlier[genes], of_all[genes] = outlying, largest
    return replace(before, count_outlier=count_outlier, max_cooks=of_all)


def _cooks_at_first_means(
    y: np.ndarray, factors: np.ndarray, design: np.ndarray, dispersion: np.ndarray
) -> np.ndarray:
    """Cook's distances (gene, sample) with the leverages of the final fit and the means of the first one."""
    _, mu = first_means(y, factors, design, base_mean(y, factors), base_var(y, factors))
    leverage = fit_glm(y, factors, design, dispersion).leverage
    return cooks_distances(y, factors, design, mu, leverage)


def _before_replacement(fit: EbFit) -> EbFit:
    """Return the fit of the original counts."""
    rows = np.flatnonzero(fit.replaced)
    if rows.size == 0:
        return fit
    estimates = _estimates(fit, rows, fit.counts.matrix[rows].astype(np.float64))
    nothing = fit.replacement[:0]
    return replace(
        fit, replaced=np.zeros_like(fit.replaced), replacement=nothing, **_updated(fit, rows, estimates)
    )


def _with_replacement(fit: EbFit, rows: np.ndarray, replacement: np.ndarray) -> EbFit:
    """Return the fit with some genes (positions) fitted to other counts (gene, sample)."""
    replaced = np.zeros_like(fit.replaced)
    replaced[rows] = True
    left = replacement.any(axis=1)
    new = {name: getattr(fit, name) for name in REFITTED}
    if left.any():
        new = _updated(fit, rows[left], _estimates(fit, rows[left], replacement[left]))
    for name, values in new.items():
        if values.dtype != np.bool_:
            new[name] = values = values.copy()
            values[rows[~left]] = 0.0 if name == "base_mean" else np.nan
    return replace(fit, replaced=replaced, replacement=replacement, **new)


def _estimates(fit: EbFit, rows: np.ndarray, y: np.ndarray) -> GeneEstimates:
    hierarchy = Hierarchy(fit.trend, fit.dispersion_prior)
    factors = fit.normalization_factors[rows]
    return fit_genes(y, factors, fit.design.matrix, fit.options.trend, hierarchy)[0]


def _updated(fit: EbFit, rows: np.ndarray, estimates: GeneEstimates) -> dict[str, Any]:
    """Return copies of the fit's arrays in which some genes have new estimates."""
    new = {name: getattr(fit, name).copy() for name in REFITTED}
    for name, values in new.items():
        values[rows] = getattr(estimates, name)
    return new
