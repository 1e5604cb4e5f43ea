"""The command that fits the bias of read starts: it reads its options, calls the package and prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bayesde.cli.folders import check_folder
from bayesde.errors import InputError, OptionError

if TYPE_CHECKING:
    from bayesde.cli.arguments import Chosen
    from bayesde.cli.options import BiasFiles

__all__ = ["bias"]


def bias(chosen: Chosen) -> None:
    """Fit the bias of read starts in BAM files, and compute effective lengths of genes that correct for it.

    Writes average_lengths.tsv, which `bayesde eb` and `bayesde sample` read; counts of fragments, also
    re-weighted and as RPKM; libraries.tsv, positions.tsv and differences.tsv with the strength of the bias
    and the differences between libraries; plots; and diagnosis.txt, which says whether a correction is worth
    it. Needs the libraries of bayesde[bias].

    For example:

        bayesde bias a.bam b.bam --genome genome.fa --annotation genes.gtf -o bias

        bayesde bias ctrl=1.bam drug=2.bam --genome genome.fa --annotation genes.gtf --model network -o bias

        bayesde eb bias/counts.tsv samples.tsv -d '~ condition' --average-lengths bias/average_lengths.tsv -o
        eb
    """
    from bayesde.bias import BiasOptions, fit, write
    from bayesde.bias.outputs import RECORD
    from bayesde.cli.options import BiasFiles

    out = chosen["run"]["out"]
    check_folder(out, (RECORD,), force=bool(chosen["run"].get("force")))
    files = BiasFiles(**chosen["files"])
    found = fit(
        files.bams,
        files.genome,
        files.annotation,
        condition=_condition(files),
        options=BiasOptions(**chosen["bias"]),
        progress=lambda message: typer.echo(message, err=True),
    )
    folder = write(found, out, tracks=files.tracks)
    for sentence in found.diagnosis:
        typer.echo(sentence)
    typer.echo(f"effective lengths of {len(found.places.names):,} genes in {folder / 'average_lengths.tsv'}")


def _condition(files: BiasFiles) -> dict[str, object] | None:
    """Read the condition of each sample."""
    if files.samples is None and files.condition is None:
        return None
    if files.samples is None or files.condition is None:
        raise OptionError(
            "--samples and --condition belong together: a sample table, and one of its columns."
        )
    from bayesde.io import read_sample_table

    table = read_sample_table(files.samples)
    if files.condition not in table:
        raise InputError(
            f"'{files.samples}' has no column '{files.condition}'; its columns are "
            f"{', '.join(table.columns)}."
        )
    return {str(name): value for name, value in table[files.condition].items()}
