"""Separated genes: those for which a coefficient would run away to infinity."""

from __future__ import annotations

import numpy as np

from bayesde.eb.layout import DesignLayout

__all__ = ["separated_genes"]

NEGLIGIBLE = 1e-10
"""An eigenvalue below this share of the largest is 0."""


def separated_genes(counts: np.ndarray, layout: DesignLayout) -> np.ndarray:
    """Find genes without a finite maximum-likelihood estimate.

    The likelihood grows without end along a direction d if x . d = 0 for every sample with a count and
    x . d <= 0 for all the others, not always 0 (Albert and Anderson 1984, doi:10.1093/biomet/71.1.1, for
    logistic regression): as where one group has no counts at all. The ridge, or the prior, is then all that
    bounds the estimate.

    Parameters
    ----------
    counts : ndarray (gene, sample)
    layout : DesignLayout

    Returns
    -------
    ndarray of bool (gene,)
    """
    out = np.zeros(len(counts), dtype=bool)
    suspects = np.flatnonzero((counts == 0.0).any(axis=1))
    counted = (
        np.add.reduceat(counts[np.ix_(suspects, layout.cells.order)], layout.cells.bounds[:-1], axis=1) > 0.0
    )
    empty_cells = ~counted.all(axis=1)
    suspects, counted = suspects[empty_cells], counted[empty_cells]
    patterns, which = np.unique(counted, axis=0, return_inverse=True)
    p = layout.n_coefficients
    products = (layout.cells.rows[:, :, None] * layout.cells.rows[:, None, :]).reshape(-1, p * p)
    values, vectors = np.linalg.eigh((patterns @ products).reshape(-1, p, p))
    free = values[:, 0] < NEGLIGIBLE * np.maximum(values[:, -1], NEGLIGIBLE)
    several = values[:, min(1, p - 1)] < NEGLIGIBLE * np.maximum(values[:, -1], NEGLIGIBLE)
    along = np.where(patterns, 0.0, vectors[:, :, 0] @ layout.cells.rows.T)
    tiny = 1e-8 * np.abs(layout.cells.rows).max()
    one_sided = ~((along > tiny).any(axis=1) & (along < -tiny).any(axis=1))
    out[suspects] = (free & (one_sided | several))[which.ravel()]
    return out
