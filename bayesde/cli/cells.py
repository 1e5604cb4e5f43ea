"""The command that analyses every cell type: it reads its options, calls the package and prints."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from bayesde.cli.folders import check_folder
from bayesde.cli.planning import build_plan
from bayesde.cli.running import finish_analyses, machine, resumable, shown_progress
from bayesde.errors import OptionError

if TYPE_CHECKING:
    from bayesde.cli.arguments import Chosen
    from bayesde.runs import RunPlan

__all__ = ["pseudobulk"]

SUMS, RUNS = "sums", "analyses"
"""Folders of the output: sums of the cell types, and the job of their runs."""


def pseudobulk(chosen: Chosen) -> None:
    """Sum the counts of single cells by sample and cell type, and sample the posteriors of every type.

    Writes TYPE.counts.tsv.gz and TYPE.samples.tsv into DIR/sums. With --design, every cell type is then
    analysed as by `bayesde sample`, in DIR/analyses/TYPE, and DIR/analyses/report.html compares them; types
    that the design cannot be fitted to are left out, with the reason. `bayesde resume DIR/analyses` goes on
    after an interruption.

    A sample is a biological one: cells are not replicates of each other. Where a donor has several samples,
    such as one of each condition, name the columns that make a sample, and the donor in the design.

    For example:

        bayesde pseudobulk cells.h5ad --sample mouse --cell-type cell_type -d '~ condition' -o types

        bayesde pseudobulk cells.h5ad --sample donor,stimulated --cell-type cell_type --layer counts
        -d '~ stimulated + (1 | donor)' -c stimulated,yes,no -o types
    """
    from bayesde.io import pseudobulk as summed
    from bayesde.runs import run_analyses
    from bayesde.runs.analyses.cell_types import by_cell_type, types_that_fit, write_cell_types
    from bayesde.runs.analyses.directory import JobDirectory

    out, force, cells = chosen["run"]["out"], bool(chosen["run"].get("force")), dict(chosen["cells"])
    analysed = bool(chosen["model"].get("design") or chosen["run"].get("config"))
    if analysed:
        _plan_of(chosen, Path("counts"), Path("samples"))  # options that cannot be are refused first
        JobDirectory(out / RUNS).check_free(force)
    check_folder(out, (SUMS,), force=force)
    with shown_progress() as progress:
        progress(0, 0, "summing the counts of the cells")
        counts = summed(cells.pop("cells"), **cells)
    of_types = by_cell_type(counts, cells["cell_type"])
    fitting = []
    if analysed:
        with TemporaryDirectory() as scratch:  # what cannot be analysed is refused before anything is written
            tried = write_cell_types(of_types, scratch)
            fitting = types_that_fit({name: _plan_of(chosen, *paths) for name, paths in tried.items()})
    written = write_cell_types(of_types, out / SUMS)
    typer.echo(f"{counts.n_samples} sums of {len(written)} cell types in {out / SUMS}")
    if not analysed:
        return
    plans = {name: _plan_of(chosen, *written[name]) for name in fitting}
    with shown_progress() as progress, resumable(out / RUNS):
        done = run_analyses(plans, out / RUNS, force=force, progress=progress, **machine(chosen))
    finish_analyses(done)


def _plan_of(chosen: Chosen, counts: Path, samples: Path) -> RunPlan:
    """Make the plan of one cell type."""
    files = {**chosen["files"], "counts": counts.absolute(), "samples": samples.absolute()}
    plan = build_plan("sample", {**chosen, "files": files})
    if isinstance(plan, dict):
        raise OptionError(
            "--config: the analyses of this command are the cell types; leave out the [[analysis]] tables, "
            "or give the files of one type to 'bayesde sample'."
        )
    return plan
