r"""Nodes of a quadrature over an effect u with a law of given scale S: around 0, and where counts have it.

Where counts say little, the posterior of u follows its law, which may have a narrow peak and heavy tails
(Cauchy's); where they say much, it is narrow and elsewhere; in between it may have two modes. So the nodes
follow the sum of two Cauchy densities, one of each center,

    q(u) = S / [pi (S^2 + u^2)] + W / [pi (W^2 + (u - c)^2)],

with c and W = `WIDER` standard deviations of the counts' likelihood, together with a normal law of the slope
and curvature that the law of u has there. In the variable t, with dt = q(u) du, the integral is one of a
smooth periodic function,

    int f(u) du = int f / q dt = 1 / n sum_i f(u_i) / q(u_i) approximately,

by the rule of n equal steps, whose error decreases exponentially with n for analytic functions (Trefethen and
Weideman 2014, doi:10.1137/130932132). With T = tan(pi t) the points of a step are the two roots of

    T u^2 + (W + S - T c) u - S (c + T W) = 0,

since tan(A + B) = (tan A + tan B) / (1 - tan A tan B).
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.numerics.compiled import kernel

__all__ = ["FARTHEST", "WIDER", "fill_pair", "log_node_density", "node_tangents", "root_of_pair"]

WIDER = 2.0
FARTHEST = 8.0
"""Of a node from a center, in W + S: with no more than 12 pairs."""


def node_tangents(pairs: int) -> np.ndarray:
    """Return T for every pair of nodes.

    Parameters
    ----------
    pairs : int
        One more if it is odd, so that none is zero.

    Returns
    -------
    ndarray (pair,)
    """
    pairs += pairs % 2
    return np.tan(np.pi * ((np.arange(pairs) + 0.5) / pairs - 0.5))


@kernel
def root_of_pair(tangent, center, width, scale, side):  # type: ignore[no-untyped-def]
    """Return one of the two nodes of a pair, the one of ``side`` 0 or 1.

    Parameters
    ----------
    tangent : float
    center, width : float
        c and W.
    scale : float
    side : int
    """
    slope = width + scale - tangent * center
    product = -scale * (center + tangent * width)
    root = math.sqrt(slope * slope - 4.0 * tangent * product)
    sum_of_terms = -0.5 * (slope + root) if slope >= 0.0 else -0.5 * (slope - root)
    return sum_of_terms / tangent if side == 0 else product / sum_of_terms


@kernel
def fill_pair(tangent, center, width, scale, at):  # type: ignore[no-untyped-def]
    """Fill the two nodes of a pair, the lower one first.

    Parameters
    ----------
    tangent, center, width, scale : float
        As of `root_of_pair`.
    at : ndarray (2,)
        Written to.
    """
    one = root_of_pair(tangent, center, width, scale, 0)
    other = root_of_pair(tangent, center, width, scale, 1)
    at[0], at[1] = min(one, other), max(one, other)


@kernel
def log_node_density(u, center, width, scale):  # type: ignore[no-untyped-def]
    """Return ln q(u)."""
    apart = u - center
    density = scale / (scale * scale + u * u) + width / (width * width + apart * apart)
    return math.log(density / math.pi)
