"""The empirical-Bayes fit: every step in order, and what it leaves behind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.design.default_contrast import tell_default
from bayesde.design.given_design import given_design
from bayesde.eb.block import GeneBlock, are_shared
from bayesde.eb.dispersion.prior import DispersionPrior
from bayesde.eb.dispersion.trend import DispersionTrend, given_trend
from bayesde.eb.genes import Hierarchy, estimate_genes, own_dispersions
from bayesde.eb.observation_weights import observation_weights, too_little_weight
from bayesde.eb.options import EbOptions
from bayesde.eb.outliers import CooksSummary, cooks_distances, disqualified
from bayesde.eb.passes import (
    AllGenes,
    Estimates,
    ReplacedCounts,
    first_pass,
    learn_hierarchy,
    second_pass,
)
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.shrinkage.apeglm import prior_scale
from bayesde.eb.size_factors.methods import resolved_factors
from bayesde.eb.summary import described, described_as_table, tell_once
from bayesde.eb.tables import lrt_table, shrunken_table, wald_table
from bayesde.eb.testing.lrt import likelihood_ratios
from bayesde.errors import InputError
from bayesde.results import ResultsTable

__all__ = ["EbFit", "fit_eb"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class EbFit:
    """Point estimates of every gene; genes without a count are NaN throughout.

    Attributes
    ----------
    counts : Counts
    design : Design
    options : EbOptions
    normalization_factors : ndarray (gene, sample)
        Where they are size factors, a read-only view that takes no memory.
    weights : ndarray (gene, sample) or None
        Of the observations, as they were given.
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
    low_weight : ndarray of bool (gene,)
        Genes without estimates because their observations have too little weight.
    separated : ndarray of bool (gene,)
        Genes without a finite maximum-likelihood estimate, as where a group has no counts: only the ridge
        bounds their coefficients.
    replaced : ndarray of bool (gene,)
        Genes fitted with excessive counts replaced by what their many replicates say.
    count_outlier : ndarray of bool (gene,)
        Genes that lose their p-value to a count of excessive Cook's distance.
    replaced_counts : ReplacedCounts
        The counts that were replaced, and by what.
    max_cooks : ndarray (gene,)
        Largest Cook's distance over the samples that have enough replicates to judge it.
    """

    counts: Counts
    design: Design
    options: EbOptions
    normalization_factors: np.ndarray
    weights: np.ndarray | None
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
    low_weight: np.ndarray
    separated: np.ndarray
    replaced: np.ndarray
    count_outlier: np.ndarray
    max_cooks: np.ndarray
    replaced_counts: ReplacedCounts

    def __repr__(self) -> str:
        return described(self)

    def _repr_html_(self) -> str:
        return described_as_table(self)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out of a pickle what is only a view: size factors would be written once for every gene."""
        state = dict(vars(self))
        if self.normalization_factors.strides[0] == 0:
            state["normalization_factors"] = self.normalization_factors[:1]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        factors, shape = state["normalization_factors"], (state["counts"].n_genes, state["counts"].n_samples)
        if factors.shape != shape or len(factors) == 1:
            factors = np.broadcast_to(factors[0], shape)
        factors.flags.writeable = False
        vars(self).update(state, normalization_factors=factors)

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
        if not are_shared(self.normalization_factors):
            return None
        return pd.Series(self.normalization_factors[0], index=self.counts.samples, name="size_factor")

    @property
    def estimated(self) -> np.ndarray:
        """Genes (gene,) that have estimates."""
        return ~self.all_zero & ~self.emptied & ~self.low_weight

    def fitted_counts(self, genes: np.ndarray | None = None) -> np.ndarray:
        """Return counts as fitted, excessive ones replaced.

        Parameters
        ----------
        genes : ndarray of int, optional
            Positions, none of them twice; by default all.

        Returns
        -------
        ndarray of float64 (gene, sample)
            New.
        """
        genes = np.arange(self.counts.n_genes) if genes is None else np.asarray(genes)
        return self.replaced_counts.put_into(self.counts.rows(genes), genes)

    def fitted_blocks(self) -> Iterator[tuple[np.ndarray, GeneBlock]]:
        """Yield the genes that have estimates block by block: their positions, and their data as fitted."""
        data = self._data()
        for genes in data.pieces(np.flatnonzero(self.estimated)):
            block = data.block(genes)
            self.replaced_counts.put_into(block.counts, genes)
            yield genes, block

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
        genes = np.arange(self.counts.n_genes) if genes is None else np.asarray(genes)
        data = self._data()
        usable = data.fitted[genes]
        out = np.full((genes.size, self.counts.n_samples), np.nan)
        if usable.any():
            block = data.block(genes[usable])
            own = own_dispersions(block, data.layout, data.poisson(data.fitted), self.options.min_mu)
            hierarchy = Hierarchy(self.trend, self.dispersion_prior)
            found = estimate_genes(block, own, hierarchy, data.setting)
            fitted = data.setting.fitted(own, found.glm, found.dispersion)
            out[usable] = cooks_distances(block, data.layout, fitted)
        return out

    def _data(self) -> AllGenes:
        return AllGenes(
            self.counts,
            self.normalization_factors,
            self.weights,
            DesignLayout.of(self.design.matrix),
            ~self.all_zero & ~self.low_weight,
            self.options,
        )

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
        asked = _one_of(contrast, coef)
        tell_default(self.design, asked)
        chosen = self.design.contrast(asked)
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
        reduced = given_design(reduced, self.counts, None)
        chosen = self.design.contrast(_one_of(contrast, coef))
        judged = self.judged_for_lrt()
        return lrt_table(judged, chosen, likelihood_ratios(judged, reduced))

    def judged_for_lrt(self) -> EbFit:
        """Return the fit with outlying counts found, replaced and refitted as DESeq2 does for this test.

        It measures Cook's distances from the means at which gene-wise dispersions were estimated, so that a
        few genes near the cutoff are judged otherwise than in the Wald test.
        """
        if not (self.options.cooks_cutoff or self.options.replace_outliers):
            return self
        data = replace(self._data(), judged_at_first_means=True)
        hierarchy = Hierarchy(self.trend, self.dispersion_prior)
        return _assembled(data, self.design, hierarchy, second_pass(data, first_pass(data), hierarchy))

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
            With a threshold (log2) the s-values answer "wrong sign or smaller than this".
        method : {"apeglm", "normal", "ashr"}
            ``"apeglm"``: posterior mode under a Cauchy prior whose scale is learnt from all genes;
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
        asked = _one_of(contrast, coef)
        table = shrunken_table(self, self.design.contrast(asked), lfc_threshold, method, adapt)
        tell_default(self.design, asked)
        return table

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


