"""The data of a plan: read, matched and checked before anything is computed or written."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.design import Contrast, Design
from bayesde.design.default_contrast import warn_default_on_command_line
from bayesde.design.random_effects import refuse_groupings
from bayesde.eb.fit import EbFit
from bayesde.eb.size_factors.methods import resolved_factors, size_factors
from bayesde.eb.tables import is_level
from bayesde.eb.testing.lrt import check_nested
from bayesde.errors import InputError, OptionError, first_few
from bayesde.io import read_counts, read_gene_table, read_tximport
from bayesde.io.count_files import is_hdf5
from bayesde.io.one_sample import sample_files
from bayesde.io.text import check_file
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.hyperparameters_of_fit import named_coefficients
from bayesde.posterior.codings.starting_values import coding_of
from bayesde.posterior.effect_choice import check_engine
from bayesde.posterior.hyper.fixed import check_fixed
from bayesde.posterior.options import check_joint
from bayesde.posterior.point_estimates.fit import (
    RandomEffectsFit,
    point_estimates,
    refuse_of_tests,
    refuse_weights,
)
from bayesde.runs.options import ModelPlan
from bayesde.runs.plan import RunPlan
from bayesde.workers.progress import Progress, silent

__all__ = ["RunInputs", "check_unchanged", "file_hashes", "fitted", "load", "plan_of"]

LARGE_FILE = 2**30
"""Bytes of an .h5ad file from which on `bayesde eb` leaves dense counts in it."""


@dataclass(frozen=True, eq=False)
class RunInputs:
    """The data of a run.

    Attributes
    ----------
    counts : Counts
    design : Design
    contrast : Contrast
    size_factors : pandas.Series, (sample,), ndarray (gene, sample), or None
        By count where transcript lengths enter; None where normalization factors came with the counts.
    other_contrasts : tuple of Contrast
        Those that get a table beside the main one.
    reduced : Design or None
        That of a likelihood-ratio test.
    weights : pandas.DataFrame (gene, sample) or None
        Of the observations.
    genes : tuple of str or None
        Those that get a posterior; None is all.
    hyperparameters : Hyperparameters or None
        Fixed values; None if they are to be estimated.
    """

    counts: Counts
    design: Design
    contrast: Contrast
    size_factors: pd.Series | np.ndarray | None
    other_contrasts: tuple[Contrast, ...] = ()
    reduced: Design | None = None
    weights: pd.DataFrame | None = None
    genes: tuple[str, ...] | None = None
    hyperparameters: Hyperparameters | None = None


def load(plan: RunPlan) -> RunInputs:
    """Read all files of a plan and check that they fit together.

    Parameters
    ----------
    plan : RunPlan

    Returns
    -------
    RunInputs

    Raises
    ------
    InputError
        If anything cannot be used; nothing has been written by then.
    """
    files = plan.files
    counts = _counts(plan)
    design, contrast = _design(plan.model, counts)
    others = tuple(map(design.contrast, plan.model.other_contrasts))
    factors = _factors(plan, counts)
    if plan.command == "eb":
        if design.groupings:
            _check_without_tests(plan)
        _check_effect(plan.model, design, contrast)
        reduced = _reduced(plan.model, design, counts)
        weights = None if files.weights is None else _gene_table(files.weights, "weights")
        return RunInputs(
            counts, design, contrast, factors, other_contrasts=others, reduced=reduced, weights=weights
        )
    effects = plan.sampling.effects
    check_engine(list(effects.values()) if isinstance(effects, Mapping) else [effects], plan.sample.engine)
    genes = None if files.genes is None else read_gene_list(files.genes, counts)
    named_coefficients(design, plan.sampling.shrink or ())
    fixed = None if files.hyperparameters is None else Hyperparameters.from_json(files.hyperparameters)
    if fixed is not None:
        fixed.scales_of(coding_of(design, tuple(fixed.shrinkage_scale), plan.sampling))
        check_fixed(fixed, plan.sampling)
    _check_panel(plan, counts, genes)
    return RunInputs(
        counts, design, contrast, factors, other_contrasts=others, genes=genes, hyperparameters=fixed
    )


def fitted(
    plan: RunPlan, inputs: RunInputs, scheduler: Any = None, progress: Progress = silent
) -> EbFit | RandomEffectsFit:
    """Compute the point estimates.

    Parameters
    ----------
    plan : RunPlan
    inputs : RunInputs
    scheduler : str or distributed.Client, optional
        Of a Dask cluster whose workers fit blocks of genes.
    progress : callable
        See `Progress`.

    Returns
    -------
    EbFit or RandomEffectsFit
        The latter if point estimates are what is asked for, and the design has random effects.
    """
    return point_estimates(
        inputs.counts,
        inputs.design if plan.command == "eb" else inputs.design.fixed,
        size_factors=inputs.size_factors,
        weights=inputs.weights,
        options=plan.eb,
        scheduler=scheduler,
        progress=progress,
    )


def read_gene_list(path: str | Path, counts: Counts) -> tuple[str, ...]:
    """Read gene names, one per line; empty lines and those that start with ``#`` are ignored.

    Parameters
    ----------
    path : path
    counts : Counts
        The counts, which must have the genes.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        If the file cannot be read, names no gene, a gene twice, or one that is not counted.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list of genes '{path}' cannot be read: {error}.") from error
    genes = pd.Index([line for line in lines if line and not line.startswith("#")], dtype=object)
    if not len(genes):
        raise InputError(f"the list of genes '{path}' names no gene; give one name per line.")
    if genes.has_duplicates:
        raise InputError(f"'{path}' names genes twice: {first_few(genes[genes.duplicated()].unique())}.")
    unknown = genes[~genes.isin(counts.genes)]
    if len(unknown):
        raise InputError(
            f"'{path}' names {len(unknown)} gene(s) without counts: {first_few(unknown)}; the names of "
            f"the counts look like {first_few(counts.genes, 3)}."
        )
    return tuple(genes)


