r"""Normalization factors, one per count: from size factors, known factors, or transcript lengths.

A known matrix N, such as average transcript lengths, is divided by the geometric mean of its row, and the
counts K by N; the product with the size factors s of K / N is scaled to geometric mean 1 in every row
(Soneson, Love and Robinson 2015, doi:10.12688/f1000research.7563.2):

    nf_ij = N_ij s_j / exp(mean_j ln(N_ij s_j))
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts, matched_matrix
from bayesde.errors import InputError, first_few
from bayesde.normalize.ratios import Location, check_method, log_size_factors
from bayesde.numerics.libm import exp, log

__all__ = ["normalization_factors", "normalization_matrix"]


SMALLEST_FACTOR, LARGEST_FACTOR = 1e-9, 1e9
"""Size factors are around 1; beyond this range normalized counts are not meaningful."""


def normalization_factors(
    counts: Counts,
    matrix: Any = None,
    method: str = "ratio",
    control_genes: Any = None,
    geometric_means: Any = None,
    location: Location | None = None,
) -> pd.DataFrame:
    r"""Combine a known matrix, such as average transcript lengths, with size factors.

    ``nf_ij = N_ij s_j``, divided by its geometric mean over samples, s being the size factors of the counts
    divided by N. The N of average transcript lengths is the lengths over their geometric mean in the row; a
    matrix that is given here is used unchanged.

    Parameters
    ----------
    counts : Counts
    matrix : array-like or pandas.DataFrame, (gene, sample), optional
        N, finite and above 0; a DataFrame is matched by names. By default it comes from the average
        transcript lengths of the counts.
    method, control_genes, geometric_means, location
        As in `size_factors`. The references of ``"poscounts"`` are those of the undivided counts.

    Returns
    -------
    pandas.DataFrame, float64, (gene, sample)
        Of geometric mean 1 in each row; a fit and ``Counts(normalization_factors=...)`` take it.

    Raises
    ------
    InputError
        If there is neither a matrix nor lengths, or they do not fit the counts.
    """
    factors = _combined(counts, matrix, method, control_genes, geometric_means, location)
    return pd.DataFrame(factors, index=counts.genes, columns=counts.samples, copy=False)


def average_lengths(counts: Counts) -> np.ndarray | None:
    """Return the average transcript lengths of the counts.

    Parameters
    ----------
    counts : Counts

    Returns
    -------
    ndarray (gene, sample) or None
    """
    return counts.average_lengths


def _centered_log_lengths(counts: Counts) -> np.ndarray:
    """Ln of the lengths of the counts over their geometric mean in the row, (gene, sample)."""
    lengths = average_lengths(counts)
    if lengths is None:
        raise InputError(
            "these counts have no average transcript lengths; give a matrix (gene, sample) to combine with "
            "size factors, or use size factors alone."
        )
    known = log(lengths)
    known -= known.mean(axis=1, keepdims=True)
    return known


def _combined(
    counts: Counts,
    matrix: Any,
    method: str,
    control_genes: Any = None,
    geometric_means: Any = None,
    location: Location | None = None,
) -> np.ndarray:
    """Combine known factors with size factors as `normalization_factors` describes, (gene, sample)."""
    if matrix is None:
        known = _centered_log_lengths(counts)
    else:
        known = log(matched_matrix(matrix, counts.genes, counts.samples, "normalization matrix"))
    known += log_size_factors(counts, method, control_genes, geometric_means, location, known)
    known -= known.mean(axis=1, keepdims=True)
    return exp(known, out=known)


def normalization_matrix(counts: Counts, factors: Any = None, control_genes: Any = None) -> np.ndarray:
    """Turn any form of size or normalization factors into one factor per count.

    Parameters
    ----------
    counts : Counts
    factors : str, array-like, pandas.Series, pandas.DataFrame or None
        * None or the name of a method: `counts.normalization_factors` if there are any; else, if the counts
          have average transcript lengths, `normalization_factors` from these; else `size_factors`, by that
          method (None: ``"ratio"``);
        * (sample,): size factors; a Series is matched by name;
        * (gene, sample): normalization factors; a DataFrame is matched by names.
    control_genes : sequence, optional
        As in `size_factors`.

    Returns
    -------
    numpy.ndarray, float64, (gene, sample)
        Read-only. From size factors it is a broadcast view of these (strides 0 along genes), which takes no
        memory; otherwise it is C-contiguous.

    Raises
    ------
    InputError
        If names or shape do not fit, or a factor is not finite and above 0.
    OptionError
        If the method is unknown.
    """
    if isinstance(factors, str):
        check_method(factors)
    if factors is None or isinstance(factors, str):
        if counts.normalization_factors is not None:
            return _read_only(counts.normalization_factors)
        if average_lengths(counts) is not None:
            return _read_only(_combined(counts, None, factors or "ratio", control_genes))
        factors = exp(log_size_factors(counts, factors or "ratio", control_genes))
    if isinstance(factors, pd.DataFrame) or np.ndim(factors) == 2:
        return _read_only(matched_matrix(factors, counts.genes, counts.samples, "normalization factors"))
    return np.broadcast_to(_sample_factors(factors, counts.samples), (counts.n_genes, counts.n_samples))


def _read_only(factors: np.ndarray) -> np.ndarray:
    """Return a view that cannot be written to."""
    view = factors.view()
    view.flags.writeable = False
    return view


def _sample_factors(factors: Any, samples: pd.Index) -> np.ndarray:
    """Check size factors from the caller, (sample,)."""
    if isinstance(factors, pd.Series):
        named = factors.set_axis(factors.index.astype(str))
        absent = samples[~samples.isin(named.index)]
        if len(absent) or named.index.has_duplicates:
            twice = named.index[named.index.duplicated()].unique()
            problem = f"lack {first_few(absent)}" if len(absent) else f"name {first_few(twice)} twice"
            raise InputError(f"the size factors {problem}; one for each sample is needed.")
        factors = named.loc[samples]
    try:
        values = np.array(factors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the size factors are not numbers: {error}.") from error
    if values.shape != (len(samples),):
        raise InputError(
            f"the size factors have shape {values.shape}; ({len(samples)},) or a matrix (gene, sample) is "
            "needed."
        )
    bad = ~((values >= SMALLEST_FACTOR) & (values <= LARGEST_FACTOR))
    if bad.any():
        raise InputError(
            f"size factors must be between {SMALLEST_FACTOR:g} and {LARGEST_FACTOR:g}; found "
            f"{first_few(values[bad])} for {first_few(samples[bad])}."
        )
    return values
