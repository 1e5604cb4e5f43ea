r"""How dispersion depends on expression: the trend that single genes are shrunk towards.

    alpha_tr(mean) = a0 + a1 / mean                      (parametric)
    alpha_tr(mean) = trimmed mean of the gene-wise ones  (mean)

The parametric one is a Gamma regression with identity link on the gene-wise estimates, repeated without the
genes that lie far from the curve (Love, Huber and Anders 2014, doi:10.1186/s13059-014-0550-8, "Dispersion
trend").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import trim_mean

from bayesde.errors import FitError

__all__ = ["DispersionTrend", "fit_trend"]

USABLE_PARAMETRIC = 1e-6
"""Gene-wise dispersions below this come from genes that look Poisson; they do not shape the trend."""
USABLE_MEAN = 1e-7
KEPT_RATIO = (1e-4, 15.0)
"""Genes whose estimate over the current curve is outside this range are left out of the next round."""
MAX_ROUNDS = 10
MAX_GLM_ITERATIONS = 25


@dataclass(frozen=True)
class DispersionTrend:
    """A fitted trend; call it with base means to get dispersions.

    Attributes
    ----------
    kind : {"parametric", "mean"}
    asymptotic_dispersion : float
        a0, the dispersion of highly expressed genes.
    extra_poisson : float
        a1; zero for a constant trend.
    """

    kind: str
    asymptotic_dispersion: float
    extra_poisson: float

    def __call__(self, base_mean: np.ndarray) -> np.ndarray:
        """Return the trend's dispersion at the base means (gene,)."""
        if self.extra_poisson == 0.0:
            return np.full(np.shape(base_mean), self.asymptotic_dispersion)
        return self.asymptotic_dispersion + self.extra_poisson / np.asarray(base_mean)


class _NoConvergence(Exception):
    """The parametric curve cannot be fitted to these dispersions."""


def _deviance(dispersion: np.ndarray, fitted: np.ndarray) -> float:
    ratio = dispersion / fitted
    return float(2.0 * np.sum(ratio - 1.0 - np.log(ratio)))


def _gamma_regression(
    dispersion: np.ndarray, columns: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Fit dispersion ~ Gamma(mean = columns @ b) as R's ``glm.fit`` does; return (b, converged)."""
    coefficients = start
    deviance_before = _deviance(dispersion, columns @ coefficients)
    for _ in range(MAX_GLM_ITERATIONS):
        root_weight = 1.0 / (columns @ coefficients)
        step, *_ = np.linalg.lstsq(columns * root_weight[:, None], dispersion * root_weight, rcond=None)
        for _ in range(MAX_GLM_ITERATIONS + 1):
            if np.all(columns @ step > 0.0):
                break
            step = (step + coefficients) / 2.0
        else:
            raise _NoConvergence
        coefficients = step
        deviance = _deviance(dispersion, columns @ coefficients)
        if abs(deviance - deviance_before) / (abs(deviance) + 0.1) < 1e-8:
            return coefficients, True
        deviance_before = deviance
    return coefficients, False


def _parametric(dispersion: np.ndarray, base_mean: np.ndarray) -> DispersionTrend:
    columns = np.column_stack([np.ones_like(base_mean), 1.0 / base_mean])
    coefficients = np.array([0.1, 1.0])
    for _ in range(MAX_ROUNDS + 1):
        ratio = dispersion / (columns @ coefficients)
        kept = (ratio > KEPT_RATIO[0]) & (ratio < KEPT_RATIO[1])
        if not kept.any():
            raise _NoConvergence
        before = coefficients
        coefficients, converged = _gamma_regression(dispersion[kept], columns[kept], before)
        if not np.all(coefficients > 0.0):
            raise _NoConvergence
        if np.sum(np.log(coefficients / before) ** 2) < 1e-6 and converged:
            return DispersionTrend("parametric", float(coefficients[0]), float(coefficients[1]))
    raise _NoConvergence


def _constant(dispersion: np.ndarray) -> DispersionTrend:
    return DispersionTrend("mean", float(trim_mean(dispersion, 0.001)), 0.0)


def fit_trend(kind: str, dispersion: np.ndarray, base_mean: np.ndarray) -> DispersionTrend:
    """Fit the trend to gene-wise dispersions.

    Parameters
    ----------
    kind : {"parametric", "mean"}
    dispersion, base_mean : ndarray (gene,)
        Without all-zero genes.

    Returns
    -------
    DispersionTrend

    Raises
    ------
    FitError
        If no gene shows more than Poisson noise, or the parametric curve does not fit; the message says
        what to do.
    """
    usable = dispersion > (USABLE_PARAMETRIC if kind == "parametric" else USABLE_MEAN)
    if not usable.any():
        raise FitError(
            f"none of {dispersion.size} genes varies more than Poisson noise (all gene-wise dispersions are "
            f"below {USABLE_PARAMETRIC:g}), so there is no dispersion trend to learn. Are these raw counts "
            "of biological replicates, and were normalization factors built from the counts themselves?"
        )
    if kind == "mean":
        return _constant(dispersion[usable])
    try:
        return _parametric(dispersion[usable], base_mean[usable])
    except _NoConvergence:
        raise FitError(
            f"the parametric dispersion trend a0 + a1/mean does not fit the gene-wise dispersions of "
            f"{int(usable.sum())} genes. Choose the constant trend: trend='mean', or --trend mean."
        ) from None
