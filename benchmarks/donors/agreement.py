"""Agreement of engines psis, which integrates random effects and levels out, and nuts, which samples them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesde import Counts, Hyperparameters, SamplingOptions, fit_posterior
from bayesde.errors import BayesdeWarning
from bayesde.posterior import Posterior
from benchmarks.agreement.moments import moments, z_scores
from benchmarks.donors.experiments import Experiment, simulated
from benchmarks.donors.scores import DESIGNS
from benchmarks.donors.several_terms import SEVERAL, simulated_terms

__all__ = ["Case", "cases", "compared"]

AGREEMENT = (Experiment(6, 2, between=True), Experiment(5, 2, between=False))
PAIRED = (5, 10, 20, 40, 70)
"""Patients of the paired designs with patients as fixed effects, which are integrated out from 9 on."""
OF_ONE, OF_SEVERAL, OF_PAIRED = 200, 20, 40
"""Genes that are compared: with one random intercept, several random effects, patients as fixed effects."""
LEARNT_FROM, SEED = 150, 7
"""Genes that the hyperparameters are learnt from."""
ONCE = SamplingOptions(min_ess=1, max_rhat=3.0, block_size=20)
"""No gene is sampled again for its diagnostics."""


@dataclass(frozen=True, eq=False)
class Case:
    """Counts that both engines are given.

    Attributes
    ----------
    name, formula : str
    genes : int
        How many are compared: the first of these.
    counts : Counts
    sds : tuple of str
        Names of the standard deviations of random effects.
    """

    name: str
    formula: str
    genes: int
    counts: Counts
    sds: tuple[str, ...] = ()


def cases(genes: int) -> Iterator[Case]:
    """Simulate the experiments: with one random intercept, several random effects, and patients fixed.

    Parameters
    ----------
    genes : int
        That are compared at the most.
    """
    for experiment in AGREEMENT:
        few = min(genes, OF_ONE)
        counts = simulated(replace(experiment, genes=max(few, LEARNT_FROM)), SEED)[0]
        yield Case(experiment.name, DESIGNS["random"], few, counts, ("donor",))
    for name, several in SEVERAL.items():
        counts = simulated_terms(several, LEARNT_FROM, SEED)[0]
        yield Case(name, several.formula, min(genes, OF_SEVERAL), counts, several.names)
    for patients in PAIRED:
        counts = simulated(Experiment(patients, 2, between=False, genes=LEARNT_FROM), SEED)[0]
        yield Case(f"{patients} patients, fixed", DESIGNS["fixed"], min(genes, OF_PAIRED), counts)


def compared(case: Case) -> Iterator[dict[str, Any]]:
    """Compare both engines under the same hyperparameters.

    Parameters
    ----------
    case : Case

    Yields
    ------
    dict
        For every parameter (the sampled levels of a factor together), the differences of posterior means and
        standard deviations in units of their Monte-Carlo standard errors over the genes, and the differences
        of means in units of standard deviations.
    """
    known: dict[str, Any] = {"design": case.formula, "seed": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        first = fit_posterior(case.counts, **known, draws=500)
        known |= {"genes": [f"g{g}" for g in range(case.genes)], "eb": first.eb}
        known["hyperparameters"] = _known(first.hyperparameters)
        psis = fit_posterior(case.counts, **known, draws=8000)
        nuts = fit_posterior(case.counts, **known | {"seed": 2}, draws=1000, engine="nuts", options=ONCE)
    yield from _rows(case, psis, nuts)


def _known(hyper: Hyperparameters) -> Hyperparameters:
    """Return the values without their uncertainty."""
    return replace(hyper, draws={}, sd={})


def _rows(case: Case, psis: Posterior, nuts: Posterior) -> Iterator[dict[str, Any]]:
    one, two = moments(psis.gene_draws), moments(nuts.gene_draws)
    scores = {name: np.abs(z_scores(one, two)[name]) for name in ("mean", "sd")}
    shift = np.abs(one["mean"] - two["mean"]) / one["sd"]
    ratio = np.abs(np.log(two["sd"] / one["sd"]))
    sds = (f"ln tau[{name}]" for name in case.sds)
    columns = np.array([*psis.request.coding.coefficients, *sds, "ln dispersion"])
    for name in dict.fromkeys(columns):
        k = np.flatnonzero(columns == name)
        row = {"experiment": case.name, "parameter": str(name), "genes": len(shift)}
        for part, own in scores.items():
            row |= {f"{part}, median z": np.median(own[:, k]), f"{part}, largest z": own[:, k].max()}
        row |= {"mean, largest difference in sds": shift[:, k].max()}
        row |= {"sd, median log ratio": np.median(ratio[:, k]), "max rhat": nuts.diagnostics["rhat"].max()}
        row |= {"min ess_bulk": nuts.diagnostics["ess_bulk"].min()}
        yield row | {"gradients": nuts.diagnostics["gradients"].median()}
