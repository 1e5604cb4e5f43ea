"""The counts of an experiment: one checked, immutable matrix (gene, sample) with its names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesde.errors import InputError, first_few

__all__ = ["Counts"]

# Above this a double no longer holds every integer, and likelihoods would silently lose counts.
LARGEST_COUNT = 2**53
# Counts of one chunk: 16 MB as doubles, small beside any machine, large beside the cost of a call.
CHUNK_CELLS = 2_000_000


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Counts:
    """Read counts by gene and sample, checked once so that nothing later has to.

    Parameters
    ----------
    matrix : array-like or pandas.DataFrame, (gene, sample)
        Raw counts: whole numbers from 0 to 2**53, stored as any numeric type (3.0 is a whole number).
        A DataFrame brings the names of genes (index) and samples (columns) along.
    genes, samples : sequence of str, optional
        Names, for a matrix without labels. Unique and not empty. By default ``gene1, gene2, ...`` and
        the index of `sample_table` or ``sample1, sample2, ...``.
    sample_table : pandas.DataFrame, optional
        What is known of each sample, one row a sample, the index being sample names. Rows may stand in
        any order: they are matched to the counts by name.
    normalization_factors : array-like or pandas.DataFrame, (gene, sample), optional
        Factors on the scale of size factors (a mean is ``factor * exp(x @ beta)``), finite and above 0,
        for example from average transcript lengths. They take the place of size factors in every fit.
        A DataFrame is matched by the names of genes and samples.

    Attributes
    ----------
    matrix : numpy.ndarray, int64, (gene, sample)
        Read-only and C-contiguous.
    genes, samples : pandas.Index of str
    sample_table : pandas.DataFrame
        In the order of the samples; without columns if none was given.
    normalization_factors : numpy.ndarray, float64, (gene, sample), or None
        Read-only.

    Raises
    ------
    InputError
        For negative, fractional, missing, infinite or text counts, duplicate or empty names, fewer than
        two samples, no gene or no count above zero, a sample table that does not match, and factors that
        are not finite and positive. The message names the first genes and samples at fault.
    """

    matrix: np.ndarray
    genes: pd.Index
    samples: pd.Index
    sample_table: pd.DataFrame
    normalization_factors: np.ndarray | None

    def __init__(
        self,
        matrix: Any,
        genes: Any = None,
        samples: Any = None,
        sample_table: pd.DataFrame | None = None,
        normalization_factors: Any = None,
    ) -> None:
        values, genes, samples = _unlabelled(matrix, genes, samples)
        if samples is None and sample_table is not None:
            samples = _as_table(sample_table).index
        gene_index = _names(genes, values.shape[0], "gene")
        sample_index = _names(samples, values.shape[1], "sample")
        whole = _whole_numbers(values, gene_index, sample_index)
        _check_extent(whole, sample_index)
        for name, value in {
            "matrix": _frozen(whole),
            "genes": gene_index,
            "samples": sample_index,
            "sample_table": _matched_table(sample_table, sample_index),
            "normalization_factors": _factors(normalization_factors, gene_index, sample_index),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def n_genes(self) -> int:
        """Number of genes (rows)."""
        return int(self.matrix.shape[0])

    @property
    def n_samples(self) -> int:
        """Number of samples (columns)."""
        return int(self.matrix.shape[1])

    @property
    def is_dense(self) -> bool:
        """Whether all counts are in memory as one array, so that `matrix` costs nothing."""
        return True

    @property
    def all_zero(self) -> np.ndarray:
        """Genes without any count, bool (gene,), a new array."""
        return np.concatenate([~self.matrix[some].any(axis=1) for some in self.chunks()])

    @property
    def library_sizes(self) -> np.ndarray:
        """Sum of the counts of each sample, float64 (sample,), a new array."""
        sums = np.zeros(self.n_samples, dtype=np.int64)
        for some in self.chunks():
            sums += self.matrix[some].sum(axis=0)
        return sums.astype(np.float64)

    def rows(self, selection: Any) -> np.ndarray:
        """Return the counts of some genes for computing with.

        Parameters
        ----------
        selection : slice, sequence of int or of bool
            Which genes: a slice, positions, or a mask with one value a gene.

        Returns
        -------
        numpy.ndarray, float64, (chosen gene, sample)
            New and C-contiguous, in the order asked for.
        """
        return np.array(self.matrix[selection], dtype=np.float64, order="C")

    def chunks(self, cells: int = CHUNK_CELLS) -> Iterator[slice]:
        """Walk through the genes in pieces that fit into memory.

        Parameters
        ----------
        cells : int
            About how many counts a piece has (it has one gene at least).

        Yields
        ------
        slice
            Consecutive ranges of genes; together they are all genes.
        """
        step = max(1, int(cells) // self.n_samples)
        for start in range(0, self.n_genes, step):
            yield slice(start, min(start + step, self.n_genes))

    def to_frame(self) -> pd.DataFrame:
        """Return the counts as a new DataFrame (gene, sample)."""
        return pd.DataFrame(self.matrix.copy(), index=self.genes, columns=self.samples)

    def subset(self, genes: Any = None, samples: Any = None) -> Counts:
        """Keep some genes or samples, in the order asked for.

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
            If a name is unknown, a position out of range, or nothing usable is left.
        """
        rows = positions(genes, self.genes, "gene")
        columns = positions(samples, self.samples, "sample")
        factors = self.normalization_factors
        return Counts(
            self.matrix[np.ix_(rows, columns)],
            genes=self.genes[rows],
            samples=self.samples[columns],
            sample_table=self.sample_table.iloc[columns],
            normalization_factors=None if factors is None else factors[np.ix_(rows, columns)],
        )

    def __repr__(self) -> str:
        columns = ", ".join(map(str, self.sample_table.columns)) or "none"
        factors = "" if self.normalization_factors is None else ", with normalization factors"
        return f"<Counts: {self.n_genes} genes, {self.n_samples} samples{factors}; sample columns: {columns}>"


def positions(chosen: Any, names: pd.Index, kind: str) -> np.ndarray:
    """Turn names, positions or a mask into positions.

    Parameters
    ----------
    chosen : sequence of str, of int or of bool, or None
        What was asked for; None is everything.
    names : pandas.Index
        All names.
    kind : str
        ``"gene"`` or ``"sample"``, for messages.

    Returns
    -------
    numpy.ndarray of int
        Positions in `names`, in the order asked for.

    Raises
    ------
    InputError
        If something asked for is not there.
    """
    if chosen is None:
        return np.arange(len(names))
    if isinstance(chosen, str):
        chosen = [chosen]
    values = np.asarray(chosen) if len(chosen) else np.empty(0, dtype=np.int64)
    if values.dtype == bool:
        if values.shape != (len(names),):
            raise InputError(
                f"a mask of {values.shape} was given for {len(names)} {kind}s; give one value a {kind}"
            )
        return np.flatnonzero(values)
    if np.issubdtype(values.dtype, np.integer):
        outside = values[(values < 0) | (values >= len(names))]
        if outside.size:
            raise InputError(
                f"{kind} positions {first_few(outside)} are out of range; allowed are 0 to {len(names) - 1}"
            )
        return values.astype(np.int64)
    found = names.get_indexer(pd.Index(values.astype(str)))
    if (found < 0).any():
        unknown = values[found < 0]
        raise InputError(
            f"unknown {kind}s: {first_few(unknown)}; names must be those of the counts, for example "
            f"{first_few(names, 3)}"
        )
    return found


def _unlabelled(matrix: Any, genes: Any, samples: Any) -> tuple[np.ndarray, Any, Any]:
    """Separate a matrix from its labels; the array may be the caller's own and is not written to."""
    if isinstance(matrix, pd.DataFrame):
        if genes is not None or samples is not None:
            raise InputError(
                "the counts are a DataFrame, whose index and columns name genes and samples: leave genes= "
                "and samples= out, or pass the bare matrix"
            )
        return _frame_values(matrix), matrix.index, matrix.columns
    if hasattr(matrix, "toarray"):
        matrix = matrix.toarray()
    if np.ma.isMaskedArray(matrix):
        matrix = np.ma.filled(np.ma.asarray(matrix, dtype=np.float64), np.nan)
    try:
        values = np.asarray(matrix)
    except ValueError as error:
        raise InputError(
            "the counts are not a matrix: every gene needs the same number of samples"
        ) from error
    if values.ndim != 2:
        raise InputError(
            f"the counts have shape {values.shape}; a matrix of two dimensions, (gene, sample), is needed"
        )
    return values, genes, samples


