"""The steps of a fit of usage: dispersions, their trend and prior, coefficients, likelihood ratios."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from bayesde.eb.dispersion.prior import DispersionPrior, fit_dispersion_prior
from bayesde.eb.dispersion.trend import DispersionTrend, fit_trend
from bayesde.numerics.libm import exp, log
from bayesde.numerics.linear import products, projections
from bayesde.numerics.threads import over_genes
from bayesde.usage.likelihood import FeatureCounts, Limits, fill_dispersions, fill_regressions
from bayesde.usage.options import UsageOptions

__all__ = ["RIDGE", "Dispersions", "Regressions", "fit_dispersions", "likelihood_ratios", "regress"]

RIDGE = 1e-6 / math.log(2.0) ** 2
"""Prior precision of every coefficient, as DESeq2's 1e-6 of log2: it keeps separated ones finite."""
START = 0.05
"""Dispersion from which the search starts."""
SMALLEST_MAX = 10.0
"""Dispersions are at most this, or the number of counts of a feature and the others."""


@dataclass(frozen=True, eq=False)
class Dispersions:
    """Dispersions of the fitted features.

    Attributes
    ----------
    gene_wise, dispersion : ndarray (feature,)
        Of the feature alone, and the maximum a posteriori (outliers: of the feature alone).
    trend : DispersionTrend
    prior : DispersionPrior
    converged : ndarray of bool (feature,)
    """

    gene_wise: np.ndarray
    dispersion: np.ndarray
    trend: DispersionTrend
    prior: DispersionPrior
    converged: np.ndarray


@dataclass(frozen=True, eq=False)
class Regressions:
    """Coefficients of features under a design.

    Attributes
    ----------
    beta : ndarray (feature, coefficient)
        Natural log.
    information : ndarray (feature, coefficient, coefficient)
    likelihood : ndarray (feature,)
        But for a constant; NaN where there is no convergence.
    """

    beta: np.ndarray
    information: np.ndarray
    likelihood: np.ndarray


def starts(counts: FeatureCounts) -> np.ndarray:
    """Return starting coefficients: least squares of log ratios of counts, 1/2 added.

    Parameters
    ----------
    counts : FeatureCounts

    Returns
    -------
    ndarray (feature, coefficient)
    """
    ratios = log(counts.this + 0.5) - log(counts.others + 0.5)
    return np.ascontiguousarray(products(ratios, projections(counts.x)[1]))


def regress(
    counts: FeatureCounts,
    dispersion: np.ndarray,
    ridge: np.ndarray | None = None,
    beta: np.ndarray | None = None,
) -> Regressions:
    """Fit all features, dispersions given.

    Parameters
    ----------
    counts : FeatureCounts
    dispersion : ndarray (feature,)
    ridge : ndarray (coefficient,), optional
        Prior precisions; `RIDGE` by default.
    beta : ndarray (feature, coefficient), optional
        Starts.

    Returns
    -------
    Regressions
    """
    n, p = counts.this.shape[0], counts.x.shape[1]
    ridge = np.full(p, RIDGE) if ridge is None else ridge
    found = starts(counts) if beta is None else beta.copy()
    information, likelihood = np.zeros((n, p, p)), np.empty(n)
    over_genes(fill_regressions, n, counts, dispersion, ridge, found, information, likelihood)
    return Regressions(found, information, likelihood)


def fit_dispersions(counts: FeatureCounts, base_mean: np.ndarray, options: UsageOptions) -> Dispersions:
    """Estimate dispersions: of each feature alone, their trend over base means, and shrunken towards it.

    Parameters
    ----------
    counts : FeatureCounts
    base_mean : ndarray (feature,)
    options : UsageOptions

    Returns
    -------
    Dispersions
    """
    n, (n_samples, p) = len(base_mean), counts.x.shape
    limits = Limits(np.full(p, RIDGE), math.log(max(SMALLEST_MAX, 2.0 * n_samples)))
    beta, mean = starts(counts), np.zeros((n, 2, n_samples))
    found = np.full(n, math.log(START))
    over_genes(fill_dispersions, n, counts, limits, np.zeros((n, 2)), beta, mean, found)
    converged = ~np.isnan(found)
    gene_wise = exp(np.where(converged, found, math.log(START)))
    trend = fit_trend(options.trend, gene_wise[converged], base_mean[converged])
    fitted = trend(base_mean)
    prior = fit_dispersion_prior(gene_wise[converged], fitted[converged], n_samples - p)
    if options.prior_var is not None:
        prior = DispersionPrior(residual_var=prior.residual_var, prior_var=options.prior_var)
    around = np.column_stack([log(fitted), np.full(n, 1.0 / prior.prior_var)])
    shrunken = found.copy()
    over_genes(fill_dispersions, n, counts, limits, around, beta, mean, shrunken)
    kept = prior.outlying(gene_wise, fitted)
    dispersion = np.where(kept, gene_wise, exp(np.where(converged, shrunken, math.log(START))))
    return Dispersions(gene_wise, dispersion, trend, prior, converged)


def likelihood_ratios(full: Regressions, reduced: Regressions, df: int) -> tuple[np.ndarray, np.ndarray]:
    """Compare two nested fits.

    Parameters
    ----------
    full, reduced : Regressions
    df : int
        Difference of their numbers of coefficients.

    Returns
    -------
    stat, p_value : ndarray (feature,)
    """
    stat = 2.0 * (full.likelihood - reduced.likelihood)
    return stat, np.asarray(chdtrc(df, np.maximum(stat, 0.0)))
