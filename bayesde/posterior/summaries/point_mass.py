r"""Probabilities of a contrast whose posterior has a point mass at 0 (an atom).

With A = P(v = 0), the weight of the draws that are exactly 0, and w_m of the other draws,

    P(event) = (1 - A) P(event | v != 0) + A [0 belongs to the event],      1 - A = sum over v_m != 0 of w_m,

where the draws other than 0, with weights w_m / (1 - A), are draws of the conditional distribution: it is
continuous, and its small tails are extended beyond the draws as those of any other (`small_probabilities`).
So 0 counts as a wrong sign (Stephens 2017, doi:10.1093/biostatistics/kxw041),

    min(P(v <= 0), P(v >= 0)) = (1 - A) min(P(v < 0 | v != 0), P(v > 0 | v != 0)) + A.

A is left as the draws have it, however small. Without draws of 0 the weights are used as they are.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

import numpy as np

from bayesde.numerics.compiled import kernel
from bayesde.numerics.threads import over_genes
from bayesde.posterior.summaries.small_probabilities import SortedDraws

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

    def combined(self, rates: dict[str, np.ndarray], without_zero: Container[str]) -> dict[str, np.ndarray]:
        """Return the probabilities of events from those given that the value is not 0.

        Parameters
        ----------
        rates : dict of str to ndarray (gene,)
            P(event | v != 0).
        without_zero : container of str
            The events to which 0 does not belong; it belongs to the others.

        Returns
        -------
        dict of str to ndarray (gene,)
            P(event), and ``p_zero``, P(v = 0).
        """
        found = {}
        for name, rate in rates.items():
            atom = 0.0 if name in without_zero else self.at_zero
            found[name] = np.minimum(self.elsewhere * rate + atom, 1.0)
        return found | {"p_zero": self.at_zero}


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
