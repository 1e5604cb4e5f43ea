r"""Small tail probabilities: few draws, or none, lie beyond the bound.

Of a lower tail (of an upper one by changing the sign), with s_b the weight of the draws below the bound b and
n_b = (sum w)^2 / sum w^2 their effective number:

* n_b >= 50, or s_b >= 1/2: P(v < b) = s_b.
* else the tail is entered at the outermost draw a that has n_a >= 50, and extended from there to b,

      ln P(v < b) = [n_b max(ln s_b, ln(s_a R) - 2) + 12 ln(s_a R)] / (n_b + 12),   R = P(v < b) / P(v < a),

  with R from Laplace's approximation of the contrast's marginal density (`laplace_tails`) given the
  hyperparameters, averaged over draws of these where they are uncertain. The weight of few draws can be far
  too small, where they have missed the part of the tail that counts, but hardly too large: hence the bound on
  ln s_b. Without a model there is no such bound, and R is that of an exponential tail with the mean excess of
  the draws beyond a, R = exp(-(a - b) / mean excess).

Where the posterior has a point mass at 0, this is done with the other draws, and scaled (`point_mass`).

Errors of this rule, against nested importance sampling, are in benchmarks/notes/small_probabilities.md:
between 1e-3 and 1e-10 a factor of about e^0.3 with the model; without it, up to several orders of magnitude.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.numerics.compiled import kernel
from bayesde.numerics.elementary import exponentials, logarithms
from bayesde.numerics.sorting import sorting_order
from bayesde.numerics.threads import over_genes
from bayesde.posterior.summaries.laplace_tails import tail_ratios

__all__ = ["FLOOR", "SortedDraws", "probabilities_below"]

ENOUGH = 50.0
"""Effective number of draws beyond a bound from which on their weight is used as it is."""
TRUST = 12.0
"""Effective number of draws that the extended tail counts as: its logarithm is off by about 0.3."""
TOO_LIGHT = 2.0
"""By how much the logarithm of the weight of few draws may be below that of the model's tail."""
FLOOR = 1e-300


class SortedDraws(NamedTuple):
    """Weighted draws of a contrast, of some genes.

    Attributes
    ----------
    values : ndarray (gene, draw)
    weights : ndarray (gene, draw)
        Each gene's add up to 1.
    order : ndarray of int (gene, draw)
        Indices that sort the values, ascending.
    """

    values: np.ndarray
    weights: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, weights: np.ndarray) -> SortedDraws:
        """Sort each gene's draws.

        Parameters
        ----------
        values : ndarray (gene, draw)
        weights : ndarray (gene, draw)
            Each gene's add up to 1.

        Returns
        -------
        SortedDraws
        """
        return cls(values, weights, sorting_order(values))

    @property
    def turned(self) -> SortedDraws:
        """The same draws with the other sign."""
        return SortedDraws(-self.values, self.weights, np.ascontiguousarray(self.order[:, ::-1]))


class Tails(NamedTuple):
    """Lower tails of the draws.

    Attributes
    ----------
    share : ndarray (gene, bound)
        Weight of the draws below each bound; NaN if a value is.
    size : ndarray (gene, bound)
        Effective number of these draws.
    start : ndarray of int64 (gene,)
        The draw at which the tail is entered.
    entry : ndarray (gene,)
        Probability below that draw.
    mean_excess : ndarray (gene,)
        Mean distance of the draws beyond it.
    """

    share: np.ndarray
    size: np.ndarray
    start: np.ndarray
    entry: np.ndarray
    mean_excess: np.ndarray


