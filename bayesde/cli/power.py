"""The command that plans an experiment: it reads its options, calls the package and prints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bayesde.cli.folders import check_folder
from bayesde.cli.running import shown_progress

if TYPE_CHECKING:
    from bayesde.cli.arguments import Chosen
    from bayesde.power import PowerStudy

__all__ = ["power"]


def power(chosen: Chosen) -> None:
    """Find how many replicates are needed for which effect, by simulating experiments and analysing them.

    Genes are simulated from what a pilot experiment has taught (--pilot, the folder of its run), or from
    typical values, and analysed as `bayesde sample` does. Writes power.tsv, power.png and power.json.

    For example:

        bayesde power -o plan

        bayesde power --pilot post --coefficient 'condition[T.treated]' --replicates 3,5,8 --lfc 0.5,1 -o plan

        bayesde power --trend 0.3,2 --s-value 0.005 --power 0.9 -o plan
    """
    from bayesde.power import PowerOptions, power_study, write_study
    from bayesde.power.assumptions import TYPICAL

    pilot, laws, out = chosen["pilot"], chosen["laws"], Path(chosen["run"]["out"])
    check_folder(out)
    with shown_progress() as progress:
        study = power_study(
            pilot.get("pilot"),
            coefficient=pilot.get("coefficient"),
            laws=replace(TYPICAL, **laws) if laws else None,
            options=PowerOptions(**chosen["power"]),
            progress=progress,
        )
    folder = write_study(study, out)
    _print(study)
    typer.echo(f"table and picture in {folder}")


def _print(study: PowerStudy) -> None:
    """Print the powers, effects beside one another, and what is needed."""
    table = study.table.pivot(index="replicates", columns="effect", values="power")
    typer.echo(f"genes simulated from {study.source}; power by absolute log2 fold change:")
    typer.echo(f"{'replicates':>10}" + "".join(f"{effect:>8g}" for effect in table.columns))
    for number, row in table.iterrows():
        typer.echo(f"{number:>10}" + "".join(f"{value:>8.2f}" for value in row))
    for sentence in study.sentences():
        typer.echo(sentence)
