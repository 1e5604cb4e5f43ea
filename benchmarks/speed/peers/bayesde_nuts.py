"""bayesde, method nuts: some genes of the panel in blocks; hyperparameters are learnt from all of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from panel_data import Panel, panel, quiet
from worker import Clock, Data

from bayesde.posterior import SamplingOptions, fit_posterior
from bayesde.stan_runtime import compiled_model

PACKAGE = "bayesde"
CHAINS, CORES = 4, 2


def prepare(
    data: Data, size: str, sampled: str, warmup: str, draws: str
) -> tuple[Panel, list[str], int, int]:
    """Choose the panel and, from the lowest to the highest expressed, the genes to sample; compile."""
    quiet()
    compiled_model("genes")
    some = panel(data, int(size))
    order = np.argsort(some.fit.base_mean, kind="stable")
    chosen = order[np.linspace(0, order.size - 1, int(sampled)).astype(int)]
    return some, list(some.counts.genes[np.sort(chosen)]), int(warmup), int(draws)


def run(prepared: tuple[Panel, list[str], int, int], clock: Clock) -> pd.DataFrame:
    """Learn the hyperparameters, then sample the genes."""
    some, genes, warmup, draws = prepared
    common = {"eb": some.fit, "draws": draws}
    with clock("hyperparameters"):
        alone = SamplingOptions(hand_over=False)
        first = fit_posterior(some.counts, some.fit.design, engine="psis", options=alone, **common)
    with clock("sample"):
        posterior = fit_posterior(
            some.counts,
            some.fit.design,
            engine="nuts",
            genes=genes,
            hyperparameters=first.hyperparameters,
            chains=CHAINS,
            warmup=warmup,
            workers=CORES,
            **common,
        )
    table = posterior.diagnostics[posterior.diagnostics["sampled"]]
    columns = ["rhat", "ess_bulk", "ess_tail", "divergences", "treedepth_hits", "gradients", "attempts"]
    table = table[columns].rename_axis("name")
    return table.assign(chains=CHAINS, warmup=warmup, draws=draws)
