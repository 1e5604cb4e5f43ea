r"""The regularized logarithm: log2 normalized counts, shrunk towards the gene's mean where noise dominates.

    y_ij ~ NB(nf_ij exp(b_i0 + b_ij), alpha_i),   b_ij ~ Normal(0, sigma^2),   rlog_ij = (b_i0 + b_ij) / ln 2

with alpha_i from the dispersion trend and sigma^2 matched to the upper 5 % of the differences
|log2 (q_ij + 1/2) - log2 (q_i + 1/2)|, weighted by 1 / (1/q_i + alpha_i), q_i being the gene's mean (Love,
Huber and Anders 2014, doi:10.1186/s13059-014-0550-8, "Regularized logarithm transformation"). The mode is
found by iteratively reweighted least squares to the tolerance of DESeq2, so that the iterates agree and not
only their limit.

There is one coefficient for each count, but the normal equations are an arrow: with weights w_j, working
responses z_j and precision l = 1/sigma^2, ``v_j = w_j l / (w_j + l)`` gives

    b_0 = sum_j v_j z_j / (sum_j v_j + l_0),    b_j = w_j (z_j - b_0) / (w_j + l).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.eb.dispersion.trend import DispersionTrend
from bayesde.eb.estimates import EbEstimates
from bayesde.eb.regression.glm import MIN_MU, RIDGE
from bayesde.eb.regression.irls import DIVERGED, MAX_ITERATIONS
from bayesde.eb.shrinkage.matched_prior import matched_sd
from bayesde.eb.transforms.inputs import TransformInput, transform_input
from bayesde.errors import InputError
from bayesde.normalize.blocks import row_blocks
from bayesde.numerics.compiled import inlined, kernel
from bayesde.numerics.libm import log2
from bayesde.numerics.negative_binomial import nb_log_pmf
from bayesde.numerics.threads import over_genes

__all__ = ["rlog"]

LN2 = math.log(2.0)
TOLERANCE = 1e-4
"""Relative change of the deviance at which the iteration stops."""


@inlined
def _deviance(y, factors, dispersion, intercept, effects, mu):  # type: ignore[no-untyped-def]
    """Fill ``mu`` with the means of these coefficients and return the deviance."""
    total = 0.0
    for j in range(y.size):
        mu[j] = max(factors[j] * math.exp(intercept + effects[j]), MIN_MU)
        total -= 2.0 * nb_log_pmf(y[j], mu[j], dispersion)
    return total


@inlined
def _step(y, factors, dispersion, precision, mu, effects):  # type: ignore[no-untyped-def]
    """Solve the normal equations: overwrite ``effects`` and return the intercept."""
    weighted, weights = 0.0, 0.0
    for j in range(y.size):
        w = mu[j] / (1.0 + dispersion * mu[j])
        v = w * precision / (w + precision)
        weighted += v * (math.log(mu[j] / factors[j]) + (y[j] - mu[j]) / mu[j])
        weights += v
    intercept = weighted / (weights + RIDGE)
    for j in range(y.size):
        w = mu[j] / (1.0 + dispersion * mu[j])
        z = math.log(mu[j] / factors[j]) + (y[j] - mu[j]) / mu[j]
        effects[j] = w * (z - intercept) / (w + precision)
    return intercept


@inlined
def _mode(y, factors, mean, dispersion, precision, mu, effects):  # type: ignore[no-untyped-def]
    """Iterate one gene from its mean; overwrite ``effects`` (sample,) and return the intercept."""
    intercept, before = math.log(mean), 0.0
    effects[:] = 0.0
    _deviance(y, factors, dispersion, intercept, effects, mu)
    for iteration in range(MAX_ITERATIONS):
        intercept = _step(y, factors, dispersion, precision, mu, effects)
        if not (abs(intercept) <= DIVERGED and np.abs(effects).max() <= DIVERGED):
            break
        deviance = _deviance(y, factors, dispersion, intercept, effects, mu)
        change = abs(deviance - before) / (abs(deviance) + 0.1)
        if iteration > 0 and change < TOLERANCE:
            break
        before = deviance
    return intercept


@kernel
def _all_modes(first, last, counts, factors, means, dispersions, precision, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (gene, sample) with intercept plus effect, natural log; 0 for a gene without counts."""
    mu = np.empty(counts.shape[1])
    for g in range(first, last):
        out[g, :] = 0.0
        if means[g] > 0.0:
            intercept = _mode(counts[g], factors[g], means[g], dispersions[g], precision, mu, out[g])
            for j in range(mu.size):
                out[g, j] += intercept


