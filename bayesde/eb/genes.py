"""The estimates of a set of genes: every step from counts to coefficients, in order."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from bayesde.eb.dispersion import gene_wise_dispersions, map_dispersions
from bayesde.eb.dispersion_prior import DispersionPrior, fit_dispersion_prior
from bayesde.eb.glm import fit_glm
from bayesde.eb.trend import DispersionTrend, fit_trend
from bayesde.normalize import base_mean, base_var

__all__ = ["GeneEstimates", "Hierarchy", "fit_genes"]

OUTLYING_SDS = 2.0
"""A gene this many robust sd above the trend (log scale) keeps its own dispersion."""


@dataclass(frozen=True)
class Hierarchy:
    """What all genes share: the trend of dispersions and the spread around it."""

    trend: DispersionTrend
    prior: DispersionPrior


@dataclass(frozen=True)
class GeneEstimates:
    """Estimates by gene; the meaning of each is that of the same name in ``EbFit``.

    Attributes
    ----------
    base_mean, dispersion_gene_wise, dispersion_trend, dispersion_map, dispersion : ndarray (gene,)
    dispersion_outlier, converged : ndarray of bool (gene,)
    beta, beta_se : ndarray (gene, coefficient)
    mu, leverage : ndarray (gene, sample)
    """

    base_mean: np.ndarray
    dispersion_gene_wise: np.ndarray
    dispersion_trend: np.ndarray
    dispersion_map: np.ndarray
    dispersion: np.ndarray
    dispersion_outlier: np.ndarray
    beta: np.ndarray
    beta_se: np.ndarray
    converged: np.ndarray
    mu: np.ndarray
    leverage: np.ndarray

    def updated(self, rows: np.ndarray, other: GeneEstimates) -> GeneEstimates:
        """Return a copy in which some genes (positions) have the estimates of another set."""
        new = {field.name: getattr(self, field.name).copy() for field in fields(self)}
        for name, values in new.items():
            values[rows] = getattr(other, name)
        return replace(self, **new)


def fit_genes(
    y: np.ndarray,
    factors: np.ndarray,
    design: np.ndarray,
    trend_kind: str,
    hierarchy: Hierarchy | None = None,
) -> tuple[GeneEstimates, Hierarchy]:
    """Estimate dispersions and coefficients.

    Parameters
    ----------
    y : ndarray of float64 (gene, sample)
        Counts, without all-zero genes.
    factors : ndarray (gene, sample)
    design : ndarray (sample, coefficient)
    trend_kind : str
        Kind of trend, where it has to be fitted.
    hierarchy : Hierarchy, optional
        Trend and prior from other genes; by default they are estimated from these.

    Returns
    -------
    GeneEstimates, Hierarchy
    """
    mean, variance = base_mean(y, factors), base_var(y, factors)
    gene_wise, mu = gene_wise_dispersions(y, factors, design, mean, variance)
    if hierarchy is None:
        trend = fit_trend(trend_kind, gene_wise, mean)
        residual_df = design.shape[0] - design.shape[1]
        hierarchy = Hierarchy(trend, fit_dispersion_prior(gene_wise, trend(mean), residual_df))
    fitted, prior = hierarchy.trend(mean), hierarchy.prior
    shrunken = map_dispersions(y, mu, design, gene_wise, fitted, prior.prior_var)
    outlying = np.log(gene_wise) > np.log(fitted) + OUTLYING_SDS * np.sqrt(prior.residual_var)
    dispersion = np.where(outlying, gene_wise, shrunken)
    glm = fit_glm(y, factors, design, dispersion)
    estimates = GeneEstimates(
        base_mean=mean,
        dispersion_gene_wise=gene_wise,
        dispersion_trend=fitted,
        dispersion_map=shrunken,
        dispersion=dispersion,
        dispersion_outlier=outlying,
        beta=glm.beta,
        beta_se=glm.beta_se,
        converged=glm.converged,
        mu=glm.mu,
        leverage=glm.leverage,
    )
    return estimates, hierarchy