def fit_eb(
    counts: Counts,
    design: str | Design,
    *,
    size_factors: Any = None,
    references: Mapping[str, str] | None = None,
    weights: Any = None,
    trend: DispersionTrend | Callable[[np.ndarray], np.ndarray] | None = None,
    options: EbOptions | None = None,
) -> EbFit:
    """Fit the negative-binomial model of every gene as DESeq2 does.

    Parameters
    ----------
    counts : Counts
    design : str or Design
        A formula over the sample table, such as ``"~ batch + condition"``, or a design made before.
    size_factors : optional
        ``"ratio"`` (default), ``"poscounts"``, ``"iterate"``, size factors (sample,), or normalization
        factors (gene, sample). Factors or average lengths that came with the counts are used unless factors
        are given here.
    references : mapping, optional
        Reference level of a factor, for a design given as a formula.
    weights : array-like or DataFrame (gene, sample), optional
        How much each count is to be believed, 0 or more; each gene's are divided by their largest.
    trend : DispersionTrend or callable, optional
        A dispersion trend known before: from another fit, or any function from base means to dispersions
        (gene,). By default the trend of the options is fitted.
    options : EbOptions, optional

    Returns
    -------
    EbFit

    Raises
    ------
    InputError
        If the formula, the factors, the weights or the counts do not go together.

    References
    ----------
    Love, Huber and Anders 2014, Genome Biology 15:550, doi:10.1186/s13059-014-0550-8
    """
    if not isinstance(counts, Counts):
        raise InputError(f"Counts are needed, from read_counts or Counts(...); got {type(counts).__name__}.")
    design = given_design(design, counts, references)
    known = None if trend is None else given_trend(trend)
    data = _gathered(counts, design, size_factors, weights, options or EbOptions())
    own = first_pass(data)
    hierarchy = learn_hierarchy(data, own, known)
    fit = _assembled(data, design, hierarchy, second_pass(data, own, hierarchy))
    tell_once(fit)
    return fit


def _gathered(
    counts: Counts, design: Design, size_factors: Any, weights: Any, options: EbOptions
) -> AllGenes:
    """Bring everything together that is known before anything is estimated."""
    layout = DesignLayout.of(design.matrix)
    fitted = ~counts.all_zero
    checked = None if weights is None else observation_weights(weights, counts)
    if checked is not None:
        fitted &= ~too_little_weight(checked, layout)
        for chunk in counts.chunks():
            fitted[chunk] &= (counts.rows(chunk) * checked[chunk]).any(axis=1)
        if not fitted.any():
            raise InputError("no gene has observations of enough weight to estimate the coefficients.")
    return AllGenes(counts, resolved_factors(counts, size_factors), checked, layout, fitted, options)


def _assembled(data: AllGenes, design: Design, hierarchy: Hierarchy, found: Estimates) -> EbFit:
    """Join what was estimated to what was known."""
    genes, all_zero = dict(found.by_gene), data.counts.all_zero
    cooks = CooksSummary(genes["max_cooks"], genes.pop("excessive"), genes.pop("n_larger"))
    outlier = disqualified(cooks, data.layout, two_groups=_two_groups(design)) & data.options.cooks_cutoff
    return EbFit(
        counts=data.counts,
        design=design,
        options=data.options,
        normalization_factors=data.factors,
        weights=data.weights,
        trend=hierarchy.trend,
        dispersion_prior=hierarchy.prior,
        all_zero=all_zero,
        low_weight=~data.fitted & ~all_zero,
        replaced=found.replaced,
        count_outlier=outlier,
        replaced_counts=found.replaced_counts,
        **genes,
    )


def _two_groups(design: Design) -> bool:
    """Tell whether the design is one factor of two levels."""
    levels = [len(names) for names in design.factors.values()]
    return levels == [2] and design.matrix.shape[1] == 2 and len(np.unique(design.matrix, axis=0)) == 2
