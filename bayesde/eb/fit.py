"""The empirical-Bayes fit: every step in order, and what it leaves behind."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.eb.dispersion_prior import DispersionPrior
from bayesde.eb.genes import GeneEstimates, Hierarchy, fit_genes
from bayesde.eb.lrt import likelihood_ratios
from bayesde.eb.lrt_outliers import judged_for_lrt
from bayesde.eb.outliers import (
    cooks_cutoff,
    cooks_distances,
    max_cooks,
    outlier_genes,
    replaceable_samples,
    replaced_counts,
)
from bayesde.eb.shrink import prior_scale
from bayesde.eb.tables import lrt_table, shrunken_table, wald_table
from bayesde.eb.trend import DispersionTrend
from bayesde.errors import InputError
from bayesde.normalize import normalization_matrix
from bayesde.options import EbOptions
from bayesde.results import ResultsTable

__all__ = ["EbFit", "fit_eb"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class EbFit:
    """Point estimates of every gene; genes without a count are NaN throughout.

    Attributes
    ----------
    counts : Counts
    design : Design
    options : EbOptions
    normalization_factors : ndarray (gene, sample)
    base_mean : ndarray (gene,)
        Mean of the normalized counts.
    dispersion_gene_wise, dispersion_trend, dispersion_map : ndarray (gene,)
        The three estimates of variance = mu + dispersion mu^2.
    dispersion : ndarray (gene,)
        The one that is used: the MAP, or the gene-wise one of a gene far above the trend.
    dispersion_outlier : ndarray of bool (gene,)
        Which genes are far above the trend.
    trend : DispersionTrend
    dispersion_prior : DispersionPrior
        Width of the prior on ln dispersion.
    beta, beta_se : ndarray (gene, coefficient)
        Maximum-likelihood coefficients and standard errors, natural log.
    converged, all_zero : ndarray of bool (gene,)
    replaced : ndarray of bool (gene,)
        Genes fitted with excessive counts replaced by what their many replicates say.
    count_outlier : ndarray of bool (gene,)
        Genes that lose their p-value to a count of excessive Cook's distance.
    replacement : ndarray (replaced gene, sample)
        The counts that the replaced genes were fitted to.
    max_cooks : ndarray (gene,)
        Largest Cook's distance over the samples that have enough replicates to judge it.
    """

    counts: Counts
    design: Design
    options: EbOptions
    normalization_factors: np.ndarray
    base_mean: np.ndarray
    dispersion_gene_wise: np.ndarray
    dispersion_trend: np.ndarray
    dispersion_map: np.ndarray
    dispersion: np.ndarray
    dispersion_outlier: np.ndarray
    trend: DispersionTrend
    dispersion_prior: DispersionPrior
    beta: np.ndarray
    beta_se: np.ndarray
    converged: np.ndarray
    all_zero: np.ndarray
    replaced: np.ndarray
    count_outlier: np.ndarray
    max_cooks: np.ndarray
    replacement: np.ndarray

    @property
    def dispersion_prior_var(self) -> float:
        """Variance of the prior on ln dispersion."""
        return self.dispersion_prior.prior_var

    @property
    def emptied(self) -> np.ndarray:
        """Genes (gene,) of which nothing is left once their excessive count is replaced."""
        return self.replaced & (self.base_mean == 0.0)

    @property
    def size_factors(self) -> pd.Series | None:
        """Size factors by sample, or None where the factors differ between genes."""
        first = self.normalization_factors[0]
        if not np.array_equal(
            self.normalization_factors, np.broadcast_to(first, self.normalization_factors.shape)
        ):
            return None
        return pd.Series(first, index=self.counts.samples, name="size_factor")

    @property
    def estimated(self) -> np.ndarray:
        """Genes (gene,) that have estimates."""
        return ~self.all_zero & ~self.emptied

    def fitted_counts(self) -> np.ndarray:
        """Return the counts that were fitted (gene, sample): a new float array, excessive ones replaced."""
        fitted = self.counts.matrix.astype(np.float64)
        fitted[self.replaced] = self.replacement
        return fitted

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
            Whatever ``design.contrast`` understands: (factor, level, reference), text, a numeric vector.
            By default the last coefficient.
        coef : str, optional
            A coefficient by name, instead of a contrast.
        lfc_threshold : float
            Test against effects of this size (log2) instead of 0.
        alternative : {"greaterAbs", "greaterAbs2014", "lessAbs", "greater", "less"}
            What a small p-value claims about the effect and the threshold.

        Returns
        -------
        ResultsTable
            One row per gene; log2_fold_change and lfc_se in log2, stat, p_value, padj and more.

        Raises
        ------
        InputError
            If the contrast does not exist in this design, or both it and a coefficient are given.
        """
        chosen = self.design.contrast(_one_of(contrast, coef))
        return wald_table(self, chosen, lfc_threshold, alternative)

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
        reduced = _as_design(reduced, self.counts, None)
        chosen = self.design.contrast(_one_of(contrast, coef))
        judged = judged_for_lrt(self, two_groups=_two_groups(self.design))
        return lrt_table(judged, chosen, likelihood_ratios(judged, reduced))

    def shrink(
        self, coef: str | None = None, contrast: Any = None, lfc_threshold: float = 0.0
    ) -> ResultsTable:
        """Effects shrunk by an adaptive Cauchy prior (apeglm).

        Parameters
        ----------
        coef : str, optional
            The coefficient to shrink; by default the last.
        contrast : optional
            Any contrast: the design is rotated so that it becomes a coefficient.
        lfc_threshold : float
            With a threshold (log2) the s-values answer "wrong sign or smaller than this".

        Returns
        -------
        ResultsTable
            Mode, posterior sd and 95 % interval (log2), lfsr, s_value; p_value and padj are the Wald test's.

        Raises
        ------
        InputError
            If the coefficient or contrast does not exist, or both are given.
        """
        return shrunken_table(self, self.design.contrast(_one_of(contrast, coef)), lfc_threshold)

    def shrinkage_scales(self) -> dict[str, float]:
        """Scale S of the Cauchy prior of every coefficient but the intercept, natural log, by coefficient."""
        return {
            name: prior_scale(self.beta[:, k], self.beta_se[:, k])
            for k, name in enumerate(self.design.coefficients)
            if k != self.design.intercept
        }


