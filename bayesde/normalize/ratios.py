r"""Size factors by the median of ratios, Anders and Huber (2010), doi:10.1186/gb-2010-11-10-r106, equation 5.

    ln s_j = median over genes i of (ln y_ij - g_i),   g_i = mean_j ln y_ij

The reference level g_i of a gene depends on the counts of that gene only, so that one pass over blocks of
genes yields the log ratios, and only these are kept: for some samples at a time, so that they are never more
than the counts of a chunk. Where those of all samples are more, they are counted in small intervals first,
and only those in the interval of the median are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts, chunk_cells, positions
from bayesde.errors import InputError, OptionError, first_few
from bayesde.normalize.blocks import row_blocks
from bayesde.numerics.libm import log

__all__ = ["METHODS", "check_method", "log_size_factors"]

METHODS = ("ratio", "poscounts")
HELD_TIMES = 4
"""Log ratios are computed for a quarter of a chunk at a time: several arrays of that size are needed."""
N_BINS, BINS_FROM, BINS_PER_UNIT = 1024, -16.0, 32.0
"""Intervals of log ratios; the first and the last one are open."""
Location = Callable[[np.ndarray], float]
Genes = slice | np.ndarray
"""Consecutive genes, or positions."""


def log_size_factors(
    counts: Counts,
    method: str = "ratio",
    control_genes: Any = None,
    geometric_means: Any = None,
    location: Location | None = None,
    log_offsets: np.ndarray | None = None,
) -> np.ndarray:
    """Estimate ln size factors by ratios, of the counts or of the counts divided by known offsets.

    Parameters
    ----------
    counts : Counts
    method : {"ratio", "poscounts"}
    control_genes, geometric_means, location : optional
        As in `bayesde.size_factors`.
    log_offsets : ndarray (gene, sample), optional
        ln of known factors that the counts are divided by first. The references of ``"poscounts"`` are still
        those of the counts themselves, as in DESeq2.

    Returns
    -------
    ndarray (sample,)

    Raises
    ------
    InputError, OptionError
        As in `bayesde.size_factors`.
    """
    check_method(method)
    given = None if geometric_means is None else _checked_reference(geometric_means, counts)
    ratios = _Ratios(counts, method, _mask(control_genes, counts), given, log_offsets)
    logs = _locations(ratios, location)
    if np.isnan(logs).any():
        raise InputError(_no_ratio(counts, method, control_genes, given, np.isnan(logs)))
    return logs - logs.mean() if method == "poscounts" or given is not None else logs


def check_method(method: str) -> None:
    """Refuse the name of an unknown method.

    Parameters
    ----------
    method : str

    Raises
    ------
    OptionError
    """
    if method not in METHODS:
        raise OptionError(f"unknown size factor method {method!r}; allowed are {first_few(METHODS)}.")


def _mask(control_genes: Any, counts: Counts) -> np.ndarray | None:
    """Mark the genes whose ratios are used, bool (gene,); None for all."""
    if control_genes is None:
        return None
    chosen = np.zeros(counts.n_genes, dtype=bool)
    chosen[positions(control_genes, counts.genes, "gene")] = True
    return chosen


def _checked_reference(given: Any, counts: Counts) -> np.ndarray:
    """Check reference levels from the caller; natural log, (gene,)."""
    if isinstance(given, pd.Series):
        named = given.set_axis(given.index.astype(str))
        absent = counts.genes[~counts.genes.isin(named.index)]
        if len(absent):
            raise InputError(f"the geometric means lack the gene(s) {first_few(absent)}.")
        given = named.loc[counts.genes]
    values = np.asarray(given, dtype=np.float64)
    if values.shape != (counts.n_genes,):
        raise InputError(f"the geometric means have shape {values.shape}; ({counts.n_genes},) is needed.")
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any():
        raise InputError(f"geometric means must be finite and 0 or more; see {first_few(counts.genes[bad])}.")
    with np.errstate(divide="ignore"):
        return log(values)


@dataclass(frozen=True)
class _Ratios:
    """Log ratios of counts to reference levels, of a block of genes at a time.

    Attributes
    ----------
    chosen : ndarray of bool (gene,) or None
        The genes to use; None for all.
    reference : ndarray (gene,) or None
        Reference levels where they are known, not finite for a gene without; None to find them.
    log_offsets : ndarray (gene, sample) or None
        ln of what the counts are divided by.
    """

    counts: Counts
    method: str
    chosen: np.ndarray | None
    reference: np.ndarray | None
    log_offsets: np.ndarray | None

    def blocks(self) -> Iterator[tuple[Genes, np.ndarray]]:
        """Yield genes and their counts by blocks; once references are known, only genes that have one."""
        if self.reference is None:
            yield from row_blocks(self.counts, HELD_TIMES)
            return
        known = np.isfinite(self.reference)
        used = np.flatnonzero(known if self.chosen is None else known & self.chosen)
        step = max(1, chunk_cells() // (HELD_TIMES * self.counts.n_samples))
        for start in range(0, used.size, step):
            genes = used[start : start + step]
            yield genes, self.counts.rows(genes)

    def of(self, genes: Genes, rows: np.ndarray, samples: slice) -> np.ndarray:
        """Log ratios of the usable genes among these, (usable gene, chosen sample); NaN for no count."""
        used = self._usable(genes, rows)
        if self.reference is None:
            logs = self._logs(genes, rows, used, slice(None))
            reference = self._reference_of(rows[used], logs, genes, used)
            logs = logs[:, samples]
        else:
            logs = self._logs(genes, rows, used, samples)
            reference = self.reference[genes][used]
        ratios = logs - reference[:, None]
        ratios[np.isneginf(logs)] = np.nan
        return ratios

    def with_reference(self) -> _Ratios:
        """Find the reference level of every gene, so that ``of`` takes logs of the chosen samples only."""
        found = np.full(self.counts.n_genes, -np.inf)
        for genes, rows in row_blocks(self.counts, HELD_TIMES):
            used = self._usable(genes, rows)
            logs = self._logs(genes, rows, used, slice(None))
            found[genes][used] = self._reference_of(rows[used], logs, genes, used)
        return replace(self, reference=found)

    def numbers(self) -> np.ndarray:
        """How many log ratios each sample has, int (sample,)."""
        found = np.zeros(self.counts.n_samples, dtype=np.int64)
        for genes, rows in row_blocks(self.counts, HELD_TIMES):
            found += np.count_nonzero(rows[self._usable(genes, rows)], axis=0)
        return found

    def _logs(self, genes: Genes, rows: np.ndarray, used: np.ndarray, samples: slice) -> np.ndarray:
        """Log counts over their offsets, minus infinity for no count, (used gene, chosen sample)."""
        with np.errstate(divide="ignore"):
            logs = log(rows[used, samples])
        if self.log_offsets is not None:
            logs -= self.log_offsets[genes][used, samples]
        return logs

    def _reference_of(self, rows: np.ndarray, logs: np.ndarray, genes: Genes, used: np.ndarray) -> np.ndarray:
        """Mean log of each gene: of all its counts over offsets, or of its positive counts, (used gene,)."""
        if self.method == "ratio":
            return np.asarray(logs.mean(axis=1))
        if self.log_offsets is not None:
            logs = logs + self.log_offsets[genes][used]
        return np.asarray(np.where(rows > 0, logs, 0.0).mean(axis=1))

    def _usable(self, genes: Genes, rows: np.ndarray) -> np.ndarray:
        """Return which of these genes are used and have a reference level, bool (chosen gene,)."""
        if self.reference is not None:
            used = np.isfinite(self.reference[genes])
        elif self.method == "ratio":
            used = (rows > 0).all(axis=1)
        else:
            used = rows.any(axis=1)
        return used if self.chosen is None else used & self.chosen[genes]


@dataclass(frozen=True)
class _Window:
    """The log ratios of each sample that its median is among.

    Attributes
    ----------
    first, last : ndarray of int (sample,)
        Their intervals.
    below, inside : ndarray of int (sample,)
        How many log ratios are smaller, and how many these are.
    """

    first: np.ndarray
    last: np.ndarray
    below: np.ndarray
    inside: np.ndarray

    @classmethod
    def of(cls, ratios: _Ratios, numbers: np.ndarray) -> _Window:
        """Count the log ratios of many samples in small intervals, and find those of the middle two."""
        step = max(1, 2 * chunk_cells() // N_BINS)
        starts = range(0, numbers.size, step)
        parts = [_middle_intervals(ratios, numbers, slice(start, start + step)) for start in starts]
        return cls(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def holds(self, block: np.ndarray, samples: slice) -> np.ndarray:
        """Return which log ratios are among them, bool (gene, chosen sample)."""
        bins = _bins(block)
        return (self.first[samples] <= bins) & (bins <= self.last[samples])


def _middle_intervals(ratios: _Ratios, numbers: np.ndarray, samples: slice) -> tuple[np.ndarray, ...]:
    """Return the entries of `_Window` for some samples."""
    numbers = numbers[samples]
    counts = np.zeros((numbers.size, N_BINS), dtype=np.int32)
    places, starts = counts.reshape(-1), N_BINS * np.arange(numbers.size)
    for genes, rows in ratios.blocks():
        block = ratios.of(genes, rows, samples)
        known = ~np.isnan(block)
        # sample after sample, which lie close together in memory; a Python int would be slow to convert
        bins = _bins(block.T[known.T])
        bins += np.repeat(starts, np.count_nonzero(known, axis=0))
        np.add.at(places, bins, np.int32(1))
    up_to = np.cumsum(counts, axis=1, dtype=np.int32, out=counts)
    # the first interval up to whose end there are more log ratios than the rank of the middle one
    first = (up_to <= ((numbers - 1) // 2)[:, None]).sum(axis=1)
    last = (up_to <= (numbers // 2)[:, None]).sum(axis=1)
    first, last = np.where(numbers > 0, (first, last), 0)
    every = np.arange(numbers.size)
    below = np.where(first > 0, up_to[every, first - 1], 0).astype(np.int64)
    return first, last, below, up_to[every, last] - below


def _bins(log_ratios: np.ndarray) -> np.ndarray:
    """Return the intervals of log ratios; of a NaN, the first."""
    with np.errstate(invalid="ignore"):
        above = np.nan_to_num((log_ratios - BINS_FROM) * BINS_PER_UNIT)
    return np.clip(above, 0, N_BINS - 1).astype(np.int64)


def _locations(ratios: _Ratios, location: Location | None) -> np.ndarray:
    """Locate the log ratios of each sample, by default by their median; NaN without any, (sample,)."""
    numbers, window = ratios.numbers(), None
    if len(list(_groups(numbers))) > 1:
        ratios = ratios.with_reference() if ratios.reference is None else ratios
        window = _Window.of(ratios, numbers) if location is None else None
    kept, below = (numbers, np.zeros_like(numbers)) if window is None else (window.inside, window.below)
    found = np.full(numbers.size, np.nan)
    for samples in _groups(kept):
        for sample, values in enumerate(_by_sample(ratios, samples, kept[samples], window), samples.start):
            if not values.size:
                continue
            if location is None:
                found[sample] = _median(values, int(numbers[sample]), int(below[sample]))
            else:
                found[sample] = _one_location(values, location)
    return found


def _groups(numbers: np.ndarray) -> Iterator[slice]:
    """Group neighboring samples that together have at most a chunk of values; at least one sample each."""
    ends = np.cumsum(numbers)
    start = 0
    while start < numbers.size:
        most = ends[start] - numbers[start] + chunk_cells()
        stop = max(start + 1, int(np.searchsorted(ends, most, side="right")))
        yield slice(start, stop)
        start = stop


def _by_sample(
    ratios: _Ratios, samples: slice, numbers: np.ndarray, window: _Window | None
) -> list[np.ndarray]:
    """Collect the log ratios of each of some samples, in the order of genes; only those in a window."""
    ends = np.cumsum(numbers)
    kept, filled = np.empty(numbers.sum()), ends - numbers
    for genes, rows in ratios.blocks():
        block = ratios.of(genes, rows, samples)
        chosen = ~np.isnan(block)
        if window is not None:
            chosen &= window.holds(block, samples)
        n = np.count_nonzero(chosen, axis=0)
        start_in_block = np.cumsum(n) - n
        values = block.T[chosen.T]
        kept[np.repeat(filled - start_in_block, n) + np.arange(values.size)] = values
        filled += n
    return np.split(kept, ends[:-1])


def _median(values: np.ndarray, number: int, below: int) -> float:
    """Median of some numbers: the mean of the middle two of an even number.

    Parameters
    ----------
    values : ndarray
        Those of the numbers that are among the middle ones, in any order.
    number, below : int
        How many numbers there are in all, and how many are smaller than these.
    """
    middle = [(number - 1) // 2 - below, number // 2 - below]
    low, high = np.partition(values, middle)[middle]
    return float((low + high) / 2.0)


def _one_location(values: np.ndarray, location: Location) -> float:
    """Compute the location of the log ratios of a sample, and check the result."""
    answer = location(values)
    if np.ndim(answer) != 0 or not np.isfinite(answer):
        raise InputError(
            f"the location of {values.size} log ratios is {answer!r}: a location function takes an array of "
            "natural logs and returns one finite number, as numpy.median does."
        )
    return float(answer)


def _no_ratio(
    counts: Counts, method: str, control_genes: Any, given: np.ndarray | None, without: np.ndarray
) -> str:
    """Explain why samples have no size factor."""
    if without.all() and method == "ratio" and control_genes is None and given is None:
        return (
            "every gene has a zero count in at least one sample, so that geometric means over all samples "
            "are zero; use the method 'poscounts', which is based on the positive counts."
        )
    return (
        f"no size factor for the sample(s) {first_few(counts.samples[without])}: none of the genes used has "
        "a count there. Remove these samples, or choose other control genes."
    )
