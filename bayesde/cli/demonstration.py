"""The command that demonstrates: it has two runs carried out and prints a few lines of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bayesde.cli.running import finish, machine, run_plan, shown_progress

if TYPE_CHECKING:
    from bayesde.cli.arguments import Chosen
    from bayesde.runs import RunPlan
    from bayesde.runs.execution import RunOutcome

__all__ = ["demo"]


def demo(chosen: Chosen) -> None:
    """Run the full workflow on real counts that ship with the package.

    Computes point estimates and posteriors of all 14,599 genes of the pasilla experiment, without Stan, and
    prints a table of the top genes. Then, where there is a C++ compiler, Stan's NUTS samples 200 of the genes
    into DIR/stan, and the agreement of the two is printed; Stan is built when it is first needed. An earlier
    demo in DIR is replaced, any other run only with --force.

    For example:

        bayesde demo --out demo
    """
    from rich.console import Console

    from bayesde.cli.options import DEMO_FOLDER
    from bayesde.runs.demo import agreement, check_plan, demo_plan, demo_table, missing_for_stan

    out = chosen["run"].get("out", DEMO_FOLDER)
    outcome = _run(demo_plan(), out, chosen)
    Console().print(demo_table(outcome))
    typer.echo(f"plots in {outcome.directory / 'plots'}, draws in {outcome.directory / 'posterior.zarr'}")
    if missing := missing_for_stan():
        typer.echo(f"the comparison with Stan is left out: {missing}", err=True)
    else:
        checked = _run(check_plan(outcome.directory), out / "stan", chosen)
        typer.echo(agreement(outcome, checked))
    finish(outcome, exit_code=0)  # a gene that fails a check is part of what is shown


def _run(plan: RunPlan, out: Path, chosen: Chosen) -> RunOutcome:
    """Carry out one of the plans; an earlier demonstration in its folder is replaced."""
    from bayesde.runs.demo import holds_demo

    force = bool(chosen["run"].get("force")) or holds_demo(out, plan)
    with shown_progress() as progress:
        return run_plan(plan, out, force=force, machine=machine(chosen), progress=progress)
