"""Size factors by any method, and the factors of a fit from what its caller gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.eb.options import SIZE_FACTORS
from bayesde.errors import OptionError, first_few
from bayesde.normalize import normalization_matrix
from bayesde.normalize.factors import average_lengths
from bayesde.normalize.ratios import Location, log_size_factors
from bayesde.numerics.libm import exp

__all__ = ["resolved_factors", "size_factors"]

ITERATE = "iterate"


def size_factors(
    counts: Counts,
    method: str = "ratio",
    control_genes: Any = None,
    geometric_means: Any = None,
    location: Location | None = None,
) -> pd.Series:
    r"""Estimate size factors, by which counts are divided to make samples comparable.

    ``"ratio"``: with g_i the mean over samples of ln y_ij, ``ln s_j = median_i (ln y_ij - g_i)`` over the
    genes that have a count in every sample.

    ``"poscounts"``: g_i is from the positive counts only, their logs summed and divided by the number of all
    samples; each sample uses the genes counted in it, and the factors are divided by their geometric mean.

    ``"iterate"``: for counts that have a zero in every gene, too. Dispersions are estimated without a design,
    and s maximizes the likelihood of the 95 % of the genes that fit best; this is repeated until s converges.

    Parameters
    ----------
    counts : Counts
    method : {"ratio", "poscounts", "iterate"}
    control_genes : sequence of str, of int or of bool, optional
        Names, positions or a mask of the genes whose ratios are used: genes known not to change.
    geometric_means : array-like or pandas.Series, (gene,), optional
        Reference level of each gene, 0 for a gene not to be used; a Series is matched by name. It replaces
        the g_i of the method, and the factors are then divided by their geometric mean.
    location : callable, optional
        Function used instead of the median: given the log ratios of a sample (gene,), natural log, it
        returns their location. The midpoint of the shortest half suits data with few unchanged genes.

    Returns
    -------
    pandas.Series, float64, (sample,)
        Positive factors, named ``size_factor``.

    Raises
    ------
    InputError
        If no gene has the counts that the method needs, a control gene is unknown, or `location` does not
        return a number.
    OptionError
        If the method is unknown, or does not use an option that is given.
    FitError
        If ``"iterate"`` does not converge.

    References
    ----------
    Anders, S. and Huber, W. (2010) Genome Biology 11:R106, equation 5. doi:10.1186/gb-2010-11-10-r106
    Love, M. I., Huber, W. and Anders, S. (2014) Genome Biology 15:550. doi:10.1186/s13059-014-0550-8
    """
    if method not in SIZE_FACTORS:
        raise OptionError(f"unknown size factor method {method!r}; allowed are {first_few(SIZE_FACTORS)}")
    if method != ITERATE:
        logs = log_size_factors(counts, method, control_genes, geometric_means, location)
        return pd.Series(exp(logs), index=counts.samples, name="size_factor")
    if not (control_genes is None and geometric_means is None and location is None):
        raise OptionError(
            "control genes, geometric means and a location function are for the methods 'ratio' and "
            "'poscounts'; for 'iterate', select genes with counts.subset(genes=...)."
        )
    # The other methods need no compiled kernels, and importing these takes a while.
    from bayesde.eb.size_factors.likelihood import iterated_log_size_factors

    return pd.Series(exp(iterated_log_size_factors(counts)), index=counts.samples, name="size_factor")


def resolved_factors(counts: Counts, given: Any = None, control_genes: Any = None) -> np.ndarray:
    """Turn what a fit is given as size factors into one factor for each count.

    Parameters
    ----------
    counts : Counts
    given : str, array-like, pandas.Series, pandas.DataFrame or None
        As `normalization_matrix` takes it, or ``"iterate"``.
    control_genes : sequence, optional
        As in `size_factors`.

    Returns
    -------
    numpy.ndarray, float64, (gene, sample)
        Read-only; from size factors a broadcast view of them (strides 0 along genes).

    Raises
    ------
    InputError, OptionError, FitError
        As `normalization_matrix` and `size_factors`; and if ``"iterate"`` is requested for counts with
        average transcript lengths, which it cannot take into account.
    """
    if isinstance(given, str) and given not in SIZE_FACTORS:
        raise OptionError(f"unknown size factor method {given!r}; allowed are {first_few(SIZE_FACTORS)}")
    if isinstance(given, str) and given == ITERATE:
        if counts.normalization_factors is not None:
            return normalization_matrix(counts)
        if average_lengths(counts) is not None:
            raise OptionError(
                "'iterate' cannot take average transcript lengths into account; use 'ratio' or 'poscounts'."
            )
        given = size_factors(counts, ITERATE, control_genes)
    return normalization_matrix(counts, given, control_genes)
