"""Output files of Salmon, kallisto and RSEM, one per sample."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesde.errors import InputError, first_few
from bayesde.io.text import read_text

# Columns with names, estimated counts, abundances and effective lengths, of Salmon, kallisto and RSEM.
FORMATS = (
    ("Name", "NumReads", "TPM", "EffectiveLength"),
    ("target_id", "est_counts", "tpm", "eff_length"),
    ("transcript_id", "expected_count", "TPM", "effective_length"),
    ("gene_id", "expected_count", "TPM", "effective_length"),
)
BY_GENE = "gene_id"
IN_OWN_FOLDER = ("quant.sf", "abundance.tsv")
SUFFIXES = (".quant.sf", ".genes.results", ".isoforms.results")


@dataclass(frozen=True, eq=False)
class Quantification:
    """One sample.

    Parameters
    ----------
    names : pandas.Index
        Transcripts, or genes if `is_by_gene`.
    counts, abundances, lengths : numpy.ndarray, (transcript,)
        Estimated reads, transcripts per million, effective length in bases; of genes the length may be
        missing (NaN).
    is_by_gene : bool
        Whether transcripts were summed already.
    path : str
        Where it is from, for messages.
    """

    names: pd.Index
    counts: np.ndarray
    abundances: np.ndarray
    lengths: np.ndarray
    is_by_gene: bool
    path: str

    def ordered_like(self, other: Quantification) -> Quantification:
        """Return the same quantification in the order of another sample.

        Parameters
        ----------
        other : Quantification

        Returns
        -------
        Quantification

        Raises
        ------
        InputError
            If the other has other transcripts.
        """
        if self.names.equals(other.names):
            return self
        different = self.names.symmetric_difference(other.names)
        if len(different) or self.is_by_gene != other.is_by_gene:
            raise InputError(
                f"'{self.path}' and '{other.path}' do not list the same transcripts, for example "
                f"{first_few(different, 3)}; quantify all samples with one index."
            )
        place = self.names.get_indexer(other.names)
        parts = (self.counts[place], self.abundances[place], self.lengths[place])
        return Quantification(other.names, *parts, self.is_by_gene, self.path)


def quantification_files(files: Any) -> dict[str, Path]:
    """Find one file for each sample.

    Parameters
    ----------
    files : mapping or pandas.Series of path by sample name, or path
        See `bayesde.io.tximport.read_tximport`.

    Returns
    -------
    dict of str to pathlib.Path
        In the order given, or by name in a folder.

    Raises
    ------
    InputError
        If there is none, or two for one sample.
    """
    if isinstance(files, (Mapping, pd.Series)):
        found = [(str(sample), _file_in(Path(path))) for sample, path in files.items()]
    elif isinstance(files, (str, PathLike)) and Path(files).is_dir():
        candidates = [*Path(files).glob("*"), *Path(files).glob("*/*")]
        named = [(_sample_of(path), path) for path in sorted(candidates) if path.is_file()]
        found = [(sample, path) for sample, path in named if sample is not None]
    else:
        raise InputError(
            f"the quantifications are given as {files!r}; give a folder, or the path of each sample's file "
            "by sample name."
        )
    names = pd.Index([sample for sample, _ in found], dtype=object)
    if names.has_duplicates:
        raise InputError(
            f"there are several quantifications of the sample(s) {first_few(names[names.duplicated()])}."
        )
    if not found:
        raise InputError(
            f"there is no quantification in {str(files)!r}: no quant.sf, abundance.tsv or .results."
        )
    return dict(found)


def read_quantification(path: Path) -> Quantification:
    """Read one file.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    Quantification

    Raises
    ------
    InputError
        If it is not a quantification, lacks numbers or names a transcript twice.
    """
    text = read_text(path, "quantification")
    header = text.partition("\n")[0].rstrip().split("\t")
    columns = next((wanted for wanted in FORMATS if set(wanted) <= set(header)), None)
    if columns is None:
        raise InputError(
            f"'{path}' is not a quantification by Salmon, kallisto or RSEM; its columns are "
            f"{first_few(header)}."
        )
    types = {name: str if name == columns[0] else np.float64 for name in columns}
    try:
        table = pd.read_csv(io.BytesIO(text.encode()), sep="\t", usecols=list(columns), dtype=types)
    except ValueError as error:
        raise InputError(f"'{path}' cannot be read as a quantification: {error}.") from error
    names = pd.Index(table[columns[0]], dtype=object, name=None)
    values = table[list(columns[1:])].to_numpy().T
    by_gene = columns[0] == BY_GENE
    usable = np.isfinite(values) & (values >= 0.0)
    usable[2] |= by_gene & np.isnan(values[2])
    bad = names.isna() | names.duplicated() | ~usable.all(axis=0)
    if bad.any():
        raise InputError(
            f"'{path}' has {bad.sum()} row(s) without name or number, with a number below 0, or listed "
            f"twice: {first_few(names[bad])}."
        )
    # RSEM writes 0 for what is shorter than its fragments; one base keeps such a length finite in logarithms.
    shortest = 1.0 if by_gene else np.where(values[2] > 0.0, 0.0, 1.0)
    return Quantification(names, values[0], values[1], np.maximum(values[2], shortest), by_gene, str(path))


def _file_in(path: Path) -> Path:
    """Look into a folder that Salmon or kallisto wrote."""
    if not path.is_dir():
        return path
    inside = [file for file in sorted(path.iterdir()) if _plain_name(file) in IN_OWN_FOLDER]
    if len(inside) != 1:
        raise InputError(f"the folder '{path}' has no quant.sf or abundance.tsv, or several.")
    return inside[0]


def _sample_of(path: Path) -> str | None:
    """Return the name of the sample of a file; None if it is not a quantification."""
    name = _plain_name(path)
    if name in IN_OWN_FOLDER:
        return path.parent.name
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), None)


def _plain_name(path: Path) -> str:
    """Return the name of a file without a suffix for compression."""
    return path.name.removesuffix(path.suffix) if path.suffix in (".gz", ".bz2", ".xz") else path.name
