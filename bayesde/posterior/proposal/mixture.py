r"""A mixture for each gene, of Student-t and Cauchy distributions: its draws and its density.

    q(theta) = sum_c  share_c  prod_{k in K_c} Cauchy(theta_k | 0, s_ck)
                               t_df(theta_F | location_F + C_c (theta_K - location_K), scale_c)

with theta = (beta, ln alpha). K_c are the coefficients that component c draws from Cauchy distributions of
scale s_ck (or from the half of one on one side of zero), F the others; `components` says how they are chosen.
Draws are stratified: each component gives exactly its share of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.numerics.compiled import fused, kernel, transpose
from bayesde.numerics.elementary import logarithm
from bayesde.numerics.random_numbers import fill_gamma, fill_normal, stream_of
from bayesde.numerics.sums import add_multiple, combine

__all__ = [
    "DF",
    "Mixture",
    "component_densities",
    "component_heights",
    "draw_mixture",
    "one_mixture",
    "stratified_counts",
    "subtract_log_mixture",
]

HALF_DF = 3
DF = 2.0 * HALF_DF
SMALLEST = 2.3e-308
"""Of doubles that have all their digits."""


class Mixture(NamedTuple):
    """Mixtures of Student-t distributions with `DF` degrees of freedom, and Cauchy distributions.

    Of some genes; of a single gene (`one_mixture`), without the axis for genes.

    Attributes
    ----------
    location : ndarray (gene, component, P + 1)
        Coefficients and log dispersion, natural log.
    shape : ndarray (gene, component, P + 1, P + 1)
        Rows and columns of F: the lower Cholesky factor of the inverse of the component's scale matrix. Row
        i of F, column k of K: C, the slope of the location of i given k.
    cauchy_scale : ndarray (gene, component, P + 1)
        Scales s of the Cauchy distributions; 0 for what is of F.
    half : ndarray of int8 (gene, component, P + 1)
        -1 or 1 where only the negative or positive half of the Cauchy distribution is drawn from; else 0.
    share : ndarray (gene, component)
        Weights of the mixture, adding up to 1; 0 for components that a gene does not have.
    """

    location: np.ndarray
    shape: np.ndarray
    cauchy_scale: np.ndarray
    half: np.ndarray
    share: np.ndarray

    def genes(self, rows: np.ndarray) -> Mixture:
        """Take some of the genes.

        Parameters
        ----------
        rows : ndarray of int or bool
            By index or by mask.

        Returns
        -------
        Mixture
        """
        return Mixture(*(part[rows] for part in self))

    def padded(self, size: int) -> Mixture:
        """Copy the mixtures, with components of no share up to a number of components.

        Parameters
        ----------
        size : int
            At least the number there are.

        Returns
        -------
        Mixture
        """
        padded = (np.zeros((len(part), size, *part.shape[2:]), dtype=part.dtype) for part in self)
        result = Mixture(*padded)
        for own, part in zip(result, self, strict=True):
            own[:, : part.shape[1]] = part
        return result

    def without_unused(self) -> Mixture:
        """Leave out components without a share, as far as all genes can spare some."""
        used = self.share > 0.0
        order = np.argsort(~used, axis=1, kind="stable")[:, : used.sum(axis=1).max()]
        rows = np.arange(len(order))[:, None]
        return Mixture(*(part[rows, order] for part in self))


@kernel
def one_mixture(mixture, g):  # type: ignore[no-untyped-def]
    """Return the mixture of gene g: views, no copies."""
    location, shape, cauchy_scale, half, share = mixture
    return Mixture(location[g], shape[g], cauchy_scale[g], half[g], share[g])


def stratified_counts(share: np.ndarray, n_draws: int) -> np.ndarray:
    """Return how many draws each component gives: largest remainders are rounded up.

    Parameters
    ----------
    share : ndarray (gene, component)
        Each gene's add up to 1.
    n_draws : int
        Of every gene.

    Returns
    -------
    ndarray of int64 (gene, component)
        Each gene's add up to ``n_draws``.
    """
    exact = share * n_draws
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(np.argsort(counts - exact, axis=1, kind="stable"), axis=1, kind="stable")
    counts += order < (n_draws - counts.sum(axis=1, keepdims=True))
    return counts


@kernel
def draw_mixture(first, last, mixture, counts, seeds, theta):  # type: ignore[no-untyped-def]
    """Fill theta (gene, draw, P + 1) of some genes; every gene has a stream of random numbers of its own.

    Parameters
    ----------
    first, last : int
        The range of genes.
    mixture : Mixture
        Of all genes; its shares are not used.
    counts : ndarray of int (gene, component)
        Draws from each component.
    seeds : ndarray of uint32 (gene,)
    theta : ndarray of float32 (gene, draw, P + 1)
        Written to.
    """
    n_draws, d = theta.shape[1:]
    normal, stretch = np.empty((2 * d + 1, n_draws)), np.empty(n_draws)
    divisors = np.zeros(d, dtype=np.int64)
    for g in range(first, last):
        own, used = one_mixture(mixture, g), d
        for k in range(d):  # the second of two normal numbers whose ratio is a Cauchy one
            divisors[k] = used
            used += _is_drawn(own.cauchy_scale[:, k], counts[g])
        _fill_standard(seeds[g], used, normal, stretch)
        begin = 0
        for c in range(counts.shape[1]):
            end = begin + counts[g, c]
            part = normal[:, begin:end]
            _place(part, divisors, stretch[begin:end], own, c)
            for k in range(d):
                row, center = part[k], own.location[c, k]
                for m in range(row.size):
                    theta[g, begin + m, k] = center + row[m]
            begin = end


@kernel
def _is_drawn(scales, counts):  # type: ignore[no-untyped-def]
    """Return whether a component that has draws draws a coefficient from a Cauchy distribution."""
    for c in range(counts.size):
        if scales[c] > 0.0 and counts[c] > 0:
            return True
    return False


@kernel
def _fill_standard(seed, rows, normal, stretch):  # type: ignore[no-untyped-def]
    """Fill as many rows of standard normal numbers, or one more, and what makes them Student-t ones."""
    stream, start = stream_of(seed), 0
    for row in range(0, rows, 2):
        fill_normal(stream, start, normal[row], normal[row + 1])
        start += 2 * stretch.size
    fill_gamma(stream, start, HALF_DF, stretch)
    for m in range(stretch.size):
        stretch[m] = math.sqrt(HALF_DF / stretch[m])


@kernel
def _place(normal, divisors, stretch, own, c):  # type: ignore[no-untyped-def]
    """Turn standard numbers (row, draw) into distances from component c's location, in the first rows."""
    location, scales, halves = own.location[c], own.cauchy_scale[c], own.half[c]
    z = normal[: divisors.size]
    for k in range(divisors.size):
        row = z[k]
        if not scales[k] > 0.0:
            for m in range(row.size):
                row[m] *= stretch[m]
            continue
        divisor, half = normal[divisors[k]], halves[k]
        for m in range(row.size):
            standard = row[m] / divisor[m]
            if half != 0:
                standard = half * abs(standard)
            row[m] = scales[k] * standard - location[k]
    _solve(own.shape[c], scales, z)
    _add_conditional_shift(own.shape[c], scales, z)


