"""Rankings of genes for gene set analysis, from one or several tables of results.

`ranking` gives what ``gseapy.prerank`` takes, a score for each gene in descending order; `rankings` what the
methods of ``decoupler`` take, a table (contrast, gene). Neither program is needed here.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayesde.errors import BayesdeNote, InputError, OptionError, first_few
from bayesde.numerics.libm import log

__all__ = ["ranking", "rankings"]

_SMALLEST = 1e-300
"""Probabilities below are taken as this, so that logarithms are finite."""
SCORES = {
    "stat": ["stat", "log2_fold_change"],
    "z": ["log2_fold_change", "lfc_se"],
    "p_value": ["p_value", "log2_fold_change"],
    "lfsr": ["lfsr", "log2_fold_change"],
    "log2_fold_change": ["log2_fold_change"],
}
"""What genes may be ranked by, and the columns that it takes."""


def ranking(table: pd.DataFrame, by: str | None = None, *, symbols: bool = False) -> pd.Series:
    """Rank genes for gene set analysis: ``gseapy.prerank(rnk=bde.ranking(table), ...)``.

    Parameters
    ----------
    table : pandas.DataFrame (gene,)
        A results table.
    by : {"stat", "z", "p_value", "lfsr", "log2_fold_change"}, optional
        The score: the test statistic; the estimate over its standard error or posterior standard deviation;
        minus log10 of the p-value or of the local false sign rate, with the sign of the fold change; or the
        fold change. By default ``stat`` if the table has it, otherwise ``z``.
    symbols : bool
        Whether genes are named by the column ``gene_name``, as gene sets mostly are; of several genes with
        the same name, that with the largest absolute score is kept, and genes without a name are left out.

    Returns
    -------
    pandas.Series, float64
        Scores in descending order, by gene; genes without a score are left out.

    Raises
    ------
    OptionError
        If there is no such score.
    InputError
        If the table lacks a column, or no gene has a score.

    Warns
    -----
    BayesdeNote
        How many genes are left out, and how many share a name.
    """
    score = _score(table, by)
    known = score[np.isfinite(score)]
    named = _by_symbol(known, table) if symbols else known
    if not len(named):
        raise InputError("no gene of the table has a score (and a name), so there is nothing to rank.")
    if len(known) < len(score):
        _note(f"{len(score) - len(known)} of {len(score)} genes have no score, and are left out.")
    ordered = named.sort_values(ascending=False, kind="stable")
    return ordered.rename_axis("gene")


def rankings(
    tables: Mapping[str, pd.DataFrame], by: str | None = None, *, symbols: bool = False
) -> pd.DataFrame:
    """Put the scores of several contrasts side by side: ``decoupler.mt.ulm(data=bde.rankings(tables), ...)``.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        Results tables by the name of their contrast.
    by, symbols
        As in `ranking`.

    Returns
    -------
    pandas.DataFrame, float64 (contrast, gene)
        Of the genes that have a score in all tables, in the order of the first one.

    Raises
    ------
    OptionError, InputError
        As in `ranking`; and if no gene has a score in all tables.

    Warns
    -----
    BayesdeNote
        How many genes are left out.
    """
    if not isinstance(tables, Mapping) or not tables:
        raise InputError("tables must be results tables by name, such as {'treated_vs_control': table}.")
    scores = {str(name): ranking(table, by, symbols=symbols) for name, table in tables.items()}
    frame = pd.DataFrame(scores)
    shared = frame.dropna().index
    if not len(shared):
        raise InputError("no gene has a score in all tables: do they name genes alike?")
    if len(shared) < len(frame):
        _note(f"{len(frame) - len(shared)} gene(s) do not have a score in all tables, and are left out.")
    first = next(iter(tables.values()))
    names = pd.Index(first["gene_name"] if symbols else first.index)
    return frame.loc[names[names.isin(shared)].drop_duplicates()].T.rename_axis(
        index="contrast", columns="gene"
    )


def _score(table: pd.DataFrame, by: str | None) -> pd.Series:
    """Compute the score of every gene; NaN where there is none."""
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"a results table is needed; got a {type(table).__name__}.")
    if by is None:
        by = "stat" if "stat" in table else "z"
    if by not in SCORES:
        raise OptionError(f"unknown score {by!r}; allowed are {first_few(SCORES, 10)}.")
    absent = [name for name in SCORES[by] if name not in table]
    if absent:
        raise InputError(
            f"the score '{by}' needs the column(s) {first_few(absent)}; the table has "
            f"{first_few(table.columns, 20)}."
        )
    effect = table["log2_fold_change"].astype(np.float64)
    if by == "log2_fold_change":
        return effect
    if by == "z":
        return effect / table["lfc_se"].where(table["lfc_se"] > 0.0)
    if by == "stat":  # a Wald statistic has the sign of its effect, and keeps it
        return table["stat"].abs() * np.sign(effect)
    probability = np.clip(table[by].to_numpy(dtype=np.float64), _SMALLEST, 1.0)
    return -pd.Series(log(probability), table.index) / np.log(10.0) * np.sign(effect)


def _by_symbol(scores: pd.Series, table: pd.DataFrame) -> pd.Series:
    """Name genes by their symbols, and keep the largest absolute score of each."""
    if "gene_name" not in table:
        raise InputError("the table has no column 'gene_name': the counts came without gene names.")
    symbols = table.loc[scores.index, "gene_name"]
    there = (symbols.notna() & (symbols != "")).to_numpy(dtype=bool)
    scores = scores[there].set_axis(pd.Index(symbols[there], dtype=object))
    places = np.argsort(-scores.abs().to_numpy(), kind="stable")
    kept = np.sort(places[~scores.index[places].duplicated()])
    if len(kept) < len(scores):
        _note(f"{len(scores) - len(kept)} gene(s) share a name with another of larger absolute score.")
    return scores.iloc[kept]


def _note(text: str) -> None:
    warnings.warn(text, BayesdeNote, stacklevel=4)
