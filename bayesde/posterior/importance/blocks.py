"""Engine psis in blocks of genes, for runs that are too large for memory, or long enough to be interrupted.

The hyperparameters are learnt first, and are a unit of work of their own. The draws that they were learnt
from are not kept: as every gene has its own streams of random numbers, a block makes those of its genes once
more, bit for bit, and goes on from there. So the draws of a gene are those that it has when all genes are
sampled at once, whatever the size of the blocks, and only the blocks under way are in memory. Under laws with
zero a block makes its proposals with zeros once more, too, for the hyperparameters for which they were made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import bayesde
from bayesde.model.density import ConditionalModel
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.laws import LawsToLearn
from bayesde.posterior.hyper.learning import draw_all, learn, model_under
from bayesde.posterior.importance.engine import averaged_points, proposed_zeros
from bayesde.posterior.importance.sampler import ImportanceSample, draw_sample
from bayesde.posterior.proposal.genes import GENES_AT_A_TIME, StartedGenes, propose
from bayesde.posterior.storage.block_folders import Block, BlockResult, n_found, read_finished, write_block
from bayesde.posterior.storage.draws_file import DrawsFile
from bayesde.posterior.storage.draws_room import DrawsRoom
from bayesde.posterior.storage.keys import KEY_LENGTH, add_to_hash
from bayesde.posterior.storage.work import run_blocks
from bayesde.workers.pools import Pool
from bayesde.workers.progress import BlockCount, Progress, report_blocks, silent

__all__ = ["BlockSettings", "block_size", "in_blocks", "learnt_unit", "sample_blocks"]

LARGE, LONG = 2**30, 2 * 10**9
"""Bytes of draws, and counts times draws, from which on genes are sampled in blocks. Below, all are in memory
at once, as blocks would repeat some of the work for nothing: 20,000 genes of 8 samples with 1,000 draws of 3
coefficients have 0.5 GB and 160 million, and take half a minute of processor time."""
BLOCK_BYTES, BLOCK_WORK = 64 * 2**20, 10**9
"""Of the draws of a block; and counts times draws in it, so that blocks take seconds to minutes."""
MANY_GENES = 30_000
"""From which on the draws that hyperparameters are learnt from are in a file: 500 draws of 3 coefficients of
so many genes have 0.24 GB."""
FEWEST_GENES = 4 * GENES_AT_A_TIME
"""Of a block: the genes are shared among threads so many at a time."""
DRAWS = ("theta", "log_weights", "log_ratio")
REPORT = ("pareto_k", "ess", "attempts")
LEARNT = "hyperparameters"
"""Start of the key of the hyperparameters' unit of work."""


def in_blocks(n_genes: int, n_samples: int, draws: int, size: int) -> bool:
    """Return whether genes are sampled in blocks.

    Parameters
    ----------
    n_genes, n_samples : int
    draws : int
        Of every gene.
    size : int
        Numbers of a draw.

    Returns
    -------
    bool
    """
    return n_genes * _bytes(draws, size) > LARGE or n_genes * n_samples * draws > LONG


