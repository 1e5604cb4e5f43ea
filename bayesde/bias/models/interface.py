"""What every model of the bases around read starts can do, and a pair of them: the bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bayesde.bias.reading.genome import UNKNOWN

__all__ = ["BiasModel", "SequenceModel", "perplexity"]

LARGEST_LOG_BIAS = float(np.log(20.0))
"""The logarithm of the bias is kept within plus and minus this: sequences that a model has hardly seen would
otherwise have all of the weight. In the two real libraries of the benchmark up to 0.6 % of places are
beyond."""
_AT_ONCE = 1_000_000
"""Positions of a gene array that are evaluated together; bounds the memory."""


class SequenceModel(Protocol):
    """A probability distribution of sequences of a fixed number of bases."""

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""

    def log_prob(self, sequences: np.ndarray) -> np.ndarray:
        """Return the log probability of each sequence.

        Parameters
        ----------
        sequences : ndarray uint8 (sequence, base)
            Codes of A, C, G and T, 0 to 3; without unknown bases.

        Returns
        -------
        ndarray float64 (sequence,)
            Natural logarithm.
        """


@dataclass(frozen=True, eq=False)
class BiasModel:
    """Models of the foreground and of the background; their ratio is the bias.

    Attributes
    ----------
    name : str
        Of the kind of model.
    foreground, background : SequenceModel
    window : int
        Number of bases.
    """

    name: str
    foreground: SequenceModel
    background: SequenceModel
    window: int

    @property
    def n_parameters(self) -> int:
        """Number of free parameters of both."""
        return self.foreground.n_parameters + self.background.n_parameters

    def log_bias(self, sequences: np.ndarray) -> np.ndarray:
        """Return the logarithm of the bias of starts.

        Parameters
        ----------
        sequences : ndarray uint8 (sequence, base)
            Around the starts, in the direction of the reads; without unknown bases.

        Returns
        -------
        ndarray (sequence,)
            Natural logarithm of p_foreground / p_background, limited to plus or minus `LARGEST_LOG_BIAS`.
        """
        ratio = self.foreground.log_prob(sequences) - self.background.log_prob(sequences)
        return np.clip(ratio, -LARGEST_LOG_BIAS, LARGEST_LOG_BIAS)

    def track(self, codes: np.ndarray) -> np.ndarray:
        """Return the logarithm of the bias of a start at each base, for reads in the direction of the codes.

        Parameters
        ----------
        codes : ndarray uint8 (base,)

        Returns
        -------
        ndarray float32 (base,)
            0 where the window has an unknown base or goes beyond the ends.
        """
        half = self.window // 2
        found = np.zeros(codes.size, dtype=np.float32)
        for low in range(half, codes.size - half, _AT_ONCE):
            high = min(low + _AT_ONCE, codes.size - half)
            part = codes[low - half : high + half]
            found[low:high] = np.where(_all_known(part, self.window), self._windows(part), 0.0)
        return found

    def _windows(self, codes: np.ndarray) -> np.ndarray:
        """Return the logarithm of the bias of every window of an array."""
        usable = np.where(codes == UNKNOWN, 0, codes)
        by_window = getattr(self.foreground, "log_ratio_of_windows", None)
        if by_window is not None:
            return np.clip(by_window(self.background, usable), -LARGEST_LOG_BIAS, LARGEST_LOG_BIAS)
        return self.log_bias(np.lib.stride_tricks.sliding_window_view(usable, self.window))


def _all_known(codes: np.ndarray, window: int) -> np.ndarray:
    """Tell which windows have no unknown base."""
    unknown = np.cumsum(np.r_[0, codes == UNKNOWN])
    return np.asarray(unknown[window:] == unknown[:-window])


def perplexity(model: SequenceModel, sequences: np.ndarray) -> float:
    """Return the perplexity per base: 4 if the model knows nothing of the sequences.

    Parameters
    ----------
    model : SequenceModel
    sequences : ndarray uint8 (sequence, base)

    Returns
    -------
    float
        exp(-mean of log probability / number of bases).
    """
    return float(np.exp(-model.log_prob(sequences).mean() / sequences.shape[1]))
