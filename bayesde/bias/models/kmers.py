r"""K-mers at the start of reads (Hansen, Brenner and Dudoit 2010, doi:10.1093/nar/gkq224).

The first k bases of a read have one joint table, without any assumption; bases elsewhere in the window have
the same position weights in the foreground and in the background, and do not change the bias. Hansen et al.
take 7-mers and, as their background, the bases in the middle of reads; here it is that of all models.
"""

from __future__ import annotations

import numpy as np

from bayesde.bias.models.interface import BiasModel
from bayesde.bias.models.tables import TableModel, count_table, smoothed
from bayesde.bias.samples import Sequences

__all__ = ["fit_kmers", "pooled_weights"]


def fit_kmers(training: Sequences, length: int) -> BiasModel:
    """Fit the table of the first bases of reads.

    Parameters
    ----------
    training : Sequences
    length : int
        Number of bases; at most those from the start to the end of the window.

    Returns
    -------
    BiasModel
    """
    start = training.window // 2
    inside = range(start, start + length)
    parents = tuple(tuple(range(start, j)) if j in inside else () for j in range(training.window))
    elsewhere = pooled_weights(training)
    models = []
    for sequences in (training.foreground, training.background):
        columns = np.ascontiguousarray(sequences.T)
        tables = tuple(
            np.log(smoothed(count_table(columns, before, j))) if j in inside else elsewhere[j]
            for j, before in enumerate(parents)
        )
        models.append(TableModel(parents, tables, 4**length - 1))
    return BiasModel("kmers", models[0], models[1], training.window)


def pooled_weights(training: Sequences) -> list[np.ndarray]:
    """Return position weights of foreground and background together, which cancel in their ratio.

    Parameters
    ----------
    training : Sequences

    Returns
    -------
    list of ndarray (1, 4), one per position
        Log probabilities.
    """
    columns = np.concatenate([training.foreground, training.background]).T
    return [np.log(smoothed(count_table(columns, (), j))) for j in range(training.window)]
