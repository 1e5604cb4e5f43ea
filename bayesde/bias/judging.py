r"""How well a model tells read starts from their background, on sequences that it was not fitted to.

A start and its background are told apart by the bias b with probability b / (1 + b). The information about
starts is what this is worth, in bits for each sequence,

    I = 1 + mean over foreground and background of log2(probability of the right answer)

It is 0 for b = 1, at most 1, and negative if the model misleads. Its expectation is largest for the true
ratio of the two distributions, so that it compares models of the bias, as perplexity compares models of
either set.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesde.bias.divergence import base_frequencies, divergence_by_position
from bayesde.bias.models.interface import BiasModel
from bayesde.bias.samples import Sequences, SplitSequences

__all__ = ["Information", "joined", "position_table", "start_information"]

LN2 = float(np.log(2.0))


class Information(NamedTuple):
    """Information about starts, in bits for each sequence, with its standard error.

    Copies of a start count as sequences of their own, so that the error is somewhat too small where there are
    many.
    """

    bits: float
    standard_error: float


def start_information(model: BiasModel, sequences: Sequences) -> Information:
    """Return how well a model tells foreground and background apart.

    Parameters
    ----------
    model : BiasModel
    sequences : Sequences
        Not those that it was fitted to.

    Returns
    -------
    Information
    """
    right = [
        1.0 - np.logaddexp(0.0, sign * model.log_bias(part)) / LN2
        for sign, part in ((-1.0, sequences.foreground), (1.0, sequences.background))
    ]
    bits = float(np.mean([one.mean() for one in right]))
    return Information(bits, float(np.sqrt(sum(one.var() / one.size for one in right)) / 2.0))


def joined(*parts: Sequences) -> Sequences:
    """Put sets of sequences together.

    Parameters
    ----------
    *parts : Sequences

    Returns
    -------
    Sequences
    """
    return Sequences(
        np.concatenate([one.foreground for one in parts]), np.concatenate([one.background for one in parts])
    )


def position_table(model: BiasModel, split: SplitSequences) -> dict[str, np.ndarray]:
    """Describe the bases at each position before and after the correction.

    Parameters
    ----------
    model : BiasModel
    split : SplitSequences
        All of it is used.

    Returns
    -------
    dict of str to ndarray (position,)
        ``position`` relative to the start, in the direction of reads; frequencies of bases ``before`` and
        ``after`` and of the ``background``, by base; ``kl_before`` and ``kl_after`` in bits.
    """
    every = joined(split.training, split.validation, split.test)
    weights = np.exp(-model.log_bias(every.foreground))
    sets = {
        "before": base_frequencies(every.foreground),
        "after": base_frequencies(every.foreground, weights),
        "background": base_frequencies(every.background),
    }
    columns = {"position": np.arange(model.window) - model.window // 2}
    for name, frequencies in sets.items():
        columns |= {f"{name}_{base}": frequencies[:, i] for i, base in enumerate("ACGT")}
    both = (every.foreground, every.background)
    columns["kl_before"] = divergence_by_position(*both)
    columns["kl_after"] = divergence_by_position(*both, weights=weights)
    return columns
