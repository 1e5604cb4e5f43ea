"""From a fit to results tables: Wald tests and shrunken effects of one contrast."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr, ndtri

from bayesde.counts import chunk_cells
from bayesde.design import Contrast, Design
from bayesde.design.as_design import as_design
from bayesde.design.random_effects import refuse_groupings
from bayesde.eb.estimates import EbEstimates
from bayesde.eb.options import LARGEST_THRESHOLD, SHRINKAGES
from bayesde.eb.regression.glm import contrast_standard_errors
from bayesde.eb.shrinkage.apeglm import false_sign_probability, prior_scale, shrink_coefficient
from bayesde.eb.shrinkage.ash import fit_mixture
from bayesde.eb.shrinkage.normal import shrink_normally
from bayesde.eb.testing.lrt import estimates_for_lrt, likelihood_ratios
from bayesde.eb.testing.multiple_testing import benjamini_hochberg, filter_and_adjust
from bayesde.eb.testing.wald import wald_test
from bayesde.errors import InputError, OptionError, first_few
from bayesde.numerics.linear import combine, least_squares, products
from bayesde.options import check_choice, check_range
from bayesde.results import ResultsTable, build_results, s_values

__all__ = ["is_level", "lrt_table", "refuse_level", "shrunken_table", "wald_table"]

INTERVAL = 0.95
LN2 = math.log(2.0)
UNADAPTED_SCALE = 1.0
ASH_ARRAYS = 6
"""Numbers that the posterior under a mixture takes for each gene and component."""


def _effect(fit: EbEstimates, contrast: Contrast) -> tuple[np.ndarray, np.ndarray]:
    """Estimate and standard error of a contrast, natural log, (gene,) each."""
    if contrast.coefficient is not None:
        k = fit.design.coefficients.index(contrast.coefficient)
        return fit.beta[:, k], fit.beta_se[:, k]
    error = np.full(fit.counts.n_genes, np.nan)
    for genes, block in fit.fitted_blocks():
        error[genes] = contrast_standard_errors(
            fit.beta[genes],
            block.factors,
            fit.design.matrix,
            fit.dispersion[genes],
            contrast.vector,
            block.weights,
            fit.options.min_mu,
        )
    return combine(fit.beta, contrast.vector), error


def _without_evidence(fit: EbEstimates, contrast: Contrast) -> np.ndarray:
    """Find genes whose counts are zero in all samples that a contrast compares: their effect is set to 0."""
    if contrast.factor is not None:
        levels = {contrast.level, contrast.reference}
        compared = np.array([level in levels for level in fit.design.groups[contrast.factor]])
    elif contrast.vector.min() < 0.0 < contrast.vector.max():
        compared = (fit.design.matrix[:, contrast.vector != 0.0] != 0.0).any(axis=1)
    else:
        return np.zeros(fit.all_zero.size, dtype=bool)
    if compared.all():
        return np.zeros(fit.all_zero.size, dtype=bool)
    counted = [(fit.counts.rows(chunk) > 0.0) @ compared for chunk in fit.counts.chunks()]
    return ~fit.all_zero & ~np.concatenate(counted)


def _tested_effect(fit: EbEstimates, contrast: Contrast) -> tuple[np.ndarray, np.ndarray]:
    """Effect and standard error as they are tested: 0 where no compared sample has a count."""
    effect, error = _effect(fit, contrast)
    effect = np.where(_without_evidence(fit, contrast) | fit.emptied, 0.0, effect)
    return effect, np.where(fit.emptied, 0.0, error)


def _degrees_of_freedom(fit: EbEstimates) -> np.ndarray | None:
    """Degrees of freedom (gene,) of t tests, or None for normal tests.

    They are the sum of a gene's weights (1 without any), less the coefficients. DESeq2 compares genes whose
    outlying counts it replaced with the normal distribution all the same.
    """
    if not fit.options.use_t:
        return None
    total = np.full(fit.counts.n_genes, float(fit.counts.n_samples))
    if fit.weights is not None:
        largest = fit.weights.max(axis=1)
        np.divide(fit.weights.sum(axis=1), largest, out=total, where=largest > 0.0)
    return np.where(fit.replaced, np.inf, total - fit.design.n_coefficients)


def _adjusted(fit: EbEstimates, p_value: np.ndarray) -> dict[str, np.ndarray]:
    """p-values of genes that may be tested, and adjusted ones; genes emptied by replacement get p = 1."""
    p_value = np.where(fit.emptied, 1.0, np.where(fit.count_outlier, np.nan, p_value))
    if fit.options.independent_filtering:
        padj = filter_and_adjust(p_value, fit.base_mean, fit.options.fdr).padj
    else:
        padj = benjamini_hochberg(p_value)
    return {"p_value": p_value, "padj": padj, "status": _status(fit, p_value, padj)}


def _status(fit: EbEstimates, p_value: np.ndarray, padj: np.ndarray) -> np.ndarray:
    """Return for each gene why a number is missing or unreliable, or that all is well."""
    cases = {
        "all_zero": fit.all_zero,
        "low_weight": fit.low_weight,
        "count_outlier": fit.count_outlier | fit.emptied,
        "not_converged": np.isnan(p_value) | ~fit.converged & ~np.isnan(padj),
        "low_mean": np.isnan(padj),
    }
    words = np.array([*cases, "ok"], dtype=object)  # the same few words for all genes, not a copy for each
    return np.asarray(words[np.select(list(cases.values()), range(len(cases)), default=len(cases))])


def _table(fit: EbEstimates, columns: dict[str, np.ndarray]) -> ResultsTable:
    common = {"base_mean": fit.base_mean, "dispersion": fit.dispersion, "engine": "eb"}
    names = fit.counts.gene_names
    named = {} if names is None else {"gene_name": names}
    return build_results(fit.counts.genes, named | common | columns)


def wald_table(fit: EbEstimates, contrast: Contrast, lfc_threshold: float, alternative: str) -> ResultsTable:
    """Tabulate Wald tests of a contrast.

    Parameters
    ----------
    fit : EbEstimates
    contrast : Contrast
    lfc_threshold : float
        log2.
    alternative : str
        See ``wald_test``.

    Returns
    -------
    ResultsTable
    """
    check_range("lfc_threshold", lfc_threshold, 0.0, LARGEST_THRESHOLD)
    effect, error = _tested_effect(fit, contrast)
    stat, p_value = wald_test(effect, error, lfc_threshold * LN2, alternative, _degrees_of_freedom(fit))
    stat = np.where(fit.emptied, 0.0, stat)
    columns = {"log2_fold_change": effect, "lfc_se": error, "stat": stat}
    return _table(fit, columns | _adjusted(fit, p_value))


def lrt_table(fit: EbEstimates, contrast: Contrast, reduced: str | Design) -> ResultsTable:
    """Tabulate likelihood-ratio tests against a reduced design, beside the effect of a contrast.

    Parameters
    ----------
    fit : EbEstimates
    contrast : Contrast
    reduced : str or Design

    Returns
    -------
    ResultsTable

    Raises
    ------
    InputError
        If the reduced design is not part of the full one.
    """
    reduced = as_design(reduced, fit.counts)
    refuse_groupings(reduced.groupings, "the likelihood-ratio test", "Leave them out of the reduced design.")
    refitted = estimates_for_lrt(fit)
    test = likelihood_ratios(refitted, reduced)
    effect, error = _tested_effect(refitted, contrast)
    columns = {"log2_fold_change": effect, "lfc_se": error, "stat": test[0]}
    return _table(refitted, columns | _adjusted(refitted, test[1]))


def _rotation(contrast: Contrast) -> tuple[np.ndarray, int]:
    """Return T (coefficient, coefficient) and k so that row k of T is the contrast and T is invertible.

    The coefficients gamma = T beta of the design X T^-1 describe the same model, and gamma_k is the contrast.
    """
    k = int(np.argmax(np.abs(contrast.vector)))
    rotation = np.eye(contrast.vector.size)
    rotation[k] = contrast.vector
    return rotation, k


def _rotated(matrix: np.ndarray, vector: np.ndarray, k: int) -> np.ndarray:
    """Return X T^-1 (sample, coefficient) for the T of ``_rotation``: only its row k is no unit vector."""
    design = matrix.copy()
    design[:, k] = matrix[:, k] / vector[k]
    for other in np.flatnonzero(vector):
        if other != k:
            design[:, other] -= vector[other] * design[:, k]
    return design


def is_level(design: Design, contrast: Contrast) -> bool:
    """Tell whether a contrast is a level of expression, as the intercept is, rather than an effect.

    An effect stays when every sample's ln mean is raised by a constant: with X v = 1, it is c . v = 0.

    Parameters
    ----------
    design : Design
    contrast : Contrast

    Returns
    -------
    bool
    """
    ones = np.ones(design.n_samples)
    constant = least_squares(design.matrix, ones)
    shared = np.allclose(combine(design.matrix, constant), ones)
    along = np.sum(contrast.vector * constant)
    return bool(shared and abs(along) > 1e-8 * np.abs(contrast.vector).max())


def refuse_level(design: Design, contrast: Contrast) -> None:
    """Refuse to shrink what has no reason to be near 0.

    Parameters
    ----------
    design : Design
    contrast : Contrast

    Raises
    ------
    InputError
        If the contrast is a level of expression.
    """
    if not is_level(design, contrast):
        return
    effects = [name for name in design.coefficients if not is_level(design, design.contrast(name))]
    advice = f"Effects of this design: {first_few(effects)}"
    if not effects:
        advice = "No coefficient of the design is an effect: compare two levels, or add a term to the design"
    raise InputError(
        f"'{contrast.name}' is a level of expression, not an effect: there is no reason to shrink it "
        f"towards 0. {advice}."
    )


def shrunken_table(
    fit: EbEstimates,
    contrast: Contrast,
    lfc_threshold: float = 0.0,
    method: str = "apeglm",
    adapt: bool = True,
) -> ResultsTable:
    """Tabulate effects shrunk towards zero, with local false sign rates and s-values.

    Parameters
    ----------
    fit : EbEstimates
    contrast : Contrast
    lfc_threshold : float
        In log2 units, at least 0; with a threshold, s-values are about "wrong sign or smaller".
    method : str
        One of `SHRINKAGES`.
    adapt : bool
        Whether the scale of apeglm's prior is estimated from the effects of all genes.

    Returns
    -------
    ResultsTable
    """
    check_choice("method", method, tuple(SHRINKAGES))
    check_range("lfc_threshold", lfc_threshold, 0.0, LARGEST_THRESHOLD)
    refuse_level(fit.design, contrast)
    if not adapt and method != "apeglm":
        raise OptionError(f"adapt=False is for method 'apeglm'; '{method}' always estimates its prior.")
    threshold = lfc_threshold * LN2
    stat, p_value = wald_test(*_tested_effect(fit, contrast), df=_degrees_of_freedom(fit))
    columns = _adjusted(fit, p_value)
    if method == "ashr":
        columns |= _ash_columns(fit, contrast, threshold)
    elif method == "normal":
        columns |= {"stat": np.where(fit.emptied, 0.0, stat)} | _normal_columns(fit, contrast, threshold)
    else:
        effect, sd = _cauchy_effect(fit, contrast, adapt)
        columns |= {"lfc_se": sd} | _laplace_columns(effect, sd, threshold)
    columns["s_value"] = s_values(columns["s_value"])
    columns["status"] = _shrunken_status(fit, columns["status"], columns["lfsr"])
    if lfc_threshold == 0.0:
        del columns["prob_gt_threshold"]
    return _table(fit, columns)


def _laplace_columns(effect: np.ndarray, sd: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    """Columns of a normal posterior; ``s_value`` is still the rate that s-values are made of."""
    half_width = ndtri(0.5 + INTERVAL / 2.0) * sd
    return {
        "log2_fold_change": effect,
        "lfc_lower": effect - half_width,
        "lfc_upper": effect + half_width,
        "lfsr": false_sign_probability(effect, sd),
        "s_value": false_sign_probability(effect, sd, threshold),
        "prob_gt_threshold": ndtr((-threshold - effect) / sd) + ndtr((effect - threshold) / sd),
    }


def _normal_columns(fit: EbEstimates, contrast: Contrast, threshold: float) -> dict[str, np.ndarray]:
    """Columns of the posterior under normal priors; the standard error is the estimator's, as in DESeq2."""
    if contrast.coefficient is None:
        raise InputError(
            "method 'normal' shrinks coefficients only, because its prior depends on how the design is "
            f"written; got the contrast '{contrast.name}'. Methods 'apeglm' and 'ashr' take any contrast; "
            "or give the factor another reference level, so that the contrast is a coefficient."
        )
    found = shrink_normally(fit, fit.design.coefficients.index(contrast.coefficient))
    return {"lfc_se": found.error} | _laplace_columns(found.effect, found.sd, threshold)


