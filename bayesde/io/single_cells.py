r"""Pseudobulk: counts of single cells, summed over the cells of each sample and cell type.

    Y_ij = sum of y_ic over the cells c of sample and type j

Cells of one sample are not independent replicates; the sums are, and follow the model of bulk counts (Squair
et al. 2021, Nature Communications 12:5692, doi:10.1038/s41467-021-25960-2).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts, chunk_cells
from bayesde.counts.annotated import AnnotatedParts, anndata_reader, listed_layers, place_of
from bayesde.errors import BayesdeNote, InputError, first_few
from bayesde.options import check_whole, nearest

__all__ = ["pseudobulk"]


def pseudobulk(
    adata: Any,
    sample: str | Sequence[str],
    cell_type: str | None = None,
    *,
    layer: str | None = None,
    gene_names: str | None = None,
    min_cells: int = 10,
) -> Counts:
    """Sum the counts of single cells by sample and cell type.

    ``counts.subset(samples=counts.sample_table["cell_type"] == "B cell")`` are the counts of one cell type,
    which `bayesde.fit_eb` and `bayesde.fit_posterior` take like those of any experiment.

    Parameters
    ----------
    adata : anndata.AnnData (cell, gene), or path
        In memory, a view, or backed; or an .h5ad file. Its counts are read some cells at a time.
    sample : str or sequence of str
        The column of ``obs`` that names the biological sample (donor, mouse, culture) of a cell; or columns
        that do so together, ``["donor", "condition"]``.
    cell_type : str, optional
        The column of ``obs`` with cell types or clusters; by default all cells of a sample are summed.
    layer : str, optional
        The layer with the raw counts; by default ``X``.
    gene_names : str, optional
        The column of ``var`` with the names of the genes; by default ``var_names``.
    min_cells : int
        Sums of fewer cells are left out.

    Returns
    -------
    Counts
        One sample for each combination with cells, named by ``sample`` or ``sample_type``. Its sample table
        has these columns, ``n_cells``, and the columns of ``obs`` that have one value in every combination;
        categories without cells are dropped, the others keep their order.

    Raises
    ------
    InputError
        If there is no such column or layer, the numbers are not counts, or fewer than two sums are left.
    OptionError
        If `min_cells` is not a whole number from 1.

    Warns
    -----
    BayesdeNote
        Of cells without a sample or type, and of sums that are left out.
    """
    check_whole("min_cells", min_cells, 1, 10**9)
    keys = _keys(sample, cell_type)
    with _opened(adata) as cells:
        parts = _parts(cells, layer)
        table, group = _groups(parts.obs, keys, min_cells)
        sums = _sums(cells, layer, group, parts)
    return Counts(sums.T, genes=parts.gene_names(gene_names), samples=table.index, sample_table=table)


def _keys(sample: str | Sequence[str], cell_type: str | None) -> list[str]:
    """Return the columns whose values make a sum."""
    keys = [sample] if isinstance(sample, str) else list(sample)
    if not keys:
        raise InputError("sample: no column is given; name the column of obs with the samples of the cells.")
    keys += [] if cell_type is None else [cell_type]
    if len(set(keys)) < len(keys):
        raise InputError(f"sample, cell_type: a column is given twice: {first_few(keys)}.")
    return keys


@contextmanager
def _opened(adata: Any) -> Iterator[Any]:
    """Open an .h5ad file, whose counts stay in it; pass on what is an AnnData object."""
    if not isinstance(adata, str | PathLike):
        yield adata
        return
    anndata_reader()  # which says how anndata is installed
    import anndata

    if not Path(adata).is_file():
        raise InputError(f"there is no file '{adata}'; an .h5ad file of AnnData is needed.")
    try:
        cells = anndata.read_h5ad(adata, backed="r")
    except (OSError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"'{adata}' cannot be read as an .h5ad file of AnnData: {error}.") from error
    try:
        yield cells
    finally:
        cells.file.close()


def _parts(adata: Any, layer: str | None) -> AnnotatedParts:
    """Return the tables of an AnnData object, without its counts."""
    if not all(hasattr(adata, name) for name in ("X", "layers", "obs", "var")):
        raise InputError(f"an AnnData object is needed; got a {type(adata).__name__}.")
    if layer is not None and layer not in adata.layers:
        raise InputError(f"there is no layer '{layer}'; {listed_layers(adata.layers)}.")
    return AnnotatedParts(None, adata.obs, adata.var, place_of(adata.layers, layer))


def _sums(adata: Any, layer: str | None, group: np.ndarray, parts: AnnotatedParts) -> np.ndarray:
    """Sum counts over the cells of each group, some cells at a time (group, gene)."""
    from scipy import sparse

    n_cells, n_genes = adata.shape
    sums = np.zeros((group.max() + 1, n_genes))
    step = max(1, chunk_cells() // max(n_genes, 1))
    for start in range(0, n_cells, step):
        some = slice(start, min(start + step, n_cells))
        part = adata[some]
        values = part.X if layer is None else part.layers[layer]
        if values is None:
            raise InputError(f"there is no X; name the layer with the raw counts by layer= ({parts.place}).")
        if sparse.issparse(values):
            values = sparse.csr_array(values)
        _check_values(values, parts.obs.index[start], parts.place)
        cells = np.flatnonzero(group[some] >= 0)
        shape, ones = (len(sums), some.stop - some.start), np.ones(cells.size)
        of_group = sparse.csr_array((ones, (group[some][cells], cells)), shape=shape)
        found = of_group @ values
        sums += found.toarray() if sparse.issparse(found) else np.asarray(found)
    return sums


def _groups(obs: pd.DataFrame, keys: list[str], min_cells: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the table of sums (sum, column), and the sum that each cell belongs to, -1 for none (cell,)."""
    for key in keys:
        if key not in obs.columns:
            raise InputError(
                f"obs has no column '{key}'; its columns are {first_few(obs.columns, 20) or 'none'}."
                f"{nearest(key, list(map(str, obs.columns)))}"
            )
    known = obs[keys].notna().all(axis=1).to_numpy()
    if not known.all():
        _note(f"{(~known).sum()} of {len(obs)} cells have no {' or '.join(keys)}, and are left out.")
    numbers = obs[known].groupby(keys, observed=True, sort=True).ngroup().to_numpy()
    cells = np.bincount(numbers) if numbers.size else np.zeros(0, dtype=np.int64)
    first = pd.Series(np.flatnonzero(known)).groupby(numbers).first().to_numpy()
    names = ["_".join(map(str, row)) for row in obs[keys].iloc[first].itertuples(index=False)]
    kept = cells >= min_cells
    if not kept.all():
        few = [f"{names[i]} ({cells[i]})" for i in np.flatnonzero(~kept)]
        _note(f"{len(few)} sum(s) of fewer than {min_cells} cells are left out: {first_few(few)}.")
    if kept.sum() < 2:
        raise InputError(
            f"{kept.sum()} sum(s) of at least {min_cells} cells; two or more are needed. Lower min_cells, or "
            f"check the column(s) {first_few(keys)}."
        )
    place = np.full(len(cells), -1)
    place[kept] = np.arange(kept.sum())
    group = np.full(len(obs), -1)
    group[known] = place[numbers]
    return _table(obs, keys, numbers, known, first[kept], cells[kept], np.array(names, object)[kept]), group


