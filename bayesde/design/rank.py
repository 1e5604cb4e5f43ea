"""Rank: whether every coefficient of a model matrix can be estimated."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from bayesde.errors import BayesdeWarning, InputError, first_few

__all__ = ["check_finite", "check_rank", "linear_text", "nested_factor", "warn_badly_scaled"]

# A column is called a combination of others when what they leave of it is below this share of its norm.
RANK_TOLERANCE = 1e-8
# Columns that keep so many times that share are independent without a closer look.
CLEARLY = 100.0
# Further than this many standard deviations from 0, effects that are common put the intercept, the level at a
# value of 0, beyond the e^20-fold that estimates are kept within.
FAR_FROM_ZERO = 20.0
# Outside this range of standard deviations the priors of effects per unit, scale 0.001 to 1, do not fit them.
GOOD_SPREAD = (0.01, 100.0)


def check_finite(matrix: np.ndarray, coefficients: Sequence[str], samples: Sequence[str]) -> None:
    """Refuse columns with values that are not finite.

    Parameters
    ----------
    matrix : numpy.ndarray, (sample, coefficient)
    coefficients, samples : sequence of str
        Names of columns and rows.

    Raises
    ------
    InputError
    """
    bad = ~np.isfinite(matrix)
    if bad.any():
        columns = [coefficients[int(i)] for i in np.flatnonzero(bad.any(axis=0))]
        rows = [samples[int(i)] for i in np.flatnonzero(bad.any(axis=1))]
        raise InputError(
            f"the model matrix is not finite in {first_few(columns)} for the sample(s) {first_few(rows)}; "
            "check the values and the transformation of these variables."
        )


def check_rank(matrix: np.ndarray, coefficients: Sequence[str], nested: str | None = None) -> None:
    """Refuse collinear columns, naming the relations, and designs without residual degrees of freedom.

    Parameters
    ----------
    matrix : numpy.ndarray, (sample, coefficient)
    coefficients : sequence of str
        Names of the columns.
    nested : str, optional
        A factor that is nested in another one, for messages.

    Raises
    ------
    InputError
    """
    n_samples, n_coefficients = matrix.shape
    if n_coefficients == 0:
        raise InputError("the design has no coefficients; '~ 1' fits one mean for each gene.")
    relations = _relations(matrix, coefficients)
    if relations and n_coefficients - len(relations) < n_samples:
        shifted = [f"center({coefficients[int(i)]})" for i in np.flatnonzero(_far_from_zero(matrix))]
        center = f"; or remove a large offset: write {', '.join(shifted)} in the formula" if shifted else ""
        raise InputError(
            f"the design has collinear columns: {'; '.join(relations)}. Their effects cannot be separated: "
            f"drop one of the variables, or combine them{center}{_of_splines(coefficients)}."
            f"{_of_nested(nested)}"
        )
    if n_coefficients >= n_samples:
        raise InputError(
            f"the design is saturated: {n_coefficients} coefficients for {n_samples} samples leave no "
            f"residual degrees of freedom. Replicates or a simpler design are needed.{_of_nested(nested)}"
        )


def nested_factor(groups: Mapping[str, Sequence[str]]) -> str | None:
    """Return the first factor each of whose levels has only one level of another factor, or None.

    Parameters
    ----------
    groups : mapping of str to sequence of str
        The level of every sample, by factor.

    Returns
    -------
    str or None
        Of three levels or more, and of several samples in at least one of them.
    """
    for name, inner in groups.items():
        n = len(set(inner))
        if not 3 <= n < len(inner):
            continue
        for other, outer in groups.items():
            outer_levels = len(set(outer))
            if other != name and outer_levels < n == len(set(zip(inner, outer, strict=True))):
                return name
    return None


def _of_nested(nested: str | None) -> str:
    """Suggest random effects for a factor that is nested in another one."""
    if nested is None:
        return ""
    return (
        f" Every level of '{nested}' is within one level of another factor: if its levels are subjects, "
        f"write (1 | {nested}) in the formula, a random effect, in place of the fixed one."
    )


def _of_splines(coefficients: Sequence[str]) -> str:
    """Explain how natural and cyclic splines are combined with an intercept."""
    spline = next((name for name in coefficients if name.startswith(("cs(", "cr(", "cc("))), None)
    if spline is None or "constraints" in spline:
        return ""
    term = spline[: spline.rindex(")")]
    return f"; or, since such splines hold a constant, write {term}, constraints='center') in the formula"


def warn_badly_scaled(matrix: np.ndarray, names: Sequence[str]) -> None:
    """Warn of covariates far from 0, or in units in which effects are tiny or huge.

    Parameters
    ----------
    matrix : numpy.ndarray, (sample, covariate)
    names : sequence of str
        Names of the columns.

    Warns
    -----
    BayesdeWarning
    """
    spread = matrix.std(axis=0)
    far = np.abs(matrix.mean(axis=0)) > FAR_FROM_ZERO * spread
    bad = (far | (spread < GOOD_SPREAD[0]) | (spread > GOOD_SPREAD[1])) & (spread > 0.0)
    if bad.any():
        first = names[int(bad.argmax())]
        warnings.warn(
            f"the covariate(s) {first_few(names[int(i)] for i in np.flatnonzero(bad))} of the design are "
            "far from 0, or have a very small or very large spread: fits may not converge, and effects per "
            f"unit are not shrunken sensibly. Write scale({first}) in the formula, for effects per standard "
            f"deviation, or center({first}).",
            BayesdeWarning,
            stacklevel=5,
        )


def _far_from_zero(matrix: np.ndarray) -> np.ndarray:
    """Find columns that vary, but so little compared with their mean that they look constant."""
    spread = np.ptp(matrix, axis=0)
    return (spread > 0) & (spread < 1e-6 * np.abs(matrix.mean(axis=0)))


def _relations(matrix: np.ndarray, coefficients: Sequence[str]) -> list[str]:
    """Write each column that is a linear combination of earlier columns as that combination."""
    kept: list[int] = []
    relations: list[str] = []
    norms = np.linalg.norm(matrix, axis=0)
    if _clearly_independent(matrix, norms):
        return relations
    for column in range(matrix.shape[1]):
        if norms[column] == 0:
            relations.append(f"'{coefficients[column]}' is 0 for every sample")
            continue
        before = matrix[:, kept] / norms[kept]
        weights = np.linalg.lstsq(before, matrix[:, column], rcond=None)[0]
        rest = np.linalg.norm(matrix[:, column] - before @ weights)
        if rest > RANK_TOLERANCE * norms[column]:
            kept.append(column)
        else:
            names = [coefficients[i] for i in kept]
            relations.append(f"{coefficients[column]} = {linear_text(weights / norms[kept], names)}")
    return relations


def _clearly_independent(matrix: np.ndarray, norms: np.ndarray) -> bool:
    """Tell whether every column keeps far more than is needed beside those before it, by one decomposition.

    With many columns, one regression for each takes longer than the fit of a gene.
    """
    if matrix.shape[0] < matrix.shape[1] or not (norms > 0.0).all():
        return False
    rest = np.abs(np.diag(np.linalg.qr(matrix / norms, mode="r")))
    return bool(rest.min() > CLEARLY * RANK_TOLERANCE)


def linear_text(weights: np.ndarray, names: Sequence[str]) -> str:
    """Write a weighted sum of names, leaving out weights that are zero to rounding.

    Parameters
    ----------
    weights : numpy.ndarray, (name,)
    names : sequence of str

    Returns
    -------
    str
        Such as ``"a - 0.5*b"``.
    """
    text = ""
    largest = np.abs(weights).max()
    for weight, name in zip(weights, names, strict=True):
        if abs(weight) <= 1e-6 * largest:
            continue
        size = float(f"{abs(weight):.6g}")  # digits, not decimals: a unit may be a million bases
        sign = " - " if weight < 0 else " + "
        text += sign + (name if size == 1 else f"{size:g}*{name}")
    return text[3:] if text.startswith(" + ") else "-" + text[3:]
