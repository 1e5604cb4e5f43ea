"""Calibrate methods: ``python -m benchmarks.calibration``; README.md explains it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from bayesde.errors import BayesdeError
from bayesde.io import write_atomically
from benchmarks.calibration.engines import ENGINES
from benchmarks.calibration.experiments import draw_experiment
from benchmarks.calibration.pictures import columns_of, draw_picture, summary
from benchmarks.calibration.tables import Tables

RESULTS = Path(__file__).resolve().parent / "results"
SIZES = {"psis": (400, 40), "nuts": (200, 16), "joint": (200, 10)}
"""Data sets, and genes in each. To method nuts, under given hyperparameters, every gene is a data set."""


def calibrate(engine: str, numbers: range, genes: int, seed: int, folder: Path) -> None:
    """Run a method on data sets: those that an interrupted run has not finished, or all of them again."""
    tables, begun = Tables(folder, engine), time.monotonic()
    done = set(tables.sets()["set"])
    if done.issuperset(numbers):
        tables.remove()
        done = set()
    for number in numbers:
        if number in done:
            continue
        experiment = draw_experiment(number, genes, seed)
        try:
            tables.append(number, experiment, ENGINES[engine](experiment, seed + number))
        except BayesdeError as problem:
            print(f"{engine} {number}: {problem}", flush=True)
        if number % 10 == 9:
            print(f"[{time.monotonic() - begun:6.0f} s] {engine}: {number + 1} of {numbers.stop}", flush=True)


def report(engine: str, folder: Path) -> None:
    """Write a method's picture and summary from its tables."""
    tables = Tables(folder, engine)
    found = columns_of(tables)
    table = summary(found)
    write_atomically(folder / f"{engine}_summary.tsv", table.to_csv(sep="\t", index=False))
    draw_picture(found, f"engine {engine}: {len(tables.sets())} data sets", folder / f"{engine}.png")
    print(table.to_string(index=False))


def main() -> None:
    """Calibrate, and draw the pictures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, nargs="+", default=list(ENGINES))
    parser.add_argument("--sets", type=int, help="data sets; by default 400, 200 and 200")
    parser.add_argument("--first", type=int, default=0, help="number of the first data set")
    parser.add_argument("--genes", type=int, help="genes in each; by default 40, 16 and 10")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for engine in arguments.engine:
        sets, genes = SIZES[engine]
        numbers = range(arguments.first, arguments.first + (arguments.sets or sets))
        calibrate(engine, numbers, arguments.genes or genes, arguments.seed, arguments.out)
        report(engine, arguments.out)


if __name__ == "__main__":
    main()