def plan_of(record: dict[str, Any], folder: Path) -> RunPlan:
    """Return the plan of a run from its record.

    Parameters
    ----------
    record : dict
        ``run.json``.
    folder : Path
        Of the run. Input files that are no longer where they were are looked for at the same place relative
        to it, where they are if all was moved together.

    Returns
    -------
    RunPlan

    Raises
    ------
    OptionError
        If the record holds no plan.
    """
    plan = RunPlan.from_dict(record.get("plan", {}), f"'{folder / 'run.json'}'")
    moved = {}
    for name, path in plan.files.named():
        beside = record.get("inputs", {}).get(name, {}).get("relative")
        if beside is not None and not Path(path).exists() and (folder / beside).exists():
            moved[name] = str((folder / beside).resolve())
    return dataclasses.replace(plan, files=dataclasses.replace(plan.files, **moved))


def file_hashes(plan: RunPlan, folder: Path | None = None) -> dict[str, dict[str, str]]:
    """Return path and SHA-256 of each file that a plan reads.

    Parameters
    ----------
    plan : RunPlan
    folder : Path, optional
        Of the run: paths relative to it are added.

    Returns
    -------
    dict of str to dict
        By the name of the file in `RunFiles`.

    Raises
    ------
    InputError
        If a file can no longer be read.
    """
    hashes = {}
    for name, path in plan.files.named():
        try:
            digest = _digest(Path(path))
        except OSError as error:
            raise InputError(f"the {name} file '{path}' cannot be read: {error.strerror}.") from error
        hashes[name] = {"path": path, "sha256": digest}
        if folder is not None:
            with contextlib.suppress(ValueError):  # on another drive
                hashes[name]["relative"] = os.path.relpath(path, folder)
    return hashes


def check_unchanged(before: dict[str, Any], now: dict[str, dict[str, str]]) -> None:
    """Refuse input files that have changed, so that results of different inputs are not mixed.

    Parameters
    ----------
    before, now : dict of str to dict
        As `file_hashes` returns them.

    Raises
    ------
    InputError
        Naming the files.
    """
    changed = [
        entry["path"] for name, entry in now.items() if before.get(name, {}).get("sha256") != entry["sha256"]
    ]
    if changed:
        raise InputError(
            f"changed since the run was started: {first_few(changed)}; restore the file(s), or start "
            "a new run."
        )


def _digest(path: Path) -> str:
    """Hash a file; of a folder the names and contents of the files that are read from it."""
    if not path.is_dir():
        return _hash(path).hexdigest()
    whole = hashlib.sha256()
    for sample, file in sample_files(path).items():
        whole.update(f"{sample}\n".encode())
        whole.update(_hash(file).digest())
    return whole.hexdigest()


