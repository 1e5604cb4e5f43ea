"""edgePython: filter_by_expr, TMM, dispersions, quasi-likelihood fit and test."""

from __future__ import annotations

import edgepython
import numpy as np
import pandas as pd
from worker import Clock, Data

PACKAGE = "edgepython"


def prepare(data: Data) -> Data:
    """Return the data as they are."""
    return data


def run(data: Data, clock: Clock) -> dict[str, pd.Series]:
    """Filter, normalize, fit and test."""
    design = data.design.to_numpy()
    with clock("fit"):
        kept = np.asarray(edgepython.filter_by_expr(data.counts, design=design))
        y = edgepython.make_dgelist(counts=data.counts[kept], group=data.samples[data.factor].astype(str))
        y = edgepython.estimate_disp(edgepython.calc_norm_factors(y), design)
        fit = edgepython.glm_ql_fit(y, design)
    with clock("results"):
        test = edgepython.glm_ql_ftest(fit, coef=design.shape[1] - 1)
        table = edgepython.top_tags(test, n=int(kept.sum()), sort_by="none")["table"]
    table.index = pd.Index(np.array(data.genes)[kept])
    table = table.reindex(data.genes)
    return {"log2_fold_change": table["logFC"], "p_value": table["PValue"]}
