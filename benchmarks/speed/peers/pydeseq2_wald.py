"""PyDESeq2: deseq2(), DeseqStats.summary() and lfc_shrink(), two processes."""

from __future__ import annotations

import pandas as pd
from pydeseq2.dds import DeseqDataSet
from pydeseq2.ds import DeseqStats
from worker import Clock, Data

PACKAGE = "pydeseq2"
CORES = 2


def prepare(data: Data) -> tuple[Data, pd.DataFrame]:
    """Make the table of counts (sample, gene)."""
    return data, data.by_sample


def run(prepared: tuple[Data, pd.DataFrame], clock: Clock) -> dict[str, pd.Series]:
    """Fit, test and shrink."""
    data, counts = prepared
    with clock("fit"):
        fit = DeseqDataSet(
            counts=counts, metadata=data.samples, design=data.formula, n_cpus=CORES, quiet=True
        )
        fit.deseq2()
    with clock("results"):
        stats = DeseqStats(fit, contrast=[data.factor, data.level, data.reference], n_cpus=CORES, quiet=True)
        stats.summary()
    tested = stats.results_df.copy()
    with clock("shrink"):
        stats.lfc_shrink(coeff=data.coefficient)
    return {
        "log2_fold_change": tested["log2FoldChange"],
        "p_value": tested["pvalue"],
        "shrunken": stats.results_df["log2FoldChange"],
    }
