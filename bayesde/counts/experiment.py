"""`Counts`: the count matrix, its names, and the sample table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesde.counts.annotated import AnnotatedParts, opened_anndata
from bayesde.counts.checks import warn_nearly_empty, warn_spreadsheet_names, warn_summary_rows
from bayesde.counts.compressed import CompressedRows
from bayesde.counts.compressed_file import CompressedFile
from bayesde.counts.display import html_table
from bayesde.counts.frames import check_arguments, split_labels
from bayesde.counts.gene_labels import gene_names, kept_labels
from bayesde.counts.labels import as_table, kept_matrix, matched_table, names, positions
from bayesde.counts.storage import ArrayRows, DatasetReader, ReaderRows, Storage, chunks, frozen
from bayesde.counts.values import check_extent, frame_values, plain_array
from bayesde.errors import InputError, first_few

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Counts:
    """Read counts (gene, sample), checked once, and immutable.

    Parameters
    ----------
    matrix : array-like, pandas.DataFrame, SciPy sparse matrix or array, or HDF5 / Zarr array, (gene, sample)
        Raw counts: whole numbers from 0 to 2**53, stored as any numeric type (3.0 is a whole number). A
        DataFrame also supplies the names of genes (index) and samples (columns). Sparse counts stay sparse;
        counts in an open file (``h5py.Dataset``, ``zarr.Array``) stay there: they are read once to be
        checked, and later gene by gene as needed.
    genes, samples : sequence of str, optional
        Names, for a matrix without labels. Unique and not empty. By default ``gene1, gene2, ...`` and
        the index of `sample_table` or ``sample1, sample2, ...``.
    sample_table : pandas.DataFrame, optional
        Variables of the samples, one row per sample, indexed by sample name. Rows may be in any order: they
        are matched to the counts by name.
    normalization_factors : array-like or pandas.DataFrame, (gene, sample), optional
        Factors on the scale of size factors (a mean is ``factor * exp(x @ beta)``), finite and above 0.
        They replace size factors in every fit.
        A DataFrame is matched by the names of genes and samples.
    average_lengths : array-like or pandas.DataFrame, (gene, sample), optional
        Average length of a gene's transcripts in each sample, in bases, finite and above 0, as from
        `read_tximport`. Normalization corrects for them unless factors are given.
    gene_labels : pandas.DataFrame (gene, label), optional
        Further information on the genes, indexed by gene: names for display, positions. Columns of a
        DataFrame of counts that contain such labels (``gene_name``, ``symbol``, ``chromosome``, ...) are
        recognized.

    Attributes
    ----------
    genes, samples : pandas.Index of str
    sample_table : pandas.DataFrame
        In the order of the samples; without columns if none was given.
    normalization_factors, average_lengths : numpy.ndarray, float64, (gene, sample), or None
        Read-only.
    gene_labels : pandas.DataFrame
        In the order of the genes; without columns if none was given.

    Warns
    -----
    BayesdeWarning
        If rows look like summary rows of a counting program, gene names look like dates made by a
        spreadsheet, or a sample has far fewer reads than the others.
    BayesdeNote
        If whitespace around text was stripped, or samples were matched by names that are not quite the same.

    Raises
    ------
    InputError
        For negative, fractional, missing, infinite or text counts, duplicate or empty names, fewer than
        two samples, no gene or no count above zero, a sample table that does not match, and factors or
        lengths that are not finite and positive. The message names the first genes and samples at fault.
    """

    _storage: Storage
    genes: pd.Index
    samples: pd.Index
    sample_table: pd.DataFrame
    normalization_factors: np.ndarray | None
    average_lengths: np.ndarray | None
    gene_labels: pd.DataFrame

    def __init__(
        self,
        matrix: Any,
        genes: Any = None,
        samples: Any = None,
        sample_table: pd.DataFrame | None = None,
        normalization_factors: Any = None,
        average_lengths: Any = None,
        gene_labels: pd.DataFrame | None = None,
    ) -> None:
        if isinstance(matrix, pd.DataFrame):
            check_arguments(matrix, genes, samples, sample_table)
            matrix, gene_labels = split_labels(matrix, sample_table, gene_labels)
        content, genes, samples = _unlabelled(matrix, genes, samples)
        if samples is None and sample_table is not None:
            samples = as_table(sample_table).index
        gene_index = names(genes, content.shape[0], "gene")
        sample_index = names(samples, content.shape[1], "sample")
        check_extent(content.shape, sample_index)
        self._set(
            _storage=_stored(content, gene_index, sample_index),
            genes=gene_index,
            samples=sample_index,
            sample_table=matched_table(sample_table, sample_index),
            normalization_factors=kept_matrix(
                normalization_factors, gene_index, sample_index, "normalization factors"
            ),
            average_lengths=kept_matrix(average_lengths, gene_index, sample_index, "average lengths"),
            gene_labels=kept_labels(gene_labels, gene_index),
        )
        warn_summary_rows(gene_index)
        warn_spreadsheet_names(gene_index.append(self._named()))
        warn_nearly_empty(self._storage, sample_index)

    @staticmethod
    def from_anndata(
        adata: AnnData,
        layer: str | None = None,
        *,
        gene_names: str | None = None,
        sample_columns: Sequence[str] | None = None,
    ) -> Counts:
        """Take the counts out of an AnnData object, in memory or backed by its file.

        Parameters
        ----------
        adata : anndata.AnnData, (sample, gene)
            Its observations are the samples, ``obs`` the sample table (categories keep their order, so that
            the first is the reference level), its variables the genes. Counts of an object opened with
            ``backed="r"`` stay in the file if they are dense; sparse ones are held compressed.
        layer : str, optional
            The layer with the raw counts; by default ``X``.
        gene_names : str, optional
            The column of ``var`` with the names of the genes; by default ``var_names``.
        sample_columns : sequence of str, optional
            The columns of ``obs`` to keep; by default all.

        Returns
        -------
        Counts

        Raises
        ------
        InputError
            If a layer or column is not there, or the numbers are not counts (see `Counts`).

        Notes
        -----
        Requires anndata, which bayesde does not install by default: ``pip install bayesde[anndata]``.
        """
        parts = opened_anndata(adata, layer)
        return counts_of(parts, gene_names, parts.sample_table(sample_columns))

    @property
    def matrix(self) -> np.ndarray:
        """All counts, int64 (gene, sample), read-only and C-contiguous.

        Where `is_dense` is false it is built on each access and may be large; `rows` and `chunks` give
        the same counts in pieces.
        """
        return self._storage.whole()

    @property
    def gene_names(self) -> np.ndarray | None:
        """Names of the genes for display, (gene,), empty where there is none; None without such a label."""
        return gene_names(self.gene_labels)

    @property
    def n_genes(self) -> int:
        """Number of genes (rows)."""
        return self._storage.shape[0]

    @property
    def n_samples(self) -> int:
        """Number of samples (columns)."""
        return self._storage.shape[1]

    @property
    def is_dense(self) -> bool:
        """Whether all counts are in memory as one array, so that `matrix` costs nothing."""
        return isinstance(self._storage, ArrayRows)

    @property
    def all_zero(self) -> np.ndarray:
        """Genes without any count, bool (gene,), a new array."""
        return ~self._storage.expressed

    @property
    def library_sizes(self) -> np.ndarray:
        """Sum of the counts of each sample, float64 (sample,), a new array."""
        return self._storage.library_sizes.copy()

    def rows(self, selection: Any) -> np.ndarray:
        """Return the counts of some genes for computing with.

        Parameters
        ----------
        selection : slice, sequence of int or of bool
            Which genes: a slice, positions, or a mask with one value a gene.

        Returns
        -------
        numpy.ndarray, float64, (chosen gene, sample)
            New and C-contiguous, in the requested order.
        """
        return self._storage.rows(selection)

    def chunks(self, cells: int | None = None) -> Iterator[slice]:
        """Iterate over the genes in pieces that fit into memory.

        Parameters
        ----------
        cells : int, optional
            Approximate number of counts in a piece, which has at least one gene; by default 2,000,000.

        Returns
        -------
        iterator of slice
            Consecutive ranges of genes; together they are all genes.
        """
        return chunks(self._storage.shape, cells)

    def to_frame(self) -> pd.DataFrame:
        """Return the counts as a new DataFrame (gene, sample)."""
        whole = self._storage.whole()
        return pd.DataFrame(whole.copy() if self.is_dense else whole, index=self.genes, columns=self.samples)

    def subset(self, genes: Any = None, samples: Any = None) -> Counts:
        """Keep some genes or samples, in the requested order.

        Parameters
        ----------
        genes, samples : sequence of str, of int or of bool, optional
            Names, positions or a mask; None keeps all.

        Returns
        -------
        Counts

        Raises
        ------
        InputError
            If a name is unknown, a position out of range, something selected twice, or no usable counts are
            left.
        """
        rows = positions(genes, self.genes, "gene")
        columns = positions(samples, self.samples, "sample")
        check_extent((len(rows), len(columns)), self.samples[columns])
        part = object.__new__(Counts)
        part._set(
            genes=names(self.genes[rows], len(rows), "gene"),
            samples=names(self.samples[columns], len(columns), "sample"),
            sample_table=self.sample_table.iloc[columns],
            gene_labels=self.gene_labels.iloc[rows],
            normalization_factors=_crossing(self.normalization_factors, rows, columns),
            average_lengths=_crossing(self.average_lengths, rows, columns),
            _storage=_any_expressed(self._storage.subset(rows, columns)),
        )
        return part

    def with_normalization_factors(self, factors: Any) -> Counts:
        """Return the same counts with other normalization factors, without copying or checking them again.

        Parameters
        ----------
        factors : array-like or pandas.DataFrame, (gene, sample), or None
            Finite and above 0; a DataFrame is matched by the names of genes and samples.

        Returns
        -------
        Counts

        Raises
        ------
        InputError
            If the factors do not fit.
        """
        kept = kept_matrix(factors, self.genes, self.samples, "normalization factors")
        other = object.__new__(Counts)
        other._set(**{**vars(self), "normalization_factors": kept})
        return other

    def _set(self, **fields: Any) -> None:
        """Fill the fields, once."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __copy__(self) -> Counts:
        """Return the object itself: it is immutable."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Counts:
        """Return the object itself: it is immutable."""
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the unpickled arrays read-only."""
        for part in (state["normalization_factors"], state["average_lengths"]):
            if part is not None:
                frozen(part)
        self._set(**state)

    def __repr__(self) -> str:
        columns = ", ".join(map(str, self.sample_table.columns)) or "none"
        extras = "".join(f", with {what}" for what in self._extras())
        return f"<Counts: {self.n_genes} genes, {self.n_samples} samples{extras}; sample columns: {columns}>"

    def _named(self) -> pd.Index:
        """Return the gene names that are not empty."""
        names = self.gene_names
        return pd.Index([] if names is None else [name for name in names if name], dtype=object)

    def _extras(self) -> list[str]:
        """Name what came with the counts."""
        kept = {
            "normalization factors": self.normalization_factors is not None,
            "average lengths": self.average_lengths is not None,
            "gene names": self.gene_names is not None,
        }
        return [what for what, there in kept.items() if there]

    def _repr_html_(self) -> str:
        sizes = self.library_sizes
        rows = [
            ("Counts", ", ".join([f"{self.n_genes:,} genes", f"{self.n_samples} samples", *self._extras()])),
            ("reads in a sample", f"{sizes.min():,.0f} to {sizes.max():,.0f}"),
            ("genes without reads", f"{self.all_zero.sum():,}"),
            ("samples", first_few(self.samples, 8)),
            ("sample columns", ", ".join(map(str, self.sample_table.columns)) or "none"),
            ("gene labels", ", ".join(map(str, self.gene_labels.columns)) or "none"),
        ]
        return html_table(rows)


