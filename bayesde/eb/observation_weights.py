"""Observation weights: how reliable each count is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts, chunks
from bayesde.eb.dispersion.search import SMALLEST_WEIGHT
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.separation import distinct_patterns
from bayesde.errors import InputError, first_few

__all__ = ["observation_weights", "too_little_weight"]


def observation_weights(given: Any, counts: Counts) -> np.ndarray:
    """Check observation weights.

    Parameters
    ----------
    given : array-like or pandas.DataFrame, (gene, sample)
        Finite and not negative; a DataFrame is matched by names.
    counts : Counts

    Returns
    -------
    ndarray (gene, sample)
        C-contiguous.

    Raises
    ------
    InputError
        If names or shape do not fit, or a weight is negative or not finite.
    """
    if isinstance(given, pd.DataFrame):
        given = _matched(given, counts)
    try:
        weights = np.ascontiguousarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the weights are not numbers: {error}.") from error
    if weights.shape != (counts.n_genes, counts.n_samples):
        raise InputError(
            f"the weights have shape {weights.shape}; one for each count is needed, "
            f"({counts.n_genes}, {counts.n_samples})."
        )
    bad = np.zeros(len(weights), dtype=bool)
    for some in counts.chunks():
        bad[some] = ~(np.isfinite(weights[some]) & (weights[some] >= 0.0)).all(axis=1)
    if bad.any():
        raise InputError(
            f"weights must be finite and 0 or more; check the gene(s) {first_few(counts.genes[bad])}."
        )
    return weights


def _matched(given: pd.DataFrame, counts: Counts) -> pd.DataFrame:
    for kind, wanted, there in (
        ("gene", counts.genes, given.index),
        ("sample", counts.samples, given.columns),
    ):
        absent = wanted[~wanted.isin(there)]
        if len(absent) or there.has_duplicates:
            raise InputError(
                f"the weights must have every {kind} once; check {first_few(absent) or 'repeated names'}."
            )
    return given.loc[counts.genes, counts.samples]


def too_little_weight(weights: np.ndarray, layout: DesignLayout) -> np.ndarray:
    """Find genes whose usable observations do not identify the coefficients.

    These are genes for which the rows of the design with a positive weight have not full rank, or those with
    a weight above a hundredth of the gene's largest have not the rank of their columns that are not all zero.

    Parameters
    ----------
    weights : ndarray (gene, sample)
        As ``observation_weights`` returned them.
    layout : DesignLayout

    Returns
    -------
    ndarray of bool (gene,)
    """
    out = np.zeros(len(weights), dtype=bool)
    judged: dict[bytes, bool] = {}
    for some in chunks(weights.shape):
        usable = weights[some] > SMALLEST_WEIGHT * weights[some].max(axis=1, keepdims=True)
        doubtful = np.flatnonzero(~usable.all(axis=1))
        patterns = np.hstack([weights[some][doubtful] > 0.0, usable[doubtful]])
        distinct, which = distinct_patterns(patterns)
        lost = [_lost(packed, layout, judged) for packed in distinct]
        out[some][doubtful] = np.array(lost, dtype=bool)[which]
    return out


def _lost(packed: np.ndarray, layout: DesignLayout, judged: dict[bytes, bool]) -> bool:
    """Judge a pattern of positive and of usable weights, packed as bits, once."""
    key = packed.tobytes()
    if key not in judged:
        m, x = layout.n_samples, layout.matrix
        pattern = np.unpackbits(packed, count=2 * m).astype(bool)
        judged[key] = bool(np.linalg.matrix_rank(x[pattern[:m]]) < x.shape[1] or _loses_rank(x[pattern[m:]]))
    return judged[key]


def _loses_rank(rows: np.ndarray) -> bool:
    """Tell whether the columns of some rows that are not all zero depend on each other."""
    columns = rows[:, (rows != 0.0).any(axis=0)]
    return columns.size == 0 or bool(np.linalg.matrix_rank(columns) < columns.shape[1])
