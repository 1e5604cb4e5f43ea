r"""Scores of one answer against one truth.

With estimates b_g, true effects t_g and intervals (l_g, u_g), all in log2, over n genes:

* mean absolute error  (1/n) sum |b_g - t_g|;  root mean square error  sqrt((1/n) sum (b_g - t_g)^2);
* coverage  the share of genes with l_g <= t_g <= u_g; a truth that was measured with standard error e_g
  widens each half of the interval to sqrt((u_g - b_g)^2 + (z e_g)^2), z being the level's normal quantile;
* false sign rate  the share of called genes whose estimate does not have the sign of the truth; for a true
  effect of exactly 0 either sign is false (Stephens 2017, doi:10.1093/biostatistics/kxw041). s-values
  estimate it;
* power at a false sign rate of r  the largest number of genes from the top of a method's own ranking among
  which no more than a share r has a false sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from benchmarks.accuracy.records import Answer, Interval

__all__ = [
    "concordance",
    "coverage",
    "errors",
    "false_signs",
    "interval_width",
    "power",
    "power_errors",
    "realized_rate",
    "surest_first",
    "widened",
]

REPLICATES = 200
MOST = 1e6
"""Stands for the factor of an interval that no stretching makes cover, or that is missing."""


def errors(estimate: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return mean absolute and root mean square error."""
    off = estimate - truth
    return {"mae": float(np.abs(off).mean()), "rmse": math.sqrt(float((off**2).mean()))}


def coverage(interval: Interval, truth: np.ndarray) -> float:
    """Return the share of intervals that contain the truth; a missing interval does not."""
    return float(((interval[0] <= truth) & (truth <= interval[1])).mean())


def widened(interval: Interval, estimate: np.ndarray, error: np.ndarray, level: float) -> Interval:
    """Widen an interval of a level by the standard error (gene,) of the truth."""
    own = (ndtri(0.5 + level / 2.0) * error) ** 2
    below, above = (np.sqrt((end - estimate) ** 2 + own) for end in interval)
    return estimate - below, estimate + above


def interval_width(interval: Interval, estimate: np.ndarray, truth: np.ndarray, level: float) -> float:
    """Return the median width of intervals rescaled about the estimate, by one factor, to cover a level.

    The factor is the quantile of what each gene would need: its error over the half of its interval that
    points to the truth.
    """
    half = np.where(truth < estimate, estimate - interval[0], interval[1] - estimate)
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.where(half > 0.0, np.abs(truth - estimate) / half, np.inf)
    needed = np.where(truth == estimate, 0.0, np.nan_to_num(needed, nan=MOST, posinf=MOST))
    factor = np.quantile(needed, level, method="higher")
    return float(factor * np.nanmedian(interval[1] - interval[0]))


def false_signs(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return which estimates (gene,) do not have the sign of the truth."""
    return np.asarray(np.sign(estimate) * np.sign(truth) <= 0.0)


def realized_rate(answer: Answer, false: np.ndarray, threshold: float) -> tuple[int, int]:
    """Return how many genes have an s-value up to a threshold, and how many of these have a false sign.

    `answer` and `false` are of the same genes.
    """
    if answer.s_value is None:
        return 0, 0
    called = answer.s_value <= threshold
    return int(called.sum()), int(false[called].sum())


def surest_first(answer: Answer) -> np.ndarray | None:
    """Return the genes that can be called, smallest lfsr first, or None if the method does not rank them.

    Of equally sure ones the larger effect comes first.
    """
    rate = answer.lfsr if answer.lfsr is not None else answer.s_value
    if rate is None or np.isnan(rate).all():
        return None
    order = np.lexsort((-np.abs(answer.estimate), rate))
    return order[~np.isnan(rate[order])]


def power(order: np.ndarray, false: np.ndarray, rate: float) -> int:
    """Return how many genes from the top of a ranking have a false sign rate of no more than `rate`."""
    allowed = np.flatnonzero(np.cumsum(false[order]) <= rate * np.arange(1, order.size + 1))
    return int(allowed[-1]) + 1 if allowed.size else 0


def power_errors(
    orders: Sequence[np.ndarray], falses: Sequence[np.ndarray], rate: float, rng: np.random.Generator
) -> np.ndarray:
    """Return bootstrap standard errors of each method's power minus that of the first.

    Genes are drawn with replacement, the same for all methods.

    Parameters
    ----------
    orders : sequence of ndarray (called,)
        Of each method, positions of genes.
    falses : sequence of ndarray of bool (gene,)
        Of each method.
    rate : float
    rng : Generator

    Returns
    -------
    ndarray (method,)
        0 for the first.
    """
    n_genes = falses[0].size
    found = np.empty((REPLICATES, len(orders)))
    for replicate in found:
        times = np.bincount(rng.integers(n_genes, size=n_genes), minlength=n_genes)
        for at, (order, false) in enumerate(zip(orders, falses, strict=True)):
            number, wrong = np.cumsum(times[order]), np.cumsum((times * false)[order])
            allowed = np.flatnonzero(wrong <= rate * number)
            replicate[at] = number[allowed[-1]] if allowed.size else 0.0
    return np.asarray((found - found[:, :1]).std(axis=0, ddof=1))


def concordance(estimate: np.ndarray, truth: np.ndarray, top: int) -> float:
    """Return the share of the `top` largest absolute estimates that are among the largest true effects."""
    largest = [set(np.argsort(-np.abs(values), kind="stable")[:top]) for values in (estimate, truth)]
    return len(largest[0] & largest[1]) / top
