"""Sampling in blocks: those on disk are read, the others sampled, and each is yielded when it is done.

A block that fails, because its process was killed, memory ran out, or a gene breaks the sampler, is tried
once more; then in ever smaller pieces, so that in the end only the genes that cannot be sampled are left out,
and marked. If no gene of a block can be sampled the cause is not the genes, and the run stops; what is
finished is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from bayesde.errors import ClusterError, FitError, InputError, SamplerStopped, ToolchainError
from bayesde.io.writing import DISK_FULL
from bayesde.posterior.storage.block_folders import (
    Block,
    BlockResult,
    is_finished,
    read_finished,
    write_block,
)
from bayesde.posterior.storage.carrying_out import carry_out
from bayesde.posterior.storage.tasks import Task
from bayesde.workers.pools import Pool

__all__ = ["run_blocks"]

logger = logging.getLogger(__name__)


def run_blocks(
    plan: list[Block],
    task_of: Callable[[Block], Task],
    pool: Pool,
    directory: Path | None,
    finish: Callable[[Block, BlockResult], BlockResult] | None = None,
) -> Generator[tuple[Block, BlockResult], None, None]:
    """Read finished blocks and sample the others; yield each when it is done.

    Parameters
    ----------
    plan : list of Block
    task_of : callable
        Makes the task of a block; called when its turn comes, so that only the data of the blocks under way
        are copied.
    pool : Pool
    directory : Path or None
        Where finished blocks are kept; None to keep none.
    finish : callable, optional
        What is done with the result of a block before it is yielded, which is not kept.

    Yields
    ------
    block : Block
    result : BlockResult

    Raises
    ------
    FitError
        If no gene of a block can be sampled.
    OSError
        If the disk is full.
    """

    def work(block: Block) -> BlockResult:
        result = read_finished(directory, block.key)
        if result is None:
            result = _whole(block, task_of(block), pool, directory)
            if directory is not None and not is_finished(directory, block.key):
                write_block(directory, block.key, result)
        return result if finish is None else finish(block, result)

    with ThreadPoolExecutor(max_workers=pool.threads) as threads:
        pending: dict[Future[BlockResult], Block] = {}
        try:
            for block in plan:
                while len(pending) >= pool.at_once:
                    yield from _collect(pending)
                pending[threads.submit(work, block)] = block
            while pending:
                yield from _collect(pending)
        except BaseException:
            for future in pending:
                future.cancel()
            raise


def _collect(pending: dict[Future[BlockResult], Block]) -> Iterator[tuple[Block, BlockResult]]:
    """Wait for blocks to finish, and remove them from those pending."""
    finished, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in finished:
        yield pending.pop(future), future.result()


def _whole(block: Block, task: Task, pool: Pool, directory: Path | None) -> BlockResult:
    """Sample a block, if need be in pieces."""
    problems: list[Exception] = []
    result, n_failed = _carried_out(block, task, pool, directory, problems)
    if n_failed == task.rows.size > 1:
        last = problems[-1]
        raise FitError(
            f"a block of {n_failed} genes could not be sampled, nor any of its genes alone; the last problem "
            f"was {type(last).__name__}: {last} Finished blocks are kept, and the run can be resumed."
        ) from last
    if n_failed:
        logger.warning("%d gene(s) could not be sampled, and are marked: %s", n_failed, problems[-1])
    return result


def _carried_out(
    block: Block, task: Task, pool: Pool, directory: Path | None, problems: list[Exception]
) -> tuple[BlockResult, int]:
    """Carry out a task, again if it fails, then in pieces; return how many genes failed alone."""
    for _ in range(2):
        try:
            return carry_out(pool, block, task, directory), 0
        except (ClusterError, InputError, SamplerStopped, ToolchainError):
            raise
        except Exception as problem:
            if isinstance(problem, OSError) and problem.errno in DISK_FULL:
                raise
            problems.append(problem)
            logger.warning("a block of %d gene(s) failed: %r", task.rows.size, problem)
    parts = task.parts()
    if not parts:
        return task.without_draws(), 1
    done = [_carried_out(block, part, pool, None, problems) for part in parts]
    return task.joined([result for result, _ in done]), sum(failed for _, failed in done)
