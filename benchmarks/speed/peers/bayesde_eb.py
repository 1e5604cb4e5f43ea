"""bayesde: point estimates, Wald tests and shrunken effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from worker import Clock, Data

from bayesde.counts import Counts
from bayesde.posterior.point_estimates.fit import fit_eb

PACKAGE = "bayesde"


@dataclass(frozen=True)
class Prepared:
    """Counts as read_counts returns them, and the comparison."""

    counts: Counts
    data: Data


def prepare(data: Data) -> Prepared:
    """Make the Counts."""
    table = data.samples.astype(str)
    return Prepared(Counts(data.counts, data.genes, list(table.index), table), data)


def run(prepared: Prepared, clock: Clock) -> dict[str, np.ndarray]:
    """Fit, test and shrink."""
    data = prepared.data
    with clock("fit"):
        fit = fit_eb(prepared.counts, data.formula, references={data.factor: data.reference})
    with clock("results"):
        tested = fit.results(contrast=(data.factor, data.level, data.reference))
    with clock("shrink"):
        shrunken = fit.shrink(contrast=(data.factor, data.level, data.reference))
    return {
        "base_mean": tested["base_mean"].to_numpy(),
        "log2_fold_change": tested["log2_fold_change"].to_numpy(),
        "p_value": tested["p_value"].to_numpy(),
        "shrunken": shrunken["log2_fold_change"].to_numpy(),
    }
