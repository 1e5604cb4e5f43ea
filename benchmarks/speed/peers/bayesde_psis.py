"""bayesde: the posterior of every gene by method psis, integrated over the hyperparameters, and its table.

The few genes with unreliable weights (k > 0.7) keep that status; with the option ``nuts`` they are sampled
by Stan.
"""

from __future__ import annotations

import bayesde_eb
import numpy as np
from worker import Clock, Data

from bayesde.design import Design
from bayesde.posterior import SamplingOptions, fit_posterior

PACKAGE = "bayesde"
DRAWS, CORES = 1000, 2


def prepare(data: Data, rest: str = "") -> tuple[bayesde_eb.Prepared, bool]:
    """Make the Counts."""
    return bayesde_eb.prepare(data), rest == "nuts"


def run(prepared: tuple[bayesde_eb.Prepared, bool], clock: Clock) -> dict[str, np.ndarray]:
    """Fit, with everything from size factors on, and summarize one contrast."""
    counts, data, hand_over = prepared[0].counts, prepared[0].data, prepared[1]
    options = SamplingOptions(hand_over=hand_over)
    references = {data.factor: data.reference}
    with clock("fit"):
        design = Design.from_formula(data.formula, counts.sample_table, references=references)
        posterior = fit_posterior(counts, design, engine="psis", draws=DRAWS, workers=CORES, options=options)
    with clock("results"):
        table = posterior.results(contrast=(data.factor, data.level, data.reference))
    effect = table["log2_fold_change"].to_numpy()
    return {
        "base_mean": table["base_mean"].to_numpy(),
        "log2_fold_change": effect,
        "shrunken": effect,
        "untrusted": table["status"].isin(["high_pareto_k", "low_ess", "not_converged"]).to_numpy(dtype=int),
        "by_nuts": (table["engine"] == "nuts").to_numpy(dtype=int),
    }
