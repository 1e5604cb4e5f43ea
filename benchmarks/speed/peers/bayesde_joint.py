"""bayesde, inference method joint: a panel of genes and their hyperparameters in one posterior, by Stan."""

from __future__ import annotations

import pandas as pd
from panel_data import Panel, hyperparameter_table, panel, quiet
from worker import Clock, Data

from bayesde.posterior import fit_posterior
from bayesde.stan_runtime import compiled_model

PACKAGE = "bayesde"
CHAINS, CORES = 4, 2


def prepare(data: Data, size: str, warmup: str, draws: str) -> tuple[Panel, int, int]:
    """Choose the panel, and compile."""
    quiet()
    compiled_model("joint", threads=True)
    return panel(data, int(size)), int(warmup), int(draws)


def run(prepared: tuple[Panel, int, int], clock: Clock) -> pd.DataFrame:
    """Sample."""
    some, warmup, draws = prepared
    with clock("sample"):
        posterior = fit_posterior(
            some.counts,
            some.fit.design,
            engine="joint",
            eb=some.fit,
            chains=CHAINS,
            warmup=warmup,
            draws=draws,
            workers=CORES,
        )
    first = posterior.diagnostics[posterior.diagnostics["sampled"]].iloc[0]
    told = {name: first[name] for name in ("divergences", "treedepth_hits", "gradients")}
    return hyperparameter_table(posterior.shared).assign(**told, chains=CHAINS, warmup=warmup, draws=draws)
