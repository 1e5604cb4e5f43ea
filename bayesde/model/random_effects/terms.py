r"""Several random effects of one gene: which effects every sample has, and which must be integrated together.

    eta_j = x_j . beta + sum_t a_jt b_e(j,t),     a_jt = z_jt tau_t,     b_e ~ Normal(0, 1),

in which t counts the terms (an intercept of a grouping, or the slope of a covariate), z_jt is 1 or the
covariate, and e(j, t) is the level that sample j has. Samples are connected if they share an effect: those of
one clinic where patients are nested in clinics, those of one donor who has an intercept and a slope, all of
them where donors and batches are crossed. The integral over b is a product over the components that
are so connected.

Within a component the effects of a grouping with more levels come before those of others, and the effects of
one level together. The precision of b, I + A' W A, then has its non-zero elements within an envelope (George
and Liu 1981, "Computer Solution of Large Sparse Positive Definite Systems"), which its Cholesky factor does
not leave: the cost grows with the number of patients, not with its cube.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["NO_TERMS", "Terms", "arranged"]

PAIRS = 2
"""Antithetic pairs of draws, with which the integral over the effects is estimated at every draw of theta."""


class Terms(NamedTuple):
    """Random effects of several terms, in components.

    Attributes
    ----------
    z : ndarray (sample, term)
        What effects are multiplied by; without columns if there is one random intercept.
    effect : ndarray of int64 (sample, term)
        Which effect of its component a sample has.
    bounds : ndarray of int64 (component + 1,)
        Where the effects of the components begin and end.
    term, level : ndarray of int64 (effect,)
        Which term and level an effect is of.
    first : ndarray of int64 (effect,)
        The first effect of the component that it is in the envelope with.
    pairs : int
        Of antithetic draws.
    """

    z: np.ndarray
    effect: np.ndarray
    bounds: np.ndarray
    term: np.ndarray
    level: np.ndarray
    first: np.ndarray
    pairs: int


NO_TERMS = Terms(
    np.empty((0, 0)),
    np.empty((0, 0), dtype=np.int64),
    np.zeros(1, dtype=np.int64),
    np.empty(0, dtype=np.int64),
    np.empty(0, dtype=np.int64),
    np.empty(0, dtype=np.int64),
    0,
)


def arranged(levels: np.ndarray, z: np.ndarray, pairs: int = PAIRS) -> tuple[Terms, np.ndarray]:
    """Find components, and arrange the effects.

    Parameters
    ----------
    levels : ndarray of int64 (sample, term)
        The level of every sample, by any number.
    z : ndarray (sample, term)
        What effects are multiplied by.
    pairs : int

    Returns
    -------
    terms : Terms
    component : ndarray of int64 (sample,)
    """
    n, n_terms = levels.shape
    found = [np.unique(levels[:, t], return_inverse=True) for t in range(n_terms)]
    sizes = np.array([values.size for values, _ in found])
    start = np.concatenate([[0], np.cumsum(sizes)])
    node = np.stack([start[t] + own for t, (_, own) in enumerate(found)], axis=1)
    component = _components(node, int(start[-1]))
    term = np.repeat(np.arange(n_terms), sizes)
    level = np.concatenate([values for values, _ in found])
    of_effect = np.empty(term.size, dtype=np.int64)
    of_effect[node] = component[:, None]
    order = np.lexsort((term, level, -sizes[term], of_effect))
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(of_effect))])
    effect = place[node] - bounds[component][:, None]
    first = np.arange(order.size) - bounds[of_effect[order]]
    for j in range(n):
        rows = bounds[component[j]] + effect[j]
        first[rows] = np.minimum(first[rows], effect[j].min())
    z = np.array(z, dtype=np.float64, order="C")
    effect, bounds, term, level, first = (
        part.astype(np.int64) for part in (effect, bounds, term[order], level[order], first)
    )
    return Terms(z, effect, bounds, term, level, first, pairs), component


def _components(node: np.ndarray, n_effects: int) -> np.ndarray:
    """Return the component of every sample, given its effects (sample, term)."""
    n, n_terms = node.shape
    pairs = (np.repeat(node[:, 0], n_terms), node.ravel())
    graph = coo_array((np.ones(n * n_terms), pairs), shape=(n_effects, n_effects))
    _, label = connected_components(graph, directed=False)
    return np.unique(label[node[:, 0]], return_inverse=True)[1]