def rlog(
    counts: Counts | EbEstimates,
    design: str | Design | None = None,
    blind: bool | None = None,
    trend: str | DispersionTrend = "parametric",
    prior_var: float | None = None,
    size_factors: Any = None,
) -> pd.DataFrame:
    r"""Regularized log2 of the normalized counts: small counts are shrunken towards the gene's mean.

    The posterior mode of ``log2 q_ij`` in a model with one coefficient for each count, the prior of which is
    ``Normal(0, prior_var)`` around the gene's own level. Where size factors differ much it stabilizes better
    than `vst`; it takes longer, and a new sample changes the values of the others.

    Parameters
    ----------
    counts : Counts or EbFit
        Of a fit, the counts and factors are taken, and unless blind its trend.
    design : str or Design, optional
        Formula or design to estimate dispersions with, so that differences which it explains do not count as
        noise. It does not enter the transform otherwise.
    blind : bool, optional
        Whether to estimate dispersions without a design; so it is by default for counts without one.
    trend : {"parametric", "local", "mean"} or DispersionTrend
        What is fitted, or a trend that was fitted before.
    prior_var : float, optional
        Variance of the prior, log2 units squared; by default it is matched to the data.
    size_factors : optional
        Size or normalization factors, or the method to estimate them, as `fit_eb` takes them.

    Returns
    -------
    pandas.DataFrame, float64, (gene, sample)
        log2 scale; 0 for a gene without counts. ``.attrs["prior_var"]`` has the variance of the prior.

    Raises
    ------
    InputError
        If design, factors and counts do not fit each other, or the variance is not above 0.
    OptionError
        If the trend is unknown.

    References
    ----------
    Love, M. I., Huber, W. and Anders, S. (2014) Genome Biology 15:550. doi:10.1186/s13059-014-0550-8
    """
    if prior_var is not None and not (np.isfinite(prior_var) and prior_var > 0.0):
        raise InputError(f"the variance of the prior is {prior_var}; a finite number above 0 is needed.")
    given = transform_input(counts, design, blind, trend, size_factors)
    means = given.base_means()
    counted = means > 0.0
    dispersions = np.full(means.size, np.nan)
    dispersions[counted] = given.trend(means)(means[counted])
    matched = _matched_var(given, means, dispersions) if prior_var is None else float(prior_var)
    values = np.empty((means.size, given.counts.n_samples))
    for genes, rows in row_blocks(given.counts):
        factors = np.ascontiguousarray(given.factors[genes])
        precision = 1.0 / (matched * LN2**2)
        data = (rows, factors, means[genes], dispersions[genes], precision)
        over_genes(_all_modes, len(rows), *data, values[genes])
    values /= LN2
    frame = pd.DataFrame(values, index=given.counts.genes, columns=given.counts.samples, copy=False)
    frame.attrs["prior_var"] = matched
    return frame


def _matched_var(given: TransformInput, means: np.ndarray, dispersions: np.ndarray) -> float:
    """Variance (log2 squared) of the Normal with the upper quantile of the observed log2 differences."""
    differences, weights = [], []
    for genes, rows in row_blocks(given.counts):
        counted = means[genes] > 0.0
        mean = means[genes][counted][:, None]
        q = rows[counted] / given.factors[genes][counted]
        differences.append(np.abs(log2(q + 0.5) - log2(mean + 0.5)).ravel())
        weight = 1.0 / (1.0 / mean + dispersions[genes][counted][:, None])
        weights.append(np.broadcast_to(weight, q.shape).ravel())
    return matched_sd(np.concatenate(differences), np.concatenate(weights)) ** 2