@kernel
def _solve(factor, scales, z):  # type: ignore[no-untyped-def]
    """Solve factor' x = z for every column of z, in place; rows drawn from Cauchy distributions stay."""
    for k in range(z.shape[0] - 1, -1, -1):
        if scales[k] > 0.0:
            continue
        row, inverse = z[k], 1.0 / factor[k, k]
        for b in range(k + 1, z.shape[0]):
            if not scales[b] > 0.0:
                add_multiple(-factor[b, k], z[b], row)
        for m in range(row.size):
            row[m] *= inverse


@kernel
def _add_conditional_shift(slope, scales, z):  # type: ignore[no-untyped-def]
    """Add C (theta_K - location_K) to the distances of F from their location."""
    for i in range(z.shape[0]):
        if not scales[i] > 0.0:
            for k in range(z.shape[0]):
                if scales[k] > 0.0 and slope[i, k] != 0.0:
                    add_multiple(slope[i, k], z[k], z[i])


@kernel
def component_heights(own, share, heights):  # type: ignore[no-untyped-def]
    """Fill the densities of one gene's components at their peaks, times their shares.

    Parameters
    ----------
    own : Mixture
        Of the gene.
    share : ndarray (component,)
        The gene's, or others.
    heights : ndarray (component,)
        Written to.
    """
    shape, scales = own.shape, own.cauchy_scale
    for c in range(share.size):
        heights[c] = 0.0
        if not share[c] > 0.0:
            continue
        d, height = 0, 0.0
        for k in range(shape.shape[1]):
            if scales[c, k] > 0.0:
                height -= math.log(math.pi * scales[c, k])
            else:
                d += 1
                height += math.log(shape[c, k, k])
        height += math.lgamma(0.5 * (DF + d)) - math.lgamma(0.5 * DF) - 0.5 * d * math.log(DF * math.pi)
        heights[c] = share[c] * math.exp(height)