def _frame_values(frame: pd.DataFrame) -> np.ndarray:
    """Values of a table; a masked (nullable) missing number becomes NaN."""
    if all(isinstance(kind, np.dtype) for kind in frame.dtypes):
        return frame.to_numpy()
    if all(pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes):
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return frame.to_numpy(dtype=object)


def _names(given: Any, expected: int, kind: str) -> pd.Index:
    """Check names: as many as there are rows or columns, unique, none missing or empty."""
    if given is None:
        return pd.Index([f"{kind}{i + 1}" for i in range(expected)], dtype=object)
    if isinstance(given, pd.MultiIndex):
        raise InputError(f"the {kind} names have {given.nlevels} levels; give one name a {kind}")
    index = given if isinstance(given, pd.Index) else pd.Index(list(given), dtype=object)
    if len(index) != expected:
        raise InputError(f"{len(index)} {kind} names were given for a matrix with {expected} {kind}s")
    missing = np.asarray(index.isna())
    texts = pd.Index(index.astype(str), dtype=object)
    empty = missing | np.asarray(texts.str.strip() == "", dtype=bool)
    if empty.any():
        places = np.flatnonzero(empty) + 1
        raise InputError(f"empty {kind} names at position(s) {first_few(places)}: every {kind} needs a name")
    if texts.has_duplicates:
        twice = texts[texts.duplicated()].unique()
        raise InputError(
            f"duplicate {kind} names: {first_few(twice)}; every {kind} must be named once. "
            + (
                "Sum or drop the repeated rows first."
                if kind == "gene"
                else "Rename or drop the repeated columns."
            )
        )
    return pd.Index(texts, dtype=object, name=kind)


