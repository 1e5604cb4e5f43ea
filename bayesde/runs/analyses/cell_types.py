"""One analysis of every cell type: sums of single-cell counts as files, and the plans of their runs."""

from __future__ import annotations

import gzip
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from bayesde.counts import Counts
from bayesde.errors import BayesdeNote, BayesdeWarning, InputError, first_few
from bayesde.io import write_atomically
from bayesde.io.writing import results_folder
from bayesde.runs.inputs import load
from bayesde.runs.plan import RunPlan

__all__ = ["by_cell_type", "types_that_fit", "write_cell_types"]

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.-]+")
"""What the names of folders do without."""


def by_cell_type(counts: Counts, cell_type: str) -> dict[str, Counts]:
    """Divide sums of single cells by their cell type.

    Parameters
    ----------
    counts : Counts
        As `bayesde.pseudobulk` returns them.
    cell_type : str
        The column of the sample table with the types.

    Returns
    -------
    dict of str to Counts
        In the order of the types, by names that can be those of folders: ``"CD4_T_cell"`` for "CD4+ T cell".
        Samples are named without their type.

    Raises
    ------
    InputError
        If two types would have the same name.
    """
    assert counts.sample_table is not None
    kinds = counts.sample_table[cell_type]
    found: dict[str, Counts] = {}
    label_of: dict[str, str] = {}
    for label in dict.fromkeys(kinds.sort_values()):
        name = _NOT_IN_NAMES.sub("_", str(label)).strip("_.-") or "type"
        if name.lower() in label_of:  # which are one folder on some systems
            raise InputError(
                f"the cell types '{label_of[name.lower()]}' and '{label}' would have the same folder, "
                f"'{name}'; rename one of them."
            )
        label_of[name.lower()] = str(label)
        found[name] = _without_type(counts.subset(samples=(kinds == label).to_numpy()), str(label))
    return found


def _without_type(counts: Counts, label: str) -> Counts:
    """Name the sums of one cell type by their sample alone."""
    names = [str(name).removesuffix(f"_{label}") for name in counts.samples]
    table = counts.sample_table
    assert table is not None
    table = table.set_axis(names, axis=0)
    for column in table.select_dtypes("category"):
        table[column] = table[column].cat.remove_unused_categories()
    return Counts(counts.matrix, genes=counts.genes, samples=names, sample_table=table)


def write_cell_types(counts: Mapping[str, Counts], folder: str | Path) -> dict[str, tuple[Path, Path]]:
    """Write the counts and the sample table of every cell type.

    Parameters
    ----------
    counts : mapping of str to Counts
        As `by_cell_type` returns them.
    folder : path
        Created if it does not exist.

    Returns
    -------
    dict of str to (pathlib.Path, pathlib.Path)
        ``NAME.counts.tsv.gz`` and ``NAME.samples.tsv``.

    Raises
    ------
    InputError
        If the folder cannot be made or written to.
    """
    written = {}
    with results_folder(folder) as own:
        for name, of_type in counts.items():
            paths = own / f"{name}.counts.tsv.gz", own / f"{name}.samples.tsv"
            assert of_type.sample_table is not None
            table = _without_column_sample(of_type.sample_table)
            text = of_type.to_frame().to_csv(sep="\t", index_label="gene", lineterminator="\n")
            write_atomically(paths[0], gzip.compress(text.encode(), 6, mtime=0))
            write_atomically(paths[1], table.to_csv(sep="\t", index_label="sample", lineterminator="\n"))
            written[name] = paths
    return written


def _without_column_sample(table: pd.DataFrame) -> pd.DataFrame:
    """Make room for the names of the samples, which files have in the column ``sample``."""
    if "sample" not in table or (table["sample"].astype(str) == table.index).all():
        return table.drop(columns="sample", errors="ignore")
    if "obs_sample" in table:
        raise InputError("obs has the columns 'sample' and 'obs_sample'; rename one of them.")
    warnings.warn(
        "the column 'sample' of obs is called 'obs_sample' in the sample tables, where 'sample' has the "
        "names of the sums.",
        BayesdeNote,
        stacklevel=3,
    )
    return table.rename(columns={"sample": "obs_sample"})


def types_that_fit(plans: Mapping[str, RunPlan]) -> list[str]:
    """Leave out cell types that the design cannot be fitted to, such as those of one condition only.

    Parameters
    ----------
    plans : mapping of str to RunPlan
        By the names of the cell types.

    Returns
    -------
    list of str
        The names of the others.

    Raises
    ------
    InputError
        If none of them can be fitted: the error of the first.

    Warns
    -----
    BayesdeNote
        Of each type that is left out, and why.
    """
    kept: list[str] = []
    errors: dict[str, InputError] = {}
    for name, plan in plans.items():
        try:
            with warnings.catch_warnings(action="ignore", category=BayesdeWarning):  # its run says them
                load(plan)
        except InputError as error:
            errors[name] = error
        else:
            kept.append(name)
    if not kept:
        name, first = next(iter(errors.items()))
        raise InputError(
            f"none of the cell types ({first_few(errors)}) can be analysed; {name}: {first}"
        ) from first
    for name, reason in errors.items():
        warnings.warn(f"cell type '{name}' is left out: {reason}", BayesdeNote, stacklevel=2)
    return kept