@kernel
def component_densities(points, own, heights, work, parts):  # type: ignore[no-untyped-def]
    """Fill share times density of one gene's components.

    Loops run over the draws innermost, so that they become vector instructions.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
    own : Mixture
        Of the gene.
    heights : ndarray (component,)
        From `component_heights`.
    work : ndarray (3, draw)
        Work space.
    parts : ndarray (component, draw)
        Written to.
    """
    d = points.shape[0]
    square, total, divisor = work[0], work[1], work[2]
    whitening, offset = np.empty((d, d)), np.empty(d)
    for c in range(heights.size):
        out, scales, height = parts[c], own.cauchy_scale[c], heights[c]
        out[:] = 0.0
        if not height > 0.0:
            continue
        free = _fill_whitening(own.location[c], own.shape[c], scales, whitening, offset)
        square[:] = DF
        for k in range(free):
            combine(offset[k], whitening[k], points, total)
            for m in range(total.size):
                square[m] = fused(total[m], total[m], square[m])
        for m in range(square.size):
            square[m] *= 1.0 / DF
        _fill_root_power(square, int(DF) + free, divisor)
        for k in range(d):
            if scales[k] > 0.0:
                row, inverse = points[k], 1.0 / scales[k]
                for m in range(row.size):
                    u = row[m] * inverse
                    divisor[m] *= fused(u, u, 1.0)
        for m in range(out.size):
            out[m] = height / divisor[m]
        for k in range(d):
            if scales[k] > 0.0 and own.half[c, k] != 0:
                row, half = points[k], own.half[c, k]
                for m in range(row.size):
                    out[m] *= 2.0 if half * row[m] > 0.0 else 0.0


@kernel
def _fill_whitening(location, shape, scales, whitening, offset):  # type: ignore[no-untyped-def]
    """Fill what makes standard Student-t numbers of a draw: z_k = offset_k + sum_j whitening_kj theta_j.

    There are as many as parameters in F, and their number is returned.
    """
    n = 0
    for k in range(scales.size):
        if scales[k] > 0.0:
            continue
        row = whitening[n]
        row[:] = 0.0
        for b in range(k, scales.size):
            if scales[b] > 0.0:
                continue
            row[b] = shape[b, k]
            for j in range(scales.size):
                if scales[j] > 0.0:
                    row[j] -= shape[b, k] * shape[b, j]
        offset[n] = 0.0
        for j in range(scales.size):
            offset[n] -= row[j] * location[j]
        n += 1
    return n


@kernel
def _fill_root_power(base, twice, out):  # type: ignore[no-untyped-def]
    """Fill base^(twice / 2), for whole ``twice``; the base is overwritten."""
    out[:] = 1.0
    if twice % 2:
        for m in range(out.size):
            out[m] = math.sqrt(base[m])
    power = twice // 2
    while power:
        if power % 2:
            for m in range(out.size):
                out[m] *= base[m]
        power //= 2
        if power:
            for m in range(out.size):
                base[m] *= base[m]


@kernel
def subtract_log_mixture(first, last, mixture, theta, value):  # type: ignore[no-untyped-def]
    """Subtract ln q from the values (gene, draw) of some genes; what is not finite then becomes -inf.

    Parameters
    ----------
    first, last : int
        The range of genes.
    mixture : Mixture
        Of all genes.
    theta : ndarray of float32 (gene, draw, P + 1)
    value : ndarray (gene, draw)
        Changed.
    """
    n_draws, d = theta.shape[1:]
    n = mixture.share.shape[1]
    points, work, parts = np.empty((d, n_draws)), np.empty((3, n_draws)), np.empty((n, n_draws))
    heights = np.empty(n)
    for g in range(first, last):
        transpose(theta[g], points)
        own = one_mixture(mixture, g)
        component_heights(own, own.share, heights)
        component_densities(points, own, heights, work, parts)
        total = parts[0]
        for c in range(1, n):
            if heights[c] > 0.0:
                add_multiple(1.0, parts[c], total)
        log_q = work[0]
        for m in range(n_draws):  # without the conditions of the next loop, in vector instructions
            log_q[m] = logarithm(total[m])
        for m in range(n_draws):
            gap = value[g, m] - log_q[m]
            value[g, m] = gap if SMALLEST < total[m] < math.inf and abs(gap) < math.inf else -math.inf
