r"""Draws of usage from a mixture of multivariate t distributions, with their weights.

Component c has the share p_c, the mode m_c and the precision matrix M_c of the coefficients, and the middle
a_c and the standard deviation s of ln alpha; with k parameters and nu = 4 degrees of freedom,

    ln q = ln sum_c p_c sqrt(det M_c) / s (1 + Q_c / nu)^(-(nu + k) / 2) + const,
    Q_c = (beta - m_c)' M_c (beta - m_c) + ((ln alpha - a_c) / s)^2.

The a_c are a grid, on which the coefficients are fitted: how precisely they are known depends on alpha. The
shares are those of Laplace's approximation of the posterior at the grid's points, some of each kept at least.
Draws are divided among the components by their shares, and have the weight of the whole mixture (Owen and
Zhou 2000, doi:10.1080/01621459.2000.10473909).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.numerics.cholesky import cholesky
from bayesde.numerics.compiled import kernel
from bayesde.numerics.random_numbers import fill_gamma, fill_normal, stream_of

__all__ = ["Components", "fill_draws"]

DEGREES = 4.0
"""Of freedom; half of it is the whole shape of a gamma number."""


class Components(NamedTuple):
    """Components of the proposal of each feature.

    Attributes
    ----------
    share : ndarray (component, feature)
        Those of a feature add up to 1; a component of share 0 is not used.
    mode : ndarray (component, feature, coefficient)
    precision : ndarray (component, feature, coefficient, coefficient)
    log_alpha : ndarray (component, feature)
    log_alpha_sd : float
    """

    share: np.ndarray
    mode: np.ndarray
    precision: np.ndarray
    log_alpha: np.ndarray
    log_alpha_sd: float


@kernel
def _quadratic(point, mode, precision):  # type: ignore[no-untyped-def]
    """Return (point - mode)' M (point - mode)."""
    total = 0.0
    for a in range(mode.size):
        row = 0.0
        for b in range(mode.size):
            row += precision[a, b] * (point[b] - mode[b])
        total += row * (point[a] - mode[a])
    return total


@kernel
def _place(point, normal, scale, mode, factor):  # type: ignore[no-untyped-def]
    """Fill a point with mode + scale L'^-1 z, L being the Cholesky factor of the precision."""
    p = mode.size
    for a in range(p - 1, -1, -1):
        total = normal[a]
        for k in range(a + 1, p):
            total -= factor[k, a] * point[k]
        point[a] = total / factor[a, a]
    for a in range(p):
        point[a] = mode[a] + scale * point[a]


@kernel
def _factors(g, components, factor, height):  # type: ignore[no-untyped-def]
    """Fill Cholesky factors and heights p_c sqrt(det M_c) / max; return ln max, -inf if none can be used."""
    largest = -math.inf
    for c in range(height.size):
        height[c] = -math.inf
        if components.share[c, g] > 0.0 and cholesky(components.precision[c, g], factor[c]):
            height[c] = math.log(components.share[c, g])
            for k in range(factor.shape[1]):
                height[c] += math.log(factor[c, k, k])
            largest = max(largest, height[c])
    for c in range(height.size):
        height[c] = math.exp(height[c] - largest) if height[c] > -math.inf else 0.0
    return largest


@kernel
def _density(g, point, components, height):  # type: ignore[no-untyped-def]
    """Return the density of the mixture at a point, but for a factor."""
    p = point.size - 1
    total = 0.0
    for c in range(height.size):
        if height[c] == 0.0:
            continue
        z = (point[p] - components.log_alpha[c, g]) / components.log_alpha_sd
        square = _quadratic(point[:p], components.mode[c, g], components.precision[c, g]) + z * z
        base, product = 1.0 + square / DEGREES, 1.0
        for _ in range(int(DEGREES) + p + 1):
            product *= base
        total += height[c] / math.sqrt(product)
    return total


@kernel
def fill_draws(first, last, components, seeds, theta, log_density):  # type: ignore[no-untyped-def]
    """Draw for some features.

    Parameters
    ----------
    first, last : int
    components : Components
    seeds : ndarray of uint32 (feature,)
    theta : ndarray (feature, draw, coefficient + 1)
        Filled with coefficients and ln dispersion.
    log_density : ndarray (feature, draw)
        Filled with the log density of the mixture but for a constant; NaN for a feature of which no component
        can be used.
    """
    n_components, _, p = components.mode.shape
    n_draws = theta.shape[1]
    factor, height = np.zeros((n_components, p, p)), np.empty(n_components)
    even = n_draws + n_draws % 2
    normal, gamma = np.empty((p + 1 + (p + 1) % 2, even)), np.empty(even)
    for g in range(first, last):
        largest = _factors(g, components, factor, height)
        stream = stream_of(seeds[g])
        for k in range(0, normal.shape[0], 2):
            fill_normal(stream, k * even, normal[k], normal[k + 1])
        fill_gamma(stream, normal.shape[0] * even, int(0.5 * DEGREES), gamma)
        if largest == -math.inf:
            theta[g] = 0.0
            log_density[g] = math.nan
            continue
        c, reached = -1, 0.0
        for i in range(n_draws):
            while c < 0 or (reached <= (i + 0.5) / n_draws and c + 1 < n_components):
                c += 1
                reached += components.share[c, g]
            while height[c] == 0.0:  # what is left of the shares, or a matrix that is singular
                c = (c + 1) % n_components
            scale = math.sqrt(0.5 * DEGREES / gamma[i])
            _place(theta[g, i, :p], normal[:p, i], scale, components.mode[c, g], factor[c])
            theta[g, i, p] = components.log_alpha[c, g] + scale * components.log_alpha_sd * normal[p, i]
            log_density[g, i] = largest + math.log(_density(g, theta[g, i], components, height))
