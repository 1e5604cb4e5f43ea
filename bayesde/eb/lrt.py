r"""Likelihood-ratio tests of whether a gene needs the terms that a reduced design leaves out.

    stat = 2 [ln L(full) - ln L(reduced)] ~ chi^2(p_full - p_reduced)

with the same dispersions in both (Love, Huber and Anders 2014, doi:10.1186/s13059-014-0550-8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange
from scipy.stats import chi2

from bayesde.design import Design
from bayesde.eb.glm import MIN_MU, GlmFit, fit_glm, fitted_means
from bayesde.eb.nb import nb_log_pmf
from bayesde.errors import InputError

if TYPE_CHECKING:
    from bayesde.eb.fit import EbFit

__all__ = ["check_nested", "likelihood_ratios"]


@njit(cache=True, parallel=True)
def _log_likelihoods(counts, mu, dispersion):  # type: ignore[no-untyped-def]
    out = np.zeros(counts.shape[0])
    for g in prange(counts.shape[0]):
        for j in range(counts.shape[1]):
            out[g] += nb_log_pmf(counts[g, j], mu[g, j], dispersion[g])
    return out


def _log_likelihood_of(
    glm: GlmFit, counts: np.ndarray, factors: np.ndarray, design: np.ndarray, dispersion: np.ndarray
) -> np.ndarray:
    """Log-likelihood (gene,); that of a gene from the bounded optimiser at means of at least half a read."""
    mu = fitted_means(glm.beta, factors, design)
    mu = np.where(glm.bounded[:, None], np.maximum(mu, MIN_MU), mu)
    return _log_likelihoods(counts, mu, dispersion)


def check_nested(full: Design, reduced: Design) -> None:
    """Refuse a reduced design that is not part of the full one.

    Parameters
    ----------
    full, reduced : Design

    Raises
    ------
    InputError
        Naming the columns that the full design cannot express.
    """
    explained = full.matrix @ np.linalg.lstsq(full.matrix, reduced.matrix, rcond=None)[0]
    outside = np.abs(explained - reduced.matrix).max(axis=0) > 1e-8
    if outside.any():
        names = ", ".join(f"'{name}'" for name, out in zip(reduced.coefficients, outside, strict=True) if out)
        raise InputError(
            f"the reduced design has {names}, which the full design '{full.formula}' cannot express; "
            "leave terms of the full design out, and add none."
        )
    if reduced.n_coefficients >= full.n_coefficients:
        raise InputError("the reduced design is the full one in other words; leave at least one term out.")


def likelihood_ratios(fit: EbFit, reduced: Design) -> tuple[np.ndarray, np.ndarray]:
    """Test the full design of a fit against a reduced one.

    Parameters
    ----------
    fit : EbFit
    reduced : Design
        Its columns must be combinations of the full design's.

    Returns
    -------
    stat, p_value : ndarray (gene,)
        NaN for genes without counts; 0 and 1 for those without counts once outliers are replaced.

    Raises
    ------
    InputError
        If the designs are not nested.
    """
    check_nested(fit.design, reduced)
    rows = np.flatnonzero(fit.estimated)
    y, factors, dispersion = fit.fitted_counts(rows), fit.normalization_factors[rows], fit.dispersion[rows]
    likelihoods = [
        _log_likelihood_of(
            fit_glm(y, factors, design.matrix, dispersion), y, factors, design.matrix, dispersion
        )
        for design in (fit.design, reduced)
    ]
    stat = np.where(fit.emptied, 0.0, np.nan)
    stat[rows] = 2.0 * (likelihoods[0] - likelihoods[1])
    return stat, chi2.sf(stat, fit.design.n_coefficients - reduced.n_coefficients)
