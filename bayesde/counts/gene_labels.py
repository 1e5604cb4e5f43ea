"""Columns beside the counts that describe the genes: names, positions, biotypes."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts.whitespace import stripped
from bayesde.errors import InputError, first_few

__all__ = ["gene_names", "kept_labels", "label_columns"]

_NAMES = (
    "genename", "genesymbol", "symbol", "externalgenename", "hgncsymbol", "mgisymbol", "symbols", "genenames",
    "associatedgenename", "genesymbols", "gene",
)  # fmt: skip
"""Headers of columns with gene names for display, without case, blanks and ``_-.``; the first is used."""
_NUMBERS = (
    "start", "end", "stop", "strand", "length", "genelength", "width", "size", "genestart", "geneend",
    "startposition", "endposition", "chr", "chrom", "chromosome", "chromosomename", "seqname", "seqnames",
    "entrez", "entrezid", "entrezgene", "entrezgeneid", "ncbigene", "ncbigeneid", "geneid", "gccontent", "gc",
    "percentagegccontent", "effectivelength", "genestartbp", "geneendbp", "txlength", "taxid",
)  # fmt: skip
"""Headers of columns that describe genes even if they are numeric."""
_TEXTS = (
    "ensembl", "ensemblid", "ensemblgene", "ensemblgeneid", "ensg", "ensgid", "hgncid", "mgiid", "refseq",
    "refseqid", "transcript", "transcripts", "transcriptid", "transcriptids", "transcriptname", "txid", "tx",
    "txname", "protein", "proteinid", "uniprot", "uniprotid", "seqid", "contig", "scaffold", "biotype",
    "genebiotype", "genetype", "genesource", "transcriptbiotype", "transcripttype", "type", "description",
    "genedescription", "product", "annotation", "note", "alias", "aliases", "synonym", "synonyms", "locus",
    "locustag", "name", "source", "feature", "featuretype", "band", "karyotypeband", "id", "class",
    "category", "unigene", "accession", "probe", "probeid", "geneversion", "level", "havanagene", "tag",
)  # fmt: skip
_LIKE_A_NUMBER = re.compile(r"[-+]?[\d.,'’\s]*\d[\d.,'’\s]*([eE][-+]?\d+)?%?|[-+]?inf|nan|na|n/a|", re.I)


def label_columns(
    names: Sequence[str], frame: pd.DataFrame, key: int | None, samples: Collection[str]
) -> list[int]:
    """Find the columns of a table of counts that are labels of the genes and not samples.

    Parameters
    ----------
    names : sequence of str
        Of all columns.
    frame : pandas.DataFrame
        The table; columns are taken by position.
    key : int or None
        The column with the names of the genes, which is none of the labels; None if that is the index.
    samples : collection of str
        Known samples, which are never labels.

    Returns
    -------
    list of int
        Positions: leading columns whose header is typical of gene labels, or which hold only text; and other
        columns with such a header that hold text.
    """
    labels, leading = [], True
    elsewhere = _names_genes(names, frame, key)
    known = set(map(str, samples))
    for i, name in enumerate(names):
        if i == key:
            continue
        bare = _bare(name)
        is_label = name not in known and (
            (leading and bare in _NUMBERS)
            or ((leading or (elsewhere and bare in _NAMES + _TEXTS)) and _is_text(frame.iloc[:, i]))
        )
        leading &= is_label
        labels += [i] * is_label
    return labels


def _names_genes(names: Sequence[str], frame: pd.DataFrame, key: int | None) -> bool:
    """Return whether the gene column looks like one; otherwise a label may be what identifies the genes."""
    header, column = (frame.index.name, frame.index) if key is None else (names[key], frame.iloc[:, key])
    if _bare(header) in (*_NAMES, *_NUMBERS, *_TEXTS, "geneid"):
        return True
    return not all(_LIKE_A_NUMBER.fullmatch(str(value)) for value in column)


def _bare(name: object) -> str:
    """Reduce a header to letters and digits."""
    return re.sub(r"[^a-z0-9]", "", str(name).casefold())


def _is_text(column: pd.Series) -> bool:
    """Return whether a column holds text, none of which looks like a number."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return False
    values = [value for value in pd.unique(column.dropna().astype(object)) if value != ""]
    return bool(values) and all(
        isinstance(value, str) and not _LIKE_A_NUMBER.fullmatch(value) for value in values
    )


def kept_labels(given: Any, genes: pd.Index) -> pd.DataFrame:
    """Copy a table of labels in the order of the genes.

    Parameters
    ----------
    given : pandas.DataFrame or None
        Indexed by gene.
    genes : pandas.Index

    Returns
    -------
    pandas.DataFrame
        Without columns if none was given.

    Raises
    ------
    InputError
        If it is no table, or lacks genes.
    """
    if given is None:
        return pd.DataFrame(index=genes)
    if not isinstance(given, pd.DataFrame):
        raise InputError(f"the gene labels are a {type(given).__name__}; give a DataFrame indexed by gene.")
    table = given.set_axis(pd.Index([str(stripped(gene)) for gene in given.index], dtype=object), axis=0)
    absent = genes[~genes.isin(table.index)]
    if len(absent) or table.index.has_duplicates:
        what = f"lack {first_few(absent)}" if len(absent) else "have several rows for one gene"
        raise InputError(f"the gene labels {what}; one row for each gene counted is needed.")
    return table.loc[genes].set_axis(genes, axis=0)


def gene_names(labels: pd.DataFrame) -> np.ndarray | None:
    """Choose gene names for display from a table of labels.

    Parameters
    ----------
    labels : pandas.DataFrame, (gene, label)

    Returns
    -------
    numpy.ndarray of str, (gene,), or None
        Empty where a gene has none; None if no column has a header such as ``gene_name`` or ``symbol``.
    """
    by_header = {_bare(name): i for i, name in reversed(list(enumerate(labels.columns)))}
    place = next((by_header[name] for name in _NAMES if name in by_header), None)
    if place is None:
        return None
    column = labels.iloc[:, place]
    return np.array(["" if pd.isna(value) else str(value) for value in column], dtype=object)
