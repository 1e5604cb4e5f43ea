"""The commands: each reads its arguments, calls the package and prints; none does the work itself."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from bayesde import __version__
from bayesde.cli.biasing import bias
from bayesde.cli.cells import pseudobulk
from bayesde.cli.checking import check
from bayesde.cli.demonstration import demo
from bayesde.cli.power import power
from bayesde.cli.running import (
    carry_out,
    finish,
    finish_analyses,
    machine,
    resumable,
    shown_progress,
)
from bayesde.cli.sampling import sample
from bayesde.cli.simulating import simulate
from bayesde.cli.using import usage
from bayesde.errors import BayesdeError, BayesdeNote, BayesdeWarning, OptionError

if TYPE_CHECKING:
    from bayesde.cli.arguments import Chosen

__all__ = ["app", "complete_command", "main"]

WATCH_EVERY = 5.0
"""Seconds between two looks of `bayesde status --watch`."""
_FUNCTIONS: dict[str, Callable[[Chosen], None]] = {}
"""The commands whose options are made from option classes."""


class _Commands(TyperGroup):
    """Commands whose options are made when one is called: making those of all takes a while."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name of the command that is called, the command with its options, and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, complete_command(name) if name in _FUNCTIONS else command, rest


def complete_command(name: str) -> Any:
    """Return a command with its options.

    Parameters
    ----------
    name : str
        For example ``"eb"``.

    Returns
    -------
    click.Command
    """
    from bayesde.cli.arguments import with_options
    from bayesde.cli.options import LIKE, PARTS

    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    alone.command(name)(with_options(LIKE.get(name, name), PARTS[name], _FUNCTIONS[name]))
    return get_command(alone)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Bayesian differential expression for RNA-seq counts.\n\n"
    "Start with `bayesde demo`, which runs on real counts that ship with the package. Point estimates "
    "(`bayesde eb`) take about a second, the posteriors of all genes (`bayesde sample`) several seconds; "
    "sampling with Stan (`--engine nuts`) takes longer, and can be interrupted and resumed.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bayesde {__version__}")
        raise typer.Exit


