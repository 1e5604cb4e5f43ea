"""AnnData objects and the HDF5 files they are kept in: (sample, gene) there, (gene, sample) here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import pandas as pd

from bayesde.counts.compressed_file import CompressedFile
from bayesde.counts.storage import DatasetReader
from bayesde.errors import InputError, first_few


@dataclass(frozen=True, eq=False)
class AnnotatedParts:
    """What `Counts` takes from an AnnData object or file.

    Parameters
    ----------
    values : array, sparse matrix, DatasetReader or CompressedFile, (gene, sample)
        The raw counts, not yet checked.
    obs : pandas.DataFrame
        One row a sample.
    var : pandas.DataFrame
        One row a gene.
    place : str
        Where the counts were found, and where others might be, for messages.
    file : h5py.File, optional
        The open file, if this is one.
    """

    values: Any
    obs: pd.DataFrame
    var: pd.DataFrame
    place: str
    file: Any = None

    def with_values(self, values: Any) -> AnnotatedParts:
        """Return the same with other counts.

        Parameters
        ----------
        values : array, sparse matrix, DatasetReader or CompressedFile, (gene, sample)
            Raw counts, not yet checked.

        Returns
        -------
        AnnotatedParts
        """
        return replace(self, values=values)

    def gene_names(self, column: str | None) -> pd.Index:
        """Return the names of the genes.

        Parameters
        ----------
        column : str or None
            The column of ``var`` with the names; None for the index of ``var``.

        Returns
        -------
        pandas.Index

        Raises
        ------
        InputError
            If there is no such column.
        """
        if column is None:
            return self.var.index
        if column not in self.var.columns:
            raise InputError(
                f"var has no column '{column}'; its columns are {first_few(self.var.columns, 20) or 'none'}."
            )
        return pd.Index(self.var[column].astype(object), dtype=object)

    def sample_table(self, columns: Sequence[str] | None) -> pd.DataFrame:
        """Return the sample table.

        Parameters
        ----------
        columns : str, sequence of str or None
            The columns of ``obs`` to keep; None for all.

        Returns
        -------
        pandas.DataFrame
            One row a sample.

        Raises
        ------
        InputError
            If there is no such column.
        """
        columns = [columns] if isinstance(columns, str) else columns
        wanted = list(self.obs.columns if columns is None else columns)
        absent = [name for name in wanted if name not in self.obs.columns]
        if absent:
            raise InputError(
                f"obs has no column(s) {first_few(absent)}; its columns are "
                f"{first_few(self.obs.columns, 20) or 'none'}."
            )
        return self.obs[wanted]


def opened_anndata(adata: Any, layer: str | None) -> AnnotatedParts:
    """Take counts and tables out of an AnnData object.

    Parameters
    ----------
    adata : anndata.AnnData, (sample, gene)
    layer : str or None
        The layer with the raw counts; None for ``X``.

    Returns
    -------
    AnnotatedParts

    Raises
    ------
    InputError
        If it is not an AnnData object, or has no counts where they are expected.
    """
    if not all(hasattr(adata, name) for name in ("X", "layers", "obs", "var")):
        raise InputError(f"an AnnData object is needed; got a {type(adata).__name__}.")
    values = _chosen(adata.X, adata.layers, layer)
    return AnnotatedParts(_by_gene(values), adata.obs, adata.var, place_of(adata.layers, layer))


def opened_h5ad(path: Any, layer: str | None) -> AnnotatedParts:
    """Open an .h5ad file, which stays open while the counts in it are in use.

    Parameters
    ----------
    path : path
    layer : str or None
        The layer with the raw counts; None for ``X``.

    Returns
    -------
    AnnotatedParts
        With the open file.

    Raises
    ------
    InputError
        If it is not such a file, anndata is not installed, or there are no counts where they are expected.
    """
    reader = anndata_reader()
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"'{path}' cannot be read as an .h5ad file: {error}.") from error
    try:
        layers = file.get("layers", {})
        values = _by_gene(_chosen(file.get("X"), layers, layer))
        return AnnotatedParts(values, reader(file["obs"]), reader(file["var"]), place_of(layers, layer), file)
    except KeyError as error:
        file.close()
        raise InputError(f"'{path}' is not an .h5ad file of AnnData: {error.args[0]}.") from error
    except InputError:
        file.close()
        raise


def anndata_reader() -> Any:
    """Return anndata's function that reads one element of a file.

    Raises
    ------
    InputError
        If anndata is not installed.
    """
    try:
        import_module("anndata")
    except ImportError as error:
        raise InputError(
            "reading .h5ad files needs anndata, which is not installed: pip install bayesde[anndata]."
        ) from error
    try:
        return import_module("anndata.io").read_elem
    except (ImportError, AttributeError):  # before anndata 0.11
        return import_module("anndata.experimental").read_elem


def _chosen(values: Any, layers: Mapping[str, Any], layer: str | None) -> Any:
    """Pick X or a layer."""
    if layer is None:
        if values is None:
            raise InputError(
                f"there is no X; name the layer with the raw counts by layer= ({listed_layers(layers)})."
            )
        return values
    if layer not in layers:
        raise InputError(f"there is no layer '{layer}'; {listed_layers(layers)}.")
    return layers[layer]


def place_of(layers: Mapping[str, Any], layer: str | None) -> str:
    """Say for a message where counts are from.

    Parameters
    ----------
    layers : mapping
    layer : str or None
        None for ``X``.

    Returns
    -------
    str
    """
    return f"{'X' if layer is None else repr(layer)}; {listed_layers(layers)}"


def listed_layers(layers: Mapping[str, Any]) -> str:
    """Name the layers for a message.

    Parameters
    ----------
    layers : mapping

    Returns
    -------
    str
    """
    names = [name for name in layers.keys() if name is not None]  # which anndata 0.13 has for X
    if not names:
        return "there are no layers"
    return f"{'there are the layers' if len(names) > 1 else 'the only layer is'} {first_few(names, 20)}"


def _by_gene(values: Any) -> Any:
    """Transpose without copying, whatever the counts are kept in."""
    group = getattr(values, "group", values)  # anndata's own wrapper of a sparse group has this attribute
    kind = str(getattr(group, "attrs", {}).get("encoding-type", ""))
    if kind in ("csr_matrix", "csc_matrix"):
        samples, genes = map(int, group.attrs["shape"])
        return CompressedFile(group, (genes, samples), by_gene=kind == "csc_matrix")
    if type(values).__module__.split(".")[0] in ("h5py", "zarr"):
        return DatasetReader(values, genes_are_columns=True)
    return values.T
