"""Counts with known effects, and the results of methods on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

import bayesde as bde

__all__ = ["Answer", "Interval", "Problem", "Truth"]

Interval = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method reports for every gene of the counts, in log2.

    Attributes
    ----------
    method : str
    estimate : ndarray (gene,)
    lfsr, s_value : ndarray (gene,) or None
        Local false sign rate and s-value; a gene with NaN is never called.
    intervals : mapping of float to (lower, upper)
        By their probability.
    pit, dispersion_pit : ndarray (gene,) or None
        Posterior probability that effect, or dispersion, is below its true value.
    hyperparameters : mapping of str to (mean, sd)
    trusted : ndarray of bool (gene,) or None
        Whether a gene passes the method's own diagnostics.
    law : mapping of str to float
        What is to be known of the law of the effects (`benchmarks.accuracy.laws`).
    """

    method: str
    estimate: np.ndarray
    lfsr: np.ndarray | None = None
    s_value: np.ndarray | None = None
    intervals: Mapping[float, Interval] = field(default_factory=dict)
    pit: np.ndarray | None = None
    dispersion_pit: np.ndarray | None = None
    hyperparameters: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    trusted: np.ndarray | None = None
    law: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Truth:
    """True effects of some genes.

    Attributes
    ----------
    name : str
    effect : pandas.Series
        log2, by gene; each gene once.
    error : pandas.Series or None
        Standard error of the truth itself, where it was measured.
    anchors : pandas.Series of bool or None
        Genes that one offset, common to all, is estimated from; None if the truth has the fits' scale.
    """

    name: str
    effect: pd.Series
    error: pd.Series | None = None
    anchors: pd.Series | None = None


@dataclass(frozen=True, eq=False)
class Problem:
    """Counts, a comparison of two groups, and the known truth.

    Attributes
    ----------
    name, title : str
    counts : Counts
    factor, level, reference : str
        The design is ``~ factor``; `level` is compared with `reference`.
    batch : str
        A factor that the design also has, before `factor`; none by default.
    truths : tuple of Truth
    size_factors : ndarray (sample,) or None
        Given to every method; None lets each estimate its own.
    published : mapping of str to Answer
        Published results for these counts.
    dispersion : ndarray (gene,) or None
        True dispersions.
    hyperparameters : mapping of str to float
        True ones, by the names that ``Hyperparameters.draws`` has.
    student_t : bool
        Whether inference method psis is also run with Student-t residuals of the dispersions.
    """

    name: str
    title: str
    counts: bde.Counts
    factor: str
    level: str
    reference: str
    truths: tuple[Truth, ...]
    size_factors: np.ndarray | None = None
    published: Mapping[str, Answer] = field(default_factory=dict)
    dispersion: np.ndarray | None = None
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    student_t: bool = False
    batch: str = ""

    @property
    def formula(self) -> str:
        """The design."""
        return f"~ {self.batch} + {self.factor}" if self.batch else f"~ {self.factor}"

    @property
    def exact(self) -> bool:
        """Whether the truth is known for all genes, without error and offset."""
        first = self.truths[0]
        return first.error is None and first.anchors is None

    @property
    def treated(self) -> np.ndarray:
        """Which samples (sample,) have the level, the others having the reference."""
        return np.asarray(self.counts.sample_table[self.factor] == self.level)

    @property
    def seen_in_both(self) -> np.ndarray:
        """Which genes (gene,) have counts in both groups; for the others the likelihood has no maximum."""
        matrix = np.asarray(self.counts.rows(slice(None)))
        first, second = matrix[:, self.treated], matrix[:, ~self.treated]
        return np.asarray(first.any(axis=1) & second.any(axis=1))
