"""The command that simulates: it reads its options, calls the package and prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bayesde.cli.folders import check_folder
from bayesde.errors import InputError, OptionError

if TYPE_CHECKING:
    import numpy as np

    from bayesde.cli.arguments import Chosen

__all__ = ["simulate"]


def simulate(chosen: Chosen) -> None:
    """Simulate counts with known truth from the model of the package.

    Writes counts.tsv.gz and samples.tsv, which `bayesde eb` and `bayesde sample` read; truth.tsv with the
    base mean, dispersion and log2 fold changes of every gene; simulation.json with the seed and all options;
    and, with Cauchy effects, hyperparameters.json for `bayesde sample --hyperparameters`.

    For example:

        bayesde simulate --genes 20000 --samples 4,4 --zero-share 0.8 -o simulated

        bayesde eb simulated/counts.tsv.gz simulated/samples.tsv -d '~ condition' -o simulated/eb

        bayesde simulate --samples samples.tsv -d '~ condition' --base-means eb/results.tsv -o like_mine
    """
    from bayesde.cli.options import SimulatedExperiment
    from bayesde.io import read_sample_table
    from bayesde.simulation import FILES, SimulationOptions
    from bayesde.simulation import simulate as draw

    out = chosen["run"]["out"]
    check_folder(out, FILES, force=bool(chosen["run"].get("force")))
    experiment = SimulatedExperiment(**chosen["experiment"])
    sizes = _sizes(experiment.samples)
    simulation = draw(
        experiment.genes,
        sizes or (4, 4),
        design=experiment.design,
        sample_table=None if sizes else read_sample_table(experiment.samples),
        base_mean=None if experiment.base_means is None else _base_means(experiment.base_means),
        seed=experiment.seed,
        options=SimulationOptions(**chosen["laws"]),
    )
    folder = simulation.write(out)
    counts = simulation.counts
    typer.echo(f"{counts.n_genes:,} genes, {counts.n_samples} samples in {folder / 'counts.tsv.gz'}")


def _sizes(text: str) -> tuple[int, ...] | None:
    """Read the sizes of groups, or of all samples for two groups; None if the text is the name of a file."""
    parts = text.split(",")
    if not all(part.strip().lstrip("+-").isdigit() for part in parts):
        if Path(text).exists() or not text.replace(",", "").replace(" ", "").replace(".", "").isdigit():
            return None
        raise OptionError(
            f"--samples {text!r} is not understood; give whole numbers, such as 4,4, or a file."
        )
    sizes = tuple(int(part) for part in parts)
    if len(sizes) == 1 and sizes[0] > 1:  # one group would leave nothing to compare
        return sizes[0] - sizes[0] // 2, sizes[0] // 2
    return sizes


def _base_means(path: Path) -> np.ndarray:
    """Read the base means of a table."""
    from bayesde.io import read_gene_table

    table = read_gene_table(path)
    if "base_mean" not in table.columns:
        raise InputError(f"'{path}' has no column 'base_mean'; its columns are {', '.join(table.columns)}.")
    return table["base_mean"].to_numpy()
