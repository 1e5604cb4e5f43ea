r"""Whether libraries differ in their bias, and whether a correction is worth it.

The difference of library k from library j is, in bits for each start,

    D(j, k) = mean over starts of j of log2(b_j / b_k) - log2(B_jj / B_jk)

where B_jk is the mean of b_k over the background of j: the Kullback-Leibler divergence of what the two biases
make of the background of j. It is estimated on starts of j that its model was not fitted to, so that noise in
either model does not count as a difference; the value for a pair is the mean of both directions.

Effective lengths say what this means for genes. For each gene and library the log2 of the effective length
over that without bias is taken, less the library's median; what matters for differential expression is its
standard deviation between libraries.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bayesde.bias.library import EndBias, LibraryBias
from bayesde.errors import BayesdeWarning

__all__ = ["confounding", "differences", "length_spread", "library_table", "verdict"]

LN2 = float(np.log(2.0))
WORTHWHILE = 0.05
"""Standard deviation of log2 effective lengths between libraries from which a correction is advised: 3.5 %.
In simulations of two groups that differ so much, 1,104 genes without effects have no false call at 5 %, and
49 if the standard deviation is 0.09; with a tenth of the genes different, there are 15 and 65
(`benchmarks/bias/README.md`)."""
SMALLEST_DIFFERENCE = 0.01
"""Bits; smaller differences between conditions are not worth a warning."""
FEWEST_FRAGMENTS = 10
"""Of a gene, in the mean over libraries, for its lengths to count in the summary."""


def library_table(libraries: Sequence[LibraryBias]) -> pd.DataFrame:
    """Return one row for each end of each library.

    Parameters
    ----------
    libraries : sequence of LibraryBias

    Returns
    -------
    pandas.DataFrame
        ``information`` and its standard error in bits for each start, on held-out starts; ``kl_before`` and
        ``kl_after``: largest divergence of single bases at a position.
    """
    rows = [
        {
            "sample": one.name,
            "end": name,
            "reads": one.n_reads,
            "distinct_starts": end.n_starts,
            "model": end.model.name,
            "parameters": end.model.n_parameters,
            "information": end.information.bits,
            "information_se": end.information.standard_error,
            "perplexity": end.perplexity,
            "kl_before": end.positions["kl_before"].max(),
            "kl_after": end.positions["kl_after"].max(),
            "fragment_length": one.law.lengths @ one.law.weights,
            "sense_share": one.law.sense,
        }
        for one in libraries
        for name, end in one.ends.items()
    ]
    return pd.DataFrame(rows)


def differences(libraries: Sequence[LibraryBias]) -> pd.DataFrame:
    """Return how much the biases of each pair of libraries differ.

    Parameters
    ----------
    libraries : sequence of LibraryBias

    Returns
    -------
    pandas.DataFrame (library, library)
        Bits for each start; the mean over the ends of fragments. Without a difference it is around 0, and
        may be negative.
    """
    names = [one.name for one in libraries]
    table = pd.DataFrame(0.0, index=pd.Index(names, name="sample"), columns=names)
    for a, b in itertools.combinations(libraries, 2):
        ends = [end for end in a.ends if end in b.ends]
        both = [
            (_difference(a.ends[end], b.ends[end]) + _difference(b.ends[end], a.ends[end])) / 2.0
            for end in ends
        ]
        table.loc[a.name, b.name] = table.loc[b.name, a.name] = float(np.mean(both))
    return table


def _difference(own: EndBias, other: EndBias) -> float:
    """Return D(own, other)."""
    parts = []
    for model in (own.model, other.model):
        normal = np.log(np.exp(model.log_bias(own.held_out.background)).mean())
        parts.append(model.log_bias(own.held_out.foreground).mean() - normal)
    return float((parts[0] - parts[1]) / LN2)


def length_spread(lengths: pd.DataFrame, unbiased: pd.DataFrame, counts: pd.DataFrame) -> float:
    """Return by how much the bias of genes differs between libraries, or between genes if there is only one.

    Parameters
    ----------
    lengths, unbiased : pandas.DataFrame (gene, library)
        Effective lengths with and without bias.
    counts : pandas.DataFrame (gene, library)
        Genes with fewer than `FEWEST_FRAGMENTS` in the mean are left out, if others remain.

    Returns
    -------
    float
        Root mean square over genes of the standard deviation of log2 relative lengths.
    """
    logs = relative_lengths(lengths, unbiased)
    expressed = (counts.mean(axis=1) >= FEWEST_FRAGMENTS).to_numpy()
    logs = logs[expressed] if expressed.any() else logs
    if logs.shape[1] == 1:
        return float(logs.std())
    return float(np.sqrt(logs.var(axis=1, ddof=1).mean()))


def relative_lengths(lengths: pd.DataFrame, unbiased: pd.DataFrame) -> np.ndarray:
    """Return log2 of effective lengths over those without bias, less the median of each library.

    Parameters
    ----------
    lengths, unbiased : pandas.DataFrame (gene, library)

    Returns
    -------
    ndarray (gene, library)
    """
    logs = np.log2(lengths.to_numpy() / unbiased.to_numpy())
    return np.asarray(logs - np.median(logs, axis=0))


def verdict(libraries: Sequence[LibraryBias], table: pd.DataFrame, spread: float) -> list[str]:
    """Say how strong the bias is, whether libraries differ, and whether a correction is worth it.

    Parameters
    ----------
    libraries : sequence of LibraryBias
    table : pandas.DataFrame
        See `differences`.
    spread : float
        See `length_spread`.

    Returns
    -------
    list of str
        Sentences.
    """
    ends = [(one.name, name, end) for one in libraries for name, end in one.ends.items()]
    bits = [end.information.bits for _, _, end in ends]
    largest = [end.positions["kl_before"].max() for _, _, end in ends]
    after = [end.positions["kl_after"].max() for _, _, end in ends]
    said = [
        f"The bases around a start hold {_range(bits)} bits of information about it (held-out starts); the "
        f"largest divergence of single bases at a position is {_range(largest)} bits, {_range(after)} after "
        "the correction."
    ]
    weak = [f"{name} ({end} reads)" for name, end, one in ends if _is_nothing(one)]
    if weak:
        said.append(f"No bias could be established in {', '.join(weak)}: its correction would be noise.")
    if len(libraries) == 1:
        said.append(
            f"Effective lengths of genes vary by a standard deviation of {spread:.3f} log2 units. With one "
            "library this matters for comparisons of genes only."
        )
        return said
    pairs = table.to_numpy()[np.triu_indices(len(table), 1)]
    said.append(f"Libraries differ by {_range(pairs)} bits for each start.")
    advice = (
        "use the effective lengths (--average-lengths average_lengths.tsv)."
        if spread >= WORTHWHILE
        else f"below {WORTHWHILE:g} the correction changes little."
    )
    said.append(
        f"Effective lengths of a gene vary between libraries by a standard deviation of {spread:.3f} log2 "
        "units: " + advice
    )
    return said


def _is_nothing(end: EndBias) -> bool:
    return end.information.bits < 2.0 * end.information.standard_error


def _range(values: Sequence[float] | np.ndarray) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:.3f}" if f"{low:.3f}" == f"{high:.3f}" else f"{low:.3f} to {high:.3f}"


def confounding(table: pd.DataFrame, condition: Mapping[str, object]) -> str | None:
    """Warn if libraries of different conditions differ more in their bias than those of the same.

    Parameters
    ----------
    table : pandas.DataFrame
        See `differences`.
    condition : mapping of str to object
        Condition of each library.

    Returns
    -------
    str or None
        What was found.

    Warns
    -----
    BayesdeWarning
        The same.
    """
    between: list[float] = []
    within: list[float] = []
    for a, b in itertools.combinations(table.index, 2):
        (within if condition[a] == condition[b] else between).append(float(table.loc[a, b]))
    if not between:
        return None
    usual = max(float(np.mean(within)), 0.0) if within else 0.0
    if np.mean(between) < max(2.0 * usual, SMALLEST_DIFFERENCE):
        return None
    text = (
        "condition and bias go together: libraries of different conditions differ by "
        f"{np.mean(between):.3f} bits for each start, those of the same by {usual:.3f}. Without the "
        "effective lengths such a difference can pass for differential expression; with them it is "
        "corrected as far as the models go."
    )
    warnings.warn(text, BayesdeWarning, stacklevel=2)
    return text
