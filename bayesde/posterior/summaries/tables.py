"""Tables of a posterior: one row per input gene, effects in log2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesde.design.default_contrast import warn_default
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.options import check_choice, check_range
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.monte_carlo_error import monte_carlo_errors
from bayesde.posterior.draws.weighted_statistics import MOMENTS
from bayesde.posterior.factor_levels.level_draws import with_levels_of_contrasts
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.summaries.one_contrast import (
    check_threshold,
    contrast_summary,
    mean_dispersion,
    sd_summary,
    variance_shares,
)
from bayesde.results import ResultsTable, build_results, s_values, to_log2, to_natural

__all__ = ["results_table", "summary_table"]

MOST_AVERAGED, FEWEST_AVERAGED, AVERAGED_TIMES_GENES = 200, 16, 10_000
"""Draws of the hyperparameters over which tails are averaged: the fewer genes, the more uncertain they are.
Where it would be fewer than the second, there are so many genes that their posterior means suffice."""
_INTERVALS = {"equal_tailed": ("lower", "upper"), "hdi": ("hdi_lower", "hdi_upper")}
_DIAGNOSTICS = ("ess", "rhat", "ess_bulk", "ess_tail", "pareto_k", "engine", "status")


def results_table(
    posterior: PosteriorData,
    contrast: Any = None,
    lfc_threshold: float = 0.0,
    ci_prob: float = 0.95,
    estimate: str = "mean",
    interval: str = "equal_tailed",
) -> ResultsTable:
    """Summarize the posterior of a contrast in the columns that all tables of results have.

    Parameters
    ----------
    posterior : PosteriorData
    contrast : optional
        Whatever ``design.contrast`` takes.
    lfc_threshold : float
        In log2.
    ci_prob : float
        Probability within the intervals.
    estimate : {"mean", "median"}
        What ``log2_fold_change`` holds.
    interval : {"equal_tailed", "hdi"}
        What ``lfc_lower`` and ``lfc_upper`` hold.

    Returns
    -------
    ResultsTable
    """
    check_choice("estimate", estimate, ("mean", "median"))
    check_choice("interval", interval, tuple(_INTERVALS))
    summary = _summary(posterior, contrast, lfc_threshold, ci_prob)
    lower, upper = _INTERVALS[interval]
    columns: dict[str, Any] = {
        "log2_fold_change": summary[estimate],
        "lfc_se": summary["sd"],
        "lfc_lower": summary[lower],
        "lfc_upper": summary[upper],
        "lfsr": summary["lfsr"],
        "s_value": s_values(summary.get("fsos", summary["lfsr"])),
        "dispersion": mean_dispersion(posterior.gene_draws),
    }
    columns |= {name: summary[name] for name in ("p_zero", "prob_gt_threshold") if name in summary}
    columns |= _of_random_effects(posterior, ci_prob)
    columns = {name: _among_all(posterior, values) for name, values in columns.items()}
    columns["base_mean"] = posterior.eb.base_mean
    if (names := posterior.eb.counts.gene_names) is not None:
        columns["gene_name"] = names
    known = posterior.diagnostics
    columns |= {name: known[name].to_numpy() for name in _DIAGNOSTICS if name in known}
    return build_results(known.index, columns)


def _of_random_effects(posterior: PosteriorData, ci_prob: float) -> dict[str, np.ndarray]:
    """Return standard deviations of random effects with intervals, and shares of the variance."""
    names, draws = posterior.request.space.random_effects, posterior.gene_draws
    if not names:
        return {}
    at = [posterior.coding.n_coefficients + t for t in range(len(names))]
    columns: dict[str, np.ndarray] = {}
    for name, k in zip(names, at, strict=True):
        sd = sd_summary(draws, k, ci_prob)
        columns |= {
            f"{name}_sd": sd["mean"],
            f"{name}_sd_lower": sd["lower"],
            f"{name}_sd_upper": sd["upper"],
        }
    squares = np.concatenate([(one.columns**2).mean(axis=0) for one in posterior.request.groupings])
    shares = variance_shares(draws, posterior.eb.base_mean[posterior.request.rows], at, squares.tolist())
    parts = zip((*names, "overdispersion", "poisson"), shares, strict=True)
    return columns | {f"{name}_variance_share": share for name, share in parts}


def summary_table(
    posterior: PosteriorData,
    contrast: Any = None,
    lfc_threshold: float = 0.0,
    ci_prob: float = 0.95,
    mcse: bool = False,
) -> pd.DataFrame:
    """Summarize the posterior of a contrast in full; see `Posterior.summary` for the columns.

    Parameters
    ----------
    posterior : PosteriorData
    contrast : optional
        Whatever ``design.contrast`` takes.
    lfc_threshold : float
        In log2.
    ci_prob : float
        Probability within the intervals.
    mcse : bool
        Whether to add Monte-Carlo standard errors.

    Returns
    -------
    pandas.DataFrame
    """
    summary = _summary(posterior, contrast, lfc_threshold, ci_prob)
    if mcse:
        draws, (vector,), _ = with_levels_of_contrasts(posterior, [posterior.design.contrast(contrast)])
        summary |= monte_carlo_errors(draws, vector)
    effects = (*MOMENTS, "mcse_mean", "mcse_sd")
    columns = {name: to_log2(values) if name in effects else values for name, values in summary.items()}
    columns["s_value"] = s_values(summary.get("fsos", summary["lfsr"]))
    if "fsos" in summary:
        columns["s_value_sign"] = s_values(summary["lfsr"])
    if "p_zero" in summary:
        columns["p_zero"] = columns.pop("p_zero")  # after the s-values, as in the table of results
    frame = pd.DataFrame(
        {name: _among_all(posterior, values) for name, values in columns.items()},
        index=posterior.diagnostics.index,
    )
    return frame.assign(status=posterior.diagnostics["status"])


def _summary(
    posterior: PosteriorData, contrast: Any, lfc_threshold: float, ci_prob: float
) -> dict[str, np.ndarray]:
    """Summarize a contrast of the sampled genes, natural log."""
    check_threshold(lfc_threshold)
    threshold = float(to_natural(float(lfc_threshold)))
    check_range("ci_prob", ci_prob, 0.0, 1.0, open_ends=True)
    warn_default(posterior.design, contrast)
    draws, (vector,), added = with_levels_of_contrasts(posterior, [posterior.design.contrast(contrast)])
    models = [] if added else _models(posterior)
    return contrast_summary(draws, vector, threshold, ci_prob, models)


def _models(posterior: PosteriorData) -> list[ConditionalModel]:
    """Return the model of the sampled genes at draws of the hyperparameters; of many genes at their means."""
    size = min(MOST_AVERAGED, AVERAGED_TIMES_GENES // posterior.gene_draws.n_genes)
    if size < FEWEST_AVERAGED or not posterior.hyperparameters.draws:
        return [posterior.model()]
    space = HyperparameterSpace.of(
        posterior.coding.coefficients, posterior.hyperparameters, posterior.request.priors
    )
    points = HyperparameterPosterior.fixed(space, posterior.hyperparameters, size)
    return [posterior.model(points.space.hyperparameters(phi)) for phi in points.phi]


def _among_all(posterior: PosteriorData, values: np.ndarray) -> np.ndarray:
    """Put the values of the sampled genes among all genes."""
    out = np.full(len(posterior.diagnostics), np.nan)
    out[posterior.diagnostics["sampled"].to_numpy()] = values
    return out
