"""Blocks of genes that are sampled together, and the folders in which finished ones are kept.

A block's key is a hash of the program, its genes' data and priors, the settings and the run's seed; the seed
of its chains comes from the key. So neither the order nor the number of workers changes a number, and a block
that is found on disk under its key need not be sampled again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bayesde
from bayesde.posterior.stan.data import SamplerCoordinates
from bayesde.posterior.stan.effects import laws_as_bytes
from bayesde.stan_runtime import stan_source_dir

__all__ = [
    "Block",
    "BlockDraws",
    "is_finished",
    "plan_blocks",
    "program_hash",
    "read_block",
    "source_hash",
    "write_block",
]

DRAWS, REPORT, FINISHED = "draws.npy", "block.json", "ok"
LARGEST_SEED = 2**31 - 1
FIRST_SOURCES = "4271e22b6e600373fada2e9ba4c845e31d7daad7df257fbdea140baec7867d9a"
SAME_DRAWS = {
    "d2bf075b9a70985af9d4f9cbdfeb515fe6f63fbe589afbcafe6496e3be1772ad": FIRST_SOURCES,
    "fd46e06f9d95cd30d16c00623021f20fbb5264e1e2cc1a6e3bfec0ba28317531": FIRST_SOURCES,
}
"""Hashes of sources of genes.stan, each with the hash of older sources that give the same draws.

The keys of blocks, and with them the seeds of the chains, depend on the sources of the program. A change of
names, comments or layout alone would therefore give other draws and make unfinished runs start again. An
entry here keeps the keys: {hash of the new sources: hash of the old ones}. Add one only after the draws of a
run have been found bit-identical with both sources (``python -m benchmarks.same_bytes --tree CHECKOUT --part
runs``). Any other change of the sources gets new keys by itself.
"""


@dataclass(frozen=True, eq=False)
class Block:
    """Genes that are sampled together.

    Attributes
    ----------
    rows : ndarray of int (gene,)
        Which genes of the model.
    key : str
        Hash of everything that the draws depend on.
    """

    rows: np.ndarray
    key: str

    @property
    def seed(self) -> int:
        """Seed of the block's chains and of their starts."""
        return int(self.key[:15], 16) % LARGEST_SEED + 1


@dataclass(frozen=True, eq=False)
class BlockDraws:
    """The result of sampling a block.

    Attributes
    ----------
    draws : ndarray of float32 (chain, draw, gene, P + 1)
        Coefficients and log dispersion, natural log.
    report : dict of str to list (gene,)
        ``rhat``, ``ess_bulk``, ``ess_tail``, ``divergences``, ``treedepth_hits``, ``gradients`` (per draw),
        ``attempts``.
    """

    draws: np.ndarray
    report: dict[str, list[float]]


def program_hash(name: str) -> str:
    """Hash the sources of a Stan program: its file and all files that programs may include.

    Parameters
    ----------
    name : str
        ``"genes"`` or ``"joint"``.

    Returns
    -------
    str
        Hexadecimal digits; those of older sources that give the same draws, where `SAME_DRAWS` names them.
    """
    found = source_hash(name)
    return SAME_DRAWS.get(found, found)


def source_hash(name: str) -> str:
    """Hash the sources of a Stan program as they are.

    Parameters
    ----------
    name : str
        ``"genes"`` or ``"joint"``.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    folder = stan_source_dir()
    digest = hashlib.sha256(name.encode())
    for path in sorted(folder.rglob("*.stan")):
        if path.parent != folder or path.stem == name:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def plan_blocks(
    genes: SamplerCoordinates, size: int, settings: Mapping[str, Any], order: np.ndarray | None = None
) -> list[Block]:
    """Divide the genes into blocks of similar base means.

    Parameters
    ----------
    genes : SamplerCoordinates
    size : int
        Genes in a block.
    settings : mapping
        Everything else that the draws depend on, including the run's seed.
    order : ndarray of int (gene,), optional
        Order of the genes; by default of increasing base mean.

    Returns
    -------
    list of Block
        Every gene is in one of them.
    """
    model = genes.model
    order = np.argsort(model.base_mean, kind="stable") if order is None else order
    common = hashlib.sha256(f"{bayesde.__version__} {program_hash('genes')}".encode())
    common.update(json.dumps(dict(settings), sort_keys=True).encode())
    scalars = [model.dispersion_sd, model.nu, model.unshrunken_sd]
    for part in (model.x, model.shrunken, model.shrinkage_scale, scalars):
        common.update(np.ascontiguousarray(part, dtype=np.float64).tobytes())
    common.update(laws_as_bytes(model))
    blocks = []
    for start in range(0, order.size, size):
        rows = order[start : start + size]
        digest = common.copy()
        for part in (model.y, model.log_nf, model.log_trend, *genes.arrays):
            digest.update(np.ascontiguousarray(part[rows], dtype=np.float64).tobytes())
        blocks.append(Block(rows, digest.hexdigest()[:32]))
    return blocks


def is_finished(directory: Path, key: str) -> bool:
    """Return whether a block's folder is there and complete.

    Parameters
    ----------
    directory : Path
        The folder of all blocks.
    key : str
        The block's key.

    Returns
    -------
    bool
    """
    return (directory / key / FINISHED).is_file()


def write_block(directory: Path, key: str, result: BlockDraws) -> None:
    """Write a block into a temporary folder, rename that to its key, and mark it finished.

    Parameters
    ----------
    directory : Path
        The folder of all blocks; made if need be.
    key : str
        The block's key.
    result : BlockDraws
    """
    directory.mkdir(parents=True, exist_ok=True)
    final = directory / key
    scratch = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=directory))
    try:
        np.save(scratch / DRAWS, result.draws)
        (scratch / REPORT).write_text(json.dumps(asdict(result)["report"]) + "\n", encoding="utf-8")
        if not is_finished(directory, key):
            shutil.rmtree(final, ignore_errors=True)
            os.rename(scratch, final)
            (final / FINISHED).touch()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read_block(directory: Path, key: str) -> BlockDraws:
    """Read a finished block.

    Parameters
    ----------
    directory : Path
        The folder of all blocks.
    key : str
        The block's key.

    Returns
    -------
    BlockDraws
    """
    folder = directory / key
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    return BlockDraws(np.load(folder / DRAWS), report)
