"""The panel: genes of every level of expression, with the size factors of all genes."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from worker import Data

from bayesde.counts import Counts
from bayesde.eb.fit import EbFit
from bayesde.posterior.draws.diagnostics import chain_diagnostics
from bayesde.posterior.point_estimates.fit import fit_eb


@dataclass(frozen=True)
class Panel:
    """Counts of the panel and their empirical-Bayes fit."""

    counts: Counts
    fit: EbFit


def panel(data: Data, size: int) -> Panel:
    """Take genes at equal steps of the rank of their base mean, and fit them alone."""
    table = data.samples.astype(str)
    counts = Counts(data.counts, data.genes, list(table.index), table)
    references = {data.factor: data.reference}
    fit = fit_eb(counts, data.formula, references=references)
    expressed = np.flatnonzero(fit.estimated)
    order = expressed[np.argsort(fit.base_mean[expressed], kind="stable")]
    rows = np.sort(order[np.linspace(0, order.size - 1, min(size, order.size)).astype(int)])
    some = counts.subset(genes=list(counts.genes[rows]))
    return Panel(some, fit_eb(some, fit.design, size_factors=fit.size_factors))


def hyperparameter_table(shared: dict[str, np.ndarray]) -> pd.DataFrame:
    """Summarize draws (chain, draw) of the hyperparameters: mean, sd, R-hat, effective sizes."""
    draws = np.stack(list(shared.values()), axis=-1)
    checks = chain_diagnostics(draws[..., None])
    table = pd.DataFrame({"mean": draws.mean(axis=(0, 1)), "sd": draws.std(axis=(0, 1)), **checks})
    table.index = pd.Index(list(shared), name="name")
    return table


def quiet() -> None:
    """Keep cmdstanpy from reporting every start of a chain."""
    logging.getLogger("cmdstanpy").setLevel(logging.ERROR)
