r"""Scaled counts and their moments.

q_ij = y_ij / nf_ij are the normalized counts; counts per million divide by library sizes instead, and counts
per kilobase and million by gene lengths too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts, matched_matrix
from bayesde.errors import InputError, first_few
from bayesde.normalize.blocks import row_blocks
from bayesde.normalize.factors import average_lengths, normalization_matrix
from bayesde.normalize.ratios import log_size_factors
from bayesde.numerics.libm import exp, log, log2

__all__ = ["base_mean", "base_var", "cpm", "fpkm", "fpm", "log_cpm", "norm_transform", "normalized_counts"]


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


def normalized_counts(counts: Counts, factors: np.ndarray) -> np.ndarray:
    """Divide the counts by their factors.

    Parameters
    ----------
    counts : Counts
    factors : numpy.ndarray, (sample,) or (gene, sample)

    Returns
    -------
    numpy.ndarray, float64, (gene, sample)
        New and C-contiguous.
    """
    out = np.empty((counts.n_genes, counts.n_samples))
    by_gene = np.broadcast_to(factors, out.shape)
    for genes, rows in row_blocks(counts):
        np.divide(rows, by_gene[genes], out=out[genes])
    return out


def cpm(counts: Counts) -> pd.DataFrame:
    """Scale to counts per million of each sample's own total.

    This is the naive scale ("RPM"): one strongly changing gene moves every other gene's value, because it
    moves the total. `fpm` avoids this.

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


def log_cpm(counts: Counts, prior_count: float = 2.0, library_sizes: Any = None) -> pd.DataFrame:
    r"""Take log2 of the counts per million, with a prior count that keeps zeros finite, as edgeR does.

    With the total L_j of a sample, or its library size, and c_j = prior_count L_j / mean(L)

        log2[10^6 (y_ij + c_j) / (L_j + 2 c_j)]

    so that a gene without counts has the same value in all samples.

    Parameters
    ----------
    counts : Counts
    prior_count : float
        Average count to add, above 0; larger values reduce the differences between small counts.
    library_sizes : array-like or pandas.Series (sample,), optional
        Library sizes to divide by; by default the samples' totals. Totals times edgeR's normalization
        factors are its effective library sizes. A Series is matched by name.

    Returns
    -------
    pandas.DataFrame, float64, (gene, sample)
        log2.

    Raises
    ------
    InputError
        If a sample has no counts, a size or the prior count is not above 0, or sizes do not fit the samples.

    References
    ----------
    Robinson, M. D., McCarthy, D. J. and Smyth, G. K. (2010) Bioinformatics 26:139,
    doi:10.1093/bioinformatics/btp616; the function ``cpm`` of edgeR.
    """
    if not (np.isfinite(prior_count) and prior_count > 0.0):
        raise InputError(f"the prior count is {prior_count}; a finite number above 0 is needed.")
    sizes = library_sizes_of(counts, library_sizes)
    added = prior_count * sizes / sizes.mean()
    values = np.empty((counts.n_genes, counts.n_samples))
    for genes, rows in row_blocks(counts):
        np.add(rows, added, out=values[genes])
    values *= 1e6 / (sizes + 2.0 * added)
    return _frame(counts, log2(values, out=values))


def library_sizes_of(counts: Counts, given: Any = None) -> np.ndarray:
    """Return the totals of the samples, or check the sizes that are given instead.

    Parameters
    ----------
    counts : Counts
    given : array-like or pandas.Series (sample,), optional
        A Series is matched by name.

    Returns
    -------
    numpy.ndarray, float64, (sample,)

    Raises
    ------
    InputError
        If a sample has no counts, or the sizes do not fit.
    """
    if given is None:
        return _library_sizes(counts)
    row = given.to_frame("size").T if isinstance(given, pd.Series) else np.asarray(given)[None]
    return matched_matrix(row, ["size"], counts.samples, "library sizes")[0]