def _whole_numbers(values: np.ndarray, genes: pd.Index, samples: pd.Index) -> np.ndarray:
    """Return a new int64 matrix, or say which cells are not counts."""
    if values.dtype == object or values.dtype.kind in "USTb":
        values = _numbers_of_objects(values, genes, samples)
    if values.dtype.kind not in "iuf":
        raise InputError(f"the counts are of type {values.dtype}; whole numbers are needed")
    if values.dtype.kind == "f":
        _refuse(
            np.isnan(values), values, genes, samples, "missing counts", "Fill or drop these genes or samples."
        )
        _refuse(np.isinf(values), values, genes, samples, "infinite counts", "Counts must be finite.")
    _refuse(
        values < 0,
        values,
        genes,
        samples,
        "negative counts",
        "Raw counts are 0 or more: were they transformed?",
    )
    _refuse(
        values > LARGEST_COUNT, values, genes, samples, "counts above 2**53", "They cannot be kept exactly."
    )
    if values.dtype.kind == "f":
        _refuse(
            values != np.floor(values),
            values,
            genes,
            samples,
            "fractional counts",
            "Give raw whole-number counts, not TPM or normalized values; round estimated counts yourself.",
        )
    return np.array(values, dtype=np.int64, order="C")


def _numbers_of_objects(values: np.ndarray, genes: pd.Index, samples: pd.Index) -> np.ndarray:
    """Convert Python numbers to float64; refuse text and truth values by name."""
    if values.dtype.kind == "b":
        raise InputError("the counts are True/False values; whole numbers are needed")
    objects = values.astype(object)
    missing = np.asarray(pd.isna(objects))
    foreign = np.frompyfunc(_is_not_number, 1, 1)(objects).astype(bool) & ~missing
    _refuse(foreign, objects, genes, samples, "text in place of counts", "Every cell must be a whole number.")
    numbers = np.full(objects.shape, np.nan)
    numbers[~missing] = objects[~missing].astype(np.float64)
    return numbers


def _is_not_number(value: object) -> bool:
    """Tell whether a cell is anything but a real number."""
    return isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating))


def _refuse(
    bad: np.ndarray, values: np.ndarray, genes: pd.Index, samples: pd.Index, found: str, advice: str
) -> None:
    """Raise if any cell is bad, naming the first ones."""
    if not bad.any():
        return
    rows, columns = np.nonzero(bad)
    cells = [
        f"gene '{genes[i]}', sample '{samples[j]}': {values[i, j]}"
        for i, j in zip(rows[:3], columns[:3], strict=True)
    ]
    more = f"; and {len(rows) - 3} more" if len(rows) > 3 else ""
    raise InputError(f"{found} in {len(rows)} cell(s) ({'; '.join(cells)}{more}). {advice}")


