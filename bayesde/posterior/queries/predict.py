r"""Counts that the posterior predicts.

    theta ~ p(theta_g | y),    lambda ~ Gamma(r, mean mu),    y_rep ~ Poisson(lambda),
    r = exp(-a),  mu = nf exp(x . beta),

which is a negative-binomial count with the mean mu and the dispersion exp(a), given theta. Random effects of
levels that were seen are drawn given theta and the counts, those of new levels from their law. A gene's
random numbers come from its name and the seed alone.

Replicates of the samples that were seen are what a posterior predictive check compares the counts with
(Gelman, Meng and Stern 1996, Statistica Sinica 6:733): for a quantity T, P(T(y_rep) > T(y) | y), half of ties
counted, is near 0 or 1 where the model cannot reproduce what was observed. The same counts have informed
the posterior, so that such probabilities are closer to 1/2 than uniform ones; leave-one-out does not use a
count twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesde.design.new_samples import rows_of_new_samples
from bayesde.errors import InputError, first_few
from bayesde.model.density import GeneData
from bayesde.numerics.compiled import kernel
from bayesde.numerics.resampling import fill_systematic, shuffle
from bayesde.numerics.threads import over_genes
from bayesde.options import check_whole
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.streams import Stream, gene_seeds, seeds_for
from bayesde.posterior.queries.pointwise import LARGEST_ETA
from bayesde.posterior.queries.random_effects import EffectsOfSamples, with_effects_of_levels

__all__ = ["predict_counts", "predictive_check"]

LARGEST_COUNT = 2.0**53
MANY = 1e12
"""From here on the Poisson part of the noise is below one in a million, and left out."""
CHECKS = ("p_largest", "p_zeros", "p_spread")


def predict_counts(
    posterior: PosteriorData,
    genes: Sequence[str] | None = None,
    *,
    draws: int = 100,
    seed: int | None = None,
    samples: Any = None,
    normalization_factors: Any = None,
) -> xr.DataArray:
    """Draw counts from the posterior predictive distribution.

    Parameters
    ----------
    posterior : PosteriorData
    genes : sequence of str, optional
        Of those that were sampled; by default all.
    draws : int
        Data sets to draw.
    seed : int, optional
        By default the posterior's. A gene's counts depend on its name and the seed, not on other genes.
    samples : pandas.DataFrame, optional
        New samples: the variables of the formula, one row a sample (of a bare design matrix: model rows). By
        default replicates of the samples of the fit. With random effects ``(1 | donor)``, samples whose
        ``donor`` was seen are of the same donor, those of another name or without the column of new ones.
    normalization_factors : array-like (sample,) or (gene, sample), optional
        Of the new samples; 1 by default, so that counts are on the scale of normalized ones.

    Returns
    -------
    xarray.DataArray of int64 (draw, gene, sample)

    Raises
    ------
    InputError
        If genes have no posterior, or new samples do not fit the design.
    OptionError
        If a number is out of its range.
    """
    check_whole("draws", draws, 1, 10**6)
    rows = _positions(posterior, genes)
    x, names, log_nf = _design_rows(posterior, rows, samples, normalization_factors)
    effects = _effects(posterior, samples)
    counts = np.empty((rows.size, draws, len(names)), dtype=np.int64)
    for some, theta, weights, seeds in _batches(posterior, rows, seed):
        own = x
        if effects is not None:
            theta, own = with_effects_of_levels(posterior, rows[some], draws, x, effects)
            weights = _even(theta)
        over_genes(_replicate, seeds.size, theta, weights, seeds, own, log_nf[some], counts[some])
    coordinates = {
        "gene": np.asarray(posterior.genes[rows], dtype=object),
        "sample": np.asarray(names, object),
    }
    return xr.DataArray(counts, dims=("gene", "draw", "sample"), coords=coordinates, name="counts").transpose(
        "draw", "gene", "sample"
    )


def predictive_check(
    posterior: PosteriorData,
    genes: Sequence[str] | None = None,
    *,
    draws: int = 200,
    seed: int | None = None,
) -> pd.DataFrame:
    """Compare every gene with data sets that its posterior predicts.

    Parameters
    ----------
    posterior : PosteriorData
    genes : sequence of str, optional
        Of those that were sampled; by default all.
    draws : int
        Data sets to draw.
    seed : int, optional
        By default the posterior's.

    Returns
    -------
    pandas.DataFrame
        By gene, the share of replicates in which something is larger than in the counts, half of ties
        counted: ``p_largest``, the largest normalized count; ``p_zeros``, the number of zeros; ``p_spread``,
        Pearson's sum of (y - mu)^2 / (mu + alpha mu^2), at the same draw of the parameters for both: near 0
        where counts vary more than the model allows.

    Raises
    ------
    InputError
        If genes have no posterior.
    OptionError
        If a number is out of its range.
    """
    check_whole("draws", draws, 1, 10**6)
    rows = _positions(posterior, genes)
    found = np.empty((rows.size, len(CHECKS)))
    effects = _effects(posterior, None)
    for some, theta, weights, seeds in _batches(posterior, rows, seed):
        data = posterior.observed(rows[some]).data
        if effects is not None:
            x = posterior.coding.matrix
            theta, own = with_effects_of_levels(posterior, rows[some], draws, x, effects)
            data, weights = GeneData(data.y, data.log_nf, own), _even(theta)
        over_genes(_check, seeds.size, theta, weights, seeds, data, draws, found[some])
    return pd.DataFrame(found, index=pd.Index(posterior.genes[rows], name="gene"), columns=list(CHECKS))


def _effects(posterior: PosteriorData, samples: Any) -> EffectsOfSamples | None:
    """Return which random effects samples have; None if there are none."""
    groupings = posterior.request.effects_of_groups
    if not groupings:
        return None
    if samples is None:
        return EffectsOfSamples.of_fit(groupings)
    return EffectsOfSamples.of_samples(groupings, samples)


def _even(theta: np.ndarray) -> np.ndarray:
    """Return equal weights (gene, draw)."""
    return np.full(theta.shape[:2], 1.0 / theta.shape[1])


def _positions(posterior: PosteriorData, genes: Sequence[str] | None) -> np.ndarray:
    """Return where genes are among those that were sampled."""
    if genes is None:
        return np.arange(posterior.gene_draws.n_genes)
    if isinstance(genes, str):
        raise InputError(f"genes: a list of names is needed; got the text {genes!r}.")
    rows = posterior.genes.get_indexer(pd.Index(list(genes), dtype=object))
    if (rows < 0).any():
        unknown = [gene for gene, row in zip(genes, rows, strict=True) if row < 0]
        raise InputError(f"genes: there is no posterior of {first_few(unknown)}.")
    return rows


def _batches(posterior: PosteriorData, rows: np.ndarray, seed: int | None, size: int = 500) -> Any:
    """Yield the draws, weights and seeds of the genes, some at a time."""
    seed = posterior.request.seed if seed is None else seed
    check_whole("seed", seed, 0, 2**32 - 1)
    for start in range(0, rows.size, size):
        some = slice(start, min(start + size, rows.size))
        draws = posterior.gene_draws.genes(rows[some])
        yield (
            some,
            np.asarray(draws.theta),
            draws.weights(),
            seeds_for(Stream.PREDICTION, gene_seeds(posterior.genes[rows[some]], seed)),
        )


def _design_rows(
    posterior: PosteriorData, rows: np.ndarray, samples: Any, factors: Any
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return design rows (sample, coefficient), names of samples, and log factors (gene, sample)."""
    design = posterior.design
    if samples is None:
        if factors is not None:
            raise InputError("normalization_factors are for new samples; give these too (`samples`).")
        log_nf = np.log(posterior.eb.normalization_factors[posterior.request.rows[rows]])
        return posterior.coding.matrix, list(design.samples), log_nf
    frame = rows_of_new_samples(design, samples)
    values = np.asarray(1.0 if factors is None else factors, dtype=np.float64)
    shape = (rows.size, len(frame))
    if values.shape not in ((), shape[1:], shape) or not (np.isfinite(values) & (values > 0.0)).all():
        raise InputError(
            f"normalization_factors: positive numbers of shape {shape[1:]} or {shape} are needed, for the "
            f"new samples (and genes); got an array of shape {values.shape}."
        )
    matrix = np.ascontiguousarray(posterior.coding.rows(frame.to_numpy(dtype=np.float64)))
    return matrix, list(frame.index), np.ascontiguousarray(np.broadcast_to(np.log(values), shape))


