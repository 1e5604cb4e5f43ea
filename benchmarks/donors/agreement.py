"""Agreement of engines psis, which integrates random effects out, and nuts, which samples them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from bayesde import Hyperparameters, SamplingOptions, fit_posterior
from bayesde.errors import BayesdeWarning
from bayesde.posterior import Posterior
from benchmarks.agreement.moments import moments, z_scores
from benchmarks.donors.experiments import Experiment, simulated
from benchmarks.donors.scores import DESIGNS

__all__ = ["AGREEMENT", "compared"]

AGREEMENT = (Experiment(6, 2, between=True), Experiment(5, 2, between=False))
LEARNT_FROM, SEED = 150, 7
"""Genes that the hyperparameters are learnt from."""
ONCE = SamplingOptions(min_ess=1, max_rhat=3.0, block_size=20)
"""No gene is sampled again for its diagnostics."""
PARAMETERS = ("intercept", "condition", "ln tau", "ln dispersion")


def compared(experiment: Experiment, genes: int) -> Iterator[dict[str, Any]]:
    """Compare both engines under the same hyperparameters.

    Parameters
    ----------
    experiment : Experiment
    genes : int
        That are compared.

    Yields
    ------
    dict
        For every parameter, the differences of posterior means and standard deviations in units of their
        Monte-Carlo standard errors over the genes, and the differences of means in units of standard
        deviations.
    """
    counts, _ = simulated(replace(experiment, genes=max(genes, LEARNT_FROM)), SEED)
    known: dict[str, Any] = {"design": DESIGNS["random"], "seed": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        first = fit_posterior(counts, **known, draws=500)
        known |= {"genes": [f"g{g}" for g in range(genes)], "eb": first.eb}
        known["hyperparameters"] = _known(first.hyperparameters)
        psis = fit_posterior(counts, **known, draws=8000)
        nuts = fit_posterior(counts, **known | {"seed": 2}, draws=1000, engine="nuts", options=ONCE)
    yield from _rows(experiment, psis, nuts)


def _known(hyper: Hyperparameters) -> Hyperparameters:
    """Return the values without their uncertainty."""
    return replace(hyper, draws={}, sd={})


def _rows(experiment: Experiment, psis: Posterior, nuts: Posterior) -> Iterator[dict[str, Any]]:
    one, two = moments(psis.gene_draws), moments(nuts.gene_draws)
    scores = {name: np.abs(z_scores(one, two)[name]) for name in ("mean", "sd")}
    shift = np.abs(one["mean"] - two["mean"]) / one["sd"]
    ratio = np.abs(np.log(two["sd"] / one["sd"]))
    for k, name in enumerate(PARAMETERS):
        row = {"experiment": experiment.name, "parameter": name, "genes": len(shift)}
        for part, own in scores.items():
            row |= {f"{part}, median z": np.median(own[:, k]), f"{part}, largest z": own[:, k].max()}
        row |= {"mean, largest difference in sds": shift[:, k].max()}
        row |= {"sd, median log ratio": np.median(ratio[:, k]), "max rhat": nuts.diagnostics["rhat"].max()}
        yield row | {"min ess_bulk": nuts.diagnostics["ess_bulk"].min()}
