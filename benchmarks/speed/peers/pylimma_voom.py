"""pylimma: voom, lm_fit, e_bayes and top_table, of genes with enough counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pylimma import e_bayes, lm_fit, top_table, voom
from worker import Clock, Data

PACKAGE = "pylimma"
LEAST_COUNT = 10


def prepare(data: Data) -> Data:
    """Return the data as they are."""
    return data


def enough(counts: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Choose genes of 10 counts per median library in as many samples as the smallest group has."""
    per_library = counts / counts.sum(axis=0) * np.median(counts.sum(axis=0))
    _, sizes = np.unique(design[:, -1], return_counts=True)
    return (per_library >= LEAST_COUNT).sum(axis=1) >= sizes.min()


def run(data: Data, clock: Clock) -> dict[str, pd.Series]:
    """Filter, weigh, fit and test."""
    with clock("fit"):
        design = data.design.to_numpy()
        kept = enough(data.counts, design)
        weighted = voom(data.counts[kept].astype(float), design)
        fit = e_bayes(lm_fit(weighted, design))
    with clock("results"):
        table = top_table(fit, coef=design.shape[1] - 1, number=np.inf, sort_by="none")
    table.index = pd.Index(np.array(data.genes)[kept])
    table = table.reindex(data.genes)
    return {"log2_fold_change": table["log_fc"], "p_value": table["p_value"]}
