r"""Probabilities of a contrast whose posterior has a point mass at 0 (an atom).

With A = P(v = 0), the weight of the draws that are exactly 0, and w_m of the other draws,

    P(v < b) = (1 - A) P(v < b | v != 0) + A [b > 0],        1 - A = sum over v_m != 0 of w_m,

where the draws other than 0, with weights w_m / (1 - A), are draws of the conditional distribution: it is
continuous, and its small tails are extended beyond the draws as those of any other (`small_probabilities`).
A is left as the draws have it, however small. Without draws of 0 the weights are used as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.numerics.compiled import kernel
from bayesde.numerics.threads import over_genes
from bayesde.posterior.summaries.small_probabilities import SortedDraws, probabilities_below

__all__ = ["PointMass"]


class PointMass(NamedTuple):
    """Draws of a contrast, of some genes, as a point mass at 0 and a continuous distribution.

    Attributes
    ----------
    at_zero : ndarray (gene,)
        A = P(v = 0); NaN if a draw is missing.
    elsewhere : ndarray (gene,)
        1 - A.
    rest : SortedDraws
        All draws, with the weights that they have given that the value is not 0: none for those that are.
    """

    at_zero: np.ndarray
    elsewhere: np.ndarray
    rest: SortedDraws

    @classmethod
    def of(cls, draws: SortedDraws) -> PointMass:
        """Separate the draws that are exactly 0 from the others.

        Parameters
        ----------
        draws : SortedDraws

        Returns
        -------
        PointMass
        """
        n_genes = draws.values.shape[0]
        at_zero, elsewhere = np.empty(n_genes), np.empty(n_genes)
        weights = np.empty(draws.weights.shape)
        over_genes(_separate, n_genes, draws, at_zero, elsewhere, weights)
        return cls(at_zero, elsewhere, SortedDraws(draws.values, weights, draws.order))

    @classmethod
    def absent(cls, draws: SortedDraws) -> PointMass:
        """Take the posterior for continuous.

        Parameters
        ----------
        draws : SortedDraws

        Returns
        -------
        PointMass
            Of weight 0.
        """
        n_genes = draws.values.shape[0]
        return cls(np.zeros(n_genes), np.ones(n_genes), draws)

    @property
    def turned(self) -> PointMass:
        """The same with the other sign."""
        return PointMass(self.at_zero, self.elsewhere, self.rest.turned)

    def probabilities_below(
        self,
        bounds: list[float],
        models: Sequence[ConditionalModel],
        vector: np.ndarray,
        theta: np.ndarray,
    ) -> np.ndarray:
        """Estimate P(value < bound) of every gene.

        Parameters
        ----------
        bounds, models, vector, theta
            As of `bayesde.posterior.summaries.small_probabilities.probabilities_below`.

        Returns
        -------
        ndarray (gene, bound)
        """
        found = probabilities_below(self.rest, bounds, models, vector, theta)
        atom = np.where(np.array(bounds) > 0.0, self.at_zero[:, None], 0.0)
        return np.asarray(np.minimum(self.elsewhere[:, None] * found + atom, 1.0))


@kernel
def _separate(first, last, draws, at_zero, elsewhere, weights):  # type: ignore[no-untyped-def]
    """Fill the weights of some genes' draws that are 0, of the others, and each of these given that."""
    n_draws = weights.shape[1]
    for g in range(first, last):
        atom, others, missing = 0.0, 0.0, False
        for m in range(n_draws):
            value, weight = draws.values[g, m], draws.weights[g, m]
            missing |= np.isnan(value)
            if value == 0.0:
                atom += weight
            else:
                others += weight
        at_zero[g], elsewhere[g] = (np.nan if missing else min(atom, 1.0)), others
        if not atom > 0.0:
            elsewhere[g] = 1.0
        mixed = atom > 0.0 and others > 0.0  # else there is one distribution, and its weights are kept
        for m in range(n_draws):
            weights[g, m] = draws.weights[g, m]
            if mixed:
                weights[g, m] = 0.0 if draws.values[g, m] == 0.0 else weights[g, m] / others
