"""What the other counts of a gene predict of each count: by weights of its draws, or by sampling it again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr
from numba.core import config

from bayesde.model.density import ConditionalModel
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.pareto_smoothing import smooth_log_weights
from bayesde.posterior.left_out_counts import only_samples
from bayesde.posterior.queries.left_out import by_pattern, sample_without
from bayesde.posterior.queries.pointwise import (
    Among,
    Prediction,
    leave_out_weights,
    log_probabilities,
    predictions,
)
from bayesde.workers.progress import Progress

__all__ = ["labelled", "predict_again", "predict_by_weights"]

VALUES_AT_A_TIME = 500_000
"""Log probabilities (gene, sample, draw) that a thread holds at a time."""
REFIT_DRAWS, MANY_DRAWS = 1000, 10_000
LARGEST_ERROR = 0.2
"""Of ln p of a count; a gene that was sampled again is sampled with many draws where its error is larger: a
count far from what is expected lies in the tail of what was drawn without it."""


def predict_by_weights(
    posterior: PosteriorData, rows: slice, report: Progress, step: int = 1
) -> dict[str, np.ndarray]:
    """Predict each count of some genes from draws that have seen it, by their weights without it.

    Parameters
    ----------
    posterior : PosteriorData
    rows : slice
        Consecutive genes.
    report : callable
        Called with (units done, units, text).
    step : int
        Every so many draws, one is used.

    Returns
    -------
    dict of str to ndarray (gene, sample)
        What `Prediction` has, ``lpd``, ``pareto_k``, and the ``count`` itself.
    """
    draws, model, left_out = posterior.gene_draws, posterior.observed(rows), posterior.left_out_of(rows)
    found = {name: np.empty(left_out.shape) for name in (*Prediction._fields, "lpd", "pareto_k")}
    size = max(1, VALUES_AT_A_TIME * step // (left_out.shape[1] * draws.n_draws))
    first, last, _ = rows.indices(draws.n_genes)
    batches = [slice(start, min(start + size, last)) for start in range(first, last, size)]

    def work(some: slice) -> None:
        own = np.arange(some.start - first, some.stop - first)
        thinned = _thinned(draws.genes(some), step)
        for name, values in _by_weights(model.genes(own), thinned, left_out[own]).items():
            found[name][own] = values

    with ThreadPoolExecutor(config.NUMBA_NUM_THREADS) as pool:  # type: ignore[attr-defined]
        for done, _ in enumerate(pool.map(work, batches), 1):
            report(done, len(batches), "leaving out each count by weights")
    return found | {"count": model.y}


def _thinned(draws: GeneDraws, step: int) -> GeneDraws:
    """Take some of the draws, evenly."""
    if step == 1:
        return draws
    log_weights = None if draws.log_weights is None else np.ascontiguousarray(draws.log_weights[:, ::step])
    theta = np.ascontiguousarray(draws.theta[:, ::step])
    return GeneDraws(theta, log_weights, has_atoms=draws.has_atoms)


def _by_weights(model: ConditionalModel, draws: GeneDraws, left_out: np.ndarray) -> dict[str, np.ndarray]:
    """Leave out the counts of some genes by weights."""
    theta = np.asarray(draws.theta)
    among = Among(np.arange(model.y.shape[1]), left_out)
    log_p = log_probabilities(model, theta, among)
    log_weights, seen = leave_out_weights(log_p, draws.weights(), left_out)
    pareto_k = smooth_log_weights(log_weights.reshape(-1, log_weights.shape[-1]))  # in place
    unseen = predictions(model, theta, log_p, log_weights, among)
    return unseen._asdict() | {"lpd": seen, "pareto_k": pareto_k.reshape(log_weights.shape[:-1])}


def predict_again(
    posterior: PosteriorData, gene: np.ndarray, sample: np.ndarray, report: Progress
) -> dict[str, np.ndarray]:
    """Predict some counts from draws that have not seen them.

    Parameters
    ----------
    posterior : PosteriorData
    gene, sample : ndarray of int (count,)
        Where these counts are.
    report : callable
        Called with (units done, units, text).

    Returns
    -------
    dict of str to ndarray (count,)
        What `Prediction` has, and ``pareto_k``.
    """
    found = {name: np.empty(gene.size) for name in (*Prediction._fields, "pareto_k")}
    samples = np.unique(sample)
    for done, j in enumerate(samples.tolist()):
        report(done, samples.size, "sampling genes again without a sample")
        here = np.flatnonzero(sample == j)
        _refit(posterior, j, gene, here, found, REFIT_DRAWS)
        _refit(posterior, j, gene, here[found["error"][here] > LARGEST_ERROR], found, MANY_DRAWS)
    report(samples.size, samples.size, "sampling genes again without a sample")
    return found


def _refit(
    posterior: PosteriorData,
    j: int,
    gene: np.ndarray,
    counts: np.ndarray,
    found: dict[str, np.ndarray],
    draws: int,
) -> None:
    """Sample the genes of some counts again without sample j, and enter what they predict of it."""
    left_out = posterior.left_out_of(gene[counts])
    without = left_out.copy()
    without[:, j] = True
    only = np.zeros(without.shape[1], dtype=bool)
    only[j] = True
    for some, pattern in by_pattern(without, draws):
        rows = gene[counts[some]]
        sampled = sample_without(posterior, rows, pattern, draws)
        model, among = posterior.observed(rows), Among(np.array([j]), left_out[some])
        if model.random is None:
            model = only_samples(model, only)
        values = _exactly(model, sampled.draws.theta, sampled.draws.weights(), among)
        values["pareto_k"] = sampled.report["pareto_k"]
        for name, column in values.items():
            found[name][counts[some]] = column


def _exactly(
    model: ConditionalModel, theta: np.ndarray, weights: np.ndarray, among: Among
) -> dict[str, np.ndarray]:
    """Predict the counts of one sample from draws that have not seen it; columns (gene,)."""
    log_p = log_probabilities(model, theta, among)
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)[:, None, :]
    found = predictions(model, theta, log_p, log_weights, among)
    return {name: values[:, 0] for name, values in found._asdict().items()}


def labelled(posterior: PosteriorData, found: dict[str, np.ndarray], refitted: np.ndarray) -> xr.Dataset:
    """Label numbers by gene and sample.

    Parameters
    ----------
    posterior : PosteriorData
    found : dict of str to ndarray (gene, sample)
        What `predict_by_weights` returns of all genes.
    refitted : ndarray of bool (gene, sample)
        Counts that were predicted again.

    Returns
    -------
    xarray.Dataset (gene, sample)
        As `bayesde.posterior.queries.loo.LeaveOneOut` has it.
    """
    variables = {
        "count": found["count"],
        "expected": np.exp(found["log_expected"]),
        "elpd": found["log_density"],
        "elpd_error": found["error"],
        "lpd": found["lpd"],
        "ess": found["size"],
        **{name: found[name] for name in ("below", "above", "pareto_k")},
        "refitted": refitted,
        "left_out": posterior.left_out_mask,
    }
    coordinates = {
        "gene": np.asarray(posterior.genes, dtype=object),
        "sample": np.asarray(posterior.design.samples, dtype=object),
    }
    return xr.Dataset({name: (("gene", "sample"), values) for name, values in variables.items()}, coordinates)
