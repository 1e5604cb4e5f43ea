r"""Shrunken effects: the posterior mode under a Cauchy prior on one coefficient (apeglm).

For each gene, with its dispersion 1/r plugged in, the negative log posterior

    f(b) = -sum_j [y_j eta_j - (y_j + r) ln(r + exp(eta_j + ln nf_j))] + sum_{l != k} b_l^2 / (2 15^2)
           + ln(1 + b_k^2 / S^2),      eta_j = x_j . b

is minimized (Zhu, Ibrahim and Love 2019, doi:10.1093/bioinformatics/bty895). It may have two minima, one
near zero and one near the maximum-likelihood estimate: the lower one is taken (``cauchy_mode`` finds it).
The scale S is estimated from all genes. Everything is in natural-log units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from bayesde.eb.block import NO_WEIGHTS, GeneBlock, shared_row
from bayesde.eb.estimates import EbEstimates
from bayesde.eb.regression.design_layout import Cells
from bayesde.eb.shrinkage.cauchy_mode import UNSHRUNKEN_SD, CauchyPrior, OrderedCells, find_modes
from bayesde.numerics.threads import over_genes

__all__ = [
    "UNSHRUNKEN_SD",
    "ShrunkenEffects",
    "false_sign_probability",
    "prior_scale",
    "prior_scales",
    "shrink_coefficient",
]

MAX_PRIOR_SCALE = 1.0
SMALLEST_VARIANCE, LARGEST_VARIANCE = 1e-6, 400.0
ROOT_TOLERANCE = np.finfo(float).eps ** 0.25
"""Absolute, on the variance: R's default. It is coarse, so the iterates must be R's for the scale to be."""


@dataclass(frozen=True)
class ShrunkenEffects:
    """Posterior modes and their curvature.

    Attributes
    ----------
    beta : ndarray (gene, coefficient)
        Mode, all coefficients.
    sd : ndarray (gene,)
        Posterior sd of the first shrunken coefficient by Laplace's approximation; NaN if the mode is no
        minimum.
    scale : float
        S, the scale of the Cauchy prior.
    converged : ndarray of bool (gene,)
    """

    beta: np.ndarray
    sd: np.ndarray
    scale: float
    converged: np.ndarray


def prior_scale(beta: np.ndarray, beta_se: np.ndarray) -> float:
    """Estimate the scale of the Cauchy prior from maximum-likelihood estimates.

    Solves  sum_g (b_g^2 - se_g^2) I_g(A) / sum_g I_g(A) = A  with  I_g(A) = 1 / (2 (A + se_g^2)^2)
    for the variance A of the effects and returns min(sqrt(A), 1), at least 1e-3 (Efron and Morris 1975,
    doi:10.1080/01621459.1975.10479864; Zhu, Ibrahim and Love 2019, supplement).

    Parameters
    ----------
    beta, beta_se : ndarray (gene,)
        Natural log; genes with NaN are left out.

    Returns
    -------
    float
        S, natural log.
    """
    usable = np.isfinite(beta) & np.isfinite(beta_se)
    square, variance = beta[usable] ** 2, beta_se[usable] ** 2

    def excess(candidate: float) -> float:
        information = 1.0 / (2.0 * (candidate + variance) ** 2)
        return float(np.sum((square - variance) * information) / np.sum(information)) - candidate

    if square.size == 0 or excess(SMALLEST_VARIANCE) < 0.0:
        return math.sqrt(SMALLEST_VARIANCE)
    if excess(LARGEST_VARIANCE) > 0.0:
        return MAX_PRIOR_SCALE
    return min(math.sqrt(_root(excess, SMALLEST_VARIANCE, LARGEST_VARIANCE)), MAX_PRIOR_SCALE)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Find a zero between two points of opposite sign by Brent's method (Brent 1973, chapter 4).

    ``best`` has the smallest value so far, ``other`` the opposite sign, ``last`` is the point before.
    SciPy's variant takes other steps, and at this tolerance it would stop elsewhere.
    """
    last, best = low, high
    f_last, f_best = function(last), function(best)
    other, f_other = last, f_last
    while True:
        previous_step = best - last
        if abs(f_other) < abs(f_best):
            last, best, other = best, other, best
            f_last, f_best, f_other = f_best, f_other, f_best
        tolerance = 2.0 * np.finfo(float).eps * abs(best) + ROOT_TOLERANCE / 2.0
        step = (other - best) / 2.0
        if abs(step) <= tolerance or f_best == 0.0:
            return best
        if abs(previous_step) >= tolerance and abs(f_last) > abs(f_best):
            step = _interpolated_step((last, f_last), (best, f_best), (other, f_other), tolerance)
        if abs(step) < tolerance:
            step = math.copysign(tolerance, step)
        last, f_last = best, f_best
        best += step
        f_best = function(best)
        if f_best * f_other > 0.0:
            other, f_other = last, f_last


