r"""Simulated experiments with several random effects, and scores of their posteriors.

    mu_gj = s_j exp(b_g + beta_g x_j + sum_t z_jt u_gt,level(j,t)),     u_gtl ~ Normal(0, tau_gt^2),

with the laws of `benchmarks.donors.experiments`, those of ln tau_gt independent of one another.
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesde import Counts, SamplingOptions, fit_posterior
from bayesde.errors import BayesdeWarning
from benchmarks.donors.experiments import (
    ASYMPTOTIC,
    DISPERSION_SD,
    EFFECT_SD,
    EXTRA_POISSON,
    LOG_MEAN,
    LOG_MEAN_SD,
    NULL_SHARE,
    TAU_MEDIAN,
    TAU_SPREAD,
)

__all__ = ["SEVERAL", "TermExperiment", "TermTruth", "scored_terms", "simulated_terms"]


@dataclass(frozen=True, eq=False)
class TermExperiment:
    """An experiment to simulate.

    Attributes
    ----------
    formula : str
    names : tuple of str
        Of the random effects.
    contrast
        The effect that is scored.
    table : DataFrame
        Of the samples.
    x : ndarray (sample,)
        What the effect is multiplied by.
    levels, z : ndarray (sample, random effect)
        Levels, and what their effects are multiplied by.
    """

    formula: str
    names: tuple[str, ...]
    contrast: Any
    table: pd.DataFrame
    x: np.ndarray
    levels: np.ndarray
    z: np.ndarray


@dataclass(frozen=True, eq=False)
class TermTruth:
    """What counts were drawn from, natural log.

    Attributes
    ----------
    effect : ndarray (gene,)
    sd : ndarray (gene, random effect)
    effects : list of ndarray (gene, level)
        Of every random effect.
    """

    effect: np.ndarray
    sd: np.ndarray
    effects: list[np.ndarray]


def _table(**columns: Any) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=[f"s{j}" for j in range(n)])


def _two(treated: np.ndarray) -> np.ndarray:
    return np.where(treated > 0, "b", "a")


def nested() -> TermExperiment:
    """Return 4 clinics of 3 patients with 2 samples each, one of them treated."""
    clinic, patient = np.repeat(np.arange(4), 6), np.repeat(np.arange(12), 2)
    treated = np.tile([0, 1], 12)
    table = _table(
        clinic=[f"c{k}" for k in clinic], patient=[f"p{k}" for k in patient], condition=_two(treated)
    )
    levels = np.column_stack([clinic, patient])
    formula, contrast = "~ condition + (1 | clinic/patient)", ("condition", "b", "a")
    return TermExperiment(
        formula, ("clinic", "clinic:patient"), contrast, table, treated, levels, np.ones((24, 2))
    )


def crossed() -> TermExperiment:
    """Return 6 donors with a sample in each of 4 batches, two of them treated."""
    donor, batch = np.repeat(np.arange(6), 4), np.tile(np.arange(4), 6)
    treated = (donor + batch) % 2
    table = _table(donor=[f"d{k}" for k in donor], batch=[f"b{k}" for k in batch], condition=_two(treated))
    levels, contrast = np.column_stack([donor, batch]), ("condition", "b", "a")
    formula = "~ condition + (1 | donor) + (1 | batch)"
    return TermExperiment(formula, ("donor", "batch"), contrast, table, treated, levels, np.ones((24, 2)))


def slopes() -> TermExperiment:
    """Return 8 donors with a sample at each of 4 times."""
    donor, at = np.repeat(np.arange(8), 4), np.tile([-0.75, -0.25, 0.25, 0.75], 8)
    table = _table(donor=[f"d{k}" for k in donor], time=at)
    levels, z = np.column_stack([donor, donor]), np.column_stack([np.ones(32), at])
    formula = "~ time + (1 + time | donor)"
    return TermExperiment(formula, ("donor", "time|donor"), "time", table, at, levels, z)


SEVERAL = {"nested": nested(), "crossed": crossed(), "slopes": slopes()}


def simulated_terms(experiment: TermExperiment, genes: int, seed: int) -> tuple[Counts, TermTruth]:
    """Draw an experiment.

    Parameters
    ----------
    experiment : TermExperiment
    genes, seed : int

    Returns
    -------
    counts : Counts
    truth : TermTruth
    """
    rng, n_terms = np.random.default_rng(seed), len(experiment.names)
    sd = np.exp(rng.normal(np.log(TAU_MEDIAN), TAU_SPREAD, (genes, n_terms)))
    effect = np.where(rng.random(genes) < NULL_SHARE, 0.0, rng.normal(0.0, EFFECT_SD, genes))
    level = rng.normal(LOG_MEAN, LOG_MEAN_SD, genes)
    dispersion = np.exp(rng.normal(np.log(ASYMPTOTIC + EXTRA_POISSON / np.exp(level)), DISPERSION_SD))
    log_mean = level[:, None] + effect[:, None] * experiment.x + rng.normal(0.0, 0.2, experiment.x.size)
    effects = []
    for t, (own, z) in enumerate(zip(experiment.levels.T, experiment.z.T, strict=True)):
        effects.append(rng.normal(size=(genes, own.max() + 1)) * sd[:, t : t + 1])
        log_mean = log_mean + effects[t][:, own] * z
    rate = rng.gamma(np.broadcast_to(1.0 / dispersion[:, None], log_mean.shape)) * dispersion[:, None]
    counts = Counts(
        rng.poisson(rate * np.exp(log_mean)),
        genes=[f"g{g}" for g in range(genes)],
        samples=list(experiment.table.index),
        sample_table=experiment.table,
    )
    return counts, TermTruth(effect, sd, effects)


def scored_terms(experiment: TermExperiment, genes: int, seed: int, formula: str) -> dict[str, float]:
    """Simulate and fit an experiment, and compare with the truth.

    Parameters
    ----------
    experiment : TermExperiment
    genes, seed : int
    formula : str
        Of the fit: that of the experiment, or one that has fewer random effects.

    Returns
    -------
    dict of str to float
        As of `benchmarks.donors.scores.scored`; for every random effect ``sd_error``, ``sd_coverage``,
        ``median_sd`` and ``sd_spread``.
    """
    counts, truth = simulated_terms(experiment, genes, seed)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        options = SamplingOptions(hand_over=False)
        posterior = fit_posterior(counts, formula, draws=1000, seed=1, options=options)
        table = posterior.results(experiment.contrast)
    found = {"cpu": time.process_time() - start}
    known = table["log2_fold_change"].notna()
    effect = pd.Series(truth.effect / math.log(2.0), index=table.index)[known]
    table = table.loc[known]
    called, sign = table["s_value"] < 0.05, np.sign(table["log2_fold_change"])
    wrong = called & (sign != np.sign(effect))
    found |= {
        "error": float((table["log2_fold_change"] - effect).abs().mean()),
        "coverage": float(((table["lfc_lower"] <= effect) & (effect <= table["lfc_upper"])).mean()),
        "called": int(called.sum()),
        "false_signs": float(wrong.sum() / max(called.sum(), 1)),
        "bad_k": float((table["pareto_k"] > 0.7).mean()),
        "ess": float(table["ess"].median()),
    }
    hyper = posterior.hyperparameters
    for name, own in zip(experiment.names, truth.sd.T, strict=True):
        if name in hyper.random_effect_sd:
            sd = own[known.to_numpy()] / math.log(2.0)
            within = (table[f"{name}_sd_lower"] <= sd) & (sd <= table[f"{name}_sd_upper"])
            found |= {
                f"sd_error[{name}]": float((table[f"{name}_sd"] - sd).abs().mean()),
                f"sd_coverage[{name}]": float(within.mean()),
                f"median_sd[{name}]": hyper.random_effect_sd[name],
                f"sd_spread[{name}]": hyper.random_effect_sd_spread[name],
            }
    return found
