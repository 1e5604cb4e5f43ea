"""The outlying counts of a run: their table, a sentence for the log, and a section of the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayesde.io import write_atomically
from bayesde.runs.reports.page import html_table, number

if TYPE_CHECKING:
    from bayesde.posterior import Posterior

__all__ = ["outlier_sentence", "outliers_section", "read_outliers", "write_outliers"]

FILE = "outlier_counts.tsv"
COLUMNS = ("gene", "sample", "count", "expected", "tail_probability")
MOST_SAMPLES, MOST_ROWS = 3, 10
STANDS_OUT = 3.0
"""Times the mean number of outlying counts of a sample: one that has more is named."""


def write_outliers(folder: Path, posterior: Posterior) -> None:
    """Write ``outlier_counts.tsv``: what `Posterior.outlier_counts` found, and whether it was left out.

    Parameters
    ----------
    folder : Path
    posterior : Posterior
        With ``outliers``.
    """
    assert posterior.outliers is not None
    frame, without = posterior.outliers[list(COLUMNS)], posterior.left_out
    names = () if without is None else zip(without["gene"], without["sample"], strict=True)
    left_out = pd.MultiIndex.from_frame(frame[["gene", "sample"]]).isin(list(names))
    frame = frame.assign(left_out=np.where(left_out, "yes", "no"))
    text = frame.to_csv(sep="\t", index=False, float_format="%.6g", lineterminator="\n")
    write_atomically(folder / FILE, text)


def read_outliers(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Read what `write_outliers` wrote.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    tuple of two DataFrame, or None
        The outlying counts, and which of them were left out; None if they were not looked for.
    """
    if not (folder / FILE).exists():
        return None
    text = {"gene": str, "sample": str}
    frame = pd.read_csv(folder / FILE, sep="\t", dtype=text, keep_default_na=False)
    return frame[list(COLUMNS)], frame.loc[frame["left_out"] == "yes", ["gene", "sample"]]


def outlier_sentence(posterior: Posterior) -> str:
    """Say how many counts are outlying, what became of them, and which samples have most of them.

    Parameters
    ----------
    posterior : Posterior
        With ``outliers``.

    Returns
    -------
    str
        For example ``"14 outlying counts in 14 genes, which were left out; untreated1 has 10 of them"``.
    """
    outliers = posterior.outliers
    assert outliers is not None
    if outliers.empty:
        return "no outlying counts"
    genes, n = outliers["gene"].nunique(), len(outliers)
    one = n == 1
    what = "1 outlying count in 1 gene" if one else f"{n:,} outlying counts in {genes:,} gene(s)"
    verb = "was" if one else "were"
    if posterior.left_out is None:
        became = f"which {verb} kept (--outliers leave-out samples such genes again without them)"
    else:
        became = f"which {verb} left out"
    told = [f"{sample} has {own:,} of them" for sample, own in _standing_out(outliers, posterior).items()]
    return "; ".join([f"{what}, {became}", *told])


def _standing_out(outliers: pd.DataFrame, posterior: Posterior) -> dict[str, int]:
    """Return the samples that have far more of them than others."""
    counts = outliers["sample"].value_counts().head(MOST_SAMPLES)
    usual = max(STANDS_OUT * len(outliers) / posterior.design.n_samples, 2.0)
    return {str(sample): int(own) for sample, own in counts.items() if own > usual}


def outliers_section(folder: Path) -> str:
    """Show the outlying counts of a run: by sample, and the most surprising ones.

    Parameters
    ----------
    folder : Path
        Of the run.

    Returns
    -------
    str
        HTML; empty if they were not looked for.
    """
    if not (folder / FILE).is_file():
        return ""
    outliers = pd.read_csv(folder / FILE, sep="\t", dtype={"gene": str, "sample": str}, na_filter=False)
    if outliers.empty:
        return "<p>No count is an outlier: the gene's other counts explain each of them.</p>"
    by_sample = [(str(sample), f"{n:,}") for sample, n in outliers["sample"].value_counts().items()]
    shown = outliers.head(MOST_ROWS)
    rows = [
        (str(gene), str(sample), f"{count:,}", number(expected), f"{tail:.1e}")
        for gene, sample, count, expected, tail in shown[list(COLUMNS)].itertuples(index=False)
    ]
    header = ("gene", "sample", "count", "expected", "tail probability")
    return (
        "<p>Counts that are far from what the gene's other counts predict of them. About one is expected by "
        f"chance; {len(outliers):,} are in <code>{FILE}</code>. A sample with many of them may have failed, "
        "or been swapped.</p>"
        + html_table(("sample", "outlying counts"), by_sample, numbers=(1,))
        + f"<p>The {len(rows)} most surprising ones.</p>"
        + html_table(header, rows, numbers=(2, 3, 4))
    )
