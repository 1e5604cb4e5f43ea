"""R's answers on pasilla that ``transforms.R`` wrote, and the inputs that it made up for them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from bayesde import Counts, datasets

EVERY_THIRD = slice(0, None, 3)


@cache
def _table() -> pd.DataFrame:
    path = Path(__file__).with_suffix(".tsv.gz")
    return pd.read_csv(path, sep="\t", index_col=0, keep_default_na=False, float_precision="round_trip")


def answer(quantity: str) -> pd.DataFrame:
    """One of R's tables, (60 genes, 7 samples)."""
    return _table().loc[quantity].set_index("gene").astype(float)


def answer_by_sample(quantity: str) -> pd.Series:
    """One of R's vectors, (7 samples,)."""
    return _table().loc[quantity].drop("gene").replace("NA", "nan").astype(float)


@cache
def pasilla() -> Counts:
    return datasets.load_pasilla()


def lengths() -> np.ndarray:
    """Lengths (gene, sample) made of the numbers of row and column."""
    i = np.arange(1, pasilla().n_genes + 1)[:, None]
    j = np.arange(1, pasilla().n_samples + 1)
    return 500.0 + (i * 37) % 3001 + 13 * ((i + 7 * j) % 29)


@cache
def pasilla_with_lengths() -> Counts:
    counts = pasilla()
    return Counts(
        counts.matrix,
        genes=counts.genes,
        samples=counts.samples,
        sample_table=counts.sample_table,
        average_lengths=lengths(),
    )
