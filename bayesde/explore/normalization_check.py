"""Whether the normalization can be trusted, in sentences: `normalization_check`.

It compares size factors of several methods, looks for genes that take most of the reads, for experiments in
which most genes change, and for normalization factors that were made of the counts themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts, matched_numbers
from bayesde.errors import InputError, first_few
from bayesde.explore.composition import (
    NEAR,
    SMALLEST_MEAN,
    RatioComparison,
    abundant_genes,
    compare_ratios,
)
from bayesde.explore.given_factors import FactorCheck, check_factors, groups_of
from bayesde.explore.sample_groups import sample_column
from bayesde.normalize.blocks import row_blocks
from bayesde.normalize.ratios import log_size_factors
from bayesde.numerics.libm import exp, log

__all__ = ["Finding", "NormalizationCheck", "normalization_check"]

LARGE_SPAN = 0.5
"""Log2 difference between two methods, of two samples, from which it is a problem: 1.4-fold."""
LARGE_SHARE = 0.1
"""Part of a sample's reads from which a gene is abundant."""
FEW_NEAR = 0.5
"""If fewer of the genes than this are near the median ratio, it is not a peak of unchanged genes."""
LOW_DENSITY = 0.75
"""If the density at the median is below this part of that at its peak, the median is beside the peak."""
FEW_USED = 0.5
"""If fewer of the expressed genes have a count in every sample, median ratios use a minority."""
COPIED, RELATED = 0.8, 0.5
"""Correlation of factors with counts within genes that is a problem, and if dispersions collapse, too."""
COLLAPSED = 0.25
"""Part of the dispersion that is left if it collapses."""
FAR_FROM_ONE = 1.1
"""Geometric means of rows of factors beyond this, or its inverse, change the scale of base means."""
_SPIKE = r"ERCC-\d{5}"
_FEWEST_CONTROLS = 5


@dataclass(frozen=True)
class Finding:
    """One result of the check.

    Attributes
    ----------
    level : str
        ``"ok"``, ``"note"`` or ``"problem"``.
    text : str
        What was found; of a problem also what to do.
    """

    level: str
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.text}"


@dataclass(frozen=True, eq=False, repr=False)
class NormalizationCheck:
    """What `normalization_check` found. ``print`` shows the sentences.

    Attributes
    ----------
    findings : tuple of Finding
    size_factors : pandas.DataFrame (sample, method)
        ``ratio`` (median ratios), ``total`` (total counts), ``poscounts`` and, where there are any,
        ``controls`` (control genes or spike-ins), each with geometric mean 1; NaN where a method cannot be
        used.
    abundant_genes : pandas.DataFrame (gene, sample)
        Parts of the reads, of the genes that take a tenth or more of the reads of some sample.
    comparison : RatioComparison or None
        The two groups of samples between which the fewest genes are near the median ratio.
    factors : FactorCheck or None
        Of normalization factors by gene and sample.
    """

    findings: tuple[Finding, ...]
    size_factors: pd.DataFrame
    abundant_genes: pd.DataFrame
    comparison: RatioComparison | None
    factors: FactorCheck | None

    @property
    def problems(self) -> tuple[str, ...]:
        """The sentences on what should be looked at before a fit."""
        return tuple(finding.text for finding in self.findings if finding.level == "problem")

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))

    def __repr__(self) -> str:
        return f"<NormalizationCheck: {len(self.problems)} problem(s)>\n{self}"


def normalization_check(
    counts: Counts, by: Any = None, *, control_genes: Any = None, factors: Any = None
) -> NormalizationCheck:
    """Check whether samples can be made comparable by size factors, and say in sentences what was found.

    ``bayesde.plots.normalization_plot`` draws the result.

    Parameters
    ----------
    counts : Counts
    by : str or sequence (sample,), optional
        Groups of samples to compare: a column of the sample table, or labels. By default all columns with two
        to eight levels of at least two samples each, and the worst comparison is reported; without such a
        column each sample is compared with the mean of all.
    control_genes : sequence of str, of int or of bool, optional
        Genes known not to change, or spike-ins; by default genes named like ERCC spike-ins, if there are at
        least five with counts.
    factors : array-like or pandas.DataFrame (gene, sample), optional
        Normalization factors to check; by default those of the counts, if there are any. They may have zeros
        and missing values, which are reported.

    Returns
    -------
    NormalizationCheck

    Raises
    ------
    InputError
        If a sample has no counts, a column or control gene is unknown, or factors do not fit the counts.

    Notes
    -----
    Problems are: size factors of two methods that differ 1.4-fold or more between two samples; a gene whose
    part of the reads differs by a tenth or more between samples; fewer than half of the genes within 1.4-fold
    of the median ratio, or a density at the median below three quarters of that at its peak; median ratios of
    fewer than half of the expressed genes; and factors with zeros, missing values, or built from the counts.
    """
    if not (counts.library_sizes > 0.0).all():
        empty = counts.samples[counts.library_sizes == 0.0]
        raise InputError(f"no counts in the sample(s) {first_few(empty)}; remove them.")
    controls = _controls(counts, control_genes)
    by_method = _by_method(counts, controls)
    reference = by_method["ratio" if by_method["ratio"].notna().all() else "poscounts"].to_numpy()
    abundant = abundant_genes(counts, LARGE_SHARE)
    comparison = compare_ratios(counts, reference, by)
    given = counts.normalization_factors if factors is None else factors
    checked = None
    if given is not None:
        values = matched_numbers(given, counts.genes, counts.samples, "normalization factors")
        column = None if by is None else sample_column(counts.sample_table, counts.samples, by)
        checked = check_factors(counts, values, reference, groups_of(column, counts.n_samples))
    findings = [
        *_on_methods(by_method),
        _on_abundant(abundant),
        *_on_ratios(counts, comparison, reference, bool(by_method["ratio"].notna().all())),
        *([] if checked is None else _on_factors(checked)),
    ]
    return NormalizationCheck(tuple(findings), by_method, abundant, comparison, checked)


