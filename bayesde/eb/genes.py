"""The estimates of a block of genes: every step from counts to coefficients, in order."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from bayesde.eb.block import GeneBlock
from bayesde.eb.dispersion.estimates import gene_wise_dispersions, map_dispersions
from bayesde.eb.dispersion.prior import DispersionPrior
from bayesde.eb.dispersion.trend import DispersionTrend
from bayesde.eb.moments import moments
from bayesde.eb.outliers import CooksSummary, FittedBlock, fitted_block, summarize_cooks
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.glm import MIN_MU, fit_glm

__all__ = [
    "BlockFit",
    "GeneEstimates",
    "GeneWise",
    "Hierarchy",
    "Setting",
    "clear_estimates",
    "estimate_gene_wise",
    "estimate_genes",
    "mean_reciprocal_factor",
    "no_estimates",
    "put_estimates",
]


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """What all genes share in the model of dispersions.

    Attributes
    ----------
    trend : DispersionTrend
        Dispersion expected at a mean.
    prior : DispersionPrior
        Spread of the genes' dispersions around the trend.
    """

    trend: DispersionTrend
    prior: DispersionPrior


@dataclass(frozen=True, eq=False)
class Setting:
    """How genes are fitted.

    Attributes
    ----------
    layout : DesignLayout
    replaceable : ndarray of bool (sample,)
        Samples whose excessive counts are replaced; they do not cost a gene its p-value.
    min_mu : float
        Fitted means are not allowed to fall below this.
    cooks_at_gene_wise_means : bool
        Whether Cook's distances are measured from the means at which the gene-wise dispersions were
        estimated, instead of the final means.
    """

    layout: DesignLayout
    replaceable: np.ndarray
    min_mu: float = MIN_MU
    cooks_at_gene_wise_means: bool = False


@dataclass(frozen=True, eq=False)
class GeneWise:
    """Estimates from each gene's own counts, before information is shared between genes.

    Attributes
    ----------
    base_mean, dispersion : ndarray (gene,)
    coefficients : ndarray (gene, coefficient)
        Coefficients (natural log) of the means at which the dispersion was estimated; without columns where
        these are the cell means.
    """

    base_mean: np.ndarray
    dispersion: np.ndarray
    coefficients: np.ndarray

    def take(self, rows: slice | np.ndarray) -> GeneWise:
        """Return the estimates of some genes.

        Parameters
        ----------
        rows : slice, or ndarray of int or of bool
            Which of the genes.

        Returns
        -------
        GeneWise
        """
        return GeneWise(self.base_mean[rows], self.dispersion[rows], self.coefficients[rows])


@dataclass(frozen=True, eq=False, repr=False)
class GeneEstimates:
    """Estimates of some genes: those that are made anew once excessive counts are replaced.

    Attributes
    ----------
    base_mean : ndarray (gene,)
        Mean of the normalized counts.
    dispersion_gene_wise, dispersion_trend, dispersion_map : ndarray (gene,)
        The three estimates of variance = mu + dispersion mu^2.
    dispersion : ndarray (gene,)
        The final one: the MAP estimate, or the gene-wise one of a gene far above the trend.
    dispersion_outlier : ndarray of bool (gene,)
        Genes far above the trend.
    beta, beta_se : ndarray (gene, coefficient)
        Maximum-likelihood coefficients and their standard errors, natural log.
    converged : ndarray of bool (gene,)
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


NAMES = tuple(field.name for field in fields(GeneEstimates))


def no_estimates(n_genes: int, n_coefficients: int) -> GeneEstimates:
    """Make room for estimates: NaN, but base means of 0 and False where a truth value is wanted.

    Parameters
    ----------
    n_genes, n_coefficients : int

    Returns
    -------
    GeneEstimates
    """
    one, several = (n_genes,), (n_genes, n_coefficients)
    return GeneEstimates(
        base_mean=np.zeros(one),
        dispersion_gene_wise=np.full(one, math.nan),
        dispersion_trend=np.full(one, math.nan),
        dispersion_map=np.full(one, math.nan),
        dispersion=np.full(one, math.nan),
        dispersion_outlier=np.zeros(one, dtype=bool),
        beta=np.full(several, math.nan),
        beta_se=np.full(several, math.nan),
        converged=np.zeros(one, dtype=bool),
    )


