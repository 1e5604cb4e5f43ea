"""Summaries of a contrast from the weighted draws of any engine, and the status of every gene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesde.eb.options import LARGEST_THRESHOLD
from bayesde.model.density import ConditionalModel
from bayesde.numerics.elementary import exponentials
from bayesde.numerics.threads import over_genes
from bayesde.options import check_range
from bayesde.posterior.draws.gene_draws import GeneDraws, contrast_values
from bayesde.posterior.draws.pareto_smoothing import MAX_K
from bayesde.posterior.draws.weighted_statistics import LARGEST_EFFECT, MOMENTS, fill_summaries
from bayesde.posterior.summaries.point_mass import PointMass
from bayesde.posterior.summaries.small_probabilities import FLOOR, SortedDraws, probabilities_below

__all__ = [
    "LARGEST_EFFECT",
    "check_threshold",
    "contrast_summary",
    "gene_status",
    "importance_status",
    "mean_dispersion",
    "sd_summary",
    "variance_shares",
]


def check_threshold(lfc_threshold: float) -> None:
    """Refuse a threshold of absolute effects that is out of its range.

    Parameters
    ----------
    lfc_threshold : float
        log2; from 0 to `LARGEST_THRESHOLD`.

    Raises
    ------
    OptionError
    """
    check_range("lfc_threshold", lfc_threshold, 0.0, LARGEST_THRESHOLD)


def contrast_summary(
    draws: GeneDraws,
    vector: np.ndarray,
    threshold: float = 0.0,
    ci_prob: float = 0.95,
    models: Sequence[ConditionalModel] = (),
) -> dict[str, np.ndarray]:
    """Summarize the posterior of a contrast for every gene.

    Parameters
    ----------
    draws : GeneDraws
    vector : ndarray (coefficient,)
        Weights of the contrast.
    threshold : float
        Natural log; 0 for none.
    ci_prob : float
        Probability within the intervals.
    models : sequence of ConditionalModel
        Of the same genes, each under other values of the hyperparameters: small probabilities are then
        followed beyond the draws by the model itself, not by the shape of the outer draws.

    Returns
    -------
    dict of str to ndarray (gene,)
        ``mean``, ``sd``, ``median``, ``lower``, ``upper`` (equal-tailed), ``hdi_lower``, ``hdi_upper``
        (natural log), as `bayesde.posterior.draws.weighted_statistics` defines them;
        ``lfsr`` = min(P(<= 0), P(>= 0)) (Stephens 2017, doi:10.1093/biostatistics/kxw041). With a threshold
        also ``fsos`` = min(P(< threshold), P(> -threshold)), the probability of a wrong sign or an effect
        smaller than the threshold; ``lfdr`` = P(|.| <= threshold) and ``prob_gt_threshold`` =
        P(|.| > threshold), which add up to 1. If ``draws.has_atoms``, also ``p_zero`` = P(= 0), the weight
        of the draws that are exactly 0, which is part of ``lfsr``, ``fsos`` and ``lfdr``.
    """
    rates = ("lfsr", "fsos", "lfdr", "prob_gt_threshold") if threshold > 0.0 else ("lfsr",)
    names = MOMENTS + rates + (("p_zero",) if draws.has_atoms else ())
    summary = {name: np.empty(draws.n_genes) for name in names}

    def summarize(first: int, last: int) -> None:
        for rows, theta, weights in draws.batches(first, last):
            some = [model.genes(np.arange(rows.start, rows.stop)) for model in models]
            ordered = SortedDraws.of(contrast_values(theta, vector), weights)
            found = _moments(ordered, ci_prob, draws.has_atoms)
            rates_of = _rates_with_atoms if draws.has_atoms else _rates
            found |= rates_of(ordered, vector, threshold, some, theta)
            for name, values in found.items():
                summary[name][rows] = values

    over_genes(summarize, draws.n_genes)
    return summary


def _moments(draws: SortedDraws, ci_prob: float, atoms: bool) -> dict[str, np.ndarray]:
    """Summarize some genes' draws by `MOMENTS`."""
    n_genes = draws.values.shape[0]
    summary = np.empty((n_genes, len(MOMENTS)))
    over_genes(fill_summaries, n_genes, draws.values, draws.weights, draws.order, ci_prob, atoms, summary)
    return dict(zip(MOMENTS, summary.T, strict=True))