def _command(function: Callable[[Chosen], None]) -> None:
    """List a function of what the user chose among the commands."""

    def listed() -> None:
        """Stand for the command where it is listed."""

    name = function.__name__.replace("_", "-")
    listed.__doc__ = function.__doc__
    app.command(name)(listed)
    _FUNCTIONS[name] = function


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Hold the options of no command in particular."""


def eb(chosen: Chosen) -> None:
    """Compute point estimates, tests and shrunken effects as DESeq2 and apeglm do; needs no compiler.

    Writes results.tsv, hyperparameters.json (except with a local trend, which has no parameters) and plots
    into DIR, and the shrunken effects into DIR/shrunken; with --shrink, results.tsv has the shrunken effects.
    A design with random effects, such as '~ condition + (1 | donor)', gives no p-values.

    For example:

        bayesde eb counts.tsv.gz samples.tsv -d '~ batch + condition' -c condition,treated,control -o eb

        bayesde eb counts.csv samples.csv -d '~ condition' -c condition,treated,control --shrink -o shrunken

        bayesde eb counts.csv samples.csv -d '~ batch + time' --test lrt --reduced '~ batch' -o lrt
    """
    carry_out("eb", chosen)


def resume(chosen: Chosen) -> None:
    """Resume an interrupted run, or a job of several analyses.

    Finished blocks and analyses are not done again, and the draws are those of a run that was never
    interrupted.

    For example:

        bayesde resume post
    """
    from bayesde.runs import holds_analyses, resume_analyses
    from bayesde.runs import resume as continued

    folder = chosen["run"]["directory"]
    if holds_analyses(folder):
        with shown_progress() as progress, resumable(folder):
            done = resume_analyses(folder, progress=progress, **machine(chosen))
        finish_analyses(done)
        return
    with shown_progress() as progress, resumable(folder):
        outcome = continued(folder, progress=progress, **machine(chosen))
    finish(outcome)


def status(chosen: Chosen) -> None:
    """Show the progress of a run, or of each of several analyses.

    For example:

        bayesde status post

        bayesde status post --watch

        bayesde status post --json
    """
    from bayesde.runs import analyses_status, holds_analyses
    from bayesde.runs import status as run_status

    view, folder = chosen["view"], chosen["run"]["directory"]
    look: Callable[[Any], Any] = analyses_status if holds_analyses(folder) else run_status
    while True:
        seen = look(folder)
        for line in [seen.to_json()] if view.get("json") else seen.lines():
            typer.echo(line)
        if seen.state != "running" or not view.get("watch"):
            return
        time.sleep(WATCH_EVERY)


def report(chosen: Chosen) -> None:
    """Write an HTML report of a finished run, with its tables and plots: DIR/report.html.

    Of several analyses, the report that compares them.

    For example:

        bayesde report eb
    """
    from bayesde.runs import holds_analyses, write_analyses_report, write_report

    folder = chosen["run"]["directory"]
    write = write_analyses_report if holds_analyses(folder) else write_report
    typer.echo(f"the report is {write(folder)}")


def contrast(chosen: Chosen) -> None:
    """Write tables of further contrasts of a finished run, without sampling again.

    Each goes into a folder of its own in DIR/contrasts. --contrast may be repeated.

    For example:

        bayesde contrast post -c condition,treated,control -c 'a - b'

        bayesde contrast post -c condition,treated,control --lfc-threshold 0.5
    """
    from bayesde.runs import write_contrasts

    asked = chosen["model"]
    if not asked.get("contrast"):
        raise OptionError("--contrast is needed: the effects that are to be reported; it may be repeated.")
    folder = chosen["run"]["directory"]
    for place, headline in write_contrasts(folder, asked["contrast"], asked.get("lfc_threshold")).items():
        typer.echo(headline, err=True)
        typer.echo(folder / place)


def doctor() -> None:
    """Check whether Stan can be used, and show what to do if something is missing.

    For example:

        bayesde doctor
    """
    from bayesde.stan_runtime import doctor as look

    report = look()
    for line in report.lines():
        typer.echo(line)
    if report.problems:
        raise typer.Exit(2)


def install_stan(chosen: Chosen) -> None:
    """Install everything that Stan needs, so that later steps need no network.

    An installed CmdStan is used if there is one. Otherwise a release is downloaded and installed; if the
    download cannot be reached, CmdStan is built from a package index, which takes some minutes.

    For example:

        bayesde install-stan
    """
    from bayesde.stan_runtime import install_stan as install

    home = install(
        force=bool(chosen["installation"].get("force")),
        embedded_only=bool(chosen["installation"].get("embedded")),
        progress=lambda message: typer.echo(message, err=True),
    )
    typer.echo(f"CmdStan {home.version} ({home.source}) in {home.path}")


for _function in (
    *(check, eb, sample, resume, status, contrast, report, pseudobulk),
    *(demo, simulate, power, usage, bias),
):
    _command(_function)
app.command()(doctor)
_command(install_stan)


def _shown_once() -> Callable[..., None]:
    """Make what prints each of the package's warnings once, and logs them; others are left out."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if not issubclass(category, BayesdeWarning):
            return
        word = "note" if issubclass(category, BayesdeNote) else "warning"
        logging.getLogger("bayesde").info("%s: %s", word, message)  # each log has what is new there
        if str(message) not in said:
            said.add(str(message))
            typer.echo(f"{word}: {message}", err=True)

    return show


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for unreachable cycles less often: loading the libraries makes a million objects, and none."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def main() -> None:
    """Run the command line; every error that is foreseen is one message and an exit code."""
    warnings.showwarning = _shown_once()
    # what the libraries made when they were loaded need not be searched at the end
    atexit.register(gc.freeze)
    try:
        with _rare_collections():
            app()
    except BayesdeError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("BAYESDE_DEBUG"):
            raise
        typer.echo(
            f"error: {type(error).__name__}: {error}\n(An unexpected error; set BAYESDE_DEBUG=1 to "
            "see the traceback.)",
            err=True,
        )
        sys.exit(1)
