"""The draws that a run leaves: as they were made, for `open_run`, and of equal weight, for other programs."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import numpy as np

from bayesde.runs.directory import RunDirectory

if TYPE_CHECKING:
    import xarray as xr

    from bayesde.posterior import Posterior

__all__ = ["write_draws"]


CHUNK, CHUNKS_AT_A_TIME = 256, 8
"""Genes in a chunk of the array; and chunks that are in memory at a time."""


def write_draws(directory: RunDirectory, posterior: Posterior) -> None:
    """Write all draws, each time into a folder that is renamed when it is complete.

    Parameters
    ----------
    directory : RunDirectory
    posterior : Posterior
    """
    from bayesde.posterior.storage.kept import ARRAYS, KeptDraws, keep_draws  # point estimates have none

    draws = posterior.gene_draws
    in_files = [name for name in ARRAYS if isinstance(getattr(draws, name), np.memmap)]
    files = {name: directory.blocks / f"{name}.npy" for name in in_files}
    kept = KeptDraws(draws, posterior.diagnostics, posterior.shared, posterior.statistics)
    keep_draws(directory.draws, kept, {name: file for name, file in files.items() if file.exists()})
    _write_equal_draws(directory, posterior)


def _write_equal_draws(directory: RunDirectory, posterior: Posterior) -> None:
    """Write the draws of equal weight, some genes at a time."""
    import zarr  # slow to load

    from bayesde.posterior.summaries.equal_weights import labelled_draws

    target = directory.path / "posterior.zarr"
    scratch = directory.path / ".posterior.zarr.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    n_genes, size = posterior.gene_draws.n_genes, CHUNK * CHUNKS_AT_A_TIME
    for first in range(0, n_genes, size):
        draws = labelled_draws(posterior, rows=slice(first, first + size))
        if first == 0:
            draws.to_zarr(scratch, encoding=_encoding(draws, n_genes), zarr_format=2)
        else:
            draws.to_zarr(scratch, append_dim="gene")
    zarr.consolidate_metadata(str(scratch), zarr_format=2)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(scratch, target)


def _encoding(draws: xr.Dataset, n_genes: int) -> dict[str, dict[str, tuple[int, ...]]]:
    """Return the chunks of the variables."""
    return {
        str(name): {
            "chunks": tuple(
                min(CHUNK, n_genes) if dim == "gene" else size for dim, size in values.sizes.items()
            )
        }
        for name, values in draws.data_vars.items()
        if "gene" in values.dims
    }
