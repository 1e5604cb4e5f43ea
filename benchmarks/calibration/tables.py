"""Calibration results on disk: one line per data set and one per gene, appended as they are computed.

``ENGINE_sets.tsv``, or under another law of effects than Cauchy's ``ENGINE_LAW_sets.tsv``, and with random
effects ``ENGINE_DESIGN_sets.tsv``, has a row for every data set: its number, what was noticed, and the
posterior probability below every true hyperparameter.
``ENGINE_genes.tsv`` has those of the first `GENES_WRITTEN` genes of each. A data set that has a line in the
former is finished; a run goes on where an interrupted one ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bayesde.model.hyperparameter_names import OF_RANDOM_EFFECTS, effect_name
from benchmarks.calibration.designs import COEFFICIENTS, DESIGNS, quantity_names
from benchmarks.calibration.engines import Answer
from benchmarks.calibration.experiments import Experiment
from benchmarks.calibration.laws import LAWS

GENES_WRITTEN = 25
SET_COLUMNS = ("set", "genes", "residuals", "trend", "trouble", "smallest_ess")


def shared_names(law: str = "cauchy", design: str = "fixed") -> tuple[str, ...]:
    """Return the names of all hyperparameters that data sets of a law and a design may have."""
    of_effects, random_effects = LAWS[law].names(COEFFICIENTS[1:]), DESIGNS[design].random_effects
    of_random = (effect_name(part, name) for name in random_effects for part in OF_RANDOM_EFFECTS)
    return (*of_effects, "dispersion_sd", "asymptotic_dispersion", "extra_poisson", *of_random, "nu")


class Tables:
    """The two tables of a method, under one law of effects and in one design."""

    def __init__(self, folder: Path, engine: str, law: str = "cauchy", design: str = "fixed") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.shared = shared_names(law, design)
        self.quantities = quantity_names(DESIGNS[design].random_effects)
        parts = [part for part, usual in ((law, "cauchy"), (design, "fixed")) if part != usual]
        self.name = "_".join([engine, *parts])
        self._sets, self._genes = folder / f"{self.name}_sets.tsv", folder / f"{self.name}_genes.tsv"

    def remove(self) -> None:
        """Begin anew."""
        for path in (self._sets, self._genes):
            path.unlink(missing_ok=True)

    def sets(self) -> pd.DataFrame:
        """Return what is there of the data sets."""
        if not self._sets.exists():
            return pd.DataFrame(columns=[*SET_COLUMNS, *self.shared])
        return pd.read_csv(self._sets, sep="\t").sort_values("set", ignore_index=True)

    def genes(self) -> pd.DataFrame:
        """Return what is there of the genes of finished data sets."""
        table = pd.read_csv(self._genes, sep="\t").drop_duplicates(["set", "gene"], keep="last")
        return table[table["set"].isin(self.sets()["set"])].sort_values(["set", "gene"], ignore_index=True)

    def append(self, number: int, experiment: Experiment, answer: Answer) -> None:
        """Write a data set's answer, genes first."""
        _append(
            self._genes,
            ("set", "gene", *self.quantities),
            [
                (number, gene, *(f"{value:.3f}" for value in row))
                for gene, row in enumerate(answer.genes[:GENES_WRITTEN])
            ],
        )
        variant = experiment.variant
        kind = ("student_t" if variant.student_t else "normal", "parametric" if variant.trend else "constant")
        numbers = [f"{answer.shared[name]:.4f}" if name in answer.shared else "" for name in self.shared]
        noticed = (answer.trouble, f"{answer.smallest_size:.0f}")
        row = (number, experiment.model.n_genes, *kind, *noticed, *numbers)
        _append(self._sets, (*SET_COLUMNS, *self.shared), [row])


def _append(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    lines = ["\t".join(map(str, row)) + "\n" for row in rows]
    if not path.exists():
        lines.insert(0, "\t".join(header) + "\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(lines))
