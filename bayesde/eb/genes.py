"""The estimates of a block of genes: every step from counts to coefficients, in order."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from bayesde.eb.block import GeneBlock
from bayesde.eb.dispersion.estimates import gene_wise_dispersions, map_dispersions
from bayesde.eb.dispersion.prior import DispersionPrior
from bayesde.eb.dispersion.trend import DispersionTrend
from bayesde.eb.moments import moments
from bayesde.eb.outliers import FittedBlock, cooks_distances, fitted_block, replaced_counts, summarize_cooks
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.glm import MIN_MU, GlmFit, fit_glm

__all__ = [
    "REFITTED",
    "GeneEstimates",
    "GeneWise",
    "Hierarchy",
    "Setting",
    "estimate_genes",
    "poisson_level",
    "own_dispersions",
    "replacement",
]


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """What all genes share: the trend of dispersions and the spread around it."""

    trend: DispersionTrend
    prior: DispersionPrior


@dataclass(frozen=True, eq=False)
class Setting:
    """How genes are fitted.

    Attributes
    ----------
    layout : DesignLayout
    replaceable : ndarray of bool (sample,)
        Samples whose excessive counts are replaced, not judged.
    min_mu : float
        Means are held above this while fitting.
    judged_at_first_means : bool
        Whether Cook's distances are measured from the means at which gene-wise dispersions were estimated.
    """

    layout: DesignLayout
    replaceable: np.ndarray
    min_mu: float = MIN_MU
    judged_at_first_means: bool = False

    def fitted(self, own: GeneWise, glm: GlmFit, dispersion: np.ndarray) -> FittedBlock:
        """Gather what Cook's distances depend on."""
        first = own.coefficients if self.judged_at_first_means else None
        return fitted_block(self.layout, glm, dispersion, self.min_mu, first)


@dataclass(frozen=True, eq=False)
class GeneWise:
    """What a gene's own counts say, before genes learn from each other.

    Attributes
    ----------
    base_mean, dispersion : ndarray (gene,)
    coefficients : ndarray (gene, coefficient)
        Those of the means at which the dispersion was estimated; without columns where these are cell means.
    """

    base_mean: np.ndarray
    dispersion: np.ndarray
    coefficients: np.ndarray

    def take(self, rows: slice | np.ndarray) -> GeneWise:
        """Return those of some genes."""
        return GeneWise(self.base_mean[rows], self.dispersion[rows], self.coefficients[rows])


@dataclass(frozen=True, eq=False)
class GeneEstimates:
    """Estimates by gene; the meaning of each is that of the same name in ``EbFit``."""

    base_mean: np.ndarray
    dispersion_gene_wise: np.ndarray
    dispersion_trend: np.ndarray
    dispersion_map: np.ndarray
    dispersion: np.ndarray
    dispersion_outlier: np.ndarray
    beta: np.ndarray
    beta_se: np.ndarray
    converged: np.ndarray
    bounded: np.ndarray
    working_beta: np.ndarray
    max_cooks: np.ndarray
    excessive: np.ndarray
    n_larger: np.ndarray

    @property
    def glm(self) -> GlmFit:
        """The regression alone."""
        return GlmFit(self.beta, self.beta_se, self.converged, self.bounded, self.working_beta)

    def take(self, rows: np.ndarray) -> GeneEstimates:
        """Return the estimates of some genes (positions)."""
        return GeneEstimates(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def poisson_level(factors: np.ndarray) -> float:
    """Mean over samples of the reciprocal of the mean factor, for factors (gene, sample)."""
    return float(np.mean(1.0 / factors.mean(axis=0)))


def own_dispersions(block: GeneBlock, layout: DesignLayout, poisson: float, min_mu: float) -> GeneWise:
    """Estimate base means and gene-wise dispersions of a block without all-zero genes."""
    of_counts = moments(block, layout.basis)
    dispersion, coefficients = gene_wise_dispersions(block, layout, of_counts, poisson, min_mu)
    return GeneWise(of_counts.mean, dispersion, coefficients)


def estimate_genes(block: GeneBlock, own: GeneWise, hierarchy: Hierarchy, setting: Setting) -> GeneEstimates:
    """Estimate dispersions given the hierarchy, and coefficients; judge the counts by Cook's distance.

    Parameters
    ----------
    block : GeneBlock
        Without all-zero genes.
    own : GeneWise
        Of the same genes.
    hierarchy : Hierarchy
        Trend and prior from all genes.
    setting : Setting

    Returns
    -------
    GeneEstimates
    """
    layout, min_mu = setting.layout, setting.min_mu
    fitted, prior = hierarchy.trend(own.base_mean), hierarchy.prior
    shrunken = map_dispersions(
        block, layout, own.coefficients, own.dispersion, fitted, prior.prior_var, min_mu
    )
    outlying = prior.outlying(own.dispersion, fitted)
    dispersion = np.where(outlying, own.dispersion, shrunken)
    glm = fit_glm(block.counts, block.factors, layout, dispersion, weights=block.weights, min_mu=min_mu)
    cooks = summarize_cooks(block, layout, setting.fitted(own, glm, dispersion), setting.replaceable)
    return GeneEstimates(
        base_mean=own.base_mean,
        dispersion_gene_wise=own.dispersion,
        dispersion_trend=fitted,
        dispersion_map=shrunken,
        dispersion=dispersion,
        dispersion_outlier=outlying,
        max_cooks=cooks.largest,
        excessive=cooks.excessive,
        n_larger=cooks.n_larger,
        **{field.name: getattr(glm, field.name) for field in fields(glm)},
    )


def replacement(block: GeneBlock, own: GeneWise, estimates: GeneEstimates, setting: Setting) -> np.ndarray:
    """Return the counts of some genes with the excessive ones replaced.

    Parameters
    ----------
    block : GeneBlock
    own, estimates : GeneWise, GeneEstimates
        Of these counts.
    setting : Setting

    Returns
    -------
    ndarray (gene, sample)
        New.
    """
    fitted = setting.fitted(own, estimates.glm, estimates.dispersion)
    cooks = cooks_distances(block, setting.layout, fitted)
    return replaced_counts(block, cooks, setting.layout, setting.replaceable)


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
"""What is estimated again once excessive counts are replaced."""
