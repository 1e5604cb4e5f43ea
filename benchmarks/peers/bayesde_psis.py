"""bayesde: the posterior of every gene by engine psis, the hyperparameters integrated over, and its table."""

from __future__ import annotations

import bayesde_eb
import numpy as np
from worker import Clock, Data

from bayesde.design import Design
from bayesde.posterior import fit_posterior

PACKAGE = "bayesde"
DRAWS = 1000


def prepare(data: Data) -> bayesde_eb.Prepared:
    """Make the Counts."""
    return bayesde_eb.prepare(data)


def run(prepared: bayesde_eb.Prepared, clock: Clock) -> dict[str, np.ndarray]:
    """Fit, with everything from size factors on, and summarize one contrast."""
    counts, data = prepared.counts, prepared.data
    references = {data.factor: data.reference}
    with clock("fit"):
        design = Design.from_formula(data.formula, counts.sample_table, references=references)
        posterior = fit_posterior(counts, design, engine="psis", draws=DRAWS)
    with clock("results"):
        table = posterior.results(contrast=(data.factor, data.level, data.reference))
    effect = table["log2_fold_change"].to_numpy()
    return {"base_mean": table["base_mean"].to_numpy(), "log2_fold_change": effect, "shrunken": effect}
