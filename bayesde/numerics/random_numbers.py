r"""Random numbers within compiled loops.

NumPy's generators are called from Python, gene by gene and by one thread at a time, which took a quarter of
the time of engine psis. Here number i of stream s is a hash of s and i (SplitMix64; Steele, Lea and Flood
2014, doi:10.1145/2660193.2660195),

    z = s + (i + 1) 0x9E3779B97F4A7C15,   z = (z ^ z >> 30) 0xBF58476D1CE4E5B9,
    z = (z ^ z >> 27) 0x94D049BB133111EB, z = z ^ z >> 31,

so that no number depends on the one before, and loops can be vectorized. u = (z >> 12 + 1/2) / 2^52
is uniform, never 0 or 1, and (Box and Muller 1958, doi:10.1214/aoms/1177706645)

    sqrt(-2 ln u) cos(2 pi v),  sqrt(-2 ln u) sin(2 pi v)

are two normal numbers; -ln(u_1 ... u_k) has the gamma distribution of shape k.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics.compiled import fused, kernel
from bayesde.numerics.elementary import logarithm

__all__ = ["fill_gamma", "fill_normal", "fill_normal_of_streams", "stream_of", "uniform"]

STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
SPARE = np.uint64(12)
"""Low bits that do not fit into a double."""
ONE = np.uint64(1)
UNIT = 2.0**-52


@kernel
def _mixed(z):  # type: ignore[no-untyped-def]
    z = (z ^ (z >> SHIFTS[0])) * FIRST
    z = (z ^ (z >> SHIFTS[1])) * SECOND
    return z ^ (z >> SHIFTS[2])


@kernel
def stream_of(seed):  # type: ignore[no-untyped-def]
    """Return the stream of a seed, an unsigned integer: somewhere among all 2^64."""
    return _mixed(np.uint64(seed) + STEP)


@kernel
def uniform(stream, number):  # type: ignore[no-untyped-def]
    """Return a stream's number of that number, uniform between 0 and 1."""
    z = _mixed(np.uint64(stream) + STEP * (np.uint64(number) + ONE))
    return (np.int64(z >> SPARE) + 0.5) * UNIT


@kernel
def _normal_pair(u, v):  # type: ignore[no-untyped-def]
    """Return two standard normal numbers, of two uniform ones."""
    radius = math.sqrt(-2.0 * logarithm(u))
    # a quarter of the angle, by Taylor series; doubled twice below
    x = (v - 0.5) * (0.5 * math.pi)
    z = x * x
    sine = 1.0 / 6227020800.0
    sine = fused(sine, z, -1.0 / 39916800.0)
    sine = fused(sine, z, 1.0 / 362880.0)
    sine = fused(sine, z, -1.0 / 5040.0)
    sine = fused(sine, z, 1.0 / 120.0)
    sine = fused(x * z, fused(sine, z, -1.0 / 6.0), x)
    cosine = -1.0 / 87178291200.0
    cosine = fused(cosine, z, 1.0 / 479001600.0)
    cosine = fused(cosine, z, -1.0 / 3628800.0)
    cosine = fused(cosine, z, 1.0 / 40320.0)
    cosine = fused(cosine, z, -1.0 / 720.0)
    cosine = fused(cosine, z, 1.0 / 24.0)
    cosine = fused(z, fused(cosine, z, -0.5), 1.0)
    half_sine, half_cosine = 2.0 * sine * cosine, fused(-2.0 * sine, sine, 1.0)
    return radius * fused(-2.0 * half_sine, half_sine, 1.0), radius * (2.0 * half_sine * half_cosine)


@kernel
def fill_normal(stream, start, one, two):  # type: ignore[no-untyped-def]
    """Fill two rows of standard normal numbers, from number `start` of the stream on.

    Parameters
    ----------
    stream : uint64
    start : int
        As many numbers are used as both rows have.
    one, two : ndarray (number,)
        Written to.
    """
    for i in range(one.size):
        one[i], two[i] = _normal_pair(uniform(stream, start + i), uniform(stream, start + one.size + i))


@kernel
def fill_normal_of_streams(streams, number, gap, one, two):  # type: ignore[no-untyped-def]
    """Fill two rows of standard normal numbers, each with the same numbers of all streams.

    Parameters
    ----------
    streams : ndarray of uint64 (stream,)
    number, gap : int
        Numbers ``number`` and ``number + gap`` of each stream are used.
    one, two : ndarray (stream,)
        Written to.
    """
    for m in range(streams.size):
        one[m], two[m] = _normal_pair(uniform(streams[m], number), uniform(streams[m], number + gap))


@kernel
def fill_gamma(stream, start, shape, out):  # type: ignore[no-untyped-def]
    """Fill gamma numbers of a whole shape, at most 20, from number `start` of the stream on.

    ``shape`` times as many numbers are used as there are to be filled.
    """
    out[:] = 1.0
    for k in range(shape):
        for i in range(out.size):
            out[i] *= uniform(stream, start + k * out.size + i)
    for i in range(out.size):
        out[i] = -logarithm(out[i])
