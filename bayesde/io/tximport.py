r"""Estimated counts of transcripts, summed by gene, with average transcript lengths.

For each transcript t and sample j, Salmon, kallisto and RSEM estimate the number of reads :math:`k_{tj}`,
its abundance :math:`a_{tj}` (transcripts per million) and its effective length :math:`\ell_{tj}`. For a
gene g

.. math::

    K_{gj} = \mathrm{round} \sum_{t \in g} k_{tj}, \qquad
    L_{gj} = \frac{\sum_{t \in g} a_{tj} \ell_{tj}}{\sum_{t \in g} a_{tj}},

so that a change of isoforms, which changes :math:`L`, is not mistaken for a change of expression. Where a
gene has no abundance in a sample, L is the geometric mean of its L in the other samples; where it has none in
any sample, it is the mean over its transcripts of their mean length over samples. Rounding is half to even,
as R's ``round``. RSEM's files of genes contain L (below one base it is set to 1, as tximport's manual
does with 0); only where a length is missing is it the geometric mean of the other samples'.

Source: Soneson, C., Love, M. I. and Robinson, M. D. (2015) F1000Research 4:1521,
doi:10.12688/f1000research.7563, and the documentation of tximport ("original counts and offset").
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.counts.frames import split_labels
from bayesde.errors import BayesdeWarning, InputError, first_few
from bayesde.io.quantification import Quantification, quantification_files, read_quantification
from bayesde.io.tables import read_labelled_table, read_sample_table
from bayesde.io.text import read_table

Path = str | PathLike[str]


def read_tximport(
    files: Path | Mapping[str, Path] | pd.Series | None = None,
    tx2gene: Path | pd.DataFrame | Mapping[str, str] | None = None,
    *,
    counts: Path | pd.DataFrame | Any = None,
    lengths: Path | pd.DataFrame | Any = None,
    samples: Path | pd.DataFrame | None = None,
    ignore_tx_version: bool = False,
    ignore_after_bar: bool = False,
) -> Counts:
    """Read estimated counts with average transcript lengths, for which the normalization corrects.

    Either from the files of Salmon (``quant.sf``), kallisto (``abundance.tsv``) or RSEM (``.genes.results``,
    ``.isoforms.results``), or from ready matrices of tximport, tximeta or nf-core/rnaseq.

    Parameters
    ----------
    files : mapping or pandas.Series of path by sample name, or path
        Files, or the folders that Salmon or kallisto wrote. A single folder is searched for them, and each
        sample is named after its own folder (``treated_1/quant.sf``) or file (``treated_1.quant.sf.gz``).
    tx2gene : pandas.DataFrame, mapping or path
        Gene of each transcript: a table with transcripts in its first and genes in its second column (a
        text file need not have a header), or a mapping. Not needed for ``.genes.results``.
    counts, lengths : pandas.DataFrame, array-like or path, (gene, sample)
        Instead of files: estimated counts, which are rounded, and average transcript lengths in bases.
    samples : path or pandas.DataFrame, optional
        The sample table, see `read_counts`.
    ignore_tx_version : bool
        Whether to ignore everything after a dot in names of transcripts (``ENST00000456328.2``).
    ignore_after_bar : bool
        Whether to ignore everything after a bar in names of transcripts (GENCODE's headers).

    Returns
    -------
    Counts
        With `average_lengths`; genes in alphabetical order if they were summed from files, otherwise in the
        order of `counts`.

    Warns
    -----
    BayesdeWarning
        If some transcripts have no gene; they are left out.

    Raises
    ------
    InputError
        If files do not have the same transcripts, none of them is in `tx2gene`, or a matrix does not fit.
    """
    table = read_sample_table(samples) if isinstance(samples, (str, PathLike)) else samples
    if (files is None) == (counts is None) or (counts is None) != (lengths is None):
        raise InputError("give either files of quantifications, or both counts= and lengths=.")
    if files is None:
        return _from_matrices(counts, lengths, table)
    cut = "|".join((r"\..*",) * ignore_tx_version + (r"\|.*",) * ignore_after_bar)
    paths = quantification_files(files)
    first = read_quantification(next(iter(paths.values())))
    transcripts, genes = _genes_of(first, tx2gene, cut)
    sums = _GeneSums.empty(genes, len(paths))
    for j, path in enumerate(paths.values()):
        quantified = (first if j == 0 else read_quantification(path)).ordered_like(first)
        sums.add(j, quantified, transcripts)
    return sums.summarized(list(paths), table, lengths_are_given=first.is_by_gene)


def _from_matrices(counts: Any, lengths: Any, table: pd.DataFrame | None) -> Counts:
    """Round estimated counts and keep lengths beside them."""
    estimated, labels = _numbers_and_labels(counts, table)
    kept, _ = _numbers_and_labels(lengths, table)
    try:
        values = np.asarray(estimated, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the estimated counts are not numbers: {error}.") from error
    rounded: Any = _rounded(values)
    if isinstance(estimated, pd.DataFrame):
        rounded = pd.DataFrame(rounded, index=estimated.index, columns=estimated.columns)
    return Counts(rounded, sample_table=table, average_lengths=kept, gene_labels=labels)


def _numbers_and_labels(given: Any, table: pd.DataFrame | None) -> tuple[Any, pd.DataFrame | None]:
    """Read a matrix, and separate the columns that describe the genes from it."""
    if isinstance(given, (str, PathLike)):
        numbers, labels = read_labelled_table(given)
        return numbers, labels if labels.shape[1] and not labels.index.has_duplicates else None
    return split_labels(given, table, None) if isinstance(given, pd.DataFrame) else (given, None)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Round half to even; values that `Counts` refuses are left unchanged."""
    return np.where(values >= 0.0, np.rint(values), values)


@dataclass(frozen=True, eq=False)
class _GeneSums:
    """Sums over the transcripts of each gene, (gene, sample)."""

    genes: pd.Index
    counts: np.ndarray
    abundances: np.ndarray
    weighted_lengths: np.ndarray  # of genes that are not sums, their lengths
    mean_lengths: np.ndarray  # (gene,), mean over samples so far of the transcripts' mean length

    @classmethod
    def empty(cls, genes: pd.Index, n_samples: int) -> _GeneSums:
        """Start with zeros."""
        shape = (len(genes), n_samples)
        return cls(genes, np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(len(genes)))

    def add(self, sample: int, quantified: Quantification, gene_of: np.ndarray) -> None:
        """Add one sample; transcripts whose gene is -1 are left out."""
        kept = gene_of >= 0
        gene = gene_of[kept]
        counts, abundances, lengths = (
            values[kept] for values in (quantified.counts, quantified.abundances, quantified.lengths)
        )
        n_genes, n_samples = self.counts.shape
        self.counts[:, sample] = np.bincount(gene, counts, n_genes)
        self.abundances[:, sample] = np.bincount(gene, abundances, n_genes)
        if quantified.is_by_gene:  # the file has the gene's length, whatever its abundance
            self.weighted_lengths[gene, sample] = lengths
            return
        self.weighted_lengths[:, sample] = np.bincount(gene, abundances * lengths, n_genes)
        self.mean_lengths[:] += (
            np.bincount(gene, lengths, n_genes) / np.bincount(gene, minlength=n_genes) / n_samples
        )

    def summarized(
        self, samples: list[str], table: pd.DataFrame | None, *, lengths_are_given: bool
    ) -> Counts:
        """Round the counts and average the lengths, or use those of genes as they are."""
        lengths = self.weighted_lengths
        if not lengths_are_given:
            lengths = np.full(self.counts.shape, np.nan)
            np.divide(self.weighted_lengths, self.abundances, out=lengths, where=self.abundances > 0.0)
        elif (nowhere := np.isnan(lengths).all(axis=1)).any():
            raise InputError(
                f"the gene(s) {first_few(self.genes[nowhere])} have no effective_length in any sample; fill "
                "it in, or leave these genes out of all files."
            )
        return Counts(
            _rounded(self.counts),
            genes=self.genes,
            samples=samples,
            sample_table=table,
            average_lengths=filled_lengths(lengths, self.mean_lengths),
        )


def filled_lengths(lengths: np.ndarray, mean_lengths: np.ndarray) -> np.ndarray:
    """Fill in average lengths where a gene has no abundance.

    Parameters
    ----------
    lengths : numpy.ndarray, (gene, sample)
        NaN where the gene has no abundance.
    mean_lengths : numpy.ndarray, (gene,)
        For genes that have none in any sample.

    Returns
    -------
    numpy.ndarray, (gene, sample)
        New.
    """
    present = ~np.isnan(lengths)
    logs = np.log(np.where(present, lengths, 1.0)).sum(axis=1)
    number = present.sum(axis=1)
    usual = np.where(number > 0, np.exp(logs / np.maximum(number, 1)), mean_lengths)
    return np.where(present, lengths, usual[:, None])


def _genes_of(quantified: Quantification, tx2gene: Any, cut: str) -> tuple[np.ndarray, pd.Index]:
    """Return the position of each transcript's gene (-1 for none), and the genes in alphabetical order."""
    if quantified.is_by_gene:
        genes = quantified.names.sort_values()
        return genes.get_indexer(quantified.names), genes
    if tx2gene is None:
        raise InputError("the files list transcripts; give the gene of each by tx2gene=.")
    names = _cut(quantified.names, cut)
    gene_by_transcript = _gene_by_transcript(tx2gene, names, cut)
    found = gene_by_transcript.reindex(names)
    known = found.notna().to_numpy()
    if not known.any():
        raise InputError(
            f"none of the quantified transcripts ({first_few(names, 3)}) is in tx2gene "
            f"({first_few(gene_by_transcript.index, 3)}). If they differ after a dot or a bar, give "
            "ignore_tx_version=True or ignore_after_bar=True."
        )
    if not known.all():
        lost = quantified.counts[~known].sum() / max(quantified.counts.sum(), 1.0)
        warnings.warn(
            f"{(~known).sum()} of {len(known)} transcripts have no gene in tx2gene and are left out, with "
            f"{100.0 * lost:.2g} % of the first sample's reads: {first_few(names[~known], 3)}.",
            BayesdeWarning,
            stacklevel=3,
        )
    genes = pd.Index(sorted(set(found[known])), dtype=object)
    return genes.get_indexer(pd.Index(found, dtype=object)), genes


def _gene_by_transcript(tx2gene: Any, transcripts: pd.Index, cut: str) -> pd.Series:
    """Read the gene of each transcript, each transcript once."""
    if isinstance(tx2gene, (str, PathLike)):
        tx2gene = _read_pairs(tx2gene, transcripts, cut)
    if isinstance(tx2gene, Mapping):
        tx2gene = pd.Series(dict(tx2gene), dtype=object)
    if isinstance(tx2gene, pd.Series):
        tx2gene = tx2gene.rename_axis("transcript").reset_index(name="gene")
    if not isinstance(tx2gene, pd.DataFrame) or tx2gene.shape[1] < 2:
        raise InputError(
            "tx2gene must be a table with transcripts in its first and genes in its second column."
        )
    pairs = tx2gene.iloc[:, :2].set_axis(["transcript", "gene"], axis=1).dropna().astype(str)
    pairs["transcript"] = _cut(pd.Index(pairs["transcript"]), cut)
    pairs = pairs.drop_duplicates()
    twice = pairs["transcript"][pairs["transcript"].duplicated()].unique()
    if len(twice):
        raise InputError(f"tx2gene gives several genes for the transcript(s) {first_few(twice)}.")
    return pairs.set_index("transcript")["gene"]


def _read_pairs(path: Path, transcripts: pd.Index, cut: str) -> pd.DataFrame:
    """Read a table of transcripts and genes, with or without a header."""
    names, frame = read_table(path, None, "tx2gene", None)
    if _cut(pd.Index(names[:1], dtype=object), cut).isin(transcripts).any():
        frame.loc[-1] = names
    return frame


def _cut(names: pd.Index, cut: str) -> pd.Index:
    """Shorten names of transcripts by a regular expression."""
    return names.str.replace(cut, "", regex=True) if cut and len(names) else names
