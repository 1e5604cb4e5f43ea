"""The commands: each reads its arguments, calls the package and prints; none does the work itself."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from bayesde import __version__
from bayesde.cli.arguments import (
    Alternative,
    Config,
    Contrasts,
    ControlGenes,
    Counts,
    DesignFormula,
    Directory,
    Factors,
    Fdr,
    Force,
    Lengths,
    NoCooks,
    NoFiltering,
    NoReplace,
    OutputFolder,
    Reduced,
    References,
    Samples,
    Shrinkage,
    SizeFactors,
    Strand,
    Test,
    Threshold,
    Trend,
    UseT,
    Weights,
    Workers,
)
from bayesde.cli.demonstration import demo
from bayesde.cli.planning import build_plan, eb_options, model_options
from bayesde.cli.running import carry_out, cores, finish, shown_progress
from bayesde.cli.sampling import sample
from bayesde.cli.simulating import simulate
from bayesde.errors import BayesdeError, BayesdeNote, BayesdeWarning

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Bayesian differential expression for RNA-seq counts.\n\n"
    "Start with `bayesde demo`, which runs on real counts that ship with the package. Point estimates "
    "(`bayesde eb`) take a second, the posteriors of all genes (`bayesde sample`) some more; with Stan "
    "(`--engine nuts`) they take longer, and can be interrupted and gone on with.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bayesde {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Hold the options of no command in particular."""


@app.command()
def eb(
    counts: Counts,
    samples: Samples,
    out: OutputFolder,
    design: DesignFormula = None,
    contrast: Contrasts = None,
    reference: References = None,
    size_factors: SizeFactors = None,
    control_genes: ControlGenes = None,
    normalization_factors: Factors = None,
    average_lengths: Lengths = None,
    weights: Weights = None,
    strand: Strand = None,
    test: Test = None,
    reduced: Reduced = None,
    lfc_threshold: Threshold = None,
    alternative: Alternative = None,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="results.tsv has the shrunken effects with s-values.")
    ] = False,
    shrinkage: Shrinkage = None,
    fdr: Fdr = None,
    no_filtering: NoFiltering = False,
    no_cooks: NoCooks = False,
    no_replace: NoReplace = False,
    use_t: UseT = False,
    trend: Trend = None,
    config: Config = None,
    force: Force = False,
) -> None:
    """Estimate, test and shrink: the DESeq2 and apeglm road. Needs no compiler.

    Writes results.tsv, hyperparameters.json (not with a local trend, which has no parameters) and pictures
    into DIR, and the shrunken effects into DIR/shrunken; with --shrink they are what results.tsv holds.

    For example:

        bayesde eb counts.tsv.gz samples.tsv -d '~ batch + condition' -c condition,treated,control -o eb

        bayesde eb counts.csv samples.csv -d '~ condition' -c condition,treated,control --shrink -o shrunken

        bayesde eb counts.csv samples.csv -d '~ batch + time' --test lrt --reduced '~ batch' -o lrt
    """
    files = {
        "counts": counts,
        "samples": samples,
        "control_genes": control_genes,
        "normalization_factors": normalization_factors,
        "average_lengths": average_lengths,
        "weights": weights,
    }
    model = model_options(design, contrast, reference, size_factors, lfc_threshold)
    model |= {"test": test, "reduced": reduced, "alternative": alternative, "strand": strand}
    model |= {"shrink": shrink or None, "shrinkage": shrinkage}
    options = eb_options(trend, fdr, no_filtering, no_cooks, no_replace, use_t)
    plan = build_plan("eb", files, model, options, config, {})
    carry_out(plan, out, force, 1)


@app.command()
def resume(
    directory: Directory,
    workers: Workers = None,
) -> None:
    """Go on with an interrupted run.

    Blocks that were finished are not done again, and the draws are those of a run that was never interrupted.

    For example:

        bayesde resume post
    """
    from bayesde.runs import resume as go_on

    with shown_progress() as progress:
        outcome = go_on(directory, workers=workers or cores(), progress=progress)
    finish(outcome)


@app.command()
def status(directory: Directory) -> None:
    """Say how far a run has come.

    For example:

        bayesde status post
    """
    from bayesde.runs import status as look

    for line in look(directory).lines():
        typer.echo(line)


@app.command()
def report(directory: Directory) -> None:
    """Make one HTML file of a finished run, with its tables and pictures: DIR/report.html.

    For example:

        bayesde report eb
    """
    from bayesde.runs import write_report

    typer.echo(f"the report is {write_report(directory)}")


@app.command()
def doctor() -> None:
    """Say what there is to run Stan with, and what to do if something is missing.

    For example:

        bayesde doctor
    """
    from bayesde.stan_runtime import doctor as look

    report = look()
    for line in report.lines():
        typer.echo(line)
    if report.problems:
        raise typer.Exit(2)


@app.command("install-stan")
def install_stan(
    force: Annotated[bool, typer.Option("--force", help="Install again, whatever is there.")] = False,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Build from the package index; try no other source.")
    ] = False,
) -> None:
    """Make everything ready that Stan needs, so that no later step needs the network.

    A CmdStan that is there is used; else a release is installed, where its download can be reached; else one
    is built from a package index (some minutes).

    For example:

        bayesde install-stan
    """
    from bayesde.stan_runtime import install_stan as install

    home = install(
        force=force, embedded_only=embedded, progress=lambda message: typer.echo(message, err=True)
    )
    typer.echo(f"CmdStan {home.version} ({home.source}) in {home.path}")


app.command()(sample)
app.command()(demo)
app.command()(simulate)


def _shown_once() -> Callable[..., None]:
    """Make what prints each of the package's warnings once, and logs it; others are left out."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, BayesdeWarning) and str(message) not in said:
            said.add(str(message))
            word = "note" if issubclass(category, BayesdeNote) else "warning"
            typer.echo(f"{word}: {message}", err=True)
            logging.getLogger("bayesde").info("%s: %s", word, message)

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
    atexit.register(
        gc.freeze
    )  # what the libraries made when they were loaded need not be searched at the end
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
            f"error: {type(error).__name__}: {error}\n(not foreseen; BAYESDE_DEBUG=1 shows where it comes "
            "from)",
            err=True,
        )
        sys.exit(1)
