"""Which samples have random effects in common, and the law of the effects' standard deviations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bayesde.model.random_effects.terms import NO_TERMS, PAIRS, Terms, arranged
from bayesde.model.random_effects.two_centers import node_tangents

__all__ = ["NO_GROUPS", "Groups", "RandomEffects"]

NO_NODES = np.empty(0)

NODES = 5
"""Of the quadrature: 3 in place of 15 moved posterior means of 2,000 genes by at most 0.004."""
PAIRS_OF_NODES = 10
"""Of the quadrature under a law whose scale is given: the errors of log integrals are below 0.01."""


class Groups(NamedTuple):
    """Groups of samples with an intercept that is integrated out, or with several random effects.

    Attributes
    ----------
    order : ndarray of int64 (sample,)
        Samples in the order of their groups.
    bounds : ndarray of int64 (group + 1,)
        Where the groups begin and end in that order; a single 0 where there are none.
    df, scale : float
        Degrees of freedom (infinite: normal) and scale of the intercepts' law; 0 for a scale that is the
        exponential of the number of theta before the log dispersion.
    nodes, log_weights : ndarray (node,)
        z_l, and ln w_l + z_l^2 / 2; empty where the scale of the law is given.
    terms : Terms
        Of several random effects, whose components are the groups; else without columns.
    tangents : ndarray (pair,)
        Where the scale of the law is given, what pairs of nodes are made of
        (`bayesde.model.random_effects.two_centers`); else empty.
    """

    order: np.ndarray
    bounds: np.ndarray
    df: float
    scale: float
    nodes: np.ndarray
    log_weights: np.ndarray
    terms: Terms = NO_TERMS
    tangents: np.ndarray = NO_NODES

    @classmethod
    def of(
        cls,
        level: Sequence[int] | np.ndarray,
        scale: float = 0.0,
        df: float = math.inf,
        nodes: int | None = None,
    ) -> Groups:
        """Make the groups of samples.

        Parameters
        ----------
        level : sequence of int (sample,)
            Which group each sample is in.
        scale, df : float
            Of the law.
        nodes : int, optional
            Of the quadrature; pairs of them where the scale is given.

        Returns
        -------
        Groups
        """
        found, sizes = np.unique(np.asarray(level, dtype=np.int64), return_inverse=True)
        order = np.argsort(sizes, kind="stable").astype(np.int64)
        bounds = np.concatenate([[0], np.cumsum(np.bincount(sizes, minlength=found.size))])
        law = order, bounds.astype(np.int64), float(df), float(scale)
        if scale > 0.0:
            return cls(*law, NO_NODES, NO_NODES, tangents=node_tangents(nodes or PAIRS_OF_NODES))
        z, w = np.polynomial.hermite_e.hermegauss(nodes or NODES)
        return cls(*law, z, np.log(w / w.sum()) + 0.5 * z**2)

    @classmethod
    def of_terms(cls, levels: np.ndarray, z: np.ndarray, pairs: int = PAIRS) -> Groups:
        """Make the groups of samples that have random effects of several terms in common.

        Parameters
        ----------
        levels : ndarray of int64 (sample, term)
            The level of every sample.
        z : ndarray (sample, term)
            What the effects of the level are multiplied by.
        pairs : int
            Of draws that the integral is estimated with.

        Returns
        -------
        Groups
        """
        terms, component = arranged(levels, z, pairs)
        return cls.of(component, nodes=1)._replace(terms=terms)

    @property
    def has_terms(self) -> bool:
        """Whether there are several random effects."""
        return self.terms.z.shape[1] > 0

    @property
    def level(self) -> np.ndarray:
        """The group of every sample, ndarray of int64 (sample,)."""
        level = np.empty(self.order.size, dtype=np.int64)
        level[self.order] = np.repeat(np.arange(self.bounds.size - 1), np.diff(self.bounds))
        return level

    @property
    def levels(self) -> np.ndarray:
        """The level of every sample in every term, ndarray of int64 (sample, term)."""
        if not self.has_terms:
            return self.level[:, None]
        terms = self.terms
        return terms.level[terms.bounds[self.level][:, None] + terms.effect]

    def samples(self, kept: np.ndarray) -> Groups:
        """Keep some of the samples.

        Parameters
        ----------
        kept : ndarray of bool or int

        Returns
        -------
        Groups
            With the groups that samples are left of.
        """
        if not self.has_terms:
            nodes = self.nodes.size + self.tangents.size
            return Groups.of(self.level[kept], self.scale, self.df, nodes)
        return Groups.of_terms(self.levels[kept], self.terms.z[kept], self.terms.pairs)


NO_GROUPS = Groups(
    np.empty(0, dtype=np.int64), np.zeros(1, dtype=np.int64), math.inf, 0.0, NO_NODES, NO_NODES
)


@dataclass(frozen=True, eq=False)
class RandomEffects:
    """Random effects of a model, and the priors of their standard deviations.

    Attributes
    ----------
    groups : Groups
    center, spread : ndarray (random effect,)
        Mean and standard deviation of the normal priors of ln tau.
    """

    groups: Groups
    center: np.ndarray
    spread: np.ndarray
