"""From a fit to results tables: Wald tests and shrunken effects of one contrast."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from bayesde.design import Contrast
from bayesde.eb.glm import contrast_standard_errors
from bayesde.eb.multiple_testing import benjamini_hochberg, filter_and_adjust
from bayesde.eb.shrink import false_sign_probability, prior_scale, shrink_coefficient
from bayesde.eb.wald import LARGEST_THRESHOLD, wald_test
from bayesde.options import check_range
from bayesde.results import ResultsTable, build_results, s_values

if TYPE_CHECKING:
    from bayesde.eb.fit import EbFit

__all__ = ["lrt_table", "shrunken_table", "wald_table"]

INTERVAL = 0.95
LN2 = math.log(2.0)


def _effect(fit: EbFit, contrast: Contrast) -> tuple[np.ndarray, np.ndarray]:
    """Estimate and standard error of a contrast, natural log, (gene,) each."""
    if contrast.coefficient is not None:
        k = fit.design.coefficients.index(contrast.coefficient)
        return fit.beta[:, k], fit.beta_se[:, k]
    rows = fit.estimated
    error = np.full(rows.size, np.nan)
    error[rows] = contrast_standard_errors(
        fit.beta[rows],
        fit.normalization_factors[rows],
        fit.design.matrix,
        fit.dispersion[rows],
        contrast.vector,
    )
    return fit.beta @ contrast.vector, error


def _without_evidence(fit: EbFit, contrast: Contrast) -> np.ndarray:
    """Find genes whose counts are zero in all samples that a contrast compares: their effect is called 0."""
    if contrast.factor is not None:
        levels = {contrast.level, contrast.reference}
        compared = np.array([level in levels for level in fit.design.groups[contrast.factor]])
    elif contrast.vector.min() < 0.0 < contrast.vector.max():
        compared = (fit.design.matrix[:, contrast.vector != 0.0] != 0.0).any(axis=1)
    else:
        return np.zeros(fit.all_zero.size, dtype=bool)
    return ~fit.all_zero & ~fit.counts.matrix[:, compared].any(axis=1)


def _tested_effect(fit: EbFit, contrast: Contrast) -> tuple[np.ndarray, np.ndarray]:
    """Effect and standard error as they are tested: 0 where no compared sample has a count."""
    effect, error = _effect(fit, contrast)
    effect = np.where(_without_evidence(fit, contrast) | fit.emptied, 0.0, effect)
    return effect, np.where(fit.emptied, 0.0, error)


def _adjusted(fit: EbFit, p_value: np.ndarray) -> dict[str, np.ndarray]:
    """p-values of genes that may be tested, and adjusted ones; genes emptied by replacement get p = 1."""
    p_value = np.where(fit.emptied, 1.0, np.where(fit.count_outlier, np.nan, p_value))
    if fit.options.independent_filtering:
        padj = filter_and_adjust(p_value, fit.base_mean, fit.options.fdr).padj
    else:
        padj = benjamini_hochberg(p_value)
    return {"p_value": p_value, "padj": padj, "status": _status(fit, p_value, padj)}


def _status(fit: EbFit, p_value: np.ndarray, padj: np.ndarray) -> np.ndarray:
    """Say for each gene why a number is missing, or that one should not be relied on."""
    return np.select(
        [
            fit.all_zero,
            fit.count_outlier | fit.emptied,
            np.isnan(p_value) | ~fit.converged & ~np.isnan(padj),
            np.isnan(padj),
        ],
        ["all_zero", "count_outlier", "not_converged", "low_mean"],
        default="ok",
    )


def _table(fit: EbFit, columns: dict[str, np.ndarray]) -> ResultsTable:
    common = {
        "base_mean": fit.base_mean,
        "dispersion": fit.dispersion,
        "engine": np.full(fit.all_zero.size, "eb"),
    }
    return build_results(fit.counts.genes, common | columns)


def wald_table(fit: EbFit, contrast: Contrast, lfc_threshold: float, alternative: str) -> ResultsTable:
    """Tabulate Wald tests of a contrast.

    Parameters
    ----------
    fit : EbFit
    contrast : Contrast
    lfc_threshold : float
        log2.
    alternative : str
        See ``wald_test``.

    Returns
    -------
    ResultsTable
    """
    effect, error = _tested_effect(fit, contrast)
    stat, p_value = wald_test(effect, error, lfc_threshold * LN2, alternative)
    stat = np.where(fit.emptied, 0.0, stat)
    columns = {"log2_fold_change": effect, "lfc_se": error, "stat": stat}
    return _table(fit, columns | _adjusted(fit, p_value))


def lrt_table(fit: EbFit, contrast: Contrast, test: tuple[np.ndarray, np.ndarray]) -> ResultsTable:
    """Tabulate likelihood-ratio tests beside the effect of a contrast.

    Parameters
    ----------
    fit : EbFit
    contrast : Contrast
    test : (stat, p_value), each ndarray (gene,)

    Returns
    -------
    ResultsTable
    """
    effect, error = _tested_effect(fit, contrast)
    columns = {"log2_fold_change": effect, "lfc_se": error, "stat": test[0]}
    return _table(fit, columns | _adjusted(fit, test[1]))


def _rotation(contrast: Contrast) -> tuple[np.ndarray, int]:
    """Return T (coefficient, coefficient) and k so that row k of T is the contrast and T is invertible.

    The coefficients gamma = T beta of the design X T^-1 describe the same model, and gamma_k is the contrast.
    """
    k = int(np.argmax(np.abs(contrast.vector)))
    rotation = np.eye(contrast.vector.size)
    rotation[k] = contrast.vector
    return rotation, k


def shrunken_table(fit: EbFit, contrast: Contrast, lfc_threshold: float = 0.0) -> ResultsTable:
    """Tabulate effects shrunk towards zero, with local false sign rates and s-values.

    Parameters
    ----------
    fit : EbFit
    contrast : Contrast
    lfc_threshold : float
        In log2 units, at least 0; with a threshold, s-values are about "wrong sign or smaller".

    Returns
    -------
    ResultsTable
    """
    check_range("lfc_threshold", lfc_threshold, 0.0, LARGEST_THRESHOLD)
    tests = _adjusted(fit, wald_test(*_tested_effect(fit, contrast))[1])
    effect, sd = _shrunken_effect(fit, contrast)
    half_width, threshold = ndtri(0.5 + INTERVAL / 2.0) * sd, lfc_threshold * LN2
    columns = {
        "log2_fold_change": effect,
        "lfc_se": sd,
        "lfc_lower": effect - half_width,
        "lfc_upper": effect + half_width,
        "p_value": tests["p_value"],
        "padj": tests["padj"],
        "lfsr": false_sign_probability(effect, sd),
        "s_value": s_values(false_sign_probability(effect, sd, threshold)),
        "status": _shrunken_status(fit, tests["status"], sd),
    }
    if lfc_threshold > 0.0:
        columns["prob_gt_threshold"] = ndtr((-threshold - effect) / sd) + ndtr((effect - threshold) / sd)
    return _table(fit, columns)


def _shrunken_effect(fit: EbFit, contrast: Contrast) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mode and sd of a contrast under its adaptive prior, natural log, (gene,) each."""
    rotation, k = _rotation(contrast)
    rows = fit.estimated
    shrunken = shrink_coefficient(
        fit.counts.matrix[rows].astype(np.float64),
        fit.normalization_factors[rows],
        np.ascontiguousarray(fit.design.matrix @ np.linalg.inv(rotation)),
        fit.dispersion[rows],
        np.ascontiguousarray(fit.beta[rows] @ rotation.T),
        k,
        prior_scale(*_effect(fit, contrast)),
    )
    effect, sd = np.full(rows.size, np.nan), np.full(rows.size, np.nan)
    effect[rows], sd[rows] = shrunken.beta[:, k], shrunken.sd
    return effect, sd


def _shrunken_status(fit: EbFit, status: np.ndarray, sd: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(sd) & fit.estimated & (status == "ok"), "not_converged", status)
