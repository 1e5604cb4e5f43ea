r"""How dispersion depends on expression: the trend that single genes are shrunk towards.

    alpha_tr(mean) = a0 + a1 / mean                      (parametric)
    alpha_tr(mean) = exp(local regression on ln mean)    (local)
    alpha_tr(mean) = trimmed mean of the gene-wise ones  (mean)

The parametric one is a Gamma regression with identity link on the gene-wise estimates, repeated without the
genes that lie far from the curve (Love, Huber and Anders 2014, doi:10.1186/s13059-014-0550-8, "Dispersion
trend"). Where it cannot be fitted the local one is taken instead, and a constant where that cannot either.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bayesde.eb.dispersion.estimates import MIN_DISPERSION
from bayesde.eb.dispersion.local_trend import SPAN, LocalCurve, fit_local_curve
from bayesde.eb.moments import trimmed_mean
from bayesde.errors import BayesdeWarning, InputError, first_few
from bayesde.numerics.libm import exp, log
from bayesde.numerics.linear import combine, least_squares

__all__ = ["DispersionTrend", "fit_trend", "as_trend"]

USABLE = 100.0 * MIN_DISPERSION
"""Gene-wise dispersions below this come from genes that look Poisson; they do not shape the trend."""
USABLE_MEAN = 10.0 * MIN_DISPERSION
KEPT_RATIO = (1e-4, 15.0)
"""Genes whose estimate over the current curve is outside this range are left out of the next round."""
MAX_ROUNDS = 10
MAX_GLM_ITERATIONS = 25
TRIMMED = 1e-3
"""Share of the genes at either end that a constant trend leaves out."""
FEWEST_LOCAL = 20
"""With fewer genes a local quadratic follows single genes, and a constant is safer."""


@dataclass(frozen=True)
class DispersionTrend:
    """A fitted trend; call it with base means to get dispersions.

    Attributes
    ----------
    kind : {"parametric", "local", "mean", "given"}
    asymptotic_dispersion, extra_poisson : float
        a0 and a1 of a parametric trend; a constant one has a1 = 0, of a local one both are NaN.
    curve : LocalCurve or None
        ln dispersion against ln mean, of a local trend.
    function : callable or None
        The user's own, from base means (gene,) to dispersions.
    """

    kind: str
    asymptotic_dispersion: float = math.nan
    extra_poisson: float = math.nan
    curve: LocalCurve | None = None
    function: Callable[[np.ndarray], np.ndarray] | None = None

    def __call__(self, base_mean: np.ndarray) -> np.ndarray:
        """Return the trend's dispersion at the base means (gene,)."""
        mean = np.asarray(base_mean, dtype=float)
        if self.function is not None:
            return _checked(self.function(mean), mean)
        if self.curve is not None:
            return exp(self.curve(log(mean)))
        if self.extra_poisson == 0.0:
            return np.full(mean.shape, self.asymptotic_dispersion)
        return self.asymptotic_dispersion + self.extra_poisson / mean


def _checked(dispersion: object, mean: np.ndarray) -> np.ndarray:
    """Check that a user's trend returned one positive dispersion for each gene."""
    values = np.asarray(dispersion, dtype=float)
    if values.shape != mean.shape:
        raise InputError(
            f"the given dispersion trend returned the shape {values.shape} for {mean.shape} base means; it "
            "must return one dispersion for each."
        )
    bad = ~(np.isfinite(values) & (values > 0.0))
    if bad.any():
        raise InputError(
            f"the given dispersion trend must be finite and above 0; it is {first_few(values[bad])} at the "
            f"base mean(s) {first_few(mean[bad])}."
        )
    return values


