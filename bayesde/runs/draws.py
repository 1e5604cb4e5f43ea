"""The draws that a run leaves: as they were made, for `open_run`, and of equal weight, for other programs."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from bayesde.runs.directory import RunDirectory

if TYPE_CHECKING:
    from bayesde.posterior import Posterior

__all__ = ["write_draws"]


def write_draws(directory: RunDirectory, posterior: Posterior) -> None:
    """Write all draws, each time into a folder that is renamed when it is complete.

    Parameters
    ----------
    directory : RunDirectory
    posterior : Posterior
    """
    from bayesde.posterior.storage.kept import ARRAYS, KeptDraws, keep_draws  # point estimates have none

    draws = posterior.gene_draws
    files = {name: directory.blocks / f"{name}.npy" for name in ARRAYS}
    kept = KeptDraws(draws, posterior.diagnostics, posterior.shared, posterior.statistics)
    keep_draws(directory.draws, kept, {name: file for name, file in files.items() if file.exists()})
    _write_equal_draws(directory, posterior)


def _write_equal_draws(directory: RunDirectory, posterior: Posterior) -> None:
    """Write the draws of equal weight."""
    target = directory.path / "posterior.zarr"
    scratch = directory.path / ".posterior.zarr.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    draws = posterior.draws
    encoding = {
        name: {
            "chunks": tuple(min(256, size) if dim == "gene" else size for dim, size in values.sizes.items())
        }
        for name, values in draws.data_vars.items()
        if "gene" in values.dims
    }
    draws.to_zarr(scratch, encoding=encoding, zarr_format=2, consolidated=True)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(scratch, target)
