r"""Likelihood-ratio tests of whether a gene needs the terms that a reduced design leaves out.

    stat = 2 [ln L(full) - ln L(reduced)] ~ chi^2(p_full - p_reduced)

with the same dispersions in both (Love, Huber and Anders 2014, doi:10.1186/s13059-014-0550-8).
"""

from __future__ import annotations

import numpy as np
from scipy.special import chdtrc

from bayesde.design import Design
from bayesde.eb.block import GeneBlock
from bayesde.eb.estimates import EbEstimates
from bayesde.eb.passes import first_pass, second_pass
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.glm import MIN_MU, fit_glm
from bayesde.eb.regression.irls import set_means
from bayesde.errors import InputError
from bayesde.numerics.cholesky import row_of
from bayesde.numerics.compiled import kernel
from bayesde.numerics.linear import products, projections
from bayesde.numerics.negative_binomial import nb_log_pmf
from bayesde.numerics.threads import over_genes

__all__ = ["check_nested", "estimates_for_lrt", "likelihood_ratios"]


@kernel
def _log_likelihoods(first, last, block, cells, beta, at_least, dispersion, out):  # type: ignore[no-untyped-def]
    mu = np.empty(cells.of_sample.size)
    for g in range(first, last):
        y, weights = block.counts[g], row_of(block.weights, g)
        set_means(y, row_of(block.factors, g), cells, beta[g], at_least[g], mu)
        out[g] = 0.0
        for j in range(y.size):
            part = nb_log_pmf(y[j], mu[j], dispersion[g])
            out[g] += part * weights[j] if weights.size else part


def _log_likelihood(
    block: GeneBlock, layout: DesignLayout, dispersion: np.ndarray, min_mu: float
) -> np.ndarray:
    """Largest log-likelihood (gene,) under a design, dispersions given.

    That of a gene from the bounded optimizer is taken at means of at least half a read.
    """
    glm = fit_glm(block.counts, block.factors, layout, dispersion, weights=block.weights, min_mu=min_mu)
    out, at_least = np.empty(block.n_genes), np.where(glm.bounded, MIN_MU, 0.0)
    over_genes(_log_likelihoods, block.n_genes, block, layout.cells, glm.beta, at_least, dispersion, out)
    return out


def check_nested(full: Design, reduced: Design) -> None:
    """Refuse a reduced design that is not part of the full one.

    Parameters
    ----------
    full, reduced : Design

    Raises
    ------
    InputError
        Naming the columns that the full design cannot express.
    """
    to_full = projections(full.matrix)[1]
    explained = products(full.matrix, products(reduced.matrix.T, to_full))
    outside = np.abs(explained - reduced.matrix).max(axis=0) > 1e-8
    if outside.any():
        names = ", ".join(f"'{name}'" for name, out in zip(reduced.coefficients, outside, strict=True) if out)
        raise InputError(
            f"the reduced design has {names}, which the full design '{full.formula}' cannot express; "
            "a reduced design only leaves out terms of the full design."
        )
    if reduced.n_coefficients >= full.n_coefficients:
        raise InputError("the reduced design is equivalent to the full design; leave at least one term out.")


def estimates_for_lrt(fit: EbEstimates) -> EbEstimates:
    """Return the estimates with outlying counts found, replaced and refitted as DESeq2 does for this test.

    It measures Cook's distances from the means at which gene-wise dispersions were estimated, so that a
    few genes near the cutoff are treated differently from the Wald test.

    Parameters
    ----------
    fit : EbEstimates

    Returns
    -------
    EbEstimates
        The same object if outliers are not looked for.
    """
    if not (fit.options.cooks_cutoff or fit.options.replace_outliers):
        return fit
    return second_pass(fit.inputs, first_pass(fit.inputs), fit.hierarchy, cooks_at_gene_wise_means=True)


def likelihood_ratios(fit: EbEstimates, reduced: Design) -> tuple[np.ndarray, np.ndarray]:
    """Test the full design of a fit against a reduced one.

    Parameters
    ----------
    fit : EbEstimates
    reduced : Design
        Its columns must be combinations of the full design's.

    Returns
    -------
    stat, p_value : ndarray (gene,)
        NaN for genes without counts; 0 and 1 for those without counts once outliers are replaced.

    Raises
    ------
    InputError
        If the designs are not nested.
    """
    check_nested(fit.design, reduced)
    layouts = DesignLayout.of(fit.design.matrix), DesignLayout.of(reduced.matrix)
    stat = np.where(fit.emptied, 0.0, np.nan)
    for genes, block in fit.fitted_blocks():
        full, less = (
            _log_likelihood(block, layout, fit.dispersion[genes], fit.options.min_mu) for layout in layouts
        )
        stat[genes] = 2.0 * (full - less)
    # A likelihood that stopped short of its maximum may leave a statistic below 0, by rounding.
    return stat, chdtrc(fit.design.n_coefficients - reduced.n_coefficients, np.maximum(stat, 0.0))
