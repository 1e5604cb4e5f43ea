"""Inference method nuts: genes in blocks, given the hyperparameters; those that fail a check again, alone.

A block's draws are reweighted to the hyperparameters' posterior, checked and written to a file as soon as
they are there: of a whole transcriptome only the blocks in progress are in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.errors import FitError
from bayesde.posterior.draws.diagnostics import chain_diagnostics
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.integrate import integrated_draws
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.progress import Progress
from bayesde.posterior.stan.blocks import Block, BlockDraws, is_finished, plan_blocks, read_block, write_block
from bayesde.posterior.stan.data import SamplerCoordinates, genes_data
from bayesde.posterior.stan.draws_file import DrawsFile
from bayesde.posterior.stan.effects import check_effects
from bayesde.posterior.stan.run import ChainSettings, SamplerStopped, run_chains
from bayesde.posterior.stan.starts import chain_starts
from bayesde.stan_runtime import compiled_model

if TYPE_CHECKING:
    from cmdstanpy import CmdStanModel

__all__ = ["SampledGenes", "sample_genes"]

logger = logging.getLogger(__name__)

RERUN_LENGTH = 4
"""A gene that is sampled alone gets this many times the iterations, thinned to as many draws."""
NOT_IN_KEYS = ("effects", "coding")
"""Options that the keys of blocks do not depend on, nor seeds: what they change is in the genes' data."""
CHECKS = ("rhat", "ess_bulk", "ess_tail")
PERFORMANCE = ("divergences", "treedepth_hits", "gradients")


@dataclass(frozen=True, eq=False)
class SampledGenes:
    """Draws of genes and the sampler's diagnostics.

    Attributes
    ----------
    draws : GeneDraws
        Of equal weight, chain after chain; NaN for a gene that could not be sampled.
    report : dict of str to ndarray (gene,)
        ``rhat``, ``ess_bulk``, ``ess_tail``; ``divergences`` and ``treedepth_hits`` of the last run in which
        the gene was sampled; ``gradients`` per draw; ``attempts``; and, where the draws were reweighted for
        the uncertainty of the hyperparameters, ``pareto_k`` of these weights.
    statistics : dict of str to ndarray (chain, draw)
        The sampler's statistics of every draw, where all genes were sampled together.
    """

    draws: GeneDraws
    report: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Sampler:
    """What every block needs."""

    genes: SamplerCoordinates
    settings: ChainSettings
    options: SamplingOptions
    program: CmdStanModel
    points: HyperparameterPosterior | None

    def attempt(self, rows: np.ndarray, settings: ChainSettings, seed: int, number: int) -> BlockDraws:
        """Sample some genes together, once."""
        genes = self.genes.genes(rows)
        starts = [{"z": z.tolist()} for z in chain_starts(genes, settings.chains, number)]
        names = ("beta", "log_dispersion")
        chains = run_chains(self.program, genes_data(genes), starts, settings, seed, names)
        beta, log_dispersion = (chains.variables[name] for name in names)
        draws = np.concatenate([beta, log_dispersion[..., None]], axis=-1).astype(np.float32)
        report = {name: values.tolist() for name, values in chain_diagnostics(draws).items()}
        for name in PERFORMANCE:
            report[name] = [float(getattr(chains, name))] * rows.size
        return BlockDraws(draws, report)

    def failed(self, result: BlockDraws) -> np.ndarray:
        """Return which genes fail a check."""
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
        """Sample a block; with smaller steps if it diverged; then each gene that fails, alone.

        So no gene has more than three attempts. The result of the last one is kept, good or not, unless it
        has no draws at all.
        """
        result = self._try(block.rows, self.settings, block.seed, 0)
        attempts = np.ones(block.rows.size)
        if not max(result.report["divergences"]) == 0:
            again = self._try(block.rows, self.careful(), block.seed + 1, 1)
            result = again if np.isfinite(again.draws).all() else result
            attempts += 1.0
        draws, report = result.draws.copy(), {name: list(values) for name, values in result.report.items()}
        for i in np.flatnonzero(self.failed(result)).tolist():
            alone = self._try(block.rows[i : i + 1], self.careful(RERUN_LENGTH), block.seed + 2 + i, 2)
            attempts[i] += 1.0
            if np.isfinite(alone.draws).all():
                draws[:, :, i] = alone.draws[:, :, 0]
                for name, values in alone.report.items():
                    report[name][i] = values[0]
        return BlockDraws(draws, {**report, "attempts": attempts.tolist()})

    def _try(self, rows: np.ndarray, settings: ChainSettings, seed: int, number: int) -> BlockDraws:
        """Sample some genes together; NaN for all where Stan gives up."""
        try:
            return self.attempt(rows, settings, seed, number)
        except SamplerStopped:
            raise
        except FitError as problem:
            logger.warning("%d gene(s) could not be sampled together: %s", rows.size, problem)
            return _no_draws((settings.chains, settings.draws, rows.size, self.genes.location.shape[1]))

    def finished(self, block: Block, result: BlockDraws) -> BlockDraws:
        """Reweight a block for the uncertainty of the hyperparameters, and recompute its diagnostics."""
        if self.points is None:
            return result
        genes = self.genes.genes(block.rows)
        draws, pareto_k = integrated_draws(result.draws, genes.uncertain, self.points, genes.start.seeds)
        updated = {name: values.tolist() for name, values in chain_diagnostics(draws).items()}
        return BlockDraws(draws, {**result.report, **updated, "pareto_k": pareto_k.tolist()})


