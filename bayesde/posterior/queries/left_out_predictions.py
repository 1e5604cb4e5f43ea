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
from bayesde.posterior.progress import Progress
from bayesde.posterior.queries.left_out import by_pattern, sample_without
from bayesde.posterior.queries.pointwise import (
    Among,
    Prediction,
    leave_out_weights,
    log_probabilities,
    predictions,
)

__all__ = ["labelled", "predict_again", "predict_by_weights"]

VALUES_AT_A_TIME = 500_000
"""Log probabilities (gene, sample, draw) that a thread holds at a time."""
REFIT_DRAWS, MANY_DRAWS = 1000, 10_000
LARGEST_ERROR = 0.2
"""Of ln p of a count; a gene that was sampled again is sampled with many draws where its error is larger: a
count far from what is expected lies in the tail of what was drawn without it."""


def predict_by_weights(
    posterior: PosteriorData, left_out: np.ndarray, report: Progress, step: int = 1
) -> dict[str, np.ndarray]:
    """Predict each count from draws that have seen it, by their weights without it.

    Parameters
    ----------
    posterior : PosteriorData
    left_out : ndarray of bool (gene, sample)
        Counts that did not enter the weights in the first place.
    report : callable
        Called with (units done, units, text).
    step : int
        Every so many draws, one is used.

    Returns
    -------
    dict of str to ndarray (gene, sample)
        What `Prediction` has, ``lpd`` and ``pareto_k``.
    """
    shape = left_out.shape
    found = {name: np.empty(shape) for name in (*Prediction._fields, "lpd", "pareto_k")}
    draws = posterior.gene_draws
    size = max(1, VALUES_AT_A_TIME * step // (shape[1] * draws.n_draws))
    batches = [slice(start, min(start + size, shape[0])) for start in range(0, shape[0], size)]

    def work(rows: slice) -> None:
        for name, values in _by_weights(
            posterior, _thinned(draws.genes(rows), step), rows, left_out[rows]
        ).items():
            found[name][rows] = values

    with ThreadPoolExecutor(config.NUMBA_NUM_THREADS) as pool:  # type: ignore[attr-defined]
        for done, _ in enumerate(pool.map(work, batches), 1):
            report(done, len(batches), "leaving out each count by weights")
    return found


def _thinned(draws: GeneDraws, step: int) -> GeneDraws:
    """Take some of the draws, evenly."""
    if step == 1:
        return draws
    log_weights = None if draws.log_weights is None else np.ascontiguousarray(draws.log_weights[:, ::step])
    theta = np.ascontiguousarray(draws.theta[:, ::step])
    return GeneDraws(theta, log_weights, has_atoms=draws.has_atoms)


def _by_weights(
    posterior: PosteriorData, draws: GeneDraws, rows: slice, left_out: np.ndarray
) -> dict[str, np.ndarray]:
    """Leave out the counts of some genes by weights."""
    theta = np.asarray(draws.theta)
    model = posterior.observed(rows)
    among = Among(np.arange(model.y.shape[1]), left_out)
    log_p = log_probabilities(model, theta, among)
    log_weights, seen = leave_out_weights(log_p, draws.weights(), left_out)
    pareto_k = smooth_log_weights(log_weights.reshape(-1, log_weights.shape[-1]))  # in place
    unseen = predictions(model, theta, log_p, log_weights, among)
    return unseen._asdict() | {"lpd": seen, "pareto_k": pareto_k.reshape(log_weights.shape[:-1])}


def predict_again(
    posterior: PosteriorData,
    doubtful: np.ndarray,
    left_out: np.ndarray,
    found: dict[str, np.ndarray],
    report: Progress,
) -> None:
    """Predict some counts from draws that have not seen them.

    Parameters
    ----------
    posterior : PosteriorData
    doubtful : ndarray of bool (gene, sample)
        These counts.
    left_out : ndarray of bool (gene, sample)
        Counts that are left out in any case.
    found : dict of str to ndarray (gene, sample)
        What `predict_by_weights` returns; overwritten.
    report : callable
        Called with (units done, units, text).
    """
    n = doubtful.shape[1]
    for j in range(n):
        report(j, n, "sampling genes again without a sample")
        genes = np.flatnonzero(doubtful[:, j])
        _refit(posterior, j, genes, left_out, found, REFIT_DRAWS)
        _refit(posterior, j, genes[found["error"][genes, j] > LARGEST_ERROR], left_out, found, MANY_DRAWS)
    report(n, n, "sampling genes again without a sample")


def _refit(
    posterior: PosteriorData,
    j: int,
    genes: np.ndarray,
    left_out: np.ndarray,
    found: dict[str, np.ndarray],
    draws: int,
) -> None:
    """Sample some genes again without sample j, and enter what they predict of it."""
    without = left_out[genes].copy()
    without[:, j] = True
    only = np.zeros(without.shape[1], dtype=bool)
    only[j] = True
    for some, pattern in by_pattern(without, draws):
        rows = genes[some]
        sampled = sample_without(posterior, rows, pattern, draws)
        model, among = posterior.observed(rows), Among(np.array([j]), left_out[rows])
        if model.random is None:
            model = only_samples(model, only)
        values = _exactly(model, sampled.draws.theta, sampled.draws.weights(), among)
        values["pareto_k"] = sampled.report["pareto_k"]
        for name, column in values.items():
            found[name][rows, j] = column


def _exactly(
    model: ConditionalModel, theta: np.ndarray, weights: np.ndarray, among: Among
) -> dict[str, np.ndarray]:
    """Predict the counts of one sample from draws that have not seen it; columns (gene,)."""
    log_p = log_probabilities(model, theta, among)
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)[:, None, :]
    found = predictions(model, theta, log_p, log_weights, among)
    return {name: values[:, 0] for name, values in found._asdict().items()}


def labelled(
    posterior: PosteriorData, found: dict[str, np.ndarray], refitted: np.ndarray, left_out: np.ndarray
) -> xr.Dataset:
    """Label numbers by gene and sample.

    Parameters
    ----------
    posterior : PosteriorData
    found : dict of str to ndarray (gene, sample)
        What `predict_by_weights` returns.
    refitted, left_out : ndarray of bool (gene, sample)
        Counts that were predicted again, and those without which the posterior had been made.

    Returns
    -------
    xarray.Dataset (gene, sample)
        As `bayesde.posterior.queries.loo.LeaveOneOut` has it.
    """
    variables = {
        "count": posterior.observed(slice(None)).y,
        "expected": np.exp(found["log_expected"]),
        "elpd": found["log_density"],
        "elpd_error": found["error"],
        "lpd": found["lpd"],
        "ess": found["size"],
        **{name: found[name] for name in ("below", "above", "pareto_k")},
        "refitted": refitted,
        "left_out": left_out,
    }
    coordinates = {
        "gene": np.asarray(posterior.genes, dtype=object),
        "sample": np.asarray(posterior.design.samples, dtype=object),
    }
    return xr.Dataset({name: (("gene", "sample"), values) for name, values in variables.items()}, coordinates)