def _ash_columns(fit: EbEstimates, contrast: Contrast, threshold: float) -> dict[str, np.ndarray]:
    """Columns of the posterior under a mixture of normal distributions."""
    effect, error = _tested_effect(fit, contrast)
    rows = np.isfinite(effect) & np.isfinite(error) & (error > 0.0)
    mixture = fit_mixture(effect[rows], error[rows])
    names = ("log2_fold_change", "lfc_se", "lfc_lower", "lfc_upper", "lfsr", "s_value", "prob_gt_threshold")
    columns = {name: np.full(rows.size, np.nan) for name in names}
    for genes in _pieces(np.flatnonzero(rows), ASH_ARRAYS * mixture.sd.size):
        posterior = mixture.posterior(effect[genes], error[genes])
        mean = posterior.effect
        below, above = posterior.probability_below(-threshold), posterior.probability_above(threshold)
        tail = (1.0 - INTERVAL) / 2.0
        values = (
            mean,
            posterior.effect_sd,
            posterior.quantile(tail),
            posterior.quantile(1.0 - tail),
            np.minimum(posterior.probability_below(0.0), posterior.probability_above(0.0)),
            np.where(
                mean > 0.0, posterior.probability_below(threshold), posterior.probability_above(-threshold)
            ),
            below + above,
        )
        for name, value in zip(names, values, strict=True):
            columns[name][genes] = value
    return columns


