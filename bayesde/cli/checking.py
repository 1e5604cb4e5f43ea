"""The command that checks the normalization: it reads counts, prints what was found, and may draw it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bayesde.errors import InputError
from bayesde.options import nearest

if TYPE_CHECKING:
    from bayesde.cli.arguments import Chosen
    from bayesde.explore import NormalizationCheck

__all__ = ["check"]

PROBLEMS = 3
"""Exit code where something should be looked at before a fit."""


def check(chosen: Chosen) -> None:
    """Check whether samples can be made comparable by size factors, before a fit.

    Compares size factors from total counts, median ratios, positive counts and control genes or spike-ins;
    names genes that take most of the reads of a sample; tells whether the median ratio is among genes that do
    not change; and, of normalization factors by gene and sample, whether they were built from the counts
    themselves. Exit code 0: no problem; 3: there are problems, which are printed with what to do.

    For example:

        bayesde check counts.tsv.gz samples.tsv

        bayesde check counts.tsv.gz samples.tsv --by condition --control-genes ercc.txt --plot check.png
    """
    from bayesde.explore import normalization_check
    from bayesde.io import read_counts, read_gene_table
    from bayesde.runs.inputs import read_gene_list

    files, by = chosen["files"], chosen["check"].get("by")
    counts = read_counts(files["counts"], samples=files["samples"])
    if (out := chosen["check"].get("plot")) is not None:
        _check_picture(out)
    listed, factors = files.get("control_genes"), files.get("normalization_factors")
    found = normalization_check(
        counts,
        by,
        control_genes=None if listed is None else read_gene_list(listed, counts),
        factors=None if factors is None else read_gene_table(factors),
    )
    typer.echo(str(found))
    if out is not None:
        _draw(found, out)
    if found.problems:
        raise typer.Exit(PROBLEMS)


def _check_picture(out: Path) -> None:
    """Refuse a file that no picture can be written to, before anything is computed."""
    from matplotlib.figure import Figure

    known = sorted(Figure().canvas.get_supported_filetypes())
    ending = out.suffix.removeprefix(".").lower()
    if ending not in known:
        raise InputError(
            f"--plot '{out}': pictures end with one of {', '.join(known)}.{nearest(ending, known)}"
        )
    if not out.parent.is_dir():
        raise InputError(f"--plot '{out}': there is no folder '{out.parent}'.")


def _draw(found: NormalizationCheck, out: Path) -> None:
    """Save the picture."""
    from io import BytesIO

    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from bayesde.io import write_atomically
    from bayesde.plots import normalization_plot

    figure, stream = normalization_plot(found)[0].figure, BytesIO()
    figure.savefig(stream, dpi=150, format=out.suffix.removeprefix(".").lower())
    plt.close(figure)
    write_atomically(out, stream.getvalue())
    typer.echo(f"the picture is {out}", err=True)