def _controls(counts: Counts, given: Any) -> Any:
    """Return the control genes: those given, or else spike-ins with counts; None without any."""
    if given is not None:
        return given
    spikes = np.asarray(counts.genes.str.fullmatch(_SPIKE), dtype=bool) & ~counts.all_zero
    return spikes if spikes.sum() >= _FEWEST_CONTROLS else None


def _by_method(counts: Counts, controls: Any) -> pd.DataFrame:
    """Size factors of each method, of geometric mean 1 (sample, method); NaN where one cannot be used."""
    logs = {"ratio": _logs(counts, "ratio"), "total": log(counts.library_sizes)}
    logs["poscounts"] = _logs(counts, "poscounts")
    if controls is not None:
        logs["controls"] = log_size_factors(counts, "poscounts", controls)
    centred = {name: exp(values - values.mean()) for name, values in logs.items()}
    return pd.DataFrame(centred, index=counts.samples)


def _logs(counts: Counts, method: str) -> np.ndarray:
    """Ln size factors, NaN if the method cannot be used."""
    try:
        return log_size_factors(counts, method)
    except InputError:
        return np.full(counts.n_samples, np.nan)


_NAMES = {"total": "total counts", "poscounts": "positive counts", "controls": "control genes or spike-ins"}
_MEANING = {
    "total": "The samples differ in composition, so that counts per million (RPM, cpm) and log2 fold changes "
    "disagree. Compare samples by fpm or normalized counts, not by cpm.",
    "poscounts": "Genes with zeros behave differently from those counted in every sample. Look at samples "
    "with few reads, filter genes, or use the size factors 'poscounts'.",
    "controls": "Relative to the controls most genes have changed. If the controls can be trusted, use "
    "control_genes= (--control-genes), so that fold changes are relative to them.",
}


def _on_methods(by_method: pd.DataFrame) -> Iterator[Finding]:
    """Compare the size factors of each method with median ratios."""
    if by_method["ratio"].isna().any():
        yield Finding(
            "problem",
            "Median ratios cannot be computed: every gene has a zero count in some sample. Use the size "
            "factors 'poscounts', and look for samples with few reads.",
        )
    reference = "ratio" if by_method["ratio"].notna().all() else "poscounts"
    against = {"ratio": "median ratios", "poscounts": _NAMES["poscounts"]}[reference]
    for name in [one for one in _NAMES if one in by_method and one != reference]:
        difference = pd.Series(np.log2(by_method[name] / by_method[reference]), by_method.index)
        span = float(difference.max() - difference.min())
        said = f"Size factors from {_NAMES[name]} and from {against} differ by up to {2.0**span:.2f}-fold"
        samples = f"between the samples '{difference.idxmax()}' and '{difference.idxmin()}'"
        if span < LARGE_SPAN:
            yield Finding("ok", f"{said} between samples.")
        else:
            yield Finding("problem", f"{said}, {samples}. {_MEANING[name]}")


def _on_abundant(table: pd.DataFrame) -> Finding:
    """Say which genes take much of the reads of some samples."""
    if table.empty:
        return Finding("ok", f"No gene takes {LARGE_SHARE:.0%} or more of the reads of a sample.")
    parts = [
        f"'{gene}' {row.min():.1%} ('{row.idxmin()}') to {row.max():.1%} ('{row.idxmax()}')"
        for gene, row in table.head(3).iterrows()
    ]
    more = f" and {len(table) - 3} more" if len(table) > 3 else ""
    said = f"Genes that take {LARGE_SHARE:.0%} or more of the reads of a sample: {'; '.join(parts)}{more}."
    if (table.max(axis=1) - table.min(axis=1)).max() < LARGE_SHARE:
        return Finding("note", f"{said} Their part is similar in all samples.")
    return Finding(
        "problem",
        f"{said} What they take is missing from the reads of all other genes: with total counts these would "
        "seem to change the other way.",
    )


