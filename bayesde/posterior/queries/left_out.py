r"""Genes sampled again without some of their counts.

A count that is left out drops from the likelihood, and nothing else changes: the hyperparameters are those of
all genes, on which one count has next to no influence,

    p(theta_g | y_g without j)  is proportional to  p(theta_g | phi) prod_{i not j} p(y_gi | theta_g).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.importance.engine import AVERAGED_TIMES_GENES, FEWEST_AVERAGED
from bayesde.posterior.importance.sampler import ImportanceSample, draw_sample
from bayesde.posterior.left_out_counts import without_samples
from bayesde.posterior.proposal.genes import propose
from bayesde.posterior.storage.draws_file import copied_array

__all__ = ["by_pattern", "copied", "overwrite", "sample_without"]

DRAWS_AT_A_TIME = 1_000_000
"""Of all genes that are sampled again together."""


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
    posterior: PosteriorData,
    genes: np.ndarray,
    left_out: np.ndarray,
    draws: int,
    base_mean: np.ndarray | None = None,
) -> ImportanceSample:
    """Sample genes by importance, without their counts in some samples.

    Parameters
    ----------
    posterior : PosteriorData
        Its hyperparameters, their uncertainty included, are those of the genes.
    genes : ndarray of int (gene,)
        Positions among the sampled genes.
    left_out : ndarray of bool (sample,)
        The same for all of these genes.
    draws : int
        Of every gene.
    base_mean : ndarray (gene,), optional
        Where the dispersion trend is evaluated; by default at the mean of all normalized counts.

    Returns
    -------
    ImportanceSample
        Of the genes in the order given.
    """
    hyper = posterior.hyperparameters
    model = without_samples(posterior.observed(genes, hyper), left_out)
    if base_mean is not None:
        model = replace(model, base_mean=base_mean, log_trend=hyper.log_trend(base_mean))
    most = max(FEWEST_AVERAGED, AVERAGED_TIMES_GENES // posterior.gene_draws.n_genes)
    batches = propose(posterior.request.start(posterior.request.rows[genes]), model)
    space = HyperparameterSpace.of(posterior.coding.coefficients, hyper, posterior.request.priors)
    return draw_sample(batches, HyperparameterPosterior.fixed(space, hyper, most), draws)


def copied(draws: GeneDraws, directory: Path | None) -> GeneDraws:
    """Copy draws, so that some of them can be overwritten: those that lie in files, into files.

    Parameters
    ----------
    draws : GeneDraws
    directory : Path or None
        Of these files, if it exists; they have no names, and go away with the draws.

    Returns
    -------
    GeneDraws
    """
    place = directory if directory is not None and directory.is_dir() else None
    log_weights, log_ratio, level = (
        None if values is None else copied_array(values, place)
        for values in (draws.log_weights, draws.log_ratio, draws.log_level)
    )
    theta = copied_array(draws.theta, place)
    return GeneDraws(theta, log_weights, log_ratio, draws.chains, draws.has_atoms, level)


def overwrite(draws: GeneDraws, genes: np.ndarray, new: GeneDraws) -> None:
    """Replace the draws of some genes by as many new ones.

    Parameters
    ----------
    draws : GeneDraws
        Its arrays are changed.
    genes : ndarray of int
        Positions in `draws`.
    new : GeneDraws
        Of these genes; weighted if `draws` are, and of equal weight otherwise.
    """
    draws.theta[genes] = new.theta
    if draws.log_weights is not None:
        draws.log_weights[genes] = new.log_weights
    if draws.log_ratio is not None:
        draws.log_ratio[genes] = np.nan if new.log_ratio is None else new.log_ratio
    if draws.log_level is not None:
        draws.log_level[genes] = np.nan if new.log_level is None else new.log_level
