"""Fits of the data sets for which R's answers are kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesde.counts import Counts
from bayesde.eb.fit import EbFit, fit_eb


@dataclass(frozen=True)
class Reference:
    """One data set: our fit, and the folder of R's answers."""

    name: str
    folder: Path
    fit: EbFit
    coef: str

    def table(self, name: str) -> pd.DataFrame:
        """R's table, indexed by gene (all-zero genes are not in it)."""
        return pd.read_parquet(self.folder / f"{name}.parquet").set_index("gene").rename(index=str)

    @property
    def reduced(self) -> str:
        """The reduced design of R's likelihood-ratio test."""
        scalars = pd.read_csv(self.folder / "scalars.tsv", sep="\t", index_col="key")["value"]
        return str(scalars["lrt_reduced"])

    def scalar(self, key: str) -> float:
        """One of R's scalars."""
        return float(pd.read_csv(self.folder / "scalars.tsv", sep="\t", index_col="key").loc[key, "value"])

    def ours(self, values: object, theirs: pd.DataFrame | pd.Series) -> np.ndarray:
        """Our values (gene,) at the genes of R's table."""
        return np.asarray(values)[self.fit.counts.genes.get_indexer(theirs.index)]


@cache
def load(shared: Path, name: str) -> Reference:
    config = pd.read_csv(shared / "ref" / "config.tsv", sep="\t", index_col="name").loc[name]
    folder = shared / "data" / config["data"]
    matrix = pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col=0)
    samples = pd.read_csv(folder / "coldata.tsv", sep="\t", index_col=0).loc[matrix.columns]
    counts = Counts(matrix, sample_table=samples)
    fit = fit_eb(counts, config["design"], references={config["factor"]: config["ref"]})
    return Reference(name, shared / "ref" / name, fit, f"{config['factor']}[T.{config['level']}]")


SETS = ["pasilla", "airway", "pasilla_type", "gse60450", "sim20k_pairs"]


@pytest.fixture(scope="session", params=[*SETS, "yoruba"])
def reference(request: pytest.FixtureRequest, shared: Path) -> Reference:
    return load(shared, request.param)


@pytest.fixture(scope="session", params=SETS)
def shrunken_reference(request: pytest.FixtureRequest, shared: Path) -> Reference:
    """Without the cohort, where R's prior scale is not that of the effects.

    Three of its genes lose all counts to outlier replacement; R gives them an effect and an error of 0, and
    these three set the scale of the prior for all genes to its floor of 0.001. Ours leaves them out.
    """
    return load(shared, request.param)


@pytest.fixture(scope="session", params=["airway", "pasilla_type", "gse60450", "sim20k_pairs"])
def lrt_reference(request: pytest.FixtureRequest, shared: Path) -> Reference:
    """Sets for which R was asked for a likelihood-ratio test."""
    return load(shared, request.param)