def _no_draws(shape: tuple[int, ...]) -> BlockDraws:
    """Return NaN in place of draws that could not be made."""
    draws = np.full(shape, np.nan, dtype=np.float32)
    return BlockDraws(draws, {name: [float("nan")] * shape[2] for name in CHECKS + PERFORMANCE})


def sample_genes(
    genes: SamplerCoordinates,
    settings: ChainSettings,
    *,
    options: SamplingOptions,
    seed: int,
    points: HyperparameterPosterior | None = None,
    workers: int = 1,
    directory: Path | None = None,
    progress: Progress | None = None,
) -> SampledGenes:
    """Sample the posterior of every gene given the hyperparameters.

    Parameters
    ----------
    genes : SamplerCoordinates
    settings : ChainSettings
    options : SamplingOptions
    seed : int
        The run's seed.
    points : HyperparameterPosterior, optional
        Points of the hyperparameters that the draws are reweighted to, instead of those they were sampled
        with.
    workers : int
        Blocks that are sampled at a time.
    directory : Path, optional
        Where finished blocks are kept, and all draws in the end; blocks found there are not sampled again.
        Without it the draws are in a temporary file that goes away with them.
    progress : callable, optional
        Called with (blocks done, blocks, text) from this thread.

    Returns
    -------
    SampledGenes
        Its draws are a memory map.

    Raises
    ------
    OptionError
        If a law of effects has a point mass at zero, which Stan cannot sample.
    """
    families = () if points is None else points.space.families
    check_effects("nuts", families, [law for _, law in genes.model.mixtures])
    genes = replace(genes, noncentered=_without_dispersion(genes.noncentered))
    plan = plan_blocks(genes, options.block_size, {**asdict(settings), **_keyed(options), "seed": seed})
    program = compiled_model("genes", progress=None if progress is None else _as_text(progress, len(plan)))
    sampler = _Sampler(genes, settings, options, program, points)
    n_genes, size = genes.location.shape
    report: dict[str, np.ndarray] = {}
    text = f"sampling {n_genes:,} genes"
    if progress is not None:
        progress(0, len(plan), text)
    with DrawsFile((n_genes, settings.chains * settings.draws, size), directory) as file:
        for done, (block, result) in enumerate(_run(plan, sampler, workers, directory), start=1):
            file.write(block.rows, _chain_after_chain(result.draws))
            for name, values in result.report.items():
                report.setdefault(name, np.full(n_genes, np.nan))[block.rows] = values
            if progress is not None:
                progress(done, len(plan), text)
        theta = file.finished()
    _log_repeated(report)
    return SampledGenes(GeneDraws(theta, chains=settings.chains), report)


def _keyed(options: SamplingOptions) -> dict[str, Any]:
    """Return the options that keys of blocks depend on."""
    return {name: value for name, value in asdict(options).items() if name not in NOT_IN_KEYS}


def _without_dispersion(noncentered: np.ndarray) -> np.ndarray:
    """Center the log dispersions: with a fixed trend, a gene's own curvature is the better scale."""
    changed = noncentered.copy()
    changed[:, -1] = False
    return changed


def _chain_after_chain(draws: np.ndarray) -> np.ndarray:
    """Turn (chain, draw, gene, P + 1) into (gene, chain * draw, P + 1)."""
    chains, length, n_genes, size = draws.shape
    return draws.transpose(2, 0, 1, 3).reshape(n_genes, chains * length, size)


def _log_repeated(report: dict[str, np.ndarray]) -> None:
    """Log how many genes were sampled more than once."""
    attempts = report["attempts"]
    if (attempts > 1).any():
        logger.info(
            "%d of %d genes were sampled again, %d of them twice",
            np.count_nonzero(attempts > 1),
            attempts.size,
            np.count_nonzero(attempts > 2),
        )


def _as_text(progress: Progress, total: int) -> Callable[[str], Any]:
    return lambda text: progress(0, total, text)


def _run(
    plan: list[Block], sampler: _Sampler, workers: int, directory: Path | None
) -> Iterator[tuple[Block, BlockDraws]]:
    """Read finished blocks and sample the others; yield each when it is done."""

    def work(block: Block) -> BlockDraws:
        if directory is not None and is_finished(directory, block.key):
            return sampler.finished(block, read_block(directory, block.key))
        result = sampler.block(block)
        if directory is not None:
            write_block(directory, block.key, result)
        return sampler.finished(block, result)

    with ThreadPoolExecutor(max_workers=workers) as pool:
        pending: dict[Future[BlockDraws], Block] = {}
        try:
            for block in plan:
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
    """Wait for blocks to finish, and remove them from those pending."""
    finished, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in finished:
        yield pending.pop(future), future.result()