def _hash(file: Path) -> hashlib._Hash:
    """Hash a file piece by piece: it may be larger than memory."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256")


def _counts(plan: RunPlan) -> Counts:
    """Read counts with their samples and factors."""
    files = plan.files
    if files.average_lengths is not None:
        return read_tximport(counts=files.counts, lengths=files.average_lengths, samples=files.samples)
    # a posterior takes all counts into memory, point estimates need not
    large = plan.command == "eb" and Path(files.counts).is_file() and _is_large(Path(files.counts))
    counts = read_counts(files.counts, samples=files.samples, strand=plan.model.strand, backed=large)
    if files.normalization_factors is None:
        return counts
    factors = _gene_table(files.normalization_factors, "normalization factors")
    return counts.with_normalization_factors(factors)


def _is_large(file: Path) -> bool:
    """Tell whether dense counts are to stay in their file, from which they are then read several times."""
    return file.stat().st_size > LARGE_FILE and is_hdf5(file)


def _gene_table(path: str, kind: str) -> pd.DataFrame:
    """Read a table by gene and sample; messages call it by its kind if it is missing."""
    check_file(path, kind)
    return read_gene_table(path)


def _factors(plan: RunPlan, counts: Counts) -> pd.Series | np.ndarray | None:
    """Estimate size factors: if that is impossible, the counts are refused before anything is written."""
    if counts.normalization_factors is not None:
        return None
    listed, method = plan.files.control_genes, plan.model.size_factors
    control_genes = None if listed is None else read_gene_list(listed, counts)
    if counts.average_lengths is not None:
        return resolved_factors(counts, method, control_genes)
    return size_factors(counts, method, control_genes=control_genes)


def _design(model: ModelPlan, counts: Counts) -> tuple[Design, Contrast]:
    """Make the design; the reference level of a contrast becomes that of its factor where none is given."""
    design = Design.from_formula(model.design, counts.sample_table, model.references)
    if model.contrast is None:
        warn_default_on_command_line(design, lrt=model.test == "lrt")
    contrast = design.contrast(model.contrast)
    factor = contrast.factor
    if factor is None or factor in model.references or contrast.reference is None:
        return design, contrast
    references = {**model.references, factor: contrast.reference}
    design = Design.from_formula(model.design, counts.sample_table, references)
    return design, design.contrast(model.contrast)


def _check_without_tests(plan: RunPlan) -> None:
    """Refuse what point estimates with random effects do not have."""
    model = plan.model
    if model.test != "wald":
        refuse_of_tests("a likelihood-ratio test (--test lrt)")
    if model.lfc_threshold != 0.0 or model.alternative != "greaterAbs":
        refuse_of_tests("a threshold or an alternative (--lfc-threshold, --alternative)")
    if model.shrinkage not in ("apeglm", "none"):
        raise OptionError(
            f"--shrinkage {model.shrinkage}: point estimates with random effects are shrunken by Cauchy "
            "priors whose scales are learnt; leave it out."
        )
    if plan.files.weights is not None:
        refuse_weights()


def _check_effect(model: ModelPlan, design: Design, contrast: Contrast) -> None:
    """Refuse to shrink a contrast that is not an effect."""
    if model.shrink and is_level(design, contrast):
        raise InputError(
            f"shrink: '{contrast.name}' is a level of expression and not an effect, so there is nothing to "
            "shrink towards 0; leave --shrink out, or name an effect by --contrast."
        )


def _reduced(model: ModelPlan, full: Design, counts: Counts) -> Design | None:
    """Make the reduced design of a likelihood-ratio test."""
    if model.reduced is None:
        return None
    reduced = Design.from_formula(model.reduced, counts.sample_table)
    refuse_groupings(reduced.groupings, "the likelihood-ratio test", "Leave them out of the reduced design.")
    check_nested(full, reduced)
    return reduced


def _check_panel(plan: RunPlan, counts: Counts, genes: tuple[str, ...] | None) -> None:
    """Refuse genes that the engines would refuse later."""
    names = counts.genes if genes is None else pd.Index(genes)
    expressed = ~counts.all_zero[counts.genes.get_indexer(names)]
    if not np.any(expressed):
        raise InputError(
            "none of the selected genes has a count, so there is nothing to sample; select others by --genes."
        )
    if plan.sample.engine == "joint":
        check_joint(genes=int(expressed.sum()))
