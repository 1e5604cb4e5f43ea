"""What a block costs, and what more workers gain: ``python -m benchmarks.speed.workers``.

Genes of simulated counts (8 samples in two groups) are sampled by psis in blocks, here and by one and two
workers of a Dask cluster on this machine. Everything is measured as processor time, of this process and of
the workers, so that other work on the machine matters little. How long blocks of nuts take on many idle
processors is then simulated: the process in charge spends as much on each block, one after the other, before
a worker can begin; each block is given to the worker that is free first.
"""

from __future__ import annotations

import argparse
import heapq
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import bayesde as bde
from bayesde.posterior import engines
from bayesde.posterior.importance import blocks
from bayesde.posterior.storage import work
from benchmarks.speed.nuts_blocks import processor_seconds

__all__ = ["simulated_seconds", "simulated_table"]

PER_BLOCK = 512
FEW = 4
"""Genes of a run that is not measured."""
NUTS = (20_000, 20, 0.179)
"""Genes, genes per block, and processor seconds per gene, of speed/results/nuts_blocks.md."""
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
def _measured() -> Iterator[Measured]:
    """Measure a run of this process."""
    seen = Measured()
    learnt, carry_out = engines._learnt, work.carry_out

    def learn(*arguments: Any) -> Any:
        before = processor_seconds()
        unit = learnt(*arguments)
        seen.learning += processor_seconds() - before
        return unit

    def carried_out(*arguments: Any) -> Any:
        before = processor_seconds()
        result = carry_out(*arguments)
        seen.blocks.append(processor_seconds() - before)
        return result

    with patch.object(engines, "_learnt", learn), patch.object(work, "carry_out", carried_out):
        before = processor_seconds()
        yield seen
        seen.total = processor_seconds() - before


class Runs:
    """Runs of engine psis on simulated genes.

    Parameters
    ----------
    n_genes : int
    """

    def __init__(self, n_genes: int) -> None:
        counts = bde.simulate(n_genes, groups=(4, 4), seed=1).counts
        self.fit = bde.fit_eb(counts, "~ condition")

    def run(self, per_block: int, few: bool = False, **machine: Any) -> None:
        """Sample the genes, or a few of them, in blocks, whose folder is then removed."""
        genes = list(self.fit.counts.genes[self.fit.estimated])
        with (
            tempfile.TemporaryDirectory() as folder,
            patch.object(blocks, "LARGE", 0),
            patch.object(blocks, "block_size", lambda *_: per_block),
        ):
            bde.fit_posterior(
                self.fit.counts,
                self.fit.design,
                eb=self.fit,
                genes=genes[:FEW] if few else genes,
                options=bde.SamplingOptions(hand_over=False),
                directory=str(Path(folder) / "blocks"),
                **machine,
            )

    def here(self, per_block: int) -> Measured:
        """Measure a run of this process."""
        with _measured() as seen:
            self.run(per_block)
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
            return processor_seconds() - own, spent() - before


def _report(n_genes: int) -> Iterator[str]:
    """Measure, and yield lines of a report."""
    runs = Runs(n_genes)
    runs.run(1, few=True)  # what is compiled is compiled now
    one = runs.here(PER_BLOCK)
    times = np.array(one.blocks)
    yield (
        f"psis, {n_genes:,} genes, {times.size} blocks of {PER_BLOCK}: {one.total:.1f} s, of which "
        f"learning {one.learning:.1f} s, blocks {times.sum():.1f} s ({np.min(times):.2f} to "
        f"{np.max(times):.2f} s each), the rest {1000 * one.between:.0f} ms per block"
    )
    small = runs.here(PER_BLOCK // 4)
    more = (small.total - one.total) / (len(small.blocks) - times.size)
    yield f"  blocks of {PER_BLOCK // 4}: {small.total:.1f} s, so a block more costs {1000 * more:.0f} ms"
    for workers in (1, 2):
        own, theirs = runs.on_a_cluster(PER_BLOCK, workers)
        each = (own - one.learning) / times.size
        yield (
            f"  Dask, {workers} worker(s): workers {theirs:.1f} s, this process {own:.1f} s, without "
            f"learning {1000 * each:.0f} ms per block"
        )
    yield from simulated_table(one.between, each)


def simulated_table(*between: float) -> Iterator[str]:
    """Yield lines: how long blocks of engine nuts would take by the number of workers.

    Parameters
    ----------
    *between : float
        As of `simulated_seconds`.
    """
    n_genes, per_block, seconds = NUTS
    times = [per_block * seconds] * (n_genes // per_block)
    for workers in WORKERS:
        found = [simulated_seconds(times, workers, each) for each in between]
        told = ", ".join(
            f"{one:,.0f} s with {1000 * each:.0f} ms between blocks"
            for one, each in zip(found, between, strict=True)
        )
        yield f"  nuts, {n_genes:,} genes, {workers} worker(s): {told}"


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", type=int, default=3000)
    for line in _report(parser.parse_args().genes):
        print(line, flush=True)


if __name__ == "__main__":
    main()
