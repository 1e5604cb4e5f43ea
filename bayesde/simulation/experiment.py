"""A simulated experiment: its counts, the truth, and the files of both."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.io.writing import results_folder, write_atomically
from bayesde.simulation.options import SimulationOptions

__all__ = ["FILES", "Simulation"]

LN2 = math.log(2.0)
FILES = ("simulation.json", "counts.tsv.gz", "samples.tsv", "truth.tsv", "hyperparameters.json")


@dataclass(frozen=True, eq=False, repr=False)
class Simulation:
    """Simulated counts and the true parameters.

    Attributes
    ----------
    counts : Counts
        With the sample table.
    design : Design
    beta : ndarray (gene, coefficient)
        Coefficients, natural log; NaN where the base mean is 0.
    truth : pandas.DataFrame
        Indexed by gene: ``base_mean``, ``dispersion``, ``dispersion_trend``, ``log2_fold_change`` (of the
        default contrast of a results table), ``log2[NAME]`` for every coefficient.
    size_factors : pandas.Series (sample,)
    hyperparameters : dict
        As ``hyperparameters.json`` of a run: ``shrinkage_scale`` (by coefficient), ``dispersion_sd``,
        ``asymptotic_dispersion`` and ``extra_poisson`` (None with a trend given as a function),
        ``residuals``, ``nu``.
    options : SimulationOptions
    seed : int or None
        None where a generator was given.
    """

    counts: Counts
    design: Design
    beta: np.ndarray
    truth: pd.DataFrame
    size_factors: pd.Series
    hyperparameters: dict[str, Any]
    options: SimulationOptions
    seed: int | None

    def __repr__(self) -> str:
        size = f"{self.counts.n_genes} genes, {self.counts.n_samples} samples"
        return f"<Simulation: {size}, design {self.design.formula!r}, seed {self.seed}>"

    def log2_fold_change(self, contrast: Any = None) -> pd.Series:
        """Return the true value of any contrast by gene.

        Parameters
        ----------
        contrast : optional
            Anything that ``design.contrast`` takes; by default the contrast of a results table.

        Returns
        -------
        pandas.Series (gene,)
            log2.

        Raises
        ------
        InputError
            If the design has no such contrast.
        """
        return pd.Series(
            self.beta @ self.design.contrast(contrast).vector / LN2,
            index=self.truth.index,
            name="log2_fold_change",
        )

    def write(self, directory: str | PathLike[str]) -> Path:
        """Write counts.tsv.gz, samples.tsv, truth.tsv and, last, simulation.json.

        Every file is written under a temporary name and renamed. With Cauchy effects and a trend of two
        numbers there is also hyperparameters.json, which `bayesde sample --hyperparameters` reads.

        Parameters
        ----------
        directory : path
            Created if it does not exist; files of these names in it are replaced.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        InputError
            If the folder cannot be made or written to.
        """
        with results_folder(directory) as folder:
            for name in FILES:
                (folder / name).unlink(missing_ok=True)
            for name, content in self._contents().items():
                write_atomically(folder / name, content)
        return folder

    def _contents(self) -> dict[str, str | bytes]:
        """Make the files; the last one shows that all are there."""
        table = self.counts.sample_table.assign(size_factor=self.size_factors)
        files: dict[str, str | bytes] = {
            "counts.tsv.gz": gzip.compress(
                _tab_separated(self.counts.to_frame(), "gene").encode(), 6, mtime=0
            ),
            "samples.tsv": _tab_separated(table, "sample"),
            "truth.tsv": _tab_separated(self.truth, "gene"),
        }
        if self.options.effects == "cauchy" and not callable(self.options.trend):
            files["hyperparameters.json"] = json.dumps(self.hyperparameters, indent=1) + "\n"
        return files | {"simulation.json": json.dumps(self._record(), indent=1) + "\n"}

    def _record(self) -> dict[str, Any]:
        from bayesde import __version__

        options: dict[str, Any] = dict(vars(self.options))
        scales = self.options.effect_scale
        options["effect_scale"] = dict(scales) if isinstance(scales, Mapping) else scales
        options["trend"] = None if callable(self.options.trend) else list(self.options.trend)
        return {
            "bayesde": __version__,
            "numpy": np.__version__,
            "seed": self.seed,
            "genes": self.counts.n_genes,
            "samples": self.counts.n_samples,
            "design": self.design.formula,
            "coefficients": list(self.design.coefficients),
            "options": options,
            "hyperparameters": self.hyperparameters,
        }


def _tab_separated(table: pd.DataFrame, index: str) -> str:
    return table.to_csv(sep="\t", index_label=index, lineterminator="\n")
