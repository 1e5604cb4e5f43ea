"""`fit_usage`: which exons, junctions or isoforms make up another part of their gene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesde.design import Design
from bayesde.design.as_design import as_design
from bayesde.design.random_effects import refuse_groupings
from bayesde.eb.testing.lrt import check_nested
from bayesde.eb.testing.multiple_testing import benjamini_hochberg, filter_and_adjust
from bayesde.errors import InputError, first_few
from bayesde.normalize.ratios import log_size_factors
from bayesde.numerics.libm import exp, log
from bayesde.numerics.small_matrices import inverse
from bayesde.results import build_results
from bayesde.usage.counts import UsageCounts
from bayesde.usage.estimates import (
    Dispersions,
    Regressions,
    fit_dispersions,
    likelihood_ratios,
    regress,
)
from bayesde.usage.gene_tests import gene_q_values
from bayesde.usage.likelihood import FeatureCounts
from bayesde.usage.options import UsageOptions
from bayesde.usage.posterior import Priors, UsagePosterior, sample_usage
from bayesde.usage.scales import start_scales
from bayesde.workers.progress import Progress, silent

__all__ = ["UsageFit", "fit_usage"]

_FIXED = "Leave them out, or make the grouping a fixed effect where the design allows it."


@dataclass(frozen=True, eq=False, repr=False)
class UsageFit:
    """A fit of usage: point estimates and tests. Made by `fit_usage`.

    Attributes
    ----------
    counts : UsageCounts
    design : Design
        Of usage: the effect of each column on the log ratio of a feature and the others of its gene.
    tested : tuple of str
        The coefficients that the reduced design leaves out.
    options : UsageOptions
    base_mean : ndarray (feature,)
        Mean normalized counts.
    fitted : ndarray of bool (feature,)
        Features with counts, in genes with counts of other features.
    dispersions, full, reduced
        Of the fitted features.
    """

    counts: UsageCounts
    design: Design
    tested: tuple[str, ...]
    options: UsageOptions
    base_mean: np.ndarray
    fitted: np.ndarray
    dispersions: Dispersions
    full: Regressions
    reduced: Regressions

    def __repr__(self) -> str:
        return (
            f"<UsageFit: {int(self.fitted.sum()):,} of {len(self.fitted):,} features; design: "
            f"{self.design.formula or 'a matrix'}; tested: {', '.join(self.tested)}>"
        )

    @property
    def fitted_counts(self) -> FeatureCounts:
        """Counts of the fitted features."""
        return _feature_counts(self.counts, self.fitted, self.design.matrix)

    def results(self, contrast: Any = None) -> pd.DataFrame:
        """Return the tests, and the change of usage, of every feature.

        Parameters
        ----------
        contrast : optional
            Whatever ``design.contrast`` takes; by default the last coefficient.

        Returns
        -------
        pandas.DataFrame (feature,)
            ``gene``; ``base_mean``; ``log2_fold_change``, the change of the ratio of this feature to the
            others of its gene, and its standard error ``lfc_se``; ``stat`` and ``p_value`` of the
            likelihood-ratio test of all coefficients that the reduced design leaves out; ``padj``;
            ``dispersion``; ``status``.

        Raises
        ------
        InputError
            If the contrast does not exist.
        """
        vector = self.design.contrast(contrast).vector
        stat, p_value = likelihood_ratios(self.full, self.reduced, len(self.tested))
        known = self.dispersions.converged & ~np.isnan(stat)
        errors = np.sqrt([_variance(matrix, vector) for matrix in self.full.information])
        effect = (self.full.beta * vector).sum(axis=1)
        parts = {
            "log2_fold_change": effect,
            "lfc_se": errors,
            "stat": stat,
            "p_value": p_value,
            "dispersion": self.dispersions.dispersion,
        }
        columns = {name: self._scattered(np.where(known, values, np.nan)) for name, values in parts.items()}
        columns["padj"] = self._adjusted(columns["p_value"])
        status = self._status(self._scattered(known.astype(float)) == 1.0)
        status[(status == "ok") & np.isnan(columns["padj"])] = "low_mean"
        columns |= {"base_mean": self.base_mean, "status": status}
        return _with_genes(build_results(self.counts.features, columns), self.counts)

    def genes(self) -> pd.DataFrame:
        """Return q-values of genes: whether any of their features changes.

        Returns
        -------
        pandas.DataFrame (gene,)
            ``features`` tested, ``smallest_p_value``, ``q_value``.
        """
        table = self.results()
        p_value = np.where(table["padj"].isna(), np.nan, table["p_value"])
        return gene_q_values(p_value, self.counts.genes)

    def posterior(
        self, *, draws: int | None = None, seed: int | None = None, progress: Progress = silent
    ) -> UsagePosterior:
        """Sample the posterior of usage by importance sampling.

        Parameters
        ----------
        draws, seed : int, optional
            By default those of the options.
        progress : callable, optional
            Called with features done, features in all, and what is being done.

        Returns
        -------
        UsagePosterior

        Raises
        ------
        OptionError
            If a number is out of its range.
        InputError
            If no feature has enough reads.
        """
        options = self.options
        options = options if draws is None else replace(options, draws=draws)
        options = options if seed is None else replace(options, seed=seed)
        counts = self.fitted_counts
        enough = (counts.this.sum(axis=1) >= options.min_reads) & self.dispersions.converged
        if not enough.any():
            raise InputError(f"no feature has {options.min_reads} reads; lower min_reads.")
        sampled = self.fitted.copy()
        sampled[self.fitted] = enough
        shrunken = np.array([name in self.tested for name in self.design.coefficients])
        dispersions = self.dispersions
        found = sample_usage(
            FeatureCounts(counts.this[enough], counts.others[enough], counts.x),
            self.counts.features[sampled],
            Priors(
                dispersion=dispersions.dispersion[enough],
                center=log(dispersions.trend(self.base_mean[sampled])),
                variance=dispersions.prior.prior_var,
                shrunken=shrunken,
                scales=start_scales(self.full.beta[enough][:, shrunken]),
            ),
            options,
            progress,
        )
        status = self._status(self._scattered(dispersions.converged.astype(float)) == 1.0)
        status[self.fitted & ~sampled & (status == "ok")] = "low_mean"
        return UsagePosterior(self.counts, self.design, sampled, self.base_mean, status, found)

    def _scattered(self, values: np.ndarray) -> np.ndarray:
        """Return values of fitted features for all features, NaN for the others."""
        out = np.full(len(self.fitted), np.nan)
        out[self.fitted] = values
        return out

    def _adjusted(self, p_value: np.ndarray) -> np.ndarray:
        """Adjust p-values for multiple testing."""
        if not self.options.independent_filtering:
            return benjamini_hochberg(p_value)
        return filter_and_adjust(p_value, self.base_mean, self.options.fdr).padj

    def _status(self, converged: np.ndarray) -> np.ndarray:
        """Return why features have no numbers, object (feature,)."""
        reasons = {
            "not_converged": ~converged,
            "single_feature": ~self.fitted,
            "all_zero": self.counts.counts.all_zero,
        }
        status = np.full(len(self.fitted), "ok", dtype=object)
        for reason, where in reasons.items():
            status[where] = reason
        return status


def fit_usage(
    counts: UsageCounts,
    design: str | Design,
    *,
    reduced: str | Design | None = None,
    references: Mapping[str, str] | None = None,
    options: UsageOptions | None = None,
) -> UsageFit:
    """Test which features of a gene are used differently, as DEXSeq does, and estimate by how much.

    Each feature is compared with the others of its gene in the same sample, so that neither size factors nor
    the expression of the gene matter: ``log(this / others)`` has the design. DEXSeq writes
    ``~ type + condition`` as ``~ sample + exon + type:exon + condition:exon``.

    Parameters
    ----------
    counts : UsageCounts
        From `read_usage`.
    design : str or Design
        Formula over the sample table, with an intercept.
    reduced : str or Design, optional
        The design without what is tested; by default without the last term.
    references : mapping of str to str, optional
        Reference level by factor.
    options : UsageOptions, optional

    Returns
    -------
    UsageFit

    Raises
    ------
    InputError
        If the design or the reduced design cannot be used, or no feature has counts beside others.
    """
    if not isinstance(counts, UsageCounts):
        raise InputError(f"UsageCounts are needed, from read_usage; got a {type(counts).__name__}.")
    options = options or UsageOptions()
    full = as_design(design, counts.counts, references)
    refuse_groupings(full.groupings, "the fit of usage", _FIXED)
    x_reduced, tested = _reduced(full, reduced, counts, references)
    base_mean, fitted = _base_mean(counts), _usable(counts)
    features = _feature_counts(counts, fitted, full.matrix)
    dispersions = fit_dispersions(features, base_mean[fitted], options)
    return UsageFit(
        counts=counts,
        design=full,
        tested=tested,
        options=options,
        base_mean=base_mean,
        fitted=fitted,
        dispersions=dispersions,
        full=regress(features, dispersions.dispersion),
        reduced=regress(features._replace(x=x_reduced), dispersions.dispersion),
    )


def _reduced(
    full: Design, reduced: str | Design | None, counts: UsageCounts, references: Mapping[str, str] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the reduced model matrix, and the coefficients that it leaves out."""
    if reduced is None:
        term, columns = list(full.terms.items())[-1]
        kept = [k for k in range(full.n_coefficients) if k not in columns]
        if full.intercept in columns:
            raise InputError(f"the design '{full.formula}' has nothing to test; add a term to it.")
        if not kept or full.intercept not in kept:
            raise InputError(
                f"without '{term}' the design '{full.formula}' has no intercept, so that a feature would "
                "have to be as frequent as all others together; use a design with an intercept, or name the "
                "reduced design."
            )
        return np.ascontiguousarray(full.matrix[:, kept]), tuple(full.coefficients[k] for k in columns)
    less = as_design(reduced, counts.counts, references)
    refuse_groupings(less.groupings, "the reduced design", _FIXED)
    check_nested(full, less)
    tested = tuple(name for name in full.coefficients if name not in less.coefficients)
    if len(tested) != full.n_coefficients - less.n_coefficients:
        raise InputError(
            f"the coefficients of the reduced design, {first_few(less.coefficients)}, are not among those of "
            f"the full design, {first_few(full.coefficients)}; leave out whole terms."
        )
    return np.ascontiguousarray(less.matrix), tested


