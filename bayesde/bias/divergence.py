r"""How far the bases around starts differ from the background: Kullback-Leibler divergence by position.

    KL_k = sum over words u of f_k(u) log2(f_k(u) / g_k(u))

with f_k and g_k the frequencies of words of 1 or more bases that begin at position k, in the foreground and
in the background. Corrected frequencies are those of foreground sequences with the weight 1 / bias.
Frequencies have 1/2 added to every count (Krichevsky and Trofimov 1981, doi:10.1109/TIT.1981.1056331). The
divergence of two finite sets of equal distribution is above 0, for n sequences each and words of k bases by
about (4^k - 1) / (n ln 2) bits.
"""

from __future__ import annotations

import numpy as np

__all__ = ["base_frequencies", "divergence_by_position", "word_codes"]


def word_codes(sequences: np.ndarray, length: int) -> np.ndarray:
    """Return the words that begin at every position.

    Parameters
    ----------
    sequences : ndarray uint8 (sequence, base)
        Without unknown bases.
    length : int
        Bases of a word.

    Returns
    -------
    ndarray int64 (base - length + 1, sequence)
        Between 0 and 4^length - 1.
    """
    columns = sequences.T.astype(np.int64)
    number = columns.shape[0] - length + 1
    codes = np.zeros((number, columns.shape[1]), dtype=np.int64)
    for step in range(length):
        codes = 4 * codes + columns[step : step + number]
    return codes


def _frequencies(sequences: np.ndarray, length: int, weights: np.ndarray | None) -> np.ndarray:
    """Return the frequencies of words by position, (position, word)."""
    if weights is not None:  # as many sequences as they are worth
        weights = weights * (weights.sum() / (weights @ weights))
    counts = [
        np.bincount(codes, weights, minlength=4**length) + 0.5 for codes in word_codes(sequences, length)
    ]
    return np.array([one / one.sum() for one in counts])


def divergence_by_position(
    foreground: np.ndarray, background: np.ndarray, length: int = 1, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the divergence of the foreground from the background at each position.

    Parameters
    ----------
    foreground, background : ndarray uint8 (sequence, base)
        Without unknown bases.
    length : int
        Bases of a word.
    weights : ndarray (sequence,), optional
        Of the foreground, such as 1 / bias.

    Returns
    -------
    ndarray (base - length + 1,)
        Bits.
    """
    f = _frequencies(foreground, length, weights)
    g = _frequencies(background, length, None)
    return np.asarray((f * np.log2(f / g)).sum(axis=1))


def base_frequencies(sequences: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the frequencies of A, C, G and T at each position.

    Parameters
    ----------
    sequences : ndarray uint8 (sequence, base)
        Without unknown bases.
    weights : ndarray (sequence,), optional

    Returns
    -------
    ndarray (base, 4)
    """
    return _frequencies(sequences, 1, weights)
