"""Dispersion of each gene: gene-wise estimates, and maximum a-posteriori given the trend.

Both follow DESeq2 (Love, Huber and Anders 2014, doi:10.1186/s13059-014-0550-8, "Dispersion estimates"); the
objective and its search are in ``search``.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.eb.block import GeneBlock
from bayesde.eb.dispersion.search import MAX_ITERATIONS, NO_PRIOR, LogPrior, Means, ascend_all, best_on_grids
from bayesde.eb.moments import Moments
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.glm import MIN_MU, fit_glm
from bayesde.numerics.libm import exp, log
from bayesde.numerics.threads import over_genes

__all__ = ["MIN_DISPERSION", "fits_cell_means", "gene_wise_dispersions", "map_dispersions", "max_dispersion"]

MIN_DISPERSION = 1e-8
LEAST_WEIGHT = 1e-6
"""Observation weights are held above this while gene-wise dispersions are estimated."""


def max_dispersion(n_samples: int) -> float:
    """Largest dispersion considered: 10, or the number of samples if that is more.

    Parameters
    ----------
    n_samples : int

    Returns
    -------
    float
    """
    return max(10.0, float(n_samples))


def fits_cell_means(layout: DesignLayout, weighted: bool) -> bool:
    """Tell whether gene-wise dispersions are estimated at the cell means, which then are the fitted means.

    Parameters
    ----------
    layout : DesignLayout
    weighted : bool
        Whether there are observation weights.

    Returns
    -------
    bool
    """
    return layout.saturated and not weighted


def _starts(moments: Moments, mean_reciprocal: float, n_samples: int) -> np.ndarray:
    """Return the smaller of a regression-residual and a moment estimate, within the allowed range."""
    by_moments = (moments.variance - mean_reciprocal * moments.mean) / moments.mean**2
    smaller = np.minimum(moments.rough_dispersion, by_moments)
    return np.clip(smaller, MIN_DISPERSION, max_dispersion(n_samples))


def _search(
    log_start: np.ndarray, block: GeneBlock, layout: DesignLayout, means: Means, prior: LogPrior
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Search for every gene: ln dispersion, steps tried, and l at the start and at the end, (gene,) each."""
    out = np.empty((block.n_genes, 4))
    over_genes(ascend_all, block.n_genes, log_start, block, layout.cells, means, prior, out)
    return out[:, 0], out[:, 1], out[:, 2], out[:, 3]


def _on_grid(
    failed: np.ndarray, block: GeneBlock, layout: DesignLayout, means: Means, prior: LogPrior
) -> np.ndarray:
    """Maximize l on a grid, for the few genes whose search failed: ln dispersion (failed gene,)."""
    some = block.take(failed)
    means, prior = Means(means.coefficients[failed], means.min_mu), LogPrior(prior.mean[failed], prior.var)
    out, high = np.empty(some.n_genes), math.log(max_dispersion(layout.n_samples))
    over_genes(best_on_grids, some.n_genes, some, layout.cells, means, prior, high, out)
    return out


def gene_wise_dispersions(
    block: GeneBlock, layout: DesignLayout, moments: Moments, mean_reciprocal: float, min_mu: float = MIN_MU
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate each gene's dispersion from its own counts.

    Parameters
    ----------
    block : GeneBlock
        Without all-zero genes.
    layout : DesignLayout
    moments : Moments
        Of the block.
    mean_reciprocal : float
        Mean over samples of the reciprocal factor: the Poisson variance of a normalized count of mean 1.
    min_mu : float
        Fitted means are not allowed to fall below this.

    Returns
    -------
    dispersion : ndarray (gene,)
        Within [1e-8, max(10, n_samples)].
    coefficients : ndarray (gene, coefficient)
        Those of the means that the estimate was made at; without columns where these are cell means.
    """
    start = _starts(moments, mean_reciprocal, layout.n_samples)
    if fits_cell_means(layout, bool(block.weights.size)):
        coefficients = np.empty((block.n_genes, 0))
    else:
        glm = fit_glm(block.counts, block.factors, layout, start, weights=block.weights)
        coefficients = glm.beta
    floored = block.with_weights_above(LEAST_WEIGHT)
    means, prior = Means(coefficients, min_mu), LogPrior(np.zeros(block.n_genes), NO_PRIOR)
    found, steps, first, last = _search(log(start), floored, layout, means, prior)
    upper = max_dispersion(layout.n_samples)
    dispersion = np.minimum(exp(found), upper)
    # A search that gained next to nothing keeps its start; one step or all of them means that it failed.
    with np.errstate(invalid="ignore"):  # -inf where means overflow, as with a covariate far from 0
        dispersion = np.where(last < first + np.abs(first) / 1e6, start, dispersion)
    failed = ((steps >= MAX_ITERATIONS) | (steps == 1)) & (dispersion > 10.0 * MIN_DISPERSION)
    if failed.any():
        dispersion[failed] = exp(_on_grid(failed, floored, layout, means, prior))
    return np.clip(dispersion, MIN_DISPERSION, upper), coefficients


def map_dispersions(
    block: GeneBlock,
    layout: DesignLayout,
    coefficients: np.ndarray,
    gene_wise: np.ndarray,
    trend: np.ndarray,
    prior_var: float,
    min_mu: float = MIN_MU,
) -> np.ndarray:
    """Maximize the posterior of each dispersion under ln alpha ~ Normal(ln trend, prior_var).

    Parameters
    ----------
    block : GeneBlock
    layout : DesignLayout
    coefficients : ndarray (gene, coefficient)
        As ``gene_wise_dispersions`` returned them.
    gene_wise, trend : ndarray (gene,)
    prior_var : float
        Variance of the prior on the natural-log scale.
    min_mu : float
        As for the gene-wise estimates.

    Returns
    -------
    ndarray (gene,)
    """
    means, prior = Means(coefficients, min_mu), LogPrior(log(trend), prior_var)
    start = log(np.where(gene_wise > 0.1 * trend, gene_wise, trend))
    found, steps, _, _ = _search(start, block, layout, means, prior)
    failed = steps >= MAX_ITERATIONS
    if failed.any():
        found[failed] = _on_grid(failed, block, layout, means, prior)
    return np.clip(exp(found), MIN_DISPERSION, max_dispersion(layout.n_samples))