def _pieces(genes: np.ndarray, width: int) -> Iterator[np.ndarray]:
    """Cut genes (positions) into pieces; with ``width`` numbers a gene, a piece has those of a chunk."""
    step = max(1, chunk_cells() // width)
    for start in range(0, genes.size, step):
        yield genes[start : start + step]


def _cauchy_effect(fit: EbEstimates, contrast: Contrast, adapt: bool) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mode and sd of a contrast under its Cauchy prior, natural log, (gene,) each.

    Without adaptation the prior has scale 1, and all coefficients but the intercept have it.
    """
    rotation, k = _rotation(contrast)
    design = _rotated(fit.design.matrix, contrast.vector, k)
    scale = prior_scale(*_effect(fit, contrast)) if adapt else UNADAPTED_SCALE
    others = [a for a in range(len(rotation)) if a not in (k, fit.design.intercept)]
    also = others if not adapt and fit.design.intercept is not None else []
    dispersion = np.where(fit.estimated, fit.dispersion, np.nan)
    effect, sd = np.empty(dispersion.size), np.empty(dispersion.size)
    for chunk in fit.counts.chunks():
        shrunken = shrink_coefficient(
            fit.counts.rows(chunk),
            fit.normalization_factors[chunk],
            design,
            dispersion[chunk],
            products(fit.beta[chunk], rotation),
            (k, *also),
            scale,
            None if fit.weights is None else fit.weights[chunk],
        )
        effect[chunk], sd[chunk] = shrunken.beta[:, k], shrunken.sd
    return effect, sd


def _shrunken_status(fit: EbEstimates, status: np.ndarray, lfsr: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(lfsr) & fit.estimated & (status == "ok"), "not_converged", status)
