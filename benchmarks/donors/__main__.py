"""Measure random effects of donors: ``python -m benchmarks.donors``; README.md explains it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bayesde.io import write_atomically
from benchmarks.donors.agreement import cases, compared
from benchmarks.donors.experiments import Experiment, simulated
from benchmarks.donors.null import shuffled
from benchmarks.donors.patients import paired
from benchmarks.donors.peers import scored_peers
from benchmarks.donors.points import scored_points, wald_called
from benchmarks.donors.scores import scored
from benchmarks.donors.several_terms import SEVERAL, scored_terms

RESULTS = Path(__file__).resolve().parent / "results"
ACCURACY = (
    Experiment(12, 2, between=True),
    Experiment(6, 2, between=True),
    Experiment(4, 3, between=True),
    Experiment(12, 2, between=True, no_donor_effect=0.3),
    Experiment(12, 2, between=False),
    Experiment(6, 4, between=False),
)
GROWTH = tuple(Experiment(donors, 2, between=False, genes=500) for donors in (6, 12, 24, 48))
LAWS = ("cauchy", "spike_t")
ONE_INTERCEPT = {
    "nested": "~ condition + (1 | clinic:patient)",
    "crossed": "~ condition + (1 | donor)",
    "slopes": "~ time + (1 | donor)",
}
"""Of designs with several random effects, what leaves out one of them."""


def accuracy(genes: int, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Score every way to treat donors, in every experiment, under two laws of effects."""
    for experiment in ACCURACY:
        own = Experiment(**{**vars(experiment), "genes": genes})
        for seed in seeds:
            counts, truth = simulated(own, seed)
            for design in ("ignored", "random", *(() if own.between else ("fixed",))):
                for law in LAWS if design != "fixed" else LAWS[:1]:  # with zeros, so many would take long
                    key = {"experiment": own.name, "seed": seed, "donors": design, "effects": law}
                    yield key | scored(counts, truth, design, law)


def peers(genes: int, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Score random effects beside glmmTMB, and voom with duplicateCorrelation, on the same counts."""
    for experiment in ACCURACY:
        own = Experiment(**{**vars(experiment), "genes": genes})
        for seed in seeds:
            counts, truth = simulated(own, seed)
            key = {"experiment": own.name, "seed": seed}
            for law in LAWS:
                yield key | {"method": law} | scored(counts, truth, "random", law)
            for row in scored_peers(counts, truth):
                yield key | row


def points(genes: int, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Score point estimates with random effects beside engine psis."""
    for experiment in ACCURACY:
        own = Experiment(**{**vars(experiment), "genes": genes})
        for seed in seeds:
            yield {"experiment": own.name, "seed": seed} | scored_points(*simulated(own, seed))


def growth() -> Iterator[dict[str, Any]]:
    """Measure time by the number of donors."""
    for experiment in GROWTH:
        counts, truth = simulated(experiment, 1)
        for design in ("ignored", "random"):
            yield {"experiment": experiment.name, "donors": design} | scored(counts, truth, design, "cauchy")


def several(genes: int, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Score designs with several random effects, and without one of them."""
    for name, experiment in SEVERAL.items():
        for seed in seeds:
            for formula in (experiment.formula, ONE_INTERCEPT[name]):
                key = {"experiment": name, "seed": seed, "formula": formula}
                yield key | scored_terms(experiment, genes, seed, formula)


def agreement(genes: int, only: str) -> Iterator[dict[str, Any]]:
    """Compare engines psis and nuts."""
    for case in cases(genes):
        if only in case.name:
            yield from compared(case)


def main() -> None:
    """Measure, and write tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--part",
        choices=("accuracy", "peers", "growth", "patients", "several", "agreement", "null", "points", "wald"),
        action="append",
    )
    parser.add_argument("--genes", type=int, default=1500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--splits", type=int, default=100, help="times that the disease is shuffled")
    parser.add_argument("--only", default="", help="part agreement: experiments whose names contain this")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    arguments.out.mkdir(exist_ok=True)
    parts = {
        "accuracy": accuracy(arguments.genes, arguments.seeds),
        "peers": peers(arguments.genes, arguments.seeds),
        "growth": growth(),
        "patients": paired(arguments.genes),
        "several": several(arguments.genes, arguments.seeds),
        "agreement": agreement(arguments.genes, arguments.only),
        "null": shuffled(arguments.genes, arguments.splits),
        "points": points(arguments.genes, arguments.seeds),
        "wald": wald_called(arguments.genes, arguments.splits),
    }
    for part in arguments.part or parts:
        rows = []
        for row in parts[part]:
            rows.append(row)
            print(
                {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
            )
            table = pd.DataFrame(rows).to_csv(sep="\t", index=False, float_format="%.4g")
            write_atomically(arguments.out / f"{part}.tsv", table)


if __name__ == "__main__":
    main()