def probabilities_below(
    draws: SortedDraws,
    bounds: list[float],
    models: Sequence[ConditionalModel] = (),
    vector: np.ndarray | None = None,
    theta: np.ndarray | None = None,
) -> np.ndarray:
    """Estimate P(value < bound) of every gene.

    Parameters
    ----------
    draws : SortedDraws
    bounds : list of float
        In descending order.
    models : sequence of ConditionalModel
        Of the genes, each under other values of the hyperparameters, to extend the tail with; needs `vector`
        and `theta`.
    vector : ndarray (coefficient,), optional
        The values are theta's coefficients times this.
    theta : ndarray (gene, draw, P + 1), optional

    Returns
    -------
    ndarray (gene, bound)
    """
    n_genes, limits = draws.values.shape[0], np.array(bounds)
    share, size = np.empty((n_genes, limits.size)), np.empty((n_genes, limits.size))
    start = np.empty(n_genes, dtype=np.int64)
    tails = Tails(share, size, start, np.empty(n_genes), np.empty(n_genes))
    over_genes(_fill_tails, n_genes, draws, limits, ENOUGH, tails)
    few = np.flatnonzero(((size < ENOUGH) & (share < 0.5)).any(axis=1))
    entered = draws.values[few, start[few]]
    gap = np.maximum(entered[:, None] - limits, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(gap > 0.0, exponentials(-gap / tails.mean_excess[few, None]), 1.0)
    modelled = np.zeros(ratio.shape, dtype=bool)
    if models and vector is not None and theta is not None and few.size:
        points = theta[few, start[few]].astype(np.float64)
        beyond = np.tile(limits, (few.size, 1))
        ratios = [tail_ratios(model.genes(few), vector, points, beyond) for model in models]
        followed = np.mean(ratios, axis=0)
        modelled = ~np.isnan(followed)
        ratio = np.where(modelled, followed, ratio)
    result = share
    result[few] = _combined(share[few], size[few], tails.entry[few, None] * ratio, modelled)
    return np.asarray(result)


def _combined(share: np.ndarray, size: np.ndarray, tail: np.ndarray, modelled: np.ndarray) -> np.ndarray:
    """Average the logarithms of the draws' weight and of the extended tail, where there are few draws."""
    counted, continued = logarithms(np.maximum(share, FLOOR)), logarithms(np.maximum(tail, FLOOR))
    counted = np.where(modelled, np.maximum(counted, continued - TOO_LIGHT), counted)
    both = (size * counted + TRUST * continued) / (size + TRUST)
    return np.where((size < ENOUGH) & (share < 0.5), exponentials(both), share)


@kernel
def _fill_tails(first, last, draws, bounds, enough, tails):  # type: ignore[no-untyped-def]
    """Fill the weights below the bounds, and where the lower tail of each gene is entered."""
    for g in range(first, last):
        values, weights, order = draws.values[g], draws.weights[g], draws.order[g]
        _below(values, weights, order, bounds, tails.share[g], tails.size[g])
        tails.start[g], tails.entry[g], tails.mean_excess[g] = _tail(values, weights, order, enough)


@kernel
def _below(values, weights, order, bounds, share, size):  # type: ignore[no-untyped-def]
    """Fill weight and effective number of one gene's draws below the bounds; NaN if a value is."""
    at, total, squares = 0, 0.0, 0.0
    for b in range(bounds.size - 1, -1, -1):
        while at < values.size and values[order[at]] < bounds[b]:
            total += weights[order[at]]
            squares += weights[order[at]] ** 2
            at += 1
        missing = np.isnan(values[order[0]] + values[order[-1]])
        share[b] = np.nan if missing else min(total, 1.0)
        size[b] = total * total / squares if squares > 0.0 else 0.0


@kernel
def _tail(values, weights, order, enough):  # type: ignore[no-untyped-def]
    """Return where one gene's tail is entered: the draw, the probability below it, the mean excess.

    From the outside in, the effective number of the draws may fall again: of the draws at which it becomes
    large enough, that is the innermost one; the median, if there is none before it.
    """
    total, squares, moment = 0.0, 0.0, 0.0
    at, share, sum_beyond, below = order[0], 0.0, 0.0, True
    for i in range(order.size):
        m = order[i]
        total += weights[m]
        squares += weights[m] ** 2
        moment += weights[m] * values[m]
        if below:
            at, share, sum_beyond = m, total, moment
        below = total * total < enough * squares or squares == 0.0  # without a division, which would wait
        if total >= 0.5:
            break
    return at, share - 0.5 * weights[at], values[at] - sum_beyond / share
