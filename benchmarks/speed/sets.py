"""The data sets: real counts, counts simulated from the model, and their files for the tools."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from bayesde import datasets
from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.io import read_counts
from bayesde.simulation import SimulationOptions, simulate

REPOSITORY = Path(__file__).resolve().parents[2]
YORUBA = REPOSITORY.parent / "shared" / "data" / "yoruba"
GSE60450 = REPOSITORY.parent / "shared" / "data" / "gse60450"


@dataclass(frozen=True)
class DataSet:
    """Counts, and the comparison that every tool makes of them.

    Attributes
    ----------
    name, title : str
    formula : str
        The design; `factor` is its last term.
    factor, level, reference : str
        What is compared: `level` with `reference` of `factor`.
    load : callable
        Makes the Counts.
    files : tuple of pathlib.Path, optional
        Counts and sample table where they are files already.
    """

    name: str
    title: str
    formula: str
    factor: str
    level: str
    reference: str
    load: Callable[[], Counts] = field(repr=False)
    files: tuple[Path, Path] | None = None

    @property
    def missing(self) -> bool:
        """Whether the files are not there."""
        return self.files is not None and not all(path.exists() for path in self.files)


@dataclass(frozen=True)
class SetFolder:
    """A data set as it is handed to the tools.

    Attributes
    ----------
    data : DataSet
    path : pathlib.Path
        ``counts.i32`` (little-endian, gene by gene), ``genes.txt``, ``samples.tsv``, ``design.tsv`` (model
        matrix) and ``meta.tsv``.
    counts_file, samples_file : pathlib.Path
        What the command line reads.
    n_genes, n_samples : int
    """

    data: DataSet
    path: Path
    counts_file: Path
    samples_file: Path
    n_genes: int
    n_samples: int


def simulate_counts(n_genes: int, n_samples: int, seed: int = 1) -> Counts:
    """Draw counts of two groups by `bayesde.simulate`: 20 % of the genes differ between them.

    Base means are log-normal (median 90, sd 1.8 of ln), log2 fold changes Normal(0, 1), dispersions
    0.05 + 3 / mean with a log-normal factor (sd 0.5 of ln).

    Parameters
    ----------
    n_genes, n_samples : int
    seed : int

    Returns
    -------
    Counts
        With a sample table whose ``condition`` is control in the first half of the samples, then treated.
    """
    options = SimulationOptions(
        effects="normal",
        effect_scale=math.log(2.0),
        zero_share=0.8,
        trend=(0.05, 3.0),
        median_mean=90.0,
        mean_log_sd=1.8,
    )
    groups = (n_samples // 2, n_samples - n_samples // 2)
    return simulate(n_genes, groups, seed=seed, options=options).counts


def simulated(name: str, n_genes: int, n_samples: int, seed: int = 1) -> DataSet:
    """Describe a simulated set."""
    title = f"simulated, {n_genes:,} genes x {n_samples:,} samples"
    load = partial(simulate_counts, n_genes, n_samples, seed)
    return DataSet(name, title, "~ condition", "condition", "treated", "control", load)


def _from_files(
    name: str, title: str, comparison: tuple[str, str, str, str], files: tuple[Path, Path]
) -> DataSet:
    return DataSet(name, title, *comparison, load=partial(read_counts, *files), files=files)


SETS = {
    data.name: data
    for data in (
        _from_files(
            "pasilla",
            "pasilla, 14,599 genes x 7 samples",
            ("~ condition", "condition", "treated", "untreated"),
            datasets.path("pasilla"),
        ),
        _from_files(
            "airway",
            "airway, 64,102 genes x 8 samples",
            ("~ cell + dex", "dex", "trt", "untrt"),
            datasets.path("airway"),
        ),
        _from_files(
            "gse60450",
            "gse60450, mouse mammary gland, 12 samples in 6 groups",
            ("~ group", "group", "basal.virgin", "basal.lactate"),
            (GSE60450 / "counts.tsv.gz", GSE60450 / "coldata.tsv"),
        ),
        simulated("sim8", 20_000, 8),
        simulated("sim100", 20_000, 100),
        _from_files(
            "yoruba",
            "yoruba, 38,415 genes x 69 samples",
            ("~ gender", "gender", "male", "female"),
            (YORUBA / "counts.tsv.gz", YORUBA / "coldata.tsv"),
        ),
    )
}
QUICK = {"tiny": simulated("tiny", 400, 6)}


def write_set(data: DataSet, path: Path, *, command_files: bool = True) -> SetFolder:
    """Write a data set for the tools.

    Parameters
    ----------
    data : DataSet
    path : pathlib.Path
        A new folder.
    command_files : bool
        Also write text files for the command line, where there are none.

    Returns
    -------
    SetFolder
    """
    counts = data.load()
    path.mkdir(parents=True)
    table = counts.sample_table[[name for name in counts.sample_table if str(name) in data.formula]]
    design = Design.from_formula(data.formula, table, references={data.factor: data.reference})
    counts.matrix.astype("<i4").tofile(path / "counts.i32")
    (path / "genes.txt").write_text("\n".join(counts.genes) + "\n")
    table.to_csv(path / "samples.tsv", sep="\t", index_label="sample")
    matrix = pd.DataFrame(design.matrix, index=counts.samples, columns=list(design.coefficients))
    matrix.to_csv(path / "design.tsv", sep="\t", index_label="sample")
    meta = {"formula": data.formula, "factor": data.factor, "level": data.level, "reference": data.reference}
    pd.Series(meta).to_csv(path / "meta.tsv", sep="\t", header=False)
    files = data.files or (path / "counts.tsv.gz", path / "samples.tsv")
    if command_files and data.files is None:
        text = pd.DataFrame(counts.matrix, index=counts.genes, columns=counts.samples)
        text.to_csv(
            files[0], sep="\t", index_label="gene", compression={"method": "gzip", "compresslevel": 1}
        )
    return SetFolder(data, path, *files, counts.n_genes, counts.n_samples)


def remove(folder: SetFolder) -> None:
    """Delete what `write_set` wrote."""
    shutil.rmtree(folder.path, ignore_errors=True)