def block_size(n_samples: int, draws: int, size: int) -> int:
    """Return how many genes a block has.

    Parameters
    ----------
    n_samples : int
    draws : int
        Of every gene.
    size : int
        Numbers of a draw.

    Returns
    -------
    int
    """
    most = min(BLOCK_BYTES // _bytes(draws, size), BLOCK_WORK // (n_samples * draws))
    return max(FEWEST_GENES, most // GENES_AT_A_TIME * GENES_AT_A_TIME)


def _bytes(draws: int, size: int) -> int:
    """Return the size of a gene's draws, with log weights and log ratios."""
    return 4 * draws * (size + 2)


@dataclass(frozen=True, eq=False)
class BlockSettings:
    """What all blocks have in common.

    Attributes
    ----------
    points : HyperparameterPosterior
        Over which the genes' weights are averaged.
    draws : int
        Of every gene.
    learnt_draws : int
        Of every gene, from which the hyperparameters were learnt; 0 where they are given.
    space : HyperparameterSpace or None
        Under which these were made.
    zeros_at : HyperparameterPosterior or None
        Where laws with zero were learnt, a single point, for which proposals with zeros are made.
    """

    points: HyperparameterPosterior
    draws: int
    learnt_draws: int = 0
    space: HyperparameterSpace | None = None
    zeros_at: HyperparameterPosterior | None = None


@dataclass(frozen=True, eq=False)
class ImportanceTask:
    """A block of genes to be sampled by importance.

    Attributes
    ----------
    genes : StartedGenes
        ``rows`` are positions among all genes of the run.
    settings : BlockSettings
    """

    genes: StartedGenes
    settings: BlockSettings

    @property
    def rows(self) -> np.ndarray:
        """Positions among all genes of the run."""
        return self.genes.rows

    def run(self) -> BlockResult:
        """Sample the genes."""
        settings, model, start = self.settings, self.genes.model, self.genes.start
        pieces, likelihood, at_zero = propose(start, model), None, None
        if settings.zeros_at is not None:
            at_zero = proposed_zeros(start, model, settings.zeros_at, settings.points.space.atoms)
        if settings.space is not None:
            room = DrawsRoom(settings.draws).made(
                model.n_genes, settings.learnt_draws, model.n_coefficients + 1
            )
            likelihood = draw_all(pieces, settings.space, settings.learnt_draws, room)
        sampled = draw_sample(pieces, settings.points, settings.draws, likelihood, at_zero)
        arrays = {name: getattr(sampled.draws, name) for name in (*DRAWS, "log_level")}
        return BlockResult(arrays, {name: values.tolist() for name, values in sampled.report.items()})

    def parts(self) -> list[ImportanceTask]:
        """Divide the genes in two."""
        middle, everyone = self.rows.size // 2, np.arange(self.rows.size)
        halves = [everyone[:middle], everyone[middle:]] if middle else []
        return [replace(self, genes=_some(self.genes, half)) for half in halves]

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
        arrays = {
            name: np.concatenate([one.arrays[name] for one in results]) for name in (*DRAWS, "log_level")
        }
        report = {name: [value for one in results for value in one.report[name]] for name in REPORT}
        return BlockResult(arrays, report)

    def without_draws(self) -> BlockResult:
        """Return what stands for genes that cannot be sampled: no attempt of theirs counts."""
        n, draws, size = self.rows.size, self.settings.draws, self.genes.model.n_coefficients + 1
        arrays = {
            "theta": np.full((n, draws, size), np.nan, dtype=np.float32),
            "log_weights": np.full((n, draws), -np.log(draws), dtype=np.float32),
            "log_ratio": np.full((n, draws), np.nan, dtype=np.float32),
            "log_level": np.full(n, np.nan),
        }
        return BlockResult(arrays, {"pareto_k": [np.nan] * n, "ess": [np.nan] * n, "attempts": [0.0] * n})


def _some(genes: StartedGenes, some: np.ndarray) -> StartedGenes:
    return StartedGenes(genes.rows[some], genes.model.genes(some), genes.start.genes(some))


def sample_blocks(
    genes: StartedGenes,
    keep: np.ndarray,
    settings: BlockSettings,
    *,
    pool: Pool,
    directory: Path | None = None,
    progress: Progress | None = None,
) -> ImportanceSample:
    """Sample genes in blocks.

    Parameters
    ----------
    genes : StartedGenes
        With the model that proposals are made for.
    keep : ndarray of int
        The genes to sample, in increasing order.
    settings : BlockSettings
    pool : Pool
        Where blocks are sampled.
    directory : Path, optional
        Where finished blocks are kept, and all draws in the end; blocks found there are not sampled again.
        Without it the draws are in temporary files that go away with them.
    progress : callable, optional

    Returns
    -------
    ImportanceSample
        Its draws are memory maps of files; changes of them reach these.
    """
    n, size = keep.size, genes.model.n_coefficients + 1
    plan = _plan(genes, keep, settings)
    report, level = {name: np.empty(n) for name in REPORT}, np.empty(n)
    shapes = {"theta": (n, settings.draws, size)} | dict.fromkeys(DRAWS[1:], (n, settings.draws))
    found, done, failed = n_found(directory, plan), 0, 0
    say = partial(report_blocks, progress or silent)
    say(BlockCount(0, len(plan), 0, n, found))

    def task_of(block: Block) -> ImportanceTask:
        return ImportanceTask(_some(genes, keep[block.rows]), settings)

    with ExitStack() as stack:
        files = {
            name: stack.enter_context(DrawsFile(shape, directory, f"{name}.npy", writable=True))
            for name, shape in shapes.items()
        }
        # closed, so that a run that is stopped waits for the blocks under way before the process ends
        work = stack.enter_context(closing(run_blocks(plan, task_of, pool, directory)))
        for number, (block, result) in enumerate(work, start=1):
            for name, file in files.items():
                file.write(block.rows, result.arrays[name])
            level[block.rows] = result.arrays["log_level"]
            for name, values in report.items():
                values[block.rows] = result.report[name]
            done += block.rows.size
            failed += result.report["attempts"].count(0.0)
            say(BlockCount(number, len(plan), done, n, found, failed))
        maps = {name: file.finished() for name, file in files.items()}
    atoms = bool(settings.points.space.atoms)
    theta, log_weights, log_ratio = (maps[name] for name in DRAWS)
    draws = GeneDraws(theta, log_weights, log_ratio, has_atoms=atoms, log_level=level)
    return ImportanceSample(draws, report)


def _plan(genes: StartedGenes, keep: np.ndarray, settings: BlockSettings) -> list[Block]:
    """Divide the genes into blocks, in their order, and give each its key."""
    model, blocks = genes.model, []
    each = block_size(model.y.shape[1], settings.draws, model.n_coefficients + 1)
    common = _new_hash()
    add_to_hash(common, settings)
    for first in range(0, keep.size, each):
        rows, digest = np.arange(first, min(first + each, keep.size)), common.copy()
        add_to_hash(digest, model.genes(keep[rows]), genes.start.genes(keep[rows]))
        blocks.append(Block(rows, digest.hexdigest()[:KEY_LENGTH]))
    return blocks


def _new_hash() -> hashlib._Hash:
    return hashlib.sha256(f"psis {bayesde.__version__}".encode())


@dataclass(frozen=True, eq=False)
class LearntUnit:
    """The hyperparameters that were learnt, and what blocks of genes need of how.

    Attributes
    ----------
    hyperparameters : Hyperparameters
    at : ndarray (hyperparameter,)
        Where proposals are made, as psi of Cauchy's law of effects.
    points : HyperparameterPosterior
        All of them.
    learnt_draws : int
        Of every gene, from which they were learnt.
    zeros_at : HyperparameterPosterior or None
        As of `BlockSettings`.
    """

    hyperparameters: Hyperparameters
    at: np.ndarray
    points: HyperparameterPosterior
    learnt_draws: int
    zeros_at: HyperparameterPosterior | None = None

    def model_near(self, space: HyperparameterSpace, model: ConditionalModel) -> ConditionalModel:
        """Return the model that proposals are made for.

        Parameters
        ----------
        space : HyperparameterSpace
            Under Cauchy's law of effects.
        model : ConditionalModel
            Of all genes.

        Returns
        -------
        ConditionalModel
            Under a law with zero, that of the mean of the hyperparameters; else where they were learnt.
        """
        if self.zeros_at is not None:
            return model_under(self.points, model)
        return space.model_at(model, space.phi(self.at))

    def settings(self, space: HyperparameterSpace, n_genes: int, draws: int) -> BlockSettings:
        """Return what all blocks have in common.

        Parameters
        ----------
        space : HyperparameterSpace
            Under Cauchy's law of effects.
        n_genes : int
            From which the hyperparameters were learnt.
        draws : int
            Of every gene.

        Returns
        -------
        BlockSettings
        """
        points = averaged_points(self.points, n_genes)
        if self.zeros_at is not None:  # without zeros there are other proposals than were learnt from
            return BlockSettings(points, draws, zeros_at=self.zeros_at)
        return BlockSettings(points, draws, self.learnt_draws, space)


def learnt_unit(
    genes: StartedGenes,
    hyper: Hyperparameters,
    *,
    space: HyperparameterSpace,
    seed: int,
    laws: LawsToLearn | None = None,
    directory: Path | None = None,
    progress: Progress | None = None,
) -> LearntUnit:
    """Learn the hyperparameters, or read them if that was done.

    Parameters
    ----------
    genes : StartedGenes
        All genes, with the model at `hyper`.
    hyper : Hyperparameters
        Where the search starts.
    space : HyperparameterSpace
        Under Cauchy's law of effects.
    seed : int
    laws : LawsToLearn, optional
        Other laws of effects.
    directory : Path, optional
        Where finished units of work are kept.
    progress : callable, optional

    Returns
    -------
    LearntUnit
    """
    psi, digest = space.psi_of(hyper), _new_hash()
    add_to_hash(digest, genes.model, genes.start, space, psi, seed, laws)
    key = f"{LEARNT}-{digest.hexdigest()[:KEY_LENGTH]}"
    if (found := read_finished(directory, key)) is not None:
        return _read(found, space, laws)
    rng, model = np.random.default_rng(seed), genes.model
    room = DrawsRoom(in_file=model.n_genes > MANY_GENES, directory=directory)
    learnt = learn(model, genes.start, space, psi, rng, progress, room, laws)
    zeros_at = None if learnt.zeros is None else learnt.zeros.at
    unit = LearntUnit(learnt.summary(rng), learnt.at, learnt.points, learnt.likelihood.n_draws, zeros_at)
    if directory is not None:
        write_block(directory, key, _written(unit))
    return unit


def _written(unit: LearntUnit) -> BlockResult:
    """Turn the unit into arrays and plain values."""
    hyper, points = unit.hyperparameters, unit.points
    values: dict[str, Any] = {entry.name: getattr(hyper, entry.name) for entry in fields(hyper)}
    values["draws"] = {name: column.tolist() for name, column in hyper.draws.items()}
    values["mixtures"] = {name: law.to_dict() for name, law in hyper.mixtures.items()}
    report = {"hyperparameters": values, "learnt_draws": unit.learnt_draws, "mixtures": _mixtures(points)}
    arrays = {"at": unit.at, "phi": points.phi, "weight": points.weight}
    if (zeros_at := unit.zeros_at) is not None:
        arrays["zeros_phi"], report["zeros_mixtures"] = zeros_at.phi, _mixtures(zeros_at)
        report["zeros_of_cauchy"] = not zeros_at.space.atoms
    return BlockResult(arrays, report)


def _mixtures(points: HyperparameterPosterior) -> list[Any]:
    return [[k, law.to_dict()] for k, law in points.space.mixtures]


def _read(found: BlockResult, space: HyperparameterSpace, laws: LawsToLearn | None) -> LearntUnit:
    """Turn what was written back into the unit."""
    arrays, report = found.arrays, found.report
    values = dict(report["hyperparameters"])
    values["draws"] = {name: np.array(column) for name, column in values["draws"].items()}
    values["mixtures"] = {name: EffectMixture.from_dict(law) for name, law in values["mixtures"].items()}
    under, zeros_at = space if laws is None else laws.space, None
    points = HyperparameterPosterior(
        _with_mixtures(under, report["mixtures"]), arrays["phi"], arrays["weight"]
    )
    if "zeros_phi" in arrays:
        of_zeros = space if report["zeros_of_cauchy"] else under
        of_zeros = _with_mixtures(of_zeros, report["zeros_mixtures"])
        zeros_at = HyperparameterPosterior(of_zeros, arrays["zeros_phi"], np.ones(1))
    return LearntUnit(Hyperparameters(**values), arrays["at"], points, report["learnt_draws"], zeros_at)


def _with_mixtures(space: HyperparameterSpace, mixtures: list[Any]) -> HyperparameterSpace:
    return replace(space, mixtures=tuple((k, EffectMixture.from_dict(law)) for k, law in mixtures))
