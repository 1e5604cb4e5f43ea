"""One tool on one data set in a process of its own: ``worker.py TOOL SET_FOLDER ANSWER_FILE [OPTION...]``.

Talks to benchmarks/measure.py in lines: "ready" once everything is imported and the counts are in memory; for
each line "run" that comes in the whole analysis, and "done" with the seconds of every step; on "end" the
answer of the last run is written, after the tool's `finish`, if it has one. Needs NumPy, pandas and the tool
only: it runs in the tool's environment.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

PREFIX = "@@ "


@dataclass(frozen=True)
class Data:
    """A data set: counts (gene, sample), the sample table, the model matrix, and what is compared."""

    counts: np.ndarray
    genes: list[str]
    samples: pd.DataFrame
    design: pd.DataFrame
    formula: str
    factor: str
    level: str
    reference: str

    @property
    def coefficient(self) -> str:
        """Name of the coefficient that is tested."""
        return f"{self.factor}[T.{self.level}]"

    @property
    def by_sample(self) -> pd.DataFrame:
        """Counts (sample, gene) with names."""
        return pd.DataFrame(np.ascontiguousarray(self.counts.T), index=self.samples.index, columns=self.genes)


class Clock:
    """Seconds of each step of a run."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time what stands in the with block."""
        start = time.perf_counter()
        yield
        self.steps[step] = time.perf_counter() - start


def read(folder: Path) -> Data:
    """Read a data set that benchmarks/sets.py wrote."""
    meta = pd.read_csv(folder / "meta.tsv", sep="\t", index_col=0, header=None)[1]
    genes = (folder / "genes.txt").read_text().split()
    samples = pd.read_csv(folder / "samples.tsv", sep="\t", index_col=0, dtype=str)
    others = [name for name in samples[meta["factor"]].unique() if name != meta["reference"]]
    samples[meta["factor"]] = pd.Categorical(samples[meta["factor"]], categories=[meta["reference"], *others])
    design = pd.read_csv(folder / "design.tsv", sep="\t", index_col=0)
    counts = np.fromfile(folder / "counts.i32", dtype="<i4").astype(np.int64).reshape(len(genes), -1)
    return Data(counts, genes, samples, design, **meta)


def send(event: str, **content: object) -> None:
    """Send a line to the measuring process."""
    print(PREFIX + json.dumps({"event": event, **content}), file=sys.__stdout__, flush=True)


def main() -> None:
    """Serve runs until "end"."""
    name, folder, answer_file, *options = sys.argv[1:]
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    tool = import_module(name)
    data = read(Path(folder))
    prepared = tool.prepare(data, *options)
    send("ready", version=version(tool.PACKAGE), python=sys.version.split()[0])
    answer: dict[str, np.ndarray] | pd.DataFrame = {}
    for line in sys.stdin:
        if line.strip() != "run":
            break
        clock = Clock()
        answer = tool.run(prepared, clock)
        send("done", steps=clock.steps)
    if hasattr(tool, "finish"):
        answer = tool.finish(prepared, answer)
    if not isinstance(answer, pd.DataFrame):
        answer = pd.DataFrame(answer, index=pd.Index(data.genes, name="gene"))
    answer.to_csv(answer_file, sep="\t", na_rep="NA")
    send("answered")


if __name__ == "__main__":
    main()
