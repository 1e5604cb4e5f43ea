r"""A mixture of Student-t distributions for each gene, one with the prior's tails: draws and density.

    q(theta) = sum_c  share_c  t_df(theta | location_c, scale_c)
             + share_C  prod_s Cauchy(beta_s | 0, S_s)  t_df(beta_u, a | location + C (beta_s - mode_s))

with theta = (beta, a = ln alpha), s the shrunken coefficients and u the others; `proposal` says how the parts
are chosen. Draws are stratified: each component gives exactly its share of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from bayesde.posterior.importance.elementary import logarithms

__all__ = [
    "DF",
    "Proposal",
    "component_densities",
    "component_heights",
    "distance_squared",
    "draw_mixture",
    "stratified_counts",
    "subtract_log_mixture",
]

DF = 6.0
GENES_AT_A_TIME = 32
"""Whose random numbers are drawn before they become draws; so many stay in the cache."""
SMALLEST = 2.3e-308
"""Of doubles that have all their digits."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """Mixtures of Student-t distributions with `DF` degrees of freedom, and of the prior.

    Attributes
    ----------
    location : ndarray (gene, component, P + 1)
        Coefficients and log dispersion, natural log. The last component is the one with the prior.
    factor : ndarray (gene, component, P + 1, P + 1)
        Lower Cholesky factor of the inverse of the component's scale matrix; of the last one, the rows and
        columns of what is not shrunken.
    slope : ndarray (gene, P + 1, P + 1)
        C: how row i makes way for the shrunken coefficient of column k, in the last component.
    share : ndarray (gene, component)
        Weights of the mixture, adding up to 1.
    shrunken : ndarray of bool (P + 1,)
    prior_scale : ndarray (gene, P + 1)
        Scale of the Cauchy distributions of the last component.
    """

    location: np.ndarray
    factor: np.ndarray
    slope: np.ndarray
    share: np.ndarray
    shrunken: np.ndarray
    prior_scale: np.ndarray

    def genes(self, rows: np.ndarray) -> Proposal:
        """Take some of the genes, by index or by mask."""
        parts = (self.location[rows], self.factor[rows], self.slope[rows], self.share[rows])
        return Proposal(*parts, self.shrunken, self.prior_scale[rows])

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What the kernels take."""
        return (self.location, self.factor, self.slope, self.share, self.shrunken, self.prior_scale)


def stratified_counts(share: np.ndarray, n_draws: int) -> np.ndarray:
    """Return how many draws each component gives (gene, component): largest remainders are rounded up."""
    exact = share * n_draws
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(np.argsort(counts - exact, axis=1, kind="stable"), axis=1, kind="stable")
    counts += order < (n_draws - counts.sum(axis=1, keepdims=True))
    return counts


@njit(cache=True, error_model="numpy")
def distance_squared(theta, location, factor, c):  # type: ignore[no-untyped-def]
    """Return |factor' (theta - location)|^2 for component c, its factor a lower triangle."""
    square = 0.0
    for k in range(theta.size):
        total = 0.0
        for b in range(k, theta.size):
            total += factor[c, b, k] * (theta[b] - location[c, b])
        square += total * total
    return square