def fpm(counts: Counts, robust: bool = True, size_factors_by: Any = None) -> pd.DataFrame:
    """Scale to counts per million of a robustly estimated library size.

    The library sizes are ``s_j * exp(mean_j ln total_j)``, s_j being median-ratio size factors: per million
    on average, yet comparable between samples.

    Compare these values when the log2 fold change of a table and the ratio of naive counts per million
    disagree, even in sign: fold changes are estimated with size factors, which follow the majority of the
    genes, while totals follow the few most abundant ones. If the ratio of `fpm` means agrees with the fold
    change but that of `cpm` means does not, the samples differ in composition. Remaining differences are due
    to averaging on the log scale, and to covariates in the design.

    Parameters
    ----------
    counts : Counts
    robust : bool
        If False, the same as `cpm`.
    size_factors_by : str, array-like or pandas.Series, optional
        Method or values of the size factors, as `normalization_matrix` takes them; default median ratios.
        With normalization factors per gene the normalized counts are scaled by the mean library size
        (DESeq2 scales the raw counts by the totals there, as `cpm` does).

    Returns
    -------
    pandas.DataFrame, (gene, sample)

    Raises
    ------
    InputError
        If a sample has no counts, or size factors cannot be computed.
    """
    totals = _library_sizes(counts)
    if not robust:
        return _scaled(counts, totals)
    return _scaled(counts, normalization_matrix(counts, size_factors_by), float(exp(log(totals).mean())))


def fpkm(
    counts: Counts, gene_lengths: Any = None, robust: bool = True, size_factors_by: Any = None
) -> pd.DataFrame:
    """Scale to counts per kilobase of gene and million reads, comparable between genes as well.

    With one length for each gene, ``1000 * fpm_ij / length_i``. With average transcript lengths by gene and
    sample, ``1000 * cpm_ij / length_ij``, which if `robust` is divided by its own size factors (ratio).

    Parameters
    ----------
    counts : Counts
    gene_lengths : array-like or pandas.Series, (gene,), optional
        Bases, above 0; a Series is matched by name. By default the average transcript lengths of the counts.
    robust : bool
        Whether library sizes are those of `fpm` or plain totals.
    size_factors_by : optional
        As in `fpm`; only for lengths by gene.

    Returns
    -------
    pandas.DataFrame, float64, (gene, sample)

    Raises
    ------
    InputError
        If there are no lengths, they do not fit the counts, or a sample has no counts.
    """
    if gene_lengths is not None:
        lengths = _gene_lengths(gene_lengths, counts)
        return fpm(counts, robust, size_factors_by).mul(1e3 / lengths, axis=0)
    by_sample = average_lengths(counts)
    if by_sample is None:
        raise InputError(
            "these counts have no average transcript lengths; give gene_lengths=, one length in bases per "
            "gene."
        )
    sizes = log(by_sample) + log(_library_sizes(counts))
    if robust:
        sizes += log_size_factors(counts, log_offsets=sizes)
    return _scaled(counts, exp(sizes, out=sizes), 1e-3)


def _gene_lengths(given: Any, counts: Counts) -> np.ndarray:
    """Check lengths from the caller, (gene,)."""
    column = given.to_frame("length") if isinstance(given, pd.Series) else np.asarray(given)
    if np.ndim(column) == 1:
        column = np.asarray(column)[:, None]
    return matched_matrix(column, counts.genes, ["length"], "gene lengths")[:, 0]


def norm_transform(counts: Counts, factors: Any = None, pseudocount: float = 1.0) -> pd.DataFrame:
    """Take log2 of the normalized counts plus a pseudocount: log2(q + 1).

    The simplest transform. For genes with few counts it shows mostly noise, unlike `vst` and `rlog`.

    Parameters
    ----------
    counts : Counts
    factors : optional
        Size or normalization factors, as `normalization_matrix` takes them.
    pseudocount : float
        Added to the normalized counts, above 0.

    Returns
    -------
    pandas.DataFrame, float64, (gene, sample)
        log2.

    Raises
    ------
    InputError
        If factors cannot be computed, or the pseudocount is not above 0.
    """
    if not (np.isfinite(pseudocount) and pseudocount > 0.0):
        raise InputError(f"the pseudocount is {pseudocount}; a finite number above 0 is needed.")
    values = normalized_counts(counts, normalization_matrix(counts, factors))
    values += pseudocount
    return _frame(counts, log2(values, out=values))


def _library_sizes(counts: Counts) -> np.ndarray:
    """Total count of each sample, (sample,)."""
    totals = np.zeros(counts.n_samples)
    for _, rows in row_blocks(counts):
        totals += rows.sum(axis=0)
    if not totals.all():
        raise InputError(f"no counts in the sample(s) {first_few(counts.samples[totals == 0])}; remove them.")
    return totals


def _scaled(counts: Counts, sizes: np.ndarray, unit: float = 1.0) -> pd.DataFrame:
    """Scale to counts per million of the given sizes times ``unit``."""
    values = normalized_counts(counts, sizes)
    values *= 1e6 / unit
    return _frame(counts, values)


def _frame(counts: Counts, values: np.ndarray) -> pd.DataFrame:
    """Name the rows and columns."""
    return pd.DataFrame(values, index=counts.genes, columns=counts.samples, copy=False)