def put_estimates(target: GeneEstimates, genes: np.ndarray, part: GeneEstimates) -> None:
    """Write the estimates of some genes into those of all.

    Parameters
    ----------
    target : GeneEstimates
        Is overwritten.
    genes : ndarray of int (gene in the part,)
        Positions in the target.
    part : GeneEstimates
    """
    for name in NAMES:
        getattr(target, name)[genes] = getattr(part, name)


def clear_estimates(target: GeneEstimates, genes: np.ndarray) -> None:
    """Take the estimates of some genes back.

    Parameters
    ----------
    target : GeneEstimates
        Is overwritten.
    genes : ndarray of bool (gene,)
    """
    put_estimates(target, genes, no_estimates(int(genes.sum()), target.beta.shape[1]))


@dataclass(frozen=True, eq=False)
class BlockFit:
    """What the fit of a block of genes comes to.

    Attributes
    ----------
    estimates : GeneEstimates
    cooks : CooksSummary
    fitted : FittedBlock
        What Cook's distances depend on, so that they can be computed again.
    """

    estimates: GeneEstimates
    cooks: CooksSummary
    fitted: FittedBlock


def mean_reciprocal_factor(factors: np.ndarray) -> float:
    """Mean over samples of 1 / (mean factor of the sample): Poisson variance of a normalized count of mean 1.

    Parameters
    ----------
    factors : ndarray (gene, sample)
        Normalization factors.

    Returns
    -------
    float
    """
    return float(np.mean(1.0 / factors.mean(axis=0)))


def estimate_gene_wise(
    block: GeneBlock, layout: DesignLayout, mean_reciprocal: float, min_mu: float
) -> GeneWise:
    """Estimate base means and gene-wise dispersions of a block.

    Parameters
    ----------
    block : GeneBlock
        Without all-zero genes.
    layout : DesignLayout
    mean_reciprocal : float
        See ``mean_reciprocal_factor``.
    min_mu : float
        Fitted means are not allowed to fall below this.

    Returns
    -------
    GeneWise
    """
    of_counts = moments(block, layout.basis)
    dispersion, coefficients = gene_wise_dispersions(block, layout, of_counts, mean_reciprocal, min_mu)
    return GeneWise(of_counts.mean, dispersion, coefficients)


def estimate_genes(block: GeneBlock, gene_wise: GeneWise, hierarchy: Hierarchy, setting: Setting) -> BlockFit:
    """Estimate dispersions given the hierarchy, and coefficients; summarize Cook's distances.

    Parameters
    ----------
    block : GeneBlock
        Without all-zero genes.
    gene_wise : GeneWise
        Of the same genes.
    hierarchy : Hierarchy
        Trend and prior from all genes.
    setting : Setting

    Returns
    -------
    BlockFit
    """
    layout, min_mu = setting.layout, setting.min_mu
    trend, prior = hierarchy.trend(gene_wise.base_mean), hierarchy.prior
    shrunken = map_dispersions(
        block, layout, gene_wise.coefficients, gene_wise.dispersion, trend, prior.prior_var, min_mu
    )
    outlying = prior.outlying(gene_wise.dispersion, trend)
    dispersion = np.where(outlying, gene_wise.dispersion, shrunken)
    glm = fit_glm(block.counts, block.factors, layout, dispersion, weights=block.weights, min_mu=min_mu)
    first = gene_wise.coefficients if setting.cooks_at_gene_wise_means else None
    fitted = fitted_block(layout, glm, dispersion, min_mu, first)
    estimates = GeneEstimates(
        base_mean=gene_wise.base_mean,
        dispersion_gene_wise=gene_wise.dispersion,
        dispersion_trend=trend,
        dispersion_map=shrunken,
        dispersion=dispersion,
        dispersion_outlier=outlying,
        beta=glm.beta,
        beta_se=glm.beta_se,
        converged=glm.converged,
    )
    return BlockFit(estimates, summarize_cooks(block, layout, fitted, setting.replaceable), fitted)
