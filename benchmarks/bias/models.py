"""Every model, trained on half of the stretches of a real library and judged on the other half."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from bayesde.bias.divergence import divergence_by_position
from bayesde.bias.judging import start_information
from bayesde.bias.lengths import bias_tracks
from bayesde.bias.models.interface import BiasModel, perplexity
from bayesde.bias.models.training import train
from bayesde.bias.options import BiasOptions
from bayesde.bias.samples import SplitSequences
from benchmarks.bias.data import FILES, Halves, Library, halves, read

MODELS: dict[str, dict[str, object]] = {
    "position weights": {"model": "position_weights"},
    "6-mers (Hansen)": {"model": "kmers", "kmer": 6},
    "Markov, order 1": {"model": "markov", "order": 1},
    "Markov, order 2": {"model": "markov", "order": 2},
    "Markov, order 3": {"model": "markov", "order": 3},
    "Markov, variable length": {"model": "variable_markov"},
    "Bayesian network (Jones)": {"model": "network"},
    "GRU, 10 units": {"model": "gru", "units": 10},
    "GRU, 20 units": {"model": "gru", "units": 20},
    "LSTM, 10 units": {"model": "lstm", "units": 10},
    "LSTM, 20 units": {"model": "lstm", "units": 20},
}
WINDOWS = (21, 41)
FEWEST = 50
"""Starts of a stretch and strand that enter the deviance."""


def compare(seeds: int, save: Callable[[pd.DataFrame], None]) -> None:
    """Fit and judge every model on both libraries and with both windows.

    Parameters
    ----------
    seeds : int
        Number of divisions into halves.
    save : callable
        Called with the table so far.
    """
    rows: list[dict[str, object]] = []
    for name in FILES:
        library = read(name, max(WINDOWS) // 2)
        for seed in range(1, seeds + 1):
            for window in WINDOWS:
                half = halves(library, window, seed)
                about = {"data": name, "window": window, "seed": seed}
                rows.append(about | {"model": "none", **_raw(half)})
                for label, options in MODELS.items():
                    rows.append(about | {"model": label, **_judged(options, window, seed, half, library)})
                    save(pd.DataFrame(rows))


def _raw(half: Halves) -> dict[str, object]:
    """Return the divergences without a correction, and those of two equal distributions."""
    test = half.test
    middle = len(test.background) // 2
    found: dict[str, object] = {
        "starts": len(test.foreground),
        "training_starts": len(half.training.foreground),
    }
    for length in (1, 3, 6):
        by_position = divergence_by_position(test.foreground, test.background, length)
        equal = divergence_by_position(test.background[:middle], test.background[middle:], length)
        found |= {f"kl{length}_max": by_position.max(), f"kl{length}_sum": by_position.sum()}
        found[f"kl{length}_floor"] = equal.sum() / 2.0  # these two sets are half as large
    return found


def _judged(
    options: dict[str, object], window: int, seed: int, half: Halves, library: Library
) -> dict[str, object]:
    """Fit a model and judge it."""
    split = SplitSequences(half.training, half.validation, half.test, 0)
    begun = time.process_time()
    model = train(split, BiasOptions(window=window, **options), np.random.default_rng(seed))  # type: ignore[arg-type]
    seconds = time.process_time() - begun
    information = start_information(model, half.test)
    found: dict[str, object] = {
        "parameters": model.n_parameters,
        "seconds": seconds,
        "perplexity": perplexity(model.foreground, half.test.foreground),
        "information": information.bits,
        "information_se": information.standard_error,
        "deviance_starts": deviance_explained(model, library, half, distinct=True),
        "deviance_reads": deviance_explained(model, library, half, distinct=False),
    }
    weights = np.exp(-model.log_bias(half.test.foreground))
    for length in (1, 3, 6):
        by_position = divergence_by_position(half.test.foreground, half.test.background, length, weights)
        found |= {f"kl{length}_max": by_position.max(), f"kl{length}_sum": by_position.sum()}
    return found


def deviance_explained(model: BiasModel, library: Library, half: Halves, *, distinct: bool) -> float:
    """Return the share of the Poisson deviance of starts per base that the bias explains.

    Parameters
    ----------
    model : BiasModel
    library : Library
    half : Halves
        Its judged stretches are used, of which each strand has a rate of its own.
    distinct : bool
        Whether a base has at most one start on each strand.

    Returns
    -------
    float
        1 - D(rate times bias) / D(rate).
    """
    places = library.places
    tracks = bias_tracks(model, places.codes)
    even = biased = 0.0
    for strand, track in ((False, tracks.forward), (True, tracks.reverse)):
        if distinct:
            position = library.position[library.reverse == strand]
        else:
            position = library.starts.position[library.starts.reverse == strand]
        counts = np.bincount(position, minlength=places.codes.size).astype(np.float64)
        for gene in np.flatnonzero(half.judged):
            here = slice(int(places.first[gene]), int(places.last[gene]))
            y, b = counts[here], track[here].astype(np.float64)
            if y.sum() >= FEWEST:
                even += _deviance(y, np.full(y.size, y.mean()))
                biased += _deviance(y, b * (y.sum() / b.sum()))
    return 1.0 - biased / even


def _deviance(y: np.ndarray, mean: np.ndarray) -> float:
    """Return the Poisson deviance of counts whose sum is that of their means."""
    some = y > 0.0
    return float(2.0 * (y[some] * np.log(y[some] / mean[some])).sum())