def counts_of(parts: AnnotatedParts, gene_names: str | None, sample_table: pd.DataFrame) -> Counts:
    """Make `Counts` of the contents of an AnnData object or file; messages say where the numbers are from.

    Parameters
    ----------
    parts : AnnotatedParts
    gene_names : str or None
        The column of ``var`` with the names of the genes; None for the index of ``var``.
    sample_table : pandas.DataFrame
        One row a sample.

    Returns
    -------
    Counts

    Raises
    ------
    InputError
        See `Counts`.
    """
    try:
        return Counts(
            parts.values,
            genes=parts.gene_names(gene_names),
            samples=parts.obs.index,
            sample_table=sample_table,
        )
    except InputError as error:
        raise InputError(f"{error} (The counts were taken from {parts.place}.)") from error


def _unlabelled(matrix: Any, genes: Any, samples: Any) -> tuple[Any, Any, Any]:
    """Separate counts from their labels; the result may be the caller's own object and is not modified."""
    if isinstance(matrix, pd.DataFrame):
        return frame_values(matrix), matrix.index, matrix.columns
    if type(matrix).__module__.split(".")[0] in ("h5py", "zarr") and hasattr(matrix, "dtype"):
        matrix = DatasetReader(matrix)
    elif not hasattr(matrix, "tocsr") and not isinstance(matrix, (DatasetReader, CompressedFile)):
        matrix = plain_array(matrix)
    if len(matrix.shape) != 2:
        raise InputError(
            f"the counts have shape {matrix.shape}; a matrix of two dimensions, (gene, sample), is needed."
        )
    return matrix, genes, samples


def _stored(content: Any, genes: pd.Index, samples: pd.Index) -> Storage:
    """Check counts and keep them in the form they came in: dense, sparse or in their file."""
    if isinstance(content, np.ndarray):
        return _any_expressed(ArrayRows.checked(content, genes, samples))
    if isinstance(content, DatasetReader):
        return _any_expressed(ReaderRows.checked(content, genes, samples))
    if isinstance(content, CompressedFile):
        return _any_expressed(content.compressed(genes, samples))
    return _any_expressed(CompressedRows.checked(content, genes, samples))


def _any_expressed(storage: Storage) -> Storage:
    """Refuse counts that are all zero."""
    if not storage.expressed.any():
        raise InputError("every count is zero: there is nothing to fit. Is this the right file?")
    return storage


def _crossing(given: np.ndarray | None, rows: np.ndarray, columns: np.ndarray) -> np.ndarray | None:
    """Copy some rows and columns of a matrix that may not be there."""
    return None if given is None else frozen(given[np.ix_(rows, columns)])