def draw_mixture(
    first: int, last: int, proposal: Proposal, counts: np.ndarray, seeds: np.ndarray, theta: np.ndarray
) -> None:
    """Fill theta (gene, draw, P + 1) of some genes; every gene has a stream of random numbers of its own.

    Parameters
    ----------
    first, last : int
        The range of genes.
    proposal : Proposal
    counts : ndarray of int (gene, component)
        Draws from each component.
    seeds : ndarray of uint32 (gene,)
    theta : ndarray of float32 (gene, draw, P + 1)
        Written to.
    """
    n_draws, d = theta.shape[1:]
    effects = int(proposal.shrunken.sum())
    normal, gamma = np.empty((GENES_AT_A_TIME, d, n_draws)), np.empty((GENES_AT_A_TIME, n_draws))
    prior = np.empty((GENES_AT_A_TIME, effects, n_draws))
    for start in range(first, last, GENES_AT_A_TIME):
        end = min(start + GENES_AT_A_TIME, last)
        for i, g in enumerate(range(start, end)):
            stream = np.random.Generator(np.random.SFC64(int(seeds[g])))
            stream.standard_normal(out=normal[i])
            stream.standard_gamma(0.5 * DF, out=gamma[i])
            n_prior = int(counts[g, -1])
            prior[i, :, :n_prior] = stream.standard_cauchy((effects, n_prior))
        _place(start, end, *proposal.arrays, counts, normal, gamma, prior, theta)  # type: ignore[call-arg]


@njit(cache=True, nogil=True, error_model="numpy")
def _place(  # type: ignore[no-untyped-def]
    first, last, location, factor, slope, share, shrunken, scale, counts, normal, gamma, prior, theta
):
    """Turn standard random numbers (gene - first, ...) of some genes, which are overwritten, into draws."""
    n_draws, d = theta.shape[1:]
    for g in range(first, last):
        z, stretch = normal[g - first], gamma[g - first]
        for m in range(n_draws):
            stretch[m] = math.sqrt(0.5 * DF / stretch[m])
        for k in range(d):
            row = z[k]
            for m in range(n_draws):
                row[m] *= stretch[m]
        begin = 0
        for c in range(counts.shape[1]):
            end = begin + counts[g, c]
            part = z[:, begin:end]
            _solve(factor[g, c], part)
            if c == counts.shape[1] - 1:
                _make_way(part, prior[g - first], location[g, c], slope[g], shrunken, scale[g])
            for k in range(d):
                row, center = part[k], location[g, c, k]
                for m in range(row.size):
                    theta[g, begin + m, k] = center + row[m]
            begin = end


@njit(cache=True, error_model="numpy")
def _solve(factor, z):  # type: ignore[no-untyped-def]
    """Solve factor' x = z for every column of z, in place; the factor is a lower triangle."""
    for k in range(z.shape[0] - 1, -1, -1):
        row, inverse = z[k], 1.0 / factor[k, k]
        for b in range(k + 1, z.shape[0]):
            _add_multiple(-factor[b, k], z[b], row)
        for m in range(row.size):
            row[m] *= inverse


@njit(cache=True, error_model="numpy")
def _make_way(z, prior, location, slope, shrunken, scale):  # type: ignore[no-untyped-def]
    """Replace shrunken coefficients of z = theta - location by draws of the prior; move the others along."""
    d, i = z.shape[0], 0
    for k in range(d):
        if shrunken[k]:
            row, standard = z[k], prior[i]
            for m in range(row.size):
                row[m] = scale[k] * standard[m] - location[k]
            i += 1
    for k in range(d):
        if not shrunken[k]:
            for b in range(d):
                if shrunken[b]:
                    _add_multiple(slope[k, b], z[b], z[k])


@njit(cache=True, error_model="numpy")
def component_heights(factor, share, shrunken, scale, heights):  # type: ignore[no-untyped-def]
    """Fill the densities of one gene's components at their peaks, times their shares."""
    for c in range(share.size):
        d, height = 0, 0.0
        for k in range(factor.shape[1]):
            if c == share.size - 1 and shrunken[k]:
                height -= math.log(math.pi * scale[k])
            else:
                d += 1
                height += math.log(factor[c, k, k])
        height += math.lgamma(0.5 * (DF + d)) - math.lgamma(0.5 * DF) - 0.5 * d * math.log(DF * math.pi)
        heights[c] = share[c] * math.exp(height)


