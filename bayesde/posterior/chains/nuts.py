"""Engine nuts: genes in blocks, given the hyperparameters; those that fail a check once more, alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.errors import FitError
from bayesde.posterior.chains.blocks import (
    Block,
    BlockDraws,
    is_finished,
    plan_blocks,
    read_block,
    write_block,
)
from bayesde.posterior.chains.run import ChainSettings, SamplerStopped, run_chains
from bayesde.posterior.chains.stan_data import chain_starts, genes_data
from bayesde.posterior.diagnostics import chain_diagnostics
from bayesde.posterior.mode import Modes
from bayesde.posterior.model import ConditionalModel
from bayesde.posterior.options import SamplingOptions
from bayesde.stan_runtime import compiled_model

if TYPE_CHECKING:
    from cmdstanpy import CmdStanModel

__all__ = ["Progress", "SampledGenes", "sample_genes"]

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
"""Called with the number of blocks done, of all blocks, and a line of text."""
RERUN_LENGTH = 4
"""A gene that is sampled alone gets this many times the iterations, thinned to as many draws."""


@dataclass(frozen=True, eq=False)
class SampledGenes:
    """Draws of genes and how the sampler fared with each.

    Attributes
    ----------
    draws : ndarray of float32 (chain, draw, gene, P + 1)
        Coefficients and log dispersion, natural log; NaN for a gene that could not be sampled.
    report : dict of str to ndarray (gene,)
        ``rhat``, ``ess_bulk``, ``ess_tail``; ``divergences`` and ``treedepth_hits`` of the last block that
        the gene was sampled in; ``gradients`` per draw; ``attempts``.
    """

    draws: np.ndarray
    report: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Sampler:
    """What every block needs."""

    model: ConditionalModel
    modes: Modes
    noncentered: np.ndarray
    settings: ChainSettings
    options: SamplingOptions
    program: CmdStanModel

    def attempt(self, rows: np.ndarray, settings: ChainSettings, seed: int) -> BlockDraws:
        """Sample some genes together, once."""
        model, modes, noncentered = self.model.genes(rows), self.modes.genes(rows), self.noncentered[rows]
        rng = np.random.default_rng(seed)
        starts = chain_starts(model, modes, noncentered, settings.chains, rng)
        data = genes_data(model, modes, noncentered)
        inits = [{"z": start.tolist()} for start in starts]
        chains = run_chains(self.program, data, inits, settings, seed, ("beta", "log_dispersion"))
        draws = np.concatenate(
            [chains.variables["beta"], chains.variables["log_dispersion"][..., None]], axis=-1
        )
        report = {name: values.tolist() for name, values in chain_diagnostics(draws).items()}
        for name in ("divergences", "treedepth_hits", "gradients"):
            report[name] = [float(getattr(chains, name))] * rows.size
        return BlockDraws(draws.astype(np.float32), report)

    def failed(self, result: BlockDraws) -> np.ndarray:
        """Tell which genes fail a check."""
        report = {name: np.asarray(values) for name, values in result.report.items()}
        fine = report["rhat"] <= self.options.max_rhat
        for name in ("ess_bulk", "ess_tail"):
            fine &= report[name] >= self.options.min_ess
        return ~fine | (report["divergences"] > 0)

    def careful(self, thin: int = 1) -> ChainSettings:
        """Return the settings of a later attempt."""
        return replace(
            self.settings,
            warmup=max(1000, 2 * self.settings.warmup),
            thin=thin,
            adapt_delta=self.options.rerun_adapt_delta,
            max_treedepth=self.options.max_treedepth + 2,
        )

    def block(self, block: Block) -> BlockDraws:
        """Sample a block; with smaller steps if it diverged; then each gene that fails, alone."""
        result = self._try(block.rows, self.settings, block.seed)
        attempts = np.ones(block.rows.size)
        if max(result.report["divergences"]) > 0:
            result = self._try(block.rows, self.careful(), block.seed + 1)
            attempts += 1.0
        draws, report = result.draws.copy(), {name: list(values) for name, values in result.report.items()}
        for i in np.flatnonzero(self.failed(result)).tolist():
            alone = self._try(block.rows[i : i + 1], self.careful(RERUN_LENGTH), block.seed + 2 + i)
            draws[:, :, i] = alone.draws[:, :, 0]
            for name, values in alone.report.items():
                report[name][i] = values[0]
            attempts[i] += 1.0
        return BlockDraws(draws, {**report, "attempts": attempts.tolist()})

    def _try(self, rows: np.ndarray, settings: ChainSettings, seed: int) -> BlockDraws:
        """Sample some genes together; NaN for all where Stan gives up."""
        try:
            return self.attempt(rows, settings, seed)
        except SamplerStopped:
            raise
        except FitError as problem:
            logger.warning("%d gene(s) could not be sampled together: %s", rows.size, problem)
            return _nothing((settings.chains, settings.draws, rows.size, self.modes.location.shape[1]))


def _nothing(shape: tuple[int, ...]) -> BlockDraws:
    """Stand for draws that could not be made."""
    names = ("rhat", "ess_bulk", "ess_tail", "divergences", "treedepth_hits", "gradients")
    return BlockDraws(
        np.full(shape, np.nan, dtype=np.float32), {name: [float("nan")] * shape[2] for name in names}
    )


def sample_genes(
    model: ConditionalModel,
    modes: Modes,
    noncentered: np.ndarray,
    settings: ChainSettings,
    *,
    options: SamplingOptions,
    seed: int,
    workers: int = 1,
    directory: Path | None = None,
    progress: Progress | None = None,
) -> SampledGenes:
    """Sample the posterior of every gene given the hyperparameters.

    Parameters
    ----------
    model : ConditionalModel
    modes : Modes
    noncentered : ndarray of bool (gene, P + 1)
        Which coefficients are sampled on the scale of their prior.
    settings : ChainSettings
    options : SamplingOptions
    seed : int
        The run's seed.
    workers : int
        Blocks that are sampled at a time.
    directory : Path, optional
        Where finished blocks are kept; those found there are not sampled again.
    progress : callable, optional
        Called with (blocks done, blocks, text) from this thread.

    Returns
    -------
    SampledGenes
    """
    noncentered = noncentered.copy()
    noncentered[:, -1] = False  # with the trend and its scale fixed the gene's own curvature serves better
    rescaling = (modes.location, modes.other, modes.scale, noncentered)
    plan = plan_blocks(
        model, rescaling, options.block_size, {**asdict(settings), **asdict(options), "seed": seed}
    )
    program = compiled_model("genes", progress=None if progress is None else _as_text(progress, len(plan)))
    sampler = _Sampler(model, modes, noncentered, settings, options, program)
    shape = (settings.chains, settings.draws, model.n_genes, modes.location.shape[1])
    draws = np.empty(shape, dtype=np.float32)
    report: dict[str, np.ndarray] = {}
    text = f"sampling {model.n_genes:,} genes"
    if progress is not None:
        progress(0, len(plan), text)
    for done, (block, result) in enumerate(_run(plan, sampler, workers, directory), start=1):
        draws[:, :, block.rows] = result.draws
        for name, values in result.report.items():
            report.setdefault(name, np.full(model.n_genes, np.nan))[block.rows] = values
        if progress is not None:
            progress(done, len(plan), text)
    return SampledGenes(draws, report)


def _as_text(progress: Progress, total: int) -> Callable[[str], Any]:
    return lambda text: progress(0, total, text)


def _run(
    plan: list[Block], sampler: _Sampler, workers: int, directory: Path | None
) -> Iterator[tuple[Block, BlockDraws]]:
    """Read finished blocks and sample the others; yield each as it comes."""

    def work(block: Block) -> BlockDraws:
        result = sampler.block(block)
        if directory is not None:
            write_block(directory, block.key, result)
        return result

    missing = []
    for block in plan:
        if directory is not None and is_finished(directory, block.key):
            yield block, read_block(directory, block.key)
        else:
            missing.append(block)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        pending: dict[Future[BlockDraws], Block] = {}
        try:
            for block in missing:
                if len(pending) >= 2 * workers:
                    yield from _collect(pending)
                pending[pool.submit(work, block)] = block
            while pending:
                yield from _collect(pending)
        except BaseException:
            for future in pending:
                future.cancel()
            raise


def _collect(pending: dict[Future[BlockDraws], Block]) -> Iterator[tuple[Block, BlockDraws]]:
    """Wait for blocks to end and take them out."""
    finished, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in finished:
        yield pending.pop(future), future.result()
