"""SEQC / MAQC-III: reference RNA whose fold changes TaqMan has measured, and spikes of known concentration.

A is universal human reference RNA, B human brain RNA, C and D are their mixtures 3:1 and 1:3. Libraries are
technical replicates (SEQC/MAQC-III Consortium 2014, doi:10.1038/nbt.2957; TaqMan: MAQC Consortium 2006,
doi:10.1038/nbt1239). Both truths leave one offset free, because the samples differ in their share of mRNA.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

import bayesde as bde
from benchmarks.accuracy.problems import SHARED
from benchmarks.accuracy.records import Problem, Truth

__all__ = ["SEQC", "seqc_problems"]

SEQC = SHARED / "seqc_coh"
NEUTRAL = "B"
"""The subgroup of spikes that both mixes have in the same concentration."""


def seqc_problems() -> dict[str, Callable[[], Problem]]:
    """Describe the comparisons by name."""
    thin = "D v C, 2 v 2, one read in a hundred"
    return {
        "seqc4": partial(_problem, "seqc4", "SEQC B v A, 4 v 4", "BA", 4),
        "seqc2": partial(_problem, "seqc2", "SEQC B v A, 2 v 2", "BA", 2),
        "seqc_thin": partial(_problem, "seqc_thin", f"SEQC {thin}", "DC", 2, 0.01),
    }


def _problem(name: str, title: str, samples: str, replicates: int, kept: float = 1.0) -> Problem:
    """Compare two samples by their first libraries; `kept` is the share of reads, drawn at random."""
    counts = bde.read_counts(SEQC / "counts.tsv.gz", samples=SEQC / "coldata.tsv")
    chosen = [f"{sample}_{i + 1}" for sample in samples[::-1] for i in range(replicates)]
    counts = counts.subset(samples=chosen)
    if kept < 1.0:
        whole = np.asarray(counts.rows(slice(None))).astype(np.int64)
        counts = bde.Counts(
            np.random.default_rng(1).binomial(whole, kept),
            genes=counts.genes,
            samples=counts.samples,
            sample_table=counts.sample_table,
        )
    table = pd.read_csv(SEQC / "truth.tsv", sep="\t", dtype={"gene_id": str})
    table = table[table["gene_id"].isin(counts.genes)]
    column = f"log2FC_{samples[0]}_vs_{samples[1]}"
    return Problem(
        name,
        title,
        counts,
        "sample_type",
        samples[0],
        samples[1],
        (_taqman(table, column, measured=samples == "BA"), _ercc(table, column)),
    )


def _taqman(table: pd.DataFrame, column: str, *, measured: bool) -> Truth:
    """Average the assays of a gene that detected it in every replicate of A and B; all are anchors.

    Parameters
    ----------
    measured : bool
        Whether the table's standard errors are those of this comparison.
    """
    good = table[(table["source"] == "taqman") & (table["reliable"] == 1)]
    by_gene = good.groupby("gene_id")
    effect = by_gene[column].mean()
    square = (good["se_log2FC"] ** 2).groupby(good["gene_id"]).sum()
    error = np.sqrt(square) / by_gene.size() if measured else None
    return Truth("TaqMan", effect, error, pd.Series(True, effect.index))


def _ercc(table: pd.DataFrame, column: str) -> Truth:
    """Take the designed ratios; the spikes of equal concentration are the anchors."""
    spikes = table[table["source"] == "ERCC"].set_index("gene_id")
    return Truth("ERCC", spikes[column], None, spikes["ercc_subgroup"] == NEUTRAL)
