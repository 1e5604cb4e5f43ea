"""A null on real counts: the disease of the donors is shuffled, so that no gene has an effect of it.

The counts are those of variancePartition's example: 12 individuals, two samples each, six diseased
(Hoffman and Roussos 2021, doi:10.1093/bioinformatics/btaa687).
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesde import Counts, SamplingOptions, filter_by_cpm, fit_posterior
from bayesde.errors import BayesdeWarning

__all__ = ["DESIGNS", "FOLDER", "expressed", "halves", "shuffled"]

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "varpart_de"
DESIGNS = {"ignored": "~ shuffled", "random": "~ shuffled + (1 | Individual)"}
LAWS = ("cauchy", "spike_t")
CALLED = 0.05


def shuffled(genes: int, splits: int, folder: Path = FOLDER) -> Iterator[dict[str, Any]]:
    """Count the genes called for a disease that was shuffled over the donors, with donors ignored and random.

    Parameters
    ----------
    genes : int
        Drawn at random from the expressed ones.
    splits : int
        Random halves of the donors.
    folder : Path
        With the counts and the sample table.

    Yields
    ------
    dict
        For every split, way to treat donors and law of effects: ``diseased``, how many of the diseased are
        in the half that is called diseased; ``wald``, genes with an adjusted p-value of DESeq2's Wald test
        below 0.05, if donors are ignored; ``called``, genes with s < 0.05; ``false_signs``, the sum of their
        probabilities of a wrong sign, as the posterior has it; ``bad_k``; ``cpu``, seconds of all cores.
    """
    for split, (own, diseased) in enumerate(halves(expressed(genes, folder), splits)):
        for name in DESIGNS:
            for law in LAWS:
                key = {"split": split, "diseased": diseased, "donors": name, "effects": law}
                yield key | _called(own, name, law)


def halves(counts: Counts, splits: int, donors: int | None = None) -> Iterator[tuple[Counts, int]]:
    """Shuffle the disease over the donors.

    Parameters
    ----------
    counts : Counts
    splits : int
        How often.
    donors : int, optional
        So many of them, drawn at random each time; by default all.

    Yields
    ------
    counts : Counts
        With the column ``shuffled`` in the sample table.
    diseased : int
        How many of the diseased are in the half that is called diseased.
    """
    table = counts.sample_table
    everyone, rng = table["Individual"].unique(), np.random.default_rng(1)
    sick = set(table.loc[table["Disease"] == "1", "Individual"])
    for _ in range(splits):
        chosen = everyone if donors is None else rng.choice(everyone, donors, replace=False)
        half = rng.choice(chosen, chosen.size // 2, replace=False)
        shuffle = np.where(table["Individual"].isin(half), "yes", "no")
        own = Counts(counts.to_frame(), sample_table=table.assign(shuffled=shuffle))
        yield own.subset(samples=table["Individual"].isin(chosen).to_numpy()), len(sick & set(half))


def expressed(genes: int, folder: Path = FOLDER) -> Counts:
    """Return the counts of some of the expressed genes, drawn at random."""
    table = pd.read_csv(folder / "coldata.tsv", sep="\t", index_col=0, dtype=str)
    counts = Counts(pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col=0), sample_table=table)
    rows = np.flatnonzero(filter_by_cpm(counts, group="Disease").mask)
    return counts.subset(genes=np.sort(np.random.default_rng(1).choice(rows, genes, replace=False)))


def _called(counts: Counts, design: str, law: str) -> dict[str, float]:
    """Fit counts, and count the calls."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        options = SamplingOptions(effects=law, hand_over=False)
        posterior = fit_posterior(counts, DESIGNS[design], seed=1, options=options)
        table = posterior.results()
        wald = int((posterior.eb.results()["padj"] < CALLED).sum()) if design == "ignored" else math.nan
    called = table["s_value"] < CALLED
    return {
        "wald": wald,
        "called": int(called.sum()),
        "false_signs": float(table.loc[called, "lfsr"].sum()),
        "bad_k": float((table["pareto_k"] > 0.7).mean()),
        "cpu": time.process_time() - start,
    }
