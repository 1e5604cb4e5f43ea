"""Scores of posteriors whose truth is known."""

from __future__ import annotations

import math
import time
import warnings

import numpy as np

from bayesde import Counts, SamplingOptions, fit_posterior
from bayesde.errors import BayesdeWarning
from bayesde.posterior import Posterior
from benchmarks.donors.experiments import Truth

__all__ = ["DESIGNS", "scored"]

DESIGNS = {
    "ignored": "~ condition",
    "fixed": "~ donor + condition",
    "random": "~ condition + (1 | donor)",
}
"""How donors may be treated."""
CALLED = 0.05


def scored(counts: Counts, truth: Truth, design: str, effects: str, draws: int = 1000) -> dict[str, float]:
    """Fit counts, and compare with the truth.

    Parameters
    ----------
    counts : Counts
    truth : Truth
    design : str
        Of `DESIGNS`.
    effects : str
        Law of the effects.
    draws : int

    Returns
    -------
    dict of str to float
        ``error``, the mean absolute error of log2 fold changes; ``coverage`` of 95 % intervals; ``called``,
        genes with s < 0.05, and ``false_signs``, the share of those of wrong sign or without an effect;
        ``bad_k``, the share of genes with k > 0.7; ``cpu``, seconds of all cores; with random effects
        ``sd_error``, the mean absolute error of the standard deviation between donors, log2, ``sd_coverage``,
        and the learnt ``median_sd`` and ``sd_spread``.
    """
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        options = SamplingOptions(effects=effects, hand_over=False)
        posterior = fit_posterior(counts, DESIGNS[design], draws=draws, seed=1, options=options)
        table = posterior.results(("condition", "b", "a"))
    found = {"cpu": time.process_time() - start}
    known = table["log2_fold_change"].notna().to_numpy()
    effect, estimate = truth.effect / math.log(2.0), table["log2_fold_change"].to_numpy()
    within = (table["lfc_lower"] <= effect) & (effect <= table["lfc_upper"])
    called = known & (table["s_value"] < CALLED).to_numpy()
    wrong = called & (np.sign(estimate) != np.sign(effect))
    found |= {
        "error": float(np.abs(estimate - effect)[known].mean()),
        "coverage": float(within[known].mean()),
        "called": int(called.sum()),
        "false_signs": float(wrong.sum() / max(called.sum(), 1)),
        "bad_k": float((table["pareto_k"][known] > 0.7).mean()),
    }
    return found | (_of_donors(posterior, truth) if "donor_sd" in table else {})


def _of_donors(posterior: Posterior, truth: Truth) -> dict[str, float]:
    """Score the standard deviations between donors."""
    table, sd = posterior.results(), truth.sd / math.log(2.0)
    known = table["donor_sd"].notna()
    within = (table["donor_sd_lower"] <= sd) & (sd <= table["donor_sd_upper"])
    hyper = posterior.hyperparameters
    return {
        "sd_error": float(np.abs(table["donor_sd"] - sd)[known].mean()),
        "sd_coverage": float(within[known].mean()),
        "median_sd": hyper.random_effect_sd["donor"],
        "sd_spread": hyper.random_effect_sd_spread["donor"],
    }