def _one_of(contrast: Any, coef: str | None) -> Any:
    if contrast is not None and coef is not None:
        raise InputError("give either a contrast or a coefficient, not both.")
    return coef if contrast is None else contrast


def _as_design(design: str | Design, counts: Counts, references: Mapping[str, str] | None) -> Design:
    if isinstance(design, str):
        return Design.from_formula(design, counts.sample_table, references=references)
    if references:
        raise InputError("reference levels are part of a design that was made before; give them there.")
    if not isinstance(design, Design):
        raise InputError(f"a formula or a Design is needed; got {type(design).__name__}.")
    if design.n_samples != counts.n_samples:
        raise InputError(f"the design has {design.n_samples} rows, but there are {counts.n_samples} samples.")
    _check_samples(design, counts)
    return design


def _check_samples(design: Design, counts: Counts) -> None:
    """Refuse a design whose rows are other samples, or the same in another order."""
    unnamed = tuple(f"sample{j + 1}" for j in range(design.n_samples))
    for j, (row, sample) in enumerate(zip(design.samples, counts.samples, strict=True)):
        if row != sample and design.samples != unnamed:
            raise InputError(
                f"the design's rows are not the samples of the counts in order: row {j + 1} is '{row}', "
                f"sample {j + 1} is '{sample}'. Make the design from the sample table of the counts."
            )


def _spread(values: np.ndarray, rows: np.ndarray, fill: float | bool = np.nan) -> np.ndarray:
    """Put the values of some genes into an array of all genes."""
    out = np.full((rows.size, *values.shape[1:]), fill, dtype=values.dtype)
    out[rows] = values
    return out