def _on_ratios(
    counts: Counts, comparison: RatioComparison | None, factors: np.ndarray, usable: bool
) -> Iterator[Finding]:
    """Say whether the median of ratios is among genes that do not change."""
    if usable:
        used, expressed = _used_genes(counts, factors)
        said = f"{used:,} of {expressed:,} genes with a mean of {SMALLEST_MEAN:g} or more"
        few = used < FEW_USED * expressed
        yield Finding(
            "problem" if few else "ok",
            f"Median ratios are based on {said}"
            + (
                ": those counted in every sample, a minority. Use the size factors 'poscounts'."
                if few
                else "."
            ),
        )
    if comparison is None:
        yield Finding("note", "There are too few genes to compare ratios between samples.")
        return
    between = f"Between '{comparison.first}' and '{comparison.second}'"
    near = f"{comparison.share_near:.0%} of the genes are within {2.0**NEAR:.1f}-fold of the median ratio"
    if comparison.density_ratio < LOW_DENSITY:
        yield Finding(
            "problem",
            f"{between} the median ratio is not where most genes are: their density is highest at a ratio "
            f"{2.0 ** (comparison.mode - comparison.median):.2f} times the median. If those are the "
            "unchanged genes (as the background of IP against input), use them as control genes; size "
            "factors with location= for the peak (e.g. the shortest half) are another way.",
        )
    elif comparison.share_near < FEW_NEAR:
        yield Finding(
            "problem",
            f"{between} only {near}: most genes change, and the size factors depend on the assumption that "
            "as many go up as down. Control genes or spike-ins would replace it; state fold changes as "
            "relative to the median gene.",
        )
    else:
        yield Finding("ok", f"{between}, {near}, and the median is where most genes are.")


def _used_genes(counts: Counts, factors: np.ndarray) -> tuple[int, int]:
    """Count the expressed genes, and those of them that have a count in every sample."""
    used = expressed = 0
    for _, rows in row_blocks(counts):
        enough = (rows / factors).mean(axis=1) >= SMALLEST_MEAN
        expressed += int(enough.sum())
        used += int((rows[enough] > 0.0).all(axis=1).sum())
    return used, expressed


def _on_factors(found: FactorCheck) -> Iterator[Finding]:
    """Say what is known of normalization factors by gene and sample."""
    bad = found.missing + found.not_positive
    if bad:
        yield Finding(
            "problem",
            f"The normalization factors have {found.missing} missing or infinite value(s) and "
            f"{found.not_positive} that are 0 or negative, e.g. of {first_few(found.first_genes, 3)}: a fit "
            "refuses them. Replace them by the size factor of the sample.",
        )
    if not found.geometric_means.size:
        return
    yield _on_scale(found.geometric_means)
    if math.isnan(found.correlation):
        yield Finding("ok", "The normalization factors are those of size factors: they do not vary by gene.")
        return
    collapsed = found.dispersion < COLLAPSED * found.dispersion_without
    said = (
        f"Within genes, the log normalization factors correlate with the log counts by "
        f"{found.correlation:.2f} (median gene); the median dispersion by moments is {found.dispersion:.3g} "
        f"with them and {found.dispersion_without:.3g} with size factors, and {found.poisson_share:.0%} of "
        f"the genes vary no more than Poisson counts (with size factors {found.poisson_share_without:.0%})"
    )
    if found.correlation >= COPIED or (found.correlation >= RELATED and collapsed):
        yield Finding(
            "problem",
            f"{said}. The factors seem to be built from the counts themselves, which then enter the model "
            "twice, and p-values and intervals are far too small. Put the covariates behind the correction "
            "into the design instead.",
        )
    else:
        yield Finding("ok", f"{said}.")


def _on_scale(geometric_means: np.ndarray) -> Finding:
    """Say whether the rows of factors have geometric means near 1."""
    low, high = float(geometric_means.min()), float(geometric_means.max())
    if 1.0 / FAR_FROM_ONE <= low and high <= FAR_FROM_ONE:
        return Finding("ok", f"The geometric means of the factors of a gene are {low:.3g} to {high:.3g}.")
    return Finding(
        "note",
        f"The geometric means of the factors of a gene are {low:.3g} to {high:.3g}, not 1: normalized counts "
        "and base means are on another scale than the counts. Divide each row by its geometric mean.",
    )
