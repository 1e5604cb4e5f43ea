"""How starts are chosen from dense genes: what models of one half of a library predict of the other half."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from bayesde.bias.judging import joined
from bayesde.bias.models.interface import BiasModel
from bayesde.bias.models.markov import fit_variable_markov
from bayesde.bias.options import BiasOptions
from bayesde.bias.reading.places import Starts
from bayesde.bias.samples import distinct_starts, draw_sequences
from benchmarks.bias.data import FILES, Halves, Library, halves, read
from benchmarks.bias.models import deviance_explained

COVERAGES, COPIES, DIVISIONS = (0.3, 1e5), (1, 2, 3, 5, 1000), 3


def compare() -> pd.DataFrame:
    """Fit the default model to starts that are chosen in several ways.

    Returns
    -------
    pandas.DataFrame
        Share of the Poisson deviance of distinct starts and of reads per base that the bias explains.
    """
    rows = []
    for name in FILES:
        library = read(name, BiasOptions().window // 2)
        for seed in range(1, DIVISIONS + 1):
            half = halves(library, BiasOptions().window, seed)
            for coverage, copies in itertools.product(COVERAGES, COPIES):
                options = BiasOptions(coverage=coverage, copies=copies)
                model = _fitted(library, half, options, seed)
                about = {"data": name, "seed": seed, "coverage": coverage, "copies": copies}
                starts, reads = (
                    deviance_explained(model, library, half, distinct=one) for one in (True, False)
                )
                rows.append(about | {"deviance_starts": starts, "deviance_reads": reads})
    return pd.DataFrame(rows)


def _fitted(library: Library, half: Halves, options: BiasOptions, seed: int) -> BiasModel:
    """Fit the default model to the starts of both ends in one half."""
    ours = ~half.judged[library.places.gene_of(library.starts.position)]
    training = Starts(*(one[ours] for one in library.starts[:3]), np.full(ours.sum(), -1))
    rng = np.random.default_rng(seed)
    parts = []
    for second in (False, True):
        found = distinct_starts(training, library.places, options, rng, second=second)
        split = draw_sequences(found, library.places, options, rng)
        parts += [split.training, split.validation, split.test]
    return fit_variable_markov(joined(*parts), options.longest)
