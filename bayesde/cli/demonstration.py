"""The command that demonstrates: it has two runs carried out and prints a few lines of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesde.cli.arguments import Force, Workers
from bayesde.cli.running import finish, run_plan, shown_progress

if TYPE_CHECKING:
    from bayesde.runs import RunPlan
    from bayesde.runs.execution import RunOutcome

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")] = Path(
        "demo"
    ),
    workers: Workers = None,
    force: Force = False,
) -> None:
    """Run the whole road on real counts that ship with the package.

    Point estimates and posteriors of all 14,599 genes of the pasilla experiment, without Stan: a table,
    pictures, and a few lines of both on the screen. Then, where there is a compiler, Stan's NUTS samples 200
    of the genes into DIR/stan, and a sentence says how far the two agree; what Stan needs is built at the
    first use. An earlier demo in DIR is replaced, any other run only with --force.

    For example:

        bayesde demo --out demo
    """
    from rich.console import Console

    from bayesde.runs.demo import agreement, check_plan, demo_plan, demo_table, missing_for_stan

    outcome = _run(demo_plan(), out, force, workers)
    Console().print(demo_table(outcome))
    typer.echo(f"pictures in {outcome.directory / 'plots'}, draws in {outcome.directory / 'posterior.zarr'}")
    if missing := missing_for_stan():
        typer.echo(f"left out, the comparison with Stan: {missing}", err=True)
    else:
        checked = _run(check_plan(outcome.directory), out / "stan", force, workers)
        typer.echo(agreement(outcome, checked))
    finish(outcome, exit_code=0)  # a gene that fails a check is part of what is shown


def _run(plan: RunPlan, out: Path, force: bool, workers: int | None) -> RunOutcome:
    """Carry out one of the plans; an earlier demonstration in its folder is replaced."""
    from bayesde.runs.demo import holds_demo

    with shown_progress() as progress:
        return run_plan(plan, out, force or holds_demo(out, plan), workers, progress)
