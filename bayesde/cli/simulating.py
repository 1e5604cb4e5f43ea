"""The command that simulates: it reads its arguments, calls the package and prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesde.errors import InputError, OptionError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["simulate"]


def simulate(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the files; made if need be.")
    ],
    genes: Annotated[
        int | None,
        typer.Option(
            "--genes",
            "-g",
            metavar="N",
            help="Number of genes. Default: 2000, or as many as --base-means has.",
        ),
    ] = None,
    samples: Annotated[
        str,
        typer.Option(
            "--samples",
            "-s",
            metavar="SIZES|FILE",
            help="Samples in each group, `4,4`, `3,3,6`; one number, `8`, is shared between two groups; or a "
            "table of samples, one row each.",
        ),
    ] = "4,4",
    design: Annotated[
        str | None,
        typer.Option(
            "--design",
            "-d",
            metavar="FORMULA",
            help="What counts depend on. Default: `'~ condition'`, the groups; needed with a table.",
        ),
    ] = None,
    effects: Annotated[
        str | None,
        typer.Option(
            metavar="LAW",
            help="Law of the effects: `cauchy` (default, as the model has it), `normal`, `student_t` with 3 "
            "degrees of freedom, or `mixture`, effects of about plus or minus the scale.",
        ),
    ] = None,
    effect_scale: Annotated[
        float | None,
        typer.Option(metavar="S", help="Their scale, natural log [default: 0.5]."),
    ] = None,
    zero_share: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Share of genes whose effect is exactly 0 [default: 0]."),
    ] = None,
    trend: Annotated[
        str | None,
        typer.Option(
            metavar="A0,A1", help="Dispersion trend a0 + a1 / base mean [default: 0.05,2]; 0,0 is Poisson."
        ),
    ] = None,
    dispersion_sd: Annotated[
        float | None,
        typer.Option(metavar="SIGMA", help="Spread of ln dispersion around the trend [default: 0.5]."),
    ] = None,
    base_means: Annotated[
        Path | None,
        typer.Option(
            metavar="TSV",
            help="Base means of real genes: the column `base_mean` of a results.tsv or another table. "
            "Default: log-normal with median 100.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed; same seed, same counts.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier simulation in DIR.")] = False,
) -> None:
    """Simulate counts with known truth from the model of the package.

    Writes counts.tsv.gz and samples.tsv, which `bayesde eb` and `bayesde sample` read; truth.tsv with the
    base mean, dispersion and log2 fold changes of every gene; simulation.json with the seed and all options;
    and, with Cauchy effects, hyperparameters.json for `bayesde sample --hyperparameters`.

    For example:

        bayesde simulate --genes 20000 --samples 4,4 --zero-share 0.8 -o simulated

        bayesde eb simulated/counts.tsv.gz simulated/samples.tsv -d '~ condition' -o simulated/eb

        bayesde simulate --samples samples.tsv -d '~ condition' --base-means eb/results.tsv -o like_mine
    """
    from bayesde.io import read_sample_table
    from bayesde.simulation import SimulationOptions
    from bayesde.simulation import simulate as draw

    _check_folder(out, force)
    laws: dict[str, Any] = {
        "effects": effects,
        "effect_scale": effect_scale,
        "zero_share": zero_share,
        "trend": None if trend is None else _two_numbers(trend),
        "dispersion_sd": dispersion_sd,
    }
    sizes = _sizes(samples)
    simulation = draw(
        genes,
        sizes or (4, 4),
        design=design,
        sample_table=None if sizes else read_sample_table(samples),
        base_mean=None if base_means is None else _base_means(base_means),
        seed=seed,
        options=SimulationOptions(**{name: value for name, value in laws.items() if value is not None}),
    )
    folder = simulation.write(out)
    counts = simulation.counts
    typer.echo(f"{counts.n_genes:,} genes, {counts.n_samples} samples in {folder / 'counts.tsv.gz'}")


def _check_folder(out: Path, force: bool) -> None:
    """Refuse to write over what may be somebody's only copy."""
    from bayesde.simulation import FILES

    there = [name for name in FILES if (out / name).exists()]
    if (out / "run.json").exists():
        raise InputError(f"'{out}' holds a run of bayesde; give another folder")
    if there and not force:
        raise InputError(f"'{out}' already holds {', '.join(there)}; --force replaces them")


def _sizes(text: str) -> tuple[int, ...] | None:
    """Read the sizes of groups, or of all samples for two groups; None if the text is the name of a file."""
    parts = text.split(",")
    if not all(part.strip().lstrip("+-").isdigit() for part in parts):
        if Path(text).exists() or not text.replace(",", "").replace(" ", "").replace(".", "").isdigit():
            return None
        raise OptionError(f"--samples {text!r} is not understood; give whole numbers, such as 4,4, or a file")
    sizes = tuple(int(part) for part in parts)
    if len(sizes) == 1 and sizes[0] > 1:  # one group would leave nothing to compare
        return sizes[0] - sizes[0] // 2, sizes[0] // 2
    return sizes


def _two_numbers(text: str) -> tuple[float, float]:
    """Read a0 and a1."""
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"--trend {text!r} is not understood; give two numbers, such as 0.05,2") from None
    return first, second


def _base_means(path: Path) -> np.ndarray:
    """Read the base means of a table."""
    from bayesde.io import read_gene_table

    table = read_gene_table(path)
    if "base_mean" not in table.columns:
        raise InputError(f"'{path}' has no column 'base_mean'; its columns are {', '.join(table.columns)}")
    return table["base_mean"].to_numpy()
