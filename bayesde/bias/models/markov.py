r"""Markov models of the bases around starts, with tables of their own at every position.

* Position weights: order 0, every base independent of the others.
* Fixed order r: p_j(s_j | s_{j-r}, ..., s_{j-1}).
* Variable length: how many preceding bases the bias at a position depends on is learnt for each of their
  values. A context has a ratio of foreground and background of its own if the bases after it differ from what
  the context without its first base predicts, by more than its 3 parameters would by chance (the criterion of
  Akaike 1974, doi:10.1109/TAC.1974.1100705); otherwise it has that of the shorter context, at last 1.
  Roberts, Trapnell, Donaghey, Rinn and Pachter 2011 (Cufflinks, doi:10.1186/gb-2011-12-3-r22) use variable
  lengths, too, but the same ones for all data; learning them as here is in the manner of Buehlmann and Wyner
  1999 (doi:10.1214/aos/1018031204).

The ratios of all three are smoothed (`bayesde.bias.models.tables`).
"""

from __future__ import annotations

import numpy as np

from bayesde.bias.models.interface import BiasModel
from bayesde.bias.models.tables import TableModel, count_table, smoothed_pair
from bayesde.bias.samples import Sequences

__all__ = ["fit_markov", "fit_variable_markov"]

THRESHOLD = 3.0
"""Gain in log likelihood that a context must bring: one for each of its parameters."""


def fit_markov(training: Sequences, order: int, name: str = "markov") -> BiasModel:
    """Fit a Markov model of fixed order; of order 0, position weights.

    Parameters
    ----------
    training : Sequences
    order : int
        Number of preceding bases that a base depends on; fewer at the first positions.
    name : str
        Of the model.

    Returns
    -------
    BiasModel
    """
    return _fit(training, order, None, name)


def fit_variable_markov(training: Sequences, longest: int) -> BiasModel:
    """Fit a Markov model whose contexts have the lengths that the sequences support.

    Parameters
    ----------
    training : Sequences
    longest : int
        Number of bases of the longest contexts.

    Returns
    -------
    BiasModel
    """
    return _fit(training, longest, THRESHOLD, "variable_markov")


def preceding(window: int, order: int) -> tuple[tuple[int, ...], ...]:
    """Return the positions before each position of a window, at most `order` of them.

    Parameters
    ----------
    window, order : int

    Returns
    -------
    tuple of tuple of int
    """
    return tuple(tuple(range(max(j - order, 0), j)) for j in range(window))


def _fit(training: Sequences, order: int, threshold: float | None, name: str) -> BiasModel:
    """Fit tables with preceding bases as parents."""
    parents = preceding(training.window, order)
    starts = np.ascontiguousarray(training.foreground.T)
    background = np.ascontiguousarray(training.background.T)
    pairs = [
        smoothed_pair(count_table(starts, before, j), count_table(background, before, j), threshold)
        for j, before in enumerate(parents)
    ]
    rows = sum(len(q) for _, q, _ in pairs)
    own = rows if threshold is None else sum(used for _, _, used in pairs)
    foreground = TableModel(parents, tuple(np.log(p) for p, _, _ in pairs), 3 * own)
    usual = TableModel(parents, tuple(np.log(q) for _, q, _ in pairs), 3 * rows)
    return BiasModel(name, foreground, usual, training.window)
