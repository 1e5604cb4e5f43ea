r"""Genes sampled again without some of their counts.

A count that is left out drops from the likelihood, and nothing else changes: the hyperparameters are those of
all genes, on which one count has next to no influence,

    p(theta_g | y_g without j)  is proportional to  p(theta_g | phi) prod_{i not j} p(y_gi | theta_g).

The design may lose rank without a sample. The posterior stays proper: what no count speaks of keeps its
prior.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.importance.engine import AVERAGED_TIMES_GENES, FEWEST_AVERAGED
from bayesde.posterior.importance.sampler import ImportanceSample, draw_sample
from bayesde.posterior.proposal.genes import propose

if TYPE_CHECKING:
    from bayesde.model.hyperparameters import Hyperparameters
    from bayesde.posterior.result import Posterior

__all__ = [
    "by_pattern",
    "copied",
    "kept_means",
    "only_samples",
    "sample_without",
    "without_counts",
    "without_samples",
    "write_over",
]

DRAWS_AT_A_TIME = 1_000_000
"""Of all genes that are sampled again together."""
HALF_A_COUNT = 0.5
"""What all other counts of a gene are taken to have together where they have none: the trend needs a mean."""
NOTHING = -700.0
"""Log of a normalization factor under which no count is expected."""


def by_pattern(left_out: np.ndarray, draws: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Group genes by which of their counts are left out.

    Parameters
    ----------
    left_out : ndarray of bool (gene, sample)
    draws : int
        Of every gene, to be held in memory.

    Yields
    ------
    genes : ndarray of int
        Not too many for that.
    samples : ndarray of bool (sample,)
        What is left out of them.
    """
    patterns, which = np.unique(left_out, axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        genes = np.flatnonzero(which.ravel() == i)
        size = max(1, DRAWS_AT_A_TIME // draws)
        for start in range(0, genes.size, size):
            yield genes[start : start + size], pattern


def sample_without(
    posterior: Posterior,
    genes: np.ndarray,
    left_out: np.ndarray,
    draws: int,
    base_mean: np.ndarray | None = None,
) -> ImportanceSample:
    """Sample genes by importance, without their counts in some samples.

    Parameters
    ----------
    posterior : Posterior
        Its hyperparameters, their uncertainty included, are those of the genes.
    genes : ndarray of int (gene,)
        Positions among the sampled genes.
    left_out : ndarray of bool (sample,)
        The same for all of these genes.
    draws : int
        Of every gene.
    base_mean : ndarray (gene,), optional
        Where the dispersion trend is read off; by default the mean of all normalized counts.

    Returns
    -------
    ImportanceSample
        Of the genes in the order given.
    """
    hyper = posterior.hyperparameters
    request = replace(posterior.request, hyperparameters=hyper, learning=False)
    rows = request.rows[genes]
    model = without_samples(request.model(rows), left_out)
    if base_mean is not None:
        model = replace(model, base_mean=base_mean, log_trend=hyper.log_trend(base_mean))
    most = max(FEWEST_AVERAGED, AVERAGED_TIMES_GENES // posterior.gene_draws.n_genes)
    pieces = propose(request.start(rows), model)
    return draw_sample(pieces, HyperparameterPosterior.fixed(request.space, hyper, most), draws)


def without_samples(model: ConditionalModel, left_out: np.ndarray) -> ConditionalModel:
    """Drop samples, given as a mask, from counts, factors and design."""
    kept = ~left_out
    y, log_nf = (np.ascontiguousarray(values[:, kept]) for values in (model.y, model.log_nf))
    return replace(model, y=y, log_nf=log_nf, x=np.ascontiguousarray(model.x[kept]))


def without_counts(model: ConditionalModel, left_out: np.ndarray, hyper: Hyperparameters) -> ConditionalModel:
    """Drop single counts, given as a mask (gene, sample).

    They become counts of 0 where next to nothing is expected, whose probability is 1 whatever the parameters;
    the dispersion trend is read off at the mean of the others.
    """
    rows = np.flatnonzero(left_out.any(axis=1))
    base_mean, log_trend = model.base_mean.copy(), model.log_trend.copy()
    base_mean[rows] = kept_means(model.genes(rows), left_out[rows])
    log_trend[rows] = hyper.log_trend(base_mean[rows])
    y, log_nf = np.where(left_out, 0, model.y), np.where(left_out, NOTHING, model.log_nf)
    return replace(model, y=y, log_nf=log_nf, base_mean=base_mean, log_trend=log_trend)


def kept_means(model: ConditionalModel, left_out: np.ndarray) -> np.ndarray:
    """Return the means (gene,) of the normalized counts that are kept, for a mask (gene, sample)."""
    kept = ~left_out
    total = np.where(kept, model.y * np.exp(-model.log_nf), 0.0).sum(axis=1)
    return np.asarray(np.maximum(total, HALF_A_COUNT) / kept.sum(axis=1))


def only_samples(model: ConditionalModel, samples: np.ndarray) -> ConditionalModel:
    """Keep some samples, given as a mask, of counts, factors and design."""
    return without_samples(model, ~samples)


def copied(draws: GeneDraws) -> GeneDraws:
    """Copy draws, so that some of them can be written over."""
    log_weights = None if draws.log_weights is None else np.array(draws.log_weights)
    log_ratio = None if draws.log_ratio is None else np.array(draws.log_ratio)
    return GeneDraws(np.array(draws.theta), log_weights, log_ratio, draws.chains)


def write_over(draws: GeneDraws, genes: np.ndarray, new: GeneDraws) -> None:
    """Put new draws of some genes, as many and weighted alike, in the place of theirs."""
    draws.theta[genes] = new.theta
    if draws.log_weights is not None:
        draws.log_weights[genes] = new.log_weights
    if draws.log_ratio is not None:
        draws.log_ratio[genes] = np.nan if new.log_ratio is None else new.log_ratio
