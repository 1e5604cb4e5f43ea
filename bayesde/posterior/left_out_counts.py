"""Data and priors of genes without some of their counts.

A count that is left out drops from the likelihood. The design may lose rank without a sample: the posterior
stays proper, because a coefficient on which no count depends keeps its prior.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameters import Hyperparameters

__all__ = ["kept_means", "only_samples", "without_counts", "without_samples"]

HALF_A_COUNT = 0.5
"""Sum of the normalized counts that are kept of a gene where all of them are 0: the trend needs a mean."""
NOTHING = -700.0
"""Log of a normalization factor under which no count is expected."""


def without_samples(model: ConditionalModel, left_out: np.ndarray) -> ConditionalModel:
    """Drop samples from counts, normalization factors and design.

    Parameters
    ----------
    model : ConditionalModel
    left_out : ndarray of bool (sample,)

    Returns
    -------
    ConditionalModel
    """
    kept = ~left_out
    y, log_nf = (np.ascontiguousarray(values[:, kept]) for values in (model.y, model.log_nf))
    x = np.ascontiguousarray(model.x[kept])
    x.flags.writeable = model.x.flags.writeable  # kernels are compiled for one or the other
    random = model.random
    if random is not None:
        random = replace(random, groups=random.groups.samples(kept))
    return replace(model, y=y, log_nf=log_nf, x=x, random=random)


def only_samples(model: ConditionalModel, samples: np.ndarray) -> ConditionalModel:
    """Keep some samples of counts, normalization factors and design.

    Parameters
    ----------
    model : ConditionalModel
    samples : ndarray of bool (sample,)

    Returns
    -------
    ConditionalModel
    """
    return without_samples(model, ~samples)


def without_counts(model: ConditionalModel, left_out: np.ndarray, hyper: Hyperparameters) -> ConditionalModel:
    """Drop single counts.

    Parameters
    ----------
    model : ConditionalModel
    left_out : ndarray of bool (gene, sample)
    hyper : Hyperparameters
        Those of `model`.

    Returns
    -------
    ConditionalModel
        Dropped counts are counts of 0 where next to nothing is expected, which have probability 1 whatever
        the parameters; the dispersion trend is evaluated at the mean of the other counts.
    """
    rows = np.flatnonzero(left_out.any(axis=1))
    base_mean, log_trend = model.base_mean.copy(), model.log_trend.copy()
    base_mean[rows] = kept_means(model.genes(rows), left_out[rows])
    log_trend[rows] = hyper.log_trend(base_mean[rows])
    y, log_nf = np.where(left_out, 0, model.y), np.where(left_out, NOTHING, model.log_nf)
    return replace(model, y=y, log_nf=log_nf, base_mean=base_mean, log_trend=log_trend)


def kept_means(model: ConditionalModel, left_out: np.ndarray) -> np.ndarray:
    """Return the means of the normalized counts that are kept.

    Parameters
    ----------
    model : ConditionalModel
    left_out : ndarray of bool (gene, sample)

    Returns
    -------
    ndarray (gene,)
    """
    kept = ~left_out
    total = np.where(kept, model.y * np.exp(-model.log_nf), 0.0).sum(axis=1)
    return np.asarray(np.maximum(total, HALF_A_COUNT) / kept.sum(axis=1))
