"""The data sets of which R's answers are kept, with our fits of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.eb.fit import EbFit
from bayesde.eb.options import EbOptions
from bayesde.posterior.point_estimates.fit import fit_eb

__all__ = ["SETS", "SHARED", "Reference", "answers", "load"]

SETS = ("pasilla", "airway", "pasilla_type", "gse60450", "sim20k_pairs", "yoruba")
REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
"""Data and answers beside the repository."""


@dataclass(frozen=True, eq=False)
class Reference:
    """One data set: our fit, and the folder of R's answers."""

    name: str
    folder: Path
    fit: EbFit
    coef: str

    def table(self, name: str) -> pd.DataFrame:
        """R's table, indexed by gene (all-zero genes are not in it)."""
        return pd.read_parquet(self.folder / f"{name}.parquet").set_index("gene").rename(index=str)

    def has(self, name: str) -> bool:
        """Tell whether R was asked for this table."""
        return (self.folder / f"{name}.parquet").exists()

    @cached_property
    def scalars(self) -> pd.Series:
        """R's scalars and names, as text."""
        return pd.read_csv(self.folder / "scalars.tsv", sep="\t", index_col="key")["value"]

    def scalar(self, key: str) -> float:
        """One of R's scalars."""
        return float(self.scalars[key])

    @property
    def reduced(self) -> str:
        """The reduced design of R's likelihood-ratio test."""
        return str(self.scalars["lrt_reduced"])

    def ours(self, values: object, theirs: pd.DataFrame | pd.Series) -> np.ndarray:
        """Our values (gene, ...) at the genes of R's table."""
        return np.asarray(values)[self.fit.counts.genes.get_indexer(theirs.index)]

    @cached_property
    def with_other_trends(self) -> dict[str, Reference]:
        """Fits with the other two kinds of trend, where R made them."""
        return {
            kind: replace(self, fit=fit_eb(self.fit.counts, self.fit.design, options=EbOptions(trend=kind)))
            for kind in ("local", "mean")
            if self.has(f"fitType_{kind}")
        }


@cache
def load(shared: Path, name: str) -> Reference:
    """Fit one of the data sets, once."""
    config = pd.read_csv(shared / "ref" / "config.tsv", sep="\t", index_col="name").loc[name]
    folder = shared / "data" / config["data"]
    matrix = pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col=0)
    samples = pd.read_csv(folder / "coldata.tsv", sep="\t", index_col=0).loc[matrix.columns]
    fit = fit_eb(
        Counts(matrix, sample_table=samples),
        config["design"],
        references={config["factor"]: config["ref"]},
    )
    return Reference(name, shared / "ref" / name, fit, f"{config['factor']}[T.{config['level']}]")


def answers(name: str) -> pd.DataFrame:
    """Read a table of R's answers that the tests keep, indexed by gene."""
    path = REPOSITORY / "tests" / "reference" / f"{name}.tsv"
    table = pd.read_csv(path, sep="\t", dtype={"gene": str}, float_precision="round_trip")
    return table.set_index("gene")