def _table(
    obs: pd.DataFrame,
    keys: list[str],
    numbers: np.ndarray,
    known: np.ndarray,
    first: np.ndarray,
    cells: np.ndarray,
    names: np.ndarray,
) -> pd.DataFrame:
    """Make the sample table of the sums: the columns that have one value in each of them."""
    levels = obs[known].groupby(numbers).nunique(dropna=False)
    constant = [name for name in obs.columns if name in keys or (levels[name] <= 1).all()]
    table = obs[constant].iloc[first].set_axis(pd.Index(names, dtype=object), axis=0)
    for name in table.select_dtypes("category"):
        table[name] = table[name].cat.remove_unused_categories()
    return table.assign(n_cells=cells)


def _check_values(values: Any, first: str, place: str) -> None:
    """Refuse numbers that are not counts."""
    numbers = np.asarray(values.data if hasattr(values, "tocsr") else values)
    if numbers.dtype.kind not in "biuf":
        raise InputError(
            f"counts of type {numbers.dtype}; numbers are needed (they were taken from {place})."
        )
    whole = np.isfinite(numbers) & (numbers >= 0) & (numbers == np.floor(numbers))
    if not np.all(whole):
        found = numbers[~whole].ravel()[:3]
        raise InputError(
            f"values that are not counts: {first_few(found)} among the cells from '{first}' on; "
            f"raw counts are needed, not normalized or log-transformed ones (they were taken from {place})."
        )


def _note(text: str) -> None:
    warnings.warn(text, BayesdeNote, stacklevel=4)