def _base_mean(counts: UsageCounts) -> np.ndarray:
    """Mean normalized counts of the features (feature,)."""
    try:
        factors = exp(log_size_factors(counts.counts))
    except InputError:  # every feature has a zero
        factors = exp(log_size_factors(counts.counts, "poscounts"))
    return np.asarray((counts.counts.matrix / factors).mean(axis=1))


def _usable(counts: UsageCounts) -> np.ndarray:
    """Mark features with counts in genes with counts of other features, bool (feature,)."""
    usable = ~counts.counts.all_zero & (counts.others.sum(axis=1) > 0.0)
    if not usable.any():
        raise InputError(
            "no feature has counts while others of its gene have: is each gene represented by one feature?"
        )
    return np.asarray(usable)


def _feature_counts(counts: UsageCounts, rows: np.ndarray, matrix: np.ndarray) -> FeatureCounts:
    return FeatureCounts(counts.counts.rows(rows), np.ascontiguousarray(counts.others[rows]), matrix)


def _variance(information: np.ndarray, vector: np.ndarray) -> float:
    """Variance of a contrast; NaN if the information is singular."""
    covariance = inverse(information)
    return float("nan") if covariance is None else float(vector @ covariance @ vector)


def _with_genes(table: pd.DataFrame, counts: UsageCounts) -> pd.DataFrame:
    """Put the gene of each feature first."""
    plain = pd.DataFrame(table).rename_axis("feature")
    plain.insert(0, "gene", counts.genes.to_numpy())
    return plain
