"""Normalization: what makes samples comparable, and the means and scaled counts that follow from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts, matched_matrix, positions
from bayesde.errors import InputError, OptionError, first_few

__all__ = ["base_mean", "base_var", "cpm", "fpm", "normalization_matrix", "size_factors"]

METHODS = ("ratio", "poscounts")


def size_factors(
    counts: Counts,
    method: str = "ratio",
    control_genes: Any = None,
    geometric_means: Any = None,
) -> pd.Series:
    """Estimate size factors by the median of ratios.

    With g_i the mean over samples of ln y_ij, ``ln s_j = median_i (ln y_ij - g_i)`` over the genes that have
    a count in every sample (``"ratio"``). ``"poscounts"`` takes g_i from the positive counts only, their logs
    summed and divided by the number of all samples, and uses in each sample the genes counted in it; the
    factors are then divided by their geometric mean, as are those from given `geometric_means`.

    Parameters
    ----------
    counts : Counts
    method : {"ratio", "poscounts"}
    control_genes : sequence of str, of int or of bool, optional
        Names, positions or a mask of the genes whose ratios are used: genes known not to change.
    geometric_means : array-like or pandas.Series, (gene,), optional
        Reference level of each gene, 0 for a gene not to be used; a Series is matched by name. It replaces
        the g_i of the method.

    Returns
    -------
    pandas.Series, float64, (sample,)
        Positive factors, named ``size_factor``.

    Raises
    ------
    InputError
        If no gene has the counts that the method needs, or a control gene is unknown.
    OptionError
        If the method is unknown.

    References
    ----------
    Anders, S. and Huber, W. (2010) Genome Biology 11:R106, equation 5. doi:10.1186/gb-2010-11-10-r106
    """
    if method not in METHODS:
        raise OptionError(f"unknown size factor method {method!r}; allowed are {first_few(METHODS)}")
    with np.errstate(divide="ignore"):
        log_counts = np.log(counts.matrix)
    if geometric_means is not None:
        reference = _given_reference(geometric_means, counts)
    elif method == "ratio":
        reference = log_counts.mean(axis=1)
        if not np.isfinite(reference).any():
            raise InputError(
                "every gene has a zero count in at least one sample, so that ratios to the mean over all "
                "samples do not exist; use the method 'poscounts', which takes the positive counts"
            )
    else:
        reference = _positive_reference(counts.matrix, log_counts)
    chosen = positions(control_genes, counts.genes, "gene")
    log_factors = _median_ratios(log_counts[chosen], reference[chosen], counts.samples)
    if method == "poscounts" or geometric_means is not None:
        log_factors = log_factors - log_factors.mean()
    return pd.Series(np.exp(log_factors), index=counts.samples, name="size_factor")


def _given_reference(given: Any, counts: Counts) -> np.ndarray:
    """Check reference levels from the caller; natural log, (gene,)."""
    if isinstance(given, pd.Series):
        named = given.set_axis(given.index.astype(str))
        absent = counts.genes[~counts.genes.isin(named.index)]
        if len(absent):
            raise InputError(f"the geometric means lack the gene(s) {first_few(absent)}")
        given = named.loc[counts.genes]
    values = np.asarray(given, dtype=np.float64)
    if values.shape != (counts.n_genes,):
        raise InputError(f"the geometric means have shape {values.shape}; ({counts.n_genes},) is needed")
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any():
        raise InputError(f"geometric means must be finite and 0 or more; see {first_few(counts.genes[bad])}")
    with np.errstate(divide="ignore"):
        return np.log(values)


def _positive_reference(matrix: np.ndarray, log_counts: np.ndarray) -> np.ndarray:
    """Mean log level from positive counts; minus infinity for a gene without any, (gene,)."""
    sums = np.where(matrix > 0, log_counts, 0.0).sum(axis=1) / matrix.shape[1]
    return np.where(matrix.any(axis=1), sums, -np.inf)


def _median_ratios(log_counts: np.ndarray, reference: np.ndarray, samples: pd.Index) -> np.ndarray:
    """Median log ratio of each sample over the genes usable in it, (sample,)."""
    usable = np.isfinite(reference)
    log_counts, reference = log_counts[usable], reference[usable]
    medians = np.full(log_counts.shape[1], np.nan)
    for sample in range(log_counts.shape[1]):
        counted = np.isfinite(log_counts[:, sample])
        if counted.any():
            medians[sample] = np.median(log_counts[counted, sample] - reference[counted])
    if np.isnan(medians).any():
        raise InputError(
            f"no size factor for the sample(s) {first_few(samples[np.isnan(medians)])}: none of the "
            "genes used has a count there. Drop these samples, or choose other control genes"
        )
    return medians


def normalization_matrix(counts: Counts, factors: Any = None, control_genes: Any = None) -> np.ndarray:
    """Resolve whatever a caller may give as size factors into one factor for each count.

    Parameters
    ----------
    counts : Counts
    factors : str, array-like, pandas.Series, pandas.DataFrame or None
        * None or the name of a method: `counts.normalization_factors` if there are any (they go before size
          factors), else `size_factors` by that method (None: ``"ratio"``);
        * (sample,): size factors; a Series is matched by name;
        * (gene, sample): normalization factors; a DataFrame is matched by names.
    control_genes : sequence, optional
        As in `size_factors`.

    Returns
    -------
    numpy.ndarray, float64, (gene, sample)
        C-contiguous and new.

    Raises
    ------
    InputError
        If names or shape do not fit, or a factor is not finite and above 0.
    """
    if factors is None or isinstance(factors, str):
        if counts.normalization_factors is not None:
            if factors is not None and factors not in METHODS:
                raise OptionError(f"unknown size factor method {factors!r}; allowed are {first_few(METHODS)}")
            return counts.normalization_factors.copy()
        factors = size_factors(counts, factors or "ratio", control_genes)
    if isinstance(factors, pd.DataFrame) or np.ndim(factors) == 2:
        return matched_matrix(factors, counts.genes, counts.samples, "normalization factors")
    return np.broadcast_to(_sample_factors(factors, counts.samples), (counts.n_genes, counts.n_samples))


def _sample_factors(factors: Any, samples: pd.Index) -> np.ndarray:
    """Check size factors from the caller, (sample,)."""
    if isinstance(factors, pd.Series):
        named = factors.set_axis(factors.index.astype(str))
        absent = samples[~samples.isin(named.index)]
        if len(absent) or named.index.has_duplicates:
            twice = named.index[named.index.duplicated()].unique()
            problem = f"lack {first_few(absent)}" if len(absent) else f"name {first_few(twice)} twice"
            raise InputError(f"the size factors {problem}; one for each sample is needed")
        factors = named.loc[samples]
    try:
        values = np.asarray(factors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the size factors are not numbers: {error}") from error
    if values.shape != (len(samples),):
        raise InputError(
            f"the size factors have shape {values.shape}; ({len(samples)},) or a matrix (gene, sample) needed"
        )
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise InputError(
            f"size factors must be finite and above 0; found {first_few(values[bad])} for "
            f"{first_few(samples[bad])}"
        )
    return values


def base_mean(matrix: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Mean over samples of the normalized counts.

    Parameters
    ----------
    matrix : numpy.ndarray, (gene, sample)
        Counts.
    factors : numpy.ndarray, (sample,) or (gene, sample)
        Size or normalization factors.

    Returns
    -------
    numpy.ndarray, float64, (gene,)
    """
    return np.asarray(np.mean(matrix / factors, axis=1))