def as_trend(trend: DispersionTrend | Callable[[np.ndarray], np.ndarray]) -> DispersionTrend:
    """Return a trend from another fit as it is, and wrap a function of base means.

    Parameters
    ----------
    trend : DispersionTrend or callable
        A function takes base means (gene,) and returns dispersions (gene,).

    Returns
    -------
    DispersionTrend

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(trend, DispersionTrend):
        return trend
    if not callable(trend):
        raise InputError(
            f"the dispersion trend must be a function of base means, or the trend of another fit; got "
            f"{type(trend).__name__}. A kind of trend to be fitted is named in EbOptions(trend=...)."
        )
    return DispersionTrend("given", function=trend)


class _NoConvergence(Exception):
    """The parametric curve cannot be fitted to these dispersions."""


def _deviance(dispersion: np.ndarray, fitted: np.ndarray) -> float:
    ratio = dispersion / fitted
    return float(2.0 * np.sum(ratio - 1.0 - log(ratio)))


def _gamma_regression(
    dispersion: np.ndarray, columns: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Fit dispersion ~ Gamma(mean = columns @ b) as R's ``glm.fit`` does; return (b, converged)."""
    coefficients = start
    deviance_before = _deviance(dispersion, combine(columns, coefficients))
    for _ in range(MAX_GLM_ITERATIONS):
        root_weight = 1.0 / (combine(columns, coefficients))
        step = least_squares(columns * root_weight[:, None], dispersion * root_weight)
        for _ in range(MAX_GLM_ITERATIONS + 1):
            if np.all(combine(columns, step) > 0.0):
                break
            step = (step + coefficients) / 2.0
        else:
            raise _NoConvergence
        coefficients = step
        deviance = _deviance(dispersion, combine(columns, coefficients))
        if abs(deviance - deviance_before) / (abs(deviance) + 0.1) < 1e-8:
            return coefficients, True
        deviance_before = deviance
    return coefficients, False


def _parametric(dispersion: np.ndarray, base_mean: np.ndarray) -> DispersionTrend:
    columns = np.column_stack([np.ones_like(base_mean), 1.0 / base_mean])
    coefficients = np.array([0.1, 1.0])
    for _ in range(MAX_ROUNDS + 1):
        ratio = dispersion / (combine(columns, coefficients))
        kept = (ratio > KEPT_RATIO[0]) & (ratio < KEPT_RATIO[1])
        if not kept.any():
            raise _NoConvergence
        before = coefficients
        coefficients, converged = _gamma_regression(dispersion[kept], columns[kept], before)
        if not np.all(coefficients > 0.0):
            raise _NoConvergence
        if np.sum(log(coefficients / before) ** 2) < 1e-6 and converged:
            return DispersionTrend("parametric", float(coefficients[0]), float(coefficients[1]))
    raise _NoConvergence


def _local(dispersion: np.ndarray, base_mean: np.ndarray) -> DispersionTrend:
    means, ties = np.unique(base_mean, return_counts=True)
    if means.size < FEWEST_LOCAL or ties.max() >= int(SPAN * base_mean.size):
        raise _NoConvergence  # too few genes, or so many of one mean that a neighborhood has no width
    curve = fit_local_curve(log(base_mean), log(dispersion), base_mean)
    return DispersionTrend("local", curve=curve)


def _constant(dispersion: np.ndarray) -> DispersionTrend:
    usable = dispersion[dispersion > USABLE_MEAN]
    value = float(trimmed_mean(usable, TRIMMED)) if usable.size else MIN_DISPERSION
    return DispersionTrend("mean", asymptotic_dispersion=value, extra_poisson=0.0)


def fit_trend(kind: str, dispersion: np.ndarray, base_mean: np.ndarray) -> DispersionTrend:
    """Fit the trend to gene-wise dispersions.

    Parameters
    ----------
    kind : {"parametric", "local", "mean"}
        What is tried first.
    dispersion, base_mean : ndarray (gene,)
        Without all-zero genes.

    Returns
    -------
    DispersionTrend
        Of another kind than asked for, with a ``BayesdeWarning``, if that one cannot be fitted.
    """
    usable = dispersion > USABLE
    if not usable.any():
        warnings.warn(
            f"none of {dispersion.size} genes varies more than Poisson noise (all gene-wise dispersions are "
            f"below {USABLE:g}): all get a dispersion close to 0. Check that these are raw counts "
            "of biological replicates, and that normalization factors were not made from the counts.",
            BayesdeWarning,
            stacklevel=2,
        )
        return _constant(dispersion)
    for attempt in _ATTEMPTS[kind]:
        try:
            trend = attempt(dispersion[usable], base_mean[usable])
            break
        except _NoConvergence:
            continue
    else:
        trend = _constant(dispersion)
    _warn_of_fallback(kind, trend, int(usable.sum()))
    return trend


_ATTEMPTS = {"parametric": (_parametric, _local), "local": (_local,), "mean": ()}
"""What is tried, in order, before a constant."""


def _warn_of_fallback(kind: str, trend: DispersionTrend, n_genes: int) -> None:
    if trend.kind != kind:
        warnings.warn(
            f"the {kind} dispersion trend does not fit the gene-wise dispersions of {n_genes} genes; the "
            f"{trend.kind} trend was used instead. Look at the dispersion plot; with trend='{trend.kind}' "
            f"(--trend {trend.kind}) this warning does not appear.",
            BayesdeWarning,
            stacklevel=3,
        )
