r"""Size factors by maximum likelihood, for counts in which every gene has a zero somewhere.

Starting at s = 1, alternate between

1. dispersions alpha and means mu of all genes without a design, around a constant trend, given s;
2. s = exp(p - mean p) for the p that maximizes sum_i L_i(p) over the genes whose L_i(p) is above its 5 %
   quantile, with ``L_i(p) = sum_j ln NB(y_ij | mu_ij / s_j exp(p_j - mean p), alpha_i)``;

until ln s moves by less than 0.01 in all. So DESeq2 does it (Love, Huber and Anders 2014,
doi:10.1186/s13059-014-0550-8), with a quasi-Newton search over central differences of width 0.001. Which
genes are above the quantile depends on p, so that differences of another width would end elsewhere.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.counts import Counts
from bayesde.eb.block import GeneBlock
from bayesde.eb.dispersion.estimates import gene_wise_dispersions, map_dispersions
from bayesde.eb.dispersion.prior import fit_dispersion_prior
from bayesde.eb.dispersion.trend import fit_trend
from bayesde.eb.moments import moments
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.glm import MIN_MU
from bayesde.errors import FitError
from bayesde.normalize.blocks import row_blocks
from bayesde.numerics.compiled import kernel
from bayesde.numerics.libm import exp
from bayesde.numerics.negative_binomial import nb_log_pmf
from bayesde.numerics.quasi_newton import minimize
from bayesde.numerics.threads import over_genes

__all__ = ["iterated_log_size_factors"]

MAX_ROUNDS = 10
CONVERGED = 1e-4
"""Squared distance between successive ln s at which the iteration stops."""
LEFT_OUT = 0.05
"""Share of the genes, those that fit worst, that are left out."""
STEP = 1e-3
MAX_ITERATIONS = 100


@kernel
def _shifted(y, mu, dispersion, at_zero, shift):  # type: ignore[no-untyped-def]
    """Log probability of a count when its ln mean moves by ``shift``, given that without the move."""
    change = math.log1p(dispersion * mu * math.exp(shift)) - math.log1p(dispersion * mu)
    return at_zero + y * shift - (y + 1.0 / dispersion) * change


@kernel
def _start(counts, mu, dispersion):  # type: ignore[no-untyped-def]
    out = np.empty(counts.shape)
    for g in range(counts.shape[0]):
        for j in range(counts.shape[1]):
            out[g, j] = nb_log_pmf(counts[g, j], mu[g, j], dispersion[g])
    return out


@kernel
def _by_gene(first, last, likelihood, shifts, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (gene,) with L_i at one shift for each sample."""
    counts, mu, dispersion, start = likelihood
    for g in range(first, last):
        out[g] = 0.0
        for j in range(counts.shape[1]):
            out[g] += _shifted(counts[g, j], mu[g, j], dispersion[g], start[g, j], shifts[j])


@kernel
def _by_gene_and_sample(first, last, likelihood, shifts, step, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (sample k, gene) with L_i when p_k alone moves by ``step``.

    The mean of p moves by step / m then, so that every other sample's shift falls by that.
    """
    counts, mu, dispersion, start = likelihood
    m = counts.shape[1]
    for g in range(first, last):
        total = 0.0
        for j in range(m):
            others = shifts[j] - step / m
            lower = _shifted(counts[g, j], mu[g, j], dispersion[g], start[g, j], others)
            out[j, g] = _shifted(counts[g, j], mu[g, j], dispersion[g], start[g, j], others + step) - lower
            total += lower
        for j in range(m):
            out[j, g] += total


def _trimmed_sum(values: np.ndarray) -> float:
    """Sum of what is above the 5 % quantile."""
    return float(values[values > np.quantile(values, LEFT_OUT)].sum())


class _Likelihood(NamedTuple):
    """The likelihood as a function of p = ln s, up to a constant that all samples share.

    Attributes
    ----------
    counts, mu, start : ndarray (gene, sample)
        ``mu`` for size factors 1, and the log probabilities there.
    dispersion : ndarray (gene,)
    """

    counts: np.ndarray
    mu: np.ndarray
    dispersion: np.ndarray
    start: np.ndarray

    def negative(self, p: np.ndarray) -> float:
        out = np.empty(len(self.counts))
        over_genes(_by_gene, len(out), self, p - p.mean(), out)
        return -_trimmed_sum(out)

    def negative_slope(self, p: np.ndarray) -> np.ndarray:
        shifts = p - p.mean()
        ends = []
        for step in (STEP, -STEP):
            moved = np.empty(self.counts.shape[::-1])
            over_genes(_by_gene_and_sample, len(self.counts), self, shifts, step, moved)
            ends.append(np.array([_trimmed_sum(values) for values in moved]))
        return -(ends[0] - ends[1]) / (2.0 * STEP)


def _dispersions(counts: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return final dispersions (gene,) and means for size factors 1 (gene, sample), without a design."""
    layout = DesignLayout.of(np.ones((counts.shape[1], 1)))
    block = GeneBlock.of(counts, factors[None, :])
    found = moments(block, layout.basis)
    gene_wise, cell_means = gene_wise_dispersions(block, layout, found, float(np.mean(1.0 / factors)))
    fitted = fit_trend("mean", gene_wise, found.mean)(found.mean)
    prior = fit_dispersion_prior(gene_wise, fitted, counts.shape[1] - 1)
    shrunken = map_dispersions(block, layout, cell_means, gene_wise, fitted, prior.prior_var)
    mu = np.maximum(found.mean[:, None] * factors, MIN_MU) / factors
    return np.where(prior.outlying(gene_wise, fitted), gene_wise, shrunken), mu


def _round(counts: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """Improve ln s once, (sample,)."""
    dispersion, mu = _dispersions(counts, exp(logs))
    likelihood = _Likelihood(counts, mu, dispersion, _start(counts, mu, dispersion))
    found = minimize(likelihood.negative, likelihood.negative_slope, logs, max_iterations=MAX_ITERATIONS)
    if not found.converged:
        raise FitError(
            "the likelihood search for size factors did not converge; use the method 'poscounts', or leave "
            "out samples with very few counts."
        )
    return np.asarray(found.x - found.x.mean())


def iterated_log_size_factors(counts: Counts) -> np.ndarray:
    """Estimate ln size factors by maximum likelihood.

    Parameters
    ----------
    counts : Counts

    Returns
    -------
    ndarray (sample,)
        Of mean 0.

    Raises
    ------
    FitError
        If the search or the alternation does not converge.
    """
    fitted = np.concatenate([rows[rows.any(axis=1)] for _, rows in row_blocks(counts)])
    logs = np.zeros(counts.n_samples)
    for attempt in range(MAX_ROUNDS):
        before, logs = logs, _round(fitted, logs)
        if attempt > 0 and np.sum((before - logs) ** 2) < CONVERGED:
            return logs
    raise FitError(
        f"size factors by 'iterate' did not converge in {MAX_ROUNDS} rounds; use the method 'poscounts'."
    )
