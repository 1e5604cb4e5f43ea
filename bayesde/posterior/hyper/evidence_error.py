r"""Monte-Carlo bias and error of a log marginal likelihood.

A gene's marginal likelihood is a mean of weights, Z = sum_z mean_{m in z} w_m, over the draws of every
pattern z of zeros (`bayesde.posterior.proposal.patterns`). With the shares p_m of the draws in it, which add
up to 1, and the M_z draws of a pattern,

    var(Z) / Z^2 = sum_z M_z var_{m in z}(p_m),     E ln Z = ln E Z - var(Z) / (2 Z^2) + ...,

so that the sum of the genes' logs is too small by half the sum of their relative variances, the more the
fewer draws there are. Two laws share draws, and the variance of the difference of their logs is that of the
differences between their shares.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood, gene_weights

__all__ = ["bias_of_logs", "error_of_difference"]

GENES_AT_A_TIME = 500


def bias_of_logs(likelihood: MarginalLikelihood, psi: np.ndarray) -> float:
    """Return by how much the log marginal likelihood is too small on average.

    Parameters
    ----------
    likelihood : MarginalLikelihood
        Under known laws.
    psi : ndarray (hyperparameter,)

    Returns
    -------
    float
        Of all genes.
    """
    patterns = _patterns(likelihood)
    return 0.5 * sum(float(_variance(shares, patterns).sum()) for _, shares in _shares(likelihood, psi))


def error_of_difference(
    one: MarginalLikelihood, psi: np.ndarray, other: MarginalLikelihood, of_other: np.ndarray
) -> float:
    """Return the standard error of the difference between two log marginal likelihoods.

    Parameters
    ----------
    one, other : MarginalLikelihood
        Of the same genes and draws without zeros, these first; those with zeros may be missing from one, and
        are the same where they are the same number.
    psi, of_other : ndarray (hyperparameter,)

    Returns
    -------
    float
    """
    longer = one if one.n_draws >= other.n_draws else other
    patterns, total = _patterns(longer), 0.0
    for rows, shares in _shares(longer, psi if longer is one else of_other):
        shorter, at = (other, of_other) if longer is one else (one, psi)
        own = next(_shares(shorter, at, rows))[1]
        shares[:, : own.shape[1]] -= own
        total += float(_variance(shares, patterns).sum())
    return math.sqrt(total)


def _shares(
    likelihood: MarginalLikelihood, psi: np.ndarray, rows: slice | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the shares of the draws (gene, draw), of some genes or of all, a few at a time."""
    space = replace(likelihood.space, mixtures=())  # whose densities are part of the log ratios
    point = HyperparameterPosterior(space, space.phi(psi)[None], np.ones(1))
    starts = range(0, likelihood.base_mean.size, GENES_AT_A_TIME)
    for own in [rows] if rows else [slice(start, start + GENES_AT_A_TIME) for start in starts]:
        parts = likelihood.base_mean[own], likelihood.theta[own], likelihood.log_ratio[own]
        yield own, np.nan_to_num(gene_weights(space, *parts, point))


def _patterns(likelihood: MarginalLikelihood) -> list[slice]:
    """Return where the draws of each pattern of zeros stand; they are the same of all genes."""
    zero = likelihood.theta[0, : likelihood.n_draws, :-1] == 0.0
    ends = np.flatnonzero((zero[1:] != zero[:-1]).any(axis=1)) + 1
    edges = [0, *ends.tolist(), likelihood.n_draws]
    return [slice(start, end) for start, end in itertools.pairwise(edges)]


def _variance(shares: np.ndarray, patterns: list[slice]) -> np.ndarray:
    """Return the variance of the sum of shares (gene, draw), (gene,)."""
    parts = [(part.stop - part.start) * shares[:, part].var(axis=1) for part in patterns]
    return np.asarray(np.sum(parts, axis=0))
