"""Values of samples to be compared: transformed here, or by the caller."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.eb.estimates import EbEstimates
from bayesde.eb.transforms.inputs import FEWEST_NORMALIZED, transform_input
from bayesde.eb.transforms.vst import vst
from bayesde.errors import InputError, first_few

__all__ = ["SampleValues", "checked_values", "stabilized"]

_TREND_GENES = 1000


@dataclass(frozen=True, eq=False)
class SampleValues:
    """Transformed counts.

    Attributes
    ----------
    values : ndarray (gene, sample)
        Finite.
    genes, samples : pandas.Index
    sample_table : pandas.DataFrame
        Without columns if there is none.
    """

    values: np.ndarray
    genes: pd.Index
    samples: pd.Index
    sample_table: pd.DataFrame


def stabilized(given: Counts | EbEstimates | pd.DataFrame) -> SampleValues:
    """Return variance-stabilized values, or those that were given.

    Parameters
    ----------
    given : Counts, EbFit or pandas.DataFrame (gene, sample)
        Counts are transformed without a design by `vst`, with the trend of 1,000 genes, or of all if there
        are fewer; of a fit its trend is used; a table is taken as it is.

    Returns
    -------
    SampleValues

    Raises
    ------
    InputError
        If it is something else, or has missing values.
    """
    if isinstance(given, pd.DataFrame):
        return checked_values(given)
    counts = given.counts if isinstance(given, EbEstimates) else given
    if not isinstance(counts, Counts):
        raise InputError(
            f"Counts, a fit or a table of transformed values are needed; got {type(given).__name__}."
        )
    n_genes = None
    if isinstance(given, Counts):
        means = transform_input(given, None, None, "parametric", None).base_means()
        n_genes = _TREND_GENES if (means > FEWEST_NORMALIZED).sum() >= _TREND_GENES else None
    return checked_values(vst(given, n_genes=n_genes), counts.sample_table)


def checked_values(frame: pd.DataFrame, sample_table: pd.DataFrame | None = None) -> SampleValues:
    """Check transformed values.

    Parameters
    ----------
    frame : pandas.DataFrame (gene, sample)
    sample_table : pandas.DataFrame, optional
        In the order of the samples.

    Returns
    -------
    SampleValues

    Raises
    ------
    InputError
        If values are missing, infinite or not numbers, or there are fewer than two samples.
    """
    try:
        values = frame.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the values are not numbers: {error}.") from error
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise InputError(
            f"values of {bad.sum():,} gene(s) are missing or infinite: {first_few(frame.index[bad])}. Leave "
            "these genes out, or use a transform that keeps zeros finite, such as vst or log_cpm."
        )
    if values.shape[1] < 2 or not len(values):
        raise InputError(
            f"the values have shape {values.shape}; at least one gene and two samples are needed."
        )
    table = pd.DataFrame(index=frame.columns) if sample_table is None else sample_table
    return SampleValues(values, frame.index, frame.columns, table)
