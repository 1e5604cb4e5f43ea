"""What a block costs, and what more workers gain: ``python -m benchmarks.speed.workers``.

Genes of simulated counts (8 samples in two groups) are sampled in blocks by one and by two workers, here and
on a Dask cluster of this machine. Everything is measured as processor time, so that other work on the machine
matters little: of this process and of those that it has ended, and of the workers of the cluster. How long a
run takes on W idle processors is then simulated: the processor time outside blocks is spent by one process,
per block, before the block's worker can begin; each block is given to the worker that is free first.
"""

from __future__ import annotations

import argparse
import heapq
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import bayesde as bde
from bayesde.posterior import engines
from bayesde.posterior.importance import blocks
from bayesde.posterior.storage.pools import LocalPool
from benchmarks.speed.nuts_blocks import processor_seconds

__all__ = ["simulated_seconds"]

GENES = {"psis": 3000, "nuts": 60}
PER_BLOCK = {"psis": 512, "nuts": 20}
"""Genes of a block; of nuts that of the default options."""
FITTED, FEW = 300, 4
"""Genes of the point estimates, at the least, and those of a run that is not measured."""
LARGE = {"psis": 300_000, "nuts": 20_000}
"""Genes of the runs that are simulated."""
WORKERS = (1, 2, 10, 100)


def simulated_seconds(times: Sequence[float], workers: int, between: float) -> float:
    """Return how long blocks take.

    Parameters
    ----------
    times : sequence of float
        Seconds that a worker spends on each block.
    workers : int
    between : float
        Seconds that the process in charge spends on each block, one after the other.

    Returns
    -------
    float
    """
    free, now = [0.0] * workers, 0.0
    for seconds in times:
        now += between
        heapq.heappush(free, max(heapq.heappop(free), now) + seconds)
    return max(free)


class Measured:
    """Processor time of one run: in all, of each block if they come one after the other, and of learning."""

    def __init__(self) -> None:
        self.total = self.learning = 0.0
        self.blocks: list[float] = []

    @property
    def between(self) -> float:
        """Outside blocks and learning, for each block."""
        return (self.total - self.learning - sum(self.blocks)) / len(self.blocks)


@contextmanager
def _measured(workers: Callable[[], float] | None = None) -> Iterator[Measured]:
    """Measure a run; `workers` returns the processor time of other processes."""
    seen, clock = Measured(), workers or (lambda: 0.0)
    learnt, carry_out = engines._learnt, LocalPool.carry_out

    def learn(*arguments: Any) -> Any:
        before = processor_seconds()
        unit = learnt(*arguments)
        seen.learning += processor_seconds() - before
        return unit

    def carried_out(self: LocalPool, *arguments: Any) -> Any:
        before = processor_seconds()
        result = carry_out(self, *arguments)
        seen.blocks.append(processor_seconds() - before)
        return result

    with patch.object(engines, "_learnt", learn), patch.object(LocalPool, "carry_out", carried_out):
        before = processor_seconds() + clock()
        yield seen
        seen.total = processor_seconds() + clock() - before


class Runs:
    """Runs of one engine on simulated genes.

    Parameters
    ----------
    engine : {"psis", "nuts"}
    n_genes : int
        That are sampled.
    """

    def __init__(self, engine: str, n_genes: int) -> None:
        counts = bde.simulate(max(n_genes, FITTED), groups=(4, 4), seed=1).counts
        self.engine, self.fit = engine, bde.fit_eb(counts, "~ condition")
        self.genes = list(self.fit.counts.genes[self.fit.estimated][:n_genes])

    def run(self, per_block: int, few: bool = False, **machine: Any) -> None:
        """Sample the genes, or a few of them, in blocks, whose folder is then removed."""
        options = bde.SamplingOptions(hand_over=False, block_size=per_block)
        own: dict[str, Any] = {"genes": self.genes[:FEW] if few else self.genes}
        if self.engine == "nuts":  # to sample, and not to learn
            own["hyperparameters"] = "eb"
        with (
            tempfile.TemporaryDirectory() as folder,
            patch.object(blocks, "LARGE", 0),
            patch.object(blocks, "block_size", lambda *_: per_block),
        ):
            bde.fit_posterior(
                self.fit.counts,
                self.fit.design,
                eb=self.fit,
                engine=self.engine,
                options=options,
                directory=str(Path(folder) / "blocks"),
                **own,
                **machine,
            )

    def here(self, per_block: int, workers: int = 1) -> Measured:
        """Measure a run of this process and of those that it starts."""
        with _measured() as seen:
            self.run(per_block, workers=workers)
        return seen

    def on_a_cluster(self, per_block: int, workers: int) -> tuple[float, float]:
        """Return the processor time of this process, with the scheduler, and of the workers."""
        from distributed import Client, LocalCluster

        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):

            def spent() -> float:
                return sum(client.run(processor_seconds).values())

            self.run(1, few=True, scheduler=client)  # which loads libraries, in each worker
            before, own = spent(), processor_seconds()
            self.run(per_block, scheduler=client)
            own = processor_seconds() - own
            return own, spent() - before


def _report(engine: str, n_genes: int) -> Iterator[str]:
    """Measure, and yield lines of a report."""
    runs, per_block = Runs(engine, n_genes), PER_BLOCK[engine]
    runs.run(1, few=True)  # what is compiled is compiled now
    one = runs.here(per_block)
    times = np.array(one.blocks)
    yield (
        f"{engine}, {n_genes:,} genes, {times.size} blocks of {per_block}: {one.total:.1f} s, of which "
        f"learning {one.learning:.1f} s, blocks {times.sum():.1f} s ({np.min(times):.2f} to "
        f"{np.max(times):.2f} s each), the rest {1000 * one.between:.0f} ms per block"
    )
    if engine == "psis":
        small = runs.here(per_block // 4)
        more = (small.total - one.total) / (len(small.blocks) - times.size)
        yield f"  blocks of {per_block // 4}: {small.total:.1f} s, so a block more costs {1000 * more:.0f} ms"
    if engine == "nuts":  # psis has threads of its own
        two = runs.here(per_block, workers=2)
        yield f"  2 workers here: {two.total:.1f} s"
    for workers in (1, 2):
        own, theirs = runs.on_a_cluster(per_block, workers)
        yield (
            f"  Dask, {workers} worker(s): workers {theirs:.1f} s, this process {own:.1f} s, without "
            f"learning {1000 * (own - one.learning) / times.size:.0f} ms per block"
        )
    between = (own - one.learning) / times.size
    n_blocks = -(-LARGE[engine] // per_block)
    drawn = np.random.default_rng(1).choice(times * theirs / times.sum(), n_blocks)
    yield f"  simulated, {LARGE[engine]:,} genes on a cluster, {n_blocks} blocks, without learning:"
    alone = simulated_seconds(drawn, 1, between)
    for workers in WORKERS:
        seconds = simulated_seconds(drawn, workers, between)
        yield f"  {workers:>4} workers: {seconds:,.0f} s, {alone / seconds:.1f} times as fast as one"


def main() -> None:
    """Measure the chosen engines, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", action="append", choices=tuple(GENES))
    parser.add_argument("--genes", type=int)
    chosen = parser.parse_args()
    for engine in chosen.engine or GENES:
        for line in _report(engine, chosen.genes or GENES[engine]):
            print(line, flush=True)


if __name__ == "__main__":
    main()