@kernel
def _chosen(weights, n_draws):  # type: ignore[no-untyped-def]
    """Choose draws by systematic resampling of one gene's weights, in random order."""
    chosen = np.empty(n_draws, dtype=np.int64)
    fill_systematic(weights, 1.0, np.random.random(), chosen)  # noqa: NPY002 - numba's, one for each thread
    shuffle(chosen)
    return chosen


@kernel
def _count(mu, r):  # type: ignore[no-untyped-def]
    """Draw a count with the mean mu and the variance mu + mu^2 / r."""
    rate = mu * (np.random.gamma(r, 1.0) / r)  # noqa: NPY002
    if rate >= MANY:
        return np.int64(min(rate, LARGEST_COUNT))
    return np.int64(np.random.poisson(rate))  # noqa: NPY002


@kernel
def _mean(point, x, j, log_nf):  # type: ignore[no-untyped-def]
    """Return the mean of a count at one draw."""
    eta = log_nf[j]
    for k in range(x.shape[1]):
        eta += x[j, k] * point[k]
    return math.exp(min(max(eta, -LARGEST_ETA), LARGEST_ETA))


@kernel
def _replicate(first, last, theta, weights, seeds, x, log_nf, counts):  # type: ignore[no-untyped-def]
    """Fill counts (gene, draw, sample) of some genes."""
    for g in range(first, last):
        np.random.seed(seeds[g])  # noqa: NPY002
        chosen = _chosen(weights[g], counts.shape[1])
        for i in range(chosen.size):
            point = theta[g, chosen[i]]
            r = math.exp(-point[x.shape[1]])
            for j in range(x.shape[0]):
                counts[g, i, j] = _count(_mean(point, x, j, log_nf[g]), r)


