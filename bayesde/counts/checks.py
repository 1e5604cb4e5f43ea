"""Legal but suspicious counts: summary rows, names changed by a spreadsheet, nearly empty samples."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable

import numpy as np
import pandas as pd

from bayesde.counts.storage import Storage, chunks
from bayesde.errors import BayesdeWarning, first_few

__all__ = [
    "spreadsheet_names",
    "summary_rows",
    "warn_nearly_empty",
    "warn_summary_rows",
    "warn_spreadsheet_names",
]

# STAR, and htseq-count with or without its underscores; in lower case and without ``_``.
_SUMMARIES = {
    "nunmapped", "nmultimapping", "nnofeature", "nambiguous", "nofeature", "ambiguous", "toolowaqual",
    "notaligned", "alignmentnotunique",
}  # fmt: skip
_PARTS = ("unmapped", "multimapping", "feature", "ambiguous", "aqual", "aligned", "unique", "unassigned")
_UNASSIGNED = "unassigned"  # featureCounts: Unassigned_NoFeatures, Unassigned_Ambiguity, ...

_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec|mär|mrz|mai|okt|dez|janv|févr|mars|avr|juin|juil"
    r"|août|déc|ene|abr|ago|dic|set|gen|mag|giu|lug|ott)\.?"
)
_DATE = re.compile(
    rf"\d{{1,2}}[-. /]{{1,2}}(?i:{_MONTH})(?:[-. /]{{1,2}}\d{{2,4}})?"  # 2-Mar, 2. Mrz, 02-Mar-2001
    r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|JAN|FEB|MAR|APR|JUN|JUL|AUG|SEP|OCT|NOV|DEC)"
    r"[-/. ]\d{2}(?:\d{2})?"  # Mar-02, Sep-2001
    r"|\d{4}([-/.])\d{1,2}\1\d{1,2}(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.0+)?)?)?"  # 2023-03-02
    r"|\d{1,2}([-/.])\d{1,2}\2\d{2,4}(?: \d{1,2}:\d{2}(?::\d{2})?)?"  # 3/2/2001, 02.03.2001
)
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d+")  # 2.31E+13 was 2310009E13
_BARE = re.compile(r"[345]\d{4}(?:\.0)?")  # dates from 1982 on, as days
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

FEWEST_GENES = 20
"""With fewer genes than these, the total count of a sample is not informative."""
NEARLY_EMPTY = 0.1
"""Share of the other samples' median total below which a sample is named."""


def summary_rows(names: Iterable[object]) -> np.ndarray:
    """Find the summary rows of STAR, htseq-count or featureCounts, such as ``__no_feature``.

    Parameters
    ----------
    names : iterable of str
        First column of a table of counts.

    Returns
    -------
    numpy.ndarray of bool
    """
    texts = [str(name) for name in names]
    together = "\n".join(texts).casefold()
    if not any(part in together for part in _PARTS):  # much faster than to look at each name
        return np.zeros(len(texts), dtype=bool)
    bare = [re.sub(r"[_.\s-]", "", text.casefold()) for text in texts]
    of_features = any(name.startswith(_UNASSIGNED) for name in bare)
    return np.array(
        [
            name in _SUMMARIES or name.startswith(_UNASSIGNED) or (of_features and name == "assigned")
            for name in bare
        ],
        dtype=bool,
    )


def warn_summary_rows(genes: pd.Index) -> None:
    """Warn of summary rows of a counting program in counts that were not read by `read_counts`.

    Parameters
    ----------
    genes : pandas.Index of str

    Warns
    -----
    BayesdeWarning
    """
    rows = genes[summary_rows(genes)]
    if len(rows):
        warnings.warn(
            f"{first_few(rows, 20)} look like summary rows of a counting program, not genes: they would be "
            "tested, and would affect the size factors. Remove these rows, as `read_counts` does.",
            BayesdeWarning,
            stacklevel=4,
        )


def spreadsheet_names(genes: pd.Index) -> pd.Index:
    """Find names that look like dates or numbers where most others do not.

    Parameters
    ----------
    genes : pandas.Index of str

    Returns
    -------
    pandas.Index of str
        These names.
    """
    may_be = np.array([name[:1].isdigit() or name[:3].lower() in _MONTHS for name in genes], dtype=bool)
    names = genes[may_be]
    own_right = sum(map(str.isdecimal, names)) >= 0.5 * len(genes)  # numbers of Entrez for example
    kinds = (_DATE, _SCIENTIFIC) if own_right else (_DATE, _SCIENTIFIC, _BARE)
    changed = [any(kind.fullmatch(name) for kind in kinds) for name in names]
    return names[np.array(changed, dtype=bool)]


def warn_spreadsheet_names(genes: pd.Index) -> None:
    """Warn of genes whose names a spreadsheet turned into dates or numbers.

    Parameters
    ----------
    genes : pandas.Index of str

    Warns
    -----
    BayesdeWarning
    """
    changed = spreadsheet_names(genes)
    if len(changed):
        warnings.warn(
            f"{len(changed)} gene name(s) look like dates or numbers: {first_few(changed, 10)}. "
            "Spreadsheets convert names such as MARCH2, SEPT2, DEC1 or 2310009E13 (so that two genes may "
            "get the same name); use the file that the counting program wrote.",
            BayesdeWarning,
            stacklevel=4,
        )


def warn_nearly_empty(storage: Storage, samples: pd.Index) -> None:
    """Warn of samples with far fewer reads than the others.

    Parameters
    ----------
    storage : Storage
        The checked counts, (gene, sample).
    samples : pandas.Index of str
        Their names, for the message.

    Warns
    -----
    BayesdeWarning
        Naming samples whose total is below `NEARLY_EMPTY` times the median total.
    """
    totals, n_genes = storage.library_sizes, storage.shape[0]
    usual = float(np.median(totals))
    few = np.flatnonzero(totals < NEARLY_EMPTY * usual)
    if few.size and n_genes >= FEWEST_GENES:
        zeros = sum((storage.rows(some) == 0.0).sum(axis=0) for some in chunks(storage.shape)) / n_genes
        named = ", ".join(
            f"'{samples[i]}' ({totals[i]:,.0f} reads, {100.0 * zeros[i]:.0f} % of the genes at 0)"
            for i in few[:5]
        )
        more = f" and {few.size - 5} more" if few.size > 5 else ""
        warnings.warn(
            f"sample(s) with far fewer reads than the others (median {usual:,.0f}): {named}{more}. Their "
            "size factors, and comparisons with them, rest on few counts. If a library failed, remove the "
            "sample from counts and sample table.",
            BayesdeWarning,
            stacklevel=4,
        )