def fit_eb(
    counts: Counts,
    design: str | Design,
    *,
    size_factors: Any = None,
    references: Mapping[str, str] | None = None,
    options: EbOptions | None = None,
) -> EbFit:
    """Fit the negative-binomial model of every gene as DESeq2 does.

    Parameters
    ----------
    counts : Counts
    design : str or Design
        A formula over the sample table, such as ``"~ batch + condition"``, or a design made before.
    size_factors : optional
        ``"ratio"`` (default), ``"poscounts"``, size factors (sample,), or normalization factors
        (gene, sample). Factors that came with the counts are used unless others are given here.
    references : mapping, optional
        Reference level of a factor, for a design given as a formula.
    options : EbOptions, optional

    Returns
    -------
    EbFit

    Raises
    ------
    InputError
        If the formula, the factors or the counts do not go together.
    FitError
        If no dispersion trend can be learnt from these counts.

    References
    ----------
    Love, Huber and Anders 2014, Genome Biology 15:550, doi:10.1186/s13059-014-0550-8
    """
    if not isinstance(counts, Counts):
        raise InputError(f"Counts are needed, from read_counts or Counts(...); got {type(counts).__name__}.")
    options = options or EbOptions()
    design = _as_design(design, counts, references)
    factors = normalization_matrix(counts, size_factors)
    expressed = np.asarray(counts.matrix.any(axis=1))
    y, nf = counts.matrix[expressed].astype(np.float64), factors[expressed]
    estimates, hierarchy = fit_genes(y, nf, design.matrix, options.trend)
    cooks = cooks_distances(y, nf, design.matrix, estimates.mu, estimates.leverage)
    replaced, replacement = np.zeros(len(y), dtype=bool), y[:0]
    if options.replace_outliers:
        estimates, replaced, replacement = _refit_replaced(
            y, nf, cooks, design, options, estimates, hierarchy
        )
    largest = max_cooks(cooks, design.matrix, replaced=options.replace_outliers)
    disqualified = outlier_genes(y, cooks, largest, design.matrix, two_groups=_two_groups(design))
    by_gene = {
        name: _spread(getattr(estimates, name), expressed, 0.0 if name == "base_mean" else np.nan)
        for name in _STORED
    }
    fit = EbFit(
        counts=counts,
        design=design,
        options=options,
        normalization_factors=factors,
        trend=hierarchy.trend,
        dispersion_prior=hierarchy.prior,
        dispersion_outlier=_spread(estimates.dispersion_outlier, expressed, False),
        converged=_spread(estimates.converged, expressed, False),
        all_zero=~expressed,
        replaced=_spread(replaced, expressed, False),
        count_outlier=_spread(disqualified & options.cooks_cutoff, expressed, False),
        max_cooks=_spread(largest, expressed),
        replacement=replacement,
        **by_gene,
    )
    _tell(fit)
    return fit


_STORED = (
    "base_mean",
    "dispersion_gene_wise",
    "dispersion_trend",
    "dispersion_map",
    "dispersion",
    "beta",
    "beta_se",
)


def _refit_replaced(
    y: np.ndarray,
    factors: np.ndarray,
    cooks: np.ndarray,
    design: Design,
    options: EbOptions,
    estimates: GeneEstimates,
    hierarchy: Hierarchy,
) -> tuple[GeneEstimates, np.ndarray, np.ndarray]:
    """Fit genes with excessive counts again, those replaced; also return which genes, and the counts."""
    x = design.matrix
    flagged = (cooks > cooks_cutoff(x)).any(axis=1)
    if not flagged.any() or not replaceable_samples(x).any():
        return estimates, np.zeros(len(y), dtype=bool), y[:0]
    rows = np.flatnonzero(flagged)
    new = replaced_counts(y[rows], factors[rows], cooks[rows], x)
    left = new.any(axis=1)
    updated = estimates
    if left.any():
        refitted, _ = fit_genes(new[left], factors[rows[left]], x, options.trend, hierarchy)
        updated = estimates.updated(rows[left], refitted)
    for name in _STORED:
        getattr(updated, name)[rows[~left]] = 0.0 if name == "base_mean" else np.nan
    return updated, np.asarray(flagged), new


def _tell(fit: EbFit) -> None:
    """Log once what happened to how many genes."""
    logger.info(
        "fitted %d genes: %d with replaced outlier counts, %d with a disqualifying count, %d not converged",
        int((~fit.all_zero).sum()),
        int(fit.replaced.sum()),
        int(fit.count_outlier.sum()),
        int((~fit.converged & ~fit.all_zero).sum()),
    )


def _two_groups(design: Design) -> bool:
    """Tell whether the design is one factor of two levels."""
    levels = [len(names) for names in design.factors.values()]
    return levels == [2] and design.matrix.shape[1] == 2 and len(np.unique(design.matrix, axis=0)) == 2
