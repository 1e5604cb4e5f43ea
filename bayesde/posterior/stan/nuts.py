"""Inference method nuts: genes in blocks, given the hyperparameters; those that fail a check again, alone.

A block's draws are reweighted to the hyperparameters' posterior, checked and written to a file as soon as
they are there: of a whole transcriptome only the blocks in progress are in memory.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.errors import FitError, SamplerStopped
from bayesde.posterior.draws.diagnostics import chain_diagnostics
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.integrate import integrated_draws
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.stan.blocks import plan_blocks
from bayesde.posterior.stan.data import SamplerCoordinates, draws_of, genes_data, names_of_draws
from bayesde.posterior.stan.effects import check_effects
from bayesde.posterior.stan.run import ChainSettings, run_chains
from bayesde.posterior.stan.starts import chain_starts
from bayesde.posterior.storage.block_folders import LARGEST_SEED, Block, BlockResult, n_found
from bayesde.posterior.storage.draws_file import DrawsFile
from bayesde.posterior.storage.work import run_blocks
from bayesde.stan_runtime import compiled_model
from bayesde.workers.pools import LocalPool, Pool
from bayesde.workers.progress import BlockCount, Progress, report_blocks

if TYPE_CHECKING:
    from cmdstanpy import CmdStanModel

__all__ = ["ChainTask", "Program", "SampledGenes", "sample_genes"]

logger = logging.getLogger(__name__)

RERUN_LENGTH = 4
"""A gene that is sampled alone gets this many times the iterations, thinned to as many draws."""
NOT_IN_KEYS = ("effects", "coding")
"""Options that the keys of blocks do not depend on, nor seeds: what they change is in the genes' data."""
CHECKS = ("rhat", "ess_bulk", "ess_tail")
DRAWS = "draws"
"""Name of a block's array (chain, draw, gene, P + 1), natural log: coefficients, log standard deviations of
random effects, log dispersion."""
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


class Program:
    """The compiled program; on another machine, the one that is compiled there.

    Parameters
    ----------
    model : CmdStanModel
    """

    def __init__(self, model: CmdStanModel) -> None:
        self.model = model

    def __reduce__(self) -> tuple[Any, ...]:
        return _program_here, ()


@cache
def _program_here() -> Program:
    return Program(compiled_model("genes"))


@dataclass(frozen=True, eq=False)
class ChainTask:
    """A block of genes, and how its chains are run.

    Attributes
    ----------
    rows : ndarray of int (gene,)
        Which genes of the model.
    genes : SamplerCoordinates
        Of these genes.
    seed : int
    """

    rows: np.ndarray
    genes: SamplerCoordinates
    settings: ChainSettings
    options: SamplingOptions
    program: Program
    seed: int

    def attempt(self, some: np.ndarray, settings: ChainSettings, seed: int, number: int) -> BlockResult:
        """Sample some of the genes together, once.

        Parameters
        ----------
        some : ndarray of int
            Positions in the block.
        settings : ChainSettings
        seed : int
        number : int
            Of the attempt.

        Returns
        -------
        BlockResult
        """
        genes = self.genes.genes(some)
        z = genes.with_levels(chain_starts(genes, settings.chains, number), 0.0)
        starts = [{"z": own.tolist()} for own in z]
        names = names_of_draws(genes)
        chains = run_chains(self.program.model, genes_data(genes), starts, settings, seed, names)
        draws = draws_of(chains, genes).astype(np.float32)
        report = {name: values.tolist() for name, values in chain_diagnostics(draws).items()}
        for name in PERFORMANCE:
            report[name] = [float(getattr(chains, name))] * some.size
        return BlockResult({DRAWS: draws}, report)

    def failed(self, result: BlockResult) -> np.ndarray:
        """Return which genes fail a check.

        Parameters
        ----------
        result : BlockResult

        Returns
        -------
        ndarray of bool (gene,)
        """
        report = {name: np.asarray(values) for name, values in result.report.items()}
        fine = report["rhat"] <= self.options.max_rhat
        for name in ("ess_bulk", "ess_tail"):
            fine &= report[name] >= self.options.min_ess
        return ~fine | (report["divergences"] > 0)

    def careful(self, thin: int = 1) -> ChainSettings:
        """Return the settings of a later attempt.

        Parameters
        ----------
        thin : int
            Of so many draws one is kept.

        Returns
        -------
        ChainSettings
        """
        return replace(
            self.settings,
            warmup=max(1000, 2 * self.settings.warmup),
            thin=thin,
            adapt_delta=self.options.rerun_adapt_delta,
            max_treedepth=self.options.max_treedepth + 2,
        )

    def run(self) -> BlockResult:
        """Sample the block; with smaller steps if it diverged; then each gene that fails, alone.

        So no gene has more than three attempts. The result of the last one is kept, good or not, unless it
        has no draws at all.
        """
        everyone = np.arange(self.rows.size)
        result = self._try(everyone, self.settings, self.seed, 0)
        attempts = np.ones(everyone.size)
        if not max(result.report["divergences"]) == 0:
            again = self._try(everyone, self.careful(), self.seed + 1, 1)
            result = again if np.isfinite(again.arrays[DRAWS]).all() else result
            attempts += 1.0
        draws = result.arrays[DRAWS].copy()
        report = {name: list(values) for name, values in result.report.items()}
        for i in np.flatnonzero(self.failed(result)).tolist():
            alone = self._try(everyone[i : i + 1], self.careful(RERUN_LENGTH), self.seed + 2 + i, 2)
            attempts[i] += 1.0
            if np.isfinite(alone.arrays[DRAWS]).all():
                draws[:, :, i] = alone.arrays[DRAWS][:, :, 0]
                for name, values in alone.report.items():
                    report[name][i] = values[0]
        return BlockResult({DRAWS: draws}, {**report, "attempts": attempts.tolist()})

    def _try(self, some: np.ndarray, settings: ChainSettings, seed: int, number: int) -> BlockResult:
        """Sample some genes together; NaN for all where Stan gives up."""
        try:
            return self.attempt(some, settings, seed, number)
        except SamplerStopped:
            raise
        except FitError as problem:
            logger.warning("%d gene(s) could not be sampled together: %s", some.size, problem)
            return self._no_draws(some.size)

    def _no_draws(self, n_genes: int) -> BlockResult:
        """Return NaN in place of draws that could not be made."""
        shape = (self.settings.chains, self.settings.draws, n_genes, self.genes.n_kept)
        draws = np.full(shape, np.nan, dtype=np.float32)
        return BlockResult({DRAWS: draws}, {name: [float("nan")] * n_genes for name in CHECKS + PERFORMANCE})

    def parts(self) -> list[ChainTask]:
        """Divide the block in two."""
        middle, everyone = self.rows.size // 2, np.arange(self.rows.size)
        halves = [everyone[:middle], everyone[middle:]] if middle else []
        return [
            replace(self, rows=self.rows[some], genes=self.genes.genes(some), seed=self._seed_of(some))
            for some in halves
        ]

    def _seed_of(self, some: np.ndarray) -> int:
        """Return a seed for some of the genes, which no other attempt uses."""
        digest = hashlib.sha256(f"{self.seed} {some[0]} {some.size}".encode())
        return int(digest.hexdigest()[:15], 16) % LARGEST_SEED + 1

    def joined(self, results: Sequence[BlockResult]) -> BlockResult:
        """Put the results of both halves together.

        Parameters
        ----------
        results : sequence of BlockResult
            In the order of `parts`.

        Returns
        -------
        BlockResult
        """
        draws = np.concatenate([one.arrays[DRAWS] for one in results], axis=2)
        names = results[0].report
        report = {name: [value for one in results for value in one.report[name]] for name in names}
        return BlockResult({DRAWS: draws}, report)

    def without_draws(self) -> BlockResult:
        """Return what stands for genes that cannot be sampled."""
        nothing = self._no_draws(self.rows.size)
        return BlockResult(nothing.arrays, {**nothing.report, "attempts": [3.0] * self.rows.size})


