"""Calibrate methods: ``python -m benchmarks.calibration``; README.md explains it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from bayesde.errors import BayesdeError
from bayesde.io import write_atomically
from benchmarks.calibration.designs import DESIGNS
from benchmarks.calibration.engines import ENGINES
from benchmarks.calibration.experiments import draw_experiment
from benchmarks.calibration.law_page import write_design_table, write_law_table
from benchmarks.calibration.laws import LAWS
from benchmarks.calibration.pictures import columns_of, draw_picture, summary
from benchmarks.calibration.tables import Tables

RESULTS = Path(__file__).resolve().parent / "results"
SIZES = {"psis": (400, 40), "nuts": (200, 16), "joint": (200, 10)}
"""Data sets, and genes in each. To method nuts, under given hyperparameters, every gene is a data set."""


def size_of(engine: str, law: str, design: str) -> tuple[int, int]:
    """Return how many data sets a method is run on, and how many genes each has."""
    sets, genes = SIZES[engine]
    if engine != "psis":
        return sets, genes
    return DESIGNS[design].sets or sets, DESIGNS[design].genes or LAWS[law].genes


def calibrate(
    engine: str, law: str, design: str, numbers: range, genes: int, seed: int, folder: Path
) -> None:
    """Run a method on data sets: those that an interrupted run has not finished, or all of them again."""
    tables, begun = Tables(folder, engine, law, design), time.monotonic()
    done = set(tables.sets()["set"])
    if done.issuperset(numbers):
        tables.remove()
        done = set()
    for number in numbers:
        if number in done:
            continue
        experiment = draw_experiment(number, genes, seed, law, design)
        try:
            tables.append(number, experiment, ENGINES[engine](experiment, seed + number))
        except BayesdeError as problem:
            print(f"{tables.name} {number}: {problem}", flush=True)
        if number % 10 == 9:
            seconds = time.monotonic() - begun
            print(f"[{seconds:6.0f} s] {tables.name}: {number + 1} of {numbers.stop}", flush=True)


def report(engine: str, law: str, design: str, folder: Path) -> None:
    """Write a method's picture and summary from its tables."""
    tables = Tables(folder, engine, law, design)
    found = columns_of(tables)
    table = summary(found)
    random = f", random effects: {', '.join(DESIGNS[design].random_effects)}" if design != "fixed" else ""
    title = f"engine {engine}, law {law}{random}: {len(tables.sets())} data sets"
    write_atomically(folder / f"{tables.name}_summary.tsv", table.to_csv(sep="\t", index=False))
    draw_picture(found, title, folder / f"{tables.name}.png")
    print(table.to_string(index=False))


def runs_of(engine: str, laws: Sequence[str] | None, designs: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return the laws and designs that a method is run under."""
    if laws is None and designs is None and engine == "psis":
        return [
            *((law, "fixed") for law in LAWS),
            *(("cauchy", design) for design in DESIGNS if design != "fixed"),
        ]
    return [(law, design) for law in laws or ["cauchy"] for design in designs or ["fixed"]]


def main() -> None:
    """Calibrate, and draw the pictures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, nargs="+", default=list(ENGINES))
    parser.add_argument(
        "--law", choices=LAWS, nargs="+", help="of effects; by default all of psis, else cauchy"
    )
    parser.add_argument(
        "--design", choices=DESIGNS, nargs="+", help="of samples; by default all of psis, else fixed"
    )
    parser.add_argument("--sets", type=int, help="data sets; by default 400, 200 and 200")
    parser.add_argument("--first", type=int, default=0, help="number of the first data set")
    parser.add_argument("--genes", type=int, help="genes in each; by default 40 (mixture 400), 16, 10")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--redraw", action="store_true", help="summaries and pictures from existing tables")
    arguments = parser.parse_args()
    for engine in arguments.engine:
        for run in runs_of(engine, arguments.law, arguments.design):
            sets, genes = size_of(engine, *run)
            numbers = range(arguments.first, arguments.first + (arguments.sets or sets))
            if not arguments.redraw:
                calibrate(engine, *run, numbers, arguments.genes or genes, arguments.seed, arguments.out)
            report(engine, *run, arguments.out)
    if arguments.out == RESULTS:
        write_law_table(RESULTS.parent / "README.md", RESULTS)
        write_design_table(RESULTS.parent / "README.md", RESULTS)


if __name__ == "__main__":
    main()
