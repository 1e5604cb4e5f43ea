"""Adjusted p-values: Benjamini and Hochberg, with genes of low mean filtered out first.

Independent filtering (Bourgon, Gentleman and Huber 2010, doi:10.1073/pnas.0914005107) leaves out the genes
whose mean is too low to reach significance; the threshold is where the smoothed number of rejections comes
near its maximum, by DESeq2's rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["FilteredAdjustment", "benjamini_hochberg", "filter_and_adjust", "lowess"]

THRESHOLDS = 50
LOWESS_SPAN = 0.2
ROBUST_PASSES = 3


@dataclass(frozen=True)
class FilteredAdjustment:
    """Adjusted p-values and how their filter was chosen.

    Attributes
    ----------
    padj : ndarray (gene,)
        NaN where the p-value is NaN or the base mean is below the threshold.
    threshold : float
        Base mean below which genes were left out.
    """

    padj: np.ndarray
    threshold: float


def _cube(x: np.ndarray) -> np.ndarray:
    return x * x * x


def benjamini_hochberg(p_value: np.ndarray) -> np.ndarray:
    """Adjust p-values for the false discovery rate; NaN stays NaN and is not counted as a test.

    Parameters
    ----------
    p_value : ndarray (gene,)

    Returns
    -------
    ndarray (gene,)

    References
    ----------
    Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x
    """
    adjusted = np.full(p_value.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p_value))
    order = tested[np.argsort(p_value[tested], kind="stable")]
    scaled = p_value[order] * order.size / np.arange(1, order.size + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def _local_lines(x: np.ndarray, y: np.ndarray, robust: np.ndarray, width: int) -> np.ndarray:
    """Fit a weighted line to the nearest points of every point and return their values there."""
    distance = np.abs(x - x[:, None])
    nearest = np.sort(distance, axis=1)[:, width - 1 : width]
    inside = distance <= 0.999 * nearest
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.where(distance <= 0.001 * nearest, 1.0, _cube(1.0 - _cube(distance / nearest)))
        weight = np.where(inside, weight, 0.0) * robust
        total = weight.sum(axis=1, keepdims=True)
        weight = weight / total
        center = np.sum(weight * x, axis=1, keepdims=True)
        spread = np.sum(weight * (x - center) ** 2, axis=1, keepdims=True)
        sloped = weight * (1.0 + (x[:, None] - center) * (x - center) / spread)
        lines = np.sum(np.where(np.sqrt(spread) > 0.001 * (x[-1] - x[0]), sloped, weight) * y, axis=1)
    return np.where(total[:, 0] > 0.0, lines, y)


def lowess(x: np.ndarray, y: np.ndarray, span: float = LOWESS_SPAN) -> np.ndarray:
    """Smooth y over sorted x with robust local lines (Cleveland 1979, doi:10.1080/01621459.1979.10481038).

    Follows R's ``lowess``, whose limits (0.001 and 0.999 of a distance; passes end when residuals vanish)
    are part of DESeq2's filtering rule and differ from those of other implementations.

    Parameters
    ----------
    x, y : ndarray (point,)
        ``x`` in increasing order.
    span : float
        Share of the points that each line sees.

    Returns
    -------
    ndarray (point,)
    """
    n = x.size
    width = max(2, min(n, int(span * n + 1e-7)))
    robust = np.ones(n)
    smooth = np.zeros(n)
    for turn in range(ROBUST_PASSES + 1):
        smooth = _local_lines(x, y, robust, width)
        residual = np.abs(y - smooth)
        scale = 6.0 * float(np.median(residual))
        if turn == ROBUST_PASSES or scale < 1e-7 * residual.mean():
            break
        bisquare = (1.0 - (residual / scale) ** 2) ** 2
        robust = np.where(residual <= 0.001 * scale, 1.0, np.where(residual <= 0.999 * scale, bisquare, 0.0))
    return smooth


def _quantiles(values: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """R's type-7 quantiles, exact at data values so that ``>=`` treats ties as R does."""
    ordered = np.sort(values)
    position = probabilities * (values.size - 1)
    low, high = ordered[np.floor(position).astype(int)], ordered[np.ceil(position).astype(int)]
    share = position - np.floor(position)
    return np.where(low == high, low, (1.0 - share) * low + share * high)


def _choose(rejections: np.ndarray, theta: np.ndarray) -> int:
    """Pick the least filtering whose number of rejections is near the smoothed maximum."""
    if rejections.max() <= 10:
        return 0
    smooth = lowess(theta, rejections.astype(float))
    positive = rejections > 0
    noise = np.sqrt(np.mean((rejections[positive] - smooth[positive]) ** 2))
    for enough in (smooth.max() - noise, 0.9 * smooth.max(), 0.8 * smooth.max()):
        reached = np.flatnonzero(rejections > enough)
        if reached.size:
            return int(reached[0])
    return 0


def _count_rejections(
    p_value: np.ndarray, base_mean: np.ndarray, cutoffs: np.ndarray, fdr: float
) -> np.ndarray:
    """Count, for each cutoff, the genes at or above it that are rejected at a false discovery rate.

    With n genes left and p_(j) the j-th smallest of their p-values, the rejected ones are those up to the
    last with p_(j) n / j < fdr. Adjusting makes p-values larger, so only those below fdr need be sorted.
    """
    candidates = np.flatnonzero(p_value < fdr)
    candidates = candidates[np.argsort(p_value[candidates], kind="stable")]
    small, mean, tested = p_value[candidates], base_mean[candidates], np.sort(base_mean[~np.isnan(p_value)])
    counts = np.zeros(cutoffs.size, dtype=np.int64)
    for i, cutoff in enumerate(cutoffs):
        left = small[mean >= cutoff]
        n_tests = tested.size - np.searchsorted(tested, cutoff, side="left")
        rejected = np.flatnonzero(left * n_tests / np.arange(1, left.size + 1) < fdr)
        counts[i] = rejected[-1] + 1 if rejected.size else 0
    return counts


def filter_and_adjust(p_value: np.ndarray, base_mean: np.ndarray, fdr: float) -> FilteredAdjustment:
    """Adjust p-values after leaving out genes of low mean.

    Parameters
    ----------
    p_value, base_mean : ndarray (gene,)
        All genes, all-zero ones included (their p-values are NaN).
    fdr : float
        Rate at which rejections are counted while the threshold is chosen.

    Returns
    -------
    FilteredAdjustment
    """
    lowest = float(np.mean(base_mean == 0.0))
    theta = np.linspace(lowest, 0.95 if lowest < 0.95 else 1.0, THRESHOLDS)
    cutoffs = _quantiles(base_mean, theta)
    cutoff = cutoffs[_choose(_count_rejections(p_value, base_mean, cutoffs, fdr), theta)]
    adjusted = benjamini_hochberg(np.where(base_mean >= cutoff, p_value, np.nan))
    return FilteredAdjustment(adjusted, float(cutoff))