@njit(cache=True, error_model="numpy")
def component_densities(points, location, factor, slope, shrunken, scale, heights, work, parts):  # type: ignore[no-untyped-def]
    """Fill share times density of one gene's components.

    Loops run over the draws innermost, so that they become vector instructions.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
    location, factor, slope : ndarray
        The gene's.
    shrunken, scale : ndarray
        As `Proposal` has them.
    heights : ndarray (component,)
        From `component_heights`.
    work : ndarray (P + 3, draw)
        Room to work in.
    parts : ndarray (component, draw)
        Written to.
    """
    d = points.shape[0]
    square, total = work[d], work[d + 1]
    for c in range(heights.size):
        prior = c == heights.size - 1
        out = parts[c]
        out[:] = heights[c]
        if not heights[c] > 0.0:
            continue
        _fill_gaps(points, location[c], slope, shrunken, prior, work)
        square[:] = 0.0
        free = 0
        for k in range(d):
            if not (prior and shrunken[k]):
                free += 1
                total[:] = 0.0
                for b in range(k, d):
                    if not (prior and shrunken[b]):
                        _add_multiple(factor[c, b, k], work[b], total)
                for m in range(total.size):
                    square[m] += total[m] * total[m]
        for m in range(square.size):
            square[m] = 1.0 + square[m] / DF
        _divide_by_root_power(square, int(DF) + free, out)
        if prior:
            for k in range(d):
                if shrunken[k]:
                    row = points[k]
                    for m in range(row.size):
                        u = row[m] / scale[k]
                        out[m] /= 1.0 + u * u


@njit(cache=True, error_model="numpy")
def _fill_gaps(points, location, slope, shrunken, prior, work):  # type: ignore[no-untyped-def]
    """Fill the distances from the location (P + 1, draw), less what makes way for shrunken coefficients."""
    d = points.shape[0]
    for k in range(d):
        row, gap, center = points[k], work[k], location[k]
        for m in range(row.size):
            gap[m] = row[m] - center
    if prior:
        for i in range(d):
            if not shrunken[i]:
                for k in range(d):
                    if shrunken[k]:
                        _add_multiple(-slope[i, k], work[k], work[i])


@njit(cache=True, error_model="numpy")
def _add_multiple(factor, values, total):  # type: ignore[no-untyped-def]
    for m in range(total.size):
        total[m] += factor * values[m]


@njit(cache=True, error_model="numpy")
def _divide_by_root_power(base, twice, out):  # type: ignore[no-untyped-def]
    """Divide by base^(twice / 2), for whole ``twice``; the base is overwritten."""
    if twice % 2:
        for m in range(out.size):
            out[m] /= math.sqrt(base[m])
    power = twice // 2
    while power:
        if power % 2:
            for m in range(out.size):
                out[m] /= base[m]
        power //= 2
        if power:
            for m in range(out.size):
                base[m] *= base[m]


@njit(cache=True, nogil=True, error_model="numpy")
def subtract_log_mixture(  # type: ignore[no-untyped-def]
    first, last, location, factor, slope, share, shrunken, scale, theta, value
):
    """Subtract ln q from the values (gene, draw) of some genes; what is not finite then becomes -inf."""
    n_draws, d = theta.shape[1:]
    n = share.shape[1]
    points, work, parts = np.empty((d, n_draws)), np.empty((d + 2, n_draws)), np.empty((n, n_draws))
    heights, log_q, bits = np.empty(n), np.empty(n_draws), np.empty(n_draws, dtype=np.int64)
    for g in range(first, last):
        points[:, :] = theta[g].T
        component_heights(factor[g], share[g], shrunken, scale[g], heights)
        component_densities(
            points, location[g], factor[g], slope[g], shrunken, scale[g], heights, work, parts
        )
        total = parts[0]
        for c in range(1, n):
            _add_multiple(1.0, parts[c], total)
        logarithms(total, bits, log_q)
        for m in range(n_draws):
            gap = value[g, m] - log_q[m]
            value[g, m] = gap if SMALLEST < total[m] < math.inf and abs(gap) < math.inf else -math.inf