def _check_extent(matrix: np.ndarray, samples: pd.Index) -> None:
    """Refuse matrices that no model can be fitted to."""
    if matrix.shape[0] == 0:
        raise InputError("the counts have no gene; at least one is needed")
    if matrix.shape[1] < 2:
        raise InputError(
            f"the counts have {matrix.shape[1]} sample(s) ({first_few(samples) or 'none'}); at least two are "
            "needed, and differences need replicates"
        )
    if not matrix.any():
        raise InputError("every count is zero: there is nothing to fit. Is this the right file?")


def _as_table(table: Any) -> pd.DataFrame:
    """Refuse sample tables of another kind."""
    if not isinstance(table, pd.DataFrame):
        raise InputError(
            f"the sample table is a {type(table).__name__}; give a pandas DataFrame indexed by sample name"
        )
    return table


def _matched_table(table: Any, samples: pd.Index) -> pd.DataFrame:
    """Copy the sample table in the order of the counts, matched by name."""
    if table is None:
        return pd.DataFrame(index=samples)
    copy = _as_table(table).copy()
    copy.index = _names(copy.index, len(copy), "sample")
    missing = samples.difference(copy.index, sort=False)
    extra = copy.index.difference(samples, sort=False)
    if len(missing) or len(extra):
        parts = []
        if len(missing):
            parts.append(f"no row for the counted sample(s) {first_few(missing)}")
        if len(extra):
            parts.append(f"row(s) for {first_few(extra)}, which have no counts")
        raise InputError(
            f"the sample table does not match the counts: it has {' and '.join(parts)}. Both must name the "
            f"same samples (counts: {first_few(samples)}; table: {first_few(copy.index)})"
        )
    if copy.columns.has_duplicates:
        twice = copy.columns[copy.columns.duplicated()].unique()
        raise InputError(f"the sample table has duplicate columns: {first_few(twice)}")
    return copy.loc[samples]


def matched_matrix(
    given: Any, genes: Sequence[str] | pd.Index, samples: Sequence[str] | pd.Index, what: str
) -> np.ndarray:
    """Bring positive numbers per gene and sample into the order of the counts.

    Parameters
    ----------
    given : array-like or pandas.DataFrame, (gene, sample)
        A DataFrame is matched by its labels.
    genes, samples : sequence of str
        The order wanted.
    what : str
        How messages call it.

    Returns
    -------
    numpy.ndarray, float64, (gene, sample)
        New and C-contiguous.

    Raises
    ------
    InputError
        If shape or labels do not fit, or a value is not finite and above zero.
    """
    gene_index, sample_index = pd.Index(genes, dtype=object), pd.Index(samples, dtype=object)
    if isinstance(given, pd.DataFrame):
        given = _reordered(given, gene_index, sample_index, what)
    try:
        values = np.array(given, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise InputError(f"the {what} are not numbers: {error}") from error
    wanted = (len(gene_index), len(sample_index))
    if values.shape != wanted:
        raise InputError(f"the {what} have shape {values.shape}; the counts' shape {wanted} is needed")
    bad = ~(np.isfinite(values) & (values > 0))
    _refuse(
        bad,
        values,
        gene_index,
        sample_index,
        f"{what} that are not finite and above 0",
        "Correct these values.",
    )
    return values


def _reordered(frame: pd.DataFrame, genes: pd.Index, samples: pd.Index, what: str) -> pd.DataFrame:
    """Match a labelled table to the counts by name."""
    labelled = frame.set_axis(frame.index.astype(str), axis=0).set_axis(frame.columns.astype(str), axis=1)
    for kind, wanted, there in (("gene", genes, labelled.index), ("sample", samples, labelled.columns)):
        if there.has_duplicates:
            raise InputError(
                f"the {what} name {kind}s twice: {first_few(there[there.duplicated()].unique())}"
            )
        absent = wanted[~wanted.isin(there)]
        if len(absent):
            raise InputError(
                f"the {what} lack the {kind}(s) {first_few(absent)}; they need every {kind} counted"
            )
    return labelled.loc[genes, samples]


def _factors(given: Any, genes: pd.Index, samples: pd.Index) -> np.ndarray | None:
    """Check normalization factors and copy them."""
    return None if given is None else _frozen(matched_matrix(given, genes, samples, "normalization factors"))


def _frozen(array: np.ndarray) -> np.ndarray:
    """Forbid writing into an array of our own."""
    array.flags.writeable = False
    return array
