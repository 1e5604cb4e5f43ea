r"""A Bayesian network whose structure is learnt to tell starts from the background.

The model of seqbias (Jones, Ruzzo, Peng and Katze 2012, doi:10.1093/bioinformatics/bts055): foreground and
background have the same parents, and tables of their own. A position is in the network only if it helps.
Structure is chosen greedily by the conditional likelihood of which sequences are starts,

    sum over foreground of ln q(s) + sum over background of ln(1 - q(s)),
    q(s) = p_f(s) / (p_f(s) + p_b(s)),

minus ln(n) / 2 for each of the 3 ratios in a row of a table, n being the number of sequences. In each step
the position or edge with the largest gain is added; at the end, edges that have become superfluous are
removed. Positions outside of the network have the same position weights in both sets.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from bayesde.bias.models.interface import BiasModel
from bayesde.bias.models.kmers import pooled_weights
from bayesde.bias.models.tables import TableModel, cells, count_table, smoothed
from bayesde.bias.samples import Sequences

__all__ = ["fit_network"]

MOST_PARENTS = 4
FARTHEST_PARENT = 10
"""Bases between a position and its parents, as in seqbias."""
MOST_SEARCHED = 50_000
"""Sequences of each set that the structure is learnt from; the tables are of all."""


def fit_network(training: Sequences) -> BiasModel:
    """Learn the structure and the tables of a Bayesian network.

    Parameters
    ----------
    training : Sequences

    Returns
    -------
    BiasModel
    """
    search = _Search.of(training)
    search.grow()
    search.prune()
    window = training.window
    parents = tuple(tuple(search.parents.get(j, ())) for j in range(window))
    elsewhere = pooled_weights(training)
    models = []
    for sequences in (training.foreground, training.background):
        columns = np.ascontiguousarray(sequences.T)
        tables = tuple(
            np.log(smoothed(count_table(columns, parents[j], j))) if j in search.parents else elsewhere[j]
            for j in range(window)
        )
        models.append(TableModel(parents, tables, sum(3 * 4 ** len(one) for one in search.parents.values())))
    return BiasModel("network", models[0], models[1], window)


@dataclass
class _Search:
    """A greedy search for the parents of each position.

    Attributes
    ----------
    columns : ndarray uint8 (base, sequence)
        Foreground, then background.
    n_foreground : int
    parents : dict of int to list of int
        Of the positions in the network.
    terms : dict of int to ndarray (sequence,)
        What each position contributes to ln(p_f / p_b).
    """

    columns: np.ndarray
    n_foreground: int
    parents: dict[int, list[int]] = field(default_factory=dict)
    terms: dict[int, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.columns.shape[1]
        self.total = np.zeros(n, dtype=np.float32)
        self.likelihood = -n * np.log(2.0)
        self.price = 1.5 * np.log(max(n, 1))  # of a row

    @classmethod
    def of(cls, training: Sequences) -> _Search:
        """Start with an empty network."""
        sets = [one[:MOST_SEARCHED] for one in (training.foreground, training.background)]
        return cls(np.ascontiguousarray(np.concatenate(sets).T), len(sets[0]))

    def grow(self) -> None:
        """Add the best position or edge as long as one is worth its parameters.

        Gains are kept in a heap, and one is computed again when it comes to the top and the network has
        changed since: gains seldom increase.
        """
        step = 0
        heap = [(-np.inf, -1, j, parent) for j in range(len(self.columns)) for parent in self._candidates(j)]
        heapq.heapify(heap)
        while heap:
            _, seen, j, parent = heapq.heappop(heap)
            if not self._is_possible(j, parent):
                continue
            gain, terms = self._gain(j, self._with(j, parent))
            if seen == step:
                if gain <= 0.0:
                    return
                self._take(j, self._with(j, parent), terms)
                step += 1
            else:
                heapq.heappush(heap, (-gain, step, j, parent))

    def prune(self) -> None:
        """Remove edges whose removal costs less than their parameters."""
        for j in list(self.parents):
            for parent in list(self.parents[j]):
                fewer = [one for one in self.parents[j] if one != parent]
                gain, terms = self._gain(j, fewer)
                if gain > 0.0:
                    self._take(j, fewer, terms)

    def _candidates(self, j: int) -> list[int]:
        """List what can be added at a position: itself, which is written -1, or a parent."""
        near = range(max(j - FARTHEST_PARENT, 0), min(j + FARTHEST_PARENT + 1, len(self.columns)))
        return [-1, *(i for i in near if i != j)]

    def _is_possible(self, j: int, parent: int) -> bool:
        """Tell whether something can be added, now or later in the order of the search."""
        if parent < 0:
            return j not in self.parents
        mine = self.parents.get(j, [])
        return parent not in mine and len(mine) < MOST_PARENTS and not self._leads_to(parent, j)

    def _leads_to(self, j: int, ancestor: int) -> bool:
        """Tell whether a position is an ancestor of another."""
        return any(one == ancestor or self._leads_to(one, ancestor) for one in self.parents.get(j, []))

    def _with(self, j: int, parent: int) -> list[int]:
        """Return the parents of a position after an addition, the farthest first."""
        mine = [*self.parents.get(j, []), *([parent] if parent >= 0 else [])]
        return sorted(mine, key=lambda one: -abs(one - j))

    def _gain(self, j: int, parents: list[int]) -> tuple[float, np.ndarray]:
        """Return the gain in penalized likelihood of new parents of a position, and its new terms."""
        n = self.n_foreground
        f, b = (
            np.log(smoothed(count_table(part, parents, j)))
            for part in (self.columns[:, :n], self.columns[:, n:])
        )
        terms = (f - b).astype(np.float32).ravel()[cells(self.columns, parents, j)]
        rows = 4 ** len(parents) - (4 ** len(self.parents[j]) if j in self.parents else 0)
        likelihood = self._likelihood(self.total + terms - self.terms.get(j, np.float32(0.0)))
        return likelihood - self.likelihood - rows * self.price, terms

    def _likelihood(self, log_ratio: np.ndarray) -> float:
        """Return the conditional log likelihood."""
        signed = log_ratio.copy()
        signed[: self.n_foreground] *= -1.0
        return -float(np.logaddexp(np.float32(0.0), signed).sum(dtype=np.float64))

    def _take(self, j: int, parents: list[int], terms: np.ndarray) -> None:
        """Change the parents of a position."""
        self.total += terms - self.terms.get(j, np.float32(0.0))
        self.parents[j], self.terms[j] = parents, terms
        self.likelihood = self._likelihood(self.total)
