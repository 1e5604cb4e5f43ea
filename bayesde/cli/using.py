"""The command that analyses usage: it reads its options, calls the package and prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from bayesde.cli.folders import check_folder
from bayesde.cli.running import shown_progress
from bayesde.errors import OptionError

if TYPE_CHECKING:
    from bayesde.cli.arguments import Chosen

__all__ = ["usage"]

FAILED_FEATURES = 3
"""Exit code if features failed a check."""


def usage(chosen: Chosen) -> None:
    """Find exons, junctions or isoforms that are used differently: the question of DEXSeq.

    Each feature is compared with the others of its gene in the same sample. Writes results.tsv (tests by
    feature), genes.tsv (q-values by gene), results.columns.json and usage.json into DIR; with --posterior
    also posterior.tsv, changes of usage with intervals and false sign rates, and for junctions as percent
    spliced in. Exit code 3: done, but some features failed a check; the column `status` shows which.

    For example:

        bayesde usage bins.tsv.gz samples.tsv -d '~ type + condition' -c condition,treated,untreated -o usage

        bayesde usage inclusion.tsv samples.tsv --exclusion exclusion.tsv --lengths lengths.tsv
        -d '~ condition' --posterior -o psi
    """
    from bayesde.runs.compiling import MESSAGES, is_cold
    from bayesde.statuses import FAILED
    from bayesde.usage import UsageOptions, fit_usage, read_usage
    from bayesde.usage.writing import FILES, write_usage

    files, asked, out = chosen["files"], chosen["usage"], chosen["run"]["out"]
    check_folder(out, FILES, force=bool(chosen["run"].get("force")))
    contrast, references = _contrast(chosen["model"])
    counts = read_usage(
        files["counts"], files["samples"], exclusion=asked.get("exclusion"), lengths=asked.get("lengths")
    )
    with shown_progress() as progress:
        if is_cold("bayesde.usage.likelihood"):
            progress(0, 0, MESSAGES["eb"])
        fit = fit_usage(
            counts,
            chosen["model"]["design"],
            reduced=asked.get("reduced"),
            references=references,
            options=UsageOptions(**chosen["options"]),
        )
        fit.design.contrast(contrast)  # refused before anything is written
        posterior = fit.posterior(progress=progress) if asked.get("posterior") else None
    results, genes, sampled = write_usage(out, fit, contrast, posterior)
    fdr = fit.options.fdr
    typer.echo(
        f"{int((results['padj'] < fdr).sum()):,} of {len(results):,} features with padj < {fdr:g}, "
        f"{int((genes['q_value'] < fdr).sum()):,} of {len(genes):,} genes with q_value < {fdr:g}, in {out}"
    )
    status = results["status"] if sampled is None else sampled["status"]
    failed = int(status.isin(FAILED).sum())
    if failed:
        typer.echo(f"{failed} feature(s) failed a check; see the column 'status'.", err=True)
        raise typer.Exit(FAILED_FEATURES)


def _contrast(model: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    """Return the contrast, and reference levels: that of the contrast where none is given."""
    contrasts = model.get("contrast") or [None]
    if len(contrasts) > 1:
        raise OptionError(f"--contrast is given {len(contrasts)} times; give one.")
    contrast, references = contrasts[0], dict(model.get("references", {}))
    if isinstance(contrast, tuple) and len(contrast) == 3 and isinstance(contrast[0], str):
        references.setdefault(contrast[0], contrast[2])
    return contrast, references
