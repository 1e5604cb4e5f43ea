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
from bayesde.options import check_range
from bayesde.results import ResultsTable, build_results, s_values

if TYPE_CHECKING:
    from bayesde.eb.fit import EbFit

__all__ = ["shrunken_table", "wald_table"]

INTERVAL = 0.95
LARGEST_THRESHOLD = 100.0


def _effect(fit: EbFit, contrast: Contrast) -> tuple[np.ndarray, np.ndarray]:
    """Estimate and standard error of a contrast, natural log, (gene,) each."""
    if contrast.coefficient is not None:
        k = fit.design.coefficients.index(contrast.coefficient)
        return fit.beta[:, k], fit.beta_se[:, k]
    rows = ~fit.all_zero & ~fit.emptied
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
        levels = fit.counts.sample_table[contrast.factor].astype(str)
        compared = levels.isin([contrast.level, contrast.reference]).to_numpy()
    elif contrast.vector.min() < 0.0 < contrast.vector.max():
        compared = (fit.design.matrix[:, contrast.vector != 0.0] != 0.0).any(axis=1)
    else:
        return np.zeros(fit.all_zero.size, dtype=bool)
    return ~fit.all_zero & ~fit.counts.matrix[:, compared].any(axis=1)


def _tests(fit: EbFit, contrast: Contrast) -> dict[str, np.ndarray]:
    """Effect, standard error, Wald statistic, p-value and adjusted p-value, natural log."""
    effect, error = _effect(fit, contrast)
    empty = _without_evidence(fit, contrast) | fit.emptied
    effect, error = np.where(empty, 0.0, effect), np.where(fit.emptied, 0.0, error)
    with np.errstate(invalid="ignore", divide="ignore"):
        stat = np.where(empty, 0.0, effect / error)
    p_value = np.where(fit.count_outlier, np.nan, 2.0 * ndtr(-np.abs(stat)))
    if fit.options.independent_filtering:
        padj = filter_and_adjust(p_value, fit.base_mean, fit.options.fdr).padj
    else:
        padj = benjamini_hochberg(p_value)
    return {"effect": effect, "error": error, "stat": stat, "p_value": p_value, "padj": padj}


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


def wald_table(fit: EbFit, contrast: Contrast) -> ResultsTable:
    """Tabulate Wald tests: stat = c'b / se, two-sided normal p-values.

    Parameters
    ----------
    fit : EbFit
    contrast : Contrast

    Returns
    -------
    ResultsTable
    """
    tests = _tests(fit, contrast)
    columns = {
        "base_mean": fit.base_mean,
        "log2_fold_change": tests["effect"],
        "lfc_se": tests["error"],
        "stat": tests["stat"],
        "p_value": tests["p_value"],
        "padj": tests["padj"],
        "dispersion": fit.dispersion,
        "engine": np.full(fit.all_zero.size, "eb"),
        "status": _status(fit, tests["p_value"], tests["padj"]),
    }
    return build_results(fit.counts.genes, columns)


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
    tests = _tests(fit, contrast)
    rotation, k = _rotation(contrast)
    rows = ~fit.all_zero & ~fit.emptied
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
    threshold = lfc_threshold * math.log(2.0)
    half_width = ndtri(0.5 + INTERVAL / 2.0) * sd
    columns = {
        "base_mean": fit.base_mean,
        "log2_fold_change": effect,
        "lfc_se": sd,
        "lfc_lower": effect - half_width,
        "lfc_upper": effect + half_width,
        "p_value": tests["p_value"],
        "padj": tests["padj"],
        "lfsr": false_sign_probability(effect, sd),
        "s_value": s_values(false_sign_probability(effect, sd, threshold)),
        "dispersion": fit.dispersion,
        "engine": np.full(rows.size, "eb"),
        "status": _shrunken_status(fit, tests, sd),
    }
    if lfc_threshold > 0.0:
        columns["prob_gt_threshold"] = ndtr((-threshold - effect) / sd) + ndtr((effect - threshold) / sd)
    return build_results(fit.counts.genes, columns)


def _shrunken_status(fit: EbFit, tests: dict[str, np.ndarray], sd: np.ndarray) -> np.ndarray:
    status = _status(fit, tests["p_value"], tests["padj"])
    return np.where(np.isnan(sd) & ~fit.all_zero & (status == "ok"), "not_converged", status)
