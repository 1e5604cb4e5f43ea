"""The draws of a finished run, as they were made: weighted, unrounded, and read only where they are needed.

The folder ``draws`` of a run has the arrays of `GeneDraws` as .npy files, which are opened as memory maps,
and ``rest.npz`` with the diagnostics of all genes and what the sampler says of its chains. Together with the
plan of the run, its input files and ``hyperparameters.json`` they are a `Posterior`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.storage.files import check_folder, save_array, write_folder

__all__ = ["ARRAYS", "KeptDraws", "keep_draws", "read_draws"]

ARRAYS = ("theta", "log_weights", "log_ratio")
"""Those of `GeneDraws` that are large."""
REST = "rest.npz"
_DIAGNOSTIC, _SHARED, _STATISTIC = "diagnostic:", "shared:", "statistic:"


@dataclass(frozen=True, eq=False)
class KeptDraws:
    """What is kept of a posterior.

    Attributes
    ----------
    gene_draws : GeneDraws
    diagnostics : pandas.DataFrame (gene,)
    shared, statistics : dict of str to ndarray (chain, draw)
        As of `Posterior`.
    """

    gene_draws: GeneDraws
    diagnostics: pd.DataFrame
    shared: dict[str, np.ndarray] = field(default_factory=dict)
    statistics: dict[str, np.ndarray] = field(default_factory=dict)


def keep_draws(folder: Path, kept: KeptDraws, files: Mapping[str, Path] | None = None) -> None:
    """Write the draws of a posterior into a folder.

    Parameters
    ----------
    folder : Path
        Is replaced.
    kept : KeptDraws
    files : mapping of str to Path, optional
        Files that hold arrays of the draws already, by the name of the array: they are moved.
    """
    draws, files = kept.gene_draws, files or {}

    def fill(scratch: Path) -> None:
        for name in ARRAYS:
            if name in files:
                os.rename(files[name], scratch / f"{name}.npy")
            elif (values := getattr(draws, name)) is not None:
                save_array(scratch / f"{name}.npy", values)
        small: dict[str, Any] = _rest(kept)
        np.savez(scratch / REST, **small)

    write_folder(folder, fill, replace=True, hashed=False)


def read_draws(folder: Path, genes: pd.Index) -> KeptDraws:
    """Open the draws that `keep_draws` wrote.

    Parameters
    ----------
    folder : Path
    genes : pandas.Index
        Names of all genes of the run.

    Returns
    -------
    KeptDraws
        Its large arrays are memory maps; changes of them do not reach the files.

    Raises
    ------
    DamagedFolder
        If the files are not what was written.
    """
    check_folder(folder)
    large = {name: _mapped(folder / f"{name}.npy") for name in ARRAYS}
    with np.load(folder / REST, allow_pickle=False) as rest:
        columns, shared, statistics = (_named(rest, part) for part in (_DIAGNOSTIC, _SHARED, _STATISTIC))
        level = rest["log_level"] if "log_level" in rest else None
        chains, atoms = int(rest["chains"]), bool(rest["has_atoms"])
    assert large["theta"] is not None
    draws = GeneDraws(large["theta"], large["log_weights"], large["log_ratio"], chains, atoms, level)
    texts = {name: values.astype(object) for name, values in columns.items() if values.dtype.kind == "U"}
    index = pd.Index(genes, name="gene")
    return KeptDraws(draws, pd.DataFrame(columns | texts, index=index), shared, statistics)


def _rest(kept: KeptDraws) -> dict[str, np.ndarray]:
    """Return all that is small, by the names of arrays in a file."""
    draws = kept.gene_draws
    found = {"chains": np.array(draws.chains), "has_atoms": np.array(draws.has_atoms)}
    if draws.log_level is not None:
        found["log_level"] = draws.log_level
    for name, column in kept.diagnostics.items():
        values = column.to_numpy()
        found[f"{_DIAGNOSTIC}{name}"] = values.astype(str) if values.dtype == object else values
    found |= {f"{_SHARED}{name}": values for name, values in kept.shared.items()}
    return found | {f"{_STATISTIC}{name}": values for name, values in kept.statistics.items()}


def _named(rest: Mapping[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with a part, by the rest of their names."""
    return {name.removeprefix(part): rest[name] for name in rest if name.startswith(part)}


def _mapped(file: Path) -> np.ndarray | None:
    """Open an array as a memory map whose changes stay in memory; None if there is no such file."""
    return np.load(file, mmap_mode="c") if file.exists() else None
