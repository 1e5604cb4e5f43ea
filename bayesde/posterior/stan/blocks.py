"""Blocks of genes that are sampled together, their keys and their seeds.

A block's key is a hash of the program, its genes' data and priors, the settings and the run's seed; the seed
of its chains comes from the key. So neither the order nor the number of workers changes a number, and a block
that is found on disk under its key need not be sampled again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

import bayesde
from bayesde.posterior.stan.data import SamplerCoordinates
from bayesde.posterior.stan.effects import laws_as_bytes
from bayesde.posterior.storage.block_folders import Block
from bayesde.posterior.storage.keys import KEY_LENGTH
from bayesde.stan_runtime import stan_source_dir

__all__ = ["plan_blocks", "program_hash", "source_hash"]

FIRST_SOURCES = "4271e22b6e600373fada2e9ba4c845e31d7daad7df257fbdea140baec7867d9a"
SAME_DRAWS = {
    "d2bf075b9a70985af9d4f9cbdfeb515fe6f63fbe589afbcafe6496e3be1772ad": FIRST_SOURCES,
    "fd46e06f9d95cd30d16c00623021f20fbb5264e1e2cc1a6e3bfec0ba28317531": FIRST_SOURCES,
    "57a69cc3d8347c081d61b0ac7b563b3e0c2453692a5541a80293c7cfe9c88f24": FIRST_SOURCES,
}
"""Hashes of sources of genes.stan, each with the hash of older sources that give the same draws.

The keys of blocks, and with them the seeds of the chains, depend on the sources of the program. A change of
names, comments or layout alone would therefore give other draws and make unfinished runs start again. An
entry here keeps the keys: {hash of the new sources: hash of the old ones}. Add one only after the draws of a
run have been found bit-identical with both sources (``python -m benchmarks.same_bytes --tree CHECKOUT --part
runs``). Any other change of the sources gets new keys by itself.
"""


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
    for part in () if genes.levels is None else (*genes.levels.shared_arrays, *model.log_sd_prior):
        common.update(np.ascontiguousarray(part, dtype=np.float64).tobytes())
    blocks = []
    for start in range(0, order.size, size):
        rows = order[start : start + size]
        digest = common.copy()
        for part in (model.y, model.log_nf, model.log_trend, *genes.arrays):
            digest.update(np.ascontiguousarray(part[rows], dtype=np.float64).tobytes())
        blocks.append(Block(rows, digest.hexdigest()[:KEY_LENGTH]))
    return blocks