@kernel
def _check(first, last, theta, weights, seeds, data, n_draws, found):  # type: ignore[no-untyped-def]
    """Fill the shares (gene, check) of replicates that exceed the counts of some genes."""
    y, log_nf, x = data.y, data.log_nf, data.x
    seen, new = np.empty(3), np.empty(3)
    for g in range(first, last):
        np.random.seed(seeds[g])  # noqa: NPY002
        found[g, :] = 0.0
        for chosen in _chosen(weights[g], n_draws):
            point = theta[g, chosen]
            r = math.exp(-point[x.shape[1]])
            seen[:], new[:] = 0.0, 0.0
            for j in range(x.shape[0]):
                mu = _mean(point, x, j, log_nf[g])
                _add(float(y[g, j]), mu, r, log_nf[g, j], seen)
                _add(float(_count(mu, r)), mu, r, log_nf[g, j], new)
            for i in range(3):
                found[g, i] += 1.0 if new[i] > seen[i] else 0.5 * (new[i] == seen[i])
        found[g] /= n_draws


@kernel
def _add(count, mu, r, log_nf, quantities):  # type: ignore[no-untyped-def]
    """Add a count to the largest normalized one, the number of zeros and Pearson's sum."""
    quantities[0] = max(quantities[0], count * math.exp(-log_nf))
    quantities[1] += count == 0.0
    quantities[2] += (count - mu) * ((count - mu) / (mu * (1.0 + mu / r)))
