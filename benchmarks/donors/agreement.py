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
PAIRED = (10, 20, 40, 70)
"""Patients of the paired designs with patients as fixed effects."""
LEARNT_FROM, SEED = 150, 7
"""Genes that the hyperparameters are learnt from."""
ONCE = SamplingOptions(min_ess=1, max_rhat=3.0, block_size=20)
"""No gene is sampled again for its diagnostics."""
PARAMETERS = ("intercept", "effect", "ln tau", "ln dispersion")


@dataclass(frozen=True, eq=False)
class Case:
    """Counts that both engines are given.

    Attributes
    ----------
    name, formula : str
    counts : Counts
    parameters : tuple of str
        Names of a gene's parameters.
    """

    name: str
    formula: str
    counts: Counts
    parameters: tuple[str, ...]


def cases(genes: int) -> Iterator[Case]:
    """Simulate the experiments: with one random intercept, several random effects, and patients fixed.

    Parameters
    ----------
    genes : int
        That are compared.
    """
    simulate = max(genes, LEARNT_FROM)
    for experiment in AGREEMENT:
        counts = simulated(replace(experiment, genes=simulate), SEED)[0]
        yield Case(experiment.name, DESIGNS["random"], counts, PARAMETERS)
    for name, several in SEVERAL.items():
        counts = simulated_terms(several, simulate, SEED)[0]
        sds = (f"ln tau[{one}]" for one in several.names)
        yield Case(name, several.formula, counts, (*PARAMETERS[:2], *sds, PARAMETERS[-1]))

    for patients in PAIRED:
        experiment = Experiment(patients, 2, between=False, genes=simulate)
        counts = simulated(experiment, SEED)[0]
        yield Case(f"{patients} patients, fixed", DESIGNS["fixed"], counts, (*PARAMETERS[:2], PARAMETERS[-1]))


def compared(case: Case, genes: int) -> Iterator[dict[str, Any]]:
    """Compare both engines under the same hyperparameters.

    Parameters
    ----------
    case : Case
    genes : int
        That are compared.

    Yields
    ------
    dict
        For every parameter, the differences of posterior means and standard deviations in units of their
        Monte-Carlo standard errors over the genes, and the differences of means in units of standard
        deviations.
    """
    known: dict[str, Any] = {"design": case.formula, "seed": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        first = fit_posterior(case.counts, **known, draws=500)
        known |= {"genes": [f"g{g}" for g in range(genes)], "eb": first.eb}
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
    for k, name in enumerate(case.parameters):
        row = {"experiment": case.name, "parameter": name, "genes": len(shift)}
        for part, own in scores.items():
            row |= {f"{part}, median z": np.median(own[:, k]), f"{part}, largest z": own[:, k].max()}
        row |= {"mean, largest difference in sds": shift[:, k].max()}
        row |= {"sd, median log ratio": np.median(ratio[:, k]), "max rhat": nuts.diagnostics["rhat"].max()}
        row |= {"min ess_bulk": nuts.diagnostics["ess_bulk"].min()}
        yield row | {"gradients": nuts.diagnostics["gradients"].median()}