def _interpolated_step(
    last: tuple[float, float], best: tuple[float, float], other: tuple[float, float], tolerance: float
) -> float:
    """Step by the secant or inverse quadratic interpolation, or half the interval if these go astray."""
    width, before = other[0] - best[0], best[0] - last[0]
    ratio = best[1] / last[1]
    if last[0] == other[0]:
        p, q = width * ratio, 1.0 - ratio
    else:
        u, v = last[1] / other[1], best[1] / other[1]
        p = ratio * (width * u * (u - v) - before * (v - 1.0))
        q = (u - 1.0) * (v - 1.0) * (ratio - 1.0)
    p, q = (p, -q) if p > 0.0 else (-p, q)
    if p < 0.75 * width * q - abs(tolerance * q) / 2.0 and p < abs(before * q / 2.0):
        return p / q
    return width / 2.0


def prior_scales(fit: EbEstimates) -> dict[str, float]:
    """Estimate the scale of the Cauchy prior of every coefficient but the intercept.

    Parameters
    ----------
    fit : EbEstimates

    Returns
    -------
    dict of float
        S, natural log, by coefficient.
    """
    return {
        name: prior_scale(fit.beta[:, k], fit.beta_se[:, k])
        for k, name in enumerate(fit.design.coefficients)
        if k != fit.design.intercept
    }


def shrink_coefficient(
    counts: np.ndarray,
    factors: np.ndarray,
    design: np.ndarray,
    dispersion: np.ndarray,
    start: np.ndarray,
    shrunken: Sequence[int],
    scale: float,
    weights: np.ndarray | None = None,
) -> ShrunkenEffects:
    """Find the posterior mode of every gene under a Cauchy(0, scale) prior on some of the coefficients.

    Parameters
    ----------
    counts : ndarray (gene, sample)
        Integers or floats.
    factors : ndarray (gene, sample), or (1, sample) where they are the same for all genes
    design : ndarray (sample, coefficient)
    dispersion : ndarray (gene,)
        Genes with NaN are left out: NaN throughout.
    start : ndarray (gene, coefficient)
        Maximum-likelihood estimates, natural log.
    shrunken : sequence of int
        Columns of the design that have the prior; the posterior sd is that of the first.
    scale : float
        S, natural log.
    weights : ndarray (gene, sample), optional
        Observation weights, as they were given, as in R's lfcShrink.

    Returns
    -------
    ShrunkenEffects
    """
    scales, cells = np.zeros(design.shape[1]), Cells.of(design)
    scales[list(shrunken)] = scale
    own_weights = NO_WEIGHTS if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
    beta, sd = np.where(np.isfinite(start), start, 0.0), np.empty(len(start))
    over_genes(
        find_modes,
        len(start),
        GeneBlock(np.ascontiguousarray(counts), shared_row(factors), own_weights),
        OrderedCells(cells.rows, cells.bounds, cells.order),
        dispersion,
        CauchyPrior(shrunken[0], scales),
        beta,
        sd,
    )
    return ShrunkenEffects(beta, sd, scale, np.isfinite(sd))


def false_sign_probability(effect: np.ndarray, sd: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    """Probability that an effect does not exceed a threshold in its estimated direction.

    With threshold 0 this is the local false sign rate Phi(-|b| / sd) of a normal posterior; otherwise the
    probability of being "false sign or small" (Zhu, Ibrahim and Love 2019).

    Parameters
    ----------
    effect, sd : ndarray (gene,)
    threshold : float
        Same units as the effect.

    Returns
    -------
    ndarray (gene,)
    """
    return ndtr((threshold - np.abs(effect)) / sd)