def base_var(matrix: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Variance over samples (divisor n - 1) of the normalized counts.

    Parameters
    ----------
    matrix : numpy.ndarray, (gene, sample)
        Counts.
    factors : numpy.ndarray, (sample,) or (gene, sample)
        Size or normalization factors.

    Returns
    -------
    numpy.ndarray, float64, (gene,)
    """
    return np.asarray(np.var(matrix / factors, axis=1, ddof=1))


def cpm(counts: Counts) -> pd.DataFrame:
    """Scale to counts per million of each sample's own total.

    This is the naive scale ("RPM"): one strongly changing gene moves every other gene's value, because it
    moves the total. `fpm` does not have that weakness.

    Parameters
    ----------
    counts : Counts

    Returns
    -------
    pandas.DataFrame, (gene, sample)

    Raises
    ------
    InputError
        If a sample has no counts.
    """
    return _scaled(counts, _library_sizes(counts))


def fpm(counts: Counts, robust: bool = True, size_factors_by: Any = None) -> pd.DataFrame:
    """Scale to counts per million of a robustly estimated library size.

    The library sizes are ``s_j * exp(mean_j ln total_j)``, s_j being median-ratio size factors: per million
    on average, yet comparable between samples.

    When the log2 fold change of a table and the ratio of naive counts per million disagree, even in sign,
    compare these values: fold changes are estimated with size factors, which follow the bulk of the genes,
    while totals follow the few most abundant ones. A gene whose `fpm` means have the ratio of the fold change
    but whose `cpm` means do not is a gene among samples of different composition. What is left of a
    difference comes from the mean being taken on the log scale, and from covariates in the design.

    Parameters
    ----------
    counts : Counts
    robust : bool
        If False, the same as `cpm`.
    size_factors_by : str, array-like or pandas.Series, optional
        Method or values of the size factors, as `normalization_matrix` takes them; default median ratios.
        With normalization factors per gene the normalized counts are scaled by the mean library size.

    Returns
    -------
    pandas.DataFrame, (gene, sample)

    Raises
    ------
    InputError
        If a sample has no counts, or size factors cannot be had.
    """
    totals = _library_sizes(counts)
    if not robust:
        return _scaled(counts, totals)
    return _scaled(counts, normalization_matrix(counts, size_factors_by) * np.exp(np.log(totals).mean()))


def _library_sizes(counts: Counts) -> np.ndarray:
    """Total count of each sample, (sample,)."""
    totals = counts.matrix.sum(axis=0)
    if not totals.all():
        raise InputError(
            f"no counts at all in the sample(s) {first_few(counts.samples[totals == 0])}; drop them"
        )
    return totals.astype(np.float64)


def _scaled(counts: Counts, sizes: np.ndarray) -> pd.DataFrame:
    """Scale to counts per million of the given sizes."""
    return pd.DataFrame(counts.matrix / sizes * 1e6, index=counts.genes, columns=counts.samples)
