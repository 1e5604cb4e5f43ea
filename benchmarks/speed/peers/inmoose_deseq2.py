"""inmoose: its port of DESeq2, DESeq() and results()."""

from __future__ import annotations

import patsy
from inmoose.deseq2 import DESeq, DESeqDataSet
from worker import Clock, Data

PACKAGE = "inmoose"


def prepare(data: Data) -> tuple[Data, object, object]:
    """Make the table of counts (sample, gene) and patsy's design."""
    return data, data.by_sample, patsy.dmatrix(data.formula, data.samples)


def run(prepared: tuple[Data, object, object], clock: Clock) -> dict[str, object]:
    """Fit and test."""
    data, counts, _ = prepared
    with clock("fit"):
        fit = DESeq(DESeqDataSet(counts, data.samples, data.formula), quiet=True)
    with clock("results"):
        tested = fit.results(contrast=[data.factor, data.level, data.reference])
    tested = tested.reindex(data.genes)
    return {
        "log2_fold_change": tested["log2FoldChange"].to_numpy(),
        "p_value": tested["pvalue"].to_numpy(),
    }
