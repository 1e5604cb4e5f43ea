r"""A dispersion trend without a formula: local quadratic regression of ln dispersion on ln mean.

This is the fit of ``locfit(log(dispersion) ~ log(mean), weights = mean)`` with its defaults (Loader 1999,
"Local Regression and Likelihood", chapter 12): tricube weights over the nearest 70 % of the genes, evaluated
at a few vertices only and interpolated between them by cubics that match values and slopes. A global weighted
quadratic is taken off before, and put back after, interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesde.numerics.linear import least_squares

__all__ = ["SPAN", "LocalCurve", "fit_local_curve"]

SPAN = 0.7
"""Share of the genes in each local fit."""
CUT = 0.8
"""A cell is split while it is wider than this share of the smaller bandwidth at its two ends."""
MAX_VERTICES = 1000


@dataclass(frozen=True)
class LocalCurve:
    """A curve y(x) made of a global quadratic and cubics between vertices.

    Attributes
    ----------
    center : float
        Weighted mean of x, where the quadratic is expanded.
    quadratic : ndarray (3,)
        Its coefficients of 1, (x - center), (x - center)^2.
    vertices, values, slopes : ndarray (vertex,)
        Where the local fits were made, in increasing order, and what they add to the quadratic.
    """

    center: float
    quadratic: np.ndarray
    vertices: np.ndarray
    values: np.ndarray
    slopes: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Evaluate the curve; beyond the outer vertices the local part goes on as a line."""
        x = np.asarray(x, dtype=float)
        inside = np.clip(x, self.vertices[0], self.vertices[-1])
        cell = np.clip(np.searchsorted(self.vertices, inside, side="right") - 1, 0, self.vertices.size - 2)
        width = self.vertices[cell + 1] - self.vertices[cell]
        t = (inside - self.vertices[cell]) / width
        local = (
            (1 + 2 * t) * (1 - t) ** 2 * self.values[cell]
            + t**2 * (3 - 2 * t) * self.values[cell + 1]
            + width * t * (1 - t) ** 2 * self.slopes[cell]
            - width * t**2 * (1 - t) * self.slopes[cell + 1]
        )
        end_slope = np.where(x < self.vertices[0], self.slopes[0], self.slopes[-1])
        return local + end_slope * (x - inside) + _quadratic_at(self.quadratic, x - self.center)


def _quadratic_at(coefficients: np.ndarray, d: np.ndarray) -> np.ndarray:
    return coefficients[0] + coefficients[1] * d + coefficients[2] * d**2


def _cube(x: np.ndarray) -> np.ndarray:
    return x * x * x


def _weighted_quadratic(d: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Least squares of y on 1, d, d^2."""
    root = np.sqrt(weights)
    columns = np.column_stack([np.ones_like(d), d, d**2]) * root[:, None]
    return least_squares(columns, y * root)


def _local_fit(at: float, x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, float, float]:
    """Return value, slope and bandwidth of the local quadratic at a point."""
    distance = np.abs(x - at)
    nearest = max(int(SPAN * x.size + 1e-12), 1)
    bandwidth = float(np.partition(distance, nearest - 1)[nearest - 1])
    near = distance < bandwidth
    kernel = _cube(1.0 - _cube(distance[near] / bandwidth))
    value, slope, _ = _weighted_quadratic(x[near] - at, y[near], weights[near] * kernel)
    return float(value), float(slope), bandwidth


def fit_local_curve(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> LocalCurve:
    """Fit the curve.

    Parameters
    ----------
    x, y, weights : ndarray (point,)
        At least three different values of ``x``, none shared by ``SPAN`` of the points or more.

    Returns
    -------
    LocalCurve
    """
    center = float(np.average(x, weights=weights))
    quadratic = _weighted_quadratic(x - center, y, weights)
    fits = {end: _local_fit(end, x, y, weights) for end in (float(x.min()), float(x.max()))}
    cells = [tuple(fits)]
    while cells and len(fits) < MAX_VERTICES:
        left, right = cells.pop()
        if right - left > CUT * min(fits[left][2], fits[right][2]):
            middle = (left + right) / 2.0
            fits[middle] = _local_fit(middle, x, y, weights)
            cells += [(left, middle), (middle, right)]
    vertices = np.array(sorted(fits))
    values = np.array([fits[v][0] for v in vertices]) - _quadratic_at(quadratic, vertices - center)
    slopes = np.array([fits[v][1] for v in vertices])
    slopes -= quadratic[1] + 2.0 * quadratic[2] * (vertices - center)
    return LocalCurve(center, quadratic, vertices, values, slopes)
