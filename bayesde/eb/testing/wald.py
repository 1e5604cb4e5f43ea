"""Wald tests of a contrast, against zero or against a threshold."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, stdtr

from bayesde.eb.options import ALTERNATIVES, LARGEST_THRESHOLD
from bayesde.options import check_choice, check_range

__all__ = ["wald_test"]


def _lower_tail(z: np.ndarray, df: float | np.ndarray | None) -> np.ndarray:
    """Probability (gene,) below z: of the normal distribution, or of Student's t; NaN without freedom."""
    if df is None:
        return np.asarray(ndtr(z))
    return np.where(np.asarray(df) > 0.0, stdtr(df, z), np.nan)


def wald_test(
    effect: np.ndarray,
    error: np.ndarray,
    threshold: float = 0.0,
    alternative: str = "greaterAbs",
    df: float | np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Test effects with normal errors, or with errors of Student's t.

    With b the effect, s its error, T the threshold and Phi the distribution function:

    ================  ======================================  =============================================
    alternative       p-value                                 stat
    ================  ======================================  =============================================
    greaterAbs        Phi((T - |b|)/s) + Phi((-T - |b|)/s)    b / s
    greaterAbs2014    min(1, 2 Phi((T - |b|)/s))              sign(b) max((|b| - T)/s, 0)
    lessAbs           max(Phi((b - T)/s), Phi((-T - b)/s))    min(max((T - b)/s, 0), max((b + T)/s, 0))
    greater           Phi((T - b)/s)                          max((b - T)/s, 0)
    less              Phi((b + T)/s)                          min((b + T)/s, 0)
    ================  ======================================  =============================================

    Parameters
    ----------
    effect, error : ndarray (gene,)
    threshold : float
        T, in the units of the effect.
    alternative : str
        What is claimed where the p-value is small; with T = 0, ``greaterAbs`` is the two-sided test.
    df : float or ndarray (gene,), optional
        Degrees of freedom of Student's t, which then takes the normal distribution's place: the number of
        samples (or a gene's sum of observation weights) minus that of coefficients.

    Returns
    -------
    stat, p_value : ndarray (gene,)
        The p-value is NaN where ``df`` is not positive.

    Raises
    ------
    OptionError
        For an unknown alternative, or a threshold that is negative, or 0 with ``lessAbs``.

    References
    ----------
    Love, Huber and Anders 2014, Genome Biology 15:550; DESeq2 1.44 for ``greaterAbs``.
    """
    check_choice("alternative", alternative, tuple(ALTERNATIVES))
    check_range("lfc_threshold", threshold, 0.0, LARGEST_THRESHOLD)
    if alternative == "lessAbs":
        check_range(
            "lfc_threshold of alternative 'lessAbs'", threshold, 0.0, LARGEST_THRESHOLD, open_ends=True
        )
    size = np.abs(effect)
    with np.errstate(invalid="ignore", divide="ignore"):
        above, below = (effect - threshold) / error, (effect + threshold) / error
        excess = (size - threshold) / error
        if alternative == "greaterAbs":
            return effect / error, _lower_tail(-excess, df) + _lower_tail((-threshold - size) / error, df)
        if alternative == "greaterAbs2014":
            p_value = np.minimum(1.0, 2.0 * _lower_tail(-excess, df))
            return np.sign(effect) * np.maximum(excess, 0.0), p_value
        if alternative == "lessAbs":
            nearer = np.minimum(np.maximum(-above, 0.0), np.maximum(below, 0.0))
            return nearer, np.maximum(_lower_tail(above, df), _lower_tail(-below, df))
        if alternative == "greater":
            return np.maximum(above, 0.0), _lower_tail(-above, df)
        return np.minimum(below, 0.0), _lower_tail(below, df)