def _rates(
    draws: SortedDraws,
    vector: np.ndarray,
    threshold: float,
    models: list[ConditionalModel],
    theta: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the probabilities of some genes' contrast to be wrong, small or large."""
    bounds = [threshold, 0.0, -threshold] if threshold > 0.0 else [0.0]
    below = probabilities_below(draws, bounds, models, vector, theta).T
    above = probabilities_below(draws.turned, bounds, models, -vector, theta).T  # of minus the contrast
    if threshold == 0.0:
        return {"lfsr": np.minimum(below[0], above[0])}
    larger = np.minimum(below[2] + above[2], 1.0)
    # from the heavier side, nothing cancels where little of the posterior is within the threshold
    inner = np.where(above[2] > below[2], below[0] - below[2], above[0] - above[2])
    lfdr = np.where(larger > 0.5, np.maximum(inner, FLOOR), 1.0 - larger)
    return {
        "lfsr": np.minimum(below[1], above[1]),
        "fsos": np.minimum(below[0], above[0]),
        "lfdr": lfdr,
        "prob_gt_threshold": np.where(larger > 0.5, 1.0 - lfdr, larger),
    }


def _rates_with_atoms(
    draws: SortedDraws,
    vector: np.ndarray,
    threshold: float,
    models: list[ConditionalModel],
    theta: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the same probabilities, and ``p_zero``, if draws of exactly 0 are those of a point mass."""
    parts = PointMass.of(draws)
    rates = _rates(parts.rest, vector, threshold, models, theta)
    if threshold > 0.0:  # few draws may be left beside the point mass, of which only small tails are extended
        rates["fsos"] = np.maximum(rates["fsos"], np.where(parts.at_zero > 0.0, rates["lfdr"], 0.0))
    return parts.combined(rates, without_zero=("prob_gt_threshold",))


def mean_dispersion(draws: GeneDraws) -> np.ndarray:
    """Return every gene's posterior mean dispersion.

    Parameters
    ----------
    draws : GeneDraws

    Returns
    -------
    ndarray (gene,)
    """
    mean = np.empty(draws.n_genes)

    def average(first: int, last: int) -> None:
        for rows, theta, weights in draws.batches(first, last):
            mean[rows] = (weights * exponentials(theta[:, :, -1])).sum(axis=1)

    over_genes(average, draws.n_genes)
    return mean


def sd_summary(draws: GeneDraws, column: int, ci_prob: float) -> dict[str, np.ndarray]:
    """Summarize a standard deviation of which the draws have the logarithm.

    Parameters
    ----------
    draws : GeneDraws
    column : int
        Which of the parameters it is.
    ci_prob : float
        Probability within the interval.

    Returns
    -------
    dict of str to ndarray (gene,)
        ``mean``, and ``lower`` and ``upper`` ends of the equal-tailed interval, among other `MOMENTS`.
    """
    summary = {name: np.empty(draws.n_genes) for name in MOMENTS}

    def summarize(first: int, last: int) -> None:
        for rows, theta, weights in draws.batches(first, last):
            ordered = SortedDraws.of(exponentials(theta[:, :, column]), weights)
            for name, values in _moments(ordered, ci_prob, False).items():
                summary[name][rows] = values

    over_genes(summarize, draws.n_genes)
    return summary


def variance_shares(
    draws: GeneDraws, base_mean: np.ndarray, columns: Sequence[int], squares: Sequence[float]
) -> np.ndarray:
    """Return shares of the variance of the logarithm of a count: mean(z^2) tau^2, alpha and 1 / mean.

    Variances by the delta method (Nakagawa, Johnson and Schielzeth 2017, doi:10.1098/rsif.2017.0213).

    Parameters
    ----------
    draws : GeneDraws
    base_mean : ndarray (gene,)
    columns : sequence of int
        Which of the parameters are log standard deviations of random effects.
    squares : sequence of float
        Means over the samples of the square of what the effects are multiplied by; 1 for intercepts.

    Returns
    -------
    ndarray (random effect + 2, gene)
        Posterior means; overdispersion and Poisson noise come last.
    """
    shares = np.empty((len(columns) + 2, draws.n_genes))

    def average(first: int, last: int) -> None:
        for rows, theta, weights in draws.batches(first, last):
            parts = [
                square * exponentials(2.0 * theta[:, :, k].astype(np.float64))
                for k, square in zip(columns, squares, strict=True)
            ]
            parts.append(exponentials(theta[:, :, -1]))
            parts.append(np.broadcast_to(1.0 / base_mean[rows, None], weights.shape))
            total = np.sum(parts, axis=0)
            shares[:, rows] = [(weights * part / total).sum(axis=1) for part in parts]

    over_genes(average, draws.n_genes)
    return shares


def gene_status(diagnostics: pd.DataFrame, max_rhat: float, min_ess: float) -> np.ndarray:
    """Return the status of every gene that was sampled by chains.

    Parameters
    ----------
    diagnostics : DataFrame (gene,)
        ``rhat``, ``ess_bulk``, ``ess_tail``, ``divergences``, ``sampled``, ``all_zero``; and ``pareto_k`` if
        the draws were reweighted.
    max_rhat, min_ess : float
        See `SamplingOptions`.

    Returns
    -------
    ndarray of object (gene,)
        A status of the results table; the first that applies of all_zero, not_selected, failed,
        not_converged, low_ess, divergences, high_pareto_k, ok.
    """
    pareto_k = diagnostics.get("pareto_k", pd.Series(0.0, index=diagnostics.index))
    low = ~(np.minimum(diagnostics["ess_bulk"], diagnostics["ess_tail"]) >= min_ess)
    return _first_that_applies(
        {
            "all_zero": diagnostics["all_zero"],
            "not_selected": ~diagnostics["sampled"],
            "failed": diagnostics["rhat"].isna(),
            "not_converged": diagnostics["rhat"] > max_rhat,
            "low_ess": low,
            "divergences": diagnostics["divergences"] > 0,
            "high_pareto_k": pareto_k > MAX_K,
        }
    )


def importance_status(diagnostics: pd.DataFrame, max_k: float, min_ess: float) -> np.ndarray:
    """Return the status of every gene that has weighted draws.

    Parameters
    ----------
    diagnostics : DataFrame (gene,)
        ``pareto_k``, ``ess``, ``attempts``, ``sampled``, ``all_zero``.
    max_k : float
        Largest Pareto k of reliable weights.
    min_ess : float
        Smallest effective number of draws.

    Returns
    -------
    ndarray of object (gene,)
        The first that applies of all_zero, not_selected, failed, high_pareto_k, low_ess, ok.
    """
    return _first_that_applies(
        {
            "all_zero": diagnostics["all_zero"],
            "not_selected": ~diagnostics["sampled"],
            "failed": diagnostics.get("attempts", pd.Series(1.0, index=diagnostics.index)) == 0.0,
            "high_pareto_k": ~(diagnostics["pareto_k"] <= max_k),
            "low_ess": ~(diagnostics["ess"] >= min_ess),
        }
    )


def _first_that_applies(conditions: dict[str, Any]) -> np.ndarray:
    """Return the name of each gene's first condition that is true, or ok."""
    arrays = [np.asarray(condition, dtype=bool) for condition in conditions.values()]
    names = [np.array(name, dtype=object) for name in conditions]
    return np.select(arrays, names, default=np.array("ok", dtype=object))
