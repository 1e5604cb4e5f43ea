"""bayesde, method psis, on a panel; the precision of its hyperparameters is estimated with other seeds.

An importance sampler has no chains. Its effective number of draws is the posterior variance of a
hyperparameter divided by the variance, between seeds, of its posterior mean.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from panel_data import Panel, panel
from worker import Clock, Data

from bayesde.posterior import SamplingOptions, fit_posterior
from bayesde.posterior.posterior import Posterior

PACKAGE = "bayesde"
SEEDS = range(2, 26)


def prepare(data: Data, size: str, draws: str) -> tuple[Panel, int]:
    """Choose the panel."""
    return panel(data, int(size)), int(draws)


def _fitted(prepared: tuple[Panel, int], seed: int) -> Posterior:
    some, draws = prepared
    return fit_posterior(
        some.counts,
        some.fit.design,
        engine="psis",
        eb=some.fit,
        draws=draws,
        seed=seed,
        options=SamplingOptions(hand_over=False),
    )


def run(prepared: tuple[Panel, int], clock: Clock) -> pd.DataFrame:
    """Sample."""
    with clock("sample"):
        hyper = _fitted(prepared, 1).hyperparameters
    table = pd.DataFrame({"mean": {name: column.mean() for name, column in hyper.draws.items()}})
    table["sd"] = hyper.sd
    table.index.name = "name"
    return table.assign(draws=prepared[1])


def finish(prepared: tuple[Panel, int], answer: pd.DataFrame) -> pd.DataFrame:
    """Fit with other seeds, for the effective numbers of draws."""
    means = []
    for seed in SEEDS:
        draws = _fitted(prepared, seed).hyperparameters.draws
        means.append([draws[name].mean() for name in answer.index])
    return answer.assign(ess_bulk=answer["sd"] ** 2 / np.var(means, axis=0, ddof=1), seeds=len(SEEDS))
