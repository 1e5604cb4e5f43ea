"""From draws to the results table: what the posterior says of a contrast."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from bayesde.posterior.importance.pareto import MAX_K
from bayesde.posterior.tails import probability_below

__all__ = ["LARGEST_EFFECT", "contrast_summary", "gene_status", "importance_status"]

LARGEST_EFFECT = 30.0
"""Natural log. Where one group has no counts the posterior keeps the Cauchy prior's tail, which has no mean:
draws beyond e^30-fold, which no counts can tell apart, are counted as e^30-fold."""
GENES_AT_A_TIME = 500


def contrast_summary(
    beta: np.ndarray, vector: np.ndarray, threshold: float = 0.0, ci_prob: float = 0.95
) -> dict[str, np.ndarray]:
    """Summarize the posterior of a contrast for every gene.

    Parameters
    ----------
    beta : ndarray (chain, draw, gene, coefficient)
        Natural log.
    vector : ndarray (coefficient,)
        Weights of the contrast.
    threshold : float
        Natural log; 0 for none.
    ci_prob : float
        Probability within the equal-tailed interval.

    Returns
    -------
    dict of str to ndarray (gene,)
        ``log2_fold_change``, ``lfc_se``, ``lfc_lower``, ``lfc_upper`` (natural log, as
        `bayesde.results.build_results` takes them), ``lfsr`` = min(P(< 0), P(> 0)), ``local_rate`` =
        min(P(< threshold), P(> -threshold)), the chance to be of wrong sign or smaller than the threshold,
        and with a threshold ``prob_gt_threshold`` = P(|.| > threshold).
    """
    parts = [
        _summary_of_some(beta[:, :, start : start + GENES_AT_A_TIME], vector, threshold, ci_prob)
        for start in range(0, beta.shape[2], GENES_AT_A_TIME)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _summary_of_some(
    beta: np.ndarray, vector: np.ndarray, threshold: float, ci_prob: float
) -> dict[str, np.ndarray]:
    effect = (beta.astype(np.float64) @ vector).reshape(-1, beta.shape[2])
    bounded = np.clip(effect, -LARGEST_EFFECT, LARGEST_EFFECT)
    lower, upper = np.quantile(bounded, [(1.0 - ci_prob) / 2.0, (1.0 + ci_prob) / 2.0], axis=0)
    summary = {
        "log2_fold_change": bounded.mean(axis=0),
        "lfc_se": bounded.std(axis=0, ddof=1),
        "lfc_lower": lower,
        "lfc_upper": upper,
        "lfsr": np.minimum(probability_below(effect, 0.0), probability_below(-effect, 0.0)),
    }
    summary["local_rate"] = summary["lfsr"]
    if threshold > 0.0:
        not_larger = np.minimum(probability_below(effect, threshold), probability_below(-effect, threshold))
        summary["local_rate"] = not_larger
        summary["prob_gt_threshold"] = np.minimum(
            1.0, probability_below(effect, -threshold) + probability_below(-effect, -threshold)
        )
    return summary


def gene_status(diagnostics: pd.DataFrame, max_rhat: float, min_ess: float) -> np.ndarray:
    """Say of every gene whether its draws can be trusted.

    Parameters
    ----------
    diagnostics : DataFrame (gene,)
        ``rhat``, ``ess_bulk``, ``ess_tail``, ``divergences``, ``sampled``, ``all_zero``; and ``pareto_k`` if
        the draws were reweighted.

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
    """Say of every gene whether its weighted draws can be trusted.

    Parameters
    ----------
    diagnostics : DataFrame (gene,)
        ``pareto_k``, ``ess_bulk``, ``sampled``, ``all_zero``.

    Returns
    -------
    ndarray of object (gene,)
        The first that applies of all_zero, not_selected, high_pareto_k, low_ess, ok.
    """
    return _first_that_applies(
        {
            "all_zero": diagnostics["all_zero"],
            "not_selected": ~diagnostics["sampled"],
            "high_pareto_k": ~(diagnostics["pareto_k"] <= max_k),
            "low_ess": ~(diagnostics["ess_bulk"] >= min_ess),
        }
    )


def _first_that_applies(conditions: dict[str, Any]) -> np.ndarray:
    """Return the name of each gene's first condition that is true, or ok."""
    arrays = [np.asarray(condition, dtype=bool) for condition in conditions.values()]
    names = [np.array(name, dtype=object) for name in conditions]
    return np.select(arrays, names, default=np.array("ok", dtype=object))


def log2_to_natural(value: float) -> float:
    """Turn a threshold that a user gives in log2 into natural log."""
    return value * math.log(2.0)