@dataclass(frozen=True, eq=False)
class _Reweighting:
    """Reweights blocks for the uncertainty of the hyperparameters, and recomputes their diagnostics."""

    genes: SamplerCoordinates
    points: HyperparameterPosterior

    def __call__(self, block: Block, result: BlockResult) -> BlockResult:
        genes, draws = self.genes.genes(block.rows), result.arrays[DRAWS]
        draws, pareto_k = integrated_draws(draws, genes.uncertain, self.points, genes.start.seeds)
        updated = {name: values.tolist() for name, values in chain_diagnostics(draws).items()}
        report = {**result.report, **updated, "pareto_k": pareto_k.tolist()}
        return BlockResult({DRAWS: draws}, report)


def sample_genes(
    genes: SamplerCoordinates,
    settings: ChainSettings,
    *,
    options: SamplingOptions,
    seed: int,
    points: HyperparameterPosterior | None = None,
    pool: Pool | None = None,
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
    pool : Pool, optional
        Where blocks are sampled; by default in this process, one at a time.
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
    compiled = Program(program)

    def task_of(block: Block) -> ChainTask:
        return ChainTask(block.rows, genes.genes(block.rows), settings, options, compiled, block.seed)

    finish = None if points is None else _Reweighting(genes, points)
    n_genes, size = genes.model.n_genes, genes.n_kept
    report: dict[str, np.ndarray] = {}
    found, genes_done, failed = n_found(directory, plan), 0, 0
    if progress is not None:
        report_blocks(progress, BlockCount(0, len(plan), 0, n_genes, found))
    shape = (n_genes, settings.chains * settings.draws, size)
    # closed, so that a run that is stopped waits for the blocks under way before the process ends
    with (
        DrawsFile(shape, directory) as file,
        closing(run_blocks(plan, task_of, pool or LocalPool(), directory, finish)) as blocks,
    ):
        for done, (block, result) in enumerate(blocks, start=1):
            file.write(block.rows, _chain_after_chain(result.arrays[DRAWS]))
            for name, values in result.report.items():
                report.setdefault(name, np.full(n_genes, np.nan))[block.rows] = values
            genes_done += block.rows.size
            failed += int(np.isnan(result.report["rhat"]).sum())
            if progress is not None:
                report_blocks(progress, BlockCount(done, len(plan), genes_done, n_genes, found, failed))
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
