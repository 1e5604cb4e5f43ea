"""The empirical-Bayes fit: every step in order, and the object that users work with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.design.as_design import as_design
from bayesde.design.default_contrast import warn_default
from bayesde.design.random_effects import refuse_for_point_estimates
from bayesde.eb.dispersion.trend import DispersionTrend, as_trend
from bayesde.eb.estimates import EbEstimates
from bayesde.eb.inputs import gather_inputs
from bayesde.eb.options import EbOptions
from bayesde.eb.passes import first_pass, fitted_cooks_distances, learn_hierarchy, second_pass
from bayesde.eb.shrinkage.apeglm import prior_scales
from bayesde.eb.summary import html_summary, one_line, report_fit
from bayesde.eb.tables import lrt_table, shrunken_table, wald_table
from bayesde.errors import InputError
from bayesde.results import ResultsTable
from bayesde.workers.pools import LocalPool, pool_of
from bayesde.workers.progress import Progress, silent

__all__ = ["EbFit", "fit_eb", "one_of"]


@dataclass(frozen=True, eq=False, repr=False)
class EbFit(EbEstimates):
    """Point estimates of every gene; genes without a count are NaN throughout.

    Attributes
    ----------
    counts : Counts
    design : Design
    options : EbOptions
    normalization_factors : ndarray (gene, sample)
        Where they are size factors, a read-only view that takes no memory.
    size_factors : pandas.Series (sample,) or None
        None where the factors differ between genes.
    weights : ndarray (gene, sample) or None
        Observation weights, as they were given.
    base_mean : ndarray (gene,)
        Mean of the normalized counts.
    dispersion_gene_wise, dispersion_trend, dispersion_map : ndarray (gene,)
        The three estimates of variance = mu + dispersion mu^2.
    dispersion : ndarray (gene,)
        The final one: the MAP estimate, or the gene-wise one of a gene far above the trend.
    dispersion_outlier : ndarray of bool (gene,)
        Genes far above the trend.
    trend : DispersionTrend
    dispersion_prior : DispersionPrior
        Width of the prior on ln dispersion.
    dispersion_prior_var : float
        Its variance.
    beta, beta_se : ndarray (gene, coefficient)
        Maximum-likelihood coefficients and their standard errors, natural log.
    converged, all_zero : ndarray of bool (gene,)
    estimated : ndarray of bool (gene,)
        Genes that have estimates.
    low_weight : ndarray of bool (gene,)
        Genes without estimates because their observations have too little weight.
    separated : ndarray of bool (gene,)
        Genes without a finite maximum-likelihood estimate, as where a group has no counts: only the ridge
        bounds their coefficients.
    replaced : ndarray of bool (gene,)
        Genes fitted with excessive counts replaced by values typical of the replicates.
    emptied : ndarray of bool (gene,)
        Those of them that have no counts left.
    count_outlier : ndarray of bool (gene,)
        Genes without a p-value because a count has an excessive Cook's distance.
    replaced_counts : ReplacedCounts
        The counts that were replaced, and by what.
    max_cooks : ndarray (gene,)
        Largest Cook's distance over the samples that have enough replicates to judge it.
    """

    def __repr__(self) -> str:
        return one_line(self)

    def _repr_html_(self) -> str:
        return html_summary(self)

    def cooks_distances(self, genes: np.ndarray | None = None) -> np.ndarray:
        """Cook's distance of every count of some genes, computed anew.

        Parameters
        ----------
        genes : ndarray of int, optional
            Positions; by default all.

        Returns
        -------
        ndarray (gene, sample)
            Of the original counts, whether replaced or not; NaN for genes without estimates.
        """
        return fitted_cooks_distances(self, genes)

    def results(
        self,
        contrast: Any = None,
        coef: str | None = None,
        lfc_threshold: float = 0.0,
        alternative: str = "greaterAbs",
    ) -> ResultsTable:
        """Wald tests of a contrast, with adjusted p-values.

        Parameters
        ----------
        contrast : optional
            As ``design.contrast`` takes it: (factor, level, reference), text, or a numeric vector.
            By default the last coefficient.
        coef : str, optional
            A coefficient by name, instead of a contrast.
        lfc_threshold : float
            Test against effects of this size (log2) instead of 0.
        alternative : {"greaterAbs", "greaterAbs2014", "lessAbs", "greater", "less"}
            The hypothesis that a small p-value supports, about the effect and the threshold.

        Returns
        -------
        ResultsTable
            One row per gene; log2_fold_change and lfc_se in log2, stat, p_value, padj and more.

        Raises
        ------
        InputError
            If the contrast does not exist in this design, or both it and a coefficient are given.
        """
        asked = one_of(contrast, coef)
        warn_default(self.design, asked)
        return wald_table(self, self.design.contrast(asked), lfc_threshold, alternative)

    def test_lrt(self, reduced: str | Design, contrast: Any = None, coef: str | None = None) -> ResultsTable:
        """Likelihood-ratio tests of the design against a reduced one.

        Parameters
        ----------
        reduced : str or Design
            A formula with some terms of the design left out, such as ``"~ batch"``, or a design.
        contrast, coef : optional
            The effect that the table shows beside the test.

        Returns
        -------
        ResultsTable
            As of ``results``, with stat, p_value and padj of the likelihood-ratio test.

        Raises
        ------
        InputError
            If the reduced design is not part of the full one.
        """
        return lrt_table(self, self.design.contrast(one_of(contrast, coef)), reduced)

    def shrink(
        self,
        coef: str | None = None,
        contrast: Any = None,
        lfc_threshold: float = 0.0,
        method: str = "apeglm",
        adapt: bool = True,
    ) -> ResultsTable:
        """Effects shrunk towards zero by a prior on them.

        Parameters
        ----------
        coef : str, optional
            The coefficient to shrink; by default the last.
        contrast : optional
            Any contrast. For apeglm the design is rotated so that it becomes a coefficient; method
            ``"normal"`` takes only contrasts that are a coefficient.
        lfc_threshold : float
            With a threshold (log2), s-values are about effects with the wrong sign or smaller than this.
        method : {"apeglm", "normal", "ashr"}
            ``"apeglm"``: posterior mode under a Cauchy prior whose scale is estimated from all genes;
            ``"normal"``: mode under the normal priors of DESeq2's first publication; ``"ashr"``: posterior
            mean under a mixture of normal distributions, from estimates and standard errors alone.
        adapt : bool
            False gives apeglm a prior of scale 1 (natural log) on all coefficients but the intercept.

        Returns
        -------
        ResultsTable
            Effect, its error and 95 % interval (log2), lfsr, s_value; p_value and padj are the Wald test's.

        Raises
        ------
        InputError
            If the coefficient or contrast does not exist or is a level of expression, as the intercept is,
            both are given, or the method cannot shrink it.
        OptionError
            For an unknown method, a negative threshold, or ``adapt=False`` with a method other than apeglm.
        """
        asked = one_of(contrast, coef)
        table = shrunken_table(self, self.design.contrast(asked), lfc_threshold, method, adapt)
        warn_default(self.design, asked)
        return table

    def shrinkage_scales(self) -> dict[str, float]:
        """Scale S of the Cauchy prior of every coefficient but the intercept, natural log, by coefficient."""
        return prior_scales(self)


def one_of(contrast: Any, coef: str | None) -> Any:
    """Return the contrast or the coefficient, whichever is given.

    Parameters
    ----------
    contrast : object
    coef : str or None

    Returns
    -------
    object
        None if neither is.

    Raises
    ------
    InputError
        If both are.
    """
    if contrast is not None and coef is not None:
        raise InputError("both a contrast and a coefficient were given; give one of them, not both.")
    return coef if contrast is None else contrast


def fit_eb(
    counts: Counts,
    design: str | Design,
    *,
    size_factors: Any = None,
    weights: Any = None,
    trend: DispersionTrend | Callable[[np.ndarray], np.ndarray] | None = None,
    options: EbOptions | None = None,
    scheduler: Any = None,
    progress: Progress = silent,
) -> EbFit:
    """Fit the negative-binomial model of every gene as DESeq2 does, without random effects.

    Parameters
    ----------
    counts, design, size_factors, weights, trend, options, scheduler
        As of `bayesde.fit_eb`.
    progress : callable
        See `Progress`. Not called where all genes are a single block.

    Returns
    -------
    EbFit

    Raises
    ------
    InputError, ClusterError
        As `bayesde.fit_eb` raises them.
    OptionError
        If the design has random effects, or the scheduler does not answer.
    """
    if not isinstance(counts, Counts):
        raise InputError(f"Counts are needed, from read_counts or Counts(...); got {type(counts).__name__}.")
    design = as_design(design, counts)
    refuse_for_point_estimates(design.groupings)
    known = None if trend is None else as_trend(trend)
    with closing(pool_of(scheduler)) as cluster:
        inputs = gather_inputs(counts, design, size_factors, weights, options or EbOptions())
        several = inputs.fitted.sum() > inputs.piece_size()
        pool, told = (cluster, progress) if several else (LocalPool(), silent)
        gene_wise = first_pass(inputs, pool, told)
        hierarchy = learn_hierarchy(inputs, gene_wise, known)
        fit = EbFit(**vars(second_pass(inputs, gene_wise, hierarchy, pool=pool, progress=told)))
    report_fit(fit)
    return fit
